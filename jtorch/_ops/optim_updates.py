"""Optimizer arithmetic: one pure function per parameter and step, in torch's order of operations and rounding.

Each ``*_update`` is a whole update (weight decay, moments, bias correction, step) as one operator, so that a training step
records one node per parameter. Scalars that torch computes in Python's double precision (bias corrections, step sizes) come
from the ``*_factors`` functions. These are plain arithmetic: the optimizers call them on Python numbers, once per group and
step; where the step count lives in the graph (capturable, torch.compile) they are recorded as operators on 0-dim arrays.

optax computes the same update for sgd, adam, adamw, adamax, adadelta and rmsprop(eps_in_sqrt=False) up to rounding; torch's own
forms are kept here because flags (dampening, amsgrad, maximize, capturable), half types and the order of rounding differ.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._lib import accumulate_in, is_complex, num, quotient
from jtorch._registry import op


def _internal(*parts: str) -> Any:
    """Declare a building block. Its scalars may be 0-dim tensors: a learning rate that is one, a step count in the graph."""
    return op("".join(parts).replace("Scalar", "Tensor|Scalar"), where="internal", out=False, runtime_scalars=True)


# ---- torch's fused element-wise steps; halves are computed in float32 and rounded after each ----------------------------


def _wide(x: Any) -> Any:
    return accumulate_in(x)


def _add(x: Any, y: Any, alpha: Any) -> Any:
    wide = _wide(x)
    return (wide + num(alpha, wide) * _wide(y)).astype(x.dtype)


def _mul(x: Any, s: Any) -> Any:
    wide = _wide(x)
    return (wide * num(s, wide)).astype(x.dtype)


def _div(x: Any, s: Any) -> Any:
    wide = _wide(x)
    return quotient(wide, num(s, wide)).astype(x.dtype)


def _axpy(x: Any, alpha: Any, y: Any) -> Any:
    """``x + alpha * y`` rounded once, as the BLAS does that torch adds rows with (a product of float32 numbers is exact in float64)."""
    wide = x.astype(np.float64) if x.dtype == np.float32 else x
    return (wide + num(alpha, x).astype(wide.dtype) * y.astype(wide.dtype)).astype(x.dtype)


def _addcmul(x: Any, a: Any, b: Any, value: Any) -> Any:
    wide = _wide(x)
    return (wide + num(value, wide) * _wide(a) * _wide(b)).astype(x.dtype)


def _addcdiv(x: Any, a: Any, b: Any, value: Any) -> Any:
    wide = _wide(x)
    return (wide + num(value, wide) * _wide(a) / _wide(b)).astype(x.dtype)


def _lerp(x: Any, y: Any, weight: Any) -> Any:
    """torch starts from the nearer end, which is a choice of rounding; here the scalar chooses, so that it may be a runtime value."""
    start, end = _wide(x), _wide(y)
    w = num(weight, start)
    near = jnp.abs(w) < 0.5
    base = jnp.where(near, start, end)
    factor = jnp.where(near, w, -(num(1, start) - w))
    return (base + factor * (end - start)).astype(x.dtype)


def _sqrt(x: Any) -> Any:
    return jnp.sqrt(_wide(x)).astype(x.dtype)


def _double(s: Any) -> Any:
    """A scalar in double precision: Python numbers stay Python's."""
    return s if isinstance(s, (bool, int, float)) else s.astype(np.float64)


def _rest(s: Any) -> Any:
    """``1 - s`` in double precision, as torch computes it in Python."""
    return 1 - _double(s)


def _scalar_min(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, (int, float)) and isinstance(b, (int, float)) else jnp.minimum(a, b)


def _scalar_max(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, (int, float)) and isinstance(b, (int, float)) else jnp.maximum(a, b)


def _as_real(x: Any) -> Any:
    """Complex arrays as pairs of reals (most moments are taken of the parts separately)."""
    return jnp.stack([x.real, x.imag], axis=-1) if x is not None and is_complex(x) else x


def _back(x: Any, like: Any) -> Any:
    return lax.complex(x[..., 0], x[..., 1]) if is_complex(like) and not is_complex(x) else x


