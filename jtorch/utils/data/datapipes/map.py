"""``torch.utils.data.datapipes.map``: pipes that are indexed."""

from __future__ import annotations

from . import MapDataPipe
from ._classes import SequenceWrapper, named

__all__ = ["Batcher", "Concater", "Mapper", "SequenceWrapper", "Zipper"]

Batcher, Concater, Mapper, Zipper = (
    named(f"{name}MapDataPipe", form, MapDataPipe) for name, form in (("Batcher", "batch"), ("Concater", "concat"), ("Mapper", "map"), ("Zipper", "zip"))
)
