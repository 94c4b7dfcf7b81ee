"""Samples whose parameters are tensors: ``normal``, ``bernoulli``, ``multinomial``, ``poisson``, ``binomial``, gamma and Dirichlet.

Poisson, binomial, gamma and multinomial must know their parameters before they can draw, so they compute what is pending.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._core.dispatch.checked_arguments import tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.inplace import check_writable
from jtorch._core.dispatch.signature_binding import is_number_tensor, number_of, type_name
from jtorch._core.graph.refused import NOT_DIFFERENTIABLE, refuse_backward
from jtorch._core.state.generator import host_values, known, pick
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, check_lanes, is_contiguous, strides_of
from jtorch._core.tensor.creation import from_array, place
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._namespace import torch
from jtorch._ops._lib import broadcast_shape
from jtorch._random import samplers as S
from jtorch._random.layout import cast

from ._drawing import (
    _IS_FLOAT,
    fill,
    fresh,
    from_draw,
    has_lanes,
    in_place_layout,
    internal,
    may_draw,
    needs_float,
    no_kernel,
    no_out,
    over_lanes,
    put,
    with_zero_gradient,
)  # fmt: skip
from .creation import _size, make
from .random import _finish, _normal


def _out(name: str, t: Tensor, out: Any) -> Tensor:
    return t if out is None else _finish(name, t, out, None, False)


# ---- normal ------------------------------------------------------------------------------------------------------------


@compose("torch")
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, out: Any = None, dtype: Any = None,
           layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Normal numbers: mean and deviation as tensors (broadcast), or as numbers with a ``size``."""
    no_out(out)
    if size is not None:
        mean, std = [x.item() if is_number_tensor(x) else x for x in (mean, std)]
    if any([(size is not None or not isinstance(x, Tensor)) and number_of(x) is None for x in (mean, std)]):
        got = ", ".join([type_name(x) for x in (mean, std, size) if x is not None])
        raise TypeError(f"normal() received an invalid combination of arguments - got ({got}), but expected one of:\n * (Tensor mean, Tensor std, ...)\n * (Tensor mean, float std = 1, ...)\n * (float mean, Tensor std, ...)\n * (float mean, float std, tuple of ints size, ...)")
    if out is not None:
        needs_float("normal_kernel_cpu", aval_of(out).dtype, complex_too=True)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None:
            raise TypeError(f"normal(): argument 'mean' (position 1) must be Tensor, not {type(mean).__name__}")
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
        kind = dtype or (aval_of(out).dtype if out is not None else _dtypes.default)
        where = place(device) if out is None else aval_of(out).device
        t = _normal(_size((size,), None, "normal"), kind, where, generator, None, float(mean), float(std))
        return _finish("normal", t, out, dtype, requires_grad)
    lead = mean if isinstance(mean, Tensor) else std
    a = aval_of(lead)
    needs_float("normal_kernel_cpu", a.dtype, complex_too=True)
    if isinstance(std, Tensor):
        if aval_of(std).dtype.is_complex:
            raise RuntimeError("normal expects standard deviation to be non-complex")
        internal("deviation", std)
    elif not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    may_draw(mean, std)
    shape = broadcast_shape(*[aval_of(v).shape for v in (mean, std) if isinstance(v, Tensor)])
    first = float(std) if not isinstance(std, Tensor) else 1.0
    t = _shifted(shape, a, generator, mean, std, first)
    for source in (mean, std):
        if isinstance(source, Tensor) and state.mode & GRAD and source._edge is not None:
            return with_zero_gradient("Normal", source, t)
    return _out("normal", t, out)


def _shifted(shape: tuple[int, ...], a: Any, generator: Any, mean: Any, std: Any, first: float) -> Tensor:
    """``draw * std + mean`` in the type of the result, rounded after each step: on the host where the parameters are there."""
    ready = not state.lanes and pick(generator, a.device)._engine is not None and all(known(v) for v in (mean, std) if isinstance(v, Tensor))
    if ready:
        means, deviations = (host_values(v) if isinstance(v, Tensor) else v for v in (mean, std))
        kind = a.dtype.np

        def wide(v: Any) -> Any:
            return v.astype(np.float32) if isinstance(v, np.ndarray) and v.dtype.itemsize == 2 and v.dtype.kind not in "iub" else v

        def sample(engine: Any) -> np.ndarray:
            x = S.normal(engine, shape, kind, 0.0, first)
            if isinstance(std, Tensor):
                x = cast(wide(x) * wide(deviations.astype(kind) if kind.itemsize != 2 else deviations), kind)
            return cast(wide(x) + wide(means.astype(kind) if isinstance(means, np.ndarray) and kind.itemsize != 2 else means), kind)

        return from_draw(sample, pick(generator, a.device))
    t = _normal(shape, a.dtype, a.device, generator, None, 0.0, first)
    with torch.no_grad():
        if isinstance(std, Tensor):
            t = t * std.to(dtype=a.dtype.to_real())  # type: ignore[attr-defined]
        return t + (mean.to(dtype=a.dtype) if isinstance(mean, Tensor) else mean)  # type: ignore[attr-defined,no-any-return,operator]