def _finish(results: list[Any], likes: list[Any], found_inf: Any = None) -> Any:
    """Results in the storage types of what they replace; nothing changes where ``found_inf`` is set. One result comes bare."""
    out = [_back(r, like).astype(like.dtype) for r, like in zip(results, likes, strict=True)]
    if found_inf is not None:
        keep = found_inf.reshape(()) != 0
        out = [jnp.where(keep, like, r) for r, like in zip(out, likes, strict=True)]
    return tuple(out) if len(out) > 1 else out[0]


def _gradient(grad: Any, maximize: bool, grad_scale: Any = None) -> Any:
    if grad_scale is not None:
        grad = quotient(_wide(grad), num(grad_scale.reshape(()), _wide(grad))).astype(grad.dtype)
    return -grad if maximize else grad


def _decayed(param: Any, grad: Any, weight_decay: Any, shrink: Any = None) -> tuple[Any, Any]:
    """L2 decay goes into the gradient, decoupled decay (``shrink`` = 1 - lr * weight_decay) into the parameter."""
    if shrink is not None:
        param = _mul(param, shrink)
    if weight_decay is not None:
        grad = _add(grad, param, weight_decay)
    return param, grad


# ---- the scalars ----------------------------------------------------------------------------------------------------------


@_internal("adam_factors(Scalar step, Scalar lr, Scalar beta1, Scalar beta2) -> (alpha, root)")
def adam_factors(step, lr, beta1, beta2):
    """``(-lr / (1 - beta1^t), sqrt(1 - beta2^t))``."""
    step, lr, beta1, beta2 = map(_double, (step, lr, beta1, beta2))
    return -(lr / (1 - beta1**step)), (1 - beta2**step) ** 0.5


@_internal("adamax_factors(Scalar step, Scalar lr, Scalar beta1)")
def adamax_factors(step, lr, beta1):
    """``-lr / (1 - beta1^t)``."""
    step, lr, beta1 = map(_double, (step, lr, beta1))
    return -(lr / (1 - beta1**step))


@_internal(
    "nadam_factors(Scalar step, Scalar mu_product, Scalar lr, Scalar beta1, Scalar beta2, Scalar momentum_decay)",
    " -> (mu_product, correction, alpha, alpha_avg)",
)
def nadam_factors(step, mu_product, lr, beta1, beta2, momentum_decay):
    """The new product of momenta (float32), ``1 - beta2^t``, and the steps along the gradient and along its average."""
    step, lr, beta1, beta2, momentum_decay = map(_double, (step, lr, beta1, beta2, momentum_decay))
    mu = beta1 * (1.0 - 0.5 * (0.96 ** (step * momentum_decay)))
    mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * momentum_decay)))
    if isinstance(mu_product, (int, float)) and isinstance(mu, float):
        mu_product = float(np.float32(mu_product) * np.float32(mu))  # torch keeps the product in a float32 tensor
    else:
        mu_product = mu_product * num(mu, mu_product) if hasattr(mu_product, "dtype") else mu_product * mu
    product = _double(mu_product)
    return mu_product, 1 - beta2**step, -lr * (1.0 - mu) / (1.0 - product), -lr * mu_next / (1.0 - product * mu_next)


@_internal("radam_factors(Scalar step, Scalar beta1, Scalar beta2) -> (correction, root, rect)")
def radam_factors(step, beta1, beta2):
    """``(1 - beta1^t, sqrt(1 - beta2^t), rectification)``; a rectification of 0 stands for the plain momentum step."""
    step, beta1, beta2 = map(_double, (step, beta1, beta2))
    correction2 = 1 - beta2**step
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * step * (beta2**step) / correction2
    squared = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    if isinstance(rho, float):
        rect = squared**0.5 if rho > 5.0 else 0.0
    else:
        rect = jnp.where(rho > 5.0, jnp.sqrt(jnp.where(rho > 5.0, squared, 1.0)), 0.0)
    return 1 - beta1**step, correction2**0.5, rect


@_internal("adagrad_factors(Scalar step, Scalar lr, Scalar lr_decay)")
def adagrad_factors(step, lr, lr_decay):
    """The step along the gradient, ``-lr / (1 + (t - 1) lr_decay)``."""
    step, lr, lr_decay = map(_double, (step, lr, lr_decay))
    return -(lr / (1 + (step - 1) * lr_decay))


