"""Random numbers on the device: counter-based samplers for accelerators, and what joins host draws to the graph.

On ``cpu`` torch's own stream is drawn on the host (:mod:`jtorch._random`); here is the arithmetic that follows a draw, and Box-Muller
as one fused loop for large normal fills. Accelerators draw from threefry, keyed by (seed, offset): as CUDA's, a stream of its own.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _config, _dtypes
from jtorch._ops import _value_guards
from jtorch._ops._lib import cast, converted, num
from jtorch._registry import op

_F = np.float32


# ---- draws joined to the graph: the gradient towards what was overwritten or what the draw depended on is zero ---------------


def _drawn(input: Any, drawn: Any) -> Any:
    return drawn


for _name in ("Normal", "Uniform", "Exponential", "Geometric", "Cauchy", "LogNormal", "Random", "Bernoulli", "Poisson"):
    _suffix = {"Bernoulli": "2", "Random": "2"}.get(_name, "0")
    op(f"drawn_{_name}(Tensor input, Tensor drawn)", where="internal", grad_name=f"{_name}Backward{_suffix}")(_drawn)


@op("bernoulli_compare(Tensor input, Tensor uniform, dtype dtype)", where="internal", grad_name="BernoulliBackward0")
def bernoulli_compare(input, uniform, dtype):
    """One where ``uniform < input``. The 16-bit probabilities are compared in float32."""
    p = input.astype(uniform.dtype)
    return cast(uniform < p, dtype)


@op("chances(Tensor p)", where="internal", guard=_value_guards.chances)
def chances(p):
    """``p``, whose elements must be probabilities. (Looked at before anything is drawn.)"""
    return p


@op("deviation(Tensor std)", where="internal", guard=_value_guards.deviations)
def deviation(std):
    """``std``, which may not be negative."""
    return std


@op("assert_async(Tensor input, str? assert_msg=None)", where="internal", guard=_value_guards.asserted)
def assert_async(input, assert_msg):
    """``input``, which must be true."""
    if input.size != 1:
        raise RuntimeError(f"Boolean value of Tensor with {'more than one value' if input.size else 'no values'} is ambiguous")
    return input


@op("masked_scale(Tensor input, Tensor mask, Scalar scale)", where="internal", elementwise=True, grad_name="MulBackward0")
def masked_scale(input, mask, scale):
    """``input * (mask * scale)``; ``mask`` is bool and broadcasts. A dropped infinity is nan, as in torch."""
    return input * jnp.where(mask, num(scale, input), jnp.zeros((), input.dtype))


@op(
    "masked_affine(Tensor input, Tensor mask, Scalar scale, Scalar kept, Scalar dropped)", where="internal", elementwise=True,
    grad_name="AddBackward0",
)  # fmt: skip
def masked_affine(input, mask, scale, kept, dropped):
    """``input * (mask * scale) + (kept or dropped)``: alpha dropout."""
    noise = jnp.where(mask, num(scale, input), jnp.zeros((), input.dtype))
    return input * noise + jnp.where(mask, num(kept, input), num(dropped, input))


@op("native_dropout_apply(Tensor input, Tensor mask, Scalar scale)", where="internal", elementwise=True, grad_name="NativeDropoutBackward0")
def native_dropout_apply(input, mask, scale):
    """``input * mask * scale``."""
    return input * converted(mask, input.dtype) * num(scale, input)


# ---- pathwise gradients ------------------------------------------------------------------------------------------------


@jax.custom_jvp
def _gamma_sample(concentration: Any, sample: Any) -> Any:
    return sample


@_gamma_sample.defjvp
def _(primals: Any, tangents: Any) -> Any:
    concentration, sample = primals
    return sample, lax.random_gamma_grad(concentration, sample) * tangents[0]


@op("gamma_drawn(Tensor input, Tensor drawn)", where="internal", grad_name="StandardGammaBackward0")
def gamma_drawn(input, drawn):
    """A standard gamma sample, differentiable in its concentration (implicitly: -dF/da / dF/dx)."""
    return _gamma_sample(input, drawn)


@op("_standard_gamma_grad(Tensor input, Tensor output)", where="torch")
def _standard_gamma_grad(input, output):
    """Derivative of a standard gamma sample with respect to its concentration."""
    return lax.random_gamma_grad(input, output)


def beta_sample_slope(x: Any, a: Any, b: Any) -> Any:
    """``dx/da`` of a Beta(a, b) sample ``x`` at a fixed quantile, over ``1 - x``; in float64, by differences of the incomplete beta."""
    kind = x.dtype
    x, a, b = (v.astype(np.float64) for v in (x, a, b))
    x = jnp.clip(x, 1e-300, 1 - 1e-16)
    low = x * (a + b) < a
    h = 2e-3 * jnp.minimum(a, 1 + jnp.sqrt(a))

    def tail(shift: float) -> Any:
        return jnp.where(low, lax.betainc(a + shift * h, b, x), lax.betainc(b, a + shift * h, 1 - x))

    rise = (8 * (tail(1.0) - tail(-1.0)) - (tail(2.0) - tail(-2.0))) / (12 * h)
    log_density = (a - 1) * jnp.log(x) + b * jnp.log1p(-x) + lax.lgamma(a + b) - lax.lgamma(a) - lax.lgamma(b)
    return (jnp.where(low, -rise, rise) * jnp.exp(-log_density)).astype(kind)


@op("_dirichlet_grad(Tensor x, Tensor alpha, Tensor total)", where="torch")
def _dirichlet_grad(x, alpha, total):
    """``dx/dalpha / (1 - x)`` of one component of a Dirichlet sample."""
    return beta_sample_slope(x, alpha, total - alpha)


@jax.custom_jvp
def _dirichlet_sample(concentration: Any, sample: Any) -> Any:
    return sample


@_dirichlet_sample.defjvp
def _(primals: Any, tangents: Any) -> Any:
    concentration, x = primals
    total = jnp.broadcast_to(concentration.sum(-1, keepdims=True), x.shape)
    # raising one alpha moves its own component and shrinks the others in proportion
    move = beta_sample_slope(x, concentration, total - concentration) * tangents[0]
    return x, move - x * move.sum(-1, keepdims=True)


@op("dirichlet_drawn(Tensor input, Tensor drawn)", where="internal", grad_name="DirichletBackward0")
def dirichlet_drawn(input, drawn):
    """A Dirichlet sample, differentiable in its concentration."""
    return _dirichlet_sample(input, drawn)


# ---- the accelerators' generator -----------------------------------------------------------------------------------------


def _key(key: Any, offset: Any) -> Any:
    return jax.random.fold_in(jax.random.wrap_key_data(key, impl="threefry2x32"), lax.convert_element_type(offset, np.uint32))


def _work(dtype: Any) -> Any:
    return np.float64 if dtype.np in (np.float64, np.complex128) else np.float32


@op(
    "device_random(Tensor key, Scalar offset, Scalar a, Scalar b, int[] shape, dtype dtype, str kind)", where="internal",
    runtime_scalars=True,
)  # fmt: skip
def device_random(key, offset, a, b, shape, dtype, kind):
    """``kind`` names a distribution; ``a`` and ``b`` are its parameters (bounds, mean and deviation, probability)."""
    k = _key(key, offset)
    if kind == "integers":
        low, high = (lax.convert_element_type(v, np.int64) for v in (a, b))
        return cast(jax.random.randint(k, shape, low, high, np.int64), dtype)
    if kind == "permutation":
        if len(shape) > 1:  # of the last dim, for each of the others
            return cast(jax.random.permutation(k, jnp.broadcast_to(jnp.arange(shape[-1]), shape), -1, independent=True), dtype)
        return cast(jax.random.permutation(k, shape[0]), dtype)
    w = _work(dtype)
    a, b = (lax.convert_element_type(jnp.asarray(v), w) for v in (a, b))
    if dtype.is_complex:
        k1, k2 = jax.random.split(k)
        scale = b * _F(math.sqrt(0.5)).astype(w) if kind == "normal" else b
        parts = [_one(one, kind, a, scale, shape, w) for one in (k1, k2)]
        return lax.complex(*parts)
    return cast(_one(k, kind, a, b, shape, w), dtype)


def _one(k: Any, kind: str, a: Any, b: Any, shape: Any, w: Any) -> Any:
    if kind == "normal":
        return jax.random.normal(k, shape, w) * b + a
    if kind == "log_normal":
        return jnp.exp(jax.random.normal(k, shape, w) * b + a)
    u = jax.random.uniform(k, shape, w)
    if kind == "uniform":
        return u * (b - a) + a
    if kind == "bernoulli":
        return u < a
    if kind == "exponential":
        return -jnp.log1p(-u) / a
    if kind == "geometric":
        return jnp.ceil(jnp.log1p(-u) / jnp.log1p(-a)).clip(1)
    if kind == "cauchy":
        return a + b * jnp.tan(w(math.pi) * (u - w(0.5)))
    raise ValueError(kind)


@op("device_random_from(Tensor key, Tensor input, Tensor other, Scalar offset, str kind)", where="internal", runtime_scalars=True)
def device_random_from(key, input, other, offset, kind):
    """Samples whose parameters are tensors: "poisson", "gamma", "dirichlet", "binomial" (``other`` is the probability)."""
    k, w = _key(key, offset), _work(_dtypes.from_np(np.dtype(input.dtype)))
    x = input.astype(w)
    if kind == "poisson":
        out = jax.random.poisson(k, x, dtype=np.int64)
    elif kind == "gamma":
        out = jax.random.gamma(k, x, dtype=w)
    elif kind == "dirichlet":
        g = jax.random.loggamma(k, x, dtype=w)
        out = jax.nn.softmax(g, -1)
    else:
        out = jax.random.binomial(k, x, other.astype(w), dtype=w)
    return out.astype(input.dtype)


@op("device_multinomial(Tensor key, Tensor input, Scalar offset, int count, bool replacement)", where="internal", runtime_scalars=True)
def device_multinomial(key, input, offset, count, replacement):
    """Indices drawn by weight along the last dim."""
    k = _key(key, offset)
    p = input.astype(_work(_dtypes.from_np(np.dtype(input.dtype))))
    if not replacement or count == 1:
        keys = p / jax.random.exponential(k, p.shape, p.dtype)
        return lax.top_k(keys, count)[1].astype(np.int64)
    steps = jnp.cumsum(p, -1)
    u = jax.random.uniform(k, (*p.shape[:-1], count), p.dtype) * steps[..., -1:]
    return (u[..., None] >= steps[..., None, :]).sum(-1).clip(0, p.shape[-1] - 1).astype(np.int64)


# ---- Box-Muller for large fills on the host's device -----------------------------------------------------------------------

_LOG = (
    -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1,
    3.3333331174e-1,
)  # fmt: skip
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_compiled: dict[int, Any] = {}


def _c(value: float) -> float:
    return float(_F(value))


def _w(x: Any) -> Any:
    return x.astype(np.float64)


def _fma(a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` rounded once to float32; the product is exact in float64."""
    return (_w(a) * (b if isinstance(b, float) else _w(b)) + (c if isinstance(c, float) else _w(c))).astype(_F)


