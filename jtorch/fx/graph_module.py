"""A module whose forward is generated from a graph."""

from __future__ import annotations

import contextlib
import copy
import itertools
import linecache
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch
from jtorch.nn.modules.module import Module, _addindent
from jtorch.nn.parameter import Parameter

from ._compatibility import compatibility
from ._naming import as_torch
from .graph import Graph, PythonCode, _BoxedCodeGen, _custom_builtins, _PyTreeCodeGen

__all__ = ["reduce_graph_module", "reduce_package_graph_module", "GraphModule"]

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"


class _EvalCacheLoader:
    """Keeps generated sources, so that tracebacks and ``inspect.getsource`` show them."""

    def __init__(self) -> None:
        self.eval_cache: dict[str, str] = {}
        self.next_id = itertools.count()

    def cache(self, src: str, globals: dict[str, Any], co_fields: dict[str, Any] | None = None) -> str:
        """The file name of a source."""
        key = f"<eval_with_key>.{next(self.next_id)}"
        if co_fields and "co_filename" in co_fields:
            key += f" from {co_fields['co_filename']}:{co_fields.get('co_firstlineno')} in {co_fields.get('co_name')}"
        self.eval_cache[key] = src
        linecache.lazycache(key, {**globals, "__file__": key, "__name__": key, "__loader__": self})
        return key

    def get_source(self, module_name: str) -> str | None:
        """The source of a file name."""
        return self.eval_cache.get(module_name)


_loader = _EvalCacheLoader()


def _forward_from_src(src: str, globals: dict[str, Any], co_fields: dict[str, Any] | None = None) -> Callable[..., Any]:
    return _method_from_src("forward", src, globals, co_fields)


def _method_from_src(method_name: str, src: str, globals: dict[str, Any], co_fields: dict[str, Any] | None = None) -> Callable[..., Any]:
    space = globals.copy()
    exec(compile(src, _loader.cache(src, space, co_fields), "exec", dont_inherit=True), space)
    return space.pop(method_name)  # type: ignore[no-any-return]


def _format_import_statement(name: str, obj: Any) -> str:
    if name in _custom_builtins:
        return _custom_builtins[name].import_str
    module, attr = as_torch(obj.__module__), getattr(obj, "__qualname__", None) or obj.__name__
    return f"from {module} import {attr} as {name}"


def _format_import_block(globals: dict[str, Any]) -> str:
    return "\n".join(sorted({_format_import_statement(name, obj) for name, obj in globals.items()}))


def _run_imports(block: str) -> dict[str, Any]:
    """The names of a block of imports. Those of torch come from this library, whatever it goes by in this process."""
    known = {builtin.import_str: (name, builtin.obj) for name, builtin in _custom_builtins.items()}
    space: dict[str, Any] = {}
    for line in block.splitlines():
        if line in known:
            name, obj = known[line]
            space[name] = obj
        elif line.startswith("from torch."):
            exec(line.replace("from torch.", "from jtorch.", 1), space)
        else:
            exec(line, space)
    return space


@compatibility(is_backward_compatible=True)
def reduce_graph_module(body: dict[str, Any], import_block: str) -> Module:
    """A GraphModule from what its pickle holds: its attributes, its code, and the imports of that."""
    return _deserialize_graph_module(_forward_from_src(body.get("_code") or body["code"], _run_imports(import_block)), body)


@compatibility(is_backward_compatible=True)
def reduce_package_graph_module(importer: Any, body: dict[str, Any], generated_module_name: str) -> Module:
    """A GraphModule from what an archive of ``torch.package`` holds: its attributes, and a module with its code."""
    return _deserialize_graph_module(importer.import_module(generated_module_name).forward, body)


class _FromAbove:
    """What copies and pickles are made with; the files that define these, which need GraphModule themselves, put them here."""

    make_graph_module: Callable[..., Any]
    tracer: Any


from_above = _FromAbove()