@_internal("asgd_factors(Scalar step, Scalar lr, Scalar lambd, Scalar alpha, Scalar t0) -> (eta, mu)")
def asgd_factors(step, lr, lambd, alpha, t0):
    """The next step size and the next averaging weight."""
    step, lr, lambd, alpha, t0 = map(_double, (step, lr, lambd, alpha, t0))
    return lr / ((1 + lambd * lr * step) ** alpha), 1 / _scalar_max(1, step - t0)


@_internal("adafactor_factors(Scalar step, Scalar lr, Scalar beta2_decay) -> (weight, rho)")
def adafactor_factors(step, lr, beta2_decay):
    """The weight of the new squares, ``t^beta2_decay``, and the relative step size ``min(lr, 1 / sqrt(t))``."""
    step, lr, beta2_decay = map(_double, (step, lr, beta2_decay))
    return step**beta2_decay, _scalar_min(lr, 1 / (step**0.5))


# ---- the updates ----------------------------------------------------------------------------------------------------------


@_internal(
    "sgd_update(Tensor param, Tensor grad, Tensor? buf, Tensor? grad_scale, Tensor? found_inf, Scalar lr, Scalar? weight_decay,",
    " Scalar? momentum, Scalar dampening, bool nesterov, bool maximize) -> (param, buf)",
)
def sgd_update(param, grad, buf, grad_scale, found_inf, lr, weight_decay, momentum, dampening, nesterov, maximize):
    """``param`` (and with momentum ``buf``; a missing one starts as the gradient). With ``grad_scale`` also the unscaled gradient."""
    raw = grad if grad_scale is None else _gradient(grad, False, grad_scale)
    step = -raw if maximize else raw
    if weight_decay is not None:
        step = _add(step, param, weight_decay)
    results, likes = [], [param]
    if momentum is not None:
        new = step if buf is None else _add(_mul(buf, momentum), step, _rest(dampening))
        step = _add(step, new, momentum) if nesterov else new
        results.append(new)
        likes.append(jnp.zeros_like(param) if buf is None else buf)
    results.insert(0, _add(param, step, -_double(lr)))
    out = _finish(results, likes, found_inf)
    if grad_scale is not None:
        return (*out, raw) if isinstance(out, tuple) else (out, raw)
    return out


@_internal(
    "adam_update(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Tensor? max_exp_avg_sq, Tensor? grad_scale, Tensor? found_inf,",
    " Scalar alpha, Scalar root, Scalar beta1, Scalar beta2, Scalar eps, Scalar? weight_decay,",
    " Scalar? shrink, bool maximize) -> (param, exp_avg, exp_avg_sq, max_exp_avg_sq)",
)
def adam_update(
    param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, grad_scale, found_inf, alpha, root, beta1, beta2, eps, weight_decay, shrink, maximize
):  # fmt: skip
    """Adam, AdamW (``shrink``) and AMSGrad (``max_exp_avg_sq``). ``alpha`` and ``root`` come from ``adam_factors``."""
    raw = grad if grad_scale is None else _gradient(grad, False, grad_scale)
    likes = [param, exp_avg, exp_avg_sq]
    new, g = _decayed(param, -raw if maximize else raw, weight_decay, shrink)
    new, g, m, v = _as_real(new), _as_real(g), _as_real(exp_avg), _as_real(exp_avg_sq)
    m = _lerp(m, g, _rest(beta1))
    v = _addcmul(_mul(v, beta2), g, g, _rest(beta2))
    results = [m, v]
    second = v
    if max_exp_avg_sq is not None:
        second = jnp.maximum(_as_real(max_exp_avg_sq), v)
        results.append(second)
        likes.append(max_exp_avg_sq)
    denom = _add(_div(_sqrt(second), root), jnp.ones((), second.dtype), eps)
    out = _finish([_addcdiv(new, m, denom, alpha), *results], likes, found_inf)
    return out if grad_scale is None else (*out, raw)


