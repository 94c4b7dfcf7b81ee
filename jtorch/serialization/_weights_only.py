"""The unpickler of ``torch.load(weights_only=True)``: a few opcodes, a list of names, and for each name one function that may be called."""

from __future__ import annotations

import pickle
import pickletools
import struct
import warnings
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pickle import UnpicklingError
from typing import Any

from jtorch._public import torch

from ._allowed import Entry, Meetings, allowed_by_default, set_state, with_attributes
from ._pickler import Nothing
from ._state import allowed_by_user, local

_BLOCKED_MODULES = frozenset(("sys", "os", "posix", "nt"))
_OPCODES = (
    "GLOBAL NEWOBJ REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWFALSE NEWTRUE EMPTY_TUPLE EMPTY_LIST "
    "EMPTY_DICT EMPTY_SET BININT BININT1 BININT2 BINFLOAT BINUNICODE SHORT_BINSTRING BINPERSID BINGET LONG_BINGET BINPUT LONG_BINPUT LONG1 PROTO STOP"
).split()
_BASE: Any = pickle._Unpickler  # type: ignore[attr-defined]
_ALLOWED_DICTS = (dict, OrderedDict, Counter)
_MALFORMED = (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, AssertionError, RecursionError, struct.error)


class Table(dict[int, Any]):
    def __missing__(self, key: int) -> Any:
        raise UnpicklingError(f"Unsupported operand {key}")


