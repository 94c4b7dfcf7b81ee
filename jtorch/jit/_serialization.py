"""Files of scripted and traced modules.

jtorch's own: a checkpoint of ``torch.save`` with a mark in it. A traced module's has its programs, as data, and needs nothing else; a scripted one's names its class, as a
pickle does. Archives of TorchScript hold code of another language; their weights can be had.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pickle import UnpicklingError
from typing import Any

from jtorch._errors import not_implemented
from jtorch.fx._as_data import graph_as_data, graph_from_data, is_operator, members_as_data, members_from_data
from jtorch.fx.graph_module import GraphModule
from jtorch.nn.modules.module import Module
from jtorch.serialization import save as _save
from jtorch.serialization._allowed import Entry
from jtorch.serialization._load import load_named, opened
from jtorch.serialization._names import is_torch_name, resolve
from jtorch.serialization._weights_only import Outside

from ._script import RecursiveScriptModule, ScriptFunction, ScriptModule, _Frozen
from ._traced import LoadedModule, TracedModule

__all__ = ["save", "load", "weights_of"]

_MARK = "jtorch.jit"


class _Skeleton(Module):
    """What a traced module is without its class: state and children under its name."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._original_name = getattr(model, "_original_name", None) or type(model).__name__
        self._parameters.update(model._parameters)
        self._buffers.update(model._buffers)
        self._non_persistent_buffers_set = set(model._non_persistent_buffers_set)
        self._modules.update({name: None if child is None else _Skeleton(child) for name, child in model._modules.items()})
        self.training = model.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return not_implemented("calls of parts of a traced module from a file", "the whole module is one program")


def save(m: Any, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
    """Write a scripted or traced module or function to a path or file. TypeError for anything else."""
    body: dict[str, Any] = {_MARK: 1, "extra": {k: v if isinstance(v, bytes) else str(v).encode() for k, v in (_extra_files or {}).items()}}
    if isinstance(m, _Frozen):
        body.update(kind="frozen", inner=_bytes(m.__dict__["_inner"]), preserved=m._preserved)
    elif isinstance(m, TracedModule):
        body.update(kind="traced", model=_Skeleton(m._model), programs={name: _program(p) for name, p in m.__dict__["_programs"].items()})
    elif isinstance(m, RecursiveScriptModule):
        body.update(kind="scripted", model=m._model)
    elif isinstance(m, ScriptModule):
        body.update(kind="own", model=m)
    elif isinstance(m, ScriptFunction):
        body.update(kind="function", name=m.name, program=_program(m._program) if hasattr(m, "_program") else None, fn=None if hasattr(m, "_program") else m._fn)
    else:
        raise TypeError(f"expected a scripted or traced module or function, got {type(m).__name__}")
    _save(body, f)


def _bytes(m: Any) -> bytes:
    buffer = io.BytesIO()
    save(m, buffer)
    return buffer.getvalue()


def load(f: Any, map_location: Any = None, _extra_files: dict[str, Any] | None = None, _restore_shapes: bool = False) -> Any:
    """What :func:`save` wrote. ValueError if there is no such file; NotImplementedError for an archive of TorchScript: :func:`weights_of` reads its weights.

    The file is read as ``torch.load(weights_only=True)`` reads files: nothing of it runs. UnpicklingError for names that it may not have: the class of a scripted module must be imported before, and
    what else of one's own a module holds is allowed by ``torch.serialization.add_safe_globals``.
    """
    if isinstance(f, (str, os.PathLike)):
        if not os.path.exists(f):
            raise ValueError(f"The provided filename {f} does not exist")
        if os.path.isdir(f):
            raise ValueError(f"The provided filename {f} is a directory")
    if _is_torchscript(f):
        not_implemented("torch.jit.load of TorchScript archives", "their code is another language; torch.jit.weights_of(f) gives the state_dict, for the Python module")
    try:
        body = load_named(f, _NAMED, map_location)
    except zipfile.BadZipFile:
        body = None
    if not isinstance(body, dict) or _MARK not in body:
        raise RuntimeError("PytorchStreamReader failed locating file constants.pkl: file not found")
    try:
        return _made(body, map_location, _extra_files or {})
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, AssertionError) as error:
        raise RuntimeError(f"the file's program is malformed ({type(error).__name__}: {str(error)[:200]})") from error