@_internal(
    "adamax_update(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_inf, Scalar alpha, Scalar beta1, Scalar beta2, Scalar eps,",
    " Scalar? weight_decay, bool maximize) -> (param, exp_avg, exp_inf)",
)
def adamax_update(param, grad, exp_avg, exp_inf, alpha, beta1, beta2, eps, weight_decay, maximize):
    """Adam with the infinity norm of the gradients' history."""
    _, g = _decayed(param, _gradient(grad, maximize), weight_decay)
    p, g, m, u = _as_real(param), _as_real(g), _as_real(exp_avg), _as_real(exp_inf)
    m = _lerp(m, g, _rest(beta1))
    u = jnp.maximum(_mul(u, beta2), _add(jnp.abs(g), jnp.ones((), g.dtype), eps))
    return _finish([_addcdiv(p, m, u, alpha), m, u], [param, exp_avg, exp_inf])


@_internal(
    "nadam_update(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Scalar correction, Scalar alpha, Scalar alpha_avg,",
    " Scalar beta1, Scalar beta2, Scalar eps, Scalar? weight_decay, Scalar? shrink, bool maximize) -> (param, exp_avg, exp_avg_sq)",
)
def nadam_update(param, grad, exp_avg, exp_avg_sq, correction, alpha, alpha_avg, beta1, beta2, eps, weight_decay, shrink, maximize):
    """Adam with Nesterov momentum. ``correction``, ``alpha`` and ``alpha_avg`` come from ``nadam_factors``."""
    new, g = _decayed(param, _gradient(grad, maximize), weight_decay, shrink)
    new, g, m, v = _as_real(new), _as_real(g), _as_real(exp_avg), _as_real(exp_avg_sq)
    m = _lerp(m, g, _rest(beta1))
    v = _addcmul(_mul(v, beta2), g, g, _rest(beta2))
    denom = _add(_sqrt(_div(v, correction)), jnp.ones((), v.dtype), eps)
    new = _addcdiv(_addcdiv(new, g, denom, alpha), m, denom, alpha_avg)
    return _finish([new, m, v], [param, exp_avg, exp_avg_sq])


@_internal(
    "radam_update(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Scalar lr, Scalar correction, Scalar root,",
    " Scalar rect, Scalar beta1, Scalar beta2, Scalar eps, Scalar? weight_decay, Scalar? shrink, bool maximize)",
    " -> (param, exp_avg, exp_avg_sq)",
)
def radam_update(param, grad, exp_avg, exp_avg_sq, lr, correction, root, rect, beta1, beta2, eps, weight_decay, shrink, maximize):
    """Rectified Adam. The plain momentum step of the first steps is chosen at run time, so that they share one program."""
    new, g = _decayed(param, _gradient(grad, maximize), weight_decay, shrink)
    new, g, m, v = _as_real(new), _as_real(g), _as_real(exp_avg), _as_real(exp_avg_sq)
    m = _lerp(m, g, _rest(beta1))
    v = _addcmul(_mul(v, beta2), g, g, _rest(beta2))
    plain = _mul(_div(m, correction), lr)
    rectified = num(rect, _wide(v)) > 0
    # jnp.where keeps sqrt'(0) of the branch that is not taken out of the gradient
    denom = _add(_sqrt(jnp.where(rectified, v, jnp.ones_like(v))), jnp.ones((), v.dtype), eps)
    adaptive = (num(root, _wide(v)) / _wide(denom)).astype(v.dtype)
    step = jnp.where(rectified, _mul((_wide(plain) * _wide(adaptive)).astype(v.dtype), rect), plain)
    return _finish([_add(new, step, -1.0), m, v], [param, exp_avg, exp_avg_sq])


@_internal(
    "adadelta_update(Tensor param, Tensor grad, Tensor square_avg, Tensor acc_delta, Scalar lr, Scalar rho, Scalar eps,",
    " Scalar? weight_decay, bool maximize) -> (param, square_avg, acc_delta)",
)
def adadelta_update(param, grad, square_avg, acc_delta, lr, rho, eps, weight_decay, maximize):
    """Steps scaled by the ratio of the running sizes of updates and gradients."""
    _, g = _decayed(param, _gradient(grad, maximize), weight_decay)
    p, g, v, u = _as_real(param), _as_real(g), _as_real(square_avg), _as_real(acc_delta)
    one = jnp.ones((), v.dtype)
    v = _addcmul(_mul(v, rho), g, g, _rest(rho))
    std = _sqrt(_add(v, one, eps))
    delta = (_wide(_sqrt(_add(u, one, eps))) / _wide(std)).astype(v.dtype)
    delta = (_wide(delta) * _wide(g)).astype(v.dtype)
    u = _addcmul(_mul(u, rho), delta, delta, _rest(rho))
    return _finish([_add(p, delta, -_double(lr)), v, u], [param, square_avg, acc_delta])


