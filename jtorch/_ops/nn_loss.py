"""Losses that torch computes in one kernel. ``reduction`` is torch's number: 0 none, 1 mean, 2 sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from . import _guards, _value_guards
from ._lib import accumulate_in, broadcast_shape, dtype_of, known_below, num, quotient
from ._nn import MEAN, NONE, back, const, floats_only, reduced, shape_text
from ._pointwise import one_factor, with_slope
from .arithmetic import no_bools
from .nn_activation import log_of_sigmoid


def _check_written(into: Any, other: Any) -> None:
    """RuntimeError in torch's words if what is computed of both cannot be written where one of them sets the type."""
    kinds = dtype_of(into), dtype_of(other)
    if kinds[1].category > kinds[0].category:
        raise RuntimeError(f"result type {kinds[1].legacy} can't be cast to the desired output type {kinds[0].legacy}")


@op("div_by_count(Tensor input, Scalar other)", where="_nn", out=False, grad_name="DivBackward1")
def div_by_count(input, other):
    """A float tensor over a number: torch's own losses divide so, and its graph shows it."""
    return quotient(input, num(other, input))


@op("mse_loss(Tensor input, Tensor target, int reduction=0)", format="pointwise", where="_nn", promote="default", elementwise=False)
def mse_loss(input, target, reduction):
    """``(input - target) ** 2``, reduced."""
    floats_only("mse_cpu", input)
    d = accumulate_in(input) - accumulate_in(target)
    return back(reduced(d * d, reduction), input)


def _huber_loss(d: Any, big: Any) -> Any:
    half = const(0.5, d)
    return jnp.where((d > -big) & (d < big), d * d * half, big * (jnp.where(d < 0, -d, d) - half * big))


# Of differences that are infinite, too: derived through the squares, it would be nan.
_huber = with_slope(_huber_loss, lambda _, d, big: jnp.where(d >= big, big, jnp.where(d <= -big, -big, d)), None)


def _smooth_l1(d: Any, b: Any) -> Any:
    half = const(0.5, d)
    return jnp.where((d > -b) & (d < b), d * d * (half / b), jnp.where(d < 0, -d, d) - half * b)


_smooth = with_slope(_smooth_l1, lambda _, d, b: jnp.where(d >= b, const(1, d), jnp.where(d <= -b, const(-1, d), d / b)), None)


def _underived(got: str, wanted: str) -> Callable[[Any], Any]:
    """What has no derivative, in the words of torch's TensorIterator."""

    @jax.custom_jvp
    def same(x: Any) -> Any:
        return x

    @same.defjvp
    def refused(primals: Any, tangents: Any) -> Any:
        raise RuntimeError(f"Found dtype {got} but expected {wanted}")

    return same


