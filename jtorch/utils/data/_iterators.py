"""A pass over a DataLoader: what all have in common, and the one that loads in this process."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from typing import Any

from jtorch._engine.host.host_executor import section
from jtorch._public import torch

from . import _utils
from ._utils.fetch import _DatasetKind
from .datapipes.datapipe import IterDataPipe
from .graph_settings import apply_random_seed
from .sampler import draw_seed

__all__ = ["_BaseDataLoaderIter", "_SingleProcessDataLoaderIter", "default_context"]


class _BaseDataLoaderIter:
    """One pass over a DataLoader."""

    def __init__(self, loader: Any) -> None:
        self._dataset = loader.dataset
        self._shared_seed: int | None = None
        self._pg: Any = None
        self._seed_pipes(loader)
        self._world_size, self._rank = _processes()
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        accelerator = _accelerator()
        if loader.pin_memory and loader.pin_memory_device:
            warnings.warn(
                "pin_memory_device is deprecated, the current accelerator will be used as the device,"
                f"ignore pin_memory_device='{loader.pin_memory_device}'.",
                stacklevel=2,
            )
        if loader.pin_memory and accelerator is None:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.", stacklevel=2
            )
        self._pin_memory = bool(loader.pin_memory and accelerator is not None)
        self._pin_memory_device = accelerator if self._pin_memory else None
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        # torch's order of draws: the base seed now, the sampler's own seed when its first index is asked for.
        self._sampler_iter = iter(self._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._persistent_workers = loader.persistent_workers
        self._num_yielded = 0
        self._profile_name = f"enumerate(DataLoader)#{type(self).__name__}.__next__"

    def _seed_pipes(self, loader: Any) -> None:
        """A seed for the pipes that draw random numbers, the same in every process."""
        if isinstance(self._dataset, IterDataPipe):
            self._shared_seed = draw_seed(loader.generator)
            self._dataset = apply_random_seed(self._dataset, torch.Generator().manual_seed(self._shared_seed))

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._seed_pipes(loader)

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        announced = self._IterableDataset_len_called
        if self._dataset_kind == _DatasetKind.Iterable and announced is not None and self._num_yielded > announced:
            text = (
                f"Length of IterableDataset {self._dataset} was reported to be {announced}"
                f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
            )
            if self._num_workers > 0:
                text += (
                    "For multiprocessing data-loading, this could be caused by not properly configuring the "
                    "IterableDataset replica at each worker. Please see "
                    "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
                )
            warnings.warn(text, stacklevel=2)
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", self.__class__.__name__)


def _processes() -> tuple[int, int]:
    """(how many processes of torch.distributed, which one this is)."""
    together = vars(torch).get("distributed")
    return (together.get_world_size(), together.get_rank()) if together is not None and together.is_available() and together.is_initialized() else (1, 0)


def _accelerator() -> str | None:
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is None or not accelerator.is_available():
        return None
    return str(accelerator.current_accelerator())


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Loads in the calling process."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self._dataset_fetcher = _DatasetKind.create_fetcher(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last
        )

    def _next_data(self) -> Any:
        index = self._next_index()
        with section():
            data = self._dataset_fetcher.fetch(index)
        return _utils.pin_memory.pin_memory(data) if self._pin_memory else data


def default_context() -> Any:
    """fork where it exists and the program has not chosen otherwise: it needs neither picklable datasets nor a ``__main__`` guard."""
    if sys.platform.startswith("linux") and multiprocessing.get_start_method(allow_none=True) is None:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context()