class _CodeOnlyModule(Module):
    """Attributes and a forward, without a graph."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__ = body


def _deserialize_graph_module(forward: Callable[..., Any], body: dict[str, Any], graph_module_cls: Any = None) -> Module:
    _CodeOnlyModule.forward = forward  # type: ignore[method-assign]
    tracer_cls = body.get("_tracer_cls") or from_above.tracer

    class KeepModules(tracer_cls):  # type: ignore[misc,valid-type]
        """Every module was a leaf, or would not be in the graph."""

        def is_leaf_module(self, _: Any, __: str) -> bool:
            return True

    module = _CodeOnlyModule(body)
    graph = KeepModules().trace(module, **body.get("_tracer_extras", {}))
    traces = body.pop("_graphmodule_graph_node_meta_stack_trace", None) or {}
    for node in graph.nodes:
        if traces.get(node.name) is not None:
            node.meta["stack_trace"] = traces[node.name]
    graph._tracer_cls = tracer_cls
    made = from_above.make_graph_module(module, graph, class_name=body.get("_graphmodule_cls_name", "GraphModule"), graph_module_cls=graph_module_cls)
    for name, value in body.items():
        if not hasattr(made, name):
            setattr(made, name, value)
    return made


def _copy_attr(from_module: Module, to_module: Module, target: str) -> None:
    """Give ``to_module`` what ``from_module`` has at a path; modules on the way are made."""
    *prefix, field = target.split(".")
    for item in prefix:
        theirs, ours = getattr(from_module, item), getattr(to_module, item, None)
        if theirs is ours:
            return
        if ours is None:
            ours = Module()
            setattr(to_module, item, ours)
        from_module, to_module = theirs, ours
    _set(to_module, field, getattr(from_module, field))


def _assign_attr(from_obj: Any, to_module: Module, target: str) -> None:
    """Put an object at a path; modules on the way are made."""
    *prefix, field = target.split(".")
    for item in prefix:
        inner = getattr(to_module, item, None)
        if inner is None:
            inner = Module()
            setattr(to_module, item, inner)
        to_module = inner
    _set(to_module, field, from_obj)


def _set(module: Module, field: str, value: Any) -> None:
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        module.register_buffer(field, value)
    else:
        setattr(module, field, value)


def _get_attr(model: Any, attr_name: str) -> Any:
    """What is at a path."""
    return _get_attr_via_attr_list(model, attr_name.split("."))


def _get_attr_via_attr_list(model: Any, attr_list: list[str]) -> Any:
    if not attr_list:
        return model
    for item in attr_list[:-1]:
        model = getattr(model, item, None)
        assert model is not None, f"Attribute '{item}' not found in model"
    return getattr(model, attr_list[-1])


def _del_attr(model: Any, attr_name: str) -> None:
    parts = attr_name.split(".")
    delattr(_get_attr_via_attr_list(model, parts[:-1]), parts[-1])


def _has_attr(model: Any, attr_name: str) -> bool:
    for item in attr_name.split("."):
        if not hasattr(model, item):
            return False
        model = getattr(model, item)
    return True


def _print_readable(module: Any, module_name: str, print_output: bool = True, **options: Any) -> str:
    code = module.graph.python_code("self", verbose=True, **options).src.lstrip("\n")
    text = _addindent(f"class {module_name}(torch.nn.Module):\n{code}", 4)
    inner = dict(options, expanded_def=False)
    parts = [""] + [_print_readable(child, name, False, **inner) for name, child in module.named_children() if isinstance(child, GraphModule)]
    text += _addindent("\n".join(parts), 4)
    if print_output:
        print(text)
    return text


_HOME = __file__.rpartition(os.sep + "fx" + os.sep)[0]
_BENEATH = tuple(os.path.join(_HOME, name) + os.sep for name in ("_core", "_engine", "_ops", "_registry", "_api"))


def _is_beneath(path: str) -> bool:
    """Whether a frame belongs to what is C++ in torch, and so has no frames there."""
    return path.startswith(_BENEATH) or not path.startswith((_HOME, "<eval_with_key>"))  # jax and numpy are below it


class _WrappedCall:
    """Calls a GraphModule, and shows the generated line where an exception comes out of one."""

    def __init__(self, cls: type, cls_call: Callable[..., Any] | None) -> None:
        self.cls, self.cls_call = cls, cls_call

    @staticmethod
    def _generate_error_message(frame: traceback.FrameSummary) -> str:
        lines = linecache.getlines(frame.filename)
        at = frame.lineno or 0
        where = f"Call using an FX-traced Module, line {at} of the traced Module's generated forward function:"
        return "\n".join([traceback.format_exc(), where, "".join(lines[at - 2 : at]), "~" * len(frame.line or "") + "~~~ <--- HERE", "\n".join(lines[at : at + 2])])

    def __call__(self, obj: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if self.cls_call is not None:
                return self.cls_call(obj, *args, **kwargs)
            return super(self.cls, obj).__call__(*args, **kwargs)  # type: ignore[arg-type,misc]
        except Exception as e:
            frames = traceback.StackSummary.extract(traceback.walk_tb(e.__traceback__))
            last = next((f for f in reversed(frames) if not _is_beneath(f.filename)), frames[-1])
            if "eval_with_key" in last.filename:
                print(_WrappedCall._generate_error_message(last), file=sys.stderr)
                raise e.with_traceback(None)
            raise


@compatibility(is_backward_compatible=True)
class GraphModule(Module):
    """A module made of a graph, whose ``forward`` is the graph's code. After a change of the graph call :meth:`recompile`."""

    __jit_unused_properties__ = ["graph", "_boxed_call"]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Each has a class of its own: forward is an attribute of the class.
        base = next(t for t in cls.__mro__ if t.__qualname__.split(".")[-1] != "GraphModuleImpl")
        return super().__new__(type("GraphModuleImpl", (base,), {"__qualname__": "GraphModule.__new__.<locals>.GraphModuleImpl", "__module__": base.__module__}))

    @compatibility(is_backward_compatible=True)
    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        """``root``: a module, or a dict of paths, that has what the graph names. RuntimeError if a dict lacks something."""
        super().__init__()
        self.__class__.__name__ = class_name
        targets = [node.target for node in graph.nodes if node.op in ("get_attr", "call_module")]
        if isinstance(root, Module):
            if hasattr(root, "training"):
                self.training = root.training
            if isinstance(root, _CodeOnlyModule):  # a copy or a pickle: what no node names is kept too
                for members in (root.named_children(), root.named_buffers(), root.named_parameters()):
                    for name, _ in list(members):
                        _copy_attr(root, self, name)
            for target in targets:
                _copy_attr(root, self, target)
        elif isinstance(root, dict):
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module") and node.target not in root:
                    raise RuntimeError(f"Node {node} referenced target {node.target} but that target was not provided in ``root``!")
            for target in sorted(targets, key=lambda t: t.count(".")):
                _assign_attr(root[target], self, target)
        else:
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        self.graph = graph
        cls = graph._tracer_cls
        self._tracer_cls = cls if cls and "<locals>" not in cls.__qualname__ else None
        self._tracer_extras = graph._tracer_extras or {}
        self.meta: dict[str, Any] = {}
        self._replace_hooks: list[Callable[..., Any]] = []
        self._create_node_hooks: list[Callable[..., Any]] = []
        self._erase_node_hooks: list[Callable[..., Any]] = []
        self._deepcopy_hooks: list[Callable[..., Any]] = []
        self.shape_env: Any = None

    @property
    def _boxed_call(self) -> bool:
        return isinstance(self._graph._codegen, _BoxedCodeGen)

    @property
    def graph(self) -> Graph:
        """The graph; assigning one generates its code."""
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        assert isinstance(g, Graph), f"Expected a Graph instance, but got {type(g)}"
        self._graph = g
        g.owning_module = self
        self.recompile()

    def to_folder(self, folder: str | os.PathLike[str], module_name: str = "FxModule") -> None:
        """Write the module as a Python package: code, weights, and what has no short constructor as pickles."""
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        torch.save(self.state_dict(), folder / "state_dict.pt")
        imports = "\n".join(b.import_str for b in _custom_builtins.values())
        text = f"\nimport torch\n{imports}\n\nfrom torch.nn import *\nclass {module_name}(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        tab, pickled = " " * 8, []
        short = tuple(getattr(torch.nn, n) for n in ("Linear", "Conv1d", "Conv2d", "Conv3d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"))
        for name, child in self.named_children():
            if type(child) in short:
                text += f"{tab}setattr(self, '{name}', {child!r})\n"
                continue
            path = folder / f"{name}.pt"
            torch.save(child, path)
            pickled.append(name)
            shown = repr(child).replace("\r", " ").replace("\n", " ")
            text += f"{tab}setattr(self, '{name}', torch.load(r'{path}', weights_only=False)) # {shown}\n"
        for name, value in self._buffers.items():
            if value is not None:
                text += f"{tab}self.register_buffer('{name}', torch.empty({list(value.shape)}, dtype={value.dtype}))\n"
        for name, value in self._parameters.items():
            if value is not None:
                text += f"{tab}setattr(self, '{name}', torch.nn.Parameter(torch.empty({list(value.shape)}, dtype={value.dtype})))\n"
        text += f"{tab}self.load_state_dict(torch.load(r'{folder}/state_dict.pt'))\n{_addindent(self.code, 4)}\n"
        (folder / "module.py").write_text(text)
        (folder / "__init__.py").write_text("from .module import *")
        if pickled:
            warnings.warn(f"Was not able to save the following children modules as reprs -saved as pickled files instead: {pickled}")

    @compatibility(is_backward_compatible=True)
    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a path. False if something else than a module is on the way."""
        *prefix, field = target.split(".")
        here: Module = self
        for item in prefix:
            inner = getattr(here, item, None)
            if inner is None:
                inner = Module()
                setattr(here, item, inner)
            if not isinstance(inner, Module):
                return False
            here = inner
        here.add_module(field, m)
        return True

    @compatibility(is_backward_compatible=True)
    def delete_submodule(self, target: str) -> bool:
        """Take a module away. False if there is none at the path."""
        *prefix, field = target.split(".")
        here: Any = self
        for item in prefix:
            here = getattr(here, item, None)
            if not isinstance(here, Module):
                return False
        if not isinstance(getattr(here, field, None), Module):
            return False
        delattr(here, field)
        return True

    @compatibility(is_backward_compatible=True)
    def delete_all_unused_submodules(self) -> None:
        """Take away the modules that no node names."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                used.update(itertools.accumulate(node.target.split("."), lambda a, b: f"{a}.{b}"))
                if node.op == "call_module":
                    with contextlib.suppress(AttributeError):
                        used.update(f"{node.target}.{name}" for name, _ in self.get_submodule(node.target).named_modules() if name)
        for name in [name for name, _ in self.named_modules() if name not in used]:
            self.delete_submodule(name)

    @property
    def code(self) -> str:
        """The source of ``forward``."""
        if not hasattr(self, "_code"):
            raise RuntimeError("Code has not been generated! Please report a bug to PyTorch")
        return self._code

    @compatibility(is_backward_compatible=True)
    def recompile(self) -> PythonCode:
        """Generate the code anew: to be called after the graph was changed."""
        codegen = self._graph._codegen
        if isinstance(codegen, _PyTreeCodeGen):
            self._in_spec, self._out_spec = codegen.pytree_info.in_spec, codegen.pytree_info.out_spec
        code = self._graph.python_code("self")
        self._code, self._lineno_map, self._prologue_start = code.src, code._lineno_map, code._prologue_start
        cls: Any = type(self)
        cls.forward = _forward_from_src(self._code, code.globals, getattr(self._graph, "_co_fields", {}))
        own_call = cls.__call__ if "__call__" in vars(cls) else None
        if "_wrapped_call" not in vars(cls):
            cls._wrapped_call = _WrappedCall(cls, own_call)
        for child in self.children():
            if isinstance(child, GraphModule):
                child.recompile()

        def call_wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self._wrapped_call(self, *args, **kwargs)

        cls.__call__ = call_wrapped
        return code

    def _real_recompile(self) -> PythonCode:
        return self.recompile()

    def __reduce_package__(self, exporter: Any) -> Any:
        body = {**self.__dict__, "_graphmodule_cls_name": type(self).__name__}
        del body["_graph"]
        body["_graphmodule_graph_node_meta_stack_trace"] = {n.name: n.meta["stack_trace"] for n in self.graph.nodes if "stack_trace" in n.meta}
        name = f"fx-generated._{exporter.get_unique_id()}"
        exporter.save_source_string(name, _format_import_block(self._real_recompile().globals) + self.code)
        return reduce_package_graph_module, (body, name)

    def __reduce__(self) -> Any:
        body = self.__dict__.copy()
        imports = _format_import_block(self.recompile().globals)
        del body["_graph"]
        return reduce_graph_module, (body, imports)

    def _deepcopy_init(self) -> Callable[..., None]:
        return GraphModule.__init__

    def __deepcopy__(self, memo: Any) -> GraphModule:
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        body = _CodeOnlyModule(copy.deepcopy(self.__dict__, memo))
        self._deepcopy_init()(made, body, body.__dict__["_graph"])
        for name in (
            "_state_dict_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "_replace_hooks", "_create_node_hooks", "_erase_node_hooks",
            "_deepcopy_hooks",
        ):  # fmt: skip
            if name in self.__dict__:
                setattr(made, name, copy.deepcopy(self.__dict__[name], memo))
        made.meta = copy.deepcopy(getattr(self, "meta", {}), memo)
        for name, value in made.meta.get(_USER_PRESERVED_ATTRIBUTES_KEY, {}).items():
            setattr(made, name, value)
        for hook in self.__dict__.get("_deepcopy_hooks", ()):
            hook(made)
        return made

    def __copy__(self) -> GraphModule:
        made = from_above.make_graph_module(self, self.graph)
        made.meta = getattr(self, "meta", {})
        return made

    def print_readable(
        self, print_output: bool = True, include_stride: bool = False, include_device: bool = False, colored: bool = False, *,
        fast_sympy_print: bool = False, expanded_def: bool = False, additional_meta: list[str] | None = None,
    ) -> str:  # fmt: skip
        """The code with what is known of its values, and that of GraphModules inside."""
        return _print_readable(
            self, self._get_name(), print_output, include_stride=include_stride, include_device=include_device, colored=colored, expanded_def=expanded_def,
            additional_meta=additional_meta,
        )  # fmt: skip

    def __str__(self) -> str:
        return "\n".join([super().__str__(), self._code, "# To see more debug info, please use `graph_module.print_readable()`"])

    def _replicate_for_data_parallel(self) -> GraphModule:
        made = self.__copy__()
        object.__setattr__(made, "_is_replica", True)
        return made

    @contextlib.contextmanager
    def _set_replace_hook(self, f: Callable[..., Any]) -> Iterator[None]:
        self._register_replace_node_hook(f)
        try:
            yield
        finally:
            self._unregister_replace_node_hook(f)

    @contextlib.contextmanager
    def _set_create_node_hook(self, f: Callable[..., Any]) -> Iterator[None]:
        self._register_create_node_hook(f)
        try:
            yield
        finally:
            self._unregister_create_node_hook(f)

    def _register_replace_node_hook(self, f: Callable[..., Any]) -> None:
        _hook(self._replace_hooks, f)

    def _unregister_replace_node_hook(self, f: Callable[..., Any]) -> None:
        self._replace_hooks.remove(f)

    def _register_create_node_hook(self, f: Callable[..., Any]) -> None:
        _hook(self._create_node_hooks, f)

    def _unregister_create_node_hook(self, f: Callable[..., Any]) -> None:
        self._create_node_hooks.remove(f)

    def _register_erase_node_hook(self, f: Callable[..., Any]) -> None:
        _hook(self._erase_node_hooks, f)

    def _unregister_erase_node_hook(self, f: Callable[..., Any]) -> None:
        self._erase_node_hooks.remove(f)

    def _register_deepcopy_hook(self, f: Callable[..., Any]) -> None:
        _hook(self._deepcopy_hooks, f)

    def _unregister_deepcopy_hook(self, f: Callable[..., Any]) -> None:
        self._deepcopy_hooks.remove(f)


def _hook(hooks: list[Callable[..., Any]], f: Callable[..., Any]) -> None:
    assert callable(f), "create_node hook must be a callable."
    hooks.append(f)
