"""How a draw becomes a tensor: on cpu a numpy array in torch's fill order, elsewhere a recorded operator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _device, _dtypes
from jtorch._core.dispatch.conversion import format_strides, with_strides
from jtorch._core.dispatch.inplace import assign, check_writable
from jtorch._core.dispatch.record import apply_multi
from jtorch._core.state.generator import NEEDS_KEY, OWN_GENERATOR, Generator, observers, pick
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._core.storage.view_steps import aval_of, is_contiguous, read, strides_of
from jtorch._core.tensor.creation import from_array
from jtorch._engine.recording.call import T, call_of, slot, value
from jtorch._engine.values.lanes import Lanes, lanes_of, within
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._errors import no_kernel
from jtorch._namespace import torch
from jtorch._random.engine import MT19937
from jtorch._registry import lookup

from .creation import _dense_like, make

# A sampler: (generator, shape, numpy type, strides or None) -> array.
Sampler = Callable[[MT19937, tuple[int, ...], Any, Any], np.ndarray]
# The same for accelerators: (kind, a, b) of the operator device_random.
OnDevice = tuple[str, Any, Any]

_IS_FLOAT = frozenset((_dtypes.float16, _dtypes.bfloat16, _dtypes.float32, _dtypes.float64))


def internal(name: str, *args: Any) -> Any:
    """Record an internal operator: tensors and numbers as they come, dtypes, ints in tuples, strings and bools as structure."""
    op = lookup("internal." + name)
    key: list[Any] = []
    flat: list[Any] = []
    for p, a in zip(op.signatures[0].params, args, strict=True):
        if isinstance(a, Tensor):
            key.append(T)
            flat.append(a)
        elif p.kind == "Scalar":
            key.append(slot(a.__class__))
            flat.append(a)
        else:
            key.append(value(a))
    return apply_multi(call_of(op, tuple(key)), flat)


def from_draw(sample: Callable[[MT19937], np.ndarray], generator: Generator) -> Tensor:
    """A cpu tensor on what ``sample`` draws from a cpu generator."""
    engine = generator._engine
    if _being_traced():
        raise RuntimeError(NEEDS_KEY if state.keys is None or state.keys._key is None else OWN_GENERATOR)
    t = from_array(sample(engine), device=_device.CPU)
    for watch in observers:
        watch(read(t), partial(sample, engine))
    return t


def fresh(
    shape: tuple[int, ...], dtype: Any, where: _device.device, generator: Any, sampler: Sampler, on_device: OnDevice, strides: Any = None
) -> Tensor:
    """A new tensor filled by a sampler. ``strides`` is the layout to give it, None for contiguous."""
    if where.type == "meta":
        return make(shape, 0, dtype, where)
    levels = state.lanes
    if levels:
        return _in_lanes(levels, shape, dtype, where, generator, sampler, on_device, strides)
    source = pick(generator, where)
    if source._engine is None:
        key, offset = source.next_key()
        return internal("device_random", key, offset, *_numbers(on_device), shape, dtype, on_device[0])  # type: ignore[no-any-return]
    t = from_draw(lambda engine: np.asarray(sampler(engine, shape, dtype.memory, strides), order="C"), source)
    return t if strides is None else with_strides(t, tuple(strides))


def may_draw(*sources: Any) -> None:
    """RuntimeError in torch's words if a ``torch.vmap`` that is under way does not allow to draw by what these say: tensors, or anything else."""
    for level in state.lanes:
        if level.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform "
                "the randomness operation out of vmap"
            )
        if level.randomness == "same" and any(has_lanes(s, level) for s in sources):
            raise RuntimeError("Vmap does not currently support same randomness with a batched tensor input. Please file an issue with functorch")


def has_lanes(t: Any, level: Any) -> bool:
    """Whether a tensor differs from lane to lane of this level."""
    array = read(t).array if isinstance(t, Tensor) else None
    while array.__class__ is Lanes:
        if array.level is level:
            return True
        array = array.value.array
    return False


def no_out(out: Any) -> None:
    """RuntimeError in torch's words for ``out=`` of what is drawn inside ``torch.vmap``."""
    if out is not None and state.lanes:
        raise RuntimeError("vmap: We do not support calling out variants of random operations inside of vmap. Please use non-out variants as a workaround")


def over_lanes(draw: Callable[..., Tensor], *sources: Any) -> Tensor:
    """``draw(*sources)``, where it has to look at the tensors among these: inside ``torch.vmap`` it gets all lanes along one more dim in front, and draws for each, or once for all."""
    levels = state.lanes
    if not levels:
        return draw(*sources)
    may_draw(*sources)
    level = levels[-1]
    different = level.randomness == "different"
    state.lanes = levels[:-1]
    try:
        if different:
            ranks = [len(aval_of(s).shape) for s in sources if isinstance(s, Tensor)]
            with torch.no_grad():
                sources = tuple(_all_lanes(s, level, max(ranks), n == 0) for n, s in enumerate(sources))
        t = over_lanes(draw, *sources)
    finally:
        state.lanes = levels
    return new_tensor(within(read(t), level)) if different else t


