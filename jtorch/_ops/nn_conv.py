"""Convolutions and transposed convolutions over lax.conv_general_dilated, channels first as in torch."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._dtypes import cpp_type
from jtorch._registry import op

from ._conv_groups import in_groups
from ._conv_rewrites import by_phases, plain, to_rewrite, ungrouped
from ._lib import accumulate_in, dtype_of, is_complex, matmul_precision
from ._linalg_lib import ShapedName, cpp_name
from ._nn import back, shape_text

Ints = tuple[int, ...]


def _each(value: Any, n: int, name: str) -> Ints:
    value = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(value) == 1:
        return value * n
    if len(value) != n:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {n} values to match the convolution "
            f"dimensions, but got {name}={list(value)}"
        )
    return value


def _check_types(input: Any, weight: Any, bias: Any, groups: int) -> None:
    """RuntimeError where the types differ, in the words of the kernel that torch would have taken. ``input`` is batched."""
    if input.dtype == np.bool_:
        raise NotImplementedError("\"slow_conv2d_cpu\" not implemented for 'Bool'")
    if bias is not None and bias.dtype != input.dtype:
        raise RuntimeError(f"Input type ({cpp_name(input)}) and bias type ({cpp_name(bias)}) should be the same")
    if weight.dtype == input.dtype:
        return
    kinds = [cpp_type(dtype_of(x)) for x in (input, weight)]
    onednn = _by_onednn(input, weight, groups)
    if onednn or is_complex(input):
        or_so = " or input should be a MKLDNN tensor and weight is a dense tensor" if onednn else ""
        raise RuntimeError(f"Input type ({kinds[0]}) and weight type ({kinds[1]}) should be the same{or_so}")
    raise RuntimeError(f"expected scalar type {dtype_of(input).legacy} but found {dtype_of(weight).legacy}")


def _by_onednn(input: Any, weight: Any, groups: int) -> bool:
    """Whether torch would hand a convolution to oneDNN, with several threads: its words about types are others."""
    if input.dtype != np.float32:
        return dtype_of(input).name == "bfloat16"
    kernel = (1, *weight.shape[2:])[-2:]
    return groups > 1 or min(kernel) > 3 or input.shape[0] > 1 or int(np.prod(input.shape[:4])) > 20480


def _check_kernel(weight: Any, transposed: bool) -> None:
    """RuntimeError for weights without elements, where torch's kernels find one: those of no output channels at all are an empty result of a convolution."""
    kernel = tuple(weight.shape[2:])
    flat = len(kernel) < 3
    if not all(kernel) and not (transposed and not flat):
        high, wide = (1, *kernel)[-2:]
        raise RuntimeError("kernel size should be greater than zero, but got" + (f" kernel_height: {high} kernel_width: {wide}" if flat else f": {' x '.join(map(str, kernel))} (TxHxW)"))
    if transposed and 0 in weight.shape[1:]:
        shape = (*weight.shape[:2], *((1,) if len(kernel) == 1 else ()), *kernel)
        wanted = "non-empty 2D or 4D weight tensor expected" if flat else "non-empty 5D (n_output_plane x n_input_plane x kernel_depth x kernel_height x kernel_width) tensor expected for weight"
        raise RuntimeError(f"{wanted}, but got: {shape_text(shape)}")


def _check_shapes(
    input: Any, weight: Any, bias: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int, transposed: bool, out_pad: Ints
) -> None:
    n = weight.ndim - 2
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(out_pad) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) <= 0:
        raise RuntimeError("dilation should be greater than zero")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    _check_kernel(weight, transposed)
    if weight.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{shape_text(weight.shape)} instead"
        )
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size "
            f"{shape_text(weight.shape)} instead"
        )
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if input.shape[1] != channels:
        words = "transposed=1, " if transposed else ""
        raise RuntimeError(
            f"Given {words}"
            + (
                f"weight of size {shape_text(weight.shape)}"
                if transposed
                else f"groups={groups}, weight of size {shape_text(weight.shape)}"
            )
            + f", expected input{shape_text(input.shape)} to have {channels} channels, but got {input.shape[1]} channels instead"
        )
    outs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != outs):
        raise RuntimeError(
            f"Given {'transposed=1, ' if transposed else ''}weight of size {shape_text(weight.shape)}, expected bias to be "
            f"1-dimensional with {outs} elements, "
            f"but got bias of size {shape_text(bias.shape)} instead"
        )
    if not transposed:
        wide = tuple(s + 2 * p for s, p in zip(input.shape[2:], padding, strict=True))
        reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True))
        if any(w < r for w, r in zip(wide, reach, strict=True)):
            shown = " x ".join(str(w) for w in wide), " x ".join(str(r) for r in reach)
            raise RuntimeError(
                f"Calculated padded input size per channel: ({shown[0]}). Kernel size: ({shown[1]}). Kernel size can't be greater "
                f"than actual input size"
            )
    assert n == input.ndim - 2


