"""Windows of M points. ``sym=True`` for filters; ``sym=False`` for spectra, where one period of M + 1 points loses its last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from jtorch._public import torch

__path__: list[str] = []  # torch has a package here; what is below it stands in the table of _private/machinery.py
__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


def _kind(name: str, length: int, dtype: Any, layout: Any) -> Any:
    """The element type, checked."""
    if length < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={length}")
    if layout is not None and layout is not torch.strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    kind = torch.get_default_dtype() if dtype is None else dtype
    if kind not in (torch.float32, torch.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")
    return kind


def _short(length: int, kind: Any, device: Any, requires_grad: bool) -> Any:
    """Windows of no or one point; None for longer ones."""
    if length > 1:
        return None
    make = torch.empty if length == 0 else torch.ones
    return make((length,), dtype=kind, device=device, requires_grad=requires_grad)


def _line(start: float, end: float, length: int, kind: Any, device: Any, requires_grad: bool) -> Any:
    return torch.linspace(start, end, length, dtype=kind, device=device, requires_grad=requires_grad)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,  # noqa: N803
                device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """``exp(-|n - center| / tau)``, highest in the middle."""
    kind = _kind("exponential", M, dtype, layout)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    found = _short(M, kind, device, requires_grad)
    if found is not None:
        return found
    if center is None:
        center = (M if not sym and M > 1 else M - 1) / 2.0
    slope = 1 / tau
    return torch.exp(-torch.abs(_line(-center * slope, (-center + (M - 1)) * slope, M, kind, device, requires_grad)))


def cosine(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # noqa: N803
    """Half a turn of the sine."""
    kind = _kind("cosine", M, dtype, layout)
    found = _short(M, kind, device, requires_grad)
    if found is not None:
        return found
    step = math.pi / (M + 1 if not sym and M > 1 else M)
    return torch.sin(_line(0.5 * step, (0.5 + (M - 1)) * step, M, kind, device, requires_grad))


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,  # noqa: N803
             requires_grad: bool = False) -> Any:  # fmt: skip
    """``exp(-(n / std)**2 / 2)`` around the middle."""
    kind = _kind("gaussian", M, dtype, layout)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    found = _short(M, kind, device, requires_grad)
    if found is not None:
        return found
    start = -(M if not sym and M > 1 else M - 1) / 2.0
    scale = 1 / (std * math.sqrt(2))
    return torch.exp(-(_line(start * scale, (start + (M - 1)) * scale, M, kind, device, requires_grad) ** 2))


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,  # noqa: N803
           requires_grad: bool = False) -> Any:  # fmt: skip
    """``I0(beta sqrt(1 - x**2)) / I0(beta)`` for x from -1 to 1."""
    kind = _kind("kaiser", M, dtype, layout)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    found = _short(M, kind, device, requires_grad)
    if found is not None:
        return found
    # The ends are formed in the window's own type, so that beta**2 - start**2 is 0 there.
    at_beta = torch.tensor(beta, dtype=kind, device=device)
    start = float(-at_beta)
    step = 2.0 * float(at_beta) / (M if not sym else M - 1)
    end = min(float(at_beta), start + (M - 1) * step)
    k = _line(start, end, M, kind, device, requires_grad)
    return torch.i0(torch.sqrt(at_beta * at_beta - torch.pow(k, 2))) / torch.i0(at_beta)


def hamming(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # noqa: N803
    """``0.54 - 0.46 cos``."""
    return general_hamming(M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hann(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # noqa: N803
    """``0.5 - 0.5 cos``."""
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def blackman(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # noqa: N803
    """Three cosine terms: 0.42, 0.5, 0.08."""
    _kind("blackman", M, dtype, layout)
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def bartlett(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # noqa: N803
    """A triangle that reaches 0 at both ends."""
    kind = _kind("bartlett", M, dtype, layout)
    found = _short(M, kind, device, requires_grad)
    if found is not None:
        return found
    step = 2 / (M if not sym else M - 1)
    return 1 - torch.abs(_line(-1, -1 + (M - 1) * step, M, kind, device, requires_grad))


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,  # noqa: N803
                   requires_grad: bool = False) -> Any:  # fmt: skip
    """A sum of cosines of 0, 1, 2, ... turns with the weights ``a`` and alternating signs."""
    kind = _kind("general_cosine", M, dtype, layout)
    found = _short(M, kind, device, requires_grad)
    if found is not None:
        return found
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    step = 2 * math.pi / (M if not sym else M - 1)
    k = _line(0, (M - 1) * step, M, kind, device, requires_grad)
    signed = torch.tensor([(-1) ** i * w for i, w in enumerate(weights)], device=device, dtype=kind, requires_grad=requires_grad)
    turns = torch.arange(len(weights), dtype=kind, device=device, requires_grad=requires_grad)
    return (signed.unsqueeze(-1) * torch.cos(turns.unsqueeze(-1) * k)).sum(0)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,  # noqa: N803
                    requires_grad: bool = False) -> Any:  # fmt: skip
    """``alpha - (1 - alpha) cos``."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # noqa: N803
    """Four cosine terms with very low sidelobes."""
    return general_cosine(
        M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )
