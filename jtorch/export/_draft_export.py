"""``torch.export.draft_export``: an export with a report on what stood in its way."""

from __future__ import annotations

import dataclasses
from typing import Any

from jtorch._errors import not_implemented

from .exported_program import ExportedProgram, GuardOnDataDependentSymNode, export

__all__ = ["DraftExportReport", "draft_export"]

_FINE = """\x1b[92m
##############################################################################################
Congratulations: No issues are found during export, and it was able to soundly produce a graph.
You can now change back to torch.export.export()
##############################################################################################
\x1b[0m"""


@dataclasses.dataclass
class DraftExportReport:
    """What was found: nothing, or there would be no program."""

    failures: list[Any]
    str_to_filename: dict[int, str] = dataclasses.field(default_factory=dict, repr=False)
    expressions_created: dict[int, Any] = dataclasses.field(default_factory=dict, repr=False)
    op_profiles: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    def successful(self) -> bool:
        """Whether the program is sound."""
        return not self.failures

    def __repr__(self) -> str:
        return f"DraftExportReport({self.failures})"

    def __str__(self) -> str:
        return _FINE

    def apply_suggested_fixes(self) -> None:
        """As in torch: NotImplementedError."""
        raise NotImplementedError("Not implemented yet")


DraftExportReport.__module__ = "torch.export._draft_export"


def draft_export(
    mod: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, dynamic_shapes: Any = None, preserve_module_call_signature: tuple[str, ...] = (), strict: bool = False,
    prefer_deferred_runtime_asserts_over_guards: bool = False,
) -> ExportedProgram:  # fmt: skip
    """As :func:`export`, with a report (``_report``). A module that looks at values has no graph here, sound or not: NotImplementedError."""
    try:
        program = export(mod, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict, preserve_module_call_signature=preserve_module_call_signature)
    except GuardOnDataDependentSymNode as error:
        try:
            not_implemented("torch.export.draft_export of a module that looks at a value", "what it does then depends on the value: use torch.where or torch.cond")
        except NotImplementedError as refused:
            raise refused from error
    program._report = DraftExportReport([])  # type: ignore[attr-defined]
    return program