@op("huber_loss(Tensor input, Tensor target, int reduction=0, float delta=1.0)", format="pointwise", where="_nn")
def huber_loss(input, target, reduction, delta):
    """Quadratic within ``delta`` of the target, linear beyond."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _check_written(input, target)
    floats_only("huber_cpu", input)
    if input.dtype != target.dtype:  # torch's derivative takes one type
        names = dtype_of(input).legacy, dtype_of(target).legacy
        input, target = _underived(names[1], names[0])(input), _underived(*names)(target)
    d = accumulate_in(input) - accumulate_in(target)
    return back(reduced(_huber(d, const(delta, d)), reduction), input)


@op("smooth_l1_loss(Tensor input, Tensor target, int reduction=0, float beta=1.0)", format="pointwise", where="_nn", promote="default", elementwise=False)
def smooth_l1_loss(input, target, reduction, beta):
    """Quadratic within ``beta`` of the target, L1 beyond."""
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    floats_only("smooth_l1_cpu", input)
    x, y = accumulate_in(input), accumulate_in(target)
    if beta == 0:
        d = x - y
        return back(reduced(jnp.where(d < 0, -d, jnp.where(d > 0, d, const(0, d))), reduction), input)
    d = x - y
    b = const(beta, x)
    return back(reduced(_smooth(d, b), reduction), input)


@jax.custom_jvp
def pick(scores: Any, index: Any) -> Any:
    """``scores[..., index]`` with the class dim last; ``index`` has one dim less and must be in range."""
    return jnp.take_along_axis(scores, index[..., None], -1)[..., 0]


@pick.defjvp
def _pick_jvp(primals: Any, tangents: Any) -> Any:
    # A masked sum, whose transpose is a select that fuses with log_softmax's backward; that of a gather is a scatter.
    (scores, index), (t, _) = primals, tangents
    chosen = lax.broadcasted_iota(index.dtype, scores.shape, scores.ndim - 1) == index[..., None]
    return pick(scores, index), jnp.sum(jnp.where(chosen, t, const(0, t)), -1)


def _nll(input: Any, target: Any, weight: Any, reduction: int, ignore_index: int, dim: int) -> tuple[Any, Any]:
    """``(loss, total weight)`` with classes at ``dim``."""
    floats_only("nll_loss_out_frame" if input.ndim < 4 else "nll_loss2d_forward_out_frame", input)
    if target.dtype not in (np.int64, np.uint8):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {dtype_of(target).legacy}")
    classes = input.shape[dim]
    x = accumulate_in(jnp.moveaxis(input, dim, -1) if dim != input.ndim - 1 else input)
    index = target.astype(np.int32) if target.dtype == np.uint8 or known_below(classes, 2**31) else target
    kept = target != const(ignore_index, target) if -(2**31) <= ignore_index else jnp.ones(target.shape, bool)
    safe = jnp.where(kept, index, const(0, index))
    if classes == 0:
        taken = jnp.zeros(target.shape, x.dtype)
    else:
        taken = pick(x, safe)
    zero, one = const(0, x), const(1, x)
    if weight is None:
        w = jnp.where(kept, one, zero)
    else:
        w = jnp.where(kept, back(weight, x)[safe], zero)
    loss = jnp.where(kept, -taken * w, zero)
    total_weight = jnp.sum(w)
    if reduction == NONE:
        return back(loss, input), back(total_weight, input)
    total = jnp.sum(loss)
    if reduction == MEAN:
        # 0 / 0 is torch's nan for a batch in which every target is ignored
        total = total / lax.stop_gradient(total_weight)
    return back(total, input), back(total_weight, input)


def _check_class_weight(weight: Any, classes: int, what: str) -> None:
    if weight is not None and (weight.ndim != 1 or weight.size != classes):
        raise RuntimeError(what)


def _check_same_type(input: Any, weight: Any) -> None:
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(f"expected scalar type {dtype_of(input).legacy} but found {dtype_of(weight).legacy}")


@op("nll_loss(Tensor input, Tensor target, Tensor? weight=None, int reduction=0, int ignore_index=-100)", where="_nn", guard=_guards.targets, fixed={"weight": "nll_loss_forward"}, second="zeros", kept="input")
def nll_loss(input, target, weight, reduction, ignore_index):
    """``-input[i, target[i]] * weight[target[i]]`` over (N, C) or (C,); the mean divides by the weights' sum."""
    if input.ndim == 0 or input.ndim > 2:
        raise RuntimeError("input tensor should be 1D or 2D")
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input.ndim == 1 and target.ndim == 1 and target.shape[0] != 1:
        raise RuntimeError(f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}")
    if input.ndim == 2 and input.shape[0] != (target.shape[0] if target.ndim else -1):
        raise RuntimeError(f"size mismatch (got input: {shape_text(input.shape)}, target: {shape_text(target.shape)})")
    c = input.shape[-1]
    _check_class_weight(
        weight,
        c,
        f"weight tensor should be defined either for all {c} classes or no classes "
        f"but got weight tensor of shape: {shape_text(getattr(weight, 'shape', ()))}",
    )
    _check_same_type(input, weight)
    if input.ndim == 1:
        loss, _ = _nll(input, target.reshape(()), weight, reduction, ignore_index, 0)
        return loss
    return _nll(input, target, weight, reduction, ignore_index, 1)[0]