# ---- bernoulli ---------------------------------------------------------------------------------------------------------


def _check_p(name: str, p: Any) -> float:
    if not is_number_tensor(p) and (number_of(p) is None or isinstance(p, complex)):
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({type_name(p)}), but expected one of:\n * (*, torch.Generator generator = None)\n * (float p, *, torch.Generator generator = None)")
    p = float(p)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    return p


def _bernoulli_sampler(p: float) -> Any:
    return lambda g, s, d, st: S.bernoulli(g, s, d, p, st)


def _uniforms_for(p: Tensor, shape: Any, where: Any, generator: Any, strides: Any) -> Tensor:
    kind = aval_of(p).dtype
    if kind not in _IS_FLOAT:
        no_kernel("bernoulli_tensor_cpu_p_", kind)
    may_draw(p)
    with torch.no_grad():
        internal("chances", p)
    work = _dtypes.float64 if kind is _dtypes.float64 else _dtypes.float32
    t = fresh(shape, work, where, generator, lambda g, s, d, st: S.uniform(g, s, d, 0.0, 1.0, st), ("uniform", 0.0, 1.0), strides)
    if strides is not None:
        t._s.strides = None
    return t


@compose("torch Tensor")
def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None, out: Any = None) -> Tensor:
    """Zeros and ones: each element of ``input`` is the probability of a one; or ``p`` is that of all."""
    no_out(out)
    may_draw(input)
    a = aval_of(tensor_argument("bernoulli", "input", 1, input))
    if p is None and a.dtype.is_complex:
        no_kernel("bernoulli_tensor_cpu_self_", a.dtype)
    if p is not None:
        q = _check_p("bernoulli", p)
        if a.dtype.is_complex:
            no_kernel("bernoulli_scalar_cpu_", a.dtype)
        t = fresh(a.shape, a.dtype, a.device, generator, _bernoulli_sampler(q), ("bernoulli", q, 0))
        return _out("bernoulli", t, out)
    if a.device.type == "meta":
        return torch.empty_like(input)  # type: ignore[no-any-return]
    u = _uniforms_for(input, a.shape, a.device, generator, None)
    t = internal("bernoulli_compare", input, u, aval_of(out).dtype if out is not None else a.dtype)
    return _out("bernoulli", t, out)