def _made(body: dict[str, Any], map_location: Any, extra: dict[str, Any]) -> Any:
    for name in extra:
        if name in body["extra"]:
            extra[name] = body["extra"][name]
    kind = body["kind"]
    if kind == "frozen":
        return _Frozen(load(io.BytesIO(body["inner"]), map_location), body["preserved"])
    if kind == "traced":
        if not isinstance(body["model"], _Skeleton):
            raise RuntimeError("the file's program has no module")
        return LoadedModule(body["model"], {name: _program_of(p) for name, p in body["programs"].items()})
    if kind in ("scripted", "own"):
        if not isinstance(body["model"], Module):
            raise RuntimeError("the file's program has no module")
        return RecursiveScriptModule(body["model"]) if kind == "scripted" else body["model"]
    program = None if body["program"] is None else _program_of(body["program"])
    made = ScriptFunction(program.forward if program is not None else body["fn"], body["name"])
    if program is not None:
        made._program = program  # type: ignore[attr-defined]
    return made


def _program(p: GraphModule) -> dict[str, Any]:
    return {"nodes": graph_as_data(p.graph), "members": members_as_data(p)}


def _program_of(data: dict[str, Any]) -> GraphModule:
    return GraphModule(members_from_data(data["members"]), graph_from_data(data["nodes"])[0], "Traced")


def _refused(*args: Any) -> Any:
    raise UnpicklingError("the file calls a class of modules: only their state is in such files")


class _Named:
    """What files of modules may name: classes of modules that the program has imported, which are made without a call and given their state, and functions of tensors."""

    def get(self, path: str) -> Entry | None:
        """The entry of a name."""
        if path == f"{_Skeleton.__module__}.{_Skeleton.__qualname__}":
            return Entry(_Skeleton, Outside(_refused))
        found = _imported(path)
        if isinstance(found, type):
            modules = issubclass(found, Module) and not issubclass(found, (GraphModule, RecursiveScriptModule, _Frozen))
            return Entry(found, Outside(_refused)) if modules else None
        return Entry(found, None) if is_operator(found) else None


_NAMED = _Named()


def _imported(path: str) -> Any:
    """What has this path in a module that is there already: nothing is imported for a file."""
    parts = path.split(".")
    if is_torch_name(parts[0]):
        for n in range(len(parts) - 1, 0, -1):
            try:
                return resolve(".".join(parts[:n]), ".".join(parts[n:]))
            except (AttributeError, ImportError):
                continue
        return None
    for n in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:n]))
        if found is not None:
            for part in parts[n:]:
                found = vars(found).get(part) if hasattr(found, "__dict__") else None
            return found
    return None


def _archive(f: Any) -> Any:
    try:
        return zipfile.ZipFile(f)
    except (zipfile.BadZipFile, OSError, AttributeError):
        return None


def _is_torchscript(f: Any) -> bool:
    at = f.tell() if hasattr(f, "tell") else None
    found = _archive(f)
    names = [] if found is None else found.namelist()
    if at is not None:
        f.seek(at)
    return any(name.partition("/")[2] == "constants.pkl" for name in names)


def weights_of(f: Any, map_location: Any = None) -> dict[str, Any]:
    """The state_dict of the module in an archive of TorchScript: path to tensor, parameters and buffers alike. RuntimeError if it is none."""
    from ._archives import read_weights

    if not _is_torchscript(f):
        raise RuntimeError("not an archive of TorchScript")
    with opened(f) as stream:
        return read_weights(stream, map_location)
