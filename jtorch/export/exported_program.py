"""``torch.export.export`` and what it gives."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import operator
import textwrap
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from jtorch import compiler, ops
from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.families.exporting import Made, Solved
from jtorch._engine.families.outline import dims_of
from jtorch._engine.recording.trace import SCALAR, force
from jtorch._engine.values.symbols import NotKnown
from jtorch._engine.values.values import Value
from jtorch._public import torch
from jtorch.fx.graph import Graph
from jtorch.fx.graph_module import GraphModule
from jtorch.fx.node import Node
from jtorch.utils._pytree import tree_flatten

from ._calls import Call, followed
from ._operators import call_for, filled, is_size
from ._running import module_of, named
from .decomp_utils import CustomDecompTable
from .dynamic_shapes import MOST, AdditionalInputs, UserError, bound, leaf_names
from .graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    SymIntArgument,
    TensorArgument,
)
from .samples import Recorded, Sizes, recorded, sizes_of

__all__ = ["CallSpec", "ExportedProgram", "ModuleCallEntry", "ModuleCallSignature", "ValueRange", "default_decompositions", "export"]

Module = torch.nn.Module


class CallSpec(NamedTuple):
    """The structures of the arguments, ``(args, kwargs)``, and of the result."""

    in_spec: Any
    out_spec: Any


class ValueRange(NamedTuple):
    """What a size may be, both ends included."""

    lower: int
    upper: Any

    def __repr__(self) -> str:
        return f"VR[{self.lower}, {'int_oo' if self.upper >= MOST else self.upper}]"


@dataclasses.dataclass
class ModuleCallSignature:
    """How a module was called: which values of the graph went in and came out, and the structures of the arguments and of the result."""

    inputs: list[Any]
    outputs: list[Any]
    in_spec: Any
    out_spec: Any
    forward_arg_names: list[str] | None = None

    def replace_all_uses_with(self, original_node: Any, new_node: Any) -> None:
        """Another node in a value's place."""
        for x in (*self.inputs, *self.outputs):
            if x.name == original_node.name:
                x.name = new_node.name


@dataclasses.dataclass
class ModuleCallEntry:
    """A module that was called, by its name."""

    fqn: str
    signature: ModuleCallSignature | None = None


def default_decompositions() -> CustomDecompTable:
    """What :meth:`ExportedProgram.run_decompositions` replaces of itself: nothing here (operators are functions of JAX, not of smaller operators). Entries may be added and taken away."""
    return CustomDecompTable()