@_internal(
    "adagrad_update(Tensor param, Tensor grad, Tensor sum, Tensor? grad_scale, Tensor? found_inf, Scalar alpha, Scalar eps,",
    " Scalar? weight_decay, bool maximize) -> (param, sum)",
)
def adagrad_update(param, grad, sum, grad_scale, found_inf, alpha, eps, weight_decay, maximize):
    """Steps scaled by the root of the sum of squared gradients. ``alpha`` comes from ``adagrad_factors``."""
    raw = grad if grad_scale is None else _gradient(grad, False, grad_scale)
    _, g = _decayed(param, -raw if maximize else raw, weight_decay)
    p, g, s = _as_real(param), _as_real(g), _as_real(sum)
    s = _addcmul(s, g, g, 1.0)
    std = _add(_sqrt(s), jnp.ones((), s.dtype), eps)
    out = _finish([_addcdiv(p, g, std, alpha), s], [param, sum], found_inf)
    return out if grad_scale is None else (*out, raw)


@_internal(
    "adagrad_sparse_update(Tensor param, Tensor indices, Tensor values, Tensor sum, Scalar alpha, Scalar eps, bool maximize)",
    " -> (param, sum)",
)
def adagrad_sparse_update(param, indices, values, sum, alpha, eps, maximize):
    """Adagrad on the entries of a coalesced sparse gradient: ``indices`` (dims, nnz), ``values`` (nnz, ...)."""
    at, g = tuple(indices), _gradient(values, maximize)
    s = sum.at[at].add(g * g, unique_indices=True)
    std = _add(_sqrt(s[at]), jnp.ones((), s.dtype), eps)
    return param.at[at].set(_axpy(param[at], alpha, g / std), unique_indices=True), s


@_internal(
    "sparse_adam_update(Tensor param, Tensor indices, Tensor values, Tensor exp_avg, Tensor exp_avg_sq, Scalar alpha, Scalar beta1,",
    " Scalar beta2, Scalar eps, bool maximize) -> (param, exp_avg, exp_avg_sq)",
)
def sparse_adam_update(param, indices, values, exp_avg, exp_avg_sq, alpha, beta1, beta2, eps, maximize):
    """Adam on the entries of a coalesced sparse gradient only; the moments of all others stay as they are."""
    at, g = tuple(indices), _gradient(values, maximize)
    m, v = exp_avg[at], exp_avg_sq[at]
    dm, dv = _mul(g - m, _rest(beta1)), _mul(g * g - v, _rest(beta2))
    denom = _add(_sqrt(dv + v), jnp.ones((), v.dtype), eps)
    step = _mul((dm + m) / denom, alpha)
    return (
        param.at[at].add(step, unique_indices=True),
        exp_avg.at[at].add(dm, unique_indices=True),
        exp_avg_sq.at[at].add(dv, unique_indices=True),
    )


@_internal(
    "rmsprop_update(Tensor param, Tensor grad, Tensor square_avg, Tensor? grad_avg, Tensor? buf, Scalar lr, Scalar alpha, Scalar eps,",
    " Scalar? weight_decay, Scalar momentum, bool maximize) -> (param, square_avg, grad_avg, buf)",
)
def rmsprop_update(param, grad, square_avg, grad_avg, buf, lr, alpha, eps, weight_decay, momentum, maximize):
    """RMSprop; ``grad_avg`` makes it centered, ``buf`` gives it momentum. Results follow the arguments that are there."""
    _, g = _decayed(param, _gradient(grad, maximize), weight_decay)
    p, g, v = _as_real(param), _as_real(g), _as_real(square_avg)
    v = _addcmul(_mul(v, alpha), g, g, _rest(alpha))
    results, likes = [v], [param, square_avg]
    spread = v
    if grad_avg is not None:
        mean = _lerp(_as_real(grad_avg), g, _rest(alpha))
        spread = _addcmul(v, mean, mean, -1.0)
        results.append(mean)
        likes.append(grad_avg)
    avg = _add(_sqrt(spread), jnp.ones((), v.dtype), eps)
    if buf is not None:
        b = _addcdiv(_mul(_as_real(buf), momentum), g, avg, 1.0)
        results.append(b)
        likes.append(buf)
        new = _add(p, b, -_double(lr))
    else:
        new = _addcdiv(p, g, avg, -_double(lr))
    return _finish([new, *results], likes)


