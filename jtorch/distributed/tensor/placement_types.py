"""``torch.distributed.tensor.placement_types``: how a tensor lies along a dim of a mesh."""

from __future__ import annotations

from jtorch.distributed._placements import Partial, Placement, Replicate, Shard, _StridedShard

from ._api import DTensorSpec, TensorMeta

__all__ = ["DTensorSpec", "Partial", "Placement", "Replicate", "Shard", "TensorMeta", "_StridedShard"]
