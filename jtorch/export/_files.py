"""``torch.export.save`` and ``load``: a zip of the graph and of torch's own files for the tensors. All of it is read as ``torch.load(weights_only=True)`` reads files."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

from jtorch._public import torch
from jtorch.fx._as_data import function_as_data, function_from_data, graph_as_data, graph_from_data
from jtorch.serialization._allowed import Entry
from jtorch.serialization._load import load_named
from jtorch.serialization._weights_only import Outside
from jtorch.utils._pytree import LeafSpec, TreeSpec
from jtorch.utils._pytree_json import NAMES, SERIALIZED

from . import exported_program, graph_signature
from ._operators import OwnOperator, again
from .exported_program import CallSpec, ExportedProgram, ModuleCallEntry, ModuleCallSignature

__all__ = ["load", "save"]

_VERSION = 3
_PARTS = ("program", "state_dict", "constants", "examples")


def save(ep: ExportedProgram, f: Any, *, extra_files: dict[str, Any] | None = None, opset_version: Any = None, pickle_protocol: int = 2) -> None:
    """Write a program to a path or file (``.pt2`` by custom); ``extra_files``: texts to go with it. TypeError for anything else than an ExportedProgram.

    The file is jtorch's own: PyTorch's readers do not read it. Source: torch.export.save.
    """
    if not isinstance(ep, ExportedProgram):
        raise TypeError(f"The 'ep' parameter must be an instance of 'ExportedProgram', got '{type(ep).__name__}' instead.")
    with zipfile.ZipFile(os.fspath(f) if isinstance(f, (str, os.PathLike)) else f, "w") as z:
        z.writestr("jtorch_export.json", json.dumps({"version": _VERSION}))
        for name, what in zip(_PARTS, (_parts(ep), ep.state_dict, ep.constants, ep.example_inputs), strict=True):
            out = io.BytesIO()
            torch.save(what, out)
            z.writestr(f"{name}.pt", out.getvalue())
        for name, text in (extra_files or {}).items():
            z.writestr(f"extra_files/{name}", text if isinstance(text, bytes) else str(text))


def _parts(ep: ExportedProgram) -> dict[str, Any]:
    return {
        "nodes": graph_as_data(ep.graph, _target), "vals": [n.meta.get("val") for n in ep.graph.nodes], "signature": ep.graph_signature, "ranges": ep.range_constraints,
        "calls": [[e.fqn, _signature(e.signature)] for e in ep.module_call_graph], "stacks": [n.meta.get("nn_module_stack") for n in ep.graph.nodes],
        "in_spec": _spec(ep.call_spec.in_spec), "out_spec": _spec(ep.call_spec.out_spec), "checks": ep._checks, "training": ep._training,
    }  # fmt: skip


def _signature(x: Any) -> Any:
    return None if x is None else [x.inputs, x.outputs, _spec(x.in_spec), _spec(x.out_spec), x.forward_arg_names]


def _signature_of(data: Any) -> Any:
    return None if data is None else ModuleCallSignature(data[0], data[1], _spec_of(data[2]), _spec_of(data[3]), data[4])


def _target(fn: Any) -> Any:
    return {"own": fn.path()} if isinstance(fn, OwnOperator) else function_as_data(fn)


def _called(data: Any) -> Callable[..., Any]:
    if type(data) is dict and list(data) == ["own"]:
        return again(*data["own"])
    return function_from_data(data)


def _spec(spec: Any) -> Any:
    """A structure: None for a leaf; the class's name (or itself), what it needs, the children."""
    if spec is None or spec.is_leaf():
        return None if spec is not None else {}
    known = SERIALIZED.get(spec.type)
    return [known.name if known is not None and known.name is not None else spec.type, spec._context, [_spec(c) for c in spec._children]]


def _spec_of(data: Any) -> Any:
    if data is None:
        return LeafSpec()
    if data == {}:
        return None
    name, context, children = data
    kind = name if isinstance(name, type) else NAMES.get(name)
    if kind is None or (kind is namedtuple and not isinstance(context, type)):
        raise RuntimeError(f"the file's program has a structure that there is not: {str(name)[:100]}")
    return TreeSpec(kind, context, [_spec_of(c) for c in children])