@_internal(
    "rprop_update(Tensor param, Tensor grad, Tensor prev, Tensor step_size, Scalar etaminus, Scalar etaplus, Scalar smallest,",
    " Scalar largest, bool maximize) -> (param, prev, step_size)",
)
def rprop_update(param, grad, prev, step_size, etaminus, etaplus, smallest, largest, maximize):
    """Steps from the sign of the gradient alone; a size per element grows while the sign holds and shrinks when it turns."""
    p, g, before, size = _as_real(param), _as_real(_gradient(grad, maximize)), _as_real(prev), _as_real(step_size)
    turn = jnp.sign(g * before)
    factor = jnp.where(turn > 0, num(etaplus, g), jnp.where(turn < 0, num(etaminus, g), jnp.where(turn == 0, num(1, g), turn)))
    size = jnp.clip(size * factor, num(smallest, size), num(largest, size))
    g = jnp.where(turn < 0, num(0, g), g)
    return _finish([p - jnp.sign(g) * size, g, size], [param, prev, step_size])


@_internal(
    "asgd_update(Tensor param, Tensor grad, Tensor ax, Scalar eta, Scalar mu, Scalar lambd, Scalar? weight_decay, bool maximize)",
    " -> (param, ax)",
)
def asgd_update(param, grad, ax, eta, mu, lambd, weight_decay, maximize):
    """Averaged SGD: a decayed step of size ``eta``, and the running average ``ax`` with weight ``mu``."""
    _, g = _decayed(param, _gradient(grad, maximize), weight_decay)
    p, g, a = _as_real(param), _as_real(g), _as_real(ax)
    eta = _double(eta)
    new = _add(_mul(p, 1 - _double(lambd) * eta), g, -eta)
    average = _add(a, _mul((_wide(new) - _wide(a)).astype(a.dtype), mu), 1.0)
    return _finish([new, jnp.where(num(mu, _wide(a)) == 1, new, average)], [param, ax])


@_internal(
    "adafactor_update(Tensor param, Tensor grad, Tensor? row_var, Tensor? col_var, Tensor? variance, Scalar lr, Scalar weight, Scalar rho,",
    " Number eps1, Scalar eps2, Scalar d, Scalar? weight_decay, bool maximize) -> (param, row_var, col_var)",
)
def adafactor_update(param, grad, row_var, col_var, variance, lr, weight, rho, eps1, eps2, d, weight_decay, maximize):
    """Adafactor: ``(param, row_var, col_var)`` for two dimensions and more, ``(param, variance)`` below.

    The norms that set the step's size stay on the device, in double precision.
    """
    g = _gradient(grad, maximize)

    def rms(x: Any) -> Any:
        norm = jnp.sqrt(jnp.sum(jnp.square(_wide(x)))).astype(x.dtype)
        return norm.astype(np.float64) / x.size**0.5

    alpha = jnp.maximum(_double(eps2), rms(param)) * _double(rho)
    new = param if weight_decay is None else _mul(param, 1 - _double(lr) * _double(weight_decay))
    if grad.ndim > 1:
        results, likes = [], [param, row_var, col_var]
        for var, dim in ((row_var, -1), (col_var, -2)):
            norm = jnp.sqrt(jnp.sum(jnp.square(_wide(g)), axis=dim, keepdims=True)).astype(g.dtype)
            mean = _div((_wide(norm) * _wide(norm)).astype(g.dtype), g.shape[dim])
            results.append(_lerp(var, mean, weight))
        row, col = results
        estimate = (_wide(row) * _wide(col)).astype(g.dtype)
        scale = jnp.maximum(jnp.mean(_wide(row), axis=-2, keepdims=True).astype(g.dtype), num(eps1, g))
        estimate = (_wide(estimate) / _wide(scale)).astype(g.dtype)
    else:
        estimate = _lerp(variance, (_wide(g) * _wide(g)).astype(g.dtype), weight)
        results, likes = [estimate], [param, variance]
    update = lax.rsqrt(_wide(jnp.maximum(estimate, num(eps1 * eps1, estimate)))).astype(g.dtype)
    update = (_wide(update) * _wide(g)).astype(g.dtype)
    denom = jnp.maximum(1.0, rms(update) / _double(d))
    return _finish([_add(new, update, -alpha / denom), *results], likes)


