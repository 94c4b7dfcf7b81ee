"""``torch.export.unflatten``: an exported program with its modules back. Source: https://docs.pytorch.org/docs/stable/export.html"""

from __future__ import annotations

import abc
import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jtorch import ops
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.fx.graph import Graph
from jtorch.fx.graph_module import _print_readable
from jtorch.fx.interpreter import Interpreter
from jtorch.fx.node import Node, map_arg
from jtorch.utils._pytree import SequenceKey, keystr, tree_flatten, tree_flatten_with_path, tree_leaves, tree_unflatten

from ._running import named
from .exported_program import ExportedProgram, ModuleCallSignature
from .graph_signature import InputKind, TensorArgument

__all__ = ["FlatArgsAdapter", "InterpreterModule", "InterpreterModuleDispatcher", "UnflattenedModule", "unflatten"]

Module = torch.nn.Module


class FlatArgsAdapter(abc.ABC):
    """Makes the leaves of a call of another structure those that the program takes."""

    @abc.abstractmethod
    def adapt(self, target_spec: Any, input_spec: Any, input_args: list[Any], metadata: dict[str, Any] | None = None, obj: Any = None) -> list[Any]:
        """The leaves for ``target_spec``, of ``input_args`` that have ``input_spec``."""
        ...

    def get_flat_arg_paths(self) -> list[str]:
        """What the leaves are called in messages."""
        return []


class InterpreterModule(Module):  # type: ignore[misc,valid-type]
    """A module that runs a part of the program's graph, node by node. One whose signature was kept is called as the module that was exported."""

    def __init__(self, graph: Graph, ty: str | None = None, signature: ModuleCallSignature | None = None) -> None:
        super().__init__()
        self.graph, self._ty, self.__dict__["_signature"] = graph, ty, signature
        graph.owning_module = self  # type: ignore[assignment]

    def type_name(self) -> str | None:
        """The class of the module that was exported."""
        return self._ty

    @property
    def arg_names(self) -> list[Any]:
        """The placeholders."""
        return [n.target for n in self.graph.nodes if n.op == "placeholder"]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The graph's result."""
        kept = self._signature
        if kept is not None:
            args, kwargs = tuple(_leaves(args, kwargs, kept.in_spec)[0]), {}
        elif kwargs:
            args = (*args, *[kwargs[n] for n in self.arg_names[len(args) :]])
        out = Interpreter(self, graph=self.graph).run(*args, enable_io_processing=False)
        return out if kept is None else tree_unflatten(out, kept.out_spec)

    def print_readable(self, print_output: bool = True, include_stride: bool = False, include_device: bool = False, colored: bool = False) -> str:
        """The code with what is known of its values."""
        return _print_readable(self, type(self).__name__, print_output, include_stride=include_stride, include_device=include_device, colored=colored)


class InterpreterModuleDispatcher(Module):  # type: ignore[misc,valid-type]
    """A module of which several calls were kept: each call of it is the next of them."""

    def __init__(self, call_modules: list[InterpreterModule]) -> None:
        super().__init__()
        first = call_modules[0]
        self._modules, self._parameters, self._buffers = first._modules, first._parameters, first._buffers
        self._non_persistent_buffers_set = first._non_persistent_buffers_set
        self._ty = first._ty
        self.__dict__["_call_modules"], self._num_calls = call_modules, 0

    def type_name(self) -> str | None:
        """The class of the module that was exported."""
        return self._ty

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The next call."""
        module = self._call_modules[self._num_calls]
        self._num_calls = (self._num_calls + 1) % len(self._call_modules)
        try:
            return module(*args, **kwargs)
        except Exception:
            self._num_calls = 0
            raise

    def call_modules(self) -> list[InterpreterModule]:
        """The modules of its calls."""
        return self._call_modules  # type: ignore[no-any-return]

    def print_readable(self, *args: Any, **kwargs: Any) -> str:
        """The code of each call."""
        return "\n".join(m.print_readable(*args, **kwargs) for m in self._call_modules)


def _leaves(args: Any, kwargs: dict[str, Any], spec: Any) -> tuple[list[Any], Any]:
    """(leaves of a call, their structure), its keywords in the order of ``spec``. ValueError where these are others."""
    wanted = spec.child(1).context or []
    if kwargs and set(wanted) != set(kwargs):
        raise ValueError(f"Ran into a kwarg keyword mismatch: Got the following keywords {list(kwargs)} but expected {wanted}")
    return tree_flatten((tuple(args), {k: kwargs[k] for k in wanted} if kwargs else {}))


class _Step(NamedTuple):
    """A module's call on the way to a node."""

    name: str
    fqn: str
    kind: str