class ExportedProgram:
    """A module's call as a graph over ``torch.ops.aten``, whose inputs are its parameters and buffers, then the arguments. :func:`export` makes it."""

    def __init__(
        self, root: Any, graph: Graph, graph_signature: ExportGraphSignature, state_dict: dict[str, Any], range_constraints: dict[Any, Any],
        module_call_graph: list[Any], example_inputs: Any = None, constants: dict[str, Any] | None = None, *, call_spec: Any = None, checks: Any = (), verifiers: Any = None,
    ) -> None:  # fmt: skip
        graph._codegen = type(Graph()._codegen)()
        self.graph_module = GraphModule(root if isinstance(root, Module) else Module(), graph, "GraphModule")
        self.graph_signature, self.range_constraints, self.module_call_graph = graph_signature, range_constraints, module_call_graph
        self._state_dict, self.example_inputs, self._constants = state_dict, example_inputs, constants or {}
        self.call_spec, self._checks = call_spec, list(checks)
        self._training = True

    @property
    def graph(self) -> Graph:
        return self.graph_module.graph  # type: ignore[no-any-return]

    @property
    def state_dict(self) -> dict[str, Any]:
        return self._state_dict

    @property
    def constants(self) -> dict[str, Any]:
        return self._constants

    tensor_constants = constants

    @property
    def dialect(self) -> str:
        return "TRAINING" if self._training else "ATEN"

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Of the module that was exported, by name."""
        for name in self.graph_signature.parameters:
            yield name, self._state_dict[name]

    def parameters(self) -> Iterator[Any]:
        """Those of the module that was exported."""
        for _, p in self.named_parameters():
            yield p

    def named_buffers(self) -> Iterator[tuple[str, Any]]:
        """Of the module that was exported, by name."""
        for name in self.graph_signature.buffers:
            yield name, (self._constants if name in self.graph_signature.non_persistent_buffers else self._state_dict)[name]

    def buffers(self) -> Iterator[Any]:
        """Those of the module that was exported."""
        for _, b in self.named_buffers():
            yield b

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Unable to call ExportedProgram directly. You should use `exported_program.module()` instead.")

    def validate(self) -> None:
        """RuntimeError if the graph is not well-formed."""
        self.graph.lint()

    def run_decompositions(self, decomp_table: Any = None, decompose_custom_triton_ops: bool = False) -> ExportedProgram:
        """The same program with operators of ``decomp_table`` (overload -> function of the same arguments) replaced by what the function does. Without a table nothing is taken apart: operators are
        functions of JAX here, not of smaller operators."""
        made = copy.copy(self)
        made._training = False
        if decomp_table:
            made.graph_module = GraphModule(Module(), _decomposed(self.graph, dict(decomp_table)), "GraphModule")
            out = next(n for n in made.graph.nodes if n.op == "output")
            specs = [OutputSpec(s.kind, TensorArgument(a.name) if isinstance(a, Node) else s.arg, s.target) for s, a in zip(self.graph_signature.output_specs, out.args[0], strict=True)]
            made.graph_signature = ExportGraphSignature(list(self.graph_signature.input_specs), specs)
        return made

    def module(self, check_guards: bool = True) -> GraphModule:
        """A module that takes the arguments and runs the graph, with these parameters and buffers in their places. AssertionError where sizes or types are not those that were exported."""
        return module_of(self, check_guards)

    def __str__(self) -> str:
        code = textwrap.indent(self.graph_module.print_readable(print_output=False).rstrip(), "    ")
        return f"ExportedProgram:\n{code}\n    \nGraph signature: {str(self.graph_signature).replace(chr(10), chr(10) + '    ')}\nRange constraints: {self.range_constraints}\n"

    __repr__ = __str__


def export(
    mod: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, dynamic_shapes: Any = None, strict: bool = False,
    preserve_module_call_signature: tuple[str, ...] = (), prefer_deferred_runtime_asserts_over_guards: bool = False,
) -> ExportedProgram:  # fmt: skip
    """A module's call on arguments like these as an :class:`ExportedProgram`; nothing is computed. ``dynamic_shapes``: for each argument, which of its sizes may change.

    ValueError if ``mod`` is no module; torch._dynamo.exc.UserError, a RuntimeError, where sizes do not fit or the module does something else for other sizes; RuntimeError where it looks at a value.
    Source: https://docs.pytorch.org/docs/stable/export.html
    """
    if not isinstance(mod, Module):
        raise ValueError(f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(mod)}.")
    if not isinstance(args, (tuple, list)):
        raise UserError(f"Expecting `args` to be a tuple of example positional inputs, got {type(args)}")
    args, kwargs = tuple(args), dict(kwargs or {})
    sizes = sizes_of(mod, args, kwargs, dynamic_shapes)
    try:
        with compiler._under_export(), followed(mod, tuple(preserve_module_call_signature)) as calls:
            found = recorded(mod, args, kwargs, sizes, lambda: len(calls))
        outs = [[*r.values, *[new for _, _, new in r.changed]] for r in found.regions]
        solved = found.solved(outs)
        results = found.results(solved)
    except NotKnown as error:
        raise _data_dependent(error) from error
    except ValueError as error:
        raise UserError(f"Constraints violated ({', '.join(sizes.names)})! {error}") from error
    program = _Writer(mod, args, kwargs, sizes, found, solved, results, calls[: found.calls]).written()
    if isinstance(dynamic_shapes, AdditionalInputs):
        dynamic_shapes.verify(program)
    return program


def _data_dependent(error: Exception) -> RuntimeError:
    return GuardOnDataDependentSymNode(f"Could not guard on data-dependent expression: {error}")


class GuardOnDataDependentSymNode(RuntimeError):
    """The module looks at a value."""

    __module__ = "torch.fx.experimental.symbolic_shapes"


class _Writer:
    """From a call that was recorded to its graph."""

    def __init__(self, mod: Any, args: Any, kwargs: Any, sizes: Sizes, found: Recorded, solved: Solved, results: list[Any], calls: list[Call]) -> None:
        self.calls = calls
        self.mod, self.args, self.kwargs, self.sizes, self.found, self.solved, self.results = mod, args, kwargs, sizes, found, solved, results
        self.graph = Graph()
        self.node_of: dict[int, Node] = {}  # by the id of a value
        self.size_nodes: dict[str, Any] = {}
        self.where: list[Any] = []  # of each name, an input's dim that tells it: (node, dim, shift, factor)
        self.inputs: list[InputSpec] = []
        self.constants: dict[str, Any] = {}

    def written(self) -> ExportedProgram:
        region, part = self.found.regions[0], self.solved.part
        self._state(part)
        user = self._arguments(region)
        vals: list[Any] = []
        wanted = {*part.outs, *[p for _, *refs in part.nodes for p in refs]}
        given = [self._input(v) for v in part.values]

        def at(p: int) -> Any:
            return vals[p] if p >= 0 else given[-1 - p] if p > SCALAR else self._number(self.solved.numbers[SCALAR - p])

        for (entry, *refs), pattern, number in zip(part.nodes, self.solved.patterns, part.which, strict=True):
            before = len(self.graph.nodes)
            n = len(pattern) - len(dims_of(entry.inputs))
            rest = iter(pattern)
            key = None if entry.call.op is None else _with(entry.call.key, rest)
            first = len(vals)
            last = max([p - first for p in wanted if first <= p < first + len(entry.outs)], default=0)
            target, args, kwargs, alone = call_for(entry.call, entry.inputs, key, pattern[:n], entry.out is not None, last + 1)
            there = list(map(at, refs))
            packet = getattr(target, "_overloadpacket", target)
            node = self.graph.create_node("call_function", target, tuple(filled(args, there.__getitem__, self._size)), filled(kwargs, there.__getitem__, self._size), packet.__name__.rpartition(".")[2])
            if entry.out is not None or alone:
                node.meta["val"] = _like(entry.outs[0])
                vals += [node, *[None] * (len(entry.outs) - 1)]
            else:
                node.meta["val"] = tuple(map(_like, entry.outs))
                for i, a in enumerate(entry.outs):
                    got = self.graph.call_function(operator.getitem, (node, i))
                    got.meta["val"] = _like(a)
                    vals.append(got)
            stack = self._stack(number)
            for fresh in islice(reversed(self.graph.nodes), len(self.graph.nodes) - before):
                fresh.meta["nn_module_stack"] = stack
        results = [_original(at(p)) for p in part.outs]
        n = len(region.values)
        leaves = iter(results[:n])
        specs: list[OutputSpec] = []
        names = {id(t._s): name for name, t in self.mod.state_dict(keep_vars=True).items()} | {id(b._s): name for name, b in self.mod.named_buffers()}
        mutated = []
        for (s, _, _), node in zip(region.changed, results[n:], strict=True):
            if id(s) not in names:
                raise UserError("the module writes to a tensor that is none of its buffers")
            mutated.append(node)
            specs.append(OutputSpec(OutputKind.BUFFER_MUTATION, TensorArgument(node.name), names[id(s)]))
        outs: list[Any] = []
        for i, x in enumerate(map(self._size, self.results)):
            if i in region.tensors:
                outs.append(next(leaves))
                specs.append(OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(outs[-1].name), None))
            elif isinstance(x, Node):
                outs.append(x)
                specs.append(OutputSpec(OutputKind.USER_OUTPUT, SymIntArgument(x.name), None))
            else:
                outs.append(x)
                specs.append(OutputSpec(OutputKind.USER_OUTPUT, ConstantArgument("", x), None))
        self.graph.output((*mutated, *outs))
        for node in reversed(list(self.graph.nodes)):
            if node.op == "call_function" and not node.users:
                self.graph.erase_node(node)
        state = self.mod.state_dict(keep_vars=True)
        ranges = {name: ValueRange(*b) for name, b in zip(self.sizes.names, self.sizes.bounds, strict=True)}
        return ExportedProgram(
            Module(), self.graph, ExportGraphSignature([*self.inputs, *user], specs), {s.target: state[s.target] for s in self.inputs if s.target in state} | state, ranges, self._call_graph(region, vals), (self.args, self.kwargs), self.constants,
            call_spec=CallSpec(self.found.spec, region.spec), checks=self._checks(region),
        )  # fmt: skip

    def _stack(self, number: int) -> dict[str, tuple[str, str]]:
        """The modules that were being called when a node was recorded."""
        root = type(self.mod)
        return {"L__self__": ("", f"{root.__module__}.{root.__qualname__}")} | {f"L__self__{c.name}": (c.fqn, c.kind) for c in self.calls if c.start <= number < c.end}

    def _call_graph(self, region: Any, vals: list[Any]) -> list[ModuleCallEntry]:
        """The module, then those below it, with what went in and out where that is to be kept."""
        part, trace, new = self.solved.part, region.body.trace, {}
        at = old = 0
        chosen = set(part.which)
        for number, (entry, *_) in enumerate(trace.nodes):
            if number in chosen:
                new.update({old + i: at + i for i in range(len(entry.outs))})
                at += len(entry.outs)
            old += len(entry.outs)

        def argument(x: Any) -> Any:
            if not isinstance(x, Value):
                return ConstantArgument("", x)
            node = vals[new[x.pos]] if x.trace is trace and x.pos in new else self.node_of.get(id(x))
            return ConstantArgument("", None) if node is None else TensorArgument(node.name)

        kept = {}
        for c in self.calls:
            if c.given is not None and c.result is not None:
                kept[c.name] = ModuleCallSignature(list(map(argument, c.given[0])), list(map(argument, c.result[0])), c.given[1], c.result[1])
        names = list(inspect.signature(self.mod.forward).bind(*self.args, **self.kwargs).arguments)
        out = [ModuleCallEntry("", ModuleCallSignature([], [], self.found.spec, region.spec, names))]
        out += [ModuleCallEntry(fqn, kept.pop(fqn, None)) for fqn, _ in self.mod.named_modules(remove_duplicate=False) if fqn]
        return out + [ModuleCallEntry(name, signature) for name, signature in kept.items()]

    def _placeholder(self, name: str, like: Any) -> Node:
        node = self.graph.placeholder(name)
        named(node, name)
        node.meta["val"] = like
        return node

    def _state(self, part: Any) -> None:
        for prefix, kind, members in (("p", InputKind.PARAMETER, self.mod.named_parameters()), ("b", InputKind.BUFFER, self.mod.named_buffers())):
            persistent = set(self.mod.state_dict(keep_vars=True))
            for name, t in members:
                node = self._placeholder(f"{prefix}_{name.replace('.', '_')}", t.detach().to("meta"))
                self.node_of[id(read(t))] = node
                self.inputs.append(InputSpec(kind, TensorArgument(node.name), name, None if kind is InputKind.PARAMETER else name in persistent))
                if kind is InputKind.BUFFER and name not in persistent:
                    self.constants[name] = t
        known = {id(t._s.value) for t in self.found.regions[0].inputs}
        for v in part.values:
            if id(v) not in self.node_of and id(v) not in known and id(v) not in self.solved.made:
                name = f"lifted_tensor_{len(self.constants)}"
                t = new_tensor(v)
                force(v)
                self.constants[name] = t
                node = self._placeholder(f"c_{name}", t.to("meta"))
                self.node_of[id(v)] = node
                self.inputs.append(InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(node.name), name))

    def _arguments(self, region: Any) -> list[InputSpec]:
        names = leaf_names(bound(self.mod, self.args, self.kwargs))
        flat = tree_flatten((self.args, self.kwargs))[0]
        tensors = iter(zip(region.inputs, self.sizes.leaves, [x for x in flat if isinstance(x, torch.Tensor)], strict=True))
        specs = []
        self.where = [None] * len(self.sizes.names)
        for name, x in zip(names, flat, strict=True):
            node = self._placeholder(name, None)
            if isinstance(x, torch.Tensor):
                t, dims, example = next(tensors)
                node.meta["val"] = example.detach().to("meta")
                self.node_of[id(t._s.value)] = node
                for d, (which, of) in dims.items():
                    if self.where[which] is None or of(3) == 3 and of(4) == 4:
                        self.where[which] = (node, d, of(0), of(1) - of(0))
                specs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None))
            else:
                specs.append(InputSpec(InputKind.USER_INPUT, ConstantArgument(node.name, x), None))
        return specs

    def _input(self, v: Any) -> Any:
        made = self.solved.made.get(id(v))
        return self.node_of[id(v)] if made is None else self._made(made)

    def _made(self, how: Made) -> Node:
        kind = {"dtype": torch.from_numpy(_empty(how.dtype)).dtype}
        shape = [self._size(d) for d in how.dims]
        start = self._number(how.start)
        if not any(x.__class__ is tuple or x for x in how.steps):
            return self.graph.call_function(ops.aten.full.default, (shape, start), kind)
        out: Any = None
        for k, x in enumerate(how.steps):
            if x.__class__ is tuple or x:
                step = self._number(x)
                one = self.graph.call_function(ops.aten.arange.default, (shape[k],), kind)
                one = one if step == 1 else self.graph.call_function(ops.aten.mul.Tensor, (one, step))
                one = one if len(shape) == 1 else self.graph.call_function(ops.aten.reshape.default, (one, [-1 if i == k else 1 for i in range(len(shape))]))
                out = one if out is None else self.graph.call_function(ops.aten.add.Tensor, (out, one))
        out = out if start.__class__ in (int, float) and start == 0 else self.graph.call_function(ops.aten.add.Tensor, (out, start))
        return out if sum(bool(x) for x in how.steps) == len(shape) else self.graph.call_function(ops.aten.expand.default, (out, shape))

    def _number(self, x: Any) -> Any:
        if x.__class__ is not tuple:
            return x
        how, d = x
        size = self._size(d)
        if how == "int":
            return size
        return self.graph.call_function(operator.truediv, (1.0, size)) if how == "inverse" else self.graph.call_function(operator.pow, (size, 0.5)) if how == "root" else self.graph.call_function(operator.mul, (size, 1.0))

    def _size(self, d: Any) -> Any:
        """The node of a size."""
        if not is_size(d) and d.__class__ is not tuple:
            return d
        if d.__class__ is tuple:  # where a slice ends
            start, length, step = d
            length = length if step == 1 else self._call(operator.mul, length, step)
            return self._call(operator.add, start, length) if not (start.__class__ is int and start == 0) else length
        text = str(d)
        found = self.size_nodes.get(text)
        if found is None:
            found = self.size_nodes[text] = self._of(ast.parse(text.replace("^", "**"), mode="eval").body)
        return found

    def _call(self, fn: Any, *args: Any) -> Any:
        return self.graph.call_function(fn, args) if any(isinstance(a, Node) for a in args) else fn(*args)

    def _of(self, x: Any) -> Any:
        if isinstance(x, ast.Constant):
            return x.value
        if isinstance(x, ast.Name):
            found = self.size_nodes.get(x.id)
            if found is None:
                node, d, shift, times = self.where[int(x.id[1:])]
                found = self.graph.call_function(ops.aten.sym_size.int, (node, d))
                found.meta["val"] = self.sizes.example[int(x.id[1:])] * times + shift
                found = found if not shift else self._call(operator.sub, found, shift)
                found = self.size_nodes[x.id] = found if times == 1 else self._call(operator.floordiv, found, times)
            return found
        if isinstance(x, ast.UnaryOp):
            return self._call(operator.neg, self._of(x.operand))
        if isinstance(x, ast.BinOp):
            fn: Any = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Pow: operator.pow}[type(x.op)]  # type: ignore[index]
            return self._call(fn, self._of(x.left), self._of(x.right))
        named: dict[str, Any] = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max, "min": min}
        return self._call(named[x.func.id], *map(self._of, x.args))

    def _checks(self, region: Any) -> list[Any]:
        """What is checked of each tensor argument: its name, shape (None where it changes), type, and for each changing dim which size it is of, and bounds."""
        names = leaf_names(bound(self.mod, self.args, self.kwargs))
        flat = tree_flatten((self.args, self.kwargs))[0]
        out: list[Any] = []
        dims = iter(self.sizes.leaves)
        for name, x in zip(names, flat, strict=True):
            if isinstance(x, torch.Tensor):
                mine = next(dims)
                out.append((name, [None if d in mine else n for d, n in enumerate(x.shape)], x.dtype, {d: (which, of(0), of(1) - of(0)) for d, (which, of) in mine.items()}))
            else:
                out.append((name, None, x, {}))
        return [out, [tuple(b) for b in self.sizes.bounds], self.sizes.names]


def _original(node: Any) -> Any:
    """What a result was before it was copied (so that none would be an input); the copy, of an input."""
    source = node.args[0] if node.target is ops.aten.clone.default else None
    return source if source is not None and source.op == "call_function" else node


def _empty(dtype: Any) -> Any:
    import numpy as np

    return np.zeros((), dtype)


def _with(key: Any, sizes: Iterator[Any]) -> Any:
    def one(x: Any) -> Any:
        if x.__class__ is int:
            return next(sizes)
        return tuple(map(one, x)) if x.__class__ is tuple else x

    return tuple(map(one, key))


def _like(a: Any) -> Any:
    return torch.empty(a.shape, dtype=a.dtype, device="meta")


def _decomposed(graph: Graph, table: dict[Any, Any]) -> Graph:
    """A copy of the graph in which what the table has is done by its functions."""
    from jtorch.fx.proxy import GraphAppendingTracer, Proxy

    new, env = Graph(), {}
    tracer = GraphAppendingTracer(new)
    for node in graph.nodes:
        fn = table.get(node.target) if node.op == "call_function" else None
        if fn is None:
            env[node] = new.node_copy(node, env.__getitem__)
            if node.op == "placeholder":
                named(env[node], node.name)
            continue
        wrap: Any = lambda x: {k: wrap(v) for k, v in x.items()} if isinstance(x, dict) else type(x)(map(wrap, x)) if isinstance(x, (list, tuple)) else Proxy(env[x], tracer) if isinstance(x, Node) else x
        out = fn(*wrap(list(node.args)), **wrap(dict(node.kwargs)))
        env[node] = out.node
        out.node.meta.update(node.meta)
    new.lint()
    return new
