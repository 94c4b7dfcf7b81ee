"""``torch._dynamo.eval_frame``."""

from __future__ import annotations

from typing import Any

from jtorch.compiler import OptimizedModule, disable

__all__ = ["OptimizedModule", "disable", "innermost_fn", "is_dynamo_supported", "is_inductor_supported", "check_if_dynamo_supported", "check_if_inductor_supported"]


def is_dynamo_supported() -> bool:
    """Whether ``torch.compile`` can be called: always."""
    return True


def is_inductor_supported() -> bool:
    """Likewise."""
    return True


def check_if_dynamo_supported() -> None:
    """Raises where ``torch.compile`` cannot be called."""


def check_if_inductor_supported() -> None:
    """Likewise."""


def innermost_fn(fn: Any, unaltered_fn_attr: str = "_torchdynamo_orig_callable") -> Any:
    """What was given to ``torch.compile`` first."""
    while hasattr(fn, unaltered_fn_attr):
        fn = getattr(fn, unaltered_fn_attr)
    return fn
