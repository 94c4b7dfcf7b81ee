"""Samples to batches."""

from __future__ import annotations

import collections.abc
import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jtorch._public import torch

from .host import host_array, owned, stacked

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[type | tuple[type, ...], Callable[..., Any]]
np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def _like_mapping(original: Any, items: Callable[[], dict[Any, Any]]) -> Any:
    """A mapping of the original's type with new values; a plain dict when the type cannot be made so."""
    try:
        if isinstance(original, collections.abc.MutableMapping):
            clone = copy.copy(original)  # keeps attributes that the type may have
            clone.update(items())
            return clone
        return type(original)(items())  # type: ignore[call-arg]
    except TypeError:
        return items()


def _like_sequence(original: Any, items: Callable[[], list[Any]]) -> Any:
    """A sequence of the original's type with new values; a plain list when the type cannot be made so."""
    try:
        if isinstance(original, collections.abc.MutableSequence):
            clone = copy.copy(original)
            for i, item in enumerate(items()):
                clone[i] = item
            return clone
        return type(original)(items())  # type: ignore[call-arg]
    except TypeError:
        return items()


def default_convert(data: Any) -> Any:
    """Numpy arrays in a sample become tensors, through mappings, sequences and named tuples; all else stays."""
    kind = type(data)
    if isinstance(data, torch.Tensor):
        return data
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_"):
        if kind is np.ndarray and np_str_obj_array_pattern.search(data.dtype.str):
            return data
        return torch.as_tensor(data)
    if isinstance(data, collections.abc.Mapping):
        return _like_mapping(data, lambda: {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        parts = [default_convert(part) for part in data]
        return kind(*parts) if hasattr(data, "_fields") else parts
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, lambda: [default_convert(part) for part in data])
    return data


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Samples of one kind to one batch: leaves by ``collate_fn_map`` (type -> function of the list), containers part by part.

    RuntimeError for sequences of unequal length, TypeError for leaves without a function.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for wanted, function in collate_fn_map.items():
            if isinstance(first, wanted):
                return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, collections.abc.Mapping):
        return _like_mapping(first, lambda: {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=False)))
    if isinstance(first, collections.abc.Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = list(zip(*batch, strict=False))

        def collated() -> list[Any]:
            return [collate(column, collate_fn_map=collate_fn_map) for column in columns]

        return collated() if isinstance(first, tuple) else _like_sequence(first, collated)
    raise TypeError(default_collate_err_msg_format.format(kind))


_stack = torch.stack  # a program may replace it


def collate_tensor_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Tensors stacked along a new first dim. RuntimeError for unequal shapes, sparse or nested tensors."""
    first = batch[0]
    if getattr(first, "is_nested", False):
        raise RuntimeError(
            "Batches of nested tensors are not currently supported by the default collate_fn; "
            "please provide a custom collate_fn to handle them appropriately."
        )
    if first.layout != torch.strided:
        raise RuntimeError(
            "Batches of sparse tensors are not currently supported by the default collate_fn; "
            "please provide a custom collate_fn to handle them appropriately."
        )
    # Samples are in host memory already: stacking them there costs no trace and no compilation per batch size.
    arrays = [host_array(sample) for sample in batch]
    if torch.stack is _stack and all(a is not None and a.shape == arrays[0].shape and a.dtype == arrays[0].dtype for a in arrays):  # type: ignore[union-attr]
        return owned(stacked(arrays))  # type: ignore[arg-type]
    return torch.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Arrays as tensors. TypeError for arrays of strings or objects."""
    if np_str_obj_array_pattern.search(batch[0].dtype.str):
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([torch.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Numpy numbers as one tensor."""
    return torch.as_tensor(batch)


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Python floats as one float64 tensor."""
    return torch.tensor(batch, dtype=torch.float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Python integers as one tensor."""
    return torch.tensor(batch)


def collate_str_fn(batch: Sequence[str], *, collate_fn_map: CollateMap | None = None) -> Sequence[str]:
    """Strings as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    torch.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """A list of samples as one batch: tensors, arrays and numbers gain a first dim, containers keep their form, strings stay a list."""
    return collate(batch, collate_fn_map=default_collate_fn_map)
