"""Causal attention biases that are made into a matrix only where they are used."""

from __future__ import annotations

import warnings
from enum import IntEnum, auto
from typing import Any

from jtorch._public import F, torch

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """Which corner of a matrix that is not square the triangle starts at."""

    UPPER_LEFT = auto()
    LOWER_RIGHT = auto()


class CausalBias(torch.Tensor):  # type: ignore[misc, name-defined]
    """The causal bias of ``seq_len_q`` queries over ``seq_len_kv`` keys, for ``scaled_dot_product_attention``."""

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> Any:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        return torch.Tensor._make_subclass(cls, torch.empty(0), False)

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        self.variant = variant
        self.seq_len_q = seq_len_q
        self.seq_len_kv = seq_len_kv
        if seq_len_q > seq_len_kv and variant == CausalVariant.LOWER_RIGHT:
            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > seq_len_kv!", stacklevel=2
            )

    def _offset(self) -> int:
        return self.seq_len_kv - self.seq_len_q if self.variant == CausalVariant.LOWER_RIGHT else 0

    def _materialize(self, device: Any = None) -> Any:
        """The boolean matrix (queries, keys): True where a query may look."""
        ones = torch.ones(self.seq_len_q, self.seq_len_kv, device=device, dtype=torch.bool)
        return torch.tril(ones, diagonal=self._offset())

    @staticmethod
    def _dispatch(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: CausalBias,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        """Attention with this bias: the causal kernel where the triangle starts at the upper left, a mask otherwise."""
        if is_causal:
            raise ValueError("CausalBias should not be used with causal=True")
        causal = attn_mask.seq_len_q == attn_mask.seq_len_kv or attn_mask.variant == CausalVariant.UPPER_LEFT
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if causal else attn_mask._materialize(query.device),
            dropout_p=dropout_p,
            is_causal=causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        # By name: autocast may have put a function of its own around it.
        if getattr(func, "__name__", "") == "scaled_dot_product_attention":
            return cls._dispatch(*args, **kwargs)
        return super().__torch_function__(func, types, args, kwargs)

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return repr(self._materialize())


def _pair(size: tuple[int, ...], name: str) -> tuple[int, int]:
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors")
    return size[0], size[1]


def causal_upper_left(*size: int) -> CausalBias:
    """The causal bias (queries, keys) whose triangle starts at the upper left."""
    return CausalBias(CausalVariant.UPPER_LEFT, *_pair(size, "causal_upper_left"))


def causal_lower_right(*size: int) -> CausalBias:
    """The causal bias (queries, keys) whose triangle ends at the lower right."""
    return CausalBias(CausalVariant.LOWER_RIGHT, *_pair(size, "causal_lower_right"))
