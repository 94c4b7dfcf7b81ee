"""Python code of a graph."""

from __future__ import annotations

import enum
import math
import os
import pprint
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch
from jtorch.utils import _pytree as pytree

from . import _pytree as fx_pytree
from . import _wrap
from ._naming import ILLEGAL, Namespace, get_qualified_name, in_torch, library, type_repr
from .node import Node, _sizes, short_dtype
from .tensor_type import TensorType

TransformCodeFunc = Callable[[list[str]], list[str]]

_REFLECTABLE = (
    "add + sub - mul * floordiv // truediv / div / mod % pow ** lshift << rshift >> and_ & or_ | xor ^".split()
)
reflectable_magic_methods = {
    **{name: f"{{}} {sign} {{}}" for name, sign in zip(_REFLECTABLE[::2], _REFLECTABLE[1::2], strict=True)}, "getitem": "{}[{}]", "matmul": "{} @ {}",
}  # fmt: skip
magic_methods = {
    **{name: f"{{}} {sign} {{}}" for name, sign in (("eq", "=="), ("ne", "!="), ("lt", "<"), ("gt", ">"), ("le", "<="), ("ge", ">="))},
    "pos": "+{}", "neg": "-{}", "invert": "~{}", **reflectable_magic_methods,
}  # fmt: skip
_IN_PLACE = "iadd += iand &= ifloordiv //= ilshift <<= imod %= imul *= imatmul @= ior |= ipow **= irshift >>= isub -= itruediv /= ixor ^=".split()
inplace_methods = {**{n: f"{{}} {s} {{}}" for n, s in zip(_IN_PLACE[::2], _IN_PLACE[1::2], strict=True)}, "setitem": "{}[{}] = {}"}


class _CustomBuiltin(NamedTuple):
    """An object that every graph's code may name, and how a file of code gets it."""

    import_str: str
    obj: Any


_custom_builtins: dict[str, _CustomBuiltin] = {}


def _register_custom_builtin(name: str, import_str: str, obj: Any) -> None:
    """Let generated code use ``name`` for ``obj``."""
    _custom_builtins[name] = _CustomBuiltin(import_str, obj)
    ILLEGAL[name] = obj


for _name, _line, _obj in (
    ("inf", "from math import inf", math.inf),
    ("nan", "from math import nan", math.nan),
    ("NoneType", "NoneType = type(None)", type(None)),
    ("torch", "import torch", library()),
    ("device", "from torch import device", torch.device),
    ("fx_pytree", "import torch.fx._pytree as fx_pytree", fx_pytree),
    ("pytree", "import torch.utils._pytree as pytree", pytree),
):
    _register_custom_builtin(_name, _line, _obj)


@dataclass
class PythonCode:
    """The source of a graph's function and what it needs in its globals."""

    src: str
    globals: dict[str, Any]
    _lineno_map: dict[int, int | None] | None
    _prologue_start: int = 0


def _format_target(base: str, target: str) -> str:
    for part in target.split("."):
        base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
    return base


_COLORS = {"red": "\033[31m", "blue": "\033[34m", "dim": "\033[2m", "dim_blue": "\033[2m\033[34m", "dim_green": "\033[2m\033[32m"}
_FILE_LINE = re.compile(r"^File \"(.+)\", line (\d+), in (.+)$")
_COUNTER = re.compile(r"# COUNTER: (\d+)")
_OLD_GENERICS = {list: typing.List, dict: typing.Dict, set: typing.Set, frozenset: typing.FrozenSet, tuple: typing.Tuple}  # noqa: UP006


def _summary(trace: str | None) -> str:
    """The innermost frame of a stack trace in a line."""
    lines = (trace or "").strip().split("\n")
    for i in range(len(lines) - 2, -1, -1):
        found = _FILE_LINE.match(lines[i].strip())
        if found:
            return f"File: {found[1]}:{found[2]} in {found[3]}, code: {lines[i + 1].strip()}"
    return "No stacktrace found for following nodes"


