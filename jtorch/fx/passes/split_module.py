"""Cutting a module into several by a rule for its nodes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from jtorch.nn.modules.module import Module

from .._lazy_graph_module import _make_graph_module
from ..graph import Graph
from ..graph_module import GraphModule
from ..node import Node, map_arg
from ..proxy import Proxy

__all__ = ["Partition", "split_module"]


class Partition:
    """A part of the graph: its nodes, what goes in and out, and the parts it depends on."""

    def __init__(self, name: str) -> None:
        self.name, self.submod_name = name, f"submod_{name}"
        self.node_names: list[str] = []
        self.inputs: dict[str, None] = {}
        self.outputs: dict[str, None] = {}
        self.dependencies: dict[str, None] = {}
        self.dependents: dict[str, None] = {}
        self.graph = Graph()
        self.environment: dict[Node, Node] = {}
        self.targets: dict[str, Any] = {}

    def __repr__(self) -> str:
        return (
            f"name: {self.name},\n nodes: {self.node_names},\n inputs: {self.inputs},\n outputs: {self.outputs},\n "
            f"partitions depended on: {self.dependencies},\n partition dependents: {self.dependents}"
        )


def _get_attr_from_qualname(mod: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        if not hasattr(mod, part):
            raise AttributeError(f"Node target {qualname} not found!")
        mod = getattr(mod, part)
    return mod


class _Splitter:
    """The work of :func:`split_module`, in steps."""

    def __init__(self, m: GraphModule, split_callback: Callable[[Node], Any], affix: str | None) -> None:
        self.m = m
        self.parts: dict[str, Partition] = {}
        self.nodes: dict[str, Node] = {n.name: n for n in m.graph.nodes}
        self.part_of: dict[Node, str] = {}
        for node in m.graph.nodes:
            if node.op in ("placeholder", "get_attr", "output"):
                continue
            name = str(split_callback(node))
            if affix is not None:
                name = f"{affix}_{name}"
            part = self.parts.setdefault(name, Partition(name))
            part.node_names.append(node.name)
            self.part_of[node] = node._fx_partition = name  # type: ignore[attr-defined]

    def connect(self) -> None:
        """Note which values cross from one part to another."""
        for node in self.m.graph.nodes:
            if node.op in ("placeholder", "get_attr"):
                continue
            used = None if node.op == "output" else self.part_of[node]
            for value in node.all_input_nodes:
                defined = self.part_of.get(value)
                if defined == used:
                    continue
                if defined is not None:
                    self.parts[defined].outputs.setdefault(value.name)
                    if used is not None:
                        self.parts[defined].dependents.setdefault(used)
                        self.parts[used].dependencies.setdefault(defined)
                if used is not None:
                    self.parts[used].inputs.setdefault(value.name)

    def order(self) -> list[str]:
        """The parts after those they depend on. RuntimeError for a circle."""
        waiting = {name: dict(part.dependencies) for name, part in self.parts.items()}
        ready = [name for name, needs in waiting.items() if not needs]
        out = []
        while ready:
            name = ready.pop()
            out.append(name)
            for dependent in self.parts[name].dependents:
                waiting[dependent].pop(name)
                if not waiting[dependent]:
                    ready.append(dependent)
        if len(out) != len(self.parts):
            raise RuntimeError("cycle exists between partitions!")
        return out

    def inputs_of(self, part: Partition, keep_names: bool) -> None:
        """The inputs of a part's own graph; modules that it only names come with it."""
        is_module = lambda n: n.op == "get_attr" and isinstance(_get_attr_from_qualname(self.m, n.target), Module)
        given = [self.nodes[name] for name in part.inputs]
        part.inputs = {}
        for node in [*(n for n in given if not is_module(n)), *(n for n in given if is_module(n))]:
            if is_module(node):
                made = part.graph.get_attr(node.target)
                part.targets[node.target] = _get_attr_from_qualname(self.m, node.target)
            else:
                made = part.graph.placeholder(node.name if keep_names else f"arg_{len(part.inputs)}", type_expr=node.type)
                part.inputs[node.name] = None
            made.meta = node.meta.copy()
            part.environment[node] = made

    def fill(self, qualname_map: dict[str, str] | None, keep_node_names: bool) -> None:
        """Copy each node into its part's graph."""
        for node, name in self.part_of.items():
            part = self.parts[name]
            target = node.target
            if node.op in ("call_module", "get_attr"):
                target = node.target.replace(".", "_")
                part.targets[target] = _get_attr_from_qualname(self.m, node.target)
                if qualname_map is not None:
                    qualname_map[f"{part.submod_name}.{target}"] = node.target
            made = part.graph.create_node(
                node.op, target, map_arg(node.args, part.environment.__getitem__), map_arg(node.kwargs, part.environment.__getitem__),
                node.name if keep_node_names else None, node.type,
            )  # fmt: skip
            made.meta = node.meta.copy()
            part.environment[node] = made

    def assemble(self, names: list[str], in_order: bool, keep_node_names: bool, tuple_return: bool) -> GraphModule:
        """The module that calls the parts."""
        graph = Graph()
        env: dict[str, Node] = {}
        attrs: dict[str, Any] = {}

        def base(node: Node) -> None:
            if node.op == "placeholder":
                default = node.args[0] if node.args else inspect.Signature.empty
                made = graph.placeholder(node.name if keep_node_names else node.target, type_expr=node.type, default_value=default)
            elif node.op == "get_attr":
                made = graph.get_attr(node.target)
                attrs[node.target] = _get_attr_from_qualname(self.m, node.target)
            else:
                return
            made.meta = node.meta.copy()
            env[node.name] = made

        for node in self.m.graph.nodes:
            if node.op == "placeholder" or not in_order:
                base(node)
        for name in names:
            part = self.parts[name]
            for needed in part.inputs if in_order else ():  # attributes come just before the part that takes them
                if needed not in env:
                    base(self.nodes[needed])
            outs = tuple(part.environment[self.nodes[n]] for n in part.outputs)
            single = len(outs) == 1 and not tuple_return
            part.graph.output(outs[0] if single else outs)
            attrs[part.submod_name] = _make_graph_module(part.targets, part.graph)
            call = graph.call_module(part.submod_name, tuple(env[n] for n in part.inputs))
            if single:
                env[next(iter(part.outputs))] = call
            elif outs:
                proxy = Proxy(call)
                for i, n in enumerate(part.outputs):
                    env[n] = proxy[i].node  # type: ignore[index]
        for node in self.m.graph.nodes:
            if node.op == "get_attr" and in_order and node.name not in env and any(u.op == "output" for u in node.users):
                base(node)
        output = self.m.graph.output_node()
        graph.output(map_arg(output.args[0], lambda n: env[n.name]))
        made_module = _make_graph_module(attrs, graph)
        made_module.meta["partition_names"] = {p.submod_name for p in self.parts.values()}
        return made_module


def split_module(
    m: GraphModule, root_m: Module, split_callback: Callable[[Node], Any], qualname_map: dict[str, str] | None = None, keep_original_order: bool | None = False,
    keep_original_node_name: bool | None = False, keep_original_input_name: bool = True, *, partition_affix: str | None = None, tuple_return: bool = False,
) -> GraphModule:  # fmt: skip
    """A module of modules ``submod_<part>``, one for each value of ``split_callback``; ``qualname_map`` is told new paths and old ones.

    RuntimeError where parts would need each other.
    """
    work = _Splitter(m, split_callback, partition_affix)
    work.connect()
    order = work.order()
    for name in order:
        work.inputs_of(work.parts[name], keep_original_input_name)
    work.fill(qualname_map, bool(keep_original_node_name))
    if keep_original_order:
        order = list(work.parts)
    return work.assemble(order, bool(keep_original_order), bool(keep_original_node_name), tuple_return)
