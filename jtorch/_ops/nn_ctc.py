"""Connectionist temporal classification: the forward recursion as one scan over time."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from . import _value_guards
from ._lib import dtype_of
from ._nn import const


def _logsumexp(*terms: Any) -> Any:
    """log of the sum of exponentials, -inf (with zero gradient) where all are."""
    top = terms[0]
    for t in terms[1:]:
        top = jnp.maximum(top, t)
    low = const(-np.inf, top)
    top = lax.stop_gradient(jnp.where(top == low, const(0, top), top))
    total = sum((jnp.exp(t - top) for t in terms[1:]), jnp.exp(terms[0] - top))
    empty = total == 0
    return jnp.where(empty, low, jnp.log(jnp.where(empty, const(1, total), total)) + top)


def _likelihood(log_probs: Any, labels: Any, input_lengths: Any, target_lengths: Any, blank: int) -> Any:
    """``-log p(labels | log_probs)`` for each sample: log_probs (T, N, C), labels (N, S)."""
    steps, n, _ = log_probs.shape
    s = labels.shape[1]
    low = const(-np.inf, log_probs)
    # blanks between, before and after the labels
    states = jnp.full((n, 2 * s + 1), blank, np.int32).at[:, 1::2].set(labels)
    emitted = jnp.take_along_axis(log_probs, jnp.broadcast_to(states, (steps, *states.shape)), 2)
    # a label may follow the one before it directly unless they are equal
    skips = jnp.zeros(states.shape, bool)
    if s > 1:
        skips = skips.at[:, 3::2].set(labels[:, 1:] != labels[:, :-1])
    position = np.arange(2 * s + 1)
    first = jnp.where((position < 2) & (position <= 2 * target_lengths[:, None]), emitted[0], low)

    def step(alpha: Any, now: Any) -> Any:
        t, e = now
        one = jnp.concatenate([jnp.full((n, 1), low), alpha[:, :-1]], 1)
        two = jnp.concatenate([jnp.full((n, min(2, alpha.shape[1])), low), alpha[:, :-2]], 1)[:, : alpha.shape[1]]
        new = _logsumexp(alpha, one, jnp.where(skips, two, low)) + e
        return jnp.where((t < input_lengths)[:, None], new, alpha), None

    alpha, _ = lax.scan(step, first, (jnp.arange(1, steps, dtype=input_lengths.dtype), emitted[1:]))
    end = (2 * target_lengths)[:, None].astype(np.int32)
    last = jnp.take_along_axis(alpha, end, 1)[:, 0]
    before = jnp.where(target_lengths > 0, jnp.take_along_axis(alpha, jnp.maximum(end - 1, 0), 1)[:, 0], low)
    nll = -_logsumexp(last, before)
    return jnp.where(input_lengths > 0, nll, jnp.where(target_lengths > 0, const(np.inf, nll), const(0, nll)))


@partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _loss(log_probs: Any, labels: Any, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool) -> Any:
    nll = _likelihood(log_probs, labels, input_lengths, target_lengths, blank)
    return jnp.where(nll == const(np.inf, nll), const(0, nll), nll) if zero_infinity else nll


@_loss.defjvp
def _loss_jvp(blank: int, zero_infinity: bool, primals: Any, tangents: Any) -> Any:
    # torch's gradient is exp(log_probs) - posterior: the derivative by logits before a log_softmax, not by log_probs themselves.
    log_probs, labels, input_lengths, target_lengths = primals
    nll, pull = jax.vjp(lambda x: _likelihood(x, labels, input_lengths, target_lengths, blank), log_probs)
    (by_probs,) = pull(jnp.ones_like(nll))
    live = jnp.arange(log_probs.shape[0])[:, None, None] < input_lengths[:, None]
    slope = jnp.where(live, jnp.exp(log_probs) + by_probs, const(0, log_probs))
    infinite = nll == const(np.inf, nll)
    bad = const(0 if zero_infinity else np.nan, nll)
    slope = jnp.where(infinite[:, None], jnp.where(live, bad, const(0, nll)), slope)
    value = jnp.where(infinite, const(0, nll), nll) if zero_infinity else nll
    return value, jnp.sum(slope * tangents[0], (0, 2))


@op(
    "_ctc_loss(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, bool zero_infinity=False)",
    where="_nn", residuals="save", grad_name="CtcLossBackward0", guard=_value_guards.lengths, second="derivative for aten::_ctc_loss_backward is not implemented",
    kept=lambda structure, inputs, outs: "log_probs targets" if structure["zero_infinity"] else "log_probs targets result",
)  # fmt: skip
def _ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    """The loss of each sample: log_probs (T, N, C), padded targets (N, S), lengths (N,)."""
    if log_probs.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{dtype_of(log_probs).legacy}'")
    labels = targets.astype(np.int32)
    if labels.shape[1] == 0:
        labels = jnp.zeros((labels.shape[0], 1), np.int32)
    lengths = input_lengths.astype(np.int32), target_lengths.astype(np.int32)
    return _loss(log_probs, labels, *lengths, blank, zero_infinity)
