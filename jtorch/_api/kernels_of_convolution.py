"""Convolutions under the names of torch's kernels (``torch._C._nn.slow_conv3d`` and its like): one operator computes them all here."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.signature_binding import sizes_given
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._namespace import torch


def _check_kernel(name: str, weight: Tensor, kernel_size: Any, n: int) -> None:
    size = sizes_given(name, "kernel_size", kernel_size, 3)
    size = size * n if len(size) == 1 else size
    if tuple(weight.shape[2:]) != size:
        raise RuntimeError(f"{name}: kernel_size {list(size)} is not that of a weight of size {list(weight.shape)}")


def _ordinary(name: str, n: int) -> None:
    @compose("_nn", name=name, doc=f"``conv{n}d`` by a kernel of torch's; ``kernel_size`` must be the weight's. RuntimeError if it is not.")
    def convolution(input: Tensor, weight: Tensor, kernel_size: Any, bias: Any = None, stride: Any = 1, padding: Any = 0) -> Tensor:
        _check_kernel(name, weight, kernel_size, n)
        return getattr(torch, f"conv{n}d")(input, weight, bias, stride, padding)  # type: ignore[no-any-return]


def _dilated(name: str, n: int) -> None:
    @compose("_nn", name=name, doc=f"``conv{n}d`` with holes by a kernel of torch's; ``kernel_size`` must be the weight's. RuntimeError if it is not.")
    def convolution(input: Tensor, weight: Tensor, kernel_size: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Tensor:
        _check_kernel(name, weight, kernel_size, n)
        return getattr(torch, f"conv{n}d")(input, weight, bias, stride, padding, dilation)  # type: ignore[no-any-return]


def _transposed(name: str, n: int) -> None:
    @compose("_nn", name=name, doc=f"``conv_transpose{n}d`` by a kernel of torch's; ``kernel_size`` must be the weight's. RuntimeError if it is not.")
    def convolution(
        input: Tensor, weight: Tensor, kernel_size: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, dilation: Any = 1
    ) -> Tensor:
        _check_kernel(name, weight, kernel_size, n)
        return getattr(torch, f"conv_transpose{n}d")(input, weight, bias, stride, padding, output_padding, 1, dilation)  # type: ignore[no-any-return]


for _name, _dims in (("thnn_conv2d", 2), ("slow_conv3d", 3)):
    _ordinary(_name, _dims)
for _name, _dims in (("slow_conv_dilated2d", 2), ("slow_conv_dilated3d", 3)):
    _dilated(_name, _dims)
for _name, _dims in (("slow_conv_transpose2d", 2), ("slow_conv_transpose3d", 3)):
    _transposed(_name, _dims)
