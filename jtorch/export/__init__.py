"""``torch.export``, and ``jtorch.export.stablehlo``: programs for processes that have only JAX."""

from __future__ import annotations

import importlib
from typing import Any

from jtorch._install import loaded_late
from jtorch.utils import _pytree

from . import dynamic_shapes as dynamic_shapes
from . import exported_program as exported_program
from . import graph_signature as graph_signature
from ._files import load, save
from ._stablehlo import stablehlo
from .decomp_utils import CustomDecompTable as CustomDecompTable
from .dynamic_shapes import AdditionalInputs, Constraint, Dim, ShapesCollection, dims
from .exported_program import ExportedProgram, ModuleCallEntry, ModuleCallSignature, default_decompositions, export
from .graph_signature import ExportBackwardSignature, ExportGraphSignature
from .unflatten import FlatArgsAdapter, UnflattenedModule, unflatten

__all__ = [
    "AdditionalInputs", "Constraint", "Dim", "ExportBackwardSignature", "ExportGraphSignature", "ExportedProgram", "FlatArgsAdapter", "ModuleCallEntry", "ModuleCallSignature", "ShapesCollection",
    "UnflattenedModule", "default_decompositions", "dims", "draft_export", "export", "load", "register_dataclass", "save", "stablehlo", "unflatten",
]  # fmt: skip


def register_dataclass(cls: type, *, serialized_type_name: str | None = None) -> None:
    """Make a dataclass a container of its fields, so that :func:`export` takes it as an argument and a result. ValueError for a class that is no dataclass."""
    _pytree.register_dataclass(cls, serialized_type_name=serialized_type_name)


def draft_export(mod: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, **options: Any) -> ExportedProgram:
    """As :func:`export`, with a report of what stood in its way: ``program._report``. NotImplementedError for a module that looks at values."""
    found = importlib.import_module("jtorch.export._draft_export")
    loaded_late()
    return found.draft_export(mod, args, kwargs, **options)  # type: ignore[no-any-return]