def _convolve(
    x: Any, w: Any, bias: Any, stride: Ints, pads: list[tuple[int, int]], dilation: Ints, groups: int, lhs_dilation: Ints | None = None
) -> Any:
    y = _products(x, w, stride, pads, dilation, groups, lhs_dilation)  # of half types in float32, for the bias to be added before rounding
    return back(_with_bias(y, bias), x)


def _products(x: Any, w: Any, stride: Ints, pads: list[tuple[int, int]], dilation: Ints, groups: int, lhs_dilation: Ints | None) -> Any:
    if jnp.issubdtype(x.dtype, jnp.integer):
        return plain(x, w, stride, pads, dilation, lhs_dilation, groups)
    bare = lhs_dilation is None and all(p == (0, 0) for p in pads)
    if bare and groups == 1 and set(w.shape[2:]) == {1} and set(stride) == {1} and math.prod(x.shape) and math.prod(w.shape):
        # a 1x1 kernel is a matrix product: half the time of XLA's convolution on CPU
        flat = x.reshape(x.shape[0], x.shape[1], -1)
        y = jnp.einsum("oc,ncp->nop", w.reshape(w.shape[:2]), flat, precision=matmul_precision(), preferred_element_type=accumulate_in(x).dtype)
        return y.reshape(x.shape[0], w.shape[0], *x.shape[2:])
    x, w = accumulate_in(x), accumulate_in(w)
    if groups == 1:
        return ungrouped(x, w, stride, pads, dilation, lhs_dilation)
    y = in_groups(x, w, stride, pads, dilation, groups, lhs_dilation)
    return y if y is not None else plain(x, w, stride, pads, dilation, lhs_dilation, groups)


def _with_bias(y: Any, bias: Any) -> Any:
    return y if bias is None else y + back(bias, y).reshape((1, -1) + (1,) * (y.ndim - 2))


