"""Which implementation ``scaled_dot_product_attention`` uses (one for all, here), and causal biases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from jtorch._errors import not_implemented

__all__ = [
    "SDPBackend",
    "WARN_FOR_UNFUSED_KERNELS",
    "activate_flash_attention_impl",
    "bias",
    "current_flash_attention_impl",
    "list_flash_attention_impls",
    "register_flash_attention_impl",
    "restore_flash_attention_impl",
    "sdpa_kernel",
]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(IntEnum):
    """torch's names for the implementations of attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __repr__(self) -> str:
        return f"<SDPBackend.{self.name}: {self.value}>"

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


_ALL = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.OVERRIDEABLE,
]
_current: list[SDPBackend] = list(_ALL)


def _cur_sdpa_kernel_backends(with_priority: bool = False) -> list[SDPBackend]:
    """The implementations that are allowed now."""
    return list(_current)


@contextmanager
def sdpa_kernel(backends: Iterable[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[dict[Any, Any]]:
    """Within the block, allow these implementations only. Recorded and checked; XLA's one implementation is used in any case."""
    global _current
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError(
            f"Backend must be an instance of SDPBackend or a list of SDPBackend instances, got {type(backends).__name__}"
        )
    wanted = [backends] if isinstance(backends, SDPBackend) else list(dict.fromkeys(backends))
    before = _current
    _current = wanted
    try:
        yield {}
    finally:
        _current = before


def register_flash_attention_impl(impl: str, *, register_fn: Callable[..., Any]) -> None:
    """Not there: attention is compiled by XLA."""
    not_implemented("torch.nn.attention.register_flash_attention_impl", "attention is compiled by XLA")


def activate_flash_attention_impl(impl: str) -> None:
    """Not there: attention is compiled by XLA."""
    not_implemented("torch.nn.attention.activate_flash_attention_impl", "attention is compiled by XLA")


def list_flash_attention_impls() -> list[str]:
    """None can be chosen."""
    return []


def current_flash_attention_impl() -> str | None:
    """None can be chosen."""
    return None


def restore_flash_attention_impl(_raise_warn: bool = True) -> None:
    """Nothing to undo."""


from . import bias  # noqa: E402