def _refused(*args: Any) -> Any:
    raise UnpicklingError("the file calls a class that it may only name")


def _class(kind: Any) -> Entry:
    is_enum = isinstance(kind, type(graph_signature.InputKind))
    return Entry(kind, Outside((lambda value: kind(value)) if is_enum else _refused))


_CLASSES: dict[str, Entry] = {
    f"torch.export.{module.__name__.rpartition('.')[2]}.{name}": _class(kind)
    for module, names in (
        (exported_program, ("CallSpec", "ValueRange")),
        (graph_signature, tuple(name for name, x in vars(graph_signature).items() if isinstance(x, type) and x.__module__.endswith("export.graph_signature"))),
    )
    for name in names
    for kind in (getattr(module, name),)
}  # fmt: skip
_CLASSES.update({f"builtins.{kind.__name__}": Entry(kind, None) for kind in (bool, int, float, complex, str)})  # what a value that is no tensor is


def _opened(f: Any) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(os.fspath(f) if isinstance(f, (str, os.PathLike)) else f)
    except (zipfile.BadZipFile, ValueError, IndexError, struct.error, UnicodeDecodeError, NotImplementedError) as error:
        raise RuntimeError(f"the file is no archive ({error})") from None


def _record(z: zipfile.ZipFile, name: str) -> bytes:
    """One record. RuntimeError for one that is not there, or is packed (:func:`save` packs nothing)."""
    try:
        info = z.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise zipfile.BadZipFile("it is packed")
        return z.read(info)
    except (KeyError, zipfile.BadZipFile, ValueError, IndexError, OSError, struct.error, EOFError, NotImplementedError) as error:
        raise RuntimeError(f"the archive has no {name} ({error})") from None


def load(f: Any, *, extra_files: dict[str, Any] | None = None, expected_opset_version: Any = None) -> ExportedProgram:
    """Read what :func:`save` wrote. ``extra_files``: its keys get their texts. RuntimeError for other files, PyTorch's own among them, and UnpicklingError for a file that names what no program
    needs: of classes of one's own among the examples, ``torch.serialization.add_safe_globals`` tells it. Nothing of the file runs. Source: torch.export.load."""
    with _opened(f) as z:
        if "jtorch_export.json" not in z.namelist():
            raise RuntimeError("this file was not written by jtorch.export.save: PyTorch's archives of exported programs are not read")
        if (version := json.loads(_record(z, "jtorch_export.json")).get("version")) != _VERSION:
            raise RuntimeError(f"this file was written by another version of jtorch.export.save ({str(version)[:20]}; this one reads {_VERSION}): export the module again")
        read = {name: load_named(io.BytesIO(_record(z, f"{name}.pt")), _CLASSES) for name in _PARTS}
        for name in extra_files or ():
            extra_files[name] = _record(z, f"extra_files/{name}").decode()  # type: ignore[index]
    try:
        return _made(read)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, AssertionError) as error:
        raise RuntimeError(f"the file's program is malformed ({type(error).__name__}: {str(error)[:200]})") from error


def _made(read: dict[str, Any]) -> ExportedProgram:
    parts = read["program"]
    graph, nodes = graph_from_data(parts["nodes"], _called)
    for name, node in nodes.items():
        if node.op == "placeholder":
            exported_program.named(node, name)
    for node, val in zip(nodes.values(), parts["vals"], strict=True):
        if val is not None:
            node.meta["val"] = val
    for node, stack in zip(nodes.values(), parts["stacks"], strict=True):
        if stack is not None:
            node.meta["nn_module_stack"] = stack
    made = ExportedProgram(
        None, graph, parts["signature"], read["state_dict"], parts["ranges"], [ModuleCallEntry(fqn, _signature_of(x)) for fqn, x in parts["calls"]], read["examples"], read["constants"],
        call_spec=CallSpec(_spec_of(parts["in_spec"]), _spec_of(parts["out_spec"])), checks=parts["checks"],
    )  # fmt: skip
    made._training = parts["training"]
    return made
