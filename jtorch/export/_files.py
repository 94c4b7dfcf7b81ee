"""``torch.export.save`` and ``load``: a zip of the graph and of torch's own files for the tensors."""

from __future__ import annotations

import io
import json
import os
import zipfile
from typing import Any

from jtorch._public import torch

from .exported_program import ExportedProgram

__all__ = ["load", "save"]

_VERSION = 1


def save(ep: ExportedProgram, f: Any, *, extra_files: dict[str, Any] | None = None, opset_version: Any = None, pickle_protocol: int = 2) -> None:
    """Write a program to a path or file (``.pt2`` by custom); ``extra_files``: texts to go with it. TypeError for anything else than an ExportedProgram.

    The file is jtorch's own: PyTorch's readers do not read it. Source: torch.export.save.
    """
    if not isinstance(ep, ExportedProgram):
        raise TypeError(f"The 'ep' parameter must be an instance of 'ExportedProgram', got '{type(ep).__name__}' instead.")
    with zipfile.ZipFile(os.fspath(f) if isinstance(f, (str, os.PathLike)) else f, "w") as z:
        z.writestr("jtorch_export.json", json.dumps({"version": _VERSION}))
        for name, what in (("program", _parts(ep)), ("state_dict", ep.state_dict), ("constants", ep.constants), ("examples", ep.example_inputs)):
            out = io.BytesIO()
            torch.save(what, out)
            z.writestr(f"{name}.pt", out.getvalue())
        for name, text in (extra_files or {}).items():
            z.writestr(f"extra_files/{name}", text if isinstance(text, bytes) else str(text))


def _parts(ep: ExportedProgram) -> dict[str, Any]:
    nodes = []
    for n in ep.graph.nodes:
        nodes.append((n.op, n.name, _target(n), _plain(n.args), _plain(n.kwargs), n.meta.get("val")))
    return {
        "nodes": nodes, "signature": ep.graph_signature, "ranges": ep.range_constraints, "calls": ep.module_call_graph, "in_spec": ep.call_spec.in_spec, "out_spec": ep.call_spec.out_spec,
        "checks": ep._checks, "training": ep._training,
    }  # fmt: skip


def _target(n: Any) -> Any:
    if n.op != "call_function":
        return n.target
    name = getattr(n.target, "name", None)
    return ("op", *name().replace("::", ".").split(".")) if callable(name) else ("object", n.target)


def _plain(x: Any) -> Any:
    from jtorch.fx.node import Node

    if isinstance(x, Node):
        return _Ref(x.name)
    if isinstance(x, (list, tuple)):
        return type(x)(map(_plain, x)) if type(x) in (list, tuple) else [*map(_plain, x)]
    return {k: _plain(v) for k, v in x.items()} if isinstance(x, dict) else x


class _Ref:
    """A node by name."""

    def __init__(self, name: str) -> None:
        self.name = name


def load(f: Any, *, extra_files: dict[str, Any] | None = None, expected_opset_version: Any = None) -> ExportedProgram:
    """Read what :func:`save` wrote. ``extra_files``: its keys get their texts. RuntimeError for other files, PyTorch's own among them. Source: torch.export.load."""
    from jtorch import ops
    from jtorch.fx.graph import Graph

    with zipfile.ZipFile(os.fspath(f) if isinstance(f, (str, os.PathLike)) else f) as z:
        if "jtorch_export.json" not in z.namelist():
            raise RuntimeError("this file was not written by jtorch.export.save: PyTorch's archives of exported programs are not read")
        read = {name: torch.load(io.BytesIO(z.read(f"{name}.pt")), weights_only=False) for name in ("program", "state_dict", "constants", "examples")}
        for name in extra_files or ():
            extra_files[name] = z.read(f"extra_files/{name}").decode()  # type: ignore[index]
    parts = read["program"]
    graph, env = Graph(), {}

    def back(x: Any) -> Any:
        if isinstance(x, _Ref):
            return env[x.name]
        if isinstance(x, (list, tuple)):
            return type(x)(map(back, x))
        return {k: back(v) for k, v in x.items()} if isinstance(x, dict) else x

    for op, name, target, args, kwargs, val in parts["nodes"]:
        if op == "call_function":
            if target[0] == "op":
                _, space, packet, *overload = target
                target = getattr(getattr(getattr(ops, space), packet), overload[0] if overload else "default")
            else:
                target = target[1]
        env[name] = node = graph.create_node(op, target, back(args), back(kwargs), name)
        if val is not None:
            node.meta["val"] = val
    from .exported_program import CallSpec

    made = ExportedProgram(
        None, graph, parts["signature"], read["state_dict"], parts["ranges"], parts["calls"], read["examples"], read["constants"],
        call_spec=CallSpec(parts["in_spec"], parts["out_spec"]), checks=parts["checks"],
    )  # fmt: skip
    made._training = parts["training"]
    return made