@op(
    "nll_loss2d(Tensor input, Tensor target, Tensor? weight=None, int reduction=0, int ignore_index=-100)",
    where="_nn",
    grad_name="NllLoss2DBackward0",
    guard=_guards.targets,
    fixed={"weight": "nll_loss2d_forward"}, second="zeros",
    kept="input",
)
def nll_loss2d(input, target, weight, reduction, ignore_index):
    """:func:`nll_loss` over (N, C, d1, ...) with targets (N, d1, ...)."""
    if target.ndim != input.ndim - 1:
        raise RuntimeError(f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {target.ndim}")
    if target.shape != input.shape[:1] + input.shape[2:]:
        raise RuntimeError(f"size mismatch (got input: {shape_text(input.shape)} , target: {shape_text(target.shape)}")
    _check_class_weight(weight, input.shape[1], "weight tensor should be defined either for all or no classes")
    _check_same_type(input, weight)
    return _nll(input, target, weight, reduction, ignore_index, 1)[0]


@op("binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, int reduction=0)", format="pointwise", where="_nn", guard=_value_guards.probabilities, fixed={"weight": "binary_cross_entropy"})
def binary_cross_entropy(input, target, weight, reduction):
    """``-(target * log(input) + (1 - target) * log(1 - input)) * weight``; logarithms stop at -100."""
    if target.dtype != input.dtype:
        raise RuntimeError(f"Found dtype {dtype_of(target).legacy} but expected {dtype_of(input).legacy}")
    floats_only("binary_cross_entropy", input)
    loss = _bce(accumulate_in(input), accumulate_in(target))
    if weight is not None:
        loss = loss * back(weight, loss)
    return back(reduced(loss, reduction), input)


@jax.custom_jvp
def _bce(x: Any, y: Any) -> Any:
    one, low = const(1, x), const(-100, x)
    return (y - one) * jnp.maximum(jnp.log1p(-x), low) - y * jnp.maximum(jnp.log(x), low)


@_bce.defjvp
def _bce_jvp(primals: Any, tangents: Any) -> Any:
    # torch's slope: finite at 0 and 1, where the clamp of the logarithms would make it zero.
    (x, y), (tx, ty) = primals, tangents
    one = const(1, x)
    slope = (x - y) / jnp.maximum((one - x) * x, const(1e-12, x))
    by_target = jnp.log1p(-x) - jnp.log(x)
    return _bce(x, y), tx * slope + ty * by_target


@one_factor
def _logits_loss(x: Any, y: Any) -> Any:
    return (const(1, x) - y) * x - log_of_sigmoid(x)


@one_factor
def _weighted_logits_loss(x: Any, y: Any, pos_weight: Any) -> Any:
    one = const(1, x)
    return (one - y) * x - ((pos_weight - one) * y + one) * log_of_sigmoid(x)


@op(
    "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=0)",
    format="pointwise", where="torch", out=False, fixed=dict.fromkeys(("weight", "pos_weight"), "binary_cross_entropy_with_logits"),
)  # fmt: skip
def binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction):
    """Binary cross entropy of ``sigmoid(input)``, computed from the logits."""
    floats_only("log_sigmoid_cpu", input)
    whole = broadcast_shape(input.shape, target.shape)
    if whole != tuple(target.shape):
        raise RuntimeError(f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(whole)}")
    no_bools(dtype_of(target), dtype_of(target))  # 1 - target
    _check_written(target, input)
    x = accumulate_in(input)
    y = accumulate_in(target)
    if y.dtype != x.dtype and y.dtype.kind == "f":
        x, y = (a.astype(jnp.promote_types(x.dtype, y.dtype)) for a in (x, y))
    loss = _logits_loss(x, y) if pos_weight is None else _weighted_logits_loss(x, y, back(pos_weight, x))
    if weight is not None:
        loss = loss * back(weight, loss)
    return reduced(loss, reduction).astype(target.dtype)  # torch begins with 1 - target and goes on in place


# Derived through exp, the second derivative would be 1 instead of 0 where exp(2x) overflows.
_softplus = with_slope(lambda x: jnp.log1p(jnp.exp(x)), lambda _, x: lax.logistic(x))


@op("soft_margin_loss(Tensor input, Tensor target, int reduction=0)", where="_nn", fixed={"target": "soft_margin_loss"})
def soft_margin_loss(input, target, reduction):
    """``log1p(exp(-target * input))``, reduced."""
    if dtype_of(input).category < 2:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {dtype_of(input).legacy}")
    x = accumulate_in(input)
    broadcast_shape(input.shape, target.shape)  # raises in torch's words
    return back(reduced(_softplus(-back(target, x) * x), reduction), input)