@compose("Tensor")
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with zeros and ones of probability ``p``, a number or a tensor."""
    a = aval_of(self)
    if not isinstance(p, Tensor):
        q = _check_p("bernoulli_", p)
        if a.dtype.is_complex:
            no_kernel("bernoulli_scalar_cpu_", a.dtype)
        return fill(self, "Bernoulli", generator, _bernoulli_sampler(q), ("bernoulli", q, 0))
    if a.device.type == "meta":
        return self
    strides = strides_of(self)
    if a.dtype.is_complex:
        no_kernel("bernoulli_tensor_cpu_self_", a.dtype)
    check_writable(self, name="bernoulli_")
    if state.lanes:
        may_draw(p)
        for level in state.lanes:
            if has_lanes(p, level):
                check_lanes(self, level, "bernoulli")
        strides = in_place_layout(self)
    elif is_contiguous(a.shape, strides):
        strides = None
    u = _uniforms_for(p, a.shape, a.device, generator, strides)
    with torch.no_grad():
        drawn = internal("bernoulli_compare", p.expand(a.shape), u, a.dtype)  # type: ignore[attr-defined]
    return put(self, "Bernoulli", drawn)


# ---- counts, indices, gamma ----------------------------------------------------------------------------------------------


@compose("torch Tensor")
def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Any = None) -> Tensor:
    """``num_samples`` indices per row, drawn by the weights in the last dim; int64."""
    no_out(out)
    a = aval_of(tensor_argument("multinomial", "input", 1, input))
    if len(a.shape) not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if out is not None and aval_of(out).dtype is not _dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {aval_of(out).dtype.legacy}")
    if a.dtype not in _IS_FLOAT:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {a.dtype.legacy}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > a.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if a.shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if a.device.type == "meta":
        return make((*a.shape[:-1], num_samples), 0, _dtypes.int64, a.device)
    if 0 in a.shape:
        return _out("multinomial", from_array(np.zeros((*a.shape[:-1], num_samples), np.int64)), out)
    source = pick(generator, a.device)

    def draw(weights: Tensor) -> Tensor:
        shape = aval_of(weights).shape
        if len(shape) > 2:
            return draw(weights.reshape(-1, shape[-1])).reshape(*shape[:-1], num_samples)  # type: ignore[no-any-return]
        if source._engine is not None:
            if state.observed is not None and not known(weights) and (num_samples == 1 or not replacement) and not state.lanes:
                return _by_keys(weights, num_samples, source)
            p, strides = host_values(weights), strides_of(weights)
            return from_draw(lambda engine: S.multinomial(engine, p, num_samples, replacement, strides), source)
        key, offset = source.next_key()
        with torch.no_grad():
            return internal("device_multinomial", key, weights, offset, num_samples, bool(replacement))  # type: ignore[no-any-return]

    return _out("multinomial", over_lanes(draw, input), out)


def _by_keys(weights: Tensor, num_samples: int, source: Any) -> Tensor:
    """What ``S.multinomial`` draws, with nothing but the weights' being valid looked at: for ``torch.compile``, which makes sure of it again."""
    a = aval_of(weights)
    with torch.no_grad():
        if not (weights.isfinite() & (weights >= 0)).all():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        if (weights.sum(-1) == 0).any():
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        q = from_draw(lambda engine: S.exponential(engine, a.shape, a.dtype.np, 1.0, None), source)
        keys = weights.detach() / q
        return keys.argmax(-1, keepdim=True) if num_samples == 1 else keys.topk(num_samples).indices  # type: ignore[no-any-return]


def _from_parameters(kind: str, generator: Any, sampler: Any, *parameters: Tensor) -> Tensor:
    """Draw with a sampler of host arrays, or with the accelerator's operator of that name."""
    a = aval_of(parameters[0])
    if a.device.type == "meta":
        return torch.empty_like(parameters[0])  # type: ignore[no-any-return]
    source = pick(generator, a.device)

    def draw(*given: Tensor) -> Tensor:
        if source._engine is not None:
            arrays = [host_values(p) for p in given]
            return from_draw(lambda engine: sampler(engine, *arrays), source)
        key, offset = source.next_key()
        with torch.no_grad():
            return internal("device_random_from", key, given[0], given[-1], offset, kind)  # type: ignore[no-any-return]

    return over_lanes(draw, *parameters)


@compose("torch")
def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson counts of rates ``input``, in its type."""
    needs_float("poisson_cpu", aval_of(tensor_argument("poisson", "input", 1, input)).dtype)
    return with_zero_gradient("Poisson", input, _from_parameters("poisson", generator, S.poisson, input))


@compose("torch")
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Successes among ``count`` trials of probability ``prob``."""
    a, b = aval_of(tensor_argument("binomial", "count", 1, count)), aval_of(tensor_argument("binomial", "prob", 2, prob))
    for name, kind in (("count", a.dtype), ("prob", b.dtype)):
        if kind not in _IS_FLOAT:
            raise ValueError(f"binomial only supports floating-point dtypes for {name}, got: {kind.legacy}")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"Found dtype {b.dtype.legacy} but expected {a.dtype.legacy}")
    drawn = _from_parameters("binomial", generator, S.binomial, count, prob)
    refuse_backward((drawn,), (count, prob), NOT_DIFFERENTIABLE, "binomial")
    return drawn


@compose("torch")
def _standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Gamma samples of concentration ``input`` and rate one, differentiable in the concentration."""
    kind = aval_of(tensor_argument("_standard_gamma", "input", 1, input)).dtype
    if kind not in (_dtypes.float32, _dtypes.float64):
        no_kernel("gamma", kind)
    drawn = _from_parameters("gamma", generator, S.standard_gamma, input)
    return internal("gamma_drawn", input, drawn) if state.mode & GRAD and input._edge is not None else drawn


@compose("torch")
def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Dirichlet samples over the last dim, differentiable in the concentration."""
    kind = aval_of(tensor_argument("_sample_dirichlet", "input", 1, input)).dtype
    if kind not in (_dtypes.float32, _dtypes.float64):
        no_kernel("dirichlet", kind)
    drawn = _from_parameters("dirichlet", generator, S.sample_dirichlet, input)
    return internal("dirichlet_drawn", input, drawn) if state.mode & GRAD and input._edge is not None else drawn


