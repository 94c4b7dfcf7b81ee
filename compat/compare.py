"""Is jtorch's result torch's result? One table of tolerances by dtype; what differs is said in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat import bridge

# dtype -> (rtol, atol) of values, (rtol, atol) of gradients. Both libraries round differently in the last places (other
# polynomials for exp and tanh, another order of summation), so these are a few units in the last place, not zero.
TOLERANCES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "float64": ((1e-7, 1e-7), (1e-6, 1e-6)),
    "complex128": ((1e-7, 1e-7), (1e-6, 1e-6)),
    "float32": ((1e-5, 1e-5), (1e-4, 1e-4)),
    "complex64": ((2e-5, 2e-5), (2e-4, 2e-4)),
    "float16": ((2e-3, 1e-3), (1e-2, 1e-2)),
    "complex32": ((2e-3, 1e-3), (1e-2, 1e-2)),  # as float16: of its parts
    "bfloat16": ((1.6e-2, 1e-2), (3.2e-2, 3.2e-2)),
    "float8_e4m3fn": ((0.0, 0.0), (0.0, 0.0)),
    "float8_e5m2": ((0.0, 0.0), (0.0, 0.0)),
}


@dataclass(frozen=True)
class Difference:
    """What differs: ``kind`` is the check that failed (values, dtype, shape, structure, requires_grad)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Leniency:
    """How an operator's results may differ, from the file of exceptions. ``reason`` is a sentence a user would accept."""

    values: bool = True
    scale: float = 1.0
    reason: str = ""
    gauge: str = ""
    distinct: bool = False
    gradient: bool = True
    second: bool = True
    out: bool = True
    jvp: bool = True


STRICT = Leniency()


def dtype_name(t: Any) -> str:
    return str(t.dtype).removeprefix("torch.")


def tolerance(dtype: str, gradient: bool = False, scale: float = 1.0) -> tuple[float, float]:
    """(rtol, atol) for a dtype's name; exact for integers and bool."""
    rtol, atol = TOLERANCES.get(dtype, ((0.0, 0.0), (0.0, 0.0)))[gradient]
    return rtol * scale, atol * scale


def arrays(theirs: np.ndarray, ours: np.ndarray, rtol: float, atol: float) -> str | None:
    """None when equal within the tolerance, NaN and signed infinities included; else a sentence."""
    if theirs.shape != ours.shape:
        return f"shape {ours.shape}, torch {theirs.shape}"
    if theirs.size == 0:
        return None
    if theirs.dtype.kind == "b" or (rtol == 0 and atol == 0):
        same = theirs == ours
        if theirs.dtype.kind in "fc":
            same |= np.isnan(theirs) & np.isnan(ours)
    else:
        with np.errstate(all="ignore"):
            same = np.isclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    if np.all(same):
        return None
    where = np.argwhere(~np.atleast_1d(same))
    first = tuple(int(i) for i in where[0])
    a, b = np.atleast_1d(theirs)[first], np.atleast_1d(ours)[first]
    return f"{len(where)} of {theirs.size} differ, first at {first}: torch {a!r}, jtorch {b!r}"


def _settled(theirs: np.ndarray, ours: np.ndarray, exact: np.ndarray, within: tuple[float, float]) -> np.ndarray:
    """``theirs`` with ``ours`` where that is right: as near to the exact number as the tolerance asks, or no farther than torch is at its worst.

    The latter only for errors of rounding, a 64th of the largest number: random draws and jumps are no measure.
    """
    if not theirs.size or theirs.shape != ours.shape or theirs.shape != exact.shape:
        return theirs
    with np.errstate(all="ignore"):
        worst = min(np.nan_to_num(np.abs(theirs - exact)).max(), np.nan_to_num(np.abs(exact)).max() / 64)
        right = np.isclose(ours, exact, rtol=within[0], atol=within[1]) | (np.abs(ours - exact) <= worst)
    return np.where(right, ours, theirs)


def is_tensor(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, bridge.jtorch().Tensor))


