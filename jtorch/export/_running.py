"""An exported program as a module: state in its place, arguments checked."""

from __future__ import annotations

from typing import Any

from jtorch import ops
from jtorch._public import torch
from jtorch.fx._codegen import _PyTreeCodeGen, _PyTreeInfo
from jtorch.fx.graph import Graph
from jtorch.fx.graph_module import GraphModule
from jtorch.fx.node import Node
from jtorch.utils._pytree import tree_flatten

from .graph_signature import InputKind

__all__ = ["flattened", "module_of", "named"]

Module = torch.nn.Module


def module_of(program: Any, check: bool) -> GraphModule:
    """The graph with state in its place, called as the module was."""
    graph, holder, signature = Graph(), Module(), program.graph_signature
    for name, t in (*program.named_parameters(), *program.named_buffers()):
        *path, leaf = name.split(".")
        at = holder
        for part in path:
            if part not in at._modules:
                at.add_module(part, Module())
            at = at._modules[part]
        at.register_parameter(leaf, t) if isinstance(t, torch.nn.Parameter) else at.register_buffer(leaf, t, persistent=name not in signature.non_persistent_buffers)
    kinds = {s.arg.name: s for s in signature.input_specs}
    for name, t in program.constants.items():
        if name in signature.lifted_tensor_constants:
            holder.register_buffer(name, t, persistent=False)
    env: dict[Node, Any] = {}
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
    users = [n for n in placeholders if kinds[n.name].kind is InputKind.USER_INPUT]
    for n in users:
        env[n] = graph.node_copy(n)
    for n in placeholders:
        if n not in env:
            env[n] = graph.get_attr(kinds[n.name].target)  # type: ignore[arg-type]
    if check:
        holder._guards_fn = _Guards(program._checks, program.call_spec.in_spec)
        graph.call_module("_guards_fn", tuple(env[n] for n in users))
    for n in program.graph.nodes:
        if n.op == "output":
            outs = n.args[0]
            count = len(signature.buffers_to_mutate) + len(signature.parameters_to_mutate)
            for spec, value in zip(signature.output_specs[:count], outs[:count], strict=True):
                new = env[value]
                if spec.target in signature.buffers_to_mutate.values():  # running statistics have no history
                    new = graph.call_function(ops.aten.detach.default, (new,))
                graph.call_function(ops.aten.copy_.default, (graph.get_attr(spec.target), new))  # type: ignore[arg-type]
            graph.output(tuple(env[x] if isinstance(x, Node) else x for x in outs[count:]))
        elif n.op != "placeholder":
            env[n] = graph.node_copy(n, env.__getitem__)
    names = [n.name for n in users]
    spec = program.call_spec
    graph._codegen = _PyTreeCodeGen(_PyTreeInfo(_parameter_names(spec.in_spec, names), spec.in_spec, spec.out_spec))
    made = GraphModule(holder, graph, "GraphModule")
    made.train(True)
    made.register_forward_pre_hook(lambda _, args, kwargs: flattened(args, kwargs, spec.in_spec) and None, with_kwargs=True)

    def refuse(word: str) -> Any:
        def method(self: Any = None, mode: bool = True) -> Any:
            raise NotImplementedError(f"Calling {word}() is not supported yet.")

        return method

    made.__dict__["train"], made.__dict__["eval"] = refuse("train"), refuse("eval")
    return made


def _parameter_names(in_spec: Any, names: list[str]) -> list[str]:
    """One name for each positional argument and keyword."""
    args, kwargs = in_spec.child(0), in_spec.child(1)
    out, at = [], 0
    for child in (*[args.child(i) for i in range(args.num_children)], *[kwargs.child(i) for i in range(kwargs.num_children)]):
        n = child.num_leaves
        out.append(names[at] if n == 1 and child.num_children == 0 else names[at].rsplit("_", 1)[0] if n else f"arg{at}")
        at += n
    return [*out[: args.num_children], *(kwargs.context or [])]


def flattened(args: Any, kwargs: dict[str, Any], in_spec: Any) -> list[Any]:
    """A call's leaves. ValueError where its structure is not the one that was exported."""
    wanted = in_spec.child(1).context or []
    if set(wanted) == set(kwargs):
        kwargs = {k: kwargs[k] for k in wanted}
    flat, spec = tree_flatten((tuple(args), kwargs))
    if spec != in_spec:
        raise ValueError(
            f"Trying to flatten user inputs with exported input tree spec: \n{in_spec}\nbut actually got inputs with tree spec of: \n{spec}.\n"
            "Please check that the inputs have the same number and type of args and kwargs as the ones you used when tracing."
        )
    return flat


def named(node: Node, name: str) -> None:
    """Call a placeholder so, where no other node is: one of Python's own names, as `input`, is a name like any other."""
    if all(n is node or n.name != name for n in node.graph.nodes):
        node.name = node.target = name


class _Guards(Module):
    """Checks that arguments are as those that were exported."""

    def __init__(self, checks: Any, in_spec: Any) -> None:
        super().__init__()
        self.checks, self.in_spec = checks, in_spec

    def check(self, args: Any, kwargs: Any) -> None:
        """Of a call. ValueError where its structure is another."""
        self(*flattened(args, kwargs, self.in_spec))

    def forward(self, *given: Any) -> None:
        every, bounds, names = self.checks
        known: dict[int, int] = {}
        for (name, shape, kind, dims), x in zip(every, given, strict=True):
            if shape is None:
                if x != kind:
                    raise AssertionError(f"Guard failed: {name} == {kind!r}")
                continue
            if not isinstance(x, torch.Tensor) or x.dtype is not kind:
                raise AssertionError(f"Guard failed: {name}.dtype == {kind}")
            if x.dim() != len(shape):
                raise AssertionError(f"Guard failed: {name}.dim() == {len(shape)}")
            for d, n in enumerate(shape):
                size = int(x.shape[d])
                if n is not None:
                    if size != n:
                        raise AssertionError(f"Guard failed: {name}.size()[{d}] == {n}")
                    continue
                which, shift, times = dims[d]
                value, rest = divmod(size - shift, times)
                low, high = bounds[which]
                if value < low or value > high or rest:
                    raise AssertionError(f"Guard failed: {name}.size()[{d}] {f'>= {low}' if value < low else f'<= {high}'}")
                if known.setdefault(which, value) != value:
                    raise AssertionError(f"Guard failed: {name}.size()[{d}] == {names[which]}")