class _Writer:
    """Writes one function: its lines, its parameters, and the globals that it names."""

    def __init__(self, root: str, namespace: Namespace, options: dict[str, Any]) -> None:
        self.root, self.namespace = root, namespace
        self.parameters: list[str] = []
        self.body: list[str] = []
        self.globals: dict[str, Any] = {}
        self.wrapped: dict[str, None] = {}
        self.returns = ""
        self.summary = ""
        self.verbose, self.expanded = options["verbose"], options["expanded_def"]
        self.stride = options["include_stride"] or os.environ.get("FX_GRAPH_SHOW_STRIDE", "0") == "1"
        self.device = options["include_device"] or os.environ.get("FX_GRAPH_SHOW_DEVICE", "0") == "1"
        self.meta = os.environ.get("FX_GRAPH_SHOW_META", "0") == "1"
        self.colored, self.additional_meta = options["colored"], options["additional_meta"]
        for name, (_, obj) in _custom_builtins.items():
            self.add_global(name, obj)

    def color(self, name: str, text: str) -> str:
        return f"{_COLORS[name]}{text}\033[0m" if self.colored else text

    def add_global(self, hint: str, obj: Any) -> str:
        """The name by which the code says ``obj``."""
        if obj is not torch.device:
            path = in_torch(obj)
            if path is not None:
                return path
        name = self.namespace.create_name(hint, obj)
        if self.globals.setdefault(name, obj) is not obj and self.globals[name] != obj:
            raise AssertionError(f"Global name {name} already assigned to different object")
        return name

    def type(self, o: Any) -> str:
        """An annotation."""
        if o == ():
            return "()"
        if isinstance(o, types.UnionType):
            return "|".join(self.type(a) for a in typing.get_args(o))
        origin = getattr(o, "__origin__", None)
        if origin:
            if isinstance(o, typing._GenericAlias):  # type: ignore[attr-defined]
                origin = _OLD_GENERICS.get(origin, origin)
            name = self.add_global(type_repr(origin), origin)
            args = o.__args__ if isinstance(o, TensorType) else typing.get_args(o)
            return f"{name}[{','.join(self.type(a) for a in args)}]" if args else name
        return self.add_global(type_repr(o), o)

    def value(self, arg: Any) -> str:
        """An argument."""
        if isinstance(arg, Node):
            return repr(arg)
        if isinstance(arg, tuple) and hasattr(arg, "_fields"):
            return self.add_global(get_qualified_name(type(arg)), type(arg)) + repr(tuple(arg))
        if hasattr(arg, "_schema") and callable(arg):  # an overload
            return self.add_global(get_qualified_name(arg), arg)
        if isinstance(arg, enum.Enum):
            return f"{self.add_global(type(arg).__name__, type(arg))}.{arg.name}"
        if isinstance(arg, Tensor):
            return f"torch.Tensor(size={list(arg.size())}, dtype={str(arg.dtype).split('.')[-1]})"
        if isinstance(arg, tuple):
            return f"({self.value(arg[0])},)" if len(arg) == 1 else "(" + ", ".join(map(self.value, arg)) + ")"
        if isinstance(arg, list):
            return "[" + ", ".join(map(self.value, arg)) + "]"
        if isinstance(arg, slice):
            return f"slice({self.value(arg.start)}, {self.value(arg.stop)}, {self.value(arg.step)})"
        return self.color("blue", repr(arg))

    def call(self, args: Any, kwargs: Any) -> str:
        return ", ".join([*map(self.value, args), *(f"{k} = {self.value(v)}" for k, v in kwargs.items())])

    def describe(self, node: Node) -> None:
        """A comment above a node that says where it comes from, once for neighbours with the same."""
        if node.op in ("placeholder", "output"):
            return
        more = ", ".join(f"{key}: {node.meta[key]}" for key in self.additional_meta or () if key in node.meta)
        custom = {k: text[:40] + "..." if len(text := str(v)) > 40 else v for k, v in node.meta.get("custom", {}).items()}
        recompute, group = node.meta.get("recompute"), node.meta.get("ac_graph_id")
        how = ""
        if group is not None:
            how = f" ac_graph_id: {group}" + (f" - {recompute.name}" if recompute is not None else "")
        elif recompute is not None:
            how = f" recompute: {recompute.name}"
        text = f"{f'# {more} ' if more else ''}#{f' Annotation: {custom}' if custom else ''}{how} {_summary(node.stack_trace)}"
        text = f"\n{self.color('dim', text)}\n"
        if text != self.summary:
            self.summary = text
            self.body.append(text)

    def annotation(self, node: Node) -> str:
        """What follows a name that is assigned: a type, or in verbose code what is known of the value."""
        known = node.meta.get("val", node.meta.get("tensor_meta", node.meta.get("example_value"))) if self.verbose else None
        if isinstance(known, Tensor):
            text = self.color("red", short_dtype(known.dtype)) + self.color("blue", _sizes(known.shape))
            text += self.color("dim_blue", _sizes(known.stride()) if self.stride else "") + self.color("dim_green", str(known.device) if self.device else "")
            return f': "{text}"' if type(known) in (Tensor, torch.nn.Parameter) else f': "{type(known).__name__}({text})"'
        if hasattr(known, "memory_format") and hasattr(known, "qparams"):  # TensorMetadata
            return f': "{short_dtype(known.dtype)}{_sizes(known.shape)}"'
        return "" if node.type is None else f" : {self.type(node.type)}"

    def emit(self, node: Node, generate_output: Callable[..., str]) -> None:
        """The line of a node."""
        kind = self.annotation(node)
        if self.meta and node.meta:
            self.body.append('"""\n')
            self.body += [f"{k}: {pprint.pformat(str(v), width=80, compact=True)}\n" for k, v in node.meta.items()]
            self.body.append('"""\n')
        start = f"{node!r}{kind} = "
        if node.op == "placeholder":
            default = f" = {self.value(node.args[0])}" if node.args else ""
            about = f"  # {node.meta['desc']}" if self.expanded and node.meta.get("desc") is not None else ""
            self.parameters.append(f"{node.target}{kind}{default}{about}")
            given = node.target.replace("*", "")
            if given != repr(node):
                self.body.append(f"{node!r} = {given}\n")
        elif node.op == "call_method":
            self.body.append(f"{start}{_format_target(self.value(node.args[0]), node.target)}({self.call(node.args[1:], node.kwargs)})")
        elif node.op == "call_function":
            self.body.append(self.function(node, start))
        elif node.op == "call_module":
            self.body.append(f"{start}{_format_target(self.root, node.target)}({self.call(node.args, node.kwargs)})")
        elif node.op == "get_attr":
            self.body.append(start + _format_target(self.root, node.target))
        elif node.op == "output":
            if node.type is not None:
                self.returns = f" -> {self.type(node.type)}"
            self.body.append(generate_output(node.args[0], descs=node.meta.get("desc") if self.expanded else None, repr_fn=self.value))
        else:
            raise NotImplementedError(f"node: {node.op} {node.target}")

    def function(self, node: Node, start: str) -> str:
        name = getattr(node.target, "__name__", "")
        if getattr(node.target, "__module__", "") == "_operator":
            if name in magic_methods:
                return start + magic_methods[name].format(*map(self.value, node.args))
            if name in inplace_methods:
                return f"{inplace_methods[name].format(*map(self.value, node.args))};  {start}{self.value(node.args[0])}"
        called = self.add_global(get_qualified_name(node.target), node.target)
        if called == "getattr" and len(node.args) == 2 and isinstance(node.args[1], str) and node.args[1].isidentifier():
            return start + _format_target(self.value(node.args[0]), node.args[1])
        if node.meta.get("is_wrapped", False):
            self.wrapped[called] = None
        return f"{start}{called}({self.call(node.args, node.kwargs)})"


