"""What the distributions share: broadcasting of parameters, probabilities and logits, lazy attributes, packed triangles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

from jtorch._errors import ValueUnknown
from jtorch._public import F, torch

__all__ = [
    "broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec", "vec_to_tril_matrix",
]  # fmt: skip

euler_constant = 0.57721566490153286060
NUMBERS = (int, float, bool)


def is_number(*values: Any) -> bool:
    """Whether all are Python numbers: then the distribution has no batch."""
    return all(isinstance(v, NUMBERS) for v in values)


def _tensor_like(v: Any) -> bool:
    return isinstance(v, torch.Tensor) or hasattr(type(v), "__torch_function__")


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors of one shape from tensors and numbers. Numbers take the type and place of the first tensor, else the default type.

    ValueError for anything else.
    """
    if not all(_tensor_like(v) or isinstance(v, NUMBERS) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__.")
    like = next((v for v in values if isinstance(v, torch.Tensor)), None)
    options = {"dtype": torch.get_default_dtype()} if like is None else {"dtype": like.dtype, "device": like.device}
    return tuple(torch.broadcast_tensors(*[v if _tensor_like(v) else torch.tensor(v, **options) for v in values]))


def holds(valid: Any) -> bool:
    """Whether a check is true everywhere. Inside a JAX transformation, where values cannot be looked at, it counts as true."""
    try:
        return bool(valid.all())
    except ValueUnknown:
        return True


def standard_normal(shape: Any, like: Any) -> Any:
    """Standard normals of a shape in the type of ``like`` and beside it."""
    return torch.randn(shape, dtype=like.dtype, device=like.device)


def sum_rightmost(value: Any, count: int) -> Any:
    """The sum over the last ``count`` dims."""
    return value if count == 0 else value.reshape((*value.shape[: value.dim() - count], -1)).sum(-1)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of log odds (binary), or of unnormalised log probabilities along the last dim."""
    return torch.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept an epsilon of their type away from 0 and 1."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Log odds (binary) or log probabilities, finite ones."""
    p = clamp_probs(probs)
    return torch.log(p) - torch.log1p(-p) if is_binary else torch.log(p)


class lazy_property:
    """An attribute computed at its first use and kept in the instance. Gradients are recorded even inside ``no_grad``."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return _OnClass(self.wrapped)
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _OnClass(lazy_property, property):
    """What a lazy attribute is when asked of the class: recognisable as lazy, and a property for documentation."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        property.__init__(self, wrapped)


def _below(n: int, diag: int, device: Any) -> Any:
    i = torch.arange(n, device=device)
    return i < i.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The elements of square matrices at and below a diagonal, row by row. ValueError for a diagonal outside."""
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat[..., _below(n, diag, mat.device)]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Inverse of :func:`tril_matrix_to_vec`, zeros elsewhere. ValueError where the length fits no square matrix."""
    length = vec.shape[-1]
    # n of n*n + (1 + 2 diag) n - |diag| (diag + 1) - 2 length = 0
    half = 1 + 2 * diag
    n = (-half + (half**2 + 8 * length + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    if round(n) - n > torch.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {length} which cannot be expressed as the lower triangular part of a square D x D matrix."
        )
    size = round(n)
    mat = vec.new_zeros((*vec.shape[:-1], size, size))
    mat[..., _below(size, diag, mat.device)] = vec
    return mat


def batch_mv(matrices: Any, vectors: Any) -> Any:
    """Matrix times vector over broadcast batches."""
    return torch.matmul(matrices, vectors.unsqueeze(-1)).squeeze(-1)


def infer_size(a: Sequence[int], b: Sequence[int]) -> Any:
    """The broadcast of two shapes."""
    return torch.broadcast_shapes(torch.Size(a), torch.Size(b))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Any:
    """Standard normals of a shape, a type and a place."""
    return torch.randn(shape, dtype=dtype, device=device)


_sum_rightmost = sum_rightmost
