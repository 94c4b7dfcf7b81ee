"""How a draw becomes a tensor: on cpu a numpy array in torch's fill order, elsewhere a recorded operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _device, _dtypes
from jtorch._core.dispatch.conversion import format_strides, with_strides
from jtorch._core.dispatch.inplace import assign, check_writable
from jtorch._core.dispatch.record import apply_multi
from jtorch._core.state.generator import NEEDS_KEY, Generator, observers, pick
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, is_contiguous, read, strides_of
from jtorch._core.tensor.creation import from_array
from jtorch._engine.recording.call import T, call_of, slot, value
from jtorch._engine.values.lanes import within
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._errors import no_kernel
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
        raise RuntimeError(NEEDS_KEY)
    t = from_array(sample(engine), device=_device.CPU)
    for watch in observers:
        watch(read(t), lambda: sample(engine))
    return t


def fresh(
    shape: tuple[int, ...], dtype: Any, where: _device.device, generator: Any, sampler: Sampler, on_device: OnDevice, strides: Any = None
) -> Tensor:
    """A new tensor filled by a sampler. ``strides`` is the layout to give it, None for contiguous."""
    if where.type == "meta":
        return make(shape, 0, dtype, where)
    levels = state.lanes
    if levels:
        return _in_lanes(levels, shape, dtype, where, generator, sampler, on_device)
    source = pick(generator, where)
    if source._engine is None:
        key, offset = source.next_key()
        return internal("device_random", key, offset, *_numbers(on_device), shape, dtype, on_device[0])  # type: ignore[no-any-return]
    t = from_draw(lambda engine: np.asarray(sampler(engine, shape, dtype.np, strides), order="C"), source)
    return t if strides is None else with_strides(t, tuple(strides))


def _in_lanes(levels: tuple[Any, ...], shape: tuple[int, ...], dtype: Any, where: Any, generator: Any, sampler: Sampler, on_device: OnDevice) -> Tensor:
    """A draw inside ``torch.vmap``: one for all lanes, or one for each."""
    if any(level.randomness == "error" for level in levels):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform "
            "the randomness operation out of vmap"
        )
    different = [level for level in levels if level.randomness == "different"]
    state.lanes = ()
    try:
        t = fresh((*[level.size for level in different], *shape), dtype, where, generator, sampler, on_device)
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
    check_writable(self)
    a = aval_of(self)
    if a.device.type == "meta":
        return self
    strides = strides_of(self) if a.device is _device.CPU else None
    contiguous = strides is None or is_contiguous(a.shape, strides)
    drawn = fresh(a.shape, a.dtype, a.device, generator, sampler, on_device, None if contiguous else strides)
    drawn._s.strides = None
    return put(self, history, drawn)


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