def _all_lanes(t: Any, level: Any, rank: int, each: bool) -> Any:
    """A tensor with the lanes of this level as its first dim, before ``rank`` others; where it has none, only if ``each`` lane is to draw by it."""
    if not isinstance(t, Tensor):
        return t
    shape = aval_of(t).shape
    v = lanes_of(read(t), level)
    if v is None:
        return t.detach().expand(level.size, *(1,) * (rank - len(shape)), *shape) if each else t
    if rank == len(shape):
        return new_tensor(v, _layout(read(t).array))
    return new_tensor(v).reshape(level.size, *(1,) * (rank - len(shape)), *shape)


def lanes_layout(t: Tensor) -> tuple[int, ...] | None:
    """The strides of all lanes that are drawn for, the level's first, where the caller of ``torch.vmap`` had them elsewhere; None: row-major."""
    different = [level for level in state.lanes if level.randomness == "different"]
    array = read(t).array
    return _layout(array) if len(different) == 1 and array.__class__ is Lanes and array.level is different[0] else None


def _layout(lanes: Lanes) -> tuple[int, ...] | None:
    shape = list(lanes.value.aval.shape)
    at = lanes.dim % len(shape)
    if not at:
        return None
    shape.insert(at, shape.pop(0))
    strides = list(contiguous_strides(tuple(shape)))
    return (strides.pop(at), *strides)


def _in_lanes(
    levels: tuple[Any, ...], shape: tuple[int, ...], dtype: Any, where: Any, generator: Any, sampler: Sampler, on_device: OnDevice, strides: Any
) -> Tensor:
    """A draw inside ``torch.vmap``: one for all lanes, or one for each."""
    may_draw()
    different = [level for level in levels if level.randomness == "different"]
    state.lanes = ()
    try:
        full = (*[level.size for level in different], *shape)
        t = fresh(full, dtype, where, generator, sampler, on_device, strides if strides is not None and len(strides) == len(full) > len(shape) else None)
    finally:
        state.lanes = levels
    v = read(t)
    for level in different:
        v = within(v, level)
    return new_tensor(v)


def _numbers(on_device: OnDevice) -> tuple[Any, Any]:
    kind, a, b = on_device
    return (int(a), int(b)) if kind in ("integers", "permutation") else (float(a), float(b))


def fill(self: Tensor, history: str, generator: Any, sampler: Sampler, on_device: OnDevice) -> Tensor:
    """Overwrite ``self`` by a sampler, in the order of its memory; its gradient from before becomes zero."""
    check_writable(self, name=on_device[0].replace("integers", "random") + "_")
    a = aval_of(self)
    if a.device.type == "meta":
        return self
    if state.lanes:
        drawn = fresh(a.shape, a.dtype, a.device, generator, sampler, on_device, in_place_layout(self))
        return put(self, history, drawn)
    strides = strides_of(self) if a.device is _device.CPU else None
    contiguous = strides is None or is_contiguous(a.shape, strides)
    drawn = fresh(a.shape, a.dtype, a.device, generator, sampler, on_device, None if contiguous else strides)
    drawn._s.strides = None
    return put(self, history, drawn)


def in_place_layout(self: Tensor) -> tuple[int, ...] | None:
    """:func:`lanes_layout` of what is overwritten. RuntimeError in torch's words where each lane is to draw its own, and ``self`` is there once."""
    may_draw()
    if any(level.randomness == "different" and not has_lanes(self, level) and not level.made_here(read(self)) for level in state.lanes):
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same randomness. "
            "If this is necessary for your usage, please file an issue with functorch."
        )
    return lanes_layout(self)


def put(self: Tensor, history: str, drawn: Tensor) -> Tensor:
    """Assign drawn values; ``check_writable`` has been called."""
    if self._edge is not None and state.mode & GRAD:
        drawn = internal("drawn_" + history, self.detach(), drawn) if self._edge is None else internal("drawn_" + history, self, drawn)  # type: ignore[attr-defined]
    return assign(self, drawn)


def with_zero_gradient(history: str, source: Tensor, drawn: Tensor) -> Tensor:
    """``drawn`` as a function of ``source`` that has gradient zero, where a gradient is asked for."""
    if state.mode & GRAD and source._edge is not None:
        return internal("drawn_" + history, source, drawn)  # type: ignore[no-any-return]
    return drawn


def like_layout(input: Tensor, memory_format: Any) -> tuple[tuple[int, ...], Any]:
    """(shape, strides or None) of an ``empty_like``."""
    shape = aval_of(input).shape
    if state.lanes:
        return shape, lanes_layout(input)
    if memory_format is None or memory_format.name == "preserve_format":
        strides = strides_of(input)
        if is_contiguous(shape, strides):
            return shape, None
        strides = _dense_like(shape, strides)
    else:
        strides = format_strides(shape, memory_format)
    return shape, None if is_contiguous(shape, strides) else strides


def needs_float(name: str, dtype: Any, complex_too: bool = False) -> None:
    """NotImplementedError in torch's words unless the type is a floating one that samplers know."""
    if dtype not in _IS_FLOAT and not (complex_too and dtype.is_complex):
        no_kernel(name, dtype)
