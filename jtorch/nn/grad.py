"""Gradients of convolutions with respect to their input or weight, as functions."""

from __future__ import annotations

from typing import Any

from jtorch._public import F, torch


def _gradient(dims: int, at: int, input: Any, weight: Any, grad_output: Any, options: tuple[Any, ...]) -> Any:
    """The gradient with respect to ``input`` (at=0) or ``weight`` (at=1); values of that one do not matter."""
    given = [input, weight]
    wanted = given[at].detach().requires_grad_()
    given[at] = wanted
    stride, padding, dilation, groups = options
    with torch.enable_grad():
        out = getattr(F, f"conv{dims}d")(*given, None, stride, padding, dilation, groups)
    return torch.autograd.grad(out, wanted, grad_output)[0]


def _of_input(dims: int, input_size: Any, weight: Any, grad_output: Any, *options: Any) -> Any:
    if input_size is None:
        raise ValueError(f"grad.conv{dims}d_input requires specifying an input_size")
    like = torch.zeros(tuple(input_size), dtype=grad_output.dtype, device=grad_output.device)
    return _gradient(dims, 0, like, weight, grad_output, options)


def _of_weight(dims: int, input: Any, weight_size: Any, grad_output: Any, *options: Any) -> Any:
    like = torch.zeros(tuple(weight_size), dtype=grad_output.dtype, device=grad_output.device)
    return _gradient(dims, 1, input, like, grad_output, options)


def conv1d_input(
    input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The gradient of ``conv1d`` with respect to an input of size ``input_size``."""
    return _of_input(1, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv1d_weight(
    input: Any, weight_size: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The gradient of ``conv1d`` with respect to a weight of size ``weight_size``."""
    return _of_weight(1, input, weight_size, grad_output, stride, padding, dilation, groups)


def conv2d_input(
    input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The gradient of ``conv2d`` with respect to an input of size ``input_size``."""
    return _of_input(2, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv2d_weight(
    input: Any, weight_size: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The gradient of ``conv2d`` with respect to a weight of size ``weight_size``."""
    return _of_weight(2, input, weight_size, grad_output, stride, padding, dilation, groups)


def conv3d_input(
    input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The gradient of ``conv3d`` with respect to an input of size ``input_size``."""
    return _of_input(3, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv3d_weight(
    input: Any, weight_size: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The gradient of ``conv3d`` with respect to a weight of size ``weight_size``."""
    return _of_weight(3, input, weight_size, grad_output, stride, padding, dilation, groups)
