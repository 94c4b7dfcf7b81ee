"""Derivatives in operators of torch's library, for operators that went through a ``__torch_dispatch__`` (``derivatives.py``).

A formula is a function of (call, gradients of the results) and gives the gradients of the tensors among the arguments, in order. ``call["name"]`` is an argument,
``call.out`` the first result as it was saved, ``call.needs`` says of which tensors the gradient is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jtorch import _types
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, layout
from jtorch._errors import not_implemented
from jtorch._namespace import torch
from jtorch.ops import aten

from .rules_of_views import reshape

if TYPE_CHECKING:
    from .derivatives import Offered

__all__ = ["FORMULAS"]

FORMULAS: dict[str, Callable[..., Any]] = {}
"""``add.Tensor`` to its formula."""




def _formula(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FORMULAS[name] = fn
        return fn

    return declare


def _shape(t: Tensor) -> tuple[int, ...]:
    return aval_of(t).shape


def _sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    have = _shape(g)
    if have == tuple(shape):
        return g
    lead = len(have) - len(shape)
    dims = [*range(lead), *[lead + i for i, n in enumerate(shape) if n == 1 and have[lead + i] != 1]]
    out = aten.sum.dim_IntList(g, dims, True)
    return aten.view.default(out, list(shape)) if lead else out


def _typed(g: Tensor, like: Tensor) -> Tensor:
    kind = aval_of(like).dtype
    if aval_of(g).dtype.is_complex and not kind.is_complex:
        g = torch.real(g)
    return g if aval_of(g).dtype is kind else aten._to_copy.default(g, dtype=kind)


def _conj(t: Any) -> Any:
    return torch.conj(t) if isinstance(t, Tensor) and aval_of(t).dtype.is_complex else t


def _pair(c: Offered, g: Any, other: Any, of_self: Callable[[], Any], of_other: Callable[[], Any]) -> tuple[Any, ...]:
    """The gradients of a binary operator whose second operand may be a number."""
    first = _typed(_sum_to(of_self(), _shape(c["self"])), c["self"]) if c.needs[0] else None
    if not isinstance(other, Tensor):
        return (first,)
    return first, _typed(_sum_to(of_other(), _shape(other)), other) if c.needs[1] else None


@_formula("add.Tensor", "sub.Tensor", "add_.Tensor", "sub_.Tensor")
def _add(c: Offered, g: Any) -> Any:
    alpha = c["alpha"]
    second = g if alpha == 1 else aten.mul.Tensor(g, alpha)
    if c.func._opname.startswith("sub"):
        return _pair(c, g, c["other"], lambda: g, lambda: aten.neg.default(second))
    return _pair(c, g, c["other"], lambda: g, lambda: second)


@_formula("rsub.Scalar")
def _rsub(c: Offered, g: Any) -> Any:
    return aten.neg.default(g)


@_formula("mul.Tensor")
def _mul(c: Offered, g: Any) -> Any:
    return _pair(c, g, c["other"], lambda: aten.mul.Tensor(g, _conj(c["other"])), lambda: aten.mul.Tensor(g, _conj(c["self"])))


@_formula("div.Tensor")
def _div(c: Offered, g: Any) -> Any:
    a, b = c["self"], c["other"]
    return _pair(
        c, g, b, lambda: aten.div.Tensor(g, _conj(b)),
        lambda: aten.mul.Tensor(aten.neg.default(g), aten.div.Tensor(aten.div.Tensor(a, b), b)),
    )  # fmt: skip


@_formula("neg.default")
def _neg(c: Offered, g: Any) -> Any:
    return aten.neg.default(g)


@_formula("reciprocal.default")
def _reciprocal(c: Offered, g: Any) -> Any:
    out = c.out
    return aten.mul.Tensor(aten.neg.default(g), aten.mul.Tensor(out, out))


@_formula("pow.Tensor_Scalar")
def _pow(c: Offered, g: Any) -> Any:
    n = c["exponent"]
    if n == 0:
        return aten.zeros_like.default(c["self"])
    return aten.mul.Tensor(g, aten.mul.Scalar(aten.pow.Tensor_Scalar(c["self"], n - 1), n))


@_formula("exp.default")
def _exp(c: Offered, g: Any) -> Any:
    return aten.mul.Tensor(g, c.out)


@_formula("log.default")
def _log(c: Offered, g: Any) -> Any:
    return aten.div.Tensor(g, c["self"])


@_formula("sqrt.default")
def _sqrt(c: Offered, g: Any) -> Any:
    return aten.div.Tensor(g, aten.mul.Scalar(c.out, 2))


@_formula("rsqrt.default")
def _rsqrt(c: Offered, g: Any) -> Any:
    return aten.mul.Tensor(aten.mul.Scalar(g, -0.5), aten.pow.Tensor_Scalar(c.out, 3))


@_formula("sin.default")
def _sin(c: Offered, g: Any) -> Any:
    return aten.mul.Tensor(g, aten.cos.default(c["self"]))


@_formula("cos.default")
def _cos(c: Offered, g: Any) -> Any:
    return aten.mul.Tensor(g, aten.neg.default(aten.sin.default(c["self"])))


@_formula("abs.default")
def _abs(c: Offered, g: Any) -> Any:
    return aten.mul.Tensor(g, aten.sgn.default(c["self"]))


@_formula("tanh.default")
def _tanh(c: Offered, g: Any) -> Any:
    return aten.tanh_backward.default(g, c.out)


@_formula("sigmoid.default")
def _sigmoid(c: Offered, g: Any) -> Any:
    return aten.sigmoid_backward.default(g, c.out)


@_formula("relu.default")
def _relu(c: Offered, g: Any) -> Any:
    return aten.threshold_backward.default(g, c.out, 0)


@_formula("gelu.default")
def _gelu(c: Offered, g: Any) -> Any:
    named = {} if c["approximate"] == "none" else {"approximate": c["approximate"]}
    return aten.gelu_backward.default(g, c["self"], **named)


@_formula("silu.default")
def _silu(c: Offered, g: Any) -> Any:
    return aten.silu_backward.default(g, c["self"])


@_formula("leaky_relu.default")
def _leaky(c: Offered, g: Any) -> Any:
    return aten.leaky_relu_backward.default(g, c["self"], c["negative_slope"], False)


@_formula("hardtanh.default")
def _hardtanh(c: Offered, g: Any) -> Any:
    return aten.hardtanh_backward.default(g, c["self"], c["min_val"], c["max_val"])


@_formula("softplus.default")
def _softplus(c: Offered, g: Any) -> Any:
    return aten.softplus_backward.default(g, c["self"], c["beta"], c["threshold"])


@_formula("clamp.default")
def _clamp(c: Offered, g: Any) -> Any:
    x = c["self"]
    bounds = [aten.ge.Scalar(x, c["min"])] if c["min"] is not None else []
    bounds += [aten.le.Scalar(x, c["max"])] if c["max"] is not None else []
    inside = bounds[0] if len(bounds) == 1 else aten.logical_and.default(*bounds)
    return aten.where.self(inside, g, aten.scalar_tensor.default(0.0, dtype=aval_of(g).dtype, device=aval_of(g).device))


@_formula("where.self")
def _where(c: Offered, g: Any) -> Any:
    zero = aten.scalar_tensor.default(0.0, dtype=aval_of(g).dtype, device=aval_of(g).device)
    a, b = c["self"], c["other"]
    first = _sum_to(aten.where.self(c["condition"], g, zero), _shape(a)) if c.needs[1] else None
    return None, first, _sum_to(aten.where.self(c["condition"], zero, g), _shape(b)) if c.needs[2] else None


@_formula("masked_fill.Scalar")
def _masked_fill(c: Offered, g: Any) -> Any:
    return aten.masked_fill.Scalar(g, c["mask"], 0), None


def _by_columns(t: Tensor) -> bool:
    shape, strides, _ = layout(t)
    return strides[0] == 1 and strides[1] == shape[0]


def _of_first(g: Any, a: Any, b: Any) -> Any:
    """The gradient of ``a`` in ``a @ b``, laid out as ``a``."""
    if _by_columns(a):
        return aten.t.default(aten.mm.default(_conj(b), aten.t.default(g)))
    return aten.mm.default(g, _conj(aten.t.default(b)))


def _of_second(g: Any, a: Any, b: Any) -> Any:
    if _by_columns(b):
        return aten.t.default(aten.mm.default(aten.t.default(g), _conj(a)))
    return aten.mm.default(_conj(aten.t.default(a)), g)


@_formula("mm.default")
def _mm(c: Offered, g: Any) -> Any:
    a, b = c["self"], c["mat2"]
    second = _of_second(g, a, b) if c.needs[1] else None
    return _of_first(g, a, b) if c.needs[0] else None, second


@_formula("bmm.default")
def _bmm(c: Offered, g: Any) -> Any:
    a, b = c["self"], c["mat2"]
    second = aten.bmm.default(aten.transpose.int(_conj(a), 1, 2), g) if c.needs[1] else None
    return aten.bmm.default(g, aten.transpose.int(_conj(b), 1, 2)) if c.needs[0] else None, second


@_formula("addmm.default")
def _addmm(c: Offered, g: Any) -> Any:
    bias, a, b = c["self"], c["mat1"], c["mat2"]
    alpha, beta = c["alpha"], c["beta"]
    scaled = lambda t, by: t if by == 1 else aten.mul.Scalar(t, by)
    first = scaled(_of_first(g, a, b), alpha) if c.needs[1] else None
    second = scaled(_of_second(g, a, b), alpha) if c.needs[2] else None
    return _sum_to(scaled(g, beta), _shape(bias)) if c.needs[0] else None, first, second


@_formula("mv.default")
def _mv(c: Offered, g: Any) -> Any:
    first = aten.mul.Tensor(aten.unsqueeze.default(g, 1), aten.unsqueeze.default(_conj(c["vec"]), 0)) if c.needs[0] else None
    return first, aten.mv.default(aten.t.default(_conj(c["self"])), g) if c.needs[1] else None


@_formula("dot.default")
def _dot(c: Offered, g: Any) -> Any:
    return aten.mul.Tensor(g, _conj(c["tensor"])) if c.needs[0] else None, aten.mul.Tensor(g, _conj(c["self"])) if c.needs[1] else None


@_formula("t.default")
def _t(c: Offered, g: Any) -> Any:
    return aten.t.default(g)


@_formula("transpose.int")
def _transpose(c: Offered, g: Any) -> Any:
    return aten.transpose.int(g, c["dim0"], c["dim1"])


@_formula("permute.default")
def _permute(c: Offered, g: Any) -> Any:
    n = len(c["dims"])
    back = [0] * n
    for i, d in enumerate(c["dims"]):
        back[d % n] = i
    return aten.permute.default(g, back)


@_formula("view.default", "_unsafe_view.default")
def _view(c: Offered, g: Any) -> Any:
    return reshape(g, list(_shape(c["self"])))


@_formula("expand.default")
def _expand(c: Offered, g: Any) -> Any:
    return _sum_to(g, _shape(c["self"]))


@_formula("unsqueeze.default")
def _unsqueeze(c: Offered, g: Any) -> Any:
    return aten.squeeze.dim(g, c["dim"])


@_formula("squeeze.default", "squeeze.dim", "squeeze.dims")
def _squeeze(c: Offered, g: Any) -> Any:
    return _view(c, g)


@_formula("select.int")
def _select(c: Offered, g: Any) -> Any:
    return aten.select_backward.default(g, list(_shape(c["self"])), c["dim"], c["index"])


@_formula("slice.Tensor")
def _slice(c: Offered, g: Any) -> Any:
    end = (1 << 63) - 1 if c["end"] is None else c["end"]
    return aten.slice_backward.default(g, list(_shape(c["self"])), c["dim"], c["start"] or 0, end, c["step"])


@_formula("clone.default", "alias.default", "lift_fresh.default")
def _clone(c: Offered, g: Any) -> Any:
    return g


@_formula("_to_copy.default")
def _to_copy(c: Offered, g: Any) -> Any:
    a = aval_of(c["self"])
    named = {k: v for k, v, now in (("dtype", a.dtype, aval_of(g).dtype), ("device", a.device, aval_of(g).device)) if v is not now}
    return aten._to_copy.default(g, **named) if named else g


def _spread_out(g: Any, shape: tuple[int, ...], dims: Any, keepdim: bool) -> Any:
    n = len(shape)
    if dims and not keepdim and n:
        for d in sorted(d % n for d in dims):
            g = aten.unsqueeze.default(g, d)
    return aten.expand.default(g, list(shape))


@_formula("sum.default")
def _sum(c: Offered, g: Any) -> Any:
    return _typed(aten.expand.default(g, list(_shape(c["self"]))), c["self"])


@_formula("sum.dim_IntList")
def _sum_dim(c: Offered, g: Any) -> Any:
    return _typed(_spread_out(g, _shape(c["self"]), c["dim"], c["keepdim"]), c["self"])


@_formula("mean.default")
def _mean(c: Offered, g: Any) -> Any:
    shape = _shape(c["self"])
    return _typed(aten.div.Scalar(aten.expand.default(g, list(shape)), math.prod(shape)), c["self"])


@_formula("mean.dim")
def _mean_dim(c: Offered, g: Any) -> Any:
    shape = _shape(c["self"])
    dims = c["dim"] or list(range(len(shape)))
    return _typed(aten.div.Scalar(_spread_out(g, shape, dims, c["keepdim"]), math.prod(shape[d] for d in dims)), c["self"])


@_formula("_softmax.default", "_log_softmax.default")
def _softmax(c: Offered, g: Any) -> Any:
    op = aten._softmax_backward_data if c.func._opname == "_softmax" else aten._log_softmax_backward_data
    return op.default(g, c.out, c["dim"], aval_of(c["self"]).dtype)


@_formula("nll_loss_forward.default", "nll_loss2d_forward.default")
def _nll(c: Offered, g: Any, total: Any = None) -> Any:
    op = aten.nll_loss_backward if c.func._opname == "nll_loss_forward" else aten.nll_loss2d_backward
    made = op.default(g, c["self"], c["target"], c["weight"], c["reduction"], c["ignore_index"], c.outs[1])
    return (made, None) if c["weight"] is None else (made, None, None)


@_formula("mse_loss.default")
def _mse(c: Offered, g: Any) -> Any:
    first = aten.mse_loss_backward.default(g, c["self"], c["target"], c["reduction"])
    return first, aten.neg.default(first) if c.needs[1] else None


def _placed(c: Offered, names: tuple[str, ...], grads: Any) -> tuple[Any, ...]:
    """The gradients of those of the named arguments that are there."""
    return tuple(g for n, g in zip(names, grads, strict=True) if c[n] is not None)


def _wanted(c: Offered, names: tuple[str, ...]) -> list[bool]:
    there = iter(c.needs)
    return [c[n] is not None and next(there) for n in names]


@_formula("native_layer_norm.default")
def _layer_norm(c: Offered, g: Any, *_: Any) -> Any:
    names = ("input", "weight", "bias")
    made = aten.native_layer_norm_backward.default(g, c["input"], c["normalized_shape"], c.outs[1], c.outs[2], c["weight"], c["bias"], _wanted(c, names))
    return _placed(c, names, made)


@_formula("native_batch_norm.default")
def _batch_norm(c: Offered, g: Any, *_: Any) -> Any:
    names = ("input", "weight", "bias")
    made = aten.native_batch_norm_backward.default(
        g, c["input"], c["weight"], c["running_mean"], c["running_var"], c.outs[1], c.outs[2], c["training"], c["eps"], _wanted(c, names)
    )
    return (*_placed(c, names, made), *[None for n in ("running_mean", "running_var") if c[n] is not None])


@_formula("convolution.default")
def _convolution(c: Offered, g: Any) -> Any:
    names = ("input", "weight", "bias")
    sizes = None if c["bias"] is None else list(_shape(c["bias"]))
    made = aten.convolution_backward.default(
        g, c["input"], c["weight"], sizes, c["stride"], c["padding"], c["dilation"], c["transposed"], c["output_padding"], c["groups"], _wanted(c, names)
    )
    return _placed(c, names, made)


@_formula("embedding.default")
def _embedding(c: Offered, g: Any) -> Any:
    if c["sparse"]:
        not_implemented("sparse gradients under __torch_dispatch__")
    return aten.embedding_dense_backward.default(g, c["indices"], _shape(c["weight"])[0], c["padding_idx"], c["scale_grad_by_freq"]), None


@_formula("max_pool2d_with_indices.default")
def _max_pool(c: Offered, g: Any, *_: Any) -> Any:
    return aten.max_pool2d_with_indices_backward.default(g, c["self"], c["kernel_size"], c["stride"], c["padding"], c["dilation"], c["ceil_mode"], c.outs[1])


@_formula("_adaptive_avg_pool2d.default")
def _adaptive_pool(c: Offered, g: Any) -> Any:
    return aten._adaptive_avg_pool2d_backward.default(g, c["self"])


@_formula("cat.default")
def _cat(c: Offered, g: Any) -> Any:
    out, at = [], 0
    for t in c["tensors"]:
        n = _shape(t)[c["dim"]]
        out.append(aten.slice.Tensor(g, c["dim"], at, at + n))
        at += n
    return out


@_formula("stack.default")
def _stack(c: Offered, g: Any) -> Any:
    return list(aten.unbind.int(g, c["dim"])) if c["dim"] else list(aten.unbind.int(g))


@_formula("split.Tensor", "split_with_sizes.default", "unbind.int")
def _split(c: Offered, *grads: Any) -> Any:
    there = next(g for g in grads if g is not None)
    options = {"dtype": aval_of(there).dtype, "device": aval_of(there).device, "layout": _types.CONSTANTS["strided"]}
    parts = [g if g is not None else aten.zeros.default(list(_shape(o)), **options) for g, o in zip(grads, c.outs, strict=True)]
    return (aten.stack if c.func._opname == "unbind" else aten.cat).default(parts, *([c["dim"]] if c["dim"] else []))


@_formula("index.Tensor")
def _index(c: Offered, g: Any) -> Any:
    zeros = aten.new_zeros.default(g, list(_shape(c["self"])))
    return aten.index_put.default(zeros, c["indices"], g, True), *[None for i in c["indices"] if i is not None]


@_formula("gather.default")
def _gather(c: Offered, g: Any) -> Any:
    return aten.scatter_add.default(aten.new_zeros.default(g, list(_shape(c["self"]))), c["dim"], c["index"], g), None
