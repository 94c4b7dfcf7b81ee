"""``torch.onnx.symbolic_helper``: decorators on functions that say how an operator would be exported. They are kept as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["parse_args", "quantized_args"]


def parse_args(*arg_descriptors: str) -> Callable[[Any], Any]:
    """What kinds the arguments are of."""

    def keep(fn: Any) -> Any:
        fn._arg_descriptors = arg_descriptors
        return fn

    return keep


def quantized_args(*arg_q_descriptors: bool, scale: float | None = None, zero_point: int | None = None, quantize_output: bool = True) -> Callable[[Any], Any]:
    """Which of them are quantised."""
    return lambda fn: fn
