"""``torch.device``: a kind and an index. Which JAX device stands behind one is the engine's business."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["device", "CPU", "META"]

_KINDS = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone"
)
_KNOWN = frozenset((*_KINDS.split(", "), "tpu"))
accelerators: list[Callable[[], bool]] = [lambda: True]  # whether there is a device that a bare number could name; set by the engine, which asks JAX
_interned: dict[tuple[str, int | None], device] = {}


class device:
    """``device("cuda:1")``, ``device("cuda", 1)``, ``device(1)``. Interned: equal devices are one object.

    RuntimeError with torch's text for a kind that does not exist. As a context manager it is the default for factories.
    """

    __slots__ = ("type", "index")
    type: str
    index: int | None

    def __new__(cls, type: Any = None, index: int | None = None, *, device: Any = None) -> device:  # noqa: A002 - torch's name
        type = device if type is None else type  # noqa: A001
        if isinstance(type, cls):
            return type
        if isinstance(type, bool) or not isinstance(type, (str, int)):
            raise TypeError(f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}")
        if isinstance(type, int):
            if type < 0:
                raise RuntimeError("Device index must not be negative")
            if not accelerators[0]():
                raise RuntimeError("Cannot access accelerator device when none is available.")
            kind, index = "cuda", type
        else:
            if not type:
                raise RuntimeError("Device string must not be empty")
            if index is not None and (isinstance(index, bool) or not hasattr(index, "__index__")):
                raise TypeError(f"device(): argument 'index' (position 2) must be int, not {index.__class__.__name__}")
            match = re.fullmatch(r"([A-Za-z_]+)(?::(0|[1-9]\d*))?", type)
            if match is None:
                raise RuntimeError(f"Invalid device string: '{type}'")
            kind = match[1]
            if kind not in _KNOWN:
                raise RuntimeError(f"Expected one of {_KINDS} device type at start of device string: {kind}")
            if match[2] is not None:
                if index is not None:
                    raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {type}")
                index = int(match[2])
        found = _interned.get((kind, index))
        if found is None:
            found = object.__new__(cls)
            object.__setattr__(found, "type", kind)
            object.__setattr__(found, "index", index)
            _interned[kind, index] = found
        return found

    def __setattr__(self, name: str, _: Any) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + ("" if self.index is None else f", index={self.index}") + ")"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type,) if self.index is None else (self.type, self.index)

    def __enter__(self) -> device:
        _stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _stack.pop()

    def __call__(self, fn: Any) -> Any:
        from functools import wraps

        @wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return run


CPU = device("cpu")
META = device("meta")
_stack: list[device] = [CPU]


def current_default() -> device:
    """Where factories put a tensor when nobody says."""
    return _stack[-1]


def set_default(where: Any) -> None:
    """``torch.set_default_device``; None means cpu."""
    _stack[0] = CPU if where is None else device(where)
