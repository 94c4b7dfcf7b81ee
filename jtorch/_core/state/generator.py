"""``torch.Generator`` and the default generators. On cpu it is torch's own Mersenne twister, elsewhere a seed and a counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jtorch import _device
from jtorch._engine.values.lanes import unknown
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Value, canonical, jax_device, value_of
from jtorch._engine.recording.undo import keep_generator
from jtorch._ops import random as _ops_random
from jtorch._random import normal as _normal
from jtorch._random.engine import DEFAULT_SEED, MT19937, seed_to_uint64

from jtorch._core.tensor.creation import from_array
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, elements, read

__all__ = ["Generator", "default_for", "default_generator", "keys_from", "manual_seed", "observers", "pick", "seed_accelerators"]

# Called with (value, redraw) for each array drawn on the host, so that a program that is replayed without its Python can draw anew.
observers: list[Callable[[Value, Callable[[], np.ndarray]], None]] = []


class Generator:
    """A source of random numbers with a state of its own. ``Generator(device="cpu")``.

    RuntimeError for a device that is not there. States of cpu generators can be exchanged with PyTorch's.
    """

    __slots__ = ("_where", "_engine", "_seed", "_offset", "_key", "__weakref__")

    def __init__(self, device: Any = "cpu") -> None:
        where = canonical(_device.device(device))
        if where.type == "meta":
            raise RuntimeError("META device type not an accelerator.")
        if where.type != "cpu":
            jax_device(where)
        self._where = where
        self._key: Tensor | None
        self._engine: Any = MT19937() if where.type == "cpu" else None
        self._seed, self._offset, self._key = DEFAULT_SEED, 0, None

    @property
    def device(self) -> _device.device:
        """Where its numbers are made."""
        return self._where

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed in [-2**63, 2**64); a negative one counts from 2**64 down. Returns itself."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if self._engine is not None:
            self._engine.manual_seed(int(seed))
        else:
            self._seed, self._offset, self._key = seed_to_uint64(seed), 0, None
        return self

    def seed(self) -> int:
        """Seed from the operating system's randomness; the seed."""
        engine = MT19937() if self._engine is None else self._engine
        found = int(engine.seed())
        if self._engine is None:
            self.manual_seed(found)
        return found

    def initial_seed(self) -> int:
        """The seed last set."""
        return int(self._engine.initial_seed()) if self._engine is not None else self._seed

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor on cpu: 5056 bytes of a cpu generator, else seed and offset."""
        if self._engine is not None:
            return from_array(self._engine.get_state(), device="cpu")
        return from_array(np.array([self._seed, self._offset], np.uint64).view(np.uint8), device="cpu")

    def set_state(self, new_state: Tensor) -> Generator:
        """Take over a state from :meth:`get_state`. Itself."""
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        array = elements(new_state)
        if self._engine is not None:
            self._engine.set_state(array)
            return self
        if array.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if array.size != 16:
            raise RuntimeError("RNG state is wrong size")
        words = np.frombuffer(array.tobytes(), np.uint64)
        self._seed, self._offset, self._key = int(words[0]), int(words[1]), None
        return self

    def clone_state(self) -> Generator:
        """An independent generator in the same state."""
        other = Generator(self._where)
        if self._engine is not None:
            other._engine = self._engine.clone()
        other._seed, other._offset = self._seed, self._offset
        return other

    def get_offset(self) -> int:
        """How many draws an accelerator's generator has made. RuntimeError on cpu."""
        if self._engine is not None:
            raise RuntimeError("CPU Generator does not use offset")
        return self._offset

    def set_offset(self, offset: int) -> None:
        """Move an accelerator's generator to a draw. RuntimeError on cpu."""
        if self._engine is not None:
            raise RuntimeError("CPU Generator does not use offset")
        self._offset = int(offset)

    def __reduce__(self) -> tuple[Any, ...]:
        offset = None if self._engine is not None else self._offset
        return Generator, (self._where,), (self.initial_seed(), offset, self.get_state())

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.manual_seed(state[0])
        if state[1] is not None:
            self.set_offset(state[1])
        self.set_state(state[2])

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {hex(id(self))}>"

    def next_key(self) -> tuple[Tensor, int]:
        """The key on the device and the number of the next draw (accelerators)."""
        if self._key is None:
            halves = np.array([self._seed >> 32, self._seed & 0xFFFFFFFF], np.uint32)
            self._key = from_array(halves, device=self._where)
        self._offset += 1
        return self._key, self._offset - 1