def _box_muller(u: Any) -> Any:
    u = u.reshape(-1, 2, 8)
    x, angle = _F(1) - u[:, 0], u[:, 1] * _F(2 * math.pi)
    bits = lax.bitcast_convert_type(x, np.int32)
    e = ((bits >> 23) - 126).astype(_F)
    m = lax.bitcast_convert_type((bits & 0x007FFFFF) | 0x3F000000, _F)
    low = m < _F(0.707106781186547524)
    e = jnp.where(low, e - _F(1), e)
    m = (m - _F(1)) + jnp.where(low, m, _F(0))
    z = m * m
    y = jnp.full_like(m, _F(7.0376836292e-2))
    for p in _LOG:
        y = _fma(y, m, _c(p))
    y = _fma(z, -0.5, _fma(y * m, z, e * _F(-2.12194440e-4)))
    radius = jnp.sqrt(_F(-2) * _fma(e, 0.693359375, m + y))
    j = ((angle * _F(1.27323954473516)).astype(np.int32) + 1) & ~1
    for d in (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8):
        angle = _fma(j.astype(_F), _c(d), angle)
    z = angle * angle
    cos, sin = (_fma(_fma(jnp.full_like(z, _F(a)), z, _c(b)), z, _c(c)) * z for a, b, c in (_COS, _SIN))
    cos = _fma(cos, z, -(z * _F(0.5))) + _F(1)
    sin = _fma(sin, angle, angle)
    plain = (j & 2) == 0
    sin, cos = jnp.where(plain, sin, cos), jnp.where(plain, cos, sin)
    sin, cos = jnp.where((j & 4) != 0, -sin, sin), jnp.where((~(j - 2) & 4) != 0, -cos, cos)
    return jnp.stack([radius * cos, radius * sin], 1).reshape(-1)


def fill_normal(uniforms: np.ndarray, chunk: int) -> None:
    """Turn float32 uniforms (a multiple of 16 of them) into standard normals in place, by a loop compiled for ``chunk`` of them at
    a time; torch's bits."""
    run = _compiled.get(chunk)
    if run is None:
        struct = jax.ShapeDtypeStruct((chunk,), _F)
        # every rounding to float32 counts: XLA must not drop a conversion there and back
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            run = jax.jit(_box_muller, compiler_options=_config.COMPILER_OPTIONS).lower(struct).compile()
        _compiled[chunk] = run
    for start in range(0, uniforms.size, chunk):
        part = uniforms[start : start + chunk]
        if part.size == chunk:
            part[:] = np.asarray(run(part))
        else:
            padded = np.zeros(chunk, _F)
            padded[: part.size] = part
            part[:] = np.asarray(run(padded))[: part.size]
