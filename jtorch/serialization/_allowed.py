"""What a file read with ``weights_only=True`` may name, and what may be made of each name.

An entry is the object that the name stands for, and a *maker*: the function that runs when the file calls the object. A maker looks at the
type, range and size of all that it is given before anything is done, so a file can make tensors of its own bytes and plain containers, and
nothing else: no maker calls what the file gave it, imports, opens, or takes more memory than the file's own size. What has no maker (element
types, storage classes) cannot be called. Makers raise UnpicklingError for arguments that torch.save does not write.
"""

from __future__ import annotations

from _codecs import encode
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from typing import Any, NamedTuple

import numpy as np

from jtorch import _dtypes
from jtorch._public import torch

from . import _rebuild
from ._names import resolve
from ._state import allowed_by_user, local
from ._storage import DTYPE_OF_STORAGE, HostStorage, storage_bytes, tensor_of

Maker = Callable[..., Any]


class Entry(NamedTuple):
    """An allowed name's object, and what makes something of it (None: it is not to be called)."""

    obj: Any
    make: Maker | None


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise UnpicklingError(f"the file gives {what}")


_MAX = (1 << 63) - 1


def is_whole_number(x: Any) -> bool:
    """Whether it is an int of 64 bits."""
    return type(x) is int and -_MAX <= x <= _MAX


def _is_ints(x: Any) -> bool:
    return type(x) in (tuple, list, torch.Size) and all(is_whole_number(n) for n in x)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, torch.Tensor)


def _spend(tensor: Any, itemsize: int = 0) -> None:
    """To be called before anything is computed from a tensor of the file: what that may come to, in all, is bounded by the file's size."""
    _need(_is_tensor(tensor) and tensor.layout == torch.strided, "something else where a tensor is to be")
    if not tensor.is_meta:
        _need(tensor.numel() * tensor.dtype.itemsize <= storage_bytes(tensor), "a tensor that was expanded where its parts are to be")
        local.work -= tensor.numel() * max(tensor.dtype.itemsize, itemsize)
        _need(local.work >= 0, "more tensors than its bytes can hold")


def check_key(key: Any) -> None:
    """Refuse a dictionary's key that takes long to hash: tuples of tuples, numbers made to meet."""
    left, todo = 1000, [key]
    while todo:
        item = todo.pop()
        if isinstance(item, tuple):
            left -= len(item) + 1
            _need(left > 0, "a key that is nested too deeply")
            todo.extend(item)
        elif type(item) is int:
            _need(is_whole_number(item), "a number of more than 64 bits as a key")