class _Whole:
    """A stream whose reads give all that was asked for, or raise before any memory is taken for it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        at = stream.tell()
        self.end = stream.seek(0, 2)
        stream.seek(at)

    def read(self, count: int) -> bytes:
        """``count`` bytes; one that is missing is left to who asked, at the end of the stream."""
        if count > 4096 and count > self.end - self._stream.tell():
            raise UnpicklingError("pickle data was truncated")
        data: bytes = self._stream.read(count)
        if len(data) < count and count > 1:
            raise UnpicklingError("pickle data was truncated")
        return data

    def readline(self) -> bytes:
        """A line, which must be whole, and no longer than names are."""
        line: bytes = self._stream.readline(4096)
        if line[-1:] != b"\n":
            raise UnpicklingError("pickle data was truncated")
        return line


class Unpickler(_BASE):  # type: ignore[misc]
    """Python's own unpickler with its table of opcodes cut down and the risky ones replaced.

    Whatever a malformed pickle runs into is an UnpicklingError; what persistent_load and classes that the user allowed raise is theirs.
    """

    dispatch = Table({getattr(pickle, name)[0]: _BASE.dispatch[getattr(pickle, name)[0]] for name in _OPCODES})

    def __init__(self, file: Any, *, encoding: str = "bytes", names: Mapping[str, Entry] | None = None) -> None:
        whole = _Whole(file)
        super().__init__(whole, fix_imports=True, encoding=encoding)
        self.bytes = whole.end  # how large the file is; an archive says its own size
        self._names = names or {}  # what this file may name besides
        self._granted: dict[int, Any] = {}  # by identity: what this file named and was allowed, and who makes things of it
        self._meetings = Meetings()
        self._outside = False  # somebody else's code is running

    def load(self) -> Any:
        """The object."""
        before, local.work = local.work, 4 * self.bytes + (1 << 16)
        try:
            return super().load()
        except _MALFORMED as error:
            if self._outside:
                raise
            raise UnpicklingError(f"the pickle is malformed ({type(error).__name__}: {str(error)[:200]})") from error
        finally:
            local.work = before

    def _call_outside(self, function: Callable[..., Any], *args: Any) -> Any:
        self._outside = True
        found = function(*args)
        self._outside = False
        return found

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
        self.append(self.named(module, name))

    dispatch[pickle.GLOBAL[0]] = load_global

    def named(self, module: str, name: str) -> Any:
        """The object of a name, if the file may use it."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        elif module in IMPORT_MAPPING:
            module = IMPORT_MAPPING[module]
        path = f"{module}.{name}"
        if module in _BLOCKED_MODULES:
            raise UnpicklingError(f"Trying to load unsupported GLOBAL {path} whose module {module} is blocked.")
        try:
            found, make = self._names.get(path) or allowed_by_default(path)
        except KeyError:
            user = allowed_by_user()
            if path not in user:
                _refuse(path)
            found = user[path]
            make = Outside(found)
        self._granted[id(found)] = found, make
        return found

    def _maker(self, obj: Any) -> Callable[..., Any] | None:
        """What the file may call to make something of an object that it named."""
        return self._granted.get(id(obj), (None, None))[1]

    def _make(self, make: Callable[..., Any], args: Any) -> Any:
        if type(args) is not tuple:
            raise UnpicklingError(f"arguments must be a tuple, but got {type(args)}")
        return self._call_outside(make.function, *args) if isinstance(make, Outside) else make(*args)

    def load_newobj(self) -> None:
        """New objects of allowed classes."""
        args = self.stack.pop()
        kind = self.stack.pop()
        make = self._maker(kind)
        if make is None or not isinstance(kind, type):
            raise UnpicklingError(f"Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got {_told(kind)}")
        self.append(self._make(Outside(partial(kind.__new__, kind)) if isinstance(make, Outside) else make, args))

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_reduce(self) -> None:
        """Calls of allowed functions."""
        args = self.stack.pop()
        function = self.stack[-1]
        make = self._maker(function)
        if make is None:
            owner = f" which belongs to {function.__self__}" if callable(function) and hasattr(function, "__self__") else ""
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {_told(function)}{owner}")
        self.stack[-1] = self._make(make, args)

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_build(self) -> None:
        """State of allowed objects."""
        state = self.stack.pop()
        target = self.stack[-1]
        kind = type(target)
        if kind is torch.Tensor or kind is torch.nn.Parameter:
            set_state(target, state)
        elif kind is OrderedDict or kind is Counter:
            with_attributes(target, state)
        elif isinstance(self._maker(kind), Outside) or any(kind is allowed for allowed in allowed_by_user().values()):  # numpy's dtypes are classes that no file names
            self._call_outside(_set_state_of_user, target, state)
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

    def _set_item(self, target: Any, key: Any, value: Any) -> None:
        if type(key) is not str:
            self._meetings.add(id(target), key)
        target[key] = value

    def _check_dict(self, opcode: str) -> Any:
        target = self.stack[-1]
        if type(target) not in _ALLOWED_DICTS:
            raise UnpicklingError(f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got {type(target)}")
        return target

    def load_setitem(self) -> None:
        """Dictionaries only."""
        value = self.stack.pop()
        key = self.stack.pop()
        self._set_item(self._check_dict("SETITEM"), key, value)

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Dictionaries only."""
        items = self.pop_mark()
        target = self._check_dict("SETITEMS")
        if len(items) % 2:
            raise UnpicklingError("odd number of items for SETITEMS")
        for at in range(0, len(items), 2):
            self._set_item(target, items[at], items[at + 1])

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_binpersid(self) -> None:
        """Storages only."""
        pid = self.stack.pop()
        if type(pid) is not tuple and type(pid) is not int:
            raise UnpicklingError(f"persistent_load id must be tuple or int, but got {type(pid)}")
        if type(pid) is tuple and pid and (type(pid[0]) not in (str, bytes) or pid[0] not in ("storage", b"storage")):
            raise UnpicklingError(f"Only persistent_load of storage is allowed, but got {type(pid[0])}")
        self.append(self._call_outside(self.persistent_load, pid))

    dispatch[pickle.BINPERSID[0]] = load_binpersid

    def persistent_load(self, pid: Any) -> Any:
        """Given by torch.load."""
        raise UnpicklingError("unsupported persistent id encountered")


class Outside:
    """A maker that is the user's own code."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def _set_state_of_user(target: Any, state: Any) -> None:
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    target.__dict__.update(state or {})
    for name, value in (slots or {}).items():
        setattr(target, name, value)


def _told(obj: Any) -> str:
    """Text for an error: of what the file may have nested without bound only the type."""
    return str(obj) if callable(obj) or isinstance(obj, (str, bytes)) and len(obj) < 100 else str(type(obj))


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


class Scanner(Unpickler):
    """Reads over a restricted pickle without making any of its objects, and collects the persistent ids."""

    dispatch = Table(Unpickler.dispatch)

    def __init__(self, file: Any, **arguments: Any) -> None:
        super().__init__(file, **arguments)
        self.ids: list[Any] = []

    def load_reduce(self) -> None:
        """Nothing."""
        self.stack[-2:] = [Nothing()]

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_reduce

    def load_build(self) -> None:
        """Nothing."""
        self.stack.pop()

    dispatch[pickle.BUILD[0]] = load_build

    def _check_dict(self, opcode: str) -> Any:
        return self.stack[-1]

    def _set_item(self, target: Any, key: Any, value: Any) -> None:
        """Nothing: a key is hashed only where the object is made."""

    def load_append(self) -> None:
        """Nothing."""
        self.stack.pop()

    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self) -> None:
        """Nothing."""
        self.pop_mark()

    dispatch[pickle.APPENDS[0]] = load_appends

    def persistent_load(self, pid: Any) -> Any:
        """Note the id."""
        self.ids.append(pid)
        return Nothing()


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