def compare(theirs: Any, ours: Any, lenient: Leniency = STRICT, *, gradient: bool = False, path: str = "", exact: Any = None) -> Difference | None:
    """The first difference between two results of any structure, or None. ``exact``: torch's result in a wider type, whose numbers are right too."""
    at = f"{path}: " if path else ""
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, bridge.jtorch().Tensor):
            return Difference("structure", f"{at}{type(ours).__name__}, torch gives a Tensor")
        return _tensors(theirs, ours, lenient, gradient, at, exact)
    if isinstance(theirs, (tuple, list)):
        if isinstance(theirs, torch.Size):
            same = tuple(theirs) == tuple(ours) and type(ours).__name__ == "Size"
            return None if same else Difference("values", f"{at}{ours!r}, torch {theirs!r}")
        if not isinstance(ours, (tuple, list)) or len(ours) != len(theirs):
            return Difference("structure", f"{at}{type(ours).__name__} of {len(ours) if hasattr(ours, '__len__') else '?'}, torch {type(theirs).__name__} of {len(theirs)}")
        if isinstance(ours, tuple) is not isinstance(theirs, tuple):
            return Difference("structure", f"{at}{type(ours).__name__}, torch {type(theirs).__name__}")
        fields = field_names(theirs)
        if fields != field_names(ours) or (fields and type(theirs).__name__ != type(ours).__name__):
            return Difference("structure", f"{at}{type(ours).__name__}{field_names(ours)}, torch {type(theirs).__name__}{fields}")
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            if found := compare(a, b, lenient, gradient=gradient, path=f"{path}[{i}]", exact=None if exact is None else exact[i]):
                return found
        return None
    if isinstance(theirs, dict):
        if not isinstance(ours, dict) or list(theirs) != list(ours):
            return Difference("structure", f"{at}{ours if not isinstance(ours, dict) else list(ours)}, torch {list(theirs)}")
        return next((d for k in theirs if (d := compare(theirs[k], ours[k], lenient, gradient=gradient, path=f"{path}[{k!r}]"))), None)
    if isinstance(theirs, (float, complex)) and isinstance(ours, (float, complex)) and type(theirs) is type(ours):
        text = arrays(np.asarray(theirs), np.asarray(ours), *tolerance("float32", gradient, lenient.scale)) if lenient.values else None
        return Difference("values", at + text) if text else None
    if isinstance(theirs, (torch.dtype, torch.device, torch.layout)):
        return None if str(theirs) == str(ours) else Difference("values", f"{at}{ours}, torch {theirs}")
    if type(theirs) is not type(ours) or theirs != ours:
        return Difference("values", f"{at}{ours!r}, torch {theirs!r}")
    return None


def field_names(value: Any) -> tuple[str, ...]:
    """Field names of a named result: a namedtuple's, or a torch.return_types structseq's."""
    if hasattr(value, "_fields"):
        return tuple(value._fields)
    if hasattr(type(value), "n_fields"):
        hidden = set(dir(tuple)) | {"n_fields", "n_sequence_fields", "n_unnamed_fields"}
        names = [n for n in dir(type(value)) if n not in hidden and not n.startswith("__")]
        return tuple(sorted(names, key=lambda n: next((i for i, v in enumerate(value) if v is getattr(value, n)), 0)))
    return ()


def _tensors(theirs: torch.Tensor, ours: Any, lenient: Leniency, gradient: bool, at: str, exact: torch.Tensor | None) -> Difference | None:
    if tuple(theirs.shape) != tuple(ours.shape):
        return Difference("shape", f"{at}{tuple(ours.shape)}, torch {tuple(theirs.shape)}")
    if dtype_name(theirs) != dtype_name(ours):
        return Difference("dtype", f"{at}{dtype_name(ours)}, torch {dtype_name(theirs)}")
    if theirs.layout is not torch.strided and str(theirs.layout) != str(ours.layout):
        return Difference("structure", f"{at}{ours.layout}, torch {theirs.layout}")
    if not gradient and theirs.requires_grad != ours.requires_grad:
        return Difference("requires_grad", f"{at}{ours.requires_grad}, torch {theirs.requires_grad}")
    if not lenient.values:
        return None
    want, got, within = bridge.forth(theirs), bridge.back(ours), tolerance(dtype_name(theirs), gradient, lenient.scale)
    if exact is not None and (theirs.dtype.is_floating_point or theirs.dtype.is_complex):
        want = _settled(want, got, bridge.forth(exact), within)
    text = arrays(want, got, *within)
    return Difference("values", at + text) if text else None