@op("multilabel_margin_loss(Tensor input, Tensor target, int reduction=0)", where="_nn", guard=_guards.margin_targets, second="derivative for aten::multilabel_margin_loss_backward is not implemented")
def multilabel_margin_loss(input, target, reduction):
    """Hinge between every listed class and every other: targets list classes and end at the first -1."""
    if input.ndim > 2 or (input.ndim and input.shape[-1] == 0):
        raise RuntimeError(f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {shape_text(input.shape)}")
    if target.shape != input.shape and not (max(input.ndim, target.ndim) == 1 and input.size == target.size):
        raise RuntimeError(f"inconsistent target size: {shape_text(target.shape)} for input of size: {shape_text(input.shape)}")
    _half_less("multilabel_margin_loss_forward_out_frame", input)
    _long_only(target)
    x = jnp.atleast_2d(accumulate_in(input))
    y = jnp.atleast_2d(target).astype(np.int32)
    n, c = x.shape
    listed = jnp.cumsum(y < 0, 1) == 0  # up to the first negative entry
    position = lax.broadcasted_iota(np.int32, (n, c, c), 2)
    hits = (position == y[:, :, None]) & listed[:, :, None]  # [sample, entry, class]
    is_target = jnp.any(hits, 1)
    own = jnp.take_along_axis(x, jnp.where(listed, y, 0), 1)
    margin = const(1, x) - own[:, :, None] + x[:, None, :]
    counts = listed[:, :, None] & ~is_target[:, None, :] & (margin > 0)
    loss = jnp.sum(jnp.where(counts, margin, const(0, x)), (1, 2)) / const(max(c, 1), x)
    if reduction == NONE:
        return back(loss if input.ndim == 2 else loss[0], input)
    return back(reduced(loss, reduction), input)


@op(
    "multi_margin_loss(Tensor input, Tensor target, Number p=1, Scalar margin=1, Tensor? weight=None, int reduction=0)",
    where="_nn", guard=_guards.margin_target, fixed={"weight": "multi_margin_loss"}, second="derivative for aten::multi_margin_loss_backward is not implemented",
)  # fmt: skip
def multi_margin_loss(input, target, p, margin, weight, reduction):
    """``sum_j max(0, margin - input[target] + input[j]) ** p / C`` over the other classes."""
    if p not in (1, 2):
        raise RuntimeError("only p == 1 and p == 2 supported")
    if input.ndim > 2 or (input.ndim and input.shape[-1] == 0):
        raise RuntimeError(f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {shape_text(input.shape)}")
    n, c = (1, input.shape[0] if input.ndim else 1) if input.ndim < 2 else input.shape
    if target.ndim > 1 or target.size != n:
        raise RuntimeError(
            f"multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{n}], but got {shape_text(target.shape)}. Input has shape {shape_text(input.shape)}."
        )
    if weight is not None and (weight.ndim > 1 or weight.size != c):
        raise RuntimeError(f"inconsistent weight size, expected {c} but got {shape_text(weight.shape)}")
    _half_less("multi_margin_loss_cpu_kernel", input)
    _long_only(target)
    x = accumulate_in(input).reshape(n, c)
    y = target.reshape(n).astype(np.int32)
    own = pick(x, y)
    gap = num(margin, x) - own[:, None] + x
    others = lax.broadcasted_iota(np.int32, (n, c), 1) != y[:, None]
    gap = jnp.where(others & (gap > 0), gap, const(0, x))
    if p == 2:
        gap = gap * gap
    if weight is not None:
        gap = gap * back(weight, x).reshape(-1)[y][:, None]
    loss = jnp.sum(gap, 1) / const(c, x)
    if reduction == NONE:
        return back(loss.reshape(target.shape), input)
    return back(reduced(loss, reduction), input)


def _long_only(target: Any) -> None:
    if target.dtype != np.int64:
        raise RuntimeError(f"expected scalar type Long but found {dtype_of(target).legacy}")


def _half_less(kernel: str, x: Any) -> None:
    floats_only(kernel, x)
    if x.dtype.itemsize <= 2:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype_of(x).legacy}'")
