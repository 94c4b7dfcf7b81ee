"""Views that read the same memory as other numbers: real and imaginary parts, conjugates, negatives, conjugate transposes."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.checked_arguments import tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.graph.view_history import take_view
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, flips_of
from jtorch._core.tensor.method_decorators import read_only
from jtorch._engine.recording.call import T, call_of
from jtorch._namespace import torch
from jtorch._registry import lookup


def _complex(input: Tensor, name: str) -> bool:
    """Whether a function's input is complex; TypeError if it is no tensor."""
    return aval_of(tensor_argument(name, "input", 1, input)).dtype.is_complex


def _step(name: str) -> Any:
    op = lookup(f"internal.{name}")
    call = call_of(op, (T,))
    return lambda input: take_view(op, call, input, (), ())


_real, _imag, _conjugate, _negative = (_step(n) for n in ("real_part", "imag_part", "conj_view", "neg_view"))


@compose("torch")
def real(input: Tensor) -> Tensor:
    """The real part, a view; a real tensor itself."""
    return _real(input) if _complex(input, "real") else input  # type: ignore[no-any-return]


@compose("torch")
def imag(input: Tensor) -> Tensor:
    """The imaginary part, a view. RuntimeError for real tensors."""
    if not _complex(input, "imag"):
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _imag(input)  # type: ignore[no-any-return]


@compose("torch Tensor")
def conj(input: Tensor) -> Tensor:
    """The conjugate: a view whose conjugate bit is flipped. A real tensor itself."""
    return _conjugate(input) if _complex(input, "conj") else input  # type: ignore[no-any-return]


@compose("torch Tensor")
def _conj(input: Tensor) -> Tensor:
    """As :func:`conj`."""
    return conj(input)  # type: ignore[no-any-return]


@compose("torch")
def _conj_physical(input: Tensor) -> Tensor:
    """As ``torch.conj_physical``."""
    return torch.conj_physical(input)  # type: ignore[no-any-return]


@compose("torch Tensor")
def _neg_view(input: Tensor) -> Tensor:
    """The negative: a view whose negative bit is flipped."""
    return _negative(input)  # type: ignore[no-any-return]


@compose("torch Tensor")
def is_conj(input: Tensor) -> bool:
    """Whether the conjugate bit is set: the elements in memory are the conjugates of what the tensor shows."""
    return bool(flips_of(input) & 1)


@compose("torch Tensor")
def is_neg(input: Tensor) -> bool:
    """Whether the negative bit is set: the elements in memory have the other sign."""
    return bool(flips_of(input) & 2)


@compose("torch Tensor")
def resolve_conj(input: Tensor) -> Tensor:
    """The input, with the conjugation carried out in memory of its own if its conjugate bit is set."""
    return input.clone() if flips_of(input) & 1 else input  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def resolve_neg(input: Tensor) -> Tensor:
    """The input, with the negation carried out in memory of its own if its negative bit is set."""
    return input.clone() if flips_of(input) & 2 else input  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def positive(input: Tensor) -> Tensor:
    """The input itself. RuntimeError for bool."""
    if aval_of(input).dtype.np == "bool":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@compose("torch Tensor")
def adjoint(input: Tensor) -> Tensor:
    """The last two dims exchanged, and the complex conjugate: a view."""
    n = len(aval_of(input).shape)
    if n == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    if n == 0:
        return conj(input)  # type: ignore[no-any-return]
    return conj(input.transpose(-2, -1))  # type: ignore[attr-defined,no-any-return]


def _m_h(self: Tensor) -> Tensor:
    n = len(aval_of(self).shape)
    if n < 2 and n != 0:
        raise RuntimeError(f"tensor.mH is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return conj(self.transpose(-2, -1) if n else self)  # type: ignore[attr-defined,no-any-return]


def _h(self: Tensor) -> Tensor:
    n = len(aval_of(self).shape)
    if n not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {n}-D tensor. For batches of matrices, consider using tensor.mH")
    return conj(self.transpose(0, 1) if n else self)  # type: ignore[attr-defined,no-any-return]


def _set_part(part: Any) -> Any:
    def assign(self: Tensor, new: Any) -> None:
        part(self).copy_(new if isinstance(new, Tensor) else torch.as_tensor(new))

    return assign


Tensor.real = property(torch.real, _set_part(torch.real))  # type: ignore[attr-defined]
Tensor.imag = property(torch.imag, _set_part(torch.imag))  # type: ignore[attr-defined]
Tensor.mH = read_only("mH", _m_h)  # type: ignore[attr-defined]
Tensor.H = read_only("H", _h)  # type: ignore[attr-defined]