class Meetings:
    """Counts keys of one container with the same hash: a file could be made so that looking up one key compares it with all others."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, int]] = Counter()

    def add(self, owner: int, key: Any) -> None:
        """Note a key; UnpicklingError for one that is not to be hashed, or meets too many others."""
        if type(key) is str:
            return  # hashed with a secret
        check_key(key)
        place = owner, hash(key)
        self._seen[place] += 1
        _need(self._seen[place] <= 256, "keys that were made to have one hash")

    def add_all(self, keys: Iterable[Any]) -> None:
        """Note keys of one container that is about to be made."""
        for key in keys:
            self.add(0, key)


# --- plain Python


def _ordered_dict(*args: Any) -> Any:
    _need(len(args) <= 1 and all(type(a) in (list, tuple, dict, OrderedDict) for a in args), "other arguments to OrderedDict than pairs")
    if not args:
        return OrderedDict()
    pairs = list(args[0].items()) if isinstance(args[0], dict) else list(args[0])
    _need(all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs), "other arguments to OrderedDict than pairs")
    Meetings().add_all(key for key, _ in pairs)
    return OrderedDict(pairs)


def _counter(*args: Any) -> Any:
    _need(len(args) <= 1 and all(type(a) in (dict, OrderedDict) for a in args), "other arguments to Counter than a dictionary")
    return Counter(dict(args[0])) if args else Counter()


_ENCODINGS = {"latin1": "latin-1", "latin-1": "latin-1", "iso-8859-1": "latin-1", "iso8859-1": "latin-1", "utf-8": "utf-8", "utf8": "utf-8", "ascii": "ascii"}


def _encoding(name: Any) -> str:
    _need(type(name) is str and name.lower() in _ENCODINGS, "an encoding that bytes are not saved with")  # others would be imported
    return _ENCODINGS[name.lower()]


def _encode(*args: Any) -> bytes:
    _need(len(args) in (1, 2) and type(args[0]) is str, "other arguments to encode than a text and an encoding")
    return args[0].encode(_encoding(args[1] if len(args) == 2 else "utf-8"))  # type: ignore[no-any-return]


def _bytearray(*args: Any) -> bytearray:
    if len(args) == 2 and type(args[0]) is str:
        return bytearray(args[0].encode(_encoding(args[1])))
    _need(not args or (len(args) == 1 and type(args[0]) is bytes), "other arguments to bytearray than bytes")
    return bytearray(*args)


def _set(*args: Any) -> set[Any]:
    _need(len(args) <= 1 and all(type(a) in (list, tuple, set) for a in args), "other arguments to set than a list")
    Meetings().add_all(args[0] if args else ())
    return set(*args)


def _complex(*args: Any) -> complex:
    _need(len(args) <= 2 and all(type(a) in (int, float) for a in args), "other arguments to complex than numbers")
    return complex(*args)


# --- torch's own


def _size(*args: Any) -> Any:
    _need(len(args) <= 1 and all(_is_ints(a) for a in args), "other arguments to torch.Size than sizes")
    return torch.Size(*args)


def _device(*args: Any) -> Any:
    _need(len(args) in (1, 2) and type(args[0]) in (str, int) and all(is_whole_number(a) for a in args[1:]), "other arguments to torch.device than a name and an index")
    return torch.device(*args)


def _layout(*args: Any) -> Any:
    _need(len(args) == 1 and type(args[0]) is str, "other arguments to _get_layout than a name")
    try:
        return _rebuild._get_layout(args[0])
    except KeyError:
        raise UnpicklingError(f"the file names a layout that there is not: {args[0][:80]!r}") from None


def _empty_of(kind: Any) -> Maker:
    def make(*args: Any) -> Any:
        _need(not args, f"arguments to {kind.__name__}: they are not saved so")
        return kind()

    return make


def _parameter(*args: Any) -> Any:
    _need(len(args) <= 2 and all(_is_tensor(a) for a in args[:1]) and all(type(a) is bool for a in args[1:]), "other arguments to Parameter than a tensor and a flag")
    return torch.nn.Parameter(*args)


def _check_place(storage: Any, offset: Any, size: Any, stride: Any) -> None:
    _need(isinstance(storage, HostStorage), "something else where a storage is to be")
    _need(is_whole_number(offset) and _is_ints(size) and _is_ints(stride), "something else than whole numbers as offset, sizes and strides")


def _is_no_hooks(x: Any) -> bool:
    return x is None or (type(x) in (dict, OrderedDict) and not x)  # hooks are never saved


def _is_metadata(x: Any) -> bool:
    return x is None or (type(x) is dict and all(type(k) is str and type(v) is bool for k, v in x.items()))


def _flags(requires_grad: Any, hooks: Any, metadata: Any = None) -> None:
    _need(type(requires_grad) is bool, "something else than a flag as requires_grad")
    _need(_is_no_hooks(hooks), "hooks, which are not saved")
    _need(_is_metadata(metadata), "something else than flags as a tensor's metadata")


def _tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Any:
    _check_place(storage, offset, size, stride)
    return _rebuild._rebuild_tensor(storage, offset, size, stride)


def _finish(tensor: Any, requires_grad: bool, metadata: Any) -> Any:
    if metadata and (metadata.get("conj") or metadata.get("neg")):
        _spend(tensor)
    return _rebuild._finish(tensor, requires_grad, None, metadata)


def _tensor_v2(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None) -> Any:
    _check_place(storage, offset, size, stride)
    _flags(requires_grad, hooks, metadata)
    tensor = _rebuild._rebuild_tensor(storage, offset, size, stride)
    return _finish(tensor, requires_grad, metadata)


def _tensor_v3(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None) -> Any:
    _check_place(storage, offset, size, stride)
    _flags(requires_grad, hooks, metadata)
    _need(isinstance(dtype, torch.dtype), "something else than an element type")
    tensor = tensor_of(storage, offset, size, stride, dtype.name)
    return _finish(tensor, requires_grad, metadata)


def _rebuilt_parameter(data: Any, requires_grad: Any, hooks: Any) -> Any:
    _need(_is_tensor(data), "something else where a tensor is to be")
    _flags(requires_grad, hooks)
    return _rebuild._rebuild_parameter(data, requires_grad, hooks)


def _rebuilt_parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Any:
    return with_attributes(_rebuilt_parameter(data, requires_grad, hooks), state)


def _sparse(layout: Any, data: Any) -> Any:
    _need(isinstance(layout, torch.layout) and type(data) is tuple and len(data) in (3, 4), "something else than a layout and a sparse tensor's parts")
    count = 2 if layout == torch.sparse_coo else 3
    parts, size, rest = data[:count], data[count : count + 1], data[count + 1 :]
    for part in parts:
        _spend(part)
    _need(len(size) == 1 and _is_ints(size[0]) and all(n >= 0 for n in size[0]), "something else than sizes of a sparse tensor")
    _need(all(flag is None or type(flag) is bool for flag in rest), "something else than a flag")
    return _rebuild._rebuild_sparse_tensor(layout, data)


def _meta(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    _need(isinstance(dtype, torch.dtype) and _is_ints(size) and _is_ints(stride) and len(size) == len(stride), "something else than a meta tensor's properties")
    _need(type(requires_grad) is bool, "something else than a flag as requires_grad")
    return tensor_of(HostStorage(np.empty(0, np.uint8), device="meta"), 0, size, stride, dtype.name).requires_grad_(requires_grad)


def _on_device(data: Any, dtype: Any, device: Any, requires_grad: Any) -> Any:
    _need(isinstance(dtype, torch.dtype) and isinstance(device, (str, torch.device)) and type(requires_grad) is bool, "something else than a type, a device and a flag")
    _spend(data, dtype.itemsize)
    return _rebuild._rebuild_device_tensor_from_cpu_tensor(data, dtype, device, requires_grad)


def _on_device_from_numpy(data: Any, dtype: Any, device: Any, requires_grad: Any) -> Any:
    _need(type(data) is np.ndarray and data.dtype.kind in "fiubc", "something else where an array is to be")
    return _on_device(torch.from_numpy(data), dtype, device, requires_grad)


def with_attributes(obj: Any, state: Any) -> Any:
    """Give Python attributes to a tensor, parameter or dictionary of the file; none may stand before what its class has."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    _need(all(part is None or type(part) is dict for part in parts), "something else than an object's attributes")
    for part in parts:
        for name, value in (part or {}).items():
            taken = type(name) is not str or name.startswith("__") or any(hasattr(cls, name) for cls in (torch.Tensor, OrderedDict) if isinstance(obj, cls))
            _need(not taken, f"an attribute that is not the file's to set: {str(name)[:80] if type(name) is str else type(name)}")
            setattr(obj, name, value)
    return obj


