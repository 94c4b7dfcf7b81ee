"""Names of torch that make no sense on XLA: they exist with torch's parameters, and raise NotImplementedError that says what to use instead.

One table: what to use instead, and the signatures that it holds for. ``compat/gaps.toml`` has the reasons; ``compat.surface`` counts these names apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._errors import not_implemented
from jtorch._namespace import F, torch

__all__ = ["DECLINED", "declined"]

_KERNEL = "XLA chooses its kernels itself; use "
_QUANTIZED = "quantised tensors are not carried; simulate them with torch.fake_quantize_per_tensor_affine, or keep integers and scales of your own"
_INT8 = "quantised and packed weights are not carried; use torch.nn.functional.linear in bfloat16"
_CONV = "input, weight, bias, padding, stride, dilation, groups"
_CELL = (
    "input, hx, w_ih, w_hh, b_ih, b_hh, packed_ih, packed_hh, col_offsets_ih, col_offsets_hh, scale_ih, scale_hh, zero_point_ih, zero_point_hh"
)
_POOL = "input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False"
_PLACE = "memory_format=None"

# {what to use instead: signatures}; one that begins with "Tensor." is a method, with "both " a function and a method, with "F." in nn.functional.
DECLINED: dict[str, tuple[str, ...]] = {
    _KERNEL + "torch.nn.functional.conv1d, conv2d or conv3d": (
        "cudnn_convolution(input, weight, padding, stride, dilation, groups, benchmark, deterministic, allow_tf32)",
        "cudnn_convolution_relu(input, weight, bias, stride, padding, dilation, groups)",
        "cudnn_convolution_add_relu(input, weight, z, alpha, bias, stride, padding, dilation, groups)",
        f"miopen_convolution({_CONV}, benchmark, deterministic)",
        f"miopen_depthwise_convolution({_CONV}, benchmark, deterministic)",
        "miopen_convolution_relu(input, weight, bias, stride, padding, dilation, groups)",
        "miopen_convolution_add_relu(input, weight, z, alpha, bias, stride, padding, dilation, groups)",
    ),
    _KERNEL + "torch.nn.functional.conv_transpose1d, conv_transpose2d or conv_transpose3d": (
        "cudnn_convolution_transpose(input, weight, padding, output_padding, stride, dilation, groups, benchmark, deterministic, allow_tf32)",
        "miopen_convolution_transpose(input, weight, bias, padding, output_padding, stride, dilation, groups, benchmark, deterministic)",
    ),
    _KERNEL + "torch.nn.functional.batch_norm": tuple(
        f"{n}_batch_norm(input, weight, bias, running_mean, running_var, training, exponential_average_factor, epsilon)" for n in ("cudnn", "miopen")
    ),
    _KERNEL + "torch.nn.functional.affine_grid and grid_sample": ("cudnn_affine_grid_generator(theta, N, C, H, W)", "cudnn_grid_sampler(input, grid)"),
    _KERNEL + "torch.nn.functional.ctc_loss": (
        "miopen_ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, deterministic, zero_infinity)",
    ),
    _KERNEL + "torch.nn.LSTM, GRU or RNN": (
        "miopen_rnn(input, weight, weight_stride0, hx, cx, mode, hidden_size, num_layers, batch_first, dropout, train, bidirectional, batch_sizes, dropout_state)",
        "mkldnn_rnn_layer(input, weight0, weight1, weight2, weight3, hx_, cx_, reverse, batch_sizes, mode, hidden_size, num_layers, has_biases, "
        "bidirectional, batch_first, train)",
    ),
    _KERNEL + "torch.nn.functional.adaptive_avg_pool2d, max_pool2d or max_pool3d": (
        "mkldnn_adaptive_avg_pool2d(input, output_size, *, out=None)", f"mkldnn_max_pool2d({_POOL})", f"mkldnn_max_pool3d({_POOL})",
    ),
    _KERNEL + "autograd's gradients of torch.nn.functional.linear": ("mkldnn_linear_backward_weights(grad_output, input, weight, bias_defined)",),
    "XLA chooses layouts itself; use the tensor as it is": ("Tensor.to_mkldnn(input, dtype=None)",),
    _INT8: (
        "fbgemm_linear_fp16_weight(input, packed_weight, bias, output=None)",
        "fbgemm_linear_fp16_weight_fp32_activation(input, packed_weight, bias, output=None)",
        "fbgemm_linear_int8_weight(input, weight, packed, col_offsets, weight_scale, weight_zero_point, bias)",
        "fbgemm_linear_int8_weight_fp32_activation(input, weight, packed, col_offsets, weight_scale, weight_zero_point, bias)",
        "fbgemm_linear_quantize_weight(input)", "fbgemm_pack_gemm_matrix_fp16(input)", "fbgemm_pack_quantized_matrix(input, K=None, N=None)",
    ),
    _QUANTIZED: (
        "quantize_per_tensor(input, scale, zero_point, dtype)", "quantize_per_tensor_dynamic(input, dtype, reduce_range)",
        "quantize_per_channel(input, scales, zero_points, axis, dtype)", "choose_qparams_optimized(input, numel, n_bins, ratio, bit_width)",
        "empty_quantized(size, qtensor, *, dtype=None, layout=None, device=None, pin_memory=False, memory_format=None)",
        "both int_repr(input)", "both q_scale(input)", "both q_zero_point(input)", "both q_per_channel_scales(input)",
        "both q_per_channel_zero_points(input)", "both q_per_channel_axis(input)", "Tensor.qscheme(self)",
        "quantized_batch_norm(input, weight, bias, mean, var, eps, output_scale, output_zero_point)",
        f"quantized_max_pool1d({_POOL})", f"quantized_max_pool2d({_POOL})", f"quantized_max_pool3d({_POOL})",
        f"quantized_lstm_cell({_CELL})", f"quantized_gru_cell({_CELL})", f"quantized_rnn_relu_cell({_CELL})", f"quantized_rnn_tanh_cell({_CELL})",
    ),
    "multiply by the scales, as float32 or bfloat16, and use torch.nn.functional.grouped_mm": (
        "F.scaled_grouped_mm(mat_a, mat_b, scale_a, scale_recipe_a, scale_b, scale_recipe_b, swizzle_a=None, swizzle_b=None, bias=None, offs=None, "
        "output_dtype=None, contraction_dim=(), use_fast_accum=False)",
    ),
    "dimensions as objects are not carried; use torch.einsum or indexing": ("Tensor.index(self, positions, dims)",),
    "programs are compiled as they run, from Python itself; there is no TorchScript": ("ScriptFunction(*args, **kwargs)",),
    "jagged tensors are not carried; use torch.nn.utils.rnn.pad_sequence": ("Tensor.to_padded_tensor(self, padding, output_size=None)",),
    "JAX has no such device; use tensor.to('cuda') or tensor.to('xla')": tuple(
        f"Tensor.{n}(self, device=None, non_blocking=False, {_PLACE})" for n in ("ipu", "xpu", "mtia")
    ),
    "sizes are numbers here, never symbols": ("sym_fresh_size(expr)",),
}  # fmt: skip


def declined(name: str, signature: str, instead: str, space: str = "torch") -> Callable[..., Any]:
    """A function of these parameters that raises NotImplementedError naming itself and what to use instead."""
    scope: dict[str, Any] = {}
    exec(f"def {name}{signature}: ...", scope)
    made = scope[name]

    def call(*args: Any, **kwargs: Any) -> Any:
        not_implemented(f"{space}.{name}", instead)

    call.__name__, call.__qualname__, call.__module__ = name, name, space
    call.__doc__ = f"Not there: {instead}."
    call.__signature__ = inspect.signature(made)  # type: ignore[attr-defined]
    call.jtorch_declined = instead  # type: ignore[attr-defined]
    return call


_OWNERS = {"": (torch,), "Tensor.": (Tensor,), "both ": (torch, Tensor), "F.": (F,)}
for _instead, _signatures in DECLINED.items():
    for _text in _signatures:
        _where = next((w for w in ("Tensor.", "both ", "F.") if _text.startswith(w)), "")
        _name, _, _rest = _text.removeprefix(_where).partition("(")
        _fn = declined(_name, f"({_rest}", _instead)
        for _owner in _OWNERS[_where]:
            if hasattr(_owner, _name):
                raise RuntimeError(f"{_name} is there, and declined as well")
            setattr(_owner, _name, _fn)
