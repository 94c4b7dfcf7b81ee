"""Views: reading derives a value from the storage, writing sends it back through the same steps."""

from __future__ import annotations

import warnings
from sys import getrefcount
from typing import Any

import jax
import numpy as np

from jtorch import _dtypes
from jtorch._device import CPU
from jtorch._dtypes import complex32
from jtorch._engine.recording import forgetting
from jtorch._engine.recording.call import Call
from jtorch._engine.host.host_executor import memory_of
from jtorch._engine.values.lanes import Lanes, Level, unknown
from jtorch._engine.placing.entries import fitted
from jtorch._engine.values.placed import PlacedAval, placed_aval
from jtorch._engine.values.placed import in_use as placing_in_use
from jtorch._engine.values.sparse_values import SparseAval, SparseMet
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.recording.trace import force, record_multi, record_one, was_given
from jtorch._engine.values.values import Aval, Value, aval, value_of
from jtorch._engine.recording.undo import keep
from jtorch._ops import views as _ops
from jtorch._registry import Op

from jtorch._core.storage.host_memory import contiguous_strides, host_view, looked_at, numpy_of, settled
from jtorch._core.storage.bare_tensor import Storage, Tensor

__all__ = ["Changed", "View", "flipped", "flips_of", "laid_out", "read", "elements", "write", "layout", "strides_of", "make_view"]

_new = object.__new__


class View:
    """One step from ``parent`` (None: the storage's own tensor): a call of a view operator and the positions it was given.

    ``strides`` is None when the view is contiguous. The value is kept until the storage ``s`` is written: ``seen`` is the version that it is of.
    """

    __slots__ = ("parent", "call", "numbers", "aval", "strides", "offset", "s", "seen", "value")
    parent: View | None
    call: Call
    numbers: tuple[Any, ...]
    aval: Aval
    strides: tuple[int, ...] | None
    offset: int
    s: Storage
    seen: int
    value: Any
    flips = 0  # 1: the elements are the conjugates of what is in memory; 2: they have the other sign

    @property
    def version(self) -> int:
        """The storage's: nodes hold views in the place of storages, to know what of it they saved."""
        return self.s.version


class _Conj(View):
    __slots__ = ()
    flips = 1


class _Neg(View):
    __slots__ = ()
    flips = 2


class _ConjNeg(View):
    __slots__ = ()
    flips = 3


_FLIPPED = (View, _Conj, _Neg, _ConjNeg)


def flips_of(t: Tensor) -> int:
    """1: the conjugate bit is set, 2: the negative bit."""
    return 0 if t._view is None else t._view.flips


def flipped(memory: np.ndarray, view: View | None) -> np.ndarray:
    """A view's elements from those in memory, or the other way round."""
    if view is None or not view.flips:
        return memory
    if view.aval.dtype is complex32 and memory.dtype == complex32.memory:
        memory = _dtypes.widened(memory)
    out = np.conj(memory) if view.flips & 1 else memory
    return np.negative(out) if view.flips & 2 else out


_layouts: dict[Any, Any] = {}
forgetting.remembered.append(_layouts)


