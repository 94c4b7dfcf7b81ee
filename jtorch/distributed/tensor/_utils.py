"""``torch.distributed.tensor._utils``: what libraries ask for."""

from __future__ import annotations

from ._api import local_shape_and_offset as compute_local_shape_and_global_offset

__all__ = ["compute_local_shape", "compute_local_shape_and_global_offset"]


def compute_local_shape(global_shape: tuple[int, ...], mesh: object, placements: object) -> tuple[int, ...]:
    """The shape of this rank's part."""
    return compute_local_shape_and_global_offset(global_shape, mesh, placements)[0]  # type: ignore[arg-type]
