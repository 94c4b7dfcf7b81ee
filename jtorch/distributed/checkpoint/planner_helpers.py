"""What is read from where: the boxes that are wanted, out of those that there are."""

from __future__ import annotations

from collections.abc import Sequence

from jtorch._public import torch

from .metadata import ChunkStorageMetadata, MetadataIndex, TensorStorageMetadata
from .planner import LoadItemType, ReadItem

__all__ = ["create_read_items_for_chunk_list"]


def _overlap(have: ChunkStorageMetadata, want: ChunkStorageMetadata) -> list[tuple[int, int, int]] | None:
    """(offset in what is there, offset in what is wanted, length) for each dim; None if there is nothing of it."""
    out = []
    for a, n, b, m in zip(have.offsets, have.sizes, want.offsets, want.sizes, strict=True):
        start, end = max(a, b), min(a + n, b + m)
        if end <= start:
            return None
        out.append((start - a, start - b, end - start))
    return out


def create_read_items_for_chunk_list(fqn: str, checkpoint_md: TensorStorageMetadata, local_chunks: Sequence[ChunkStorageMetadata]) -> list[ReadItem]:
    """For each box that is wanted of the tensor ``fqn``, the parts of what was saved that fill it."""
    items = []
    for k, b in enumerate(local_chunks):
        for i, chunk in enumerate(checkpoint_md.chunks):
            common = _overlap(chunk, b)
            if common is not None:
                at, to, sizes = (torch.Size([c[j] for c in common]) for j in range(3))
                items.append(ReadItem(LoadItemType.TENSOR, MetadataIndex(fqn, b.offsets, k), to, MetadataIndex(fqn, chunk.offsets, i), at, sizes))
    return items