def set_state(target: Any, state: Any) -> None:
    """What tensors before 0.4 were given after they were made: their place in a storage, or their data and flags."""
    _need(type(state) is tuple and len(state) in ((4,) if type(target) is torch.Tensor else (3, 4, 5)), "something else than a tensor's state")
    if len(state) == 4:
        tensor = _tensor(*state)
        _need(tensor.dtype is target.dtype, "a storage of another type than the tensor's")
        target.set_(tensor)
        return
    if len(state) == 5:
        _need(_is_tensor(state[0]), "something else where a tensor is to be")
        target.data = state[0]
        state = (state[3], state[4], state[2])
    _flags(state[0], state[2])
    target.requires_grad_(state[0])


def _from_type(func: Any, new_type: Any, args: Any, state: Any) -> Any:
    entry = _BY_ID.get(id(func))
    _need(entry is not None and entry.make in _MAKE_TENSORS, "something else than a function that rebuilds a tensor")
    _need(isinstance(new_type, type) and issubclass(new_type, torch.Tensor), "something else than a class of tensors")
    _need(new_type is torch.Tensor or new_type is torch.nn.Parameter or any(new_type is cls for cls in allowed_by_user().values()), "a class of tensors that it does not name")
    _need(type(args) is tuple, "something else than arguments")
    assert entry is not None and entry.make is not None
    made = entry.make(*args)
    own = getattr(new_type, "__setstate__", None)
    if own is torch.Tensor.__setstate__:
        return with_attributes(made if type(made) is new_type else made.as_subclass(new_type), state)
    return _rebuild._rebuild_from_type_v2(lambda: made, new_type, (), state)  # the user allowed the class, and it has a way of its own


