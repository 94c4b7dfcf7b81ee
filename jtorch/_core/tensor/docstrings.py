"""``__doc__`` of the functions that come from the registry: what an operator's declaration says, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from jtorch._core.graph.refused import NOT_DIFFERENTIABLE
from jtorch._namespace import page
from jtorch._registry import Op

__all__ = ["of_operators"]

_TYPES = {
    "default": "torch's promotion brings the tensors and numbers to one type",
    "int_to_float": "torch's promotion brings the tensors and numbers to one type, integers and bools to the default float type",
}
_DIMS = frozenset(("dim", "dims", "dim0", "dim1", "start_dim", "end_dim"))
_OUT = {True: "any type that its results' type can be stored in", "exact": "the results' type"}


def of_operators(overloads: Sequence[Op], name: str, space: str, inplace: bool = False) -> str:
    """What ``space.name`` (``name_``, with ``inplace``) takes, does, and raises, and torch's page."""
    first = overloads[0]
    shown = name + "_" if inplace else name
    out = first.out if not inplace and space not in ("Tensor", "nn.functional") else False
    calls = [f"{shown}{s.text()}" for o in overloads for s in o.signatures]
    parts = [first.doc or f"As torch's ``{shown}``."]
    if inplace:
        parts[:0] = [f"The result of :func:`{name}`, written into the first tensor, which is returned."]
    parts += [text for text in (_shapes(first), _memory(first, name, out, inplace, space), _gradient(first), _errors(overloads, out, inplace)) if text]
    if source := page(space, shown):
        parts.append("Source: " + source)
    return "\n".join(calls) + "\n\n" + "\n\n".join(parts)


def _operands(op: Op) -> int:
    """How many tensors an operator takes element by element; 0 where it does not work so."""
    kinds = [p.kind for p in op.signatures[0].params if p.kind.startswith("Tensor")]
    return len(kinds) if op.promote is not None and op.elementwise and "Tensor[]" not in kinds else 0


def _shapes(first: Op) -> str:
    operands, said = _operands(first), []
    if operands > 1:
        said += ["Shapes: the tensors broadcast to one shape, which is the result's.", f"Types: {_TYPES[str(first.promote)]}."]
    elif operands:
        said += ["Shapes: the result's is the input's."] + (["Types: integers and bools give the default float type, others their own."] if first.promote == "int_to_float" else [])
    if first.out_type:
        said.append("``dtype``: the type to compute in.")
    return " ".join(said)


def _memory(first: Op, name: str, out: bool | str, inplace: bool, space: str) -> str:
    if first.view:
        return "The result is a view: it shares memory with the input."
    said = [f"``out``: written and returned{' (a tuple)' if first.fields else ''}, of {_OUT[True if out is True else 'exact']}."] if out else []
    if first.inplace and not inplace and space in ("torch", "Tensor"):
        said.append(f"In place: ``{name}_``.")
    return " ".join(said)


def _gradient(first: Op) -> str:
    if first.data_dependent or first.grad_name == NOT_DIFFERENTIABLE:
        return "No gradient."
    return f"No gradient for {', '.join(f'``{n}``' for n in first.fixed)}, which must not require it." if first.fixed else ""


def _errors(overloads: Sequence[Op], out: bool | str, inplace: bool) -> str:
    first = overloads[0]
    params = [p for o in overloads for s in o.signatures for p in s.params]
    said = ["TypeError for arguments that " + ("do not fit" if len(overloads) == 1 == len(first.signatures) else "fit none of these")]
    if any(p.name in _DIMS and p.kind.startswith(("int", "index")) for p in params):
        said.append("IndexError for a dim that is not there")
    what = ["shapes that do not broadcast" if _operands(first) > 1 else "shapes and numbers that do not fit"]
    if inplace:
        what.append("a result that this tensor cannot hold")
    elif out:
        what.append("an ``out`` of another type")
    if any(o.types is not None for o in overloads):
        what.append("types that it refuses")
    if any(o.guard is not None for o in overloads):
        what.append("values out of range (where one of its results is looked at)")
    return "Raises: " + "; ".join([*said, "RuntimeError for " + ", ".join(what)]) + "."
