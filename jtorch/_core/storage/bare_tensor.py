"""The bare Tensor: its slots. Behaviour is attached by the modules above, so that dispatch can make tensors without a circle.

A tensor is a storage (``_s``), possibly a view of it (``_view``), and its place in the autograd graph: ``_edge`` is the node that its gradient
flows to (an ``AccumulateGrad`` for a leaf), None when it does not require grad; ``_nr`` is which output of that node it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Tensor", "PLAIN", "new_tensor", "Storage", "born_in", "new_storage"]

born_in: list[int] = []
"""The numbers of the calls of ``torch.func.grad``, ``vjp`` and ``jvp`` that are under way in any thread, rising: a storage keeps the last of them as it is made."""


class TensorMeta(type):
    def __repr__(cls) -> str:
        return "<class 'torch.Tensor'>" if cls.__name__ == "Tensor" and cls.__mro__[1] is object else super().__repr__()


class Storage:
    """The one current value of a tensor and of all that share memory with it.

    ``value`` has the shape of the tensor that made the storage; ``strides`` is that tensor's layout (None: contiguous). ``version`` counts in-place writes.
    ``ptr`` is the memory whose address ``data_ptr`` gave (0: none was asked for), ``extra`` the region that a storage in memory is a part of.
    ``wrote`` is which node's output was written last, or that views were taken before any (view_history.py); it may be missing.
    ``born`` is the last of ``born_in`` when it was made; missing if there was none.
    """

    __slots__ = ("value", "version", "strides", "host", "ptr", "extra", "wrote", "born", "__weakref__")
    value: Any
    version: int
    strides: tuple[int, ...] | None
    host: Any
    ptr: Any
    extra: Any
    wrote: Any
    born: int

    def shown(self) -> None:
        """Somebody has been given the tensor of it that was a ``.grad``. (Only asked of subclasses.)"""


class Tensor(metaclass=TensorMeta):
    """A multi-dimensional array with torch's semantics. Source: https://docs.pytorch.org/docs/stable/tensors.html"""

    __slots__ = ("_s", "_view", "_edge", "_nr", "_grad", "_meta", "__dict__", "__weakref__")
    _s: Storage
    _view: Any
    _edge: Any
    _nr: int
    _grad: Any
    _meta: Any

    if TYPE_CHECKING:  # what setup.py and the modules of ``tensor`` put here at run time

        def __getattr__(self, name: str) -> Any: ...

        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __floordiv__: Any
        __mod__: Any
        __pow__: Any
        __matmul__: Any
        __neg__: Any
        __invert__: Any
        __and__: Any
        __or__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __getitem__: Any
        __setitem__: Any
        __iter__: Any
        __len__: Any
        __int__: Any
        __float__: Any
        __index__: Any


# Classes that take the short way through dispatch: no __torch_function__ of their own. Parameter and Buffer join them.
PLAIN: set[type] = {Tensor}

_new = object.__new__


def new_storage(value: Any, strides: tuple[int, ...] | None = None) -> Storage:
    s = Storage()
    s.value = value
    s.version = s.ptr = 0
    s.strides = strides
    s.host = s.extra = None
    if born_in:
        s.born = born_in[-1]
    return s


def new_tensor(value: Any, strides: tuple[int, ...] | None = None) -> Tensor:
    """A tensor of its own on a value, outside of any graph."""
    t = _new(Tensor)
    t._s = s = Storage()
    s.value = value
    s.version = s.ptr = 0
    s.strides = strides
    s.host = s.extra = None
    if born_in:
        s.born = born_in[-1]
    t._view = t._edge = t._grad = t._meta = None
    t._nr = 0
    return t


def alias_of(s: Storage, view: Any, cls: type = Tensor) -> Tensor:
    """A tensor on an existing storage, outside of any graph."""
    t = _new(cls)
    t._s, t._view = s, view
    t._edge = t._grad = t._meta = None
    t._nr = 0
    return t


class Meta:
    """What few tensors have: a differentiable base, hooks of a leaf, a name, ..."""

    __slots__ = ("base", "attr_version", "retains", "creation", "inference", "hooks")
    base: Any  # the tensor that this is a differentiable view of
    attr_version: int  # storage version at which a view's edge was made
    retains: bool
    creation: str  # where a view was made that must not be written with grad: "no_grad", "inference", by a call that makes several ("multi"), in a "function"
    inference: bool
    hooks: Any  # what a program keeps as ``_backward_hooks`` of a tensor that has no gradient


def meta_of(t: Tensor) -> Meta:
    m = t._meta
    if m is None:
        m = t._meta = Meta()
        m.base, m.attr_version, m.creation = None, -1, ""
        m.retains = m.inference = False
        m.hooks = None
    return m