def _last_uses(nodes: Any) -> dict[Node, list[Node]]:
    """Which values nobody needs after each node."""
    seen: set[Node] = set()
    found: dict[Node, list[Node]] = {}
    for user in reversed(nodes):
        for used in user._input_nodes:
            if used not in seen:
                seen.add(used)
                found.setdefault(user, []).append(used)
    return found


class CodeGen:
    """How a graph is written as a function; subclasses change the way that arguments and results are passed."""

    _sym_repr: Callable[[Any], str] = lambda x: repr(x)  # noqa: E731

    def __init__(self) -> None:
        self._body_transformer: TransformCodeFunc | None = None
        self._func_name = "forward"

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, *, expanded_def: bool = False) -> str:
        """The function's head, of the parameters and the annotation of its result."""
        if not free_vars or free_vars[0] != "self":
            free_vars.insert(0, "self")
        if not expanded_def:
            return f"def {self._func_name}({', '.join(free_vars)}){maybe_return_annotation}:"
        lines = []
        for each in free_vars:
            text, sign, comment = each.partition("#")
            lines.append(f"    {text.rstrip()},  # {comment.lstrip()}\n" if sign else f"    {each},\n")
        return f"def {self._func_name}(\n{''.join(lines)}){maybe_return_annotation}:"

    def generate_output(self, output_args: Any, *, descs: Sequence[str] | None = None, repr_fn: Callable[[Any], str] = repr) -> str:
        """The return statement."""
        if descs is not None and isinstance(output_args, (list, tuple)):
            return "return " + self._lines_of(output_args, descs, repr_fn)
        return f"return {repr_fn(output_args)}"

    def _lines_of(self, items: Any, descs: Sequence[str], repr_fn: Callable[[Any], str]) -> str:
        left, right = "()" if isinstance(items, tuple) else "[]"
        return f"{left}\n" + "".join(f"    {repr_fn(item)},  # {text}\n" for item, text in zip(items, descs, strict=False)) + right

    def process_inputs(self, *args: Any) -> Any:
        """The function's arguments as the graph's placeholders take them."""
        return args

    def process_outputs(self, outputs: Any) -> Any:
        """The graph's result as the function returns it."""
        return outputs

    def additional_globals(self) -> list[tuple[str, Any]]:
        """Names that the code of this generator needs besides."""
        return []

    def _fitting(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method that a subclass may have with fewer keywords."""
        import inspect

        known = inspect.signature(method).parameters
        return method(*args, **{k: v for k, v in kwargs.items() if k in known})

    def _gen_python_code(
        self, nodes: Any, root_module: str, namespace: Namespace, *, verbose: bool = False, include_stride: bool = False, include_device: bool = False,
        colored: bool = False, expanded_def: bool = False, record_func: bool = False, additional_meta: list[str] | None = None,
    ) -> PythonCode:  # fmt: skip
        out = _Writer(root_module, namespace, {
            "verbose": verbose, "include_stride": include_stride, "include_device": include_device, "colored": colored, "expanded_def": expanded_def,
            "additional_meta": additional_meta,
        })  # fmt: skip
        uses = _last_uses(nodes)
        body = out.body
        for i, node in enumerate(nodes):
            if verbose:
                out.describe(node)
            body.append(f"# COUNTER: {i}\n")
            out.emit(node, lambda *a, **k: self._fitting(self.generate_output, *a, **k))
            if node.op == "placeholder":
                continue
            done = [] if node.op == "output" else [*uses.get(node, ()), *(() if node.users else (node,))]
            body.append(f";  {out.color('dim', ' = '.join([*map(repr, done), 'None']))}\n" if done else "\n")
        if not body:
            body.append("pass\n")
        wrap = ""
        if out.wrapped:
            say = out.add_global("wrap", _wrap.wrap)
            wrap = "\n".join(f'{say}("{name}")' for name in out.wrapped)
        if self._body_transformer:
            body = self._body_transformer(body)
        for name, value in self.additional_globals():
            out.add_global(name, value)
        prologue = self._fitting(self.gen_fn_def, out.parameters, out.returns, expanded_def=expanded_def)
        lines, where, current = [], {}, None
        first = prologue.count("\n") + 1
        for line in "".join(body).split("\n"):
            counter = _COUNTER.search(line)
            if counter is not None:
                current = int(counter[1])
            else:
                where[len(lines) + first] = current
                lines.append(line)
        code = "\n".join("    " + line for line in "\n".join(lines).lstrip("\n").split("\n"))
        return PythonCode(f"\n{wrap}\n\n{prologue}\n{code}", out.globals, _lineno_map=where, _prologue_start=wrap.count("\n") + 4)


class _BoxedCodeGen(CodeGen):
    """Takes one list of arguments and empties it."""

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, *, expanded_def: bool = False) -> str:
        head = f"def {self._func_name}(self, args_list){maybe_return_annotation}:"
        names = [v.split(":")[0].split("=")[0].strip() for v in free_vars if v != "self"]
        if names:
            head += "\n    args_iter = iter(args_list)" + "".join(f"\n    {name} = next(args_iter)" for name in names) + "\n    args_list.clear()"
        return head


class _PyTreeInfo(NamedTuple):
    """The parameters that the traced function had, and the structures of its arguments and result."""

    orig_args: list[str]
    in_spec: Any
    out_spec: Any


class _PyTreeCodeGen(CodeGen):
    """Takes and returns containers; the graph has their leaves."""

    def __init__(self, pytree_info: _PyTreeInfo) -> None:
        super().__init__()
        self.pytree_info = pytree_info

    def process_inputs(self, *inputs: Any) -> Any:
        return pytree.arg_tree_leaves(*inputs)

    def process_outputs(self, outputs: Any) -> Any:
        if self.pytree_info is None or self.pytree_info.out_spec is None:
            return outputs
        return pytree.tree_unflatten(outputs if isinstance(outputs, (list, tuple)) else [outputs], self.pytree_info.out_spec)

    def gen_var_bindings(self, fn_args: list[str], free_vars: list[str], expanded_def: bool) -> str:
        """The lines that take the arguments apart."""
        spec = self.pytree_info.in_spec
        source = f"[{', '.join(fn_args)}], self._in_spec"
        if spec.type is tuple and spec.num_children == 2 and spec.child(0).type is tuple and spec.child(1).type is dict:  # (args, kwargs)
            count = spec.child(0).num_children
            keywords = ", ".join(f"'{k}':{v}" for k, v in zip(spec.child(1).context, self.pytree_info.orig_args[count:], strict=False))
            source = f"([{', '.join(self.pytree_info.orig_args[:count])}], {{{keywords}}}), self._in_spec"
        typed = [v for v in free_vars if ":" in v]
        lines = ""
        if typed:
            lines = "\n    " + ("\n    ".join(typed) if expanded_def else "".join(v + "; " for v in typed) + "\n")
        names = [v.split(":")[0].split("#")[0] for v in free_vars]
        return lines + f"\n    {', '.join(names)}, = fx_pytree.tree_flatten_spec({source})"

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, *, expanded_def: bool = False) -> str:
        if self.pytree_info is None:
            return super().gen_fn_def(free_vars, maybe_return_annotation, expanded_def=expanded_def)
        names = self.pytree_info.orig_args
        if names and names[0] == "self":
            free_vars.insert(0, "self")
        head = super().gen_fn_def(names[:], maybe_return_annotation, expanded_def=expanded_def)
        return head + self.gen_var_bindings(names, free_vars, expanded_def) if free_vars else head

    def generate_output(self, output_args: Any, *, descs: Sequence[str] | None = None, repr_fn: Callable[[Any], str] = repr) -> str:
        if not (self.pytree_info and self.pytree_info.out_spec):
            return super().generate_output(output_args, descs=descs, repr_fn=repr_fn)
        if descs is not None and isinstance(output_args, (list, tuple)):
            return f"return pytree.tree_unflatten({self._lines_of(output_args, descs, repr_fn)}, self._out_spec)"
        return f"return pytree.tree_unflatten({repr_fn(output_args)}, self._out_spec)"
