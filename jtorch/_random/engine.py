"""The generator behind ``torch.Generator("cpu")``: MT19937 with torch's seeding, cached normal sample and state format."""

from __future__ import annotations

import os
from ctypes import memmove, string_at
from typing import Any

import numpy as np

__all__ = ["DEFAULT_SEED", "MT19937", "STATE_BYTES", "seed_to_uint64"]

DEFAULT_SEED = 67280421310721
STATE_BYTES = 5056
_BYTES = 625 * 4  # of numpy's state: 624 words and a position
_FEW = 1024  # below this many draws, numpy's raw call (1 µs) beats Generator.integers (7 µs)
_HALF = np.uint64(32)

# The bytes of torch's CPU generator state. `cached_*` is the second sample of a Box-Muller pair, `pad*` alignment.
_STATE = np.dtype(
    [
        ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("key", "<u8", 624),
        ("normal_x", "<f8"), ("normal_y", "<f8"), ("normal_rho", "<f8"), ("normal_valid", "<i4"), ("pad", "<i4"),
        ("cached_f32", "<f4"), ("f32_valid", "u1"), ("pad2", "u1", 3),
    ]
)  # fmt: skip


def seed_to_uint64(seed: Any) -> int:
    """``seed`` as torch takes it: an integer in [-2**63, 2**64), a negative one wrapped to 64 bits."""
    value = int(seed)
    if not -(2**63) <= value < 2**64:
        raise ValueError("Overflow when unpacking long long")
    return value & (2**64 - 1)


class MT19937:
    """Mersenne twister over numpy's bit generator, whose stream with the old seeding is torch's.

    Samplers draw in bulk with :meth:`u32` and :meth:`u64`. ``next_normal`` is the float64 sample that an odd number of
    Box-Muller draws has left over, ``next_normal_f32`` its float32 relative (torch stores it; no CPU sampler uses it).
    """

    __slots__ = ("_bits", "_draw", "_seeder", "_seed", "_unused", "next_normal", "next_normal_f32")
    next_normal: float | None
    next_normal_f32: float | None

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._bits = np.random.MT19937(0)
        self._draw = np.random.Generator(self._bits).integers
        self._seeder = np.random.RandomState(self._bits)
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> MT19937:
        """Start the stream of ``seed`` (its low 32 bits decide) and forget the cached samples."""
        self._seed = seed_to_uint64(seed)
        self._seeder.seed(self._seed & 0xFFFFFFFF)
        self._unused = True
        self.next_normal = self.next_normal_f32 = None
        return self

    def seed(self) -> int:
        """Seed from the operating system's randomness and return that seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed last set, as an unsigned 64-bit integer."""
        return self._seed

    def u32(self, count: int) -> np.ndarray:
        """The next ``count`` outputs, uint32."""
        if count < _FEW:
            self._unused = self._unused and not count
            return self._bits.random_raw(count).astype(np.uint32)
        self._unused = False
        return self._draw(0, 4294967296, count, np.uint32)

    def u64(self, count: int) -> np.ndarray:
        """The next ``count`` pairs of outputs as uint64, the earlier output in the high half."""
        if count < _FEW:
            self._unused = self._unused and not count
            pairs = self._bits.random_raw(2 * count)
            return (pairs[0::2] << _HALF) | pairs[1::2]
        self._unused = False
        return self._draw(0, 18446744073709551616, count, np.uint64)

    def uniform(self) -> float:
        """One float64 uniform of [0, 1)."""
        self._unused = False
        raw = self._bits.random_raw
        return ((raw() << 32 | raw()) & 0x1FFFFFFFFFFFFF) * 2.0**-53

    def skip(self, count: int) -> None:
        """Pass over ``count`` 32-bit outputs."""
        if count:
            self._unused = False
            self._bits.random_raw(count, output=False)

    def snapshot(self) -> tuple[bytes, bool]:
        """The position in the stream, for :meth:`rewind` (the cached normal sample is not part of it)."""
        return string_at(self._bits.ctypes.state_address, _BYTES), self._unused

    def rewind(self, mark: tuple[bytes, bool]) -> None:
        """Return to a position from :meth:`snapshot`."""
        memmove(self._bits.ctypes.state_address, mark[0], _BYTES)
        self._unused = mark[1]

    def get_state(self) -> np.ndarray:
        """torch's CPU state: 5056 bytes, uint8. ``torch.Generator.set_state`` of real torch accepts it."""
        state = np.zeros((), _STATE)
        inner: dict[str, Any] = self._bits.state["state"]  # type: ignore[assignment]
        position = inner["pos"]
        state["seed"], state["seeded"], state["key"] = self._seed, 1, inner["key"]
        # torch counts what is left of the block of 624; a freshly seeded block has not been generated yet
        state["left"], state["next"] = (1, 0) if self._unused else (625 - position, position)
        if self.next_normal is not None:
            state["normal_y"], state["normal_valid"] = self.next_normal, 1
        if self.next_normal_f32 is not None:
            state["cached_f32"], state["f32_valid"] = self.next_normal_f32, 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, state: np.ndarray) -> None:
        """Take over a state from :meth:`get_state` or from real torch. RuntimeError where the bytes are no such state."""
        raw = np.ascontiguousarray(state)
        if raw.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if raw.size != STATE_BYTES:
            size = raw.size
            raise RuntimeError(f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG state size to be {size}")
        fields = np.frombuffer(raw.tobytes(), _STATE)[0]
        left, following = int(fields["left"]), int(fields["next"])
        if not fields["seeded"] or not 0 < left <= 624 or following > 624:
            raise RuntimeError("Invalid mt19937 state")
        self._seed, self._unused = int(fields["seed"]), left == 1 and following == 0
        position = 624 if left == 1 else following  # left == 1: the next draw makes a new block
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": fields["key"].astype(np.uint32), "pos": position}}
        self.next_normal = float(fields["normal_y"]) if fields["normal_valid"] else None
        self.next_normal_f32 = float(fields["cached_f32"]) if fields["f32_valid"] else None

    def clone(self) -> MT19937:
        """An independent generator at the same place of the same stream."""
        other = MT19937.__new__(MT19937)
        MT19937.__init__(other, self._seed)
        other.set_state(self.get_state())
        return other