class _Section(NamedTuple):
    """A call as a module; ``inputs`` and ``outputs``: nodes of the program; ``key``: what it does, in words."""

    module: InterpreterModule
    inputs: list[Node]
    outputs: list[Node]
    key: str


class _Builder:
    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        signature = program.graph_signature
        kinds = {s.arg.name: s for s in signature.input_specs}
        nodes = list(program.graph.nodes)
        self.users = [n for n in nodes if n.op == "placeholder" and kinds[n.name].kind is InputKind.USER_INPUT]
        alike: dict[int, list[str]] = {}
        for name, t in program.state_dict.items():
            alike.setdefault(id(t), []).append(name)
        targets: dict[Node, Any] = {n: kinds[n.name].target for n in nodes if n.op == "placeholder" and kinds[n.name].kind is not InputKind.USER_INPUT}
        self.names = {n: list(dict.fromkeys([t, *alike.get(id(program.state_dict.get(t)), ())])) for n, t in targets.items()}  # of what is shared, all
        self.body = [n for n in nodes if n.op not in ("placeholder", "output")]
        self.by_name = {n.name: n for n in nodes}
        self.kept = {e.fqn: e.signature for e in program.module_call_graph if e.fqn and e.signature is not None}
        self.known: dict[tuple[str, str], InterpreterModule] = {}  # by name and what they do
        self.again: list[tuple[Module, str]] = []  # modules of later calls, which have the state of the first

    def path(self, node: Node) -> list[_Step]:
        """The calls that a node is inside of, but for those of modules that are not below the one before, which are taken apart."""
        out: list[_Step] = []
        for key, (fqn, kind) in list(node.meta.get("nn_module_stack", {}).items())[1:]:
            if not out or fqn.startswith(out[-1].fqn + "."):
                out.append(_Step(key.removeprefix("L__self__"), fqn, kind))
        return out

    def local(self, target: str, fqn: str) -> str | None:
        """A name below the module ``fqn``; None for one that is elsewhere."""
        return target if not fqn else target[len(fqn) + 1 :] if target.startswith(fqn + ".") else None

    def held(self, x: Node, fqn: str) -> str | None:
        """Where the module ``fqn`` holds a parameter or buffer; None for another value, or one that is elsewhere."""
        return next((found for name in self.names.get(x, ()) if (found := self.local(name, fqn)) is not None), None)

    def section(self, nodes: list[Node], step: _Step, depth: int) -> _Section:
        inside = set(nodes)
        kept = self.kept.get(step.name)
        inputs = list(dict.fromkeys(x for n in nodes for x in n.all_input_nodes if x not in inside and self.held(x, step.fqn) is None))
        outputs = [n for n in nodes if any(u not in inside for u in n.users)]
        if kept is not None:
            given = [self.by_name.get(a.name) if isinstance(a, TensorArgument) else None for a in kept.inputs]
            results = [self.by_name.get(a.name) if isinstance(a, TensorArgument) else None for a in kept.outputs]
            if not set(inputs) <= set(given) or not set(outputs) <= set(results):
                raise RuntimeError(f"the signature of {step.name} cannot be kept: it reads or gives values that are not among its arguments and results")
            inputs = [x if x is not None else f"unused_{i}" for i, x in enumerate(given)]  # type: ignore[misc]
            outputs = [x if x is not None else a.value for x, a in zip(results, kept.outputs, strict=True)]
        module = InterpreterModule(Graph(), step.kind, kept)
        env = {x: self.placeholder(module.graph, x, i if x in inputs[:i] else None) for i, x in enumerate(inputs)}
        value = self.fill(module, step.fqn, nodes, depth, env)
        found = [value(x) if isinstance(x, Node) else x for x in outputs]
        module.graph.output(found[0] if len(found) == 1 and kept is None else tuple(found))
        return _Section(module, inputs, outputs, _key(module))

    def placeholder(self, graph: Graph, x: Any, again: int | None = None) -> Node:
        name = (x.name if isinstance(x, Node) else x) + ("" if again is None else f"_{again}")
        node = graph.placeholder(name)
        named(node, name)
        node.meta.update(x.meta if isinstance(x, Node) else {})
        return node

    def fill(self, module: Any, fqn: str, nodes: Sequence[Node], depth: int, env: dict[Any, Any]) -> Callable[[Node], Any]:
        """Write the nodes into the module's graph, those of calls inside as calls of modules of their own."""
        graph = module.graph
        seen: dict[str, list[_Section]] = {}

        def value(x: Node) -> Any:
            if x not in env:
                last = None
                for n in graph.nodes:
                    if n.op not in ("placeholder", "get_attr"):
                        break
                    last = n
                with graph.inserting_after(last) if last is not None else graph.inserting_before():
                    env[x] = graph.create_node("get_attr", self.held(x, fqn))
                env[x].meta.update(x.meta)
            return env[x]

        at = 0
        while at < len(nodes):
            path = self.path(nodes[at])
            if len(path) <= depth:
                env[nodes[at]] = graph.node_copy(nodes[at], value)
                at += 1
                continue
            step, end = path[depth], at
            while end < len(nodes) and self.path(nodes[end])[depth : depth + 1] == [step]:
                end += 1
            made = self.section(list(nodes[at:end]), step, depth + 1)
            self.call(module, fqn, step, made, seen.setdefault(step.fqn, []), value, env)
            at = end
        for name, calls in seen.items():
            if len(calls) > 1 and calls[0].module._signature is not None:
                _install(module, self.local(name, fqn) or name, InterpreterModuleDispatcher([c.module for c in calls]))
        return value

    def call(self, module: Any, fqn: str, step: _Step, made: _Section, before: list[_Section], value: Callable[[Node], Any], env: dict[Any, Any]) -> None:
        graph, kept = module.graph, made.module._signature
        target = self.local(step.fqn, fqn) or step.fqn
        same = next((i for i, other in enumerate(before) if other.key == made.key), None)
        known = self.known.setdefault((step.fqn, made.key), made.module) if kept is None else made.module
        if known is not made.module:
            made = made._replace(module=known)
        elif before or fqn and (module, fqn) in self.again:
            self.again.append((known, step.fqn))
        if not before:
            _install(module, target, known)
        elif kept is None:
            target += f"@{len(before) if same is None else same}" if same != 0 else ""
            if same is None:
                _install(module, target, known)
        before.append(made)
        given = [value(x) if isinstance(x, Node) else None for x in made.inputs]
        if kept is None:
            out = graph.create_node("call_module", target, tuple(given), {})
            results = [out]
            if len(made.outputs) > 1:
                results = [graph.call_function(operator.getitem, (out, i)) for i in range(len(made.outputs))]
            out.meta["val"] = made.outputs[0].meta.get("val") if len(made.outputs) == 1 else tuple(x.meta.get("val") for x in made.outputs)
        else:
            args, kwargs = tree_unflatten([a if a is not None else c.value for a, c in zip(given, kept.inputs, strict=True)], kept.in_spec)
            reached: list[Node] = []
            map_arg((args, kwargs), reached.append)
            if len(reached) != sum(a is not None for a in given):
                not_implemented("torch.export.unflatten of a kept signature with containers of one's own", "give the module tensors, or lists, tuples and dicts of them")
            out = graph.create_node("call_module", target, args, kwargs)
            leaves = out if kept.out_spec.is_leaf() else graph.call_function(tree_leaves, (out,))
            results = [out] if kept.out_spec.is_leaf() else [graph.call_function(operator.getitem, (leaves, i)) if isinstance(x, Node) else x for i, x in enumerate(made.outputs)]
        for x, node in zip(made.outputs, results, strict=True):
            if isinstance(x, Node):
                env[x] = node
                node.meta.update({"val": x.meta.get("val")})