@_internal(
    "muon_update(Tensor param, Tensor grad, Tensor buf, Scalar lr, Scalar weight_decay, Scalar momentum, bool nesterov,",
    " Number[] coefficients, Scalar eps, int steps, Number ratio) -> (param, buf)",
)
def muon_update(param, grad, buf, lr, weight_decay, momentum, nesterov, coefficients, eps, steps, ratio):
    """Momentum, orthogonalized by ``steps`` Newton-Schulz iterations in bfloat16; ``ratio`` adjusts the rate to the shape."""
    buf = _lerp(buf, grad, _rest(momentum))
    update = _orthogonalized(_lerp(grad, buf, momentum) if nesterov else buf, coefficients, eps, steps)
    new = _mul(param, 1 - _double(lr) * _double(weight_decay))
    return _finish([_add(new, update, -(_double(lr) * ratio)), buf], [param, buf])


def _orthogonalized(grad: Any, coefficients: Any, eps: Any, steps: int) -> Any:
    a, b, c = coefficients
    half = jnp.bfloat16
    x = grad.astype(half)
    tall = grad.shape[0] > grad.shape[1]
    x = x.T if tall else x
    norm = jnp.sqrt(jnp.sum(jnp.square(x.astype(np.float32)))).astype(half)
    x = x / jnp.maximum(norm, num(eps, norm))

    def matmul(p: Any, q: Any) -> Any:
        return lax.dot(p, q, preferred_element_type=np.float32)

    def mixed(added: Any, beta: float, product: Any, alpha: float) -> Any:
        wide = added.astype(np.float32)
        return (num(beta, wide) * wide + num(alpha, wide) * product).astype(half)

    for _ in range(steps):
        gram = matmul(x, x.T).astype(half)
        x = mixed(x, a, matmul(mixed(gram, b, matmul(gram, gram), c), x), 1.0)
    return x.T if tall else x


@_internal("amp_unscale(Tensor[] grads, Tensor found_inf, Tensor inv_scale)")
def amp_unscale(grads, found_inf, inv_scale):
    """The gradients times ``inv_scale``, and as last result 1 where one of them is not finite (else ``found_inf`` as it is)."""
    bad = jnp.zeros((), np.bool_)
    out = []
    for g in grads:
        bad = bad | jnp.any(~jnp.isfinite(g))
        scale = num(inv_scale.reshape(()), _wide(g))
        # torch multiplies only when there is something to undo, so that infinities stay what they are
        out.append(jnp.where(scale == 1, g, (_wide(g) * scale).astype(g.dtype)))
    return (*out, jnp.where(bad, jnp.ones_like(found_inf), found_inf))


@_internal(
    "amp_update_scale(Tensor scale, Tensor growth_tracker, Tensor found_inf, Scalar growth_factor, Scalar backoff_factor,",
    " Scalar growth_interval) -> (scale, growth_tracker)",
)
def amp_update_scale(scale, growth_tracker, found_inf, growth_factor, backoff_factor, growth_interval):
    """The loss scale after a step: backed off after infinities, grown after ``growth_interval`` good steps (never to infinity)."""
    bad = found_inf.reshape(()) != 0
    successful = growth_tracker + num(1, growth_tracker)
    due = successful == num(growth_interval, growth_tracker)
    # torch multiplies the float32 scale by a double factor
    grown = (scale.astype(np.float64) * _double(growth_factor)).astype(scale.dtype)
    larger = jnp.where(jnp.isfinite(grown), grown, scale)
    smaller = (scale.astype(np.float64) * _double(backoff_factor)).astype(scale.dtype)
    new_scale = jnp.where(bad, smaller, jnp.where(due, larger, scale))
    return new_scale, jnp.where(bad | due, num(0, growth_tracker), successful)
