"""Derivatives that torch's library publishes as operators of their own, ``threshold_backward`` and its like: what a ``__torch_dispatch__`` sees of a backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._core.backward.backward_pass import root_of, run_backward
from jtorch._core.dispatch.composites import compose
from jtorch._core.graph.grad_modes import computed_again, enable_grad
from jtorch._core.storage.view_steps import read
from jtorch._core.tensor.autograd_methods import with_grad
from jtorch._namespace import C_nn, F, torch

Tensor = Any


def _pulled(fn: Callable[..., Any], inputs: Sequence[Tensor | None], grad: Tensor, wanted: Sequence[bool] | None = None) -> list[Tensor | None]:
    """The gradients of those of ``inputs`` that are there and wanted."""
    asked = [x is not None and (wanted is None or wanted[i]) for i, x in enumerate(inputs)]
    with enable_grad():
        fresh = [None if x is None else with_grad(x.detach()) if a else x.detach() for x, a in zip(inputs, asked, strict=True)]
        outer, computed_again[0] = computed_again[0], True
        try:
            made = fn(*fresh)
        finally:
            computed_again[0] = outer
        found = iter(run_backward([root_of(made)], [read(grad)], False, False, [root_of(x) for x, a in zip(fresh, asked, strict=True) if a], False) if any(asked) else ())
    return [next(found) if a else None for a in asked]


_names = ("none", "mean", "sum")


@compose("aten")
def threshold_backward(grad_output: Tensor, self: Tensor, threshold: float) -> Tensor:
    """``grad_output`` where ``self`` is over ``threshold``, else 0."""
    return torch.where(self <= threshold, torch.zeros((), dtype=grad_output.dtype, device=grad_output.device), grad_output)


@compose("aten")
def sigmoid_backward(grad_output: Tensor, output: Tensor) -> Tensor:
    """``grad_output * (1 - output) * output``."""
    return grad_output * ((1 - output) * output).conj() if output.is_complex() else grad_output * ((1 - output) * output)


@compose("aten")
def tanh_backward(grad_output: Tensor, output: Tensor) -> Tensor:
    """``grad_output * (1 - output ** 2)``."""
    return grad_output * (1 - output * output).conj() if output.is_complex() else grad_output * (1 - output * output)


@compose("aten")
def gelu_backward(grad_output: Tensor, self: Tensor, *, approximate: str = "none") -> Tensor:
    """The derivative of ``gelu``."""
    return _pulled(lambda x: F.gelu(x, approximate=approximate), [self], grad_output)[0]


@compose("aten")
def silu_backward(grad_output: Tensor, self: Tensor) -> Tensor:
    """The derivative of ``silu``."""
    return _pulled(F.silu, [self], grad_output)[0]


@compose("aten")
def leaky_relu_backward(grad_output: Tensor, self: Tensor, negative_slope: float, self_is_result: bool) -> Tensor:
    """The derivative of ``leaky_relu``."""
    return torch.where(self > 0, grad_output, grad_output * negative_slope)


@compose("aten")
def elu_backward(grad_output: Tensor, alpha: float, scale: float, input_scale: float, is_result: bool, self_or_result: Tensor) -> Tensor:
    """The derivative of ``elu``, of its input or (``is_result``) its result."""
    x = self_or_result
    low = input_scale * (x + alpha * scale) if is_result else input_scale * alpha * scale * (x * input_scale).exp()
    return torch.where(x <= 0, grad_output * low, grad_output * scale)


@compose("aten")
def hardtanh_backward(grad_output: Tensor, self: Tensor, min_val: float, max_val: float) -> Tensor:
    """``grad_output`` strictly between the bounds, else 0."""
    return torch.where((self <= min_val) | (self >= max_val), torch.zeros((), dtype=grad_output.dtype, device=grad_output.device), grad_output)


@compose("aten")
def softplus_backward(grad_output: Tensor, self: Tensor, beta: float, threshold: float) -> Tensor:
    """The derivative of ``softplus``."""
    return _pulled(lambda x: F.softplus(x, beta, threshold), [self], grad_output)[0]


@compose("aten")
def mse_loss_backward(grad_output: Tensor, self: Tensor, target: Tensor, reduction: int) -> Tensor:
    """The derivative of ``mse_loss`` by its input."""
    return grad_output * (self - target) * (2.0 / self.numel() if reduction == 1 else 2.0)


def _nll(grad_output: Tensor, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> Tensor:
    return _pulled(lambda x: F.nll_loss(x, target, weight, ignore_index=ignore_index, reduction=_names[reduction]), [self], grad_output)[0]


@compose("aten")
def nll_loss_backward(grad_output: Tensor, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, total_weight: Tensor) -> Tensor:
    """The derivative of ``nll_loss``."""
    return _nll(grad_output, self, target, weight, reduction, ignore_index)


@compose("aten")
def nll_loss2d_backward(grad_output: Tensor, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, total_weight: Tensor) -> Tensor:
    """The derivative of ``nll_loss`` on images."""
    return _nll(grad_output, self, target, weight, reduction, ignore_index)


def _nll_forward(self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    loss = F.nll_loss(self, target, weight, ignore_index=ignore_index, reduction=_names[reduction])
    if reduction == 0:
        return loss, torch.zeros((), dtype=self.dtype, device=self.device)
    counted = target != ignore_index
    if weight is None:
        return loss, counted.sum().to(self.dtype)
    return loss, (weight[torch.where(counted, target, 0)] * counted).sum()


@compose("aten")
def nll_loss_forward(self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """``nll_loss`` and the sum of the weights in it."""
    return _nll_forward(self, target, weight, reduction, ignore_index)


@compose("aten")
def nll_loss2d_forward(self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """As ``nll_loss_forward``, on images."""
    return _nll_forward(self, target, weight, reduction, ignore_index)


@compose("aten")
def native_layer_norm_backward(
    grad_out: Tensor, input: Tensor, normalized_shape: Sequence[int], mean: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None, output_mask: Sequence[bool]
) -> tuple[Any, ...]:
    """The derivatives of ``native_layer_norm`` by its input, weight and bias."""
    n = len(normalized_shape)
    dims = tuple(range(input.dim() - n, input.dim()))
    lead = tuple(range(input.dim() - n))
    scaled = (input - mean) * rstd
    by = grad_out if weight is None else grad_out * weight
    of_input = rstd * (by - by.mean(dims, keepdim=True) - scaled * (by * scaled).mean(dims, keepdim=True)) if output_mask[0] else None
    summed = (lambda t: t.sum(lead)) if lead else (lambda t: t)
    return of_input, summed(grad_out * scaled) if output_mask[1] else None, summed(grad_out) if output_mask[2] else None


@compose("aten")
def native_batch_norm_backward(
    grad_out: Tensor, input: Tensor, weight: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None, save_mean: Tensor | None, save_invstd: Tensor | None,
    train: bool, eps: float, output_mask: Sequence[bool],
) -> tuple[Any, ...]:  # fmt: skip
    """The derivatives of ``native_batch_norm`` by its input, weight and bias."""

    def forward(x: Tensor, w: Tensor | None, b: Tensor | None) -> Tensor:
        mean, var = (None, None) if train else (running_mean, running_var)
        return F.batch_norm(x, mean, var, w, b, train, 0.0, eps)

    bias = None if weight is None else torch.zeros_like(weight)
    return tuple(_pulled(forward, [input, weight, bias], grad_out, output_mask))


@compose("aten")
def embedding_dense_backward(grad_output: Tensor, indices: Tensor, num_weights: int, padding_idx: int, scale_grad_by_freq: bool) -> Tensor:
    """The derivative of ``embedding`` by its weight."""
    weight = torch.zeros(num_weights, grad_output.shape[-1], dtype=grad_output.dtype, device=grad_output.device)
    padding = None if padding_idx < 0 else padding_idx
    return _pulled(lambda w: F.embedding(indices, w, padding, scale_grad_by_freq=scale_grad_by_freq), [weight], grad_output)[0]


@compose("aten")
def convolution_backward(
    grad_output: Tensor, input: Tensor, weight: Tensor, bias_sizes: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, output_padding: Any, groups: int,
    output_mask: Sequence[bool],
) -> tuple[Any, ...]:  # fmt: skip
    """The derivatives of ``convolution`` by its input, weight and bias."""
    made = _pulled(lambda x, w: torch.convolution(x, w, None, stride, padding, dilation, transposed, output_padding, groups), [input, weight], grad_output, output_mask[:2])
    others = [d for d in range(grad_output.dim()) if d != 1]
    return (*made, grad_output.sum(others) if output_mask[2] else None)


@compose("aten")
def _convolution_double_backward(
    ggI: Tensor | None, ggW: Tensor | None, ggb: Tensor | None, gO: Tensor, weight: Tensor, self: Tensor, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, output_mask: Sequence[bool],
) -> tuple[Any, ...]:  # fmt: skip
    """The derivatives of ``convolution_backward`` by its ``grad_output``, input and weight, from what arrives at the gradients of input, weight and bias (None: nothing). None where nothing arrives."""
    how = (stride, padding, dilation, transposed, output_padding, groups)
    parts = [torch.convolution(x, w, None, *how) for x, w in ((ggI, weight), (self, ggW)) if x is not None and w is not None]
    if ggb is not None:
        parts.append(ggb.reshape(-1, *[1] * (gO.dim() - 2)).expand(gO.shape))
    into = None if ggW is None else convolution_backward(gO, self, ggW, None, *how, (True, False, False))[0]
    by_weight = None if ggI is None else convolution_backward(gO, ggI, weight, None, *how, (False, True, False))[1]
    return sum(parts[1:], parts[0]) if parts else None, into, by_weight


@compose("aten")
def select_backward(grad_output: Tensor, input_sizes: Sequence[int], dim: int, index: int) -> Tensor:
    """Zeros with ``grad_output`` at one place of ``dim``."""
    return torch.select_scatter(grad_output.new_zeros(input_sizes), grad_output, dim, index)


@compose("aten")
def slice_backward(grad_output: Tensor, input_sizes: Sequence[int], dim: int, start: int, end: int, step: int) -> Tensor:
    """Zeros with ``grad_output`` at a slice of ``dim``."""
    return torch.slice_scatter(grad_output.new_zeros(input_sizes), grad_output, dim, start, end, step)


@compose("aten")
def _adaptive_avg_pool2d(self: Tensor, output_size: Sequence[int]) -> Tensor:
    """Means of as many regions as ``output_size`` says."""
    return F.adaptive_avg_pool2d(self, tuple(output_size))


@compose("aten")
def _adaptive_avg_pool2d_backward(grad_output: Tensor, self: Tensor) -> Tensor:
    """The derivative of ``_adaptive_avg_pool2d``."""
    return _pulled(lambda x: F.adaptive_avg_pool2d(x, tuple(grad_output.shape[-2:])), [self], grad_output)[0]


@compose("aten")
def avg_pool2d_backward(
    grad_output: Tensor, self: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor_override: int | None
) -> Tensor:
    """The derivative of ``avg_pool2d``."""
    return _pulled(lambda x: C_nn.avg_pool2d(x, kernel_size, stride or kernel_size, padding, ceil_mode, count_include_pad, divisor_override), [self], grad_output)[0]


@compose("aten")
def _scaled_dot_product_flash_attention_for_cpu(
    query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0, is_causal: bool = False, *, attn_mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Attention, and the logarithms of the sums of its weights (batch, heads, queries)."""
    out = F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril().logical_not(), float("-inf"))
    return out, scores.logsumexp(-1) if attn_mask is None else (scores + attn_mask).logsumexp(-1)


@compose("aten")
def _local_scalar_dense(self: Tensor) -> Any:
    """The one element as a number."""
    return self.item()


@compose("aten")
def lift(self: Tensor) -> Tensor:
    """``self``."""
    return self
