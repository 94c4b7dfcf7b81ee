"""Distances between rows."""

from __future__ import annotations

from typing import Any

from jtorch._public import F, torch

__all__ = ["bilinear", "cosine_similarity", "linear", "pairwise_distance", "pdist"]

Tensor = Any

bilinear, linear = F.bilinear, F.linear
cosine_similarity, pairwise_distance = F.cosine_similarity, F.pairwise_distance


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs of rows of (N, M), as a vector of N * (N - 1) / 2."""
    return torch.pdist(input, p)
