"""Files of scripted and traced modules.

jtorch's own: a checkpoint of ``torch.save`` with a mark in it. A traced module's has its programs, and needs nothing else; a scripted one's names its class, as a
pickle does. Archives of TorchScript hold code of another language; their weights can be had.
"""

from __future__ import annotations

import io
import os
import zipfile
from typing import Any

from jtorch._errors import not_implemented
from jtorch.nn.modules.module import Module
from jtorch.serialization import load as _load
from jtorch.serialization import save as _save
from jtorch.serialization._load import opened

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
        body.update(kind="traced", model=_Skeleton(m._model), programs=m.__dict__["_programs"])
    elif isinstance(m, RecursiveScriptModule):
        body.update(kind="scripted", model=m._model)
    elif isinstance(m, ScriptModule):
        body.update(kind="own", model=m)
    elif isinstance(m, ScriptFunction):
        body.update(kind="function", name=m.name, program=getattr(m, "_program", None), fn=None if hasattr(m, "_program") else m._fn)
    else:
        raise TypeError(f"expected a scripted or traced module or function, got {type(m).__name__}")
    _save(body, f)


def _bytes(m: Any) -> bytes:
    buffer = io.BytesIO()
    save(m, buffer)
    return buffer.getvalue()


def load(f: Any, map_location: Any = None, _extra_files: dict[str, Any] | None = None, _restore_shapes: bool = False) -> Any:
    """What :func:`save` wrote. ValueError if there is no such file; NotImplementedError for an archive of TorchScript: :func:`weights_of` reads its weights."""
    if isinstance(f, (str, os.PathLike)):
        if not os.path.exists(f):
            raise ValueError(f"The provided filename {f} does not exist")
        if os.path.isdir(f):
            raise ValueError(f"The provided filename {f} is a directory")
    if _is_torchscript(f):
        not_implemented("torch.jit.load of TorchScript archives", "their code is another language; torch.jit.weights_of(f) gives the state_dict, for the Python module")
    body = _load(f, map_location=map_location, weights_only=False)
    if not isinstance(body, dict) or _MARK not in body:
        raise RuntimeError("PytorchStreamReader failed locating file constants.pkl: file not found")
    for name in _extra_files or {}:
        if name in body["extra"]:
            _extra_files[name] = body["extra"][name]  # type: ignore[index]
    kind = body["kind"]
    if kind == "frozen":
        return _Frozen(load(io.BytesIO(body["inner"]), map_location), body["preserved"])
    if kind == "traced":
        return LoadedModule(body["model"], body["programs"])
    if kind == "scripted":
        return RecursiveScriptModule(body["model"])
    if kind == "own":
        return body["model"]
    program = body["program"]
    made = ScriptFunction(program.forward if program is not None else body["fn"], body["name"])
    if program is not None:
        made._program = program  # type: ignore[attr-defined]
    return made


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