def layout(t: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """(shape, strides, offset) of a tensor in elements of its own type."""
    view = t._view
    if view is None:
        a = aval_of(t)
        return a.shape, t._s.strides or contiguous_strides(a.shape), 0
    return view.aval.shape, view.strides or contiguous_strides(view.aval.shape), view.offset


def aval_of(t: Tensor) -> Aval:
    """Shape, type and device, without reading any value."""
    if t._view is not None:
        return t._view.aval  # type: ignore[no-any-return]  # asked for with every call
    s = t._s
    if s.host is not None:
        from jtorch import _device

        return aval(s.host.shape, _dtypes.from_np(s.host.dtype), _device.CPU)
    return s.value.aval  # type: ignore[no-any-return]


def strides_of(t: Tensor) -> tuple[int, ...]:
    return layout(t)[1]


def make_view(t: Tensor, op: Op, call: Call, args: tuple[Any, ...], numbers: tuple[Any, ...]) -> View:
    """The view that ``op`` with these arguments takes of ``t``; raises what torch raises if there is none."""
    parent = t._view
    if parent is None:
        view, s = View(), t._s
        a, strides, offset = aval_of(t) if s.host is not None else s.value.aval, s.strides, 0
    else:
        view = parent.__class__()
        a, strides, offset = parent.aval, parent.strides, parent.offset
    of, along, by, found = call.laid
    if of is not a or along is not strides or by is not args:
        found = _layout_after(op, args, a, strides)
        call.laid = (a, strides, args, found)
    view.parent, view.call, view.numbers = parent, call, numbers
    view.aval, view.strides, moved = found
    if moved is not None:
        view.offset = offset + moved
    else:  # the unit of the offset changes with the element type, or the offset is absolute
        assert op.strides is not None
        view.offset = op.strides(a.shape, strides or contiguous_strides(a.shape), offset, *args)[2]
        if op.view_flips is not None:
            view.__class__ = _FLIPPED[op.view_flips(view.flips)]
    view.s, view.seen, view.value = t._s, -1, None
    return view


def view_elsewhere(t: Tensor, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
    """(shape, strides, offset) of the same view of other memory: of a tensor laid out like this instead of the storage's own. None where that is not a matter of strides."""
    steps = []
    view = t._view
    while view is not None:
        steps.append(view)
        view = view.parent
    for step in reversed(steps):
        op = step.call.op
        if op is None or op.strides is None or op.view_type is not None or op.view_flips is not None:
            return None
        if op.view_from_start:
            found = _steps_elsewhere(step, aval_of_base(t).shape, strides, offset) if step.parent is None and op.name == "as_strided" else None
            if found is None:
                return None
            shape, strides, offset = found
            continue
        rest = iter(step.numbers)
        try:
            shape, strides, offset = op.strides(tuple(shape), tuple(strides), offset, *[next(rest) if d[0] == "S" else d[2] for d in step.call.key[1:]])
        except RuntimeError:
            return None
    return shape, strides, offset


def aval_of_base(t: Tensor) -> Aval:
    return t._s.value.aval  # type: ignore[no-any-return]


def _steps_elsewhere(view: View, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
    """The same for a view by strides of what is row-major in a ``shape``: each of its steps goes so far along each dim. None where it crosses from the end of one to its next turn."""

    def along(distance: int) -> list[int]:
        found = []
        for step in contiguous_strides(shape):
            found.append(distance // step)
            distance %= step
        return found

    steps = [along(s) for s in view.strides or contiguous_strides(view.aval.shape)]
    furthest = along(view.offset)
    for n, step in zip(view.aval.shape, steps, strict=True):
        furthest = [at + (n - 1) * d for at, d in zip(furthest, step, strict=True)]
    if 0 in view.aval.shape or any(at >= n for at, n in zip(furthest, shape, strict=True)):
        return None

    def there(step: list[int]) -> int:
        return sum(d * s for d, s in zip(step, strides, strict=True))

    return view.aval.shape, tuple(map(there, steps)), offset + there(along(view.offset))


def laid_out(op: Op, a: Aval, strides: tuple[int, ...], args: tuple[Any, ...]) -> Any:
    """A view's (shape, strides, offset), for memory that begins at 0. What is refused names the elements' type."""
    assert op.strides is not None
    try:
        return op.strides(a.shape, strides, 0, *args)
    except RuntimeError as error:
        if "torch.FloatTensor" in str(error):  # the arithmetic knows no types
            raise RuntimeError(str(error).replace("torch.FloatTensor", _dtypes.cpp_type(a.dtype), 1)) from None
        raise


def _layout_after(op: Op, args: tuple[Any, ...], a: Aval, strides: tuple[int, ...] | None) -> Any:
    """(aval, strides, how far the offset moves) of the view that ``op`` takes of a tensor like this; None for the last where that is not so simple."""
    key = (op, args, a, strides)
    found = _layouts.get(key)
    if found is None:
        if a.__class__ is SparseAval:
            raise SparseMet(op.name)
        kind = a.dtype if op.view_type is None else op.view_type(a.dtype, *args)
        shape, out, moved = laid_out(op, a, strides or contiguous_strides(a.shape), args)
        shape, out = tuple(shape), tuple(out)
        scaled = moved if op.view_type is None and op.view_flips is None and not op.view_from_start else None
        found = (aval(shape, kind, a.device), None if out == contiguous_strides(shape) else out, scaled)
        if len(_layouts) > 20000:
            _layouts.clear()
        _layouts[key] = found
    return found


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Row-major, dims of size 1 aside."""
    step = 1
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n == 0:
            return True
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


def copied(view: View | None, s: Storage) -> View | None:
    """The same steps, for another storage."""
    if view is None:
        return None
    new = view.__class__()
    new.parent, new.call, new.numbers, new.aval = copied(view.parent, s), view.call, view.numbers, view.aval
    new.strides, new.offset, new.s, new.seen, new.value = view.strides, view.offset, s, -1, None
    return new


def read(t: Tensor) -> Value:
    """The current value of a tensor."""
    if t._view is None:
        return t._s.value  # type: ignore[no-any-return]  # asked for with every call
    return read_view(t._view, t._s)


def _one_below() -> int:
    above = View()
    below = [above]
    return getrefcount(above) if below else 0


_ONE_BELOW = _one_below()  # what getrefcount says of a step that a local name has, and one view below it: its tensor is no more


def read_view(view: View, s: Storage) -> Value:
    if view.value is not None and view.seen == s.version and s.host is None:
        return view.value  # type: ignore[no-any-return]
    if s.host is not None and not settled(s):
        memory = host_view(s.host, view.aval.shape, view.strides or contiguous_strides(view.aval.shape), view.offset, view.aval.dtype.memory)
        return value_of(flipped(memory, view), CPU, view.aval.dtype) if view.flips else value_of(memory.copy())
    base = s.value
    array: Any = None
    if base.trace is None:
        array = memory_of(base) if state.host else base.array
        if array.__class__ is not np.ndarray and was_given(base) and base.aval.dtype.category < 2 and base.aval.device is CPU:
            array = looked_at(array, base)  # a batch's numbers that come again: the step is what it was when they came first
    if array.__class__ is np.ndarray and s.strides is None and array.flags.c_contiguous and not view.flips and state.observed is None and _lies_so(base, view):
        # Still on the host (loaded data): a numpy view costs no program. (Who watches a call must see that the one comes from the other.)
        v = value_of(host_view(array, view.aval.shape, view.strides or contiguous_strides(view.aval.shape), view.offset, view.aval.dtype.np), CPU, view.aval.dtype)
    else:
        above = view.parent
        v = record_one(view.call, base if above is None else read_view(above, s), view.numbers)
        if above is not None and getrefcount(above) <= _ONE_BELOW and state.observed is None:
            above.seen, above.value = -1, None  # nobody else can ask for it: kept, it would be one more result of the program
    view.seen, view.value = s.version, v
    return v


def _lies_so(base: Value, view: View) -> bool:
    """Whether an array of a storage's elements can be read as its memory: what carries complex32 is wider."""
    return view.aval.dtype is base.aval.dtype or complex32 is not view.aval.dtype and complex32 is not base.aval.dtype


def same_memory(view: View | None, s: Storage, v: Value) -> bool:
    """Whether the memory that a storage shares with numpy still holds this value."""
    memory = s.host if view is None else host_view(s.host, view.aval.shape, view.strides or contiguous_strides(view.aval.shape), view.offset, view.aval.dtype.memory)
    if v.array is None or isinstance(v.array, jax.core.Tracer) or v.aval.shape != memory.shape:
        return False
    held, memory = [_dtypes.in_memory(a, v.aval.dtype) for a in (np.asarray(v.array), flipped(memory, view))]
    return bool(held.dtype == memory.dtype and held.tobytes() == memory.tobytes())


def elements(t: Tensor) -> np.ndarray:
    """The elements as a numpy array that must not be written, whatever has to run for it. NotImplementedError on the meta device."""
    view, s = t._view, t._s
    if view is not None and s.host is None and s.strides is None and not state.host and (view.value is None or view.seen != s.version):
        # Where the storage's own value is in this memory, a numpy view costs no program: loops look at element after element.
        base = s.value
        array = force(base) if base.aval.device is CPU else None
        memory: Any = looked_at(array, base) if isinstance(array, jax.Array) and not isinstance(array, jax.core.Tracer) else array
        if memory.__class__ is np.ndarray and memory.flags.c_contiguous and _lies_so(base, view):
            memory = host_view(memory, view.aval.shape, view.strides or contiguous_strides(view.aval.shape), view.offset, view.aval.dtype.np)
            return flipped(memory, view)
    return numpy_of(read(t))


_puts: dict[Any, Call] = {}  # by the call of a step, or those of several
forgetting.interned.append(_puts)


def put_call(call: Call) -> Call:
    """The call that writes through a step: (whole, part, *numbers) -> whole."""
    found = _puts.get(call)
    if found is None:
        op, key = call.op, call.key
        specific = _ops.PUT.get(op.name)

        def apply(whole: Any, part: Any, *numbers: Any) -> Any:
            rest = iter(numbers)
            args = [next(rest) if d[0] == "S" else d[2] for d in key[1:]]
            if specific is not None:
                return specific(whole, part, *args)
            return _ops.put_generic(op.fn, whole, part, *args)

        found = _puts[call] = Call(None, ("put", call), apply, f"{op.name}_put", grad_name="CopySlices", origin=(put_call, (call,)))
    return found


def put_at_once(steps: list[View]) -> Call | None:
    """The call that writes through several steps: (whole, part, *numbers of each step) -> whole. None if they can be gone back one by one: not where one of
    them shows an element more than once (expand, unfold), because what becomes of one of its copies does not tell what becomes of the element."""
    if not any(_overlaps(step) for step in steps[:-1]):
        return None
    return _put_calls(*[step.call for step in steps])


def _put_calls(*calls: Call) -> Call:
    found = _puts.get(calls)
    if found is None:
        counts = [sum(d[0] == "S" for d in call.key) for call in calls]

        def apply(whole: Any, part: Any, *numbers: Any) -> Any:
            rest = iter(numbers)
            at = jax.lax.iota(np.int64, whole.size).reshape(whole.shape)
            for call, n in zip(calls, counts, strict=True):
                if call.op.view_flips is not None and call.op.view_type is None:  # conjugates or negates: of the elements, wherever in the chain
                    part = call.apply(part)
                else:
                    at = call.apply(at, *[next(rest) for _ in range(n)])
            return whole.reshape(-1).at[at.reshape(-1)].set(part.reshape(-1)).reshape(whole.shape)

        found = _puts[calls] = Call(None, ("put", calls), apply, "put_at_once", grad_name="CopySlices", origin=(_put_calls, calls))
    return found


def _overlaps(view: View) -> bool:
    """Whether several elements of a view may be one place in memory."""
    reach = 0
    for stride, n in sorted((st, n) for st, n in zip(view.strides or (), view.aval.shape, strict=False) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (n - 1)
    return False


def write_through(view: View, whole: Value, part: Value) -> Value:
    """The storage's value after the view's elements became ``part``."""
    if view.parent is None:
        return record_multi(put_call(view.call), (whole, part, *view.numbers))[0]
    middle = whole
    steps = chain(view)
    direct = put_at_once(steps)
    if direct is not None:
        return record_multi(direct, (whole, part, *[x for step in steps for x in step.numbers]))[0]
    values = [middle]
    for step in steps[:-1]:
        middle = record_multi(step.call, (middle, *step.numbers))[0]
        values.append(middle)
    new = part
    for step, before in zip(reversed(steps), reversed(values), strict=True):
        new = record_multi(put_call(step.call), (before, new, *step.numbers))[0]
    return new


def chain(view: View | None, stop: View | None = None) -> list[View]:
    """The steps from ``stop`` (exclusive; None: the storage) to ``view``."""
    steps: list[View] = []
    while view is not None and view is not stop:
        steps.append(view)
        view = view.parent
    steps.reverse()
    return steps


class Changed(Exception):
    """Somebody else has written a tensor since it was read."""


def write(t: Tensor, v: Value, read_at: int | None = None) -> None:
    """Replace the elements of ``t`` by ``v`` (same shape and type), for every tensor that shares them. ``read_at``: the version that ``v`` was computed from;
    :class:`Changed`, before anything has happened, if it is no longer that."""
    s, view = t._s, t._view
    apart = state.stops and not state.mode & GRAD
    if s.__class__ is Stopped:
        s, apart = s.of, True
    if v.__class__ is Value and v.trace is None and v.array.__class__ is Lanes:
        _check_lanes(s.value, v.array)
    at_home = s.value.aval if placing_in_use and s.host is None and s.value.aval.__class__ is PlacedAval else None
    if at_home is not None and view is None:
        v = fitted(v, at_home)
    if state.undo:
        keep(s)
    if s.host is not None:
        memory = s.host if view is None else host_view(s.host, view.aval.shape, view.strides or contiguous_strides(view.aval.shape), view.offset, view.aval.dtype.memory)
        array = _dtypes.in_memory(flipped(np.asarray(force(v)), view), v.aval.dtype)
        if read_at is not None and s.version != read_at:
            raise Changed
        np.copyto(memory, array)
        s.version += 1
        return
    # From looking to writing nothing is called: a thread or a handler that wrote another part in the meantime is seen.
    if view is None:
        if read_at is not None and s.version != read_at:
            raise Changed
        s.value = with_history(s, s.value, v) if apart else v
        s.version += 1
        return
    while True:
        whole = s.value
        new = write_through(view, whole, v)
        if apart:
            new = with_history(s, whole, new)
        if at_home is not None:
            new = fitted(new, at_home)
        if s.version != read_at and read_at is not None:
            raise Changed
        if s.value is whole:
            s.value = new
            s.version = at = s.version + 1
            view.seen, view.value = (at, v) if at_home is None and not apart else (-1, None)
            return


@jax.custom_jvp  # type: ignore[untyped-decorator]  # jax is not followed
def _new_for(old: Any, new: Any) -> Any:
    return new


_new_for.defjvp(lambda primals, tangents: (primals[1], tangents[0]))


def with_history(s: Storage, old: Value, new: Value) -> Value:
    """What is written without gradients where JAX differentiates: the new elements with the derivative of the old ones, as a tensor keeps its history. (State that is
    given back has none.)"""
    if old.__class__ is not Value or not isinstance(old.array, jax.core.Tracer) or new.aval.dtype.category < 2 or any([id(s) in ids for ids in given_back]):
        return new
    made = Value()
    made.aval, made.array, made.trace, made.pos = new.aval, _new_for(old.array, force(new)), None, -1
    return made


def laid_like(t: Tensor, like: Tensor) -> Tensor:
    """A new tensor, on the grid of devices that ``like`` lies on: in its places if it is of its shape, else whole on each. (Both may be ordinary.)"""
    if placing_in_use:
        a = read(like).aval
        if a.__class__ is PlacedAval:
            own: Aval = t._s.value.aval
            t._s.value = fitted(t._s.value, placed_aval(own, a.grid, tuple([None if isinstance(p, str) or own.shape != a.shape else p for p in a.places])))  # type: ignore[attr-defined]
    return t


def _check_lanes(old: Value, new: Lanes) -> None:
    """RuntimeError in torch's words if what is different from lane to lane is written into memory that is there once."""
    _check_level(old, new.level, "arithmetic")


def check_lanes(t: Tensor, level: Level, what: str) -> None:
    """The same for what is to be written into a tensor by an operator ``what``, in each lane of this level."""
    _check_level(read(t), level, what)


def _check_level(old: Value, level: Level, what: str) -> None:
    known = old.array
    while known.__class__ is Lanes:
        if known.level is level:
            return
        known = known.value.array
    if not level.made_here(old):
        raise RuntimeError(
            f"vmap: inplace {what}(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has more elements than `self`. "
            "This happened due to `other` being vmapped over but `self` not being vmapped over in a vmap. Please try to use out-of-place operators instead of "
            f"inplace {what}. If said operator is being called inside the PyTorch framework, please file a bug report instead."
        )


def is_traced(t: Tensor) -> bool:
    """Whether the value of a tensor cannot be looked at: it is a JAX tracer, or differs from lane to lane of a vmap."""
    return unknown(t._s.value.array)


class Stopped(Storage):
    """The memory of another storage, whose value is behind ``jax.lax.stop_gradient``: what ``detach`` is where JAX differentiates. Writes go to the other."""

    __slots__ = ("of",)
    of: Storage

    @property
    def value(self) -> Any:  # type: ignore[override]
        v = self.of.value
        if isinstance(v.array, jax.core.Tracer):
            stopped = Value()
            stopped.aval, stopped.array, stopped.trace, stopped.pos = v.aval, jax.lax.stop_gradient(v.array), None, -1
            return stopped
        return v

    @value.setter
    def value(self, new: Any) -> None:
        self.of.value = new

    @property
    def version(self) -> int:  # type: ignore[override]
        return self.of.version

    @version.setter
    def version(self, n: int) -> None:
        self.of.version = n


def stopped(s: Storage) -> Storage:
    """The storage as ``detach`` sees it: another one only where its value is a JAX tracer."""
    if s.__class__ is not Storage:  # memory that numpy shares: asking for its value would copy it
        return s
    v = s.value
    if v.__class__ is not Value or not isinstance(v.array, jax.core.Tracer):
        return s
    made = Stopped()
    made.of = s
    made.strides, made.host, made.ptr, made.extra = s.strides, s.host, s.ptr, s.extra
    return made


given_back: list[set[int]] = []  # ids of storages that a function of JAX returns when it ends: what is written to them does not stay


def warn_leak(what: str) -> None:
    """Say that a tensor holds a value that is there only while JAX traces."""
    warnings.warn(
        f"{what} a value that is known only while JAX traces the function: it cannot be used afterwards. Use jtorch.func.pure_function, which takes the "
        "parameters and buffers and returns the new ones, or jtorch.func.value_and_grad",
        stacklevel=3,
    )


def check_no_overlap(t: Tensor) -> None:
    """RuntimeError if several elements of ``t`` are one place in memory (an expanded tensor)."""
    view = t._view
    strides = t._s.strides if view is None else view.strides
    if strides is not None and 0 in strides and 0 not in (shape := aval_of(t).shape) and any(s == 0 and n > 1 for s, n in zip(strides, shape, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
        )
