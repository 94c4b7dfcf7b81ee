"""Batches in parts. Source: https://docs.pytorch.org/docs/stable/distributed.pipelining.html"""

from __future__ import annotations

from typing import Any

from jtorch._public import torch

__all__ = ["TensorChunkSpec", "merge_chunks", "split_args_kwargs_into_chunks"]


class TensorChunkSpec:
    """A tensor is cut along ``split_dim``."""

    def __init__(self, split_dim: int) -> None:
        self.split_dim = split_dim

    def __repr__(self) -> str:
        return f"torch.distributed.pipelining.microbatch.TensorChunkSpec({self.split_dim})"

    def __str__(self) -> str:
        return f"TensorChunkSpec({self.split_dim})"

    @staticmethod
    def from_tuple(chunk_dims: tuple[int, ...]) -> tuple[TensorChunkSpec, ...]:
        """One for each number."""
        return tuple(TensorChunkSpec(d) for d in chunk_dims)

    @staticmethod
    def from_dict(chunk_dims: dict[str, int]) -> dict[str, TensorChunkSpec]:
        """One for each number."""
        return {k: TensorChunkSpec(d) for k, d in chunk_dims.items()}


class _Replicate:
    """Every part has all of it."""


def _cut(x: Any, spec: Any, n: int) -> list[Any]:
    if isinstance(x, (tuple, list)) and not isinstance(spec, (TensorChunkSpec, _Replicate)):
        parts = [_cut(y, s, n) for y, s in zip(x, spec if spec is not None else [None] * len(x), strict=True)]
        return [type(x)(p[i] for p in parts) for i in range(n)]
    if isinstance(x, dict) and not isinstance(spec, (TensorChunkSpec, _Replicate)):
        several = {k: _cut(y, None if spec is None else spec.get(k), n) for k, y in x.items()}
        return [{k: p[i] for k, p in several.items()} for i in range(n)]
    if isinstance(x, torch.Tensor) and not isinstance(spec, _Replicate):
        dim = spec.split_dim if spec is not None else 0
        if x.shape[dim] < n:
            raise ValueError(f"a tensor with {x.shape[dim]} elements along dim {dim} cannot be cut into {n} microbatches")
        return list(torch.tensor_split(x, n, dim))
    return [x] * n


def split_args_kwargs_into_chunks(
    args: tuple[Any, ...], kwargs: dict[str, Any] | None, chunks: int, args_chunk_spec: Any = None, kwargs_chunk_spec: Any = None
) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
    """(arguments, keyword arguments) of each microbatch: tensors cut along the first dim, or as the specs say."""
    return _cut(tuple(args), args_chunk_spec, chunks), _cut(dict(kwargs or {}), kwargs_chunk_spec, chunks)


def merge_chunks(chunks: list[Any], chunk_spec: Any) -> Any:
    """What microbatches gave, as one: tensors end to end."""
    first = chunks[0]
    if isinstance(first, (tuple, list)) and not isinstance(chunk_spec, TensorChunkSpec):
        specs = chunk_spec if chunk_spec is not None else [None] * len(first)
        return type(first)(merge_chunks([c[i] for c in chunks], s) for i, s in enumerate(specs))
    if isinstance(first, dict):
        return {k: merge_chunks([c[k] for c in chunks], None if chunk_spec is None else chunk_spec.get(k)) for k in first}
    if isinstance(first, torch.Tensor):
        return torch.cat(chunks, chunk_spec.split_dim if chunk_spec is not None else 0)
    return first