def _install(module: Any, target: str, child: Module) -> None:
    *path, leaf = target.split(".")
    for part in path:
        if part not in module._modules:
            module.add_module(part, InterpreterModule(Graph()))
        module = module._modules[part]
    before = module._modules.get(leaf)
    if before is not None and not isinstance(child, InterpreterModuleDispatcher):
        for name, m in before._modules.items():
            child._modules.setdefault(name, m)
    module._modules[leaf] = child


def _ordered(module: Any, fqn: str, order: dict[str, int]) -> None:
    """Put the modules below into the order that they had."""
    children = sorted(module._modules.items(), key=lambda x: order.get(f"{fqn}.{x[0]}".lstrip("."), len(order)))
    module._modules.clear()
    module._modules.update(children)
    for name, child in children:
        _ordered(child, f"{fqn}.{name}".lstrip("."), order)


def _key(module: InterpreterModule) -> str:
    """What a graph does, alike for graphs that differ in the names of their nodes."""
    numbers: dict[Node, int] = {}
    lines = []
    for n in module.graph.nodes:
        numbers[n] = len(numbers)
        target = module.get_submodule(n.target) if n.op == "call_module" else n.target
        what = _key(target) if isinstance(target, InterpreterModule) else "" if n.op == "placeholder" else n.target
        lines.append(f"{n.op} {what} {map_arg((n.args, n.kwargs), lambda x: f'%{numbers[x]}')}")
    return "\n".join(lines)


