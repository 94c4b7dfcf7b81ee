"""How a tensor lies on a mesh of devices, and how modules share their work on one, as libraries' plans say it. Plans are data and can be made anywhere; to apply one
is refused where it is tried."""

from __future__ import annotations

import abc
from typing import Any

from jtorch._errors import not_implemented

__all__ = [
    "ColwiseParallel", "ParallelStyle", "Partial", "Placement", "PrepareModuleInput", "PrepareModuleInputOutput", "PrepareModuleOutput", "Replicate", "RowwiseParallel",
    "SequenceParallel", "Shard", "_StridedShard",
]  # fmt: skip


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


class ParallelStyle(abc.ABC):
    """How a module shares its work."""

    src_data_rank: int | None = 0

    @abc.abstractmethod
    def _apply(self, module: Any, device_mesh: Any) -> Any: ...


class _Declined(ParallelStyle):
    def _apply(self, module: Any, device_mesh: Any) -> Any:
        return not_implemented("torch.distributed.tensor.parallel", "jtorch shares work by placing arrays on a mesh: jtorch.func and jax.sharding")


def _several(layouts: Any) -> Any:
    return (layouts,) if isinstance(layouts, Placement) else layouts


class ColwiseParallel(_Declined):
    """A linear layer or an embedding by its outputs."""

    def __init__(self, *, input_layouts: Placement | None = None, output_layouts: Placement | None = None, use_local_output: bool = True) -> None:
        super().__init__()
        self.input_layouts, self.output_layouts = (input_layouts or Replicate(),), (output_layouts or Shard(-1),)
        self.desired_input_layouts, self.use_local_output = (Replicate(),), use_local_output


class RowwiseParallel(_Declined):
    """A linear layer or an embedding by its inputs."""

    def __init__(self, *, input_layouts: Placement | None = None, output_layouts: Placement | None = None, use_local_output: bool = True) -> None:
        super().__init__()
        self.input_layouts, self.output_layouts, self.use_local_output = (input_layouts or Shard(-1),), (output_layouts or Replicate(),), use_local_output


class SequenceParallel(_Declined):
    """A layer that works on each element of a sequence."""

    def __init__(self, *, sequence_dim: int = 1, use_local_output: bool = False) -> None:
        super().__init__()
        self.sequence_sharding, self.use_local_output = (Shard(sequence_dim),), use_local_output


class PrepareModuleInput(_Declined):
    """What lies how before a module is called."""

    def __init__(
        self, *, input_layouts: Any = None, desired_input_layouts: Any = None, input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None, use_local_output: bool = False,
    ) -> None:  # fmt: skip
        self.input_layouts, self.desired_input_layouts = _several(input_layouts), _several(desired_input_layouts)
        self.use_local_output, self.with_kwargs = use_local_output, input_kwarg_layouts is not None
        self.input_kwarg_layouts, self.desired_input_kwarg_layouts = input_kwarg_layouts or {}, desired_input_kwarg_layouts or {}


class PrepareModuleOutput(_Declined):
    """What lies how after a module was called."""

    def __init__(self, *, output_layouts: Any, desired_output_layouts: Any, use_local_output: bool = True) -> None:
        self.output_layouts, self.desired_output_layouts, self.use_local_output = _several(output_layouts), _several(desired_output_layouts), use_local_output


class PrepareModuleInputOutput(_Declined):
    """Both."""

    def __init__(
        self, *, input_layouts: Any = None, desired_input_layouts: Any = None, input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None, use_local_input: bool = False, output_layouts: Any, desired_output_layouts: Any,
        use_local_output: bool = True,
    ) -> None:  # fmt: skip
        self.prepare_module_input = PrepareModuleInput(
            input_layouts=input_layouts, desired_input_layouts=desired_input_layouts, input_kwarg_layouts=input_kwarg_layouts,
            desired_input_kwarg_layouts=desired_input_kwarg_layouts, use_local_output=use_local_input,
        )  # fmt: skip
        self.prepare_module_output = PrepareModuleOutput(output_layouts=output_layouts, desired_output_layouts=desired_output_layouts, use_local_output=use_local_output)


for _cls in (ColwiseParallel, RowwiseParallel, SequenceParallel, ParallelStyle, PrepareModuleInput, PrepareModuleInputOutput, PrepareModuleOutput):  # type: ignore[assignment]
    _cls.__module__ = "torch.distributed.tensor.parallel.style"
