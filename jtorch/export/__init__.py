"""``torch.export``, and ``jtorch.export.stablehlo``: programs for processes that have only JAX."""

from __future__ import annotations

from ._stablehlo import stablehlo
from .dynamic_shapes import Dim, ShapesCollection, dims

__all__ = ["Dim", "ShapesCollection", "dims", "stablehlo"]
