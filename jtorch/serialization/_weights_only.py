"""The unpickler of ``torch.load(weights_only=True)``: a few opcodes, a list of names, nothing else is ever called."""

from __future__ import annotations

import pickle
import pickletools
import warnings
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from pickle import UnpicklingError
from typing import Any

from jtorch._public import torch

from ._pickler import allowed_by_default
from ._state import allowed_by_user

_BLOCKED_MODULES = frozenset(("sys", "os", "posix", "nt"))
_OPCODES = (
    "GLOBAL NEWOBJ REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWFALSE NEWTRUE EMPTY_TUPLE EMPTY_LIST "
    "EMPTY_DICT EMPTY_SET BININT BININT1 BININT2 BINFLOAT BINUNICODE SHORT_BINSTRING BINPERSID BINGET LONG_BINGET BINPUT LONG_BINPUT LONG1 PROTO STOP"
).split()
_BASE: Any = pickle._Unpickler  # type: ignore[attr-defined]
_ALLOWED_DICTS = (dict, OrderedDict, Counter)


class _Table(dict[int, Any]):
    def __missing__(self, key: int) -> Any:
        raise UnpicklingError(f"Unsupported operand {key}")


def _check_dict(self: Any, opcode: str, target: Any) -> None:
    if type(target) not in _ALLOWED_DICTS:
        raise UnpicklingError(f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got {type(target)}")


class Unpickler(_BASE):  # type: ignore[misc]
    """Python's own unpickler with its table of opcodes cut down and the risky ones replaced."""

    dispatch = _Table({getattr(pickle, name)[0]: _BASE.dispatch[getattr(pickle, name)[0]] for name in _OPCODES})

    def __init__(self, file: Any, *, encoding: str = "bytes") -> None:
        super().__init__(file, fix_imports=True, encoding=encoding)
        self._granted: list[Any] = []  # objects that this file named and was allowed

    def load_proto(self) -> None:
        """Protocols other than torch's own may bring opcodes that are not read."""
        self.proto = self.read(1)[0]
        if self.proto != 2:
            warnings.warn(
                f"Detected pickle protocol {self.proto} in the checkpoint, which was "
                "not the default pickle protocol used by `torch.load` (2). The weights_only "
                "Unpickler might not support all instructions implemented by this protocol, "
                "please file an issue for adding support if you encounter this.",
                stacklevel=2,
            )

    dispatch[pickle.PROTO[0]] = load_proto

    def load_global(self) -> None:
        """Only names on the list."""
        module, name = self.readline()[:-1].decode("utf-8"), self.readline()[:-1].decode("utf-8")
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        elif module in IMPORT_MAPPING:
            module = IMPORT_MAPPING[module]
        path = f"{module}.{name}"
        if module in _BLOCKED_MODULES:
            raise UnpicklingError(f"Trying to load unsupported GLOBAL {path} whose module {module} is blocked.")
        user = allowed_by_user()
        try:
            found = allowed_by_default(path)
        except KeyError:
            if path not in user:
                _refuse(path)
            found = user[path]
        self._granted.append(found)
        self.append(found)

    dispatch[pickle.GLOBAL[0]] = load_global

    def _is_granted(self, obj: Any) -> bool:
        return any(obj is item for item in self._granted)

    def load_newobj(self) -> None:
        """New objects of allowed classes."""
        args = self.stack.pop()
        kind = self.stack.pop()
        if kind is torch.nn.Parameter:
            return self.append(torch.nn.Parameter(*args))
        if not self._is_granted(kind):
            raise UnpicklingError(f"Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got {kind}")
        self.append(kind.__new__(kind, *args))

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_reduce(self) -> None:
        """Calls of allowed functions."""
        args = self.stack.pop()
        function = self.stack[-1]
        if not self._is_granted(function):
            owner = f" which belongs to {function.__self__}" if hasattr(function, "__self__") else ""
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {function}{owner}")
        self.stack[-1] = function(*args)

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_build(self) -> None:
        """State of allowed objects."""
        state = self.stack.pop()
        target = self.stack[-1]
        kind = type(target)
        if kind is torch.Tensor:
            target.set_(*state)
        elif kind is torch.nn.Parameter:
            target.__setstate__(state)
        elif kind is OrderedDict:
            target.__dict__.update(state)
        elif self._is_granted(kind):
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
            else:
                slots = None
                if isinstance(state, tuple) and len(state) == 2:
                    state, slots = state
                target.__dict__.update(state or {})
                for name, value in (slots or {}).items():
                    setattr(target, name, value)
        else:
            raise UnpicklingError(f"Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got {kind}")

    dispatch[pickle.BUILD[0]] = load_build

    def load_append(self) -> None:
        """Lists only."""
        item = self.stack.pop()
        if type(self.stack[-1]) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(self.stack[-1])}")
        self.stack[-1].append(item)

    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self) -> None:
        """Lists only."""
        items = self.pop_mark()
        if type(self.stack[-1]) is not list:
            raise UnpicklingError(f"Can only extend lists, but got {type(self.stack[-1])}")
        self.stack[-1].extend(items)

    dispatch[pickle.APPENDS[0]] = load_appends

    def load_setitem(self) -> None:
        """Dictionaries only."""
        value = self.stack.pop()
        key = self.stack.pop()
        _check_dict(self, "SETITEM", self.stack[-1])
        self.stack[-1][key] = value

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Dictionaries only."""
        items = self.pop_mark()
        _check_dict(self, "SETITEMS", self.stack[-1])
        for at in range(0, len(items), 2):
            self.stack[-1][items[at]] = items[at + 1]

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_binpersid(self) -> None:
        """Storages only."""
        pid = self.stack.pop()
        if type(pid) is not tuple and type(pid) is not int:
            raise UnpicklingError(f"persistent_load id must be tuple or int, but got {type(pid)}")
        if type(pid) is tuple and pid and pid[0] not in ("storage", b"storage"):
            raise UnpicklingError(f"Only persistent_load of storage is allowed, but got {type(pid[0])}")
        self.append(self.persistent_load(pid))

    dispatch[pickle.BINPERSID[0]] = load_binpersid

    def persistent_load(self, pid: Any) -> Any:
        """Given by torch.load."""
        raise UnpicklingError("unsupported persistent id encountered")


def _refuse(path: str) -> None:
    if path.startswith("torch.distributed.tensor") or path == "torch.distributed.device_mesh.DeviceMesh":
        raise UnpicklingError("``torch.distributed.tensor`` must be imported to load DTensors")
    if path.startswith("torch.nested._internal.nested_tensor."):
        raise UnpicklingError("``torch.nested`` and ``torch._dynamo`` must be imported to load nested jagged tensors (NJTs)")
    path = path.removeprefix("builtins.")
    raise UnpicklingError(
        f"Unsupported global: GLOBAL {path} was not an allowed global by default. "
        f"Please use `torch.serialization.add_safe_globals([{path}])` or the "
        f"`torch.serialization.safe_globals([{path}])` context manager to allowlist this global "
        "if you trust this class/function."
    )


def load(file: Any, *, encoding: str = "ASCII") -> Any:
    """Read one restricted pickle from the stream."""
    return Unpickler(file, encoding=encoding).load()


def globals_in_pickle(data: Any) -> set[str]:
    """Full paths of all names that the pickle refers to."""
    found = set()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            module, name = argument.split(" ", 1)
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[module, name]
            else:
                module = IMPORT_MAPPING.get(module, module)
            found.add(f"{module}.{name}")
    return found