def _reached(x: Any, kernel: Ints, stride: Ints, pad: Ints, dilation: Ints) -> tuple[Any, Ints]:
    """``x``, and how it is still to be padded. Where its size is a symbol it is padded here, and cut off behind the last window: JAX's derivative pads by what is left, which has to be a number."""
    left = list(pad)
    for axis, (k, st, p, d) in enumerate(zip(kernel, stride, pad, dilation, strict=True), 2):
        if st > 1 and not isinstance(x.shape[axis], int):
            if p:
                x, left[axis - 2] = lax.pad(x, jnp.zeros((), x.dtype), [(p, p, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)]), 0
            reach = d * (k - 1) + 1
            x = lax.slice_in_dim(x, 0, (x.shape[axis] - reach) // st * st + reach, axis=axis)
    return x, tuple(left)


def convolution_core(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """The one convolution under all of them; ``input`` is batched."""
    n = weight.ndim - 2
    stride, dilation = _each(stride, n, "stride"), _each(dilation, n, "dilation")
    pad, extra = _each(padding, n, "padding"), _each(output_padding, n, "output_padding")
    _check_types(input, weight, bias, groups)
    _check_shapes(input, weight, bias, stride, pad, dilation, groups, transposed, extra)
    if not transposed:
        if input.size == 0 or weight.size == 0:
            spatial = tuple(
                (s + 2 * p - d * (k - 1) - 1) // st + 1
                for s, p, d, k, st in zip(input.shape[2:], pad, dilation, weight.shape[2:], stride, strict=True)
            )
            return _with_bias(jnp.zeros((input.shape[0], weight.shape[0], *spatial), input.dtype), bias)
        input, pad = _reached(input, weight.shape[2:], stride, pad, dilation)
        return _convolve(input, weight, bias, stride, [(p, p) for p in pad], dilation, groups)
    for e, s, d in zip(extra, stride, dilation, strict=True):
        if e >= s and e >= d:
            shown = [f"output_padding_{a}: {v}" for a, v in zip(("depth", "height", "width")[-n:], extra, strict=True)]
            raise RuntimeError(
                f"output padding must be smaller than either stride or dilation, but got {' '.join(shown)} "
                + " ".join(f"stride_{a}: {v}" for a, v in zip(("depth", "height", "width")[-n:], stride, strict=True)) + " "
                + " ".join(f"dilation_{a}: {v}" for a, v in zip(("depth", "height", "width")[-n:], dilation, strict=True))
            )  # fmt: skip
    kernel = weight.shape[2:]
    # (in, out/g, *k) to (out, in/g, *k), flipped: a transposed convolution is a convolution over the input with holes
    w = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], *kernel).swapaxes(1, 2)
    w = jnp.flip(w.reshape(groups * weight.shape[1], weight.shape[0] // groups, *kernel), tuple(range(2, n + 2)))
    pads = [(d * (k - 1) - p, d * (k - 1) - p + e) for d, k, p, e in zip(dilation, kernel, pad, extra, strict=True)]
    sizes = [
        (s - 1) * st + 1 + lo + hi - d * (k - 1)
        for s, st, (lo, hi), d, k in zip(input.shape[2:], stride, pads, dilation, kernel, strict=True)
    ]
    if any(s <= 0 for s in sizes):
        flat = (1,) if n == 1 else ()  # torch has its kernels for planes compute these
        given, come = (" x ".join(map(str, (*flat, *shown))) for shown in (input.shape[2:], sizes))
        raise RuntimeError(f"Given input size per channel: ({given}). Calculated output size per channel: ({come}). Output size is too small")
    if groups == 1 and set(dilation) == {1} and set(stride) != {1} and to_rewrite(input, weight) and not jnp.issubdtype(input.dtype, jnp.integer):
        y = by_phases(accumulate_in(input), accumulate_in(weight), stride, pad, tuple(sizes), lambda x, k, edges: _products(x, k, (1,) * n, edges, dilation, 1, None))
        return back(_with_bias(y, bias), input)
    return _convolve(input, w, bias, (1,) * n, pads, dilation, groups, stride)


def _batched(name: str, n: int, input: Any, weight: Any) -> bool:
    """Whether the input has a batch dim; RuntimeError for other shapes."""
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size: {shape_text(input.shape)}"
        )
    if weight.ndim < 3:
        raise RuntimeError("weight should have at least three dimensions")
    if weight.ndim != n + 2:
        raise RuntimeError(
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight {shape_text(weight.shape)}, but got "
            f"{n + 2}-dimensional input of size "
            f"{shape_text(input.shape if input.ndim == n + 2 else (1, *input.shape))} instead"
        )
    return input.ndim == n + 2


def _conv(name: str, n: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    batched = _batched(name, n, input, weight)
    x = input if batched else input[None]
    if is_complex(x) or is_complex(weight):
        _check_types(x, weight, bias, groups)
        y = _complex_conv(x, weight, bias, stride, padding, dilation, groups)
        return y if batched else y[0]
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if padding == "valid":
            padding = (0,) * n
        else:
            strides = _each(stride, n, "stride")
            if any(s != 1 for s in strides):
                raise RuntimeError("padding='same' is not supported for strided convolutions")
            total = [d * (k - 1) for d, k in zip(_each(dilation, n, "dilation"), weight.shape[2:], strict=True)]
            if any(t % 2 for t in total):
                x = jnp.pad(x, [(0, 0), (0, 0), *((0, t % 2) for t in total)])  # torch puts the odd one on the right
            padding = tuple(t // 2 for t in total)
    y = convolution_core(x, weight, bias, stride, padding, dilation, False, 0, groups)
    return y if batched else y[0]


def _complex_conv(x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    n = w.ndim - 2
    name = f"conv{n}d"
    args = (stride, padding, dilation, groups)
    a = _conv(name, n, jnp.real(x), jnp.real(w), None, *args)
    b = _conv(name, n, jnp.imag(x), jnp.imag(w), None, *args)
    c = _conv(name, n, jnp.real(x) + jnp.imag(x), jnp.real(w) + jnp.imag(w), None, *args)
    return _with_bias(lax.complex(a - b, c - a - b), bias)


_TAIL = "Tensor input, Tensor weight, Tensor? bias=None, int[{n}] stride=1, {padding}, int[{n}] dilation=1, int groups=1"


def _overloads(name: str, n: int) -> tuple[str, str]:
    return tuple(f"{name}({_TAIL.format(n=n, padding=p)})" for p in (f"int[{n}] padding=0", "str padding='valid'"))  # type: ignore[return-value]


def _grad_name(n: int) -> ShapedName:
    """Unbatched inputs end in torch's squeeze of the batch dim."""
    return ShapedName("ConvolutionBackward0", lambda shapes: "SqueezeBackward1" if len(shapes[0]) == n + 1 else "ConvolutionBackward0")


@op(*_overloads("conv1d", 1), where="torch nn.functional", out=False, kept="input weight", grad_name=_grad_name(1))
def conv1d(input, weight, bias, stride, padding, dilation, groups):
    """Cross-correlation of (N, C, L) or (C, L) with weights (O, C/groups, K)."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@op(*_overloads("conv2d", 2), format="any", where="torch nn.functional", out=False, kept="input weight", grad_name=_grad_name(2))
def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Cross-correlation of (N, C, H, W) or (C, H, W) with weights (O, C/groups, KH, KW)."""
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@op(*_overloads("conv3d", 3), format="any", where="torch nn.functional", out=False, kept="input weight", grad_name=_grad_name(3))
def conv3d(input, weight, bias, stride, padding, dilation, groups):
    """Cross-correlation of (N, C, D, H, W) or (C, D, H, W) with weights (O, C/groups, KD, KH, KW)."""
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


_TRANSPOSED = (
    "{name}(Tensor input, Tensor weight, Tensor? bias=None, int[{n}] stride=1, int[{n}] padding=0, int[{n}] output_padding=0, "
    "int groups=1, int[{n}] dilation=1)"
)


def _conv_transpose(
    n: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Any:
    batched = _batched(f"conv_transpose{n}d", n, input, weight)
    x = input if batched else input[None]
    if is_complex(x) or is_complex(weight):
        _check_types(x, weight, bias, groups)
        args = (None, stride, padding, dilation, True, output_padding, groups)
        re, im = jnp.real, jnp.imag
        a, b = convolution_core(re(x), re(weight), *args), convolution_core(im(x), im(weight), *args)
        c = convolution_core(re(x) + im(x), re(weight) + im(weight), *args)
        y = _with_bias(lax.complex(a - b, c - a - b), bias)
    else:
        y = convolution_core(x, weight, bias, stride, padding, dilation, True, output_padding, groups)
    return y if batched else y[0]


@op(_TRANSPOSED.format(name="conv_transpose1d", n=1), where="torch nn.functional", out=False, kept="input weight", grad_name=_grad_name(1))
def conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation):
    """The gradient of :func:`conv1d` by its input, as an operator; weights are (C, O/groups, K)."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op(_TRANSPOSED.format(name="conv_transpose2d", n=2), format="any", where="torch nn.functional", out=False, kept="input weight", grad_name=_grad_name(2))
def conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation):
    """The gradient of :func:`conv2d` by its input, as an operator; weights are (C, O/groups, KH, KW)."""
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op(_TRANSPOSED.format(name="conv_transpose3d", n=3), format="any", where="torch nn.functional", out=False, kept="input weight", grad_name=_grad_name(3))
def conv_transpose3d(input, weight, bias, stride, padding, output_padding, groups, dilation):
    """The gradient of :func:`conv3d` by its input, as an operator; weights are (C, O/groups, KD, KH, KW)."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op(
    "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, bool transposed, int[] "
    "output_padding, int groups)",
    format="any", where="torch", out=False, kept="input weight",
)  # fmt: skip
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """Any of the convolutions over a batched input."""
    return convolution_core(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)


@op("conv_tbc(Tensor input, Tensor weight, Tensor bias, int pad=0)", where="torch nn.functional", out=False)
def conv_tbc(input, weight, bias, pad):
    """1-d convolution of (time, batch, channels) with weights (K, in, out)."""
    if input.ndim != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.ndim != 3:
        raise RuntimeError("Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.")
    if bias.ndim != 1:
        raise RuntimeError("Bias must be 1-D")
    y = _convolve(input.transpose(1, 2, 0), weight.transpose(2, 1, 0), None, (1,), [(pad, pad)], (1,), 1)
    return y.transpose(2, 0, 1) + bias
