"""CUDA graphs. A compiled program of XLA is launched as a whole; there is nothing to capture."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing", "make_graphed_callables"]


def _need(name: str) -> None:
    if not torch.cuda.is_available():  # type: ignore[attr-defined]
        raise RuntimeError(f"Tried to instantiate dummy base class {name}")


def is_current_stream_capturing() -> bool:
    """False. RuntimeError without a GPU, as torch has it."""
    _need("_cuda_isCurrentStreamCapturing")
    return False


class CUDAGraph:
    """A captured sequence of kernels. Refused: RuntimeError without a GPU."""

    def __init__(self, keep_graph: bool = False) -> None:
        _need("CUDAGraph")
        not_implemented("torch.cuda.CUDAGraph", "run the step as it is: repeated steps are one compiled program")


class graph:  # noqa: N801 - torch's name
    """Inside, kernels are captured. Refused: RuntimeError without a GPU."""

    def __init__(self, cuda_graph: Any, pool: Any = None, stream: Any = None, capture_error_mode: str = "global") -> None:
        _need("Stream")
        not_implemented("torch.cuda.graph", "run the step as it is: repeated steps are one compiled program")


def graph_pool_handle() -> Any:
    """The memory of graphs. Refused: RuntimeError without a GPU."""
    _need("_graph_pool_handle")
    not_implemented("torch.cuda.graph_pool_handle", "run the step as it is: repeated steps are one compiled program")


def make_graphed_callables(callables: Any, sample_args: Any, *args: Any, **kwargs: Any) -> Any:
    """The callables themselves where there is a GPU: what they record is compiled anyway."""
    _need("CUDAGraph")
    return callables