class Keys(Generator):
    """Draws from one JAX key, which may be a tracer: so random numbers are inputs of a program, never constants in it. None refuses to draw."""

    __slots__ = ()

    def __init__(self, key: Any) -> None:
        super().__init__("cpu")
        self._engine = None
        if key is not None:
            words = key if key.dtype == np.uint32 else jax.random.key_data(key)
            self._key = new_tensor(value_of(words.reshape(-1)[:2]))

    def next_key(self) -> tuple[Tensor, int]:
        if self._key is None:
            raise RuntimeError(NEEDS_KEY)
        return super().next_key()


NEEDS_KEY = (
    "random numbers inside JAX's transformations take a key, or they would be constants of the compiled program: "
    "pure_function(module)(params, buffers, x, rngs=key), or `with jtorch.func.rngs(key):` around the code; vmap over keys to have lanes that differ"
)

OWN_GENERATOR = "a draw inside JAX's transformations takes its numbers from the key that is given (rngs), not from a generator of its own: leave out generator="


@contextmanager
def keys_from(key: Any) -> Iterator[None]:
    """Within: draws without a generator come from this JAX key, one after the other. ``None``: they raise RuntimeError."""
    before, state.keys = state.keys, Keys(key)
    try:
        yield
    finally:
        state.keys = before


default_generator = Generator()
_defaults: dict[_device.device, Generator] = {_device.CPU: default_generator}
_seeded = [DEFAULT_SEED]


def default_for(where: _device.device) -> Generator:
    """The default generator of a device, made when first asked for."""
    found = _defaults.get(where)
    if found is None:
        found = _defaults[where] = Generator(where).manual_seed(_seeded[0])
    return found


def manual_seed(seed: Any) -> Generator:
    """Seed the default generators of all devices; the cpu's is returned."""
    number = int(seed)
    default_generator.manual_seed(number)
    seed_accelerators(number)
    return default_generator


def seed_accelerators(seed: int) -> None:
    """Seed the default generators of all devices but the cpu, those not made yet included."""
    _seeded[0] = seed_to_uint64(seed)
    for where, generator in _defaults.items():
        if where is not _device.CPU:
            generator.manual_seed(seed)


def pick(generator: Any, where: _device.device) -> Generator:
    """``generator`` if it fits the device, the device's default for None (or the key that JAX's transformations run with). RuntimeError in torch's words otherwise."""
    if generator is None:
        if state.keys is not None:
            return state.keys  # type: ignore[no-any-return]
        default = default_for(where)
        if state.undo:
            keep_generator(default)
        return default
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    if generator._where.type != where.type:
        raise RuntimeError(f"Expected a '{where.type}' device type for generator but found '{generator._where.type}'")
    if state.undo:
        keep_generator(generator)
    return generator


# Seconds spent on normal fills by numpy, for small and for large ones: the compiled loop is made when it would have paid.
_spent = {1 << 10: 0.0, 1 << 16: 0.0}
_COMPILATION = 0.2


def _fill(uniforms: np.ndarray) -> bool:
    size = 1 << 10 if uniforms.size <= 1 << 12 else 1 << 16
    if _spent[size] < _COMPILATION:
        _spent[size] += 150e-6 + 30e-9 * uniforms.size
        return False
    _ops_random.fill_normal(uniforms, size)
    return True


_normal.block_filler = _fill


def host_values(t: Tensor) -> np.ndarray:
    """The elements of a cpu tensor, computing them if they are pending."""
    return elements(t)


def known(t: Tensor) -> bool:
    """Whether the values of a cpu tensor are there already, so that looking at them runs nothing."""
    v = read(t)
    return v.trace is None and aval_of(t).device is _device.CPU and _concrete(v.array)


def _concrete(array: Any) -> bool:
    return array is not None and not unknown(array)
