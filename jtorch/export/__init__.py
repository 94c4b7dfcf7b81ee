"""``torch.export``, and ``jtorch.export.stablehlo``: programs for processes that have only JAX."""

from __future__ import annotations

from . import dynamic_shapes as dynamic_shapes
from . import exported_program as exported_program
from . import graph_signature as graph_signature
from ._files import load, save
from ._stablehlo import stablehlo
from .dynamic_shapes import Dim, ShapesCollection, dims
from .exported_program import ExportedProgram, export
from .graph_signature import ExportBackwardSignature, ExportGraphSignature

__all__ = ["Dim", "ExportBackwardSignature", "ExportGraphSignature", "ExportedProgram", "ShapesCollection", "dims", "export", "load", "save", "stablehlo"]