class UnflattenedModule(Module):  # type: ignore[misc,valid-type]
    """An exported program as modules with the names that they had; :func:`unflatten` makes it."""

    def __init__(self, export_module: ExportedProgram, flat_args_adapter: FlatArgsAdapter | None = None) -> None:
        super().__init__()
        self.graph = Graph()
        self.graph.owning_module = self  # type: ignore[assignment]
        self.graph_signature, self.module_call_graph = copy.deepcopy(export_module.graph_signature), copy.deepcopy(export_module.module_call_graph)
        self.range_constraints, self.equality_constraints = export_module.range_constraints, []
        self.flat_args_adapter, self.adapted, self.check_input_constraints = flat_args_adapter, False, True
        self.__dict__["_checks"] = export_module._checks
        build = _Builder(export_module)
        self._ty = next((stack["L__self__"][1] for n in build.body if (stack := n.meta.get("nn_module_stack"))), None)
        env: dict[Any, Any] = {n: build.placeholder(self.graph, n) for n in build.users}
        self.__dict__["input_placeholders"] = list(env.values())
        value = build.fill(self, "", build.body, 0, env)
        signature, outs = export_module.graph_signature, next(n for n in export_module.graph.nodes if n.op == "output").args[0]
        changed = len(signature.buffers_to_mutate) + len(signature.parameters_to_mutate)
        for spec, x in zip(signature.output_specs[:changed], outs[:changed], strict=True):
            new = value(x)
            if spec.target in signature.buffers_to_mutate.values():  # running statistics have no history
                new = self.graph.call_function(ops.aten.detach.default, (new,))
            self.graph.call_function(ops.aten.copy_.default, (self.graph.create_node("get_attr", str(spec.target)), new))
        self.graph.output(tuple(value(x) if isinstance(x, Node) else x for x in outs[changed:]))
        self._take_state(export_module, build.again)
        _ordered(self, "", {e.fqn: i for i, e in enumerate(export_module.module_call_graph)})
        self.graph.lint()

    def _take_state(self, program: ExportedProgram, again: list[tuple[Module, str]]) -> None:
        signature, known = program.graph_signature, {}
        constants = {name: t for name, t in program.constants.items() if name not in program.state_dict}
        for name, t in (program.state_dict | constants).items():
            if id(t) not in known:  # what is shared stays shared
                is_parameter = isinstance(t, torch.nn.Parameter)
                known[id(t)] = torch.nn.Parameter(t.detach().clone(), t.requires_grad) if is_parameter else t.clone() if isinstance(t, torch.Tensor) else t
            persistent = name in program.state_dict and name not in signature.non_persistent_buffers
            for owner, local in [(self, name), *[(m, name[len(fqn) + 1 :]) for m, fqn in again if name.startswith(fqn + ".")]]:
                *path, leaf = local.split(".")
                for part in path:
                    if part not in owner._modules:
                        owner.add_module(part, Module())
                    owner = owner._modules[part]
                new = known[id(t)]
                if isinstance(new, torch.nn.Parameter):
                    owner.register_parameter(leaf, new)
                else:
                    owner.register_buffer(leaf, new, persistent=persistent)

    def type_name(self) -> str | None:
        """The class of the module that was exported."""
        return self._ty

    def process_forward_inputs(self, *args: Any, **kwargs: Any) -> list[Any]:
        """A call's leaves. TypeError for another structure without an adapter, RuntimeError for sizes that were not exported."""
        wanted = self.module_call_graph[0].signature.in_spec
        flat, spec = _leaves(args, kwargs, wanted)
        paths = [_shown(p) for p, _ in tree_flatten_with_path((args, kwargs))[0]]
        if spec != wanted:
            if not self.adapted:
                print(f"Input treespec does not match with exported module's: \nInput treespec: {spec}. ", f"Exported module treespec: {wanted}")
                print("Adapting flat arg to match exported module's treespec")
            if self.flat_args_adapter is None:
                raise TypeError("There is no flat args adapter specified. Are you sure you are calling this with the right arguments? ")
            flat = self.flat_args_adapter.adapt(target_spec=wanted, input_spec=spec, input_args=flat, metadata={}, obj=args)
            if len(flat) != wanted.num_leaves:
                raise TypeError(f"Flat args adaption failed, number of args mismatch Adatped: {len(flat)} \nExported module: {wanted.num_leaves}")
            self.adapted = True
            names = self.flat_args_adapter.get_flat_arg_paths()
            paths = [f"*args.{n}" for n in names] if names else ["*args.<unknown location>"] * len(flat)
        if self.check_input_constraints:
            _check(self._checks, flat, paths)
        return flat

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the exported module gives."""
        out = Interpreter(self, graph=self.graph).run(*self.process_forward_inputs(*args, **kwargs), enable_io_processing=False)
        return tree_unflatten(out, self.module_call_graph[0].signature.out_spec)

    def print_readable(self, print_output: bool = True, include_stride: bool = False, include_device: bool = False, colored: bool = False) -> str:
        """The code with what is known of its values."""
        return _print_readable(self, "UnflattenedModule", print_output, include_stride=include_stride, include_device=include_device, colored=colored)


def _shown(path: Any) -> str:
    if path[0] == SequenceKey(0):
        return f"*args{keystr(path[1:])}"
    return f"{str(path[1])[1:-1]}{keystr(path[2:])}"


def _check(checks: Any, flat: list[Any], paths: list[str]) -> None:
    every, bounds, _ = checks
    known: dict[int, int] = {}
    for (_, shape, kind, dims), x, path in zip(every, flat, paths, strict=True):
        if shape is None:
            if isinstance(kind, (int, float, str)) and (type(x) is not type(kind) or not (x == kind or x != x and kind != kind)):
                raise RuntimeError(f"Expected input at {path} to be equal to {kind}, but got {x}")
            continue
        if not isinstance(x, torch.Tensor):
            raise RuntimeError(f"Expected input at {path} to be a tensor, but got {type(x)}")
        if x.dim() != len(shape):
            raise RuntimeError(f"Unexpected number of dimensions in input at {path}.shape (expected {torch.Size([n if n is not None else -1 for n in shape])}, got {x.shape})")
        for d, n in enumerate(shape):
            size = int(x.shape[d])
            if n is not None:
                if size != n:
                    raise RuntimeError(
                        f"Expected input at {path}.shape[{d}] to be equal to {n}, but got {size}. "
                        "If you meant for this dimension to be dynamic, please re-export and specify dynamic_shapes (e.g. with Dim.DYNAMIC)"
                    )
                continue
            which, shift, times = dims[d]
            low, high = bounds[which]
            if which in known:
                if known[which] * times + shift != size:
                    raise RuntimeError(f"Expected input at {path}.shape[{d}] to be equal to {known[which] * times + shift}, but got {size}")
                continue
            known[which], rest = divmod(size - shift, times)
            if rest:
                raise RuntimeError(f"Expected input {path}.shape[{d}] = {size} to be of the form {times}*n + {shift}, where n is an integer")
            if low > 2 and known[which] < low:
                raise RuntimeError(f"Expected input at {path}.shape[{d}] to be >= {low * times + shift}, but got {size}")
            if known[which] > high:
                raise RuntimeError(f"Expected input at {path}.shape[{d}] to be <= {high * times + shift}, but got {size}")


def unflatten(module: ExportedProgram, flat_args_adapter: FlatArgsAdapter | None = None) -> UnflattenedModule:
    """The program as a hierarchy of modules with the names that they had, each of which runs its part of the graph. A module may be put in the place of one whose signature was kept
    (``export(..., preserve_module_call_signature=("name",))``); the others take and give what their parts of the graph do."""
    return UnflattenedModule(module, flat_args_adapter)
