"""From keys to collated batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .collate import default_collate
from .host import gathered, host_array, owned


class _BaseDatasetFetcher:
    """``fetch(index)``: the batch of a list of keys, or the sample of one key."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.dataset, self.auto_collation, self.collate_fn, self.drop_last = dataset, auto_collation, collate_fn, drop_last

    def fetch(self, possibly_batched_index: Any) -> Any:
        """The data."""
        raise NotImplementedError


class _IterableDatasetFetcher(_BaseDatasetFetcher):
    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        super().__init__(dataset, auto_collation, collate_fn, drop_last)
        self.dataset_iter = iter(dataset)
        self.ended = False

    def fetch(self, possibly_batched_index: Any) -> Any:
        """The next batch. StopIteration at the end."""
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.dataset_iter))
        data: list[Any] = []
        for _ in possibly_batched_index:
            try:
                data.append(next(self.dataset_iter))
            except StopIteration:
                self.ended = True
                break
        if not data or (self.drop_last and len(data) < len(possibly_batched_index)):
            raise StopIteration
        return self.collate_fn(data)


class _MapDatasetFetcher(_BaseDatasetFetcher):
    def fetch(self, possibly_batched_index: Any) -> Any:
        """The batch of these keys."""
        if not self.auto_collation:
            return self.collate_fn(self.dataset[possibly_batched_index])
        if self.collate_fn is default_collate and (rows := _rows(self.dataset, possibly_batched_index)) is not None:
            return rows
        if getattr(self.dataset, "__getitems__", None):
            data = self.dataset.__getitems__(possibly_batched_index)
        else:
            data = [self.dataset[index] for index in possibly_batched_index]
        return self.collate_fn(data)


def _rows(dataset: Any, indices: Any) -> list[Any] | None:
    """Rows of a TensorDataset (or of a Subset of one) that lies in host memory, gathered at once; None where the long way must be gone."""
    from ..dataset import Subset, TensorDataset

    while type(dataset) is Subset:
        try:
            indices = [dataset.indices[i] for i in indices]
        except Exception:
            return None  # the long way will raise what is to be raised
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not all(type(i) is int for i in indices):
        return None
    size = len(dataset)
    if not all(-size <= i < size for i in indices):
        return None
    arrays = [host_array(tensor) for tensor in dataset.tensors]
    if any(array is None for array in arrays):
        return None
    where = np.asarray(indices)
    return [owned(gathered(array, where)) for array in arrays]  # type: ignore[arg-type]


class _DatasetKind:
    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(kind: int, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> Any:
        """The fetcher for this kind of dataset."""
        fetcher = _MapDatasetFetcher if kind == _DatasetKind.Map else _IterableDatasetFetcher
        return fetcher(dataset, auto_collation, collate_fn, drop_last)