# --- the list


_DENSE = ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
_CLASSES = [f"torch.{place}{kind}Tensor" for place in ("", "cuda.", "sparse.", "cuda.sparse.") for kind in _DENSE if not ("sparse" in place and kind == "Bool")]
_QUANTISED = ("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric", "per_channel_affine_float_qparams")
_ON_CUDA = tuple(name for name in DTYPE_OF_STORAGE if not name.startswith("Q"))

_PLAIN: dict[str, Entry] = {
    "collections.OrderedDict": Entry(OrderedDict, _ordered_dict), "collections.Counter": Entry(Counter, _counter),
    "_codecs.encode": Entry(encode, _encode), "builtins.bytearray": Entry(bytearray, _bytearray), "builtins.set": Entry(set, _set), "builtins.complex": Entry(complex, _complex),
}  # fmt: skip
_REBUILDERS: dict[str, Maker] = {
    "_rebuild_tensor": _tensor, "_rebuild_tensor_v2": _tensor_v2, "_rebuild_tensor_v3": _tensor_v3, "_rebuild_parameter": _rebuilt_parameter,
    "_rebuild_parameter_with_state": _rebuilt_parameter_with_state, "_rebuild_sparse_tensor": _sparse, "_rebuild_meta_tensor_no_storage": _meta,
    "_rebuild_device_tensor_from_cpu_tensor": _on_device, "_rebuild_device_tensor_from_numpy": _on_device_from_numpy,
    # These only say that they are not there.
    "_rebuild_nested_tensor": _rebuild._rebuild_nested_tensor, "_rebuild_wrapper_subclass": _rebuild._rebuild_wrapper_subclass,
    "_rebuild_qtensor": _rebuild._rebuild_qtensor,
}  # fmt: skip
_MAKE_TENSORS = frozenset(_REBUILDERS.values())
_TORCH: dict[str, Maker | None] = {
    "torch.nn.parameter.Parameter": _parameter, "torch.Size": _size, "torch.device": _device, "torch.serialization._get_layout": _layout,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    **{f"torch._utils.{name}": make for name, make in _REBUILDERS.items()},
    **dict.fromkeys([f"torch.{name}" for name in (*_dtypes.ALL, *DTYPE_OF_STORAGE, *_QUANTISED)]),
    **dict.fromkeys([f"torch.cuda.{name}" for name in _ON_CUDA]),
    **dict.fromkeys(["torch.storage.UntypedStorage", "torch.storage.TypedStorage"]),
}  # fmt: skip
NAMES = frozenset((*_PLAIN, *_TORCH, "torch.Tensor", *_CLASSES))

_found: dict[str, Entry] = {}
_BY_ID: dict[int, Entry] = {}


def allowed_by_default(path: str) -> Entry:
    """The entry of a name that every checkpoint may use. KeyError for other names, UnpicklingError for torch's names that are not here."""
    entry = _found.get(path)
    if entry is None:
        entry = _found[path] = _entry(path)
        _BY_ID[id(entry.obj)] = entry
    return entry


def _entry(path: str) -> Entry:
    if path in _PLAIN:
        return _PLAIN[path]
    if path not in NAMES:
        raise KeyError(path)
    module, _, name = path.rpartition(".")
    try:
        obj = resolve(module, name)
    except (AttributeError, ModuleNotFoundError):
        raise UnpicklingError(f"jtorch has no {path}, which the file names") from None
    return Entry(obj, _TORCH[path] if path in _TORCH else _empty_of(obj))
