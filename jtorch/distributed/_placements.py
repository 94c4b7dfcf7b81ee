"""How a tensor lies along a dim of a mesh of devices."""

from __future__ import annotations

from typing import Any

__all__ = ["Partial", "Placement", "Replicate", "Shard", "_StridedShard"]


class Placement:
    """How a tensor lies along one dim of a mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether each device has a part, of this dim if one is named."""
        return False

    def is_replicate(self) -> bool:
        """Whether each device has all of it."""
        return False

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether what the devices have is still to be put together, in this way if one is named."""
        return False

    def _told(self) -> tuple[Any, ...]:
        return ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._told() == other._told()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self._told()))


class Shard(Placement):
    """Each device has a part of this dim."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def is_shard(self, dim: int | None = None) -> bool:
        """As in :class:`Placement`."""
        return dim is None or dim == self.dim

    def _local_shard_size_and_offset(self, curr_local_size: int, num_chunks: int, rank: int) -> tuple[int, int]:
        return self.local_shard_size_and_offset(curr_local_size, num_chunks, rank)

    @staticmethod
    def local_shard_size_and_offset(curr_local_size: int, num_chunks: int, rank: int) -> tuple[int, int]:
        """(size, start) of a device's part: as ``torch.chunk`` cuts, so that the last ones may have less or nothing."""
        each = -(-curr_local_size // num_chunks)
        start = min(each * rank, curr_local_size)
        return min(each * (rank + 1), curr_local_size) - start, start

    def _told(self) -> tuple[Any, ...]:
        return (self.dim,)

    def __repr__(self) -> str:
        return f"Shard(dim={self.dim})"

    def __str__(self) -> str:
        return f"S({self.dim})"


class _StridedShard(Shard):
    """A part of a dim that was cut before."""

    def __init__(self, dim: int, *, split_factor: int) -> None:
        super().__init__(dim)
        self.split_factor = split_factor

    def is_shard(self, dim: int | None = None) -> bool:
        """It is none of the plain kind."""
        return False

    def _told(self) -> tuple[Any, ...]:
        return self.dim, self.split_factor

    def __repr__(self) -> str:
        return f"_StridedShard(dim={self.dim}, sf={self.split_factor})"

    def __str__(self) -> str:
        return f"_S({self.dim}, {self.split_factor})"


class Replicate(Placement):
    """Each device has all of it."""

    def is_replicate(self) -> bool:
        """It is."""
        return True

    def __repr__(self) -> str:
        return "Replicate()"

    def __str__(self) -> str:
        return "R"


class Partial(Placement):
    """What the devices have is still to be put together."""

    def __init__(self, reduce_op: str = "sum") -> None:
        self.reduce_op = reduce_op

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """As in :class:`Placement`."""
        return reduce_op is None or reduce_op == self.reduce_op

    def _told(self) -> tuple[Any, ...]:
        return (self.reduce_op,)

    def __repr__(self) -> str:
        return f"Partial({self.reduce_op})"

    def __str__(self) -> str:
        return f"P({self.reduce_op})"


for _cls in (Placement, Shard, _StridedShard, Replicate, Partial):
    _cls.__module__ = "torch.distributed.tensor.placement_types"
