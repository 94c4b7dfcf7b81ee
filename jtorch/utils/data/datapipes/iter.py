"""``torch.utils.data.datapipes.iter``: pipes that are iterated over. Those that read files are not here."""

from __future__ import annotations

from . import IterDataPipe
from ._classes import IterableWrapper, named

__all__ = [
    "Batcher", "Collator", "Concater", "Filter", "Grouper", "IterableWrapper", "Mapper", "Multiplexer", "ShardingFilter", "Shuffler", "UnBatcher", "Zipper",
]  # fmt: skip

Batcher, Collator, Concater, Filter, Grouper, Mapper, Multiplexer, ShardingFilter, Shuffler, UnBatcher, Zipper = (
    named(f"{name}IterDataPipe", form, IterDataPipe)
    for name, form in (
        ("Batcher", "batch"), ("Collator", "collate"), ("Concater", "concat"), ("Filter", "filter"), ("Grouper", "groupby"), ("Mapper", "map"),
        ("Multiplexer", "mux"), ("ShardingFilter", "sharding_filter"), ("Shuffler", "shuffle"), ("UnBatcher", "unbatch"), ("Zipper", "zip"),
    )
)  # fmt: skip
