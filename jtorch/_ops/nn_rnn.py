"""Recurrent networks: all time steps' input projections in one product, then one scan for each layer and direction.

The operator keeps its residuals (``residuals="save"``): a scan cannot share its forward with the backward by recomputation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jtorch._registry import op

from ._lib import accumulate_in, matmul_precision, on_cpu
from ._linalg_lib import OutputNames, contract
from ._nn import back, const, floats_only
from ._reduce import insertion_points

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    y = jnp.matmul(x, w.T, precision=matmul_precision())
    return y if b is None else y + b


def _lstm(gates: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = jnp.split(gates, 4, -1)
    c = lax.logistic(f) * c + lax.logistic(i) * jnp.tanh(g)
    return lax.logistic(o) * jnp.tanh(c), c


def _activated(gates: Any) -> Any:
    """Both functions of all gates, of which each keeps its own: over a whole row XLA's loops use the cpu's vectors, over a quarter of it they do not (8 us against 29 for 32 x 256).
    In float32 one hyperbolic tangent does for both, ``logistic(x) = tanh(x / 2) / 2 + 1 / 2``, to 6e-8 (a step of 32 x 64: 17 us, and 21 with both)."""
    width = gates.shape[-1] // 4
    if gates.dtype == np.float32 and isinstance(width, int) and on_cpu():
        scale = np.full(4 * width, 0.5, np.float32)
        scale[2 * width : 3 * width] = 1
        return jnp.tanh(gates * scale) * scale + (1 - scale)
    column = lax.broadcasted_iota(np.int32, gates.shape, gates.ndim - 1)
    return jnp.where((column >= 2 * width) & (column < 3 * width), jnp.tanh(gates), lax.logistic(gates))


def _lstm_activated(activated: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = jnp.split(activated, 4, -1)
    c = f * c + i * g
    return o * jnp.tanh(c), c


def _gru(x_gates: Any, h_gates: Any, h: Any) -> Any:
    xr, xz, xn = jnp.split(x_gates, 3, -1)
    hr, hz, hn = jnp.split(h_gates, 3, -1)
    r, z = lax.logistic(xr + hr), lax.logistic(xz + hz)
    n = jnp.tanh(xn + r * hn)
    return (h - n) * z + n


def _activate(mode: str, x: Any) -> Any:
    return jnp.tanh(x) if mode == "RNN_TANH" else jnp.where(x <= 0, const(0, x), x)


def _scan_layer(mode: str, x: Any, h: Any, c: Any, params: Sequence[Any], reverse: bool, alive: Any) -> tuple[Any, Any, Any]:
    """One layer in one direction over (T, B, F): (outputs, last h, last c). ``alive`` (T, B, 1) freezes finished sequences."""
    w_ih, w_hh, b_ih, b_hh, w_hr = params
    bias = b_ih
    if mode != "GRU" and b_hh is not None:
        bias = b_ih + b_hh
    projected = _linear(x, w_ih, bias)
    given = (projected, h, c, w_hh, b_hh if mode == "GRU" else None, alive)
    return _recurrence(mode, reverse, _apart(mode, *h.shape))(*given) if w_hr is None else _recurrence(mode, reverse, False)(*given, w_hr)


# ---- the loop over time, and its derivative ------------------------------------------------------------------------------------
#
# Left to JAX, the gradient of the hidden weights is added up inside the backward loop, a whole matrix for each step. So the derivative is written down: what the weights' change does to all
# steps is one product outside, and what is left in the loop is linear, with coefficients that are computed for all steps at once. (Forth and back on two cpu cores, in brackets left to JAX: LSTM, 64 steps
# of 32 x 64 4.6 ms (5.5), of 32 x 256 47 (51), 128 of 8 x 128 7.3 (10.6), 16 of 128 x 128 14.2 (15.4); without gates, 64 of 32 x 128 3.8 (4.6).) A GRU's coefficients cost more than they save where
# the batch is large (64 of 32 x 64 5.5 (4.0), 64 of 16 x 256 21 (23), 128 of 8 x 128 7.5 (7.9)).


def _apart(mode: str, batch: Any, hidden: Any) -> bool:
    """Whether the derivative's coefficients are computed apart from its loop: not where a size is a symbol."""
    if not on_cpu() or not (isinstance(batch, int) and isinstance(hidden, int)):
        return False
    return mode != "GRU" or hidden >= max(128, 16 * batch)


@jax.custom_jvp
def _by_hidden(h: Any, w: Any, w_t: Any) -> Any:
    """``h @ w.T`` with the transposed weights ``w_t`` as they lie in memory. Backward it is a product with ``w``: XLA's cpu takes twice as long for one with matrices that lie the other way
    (4 x 512 by 512 x 128: 5.7 us and 13; 32 x 1024 by 1024 x 256: 111 and 157)."""
    return jnp.matmul(h, w_t, precision=matmul_precision())


@_by_hidden.defjvp
def _by_hidden_derivative(primals: Any, tangents: Any) -> Any:
    h, w, w_t = primals
    t_h, t_w, _ = tangents
    return _by_hidden(h, w, w_t), _transposed_product(t_h, w) + _transposed_product(h, t_w)


def _transposed_product(h: Any, w: Any) -> Any:
    return lax.dot_general(h, w, (((h.ndim - 1,), (1,)), ((), ())), precision=matmul_precision())


@functools.cache
def _recurrence(mode: str, reverse: bool, apart: bool) -> Any:
    """A function of (projected input (T, B, G * H), h, c or None, hidden weights (G * H, H), their bias or None, alive or None; and, unless ``apart``, the projection or None) to (outputs, last h, last c)."""

    def run(xp: Any, h: Any, c: Any, w: Any, b: Any, alive: Any, w_hr: Any = None, whole: bool = True) -> Any:
        w_t = w.T  # once, outside the loop

        def step(carry: Any, now: Any) -> Any:
            h, c = carry
            x, live = now
            hp = _by_hidden(h, w, w_t)
            hp = hp if b is None else hp + b
            new_c, kept = c, hp
            if mode == "LSTM":
                kept = _activated(x + hp) if whole else x + hp
                new_h, new_c = _lstm_activated(kept, c) if whole else _lstm(kept, c)
                new_h = new_h if w_hr is None else _linear(new_h, w_hr)
            elif mode == "GRU":
                new_h = _gru(x, hp, h)
            else:
                new_h = _activate(mode, x + hp)
            if live is not None:
                new_h = jnp.where(live, new_h, h)
                new_c = None if c is None else jnp.where(live, new_c, c)
            return (new_h, new_c), (new_h, *((new_c, kept if mode in ("LSTM", "GRU") else None) if apart else (None, None)))

        (h, c), kept = lax.scan(step, (h, c), (xp, alive), reverse=reverse)
        return (kept[0], h, c), kept

    if not apart and mode != "LSTM":
        return lambda *given: run(*given)[0]
    f = jax.custom_jvp(lambda *given: run(*given)[0])
    if not apart:  # JAX's derivative of both functions of all gates costs more than they save
        f.defjvp(lambda primals, tangents: jax.jvp(lambda *given: run(*given, whole=False)[0], primals, tangents))
        return f

    def derivative(primals: Any, tangents: Any) -> Any:
        xp, h, c, w, b, alive = primals
        t_xp, t_h, t_c, t_w, t_b, _ = tangents
        result, (out, cs, kept) = run(*primals)
        before = _before(out, h, reverse)
        from_hidden = None  # what weights and bias change, at all steps
        if not _is_zero(t_w):
            from_hidden = contract(before.reshape(math.prod(before.shape[:-1]), before.shape[-1]), t_w, ((1,), (1,))).reshape(xp.shape)
        if b is not None and not _is_zero(t_b):
            t_b = jnp.broadcast_to(t_b, xp.shape)
            from_hidden = t_b if from_hidden is None else from_hidden + t_b
        from_input = None if _is_zero(t_xp) else t_xp
        if mode != "GRU" and from_hidden is not None:  # both go into the same sum
            from_input, from_hidden = (from_hidden if from_input is None else from_input + from_hidden), None
        coefficients, linear = _LINEAR[mode](xp, kept, before, out, None if c is None else _before(cs, c, reverse), cs)

        def step(carry: Any, now: Any) -> Any:
            t_h, t_c = carry
            of_input, of_hidden, k, live = now
            through = _transposed_product(t_h, w)
            through = through if of_hidden is None else through + of_hidden
            new_h, new_c = linear(k, of_input, through, t_h, t_c)
            if live is not None:
                new_h = jnp.where(live, new_h, t_h)
                new_c = None if t_c is None else jnp.where(live, new_c, t_c)
            return (new_h, new_c), new_h

        start = (_dense(t_h, h), None if c is None else _dense(t_c, c))
        last, t_out = lax.scan(step, start, (from_input, from_hidden, coefficients, alive), reverse=reverse)
        return result, (t_out, *last)

    f.defjvp(derivative, symbolic_zeros=True)
    return f


def _is_zero(t: Any) -> bool:
    return isinstance(t, SymbolicZero)


def _dense(t: Any, like: Any) -> Any:
    return jnp.zeros_like(like) if _is_zero(t) else t


def _before(states: Any, first: Any, reverse: bool) -> Any:
    """What each step began with."""
    steps = states.shape[0]
    if reverse:
        return jnp.concatenate([lax.slice_in_dim(states, 1, steps), first[None]])
    return jnp.concatenate([first[None], lax.slice_in_dim(states, 0, steps - 1)])


def _plus(of_input: Any, through: Any) -> Any:
    return through if of_input is None else of_input + through


def _linear_lstm(xp: Any, activated: Any, before: Any, out: Any, c_before: Any, c: Any) -> Any:
    i, f, g, o = jnp.split(activated, 4, -1)
    one, high = const(1, f), jnp.tanh(c_before * f + i * g)  # not tanh(c): where a sequence is at its end, c is an earlier one's
    of_gates = jnp.concatenate([g * i * (one - i), c_before * f * (one - f), i * (one - g * g), high * o * (one - o)], -1)

    def linear(k: Any, of_input: Any, through: Any, t_h: Any, t_c: Any) -> Any:
        of_gates, f, c_to_h = k
        i, kept, g, o = jnp.split(of_gates * _plus(of_input, through), 4, -1)
        t_c = f * t_c + (i + kept + g)
        return c_to_h * t_c + o, t_c

    return (of_gates, f, o * (one - high * high)), linear


def _linear_gru(xp: Any, hp: Any, before: Any, out: Any, c_before: Any, c: Any) -> Any:
    xr, xz, xn = jnp.split(xp, 3, -1)
    hr, hz, hn = jnp.split(hp, 3, -1)
    r, z = lax.logistic(xr + hr), lax.logistic(xz + hz)
    n = jnp.tanh(xn + r * hn)
    one = const(1, z)
    of_n = (one - n * n) * (one - z)

    def linear(k: Any, of_input: Any, through: Any, t_h: Any, t_c: Any) -> Any:
        z, of_r, of_z, of_n, of_hn = k
        r_h, z_h, n_h = jnp.split(through, 3, -1)
        t = z * t_h + of_r * r_h + of_z * z_h + of_hn * n_h
        if of_input is not None:
            r_x, z_x, n_x = jnp.split(of_input, 3, -1)
            t = t + of_r * r_x + of_z * z_x + of_n * n_x
        return t, None

    return (z, of_n * hn * r * (one - r), (before - n) * z * (one - z), of_n, of_n * r), linear


def _linear_tanh(xp: Any, hp: Any, before: Any, out: Any, c_before: Any, c: Any) -> Any:
    return const(1, out) - out * out, lambda k, of_input, through, t_h, t_c: (k * _plus(of_input, through), None)


def _linear_relu(xp: Any, hp: Any, before: Any, out: Any, c_before: Any, c: Any) -> Any:
    return ~(out <= 0), lambda k, of_input, through, t_h, t_c: (jnp.where(k, _plus(of_input, through), const(0, through)), None)


_LINEAR = {"LSTM": _linear_lstm, "GRU": _linear_gru, "RNN_TANH": _linear_tanh, "RNN_RELU": _linear_relu}


def _packing(batch_sizes: Any, total: int, steps: int, batch: int) -> tuple[Any, Any, Any]:
    """``(rows, alive, back)``: where (t, b) lies in packed data, whether it is there, and where a packed row lies in (T * B)."""
    sizes = batch_sizes.astype(np.int32)
    start = jnp.cumsum(sizes) - sizes
    b = jnp.arange(batch, dtype=np.int32)
    alive = b[None, :] < sizes[:, None]
    rows = jnp.clip(start[:, None] + b[None, :], 0, max(total - 1, 0))
    t_of = insertion_points(jnp.cumsum(sizes), jnp.arange(total, dtype=np.int32), True)
    t_of = jnp.minimum(t_of, steps - 1)
    return rows, alive[..., None], t_of * batch + (jnp.arange(total, dtype=np.int32) - start[t_of])


def _per_layer(flat: Sequence[Any], has_biases: bool, projected: bool) -> list[tuple[Any, ...]]:
    """The flat list of parameters as (w_ih, w_hh, b_ih, b_hh, w_hr) for each layer and direction."""
    each = 2 + 2 * has_biases + projected
    if len(flat) % each:
        raise RuntimeError("got an incorrect number of RNN parameters")
    out = []
    for i in range(0, len(flat), each):
        w_ih, w_hh, *rest = flat[i : i + each]
        b_ih, b_hh = rest[:2] if has_biases else (None, None)
        out.append((w_ih, w_hh, b_ih, b_hh, rest[-1] if projected else None))
    return out


def _printed(structure: dict[str, Any], outs: Sequence[Any]) -> Sequence[str]:
    """What torch's own loops over layers and steps end with, on the cpu."""
    if len(outs[0].shape) == 2:  # packed
        last = "CatBackward0"
    elif structure["batch_first"]:
        last = "TransposeBackward0" if structure["mode"] == "LSTM" else "TransposeBackward1"
    elif structure["bidirectional"]:
        last = "CatBackward0"
    else:
        last = "MkldnnRnnLayerBackward0" if _one_dnn(structure, outs) else "StackBackward0"
    return (last, "StackBackward0", "StackBackward0")


def _one_dnn(structure: dict[str, Any], outs: Sequence[Any]) -> bool:
    """Whether torch takes oneDNN's layers, which have no projections."""
    return structure["mode"] == "LSTM" and len(outs[0].shape) == 3 and outs[0].dtype.np == np.float32 and outs[1].shape == outs[2].shape


def _kept(structure: dict[str, Any], ins: Sequence[Any], outs: Sequence[Any]) -> str:
    """What torch's layers keep: oneDNN's all that they are given and the result, the others what their products read. An input whose batch is first is copied before."""
    if _one_dnn(structure, outs):
        return "hx params" + " input" * (not structure["batch_first"]) + " result" * (not structure["bidirectional"])
    projected = structure["mode"] == "LSTM" and outs[1].shape != outs[2].shape
    each, layers = 2 + 2 * structure["has_biases"] + projected, structure["num_layers"] * (1 + structure["bidirectional"])
    found = [f"params[{i * each}]" + ":input" * (i <= structure["bidirectional"]) for i in range(layers)] + [f"params[{i * each + 1}]" for i in range(layers)]
    if projected:
        found += [f"params[{(i + 1) * each - 1}]" for i in range(layers)]
    found += ["hx[1]"] if structure["mode"] == "LSTM" else []
    found += [] if structure["batch_first"] else ["input:params[0]"]
    return " ".join([*found, "hx[0]:params[1]"])


@op(
    "_rnn(Tensor input, Tensor? batch_sizes, Tensor[] hx, Tensor[] params, str mode, bool has_biases, int num_layers, bool "
    "bidirectional, bool batch_first)",
    where="_nn", out=False, residuals="save", grad_name=OutputNames("RnnBackward0", _printed), kept=_kept,
)  # fmt: skip
def _rnn(input, batch_sizes, hx, params, mode, has_biases, num_layers, bidirectional, batch_first):
    """``(output, h_n)`` or, for LSTM, ``(output, h_n, c_n)`` of a stack of recurrent layers, packed if ``batch_sizes`` is given."""
    floats_only("rnn", input)
    directions = 2 if bidirectional else 1
    h0 = hx[0]
    c0 = hx[1] if mode == "LSTM" else None
    projected = mode == "LSTM" and h0.shape[-1] != c0.shape[-1]
    layers = _per_layer(params, has_biases, projected)
    if len(layers) != num_layers * directions:
        raise RuntimeError("got an incorrect number of RNN parameters")
    if batch_sizes is None and input.shape[1 if batch_first else 0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    x, alive, rows_back, lead = input, None, None, None
    if batch_sizes is not None:
        steps, batch = batch_sizes.shape[0], h0.shape[1]
        rows, alive, rows_back = _packing(batch_sizes, input.shape[0], steps, batch)
        x = jnp.where(alive, input[rows], const(0, input))
        lead = steps * batch
    elif batch_first:
        x = jnp.swapaxes(x, 0, 1)
    wide = accumulate_in
    x = wide(x)
    last_h, last_c = [], []
    for layer in range(num_layers):
        outs = []
        for d in range(directions):
            k = layer * directions + d
            c = None if c0 is None else wide(lax.index_in_dim(c0, k, 0, False))
            parts = tuple(None if p is None else wide(p) for p in layers[k])
            out, h, c = _scan_layer(mode, x, wide(lax.index_in_dim(h0, k, 0, False)), c, parts, d == 1, alive)
            outs.append(out)
            last_h.append(h)
            last_c.append(c)
        x = outs[0] if directions == 1 else jnp.concatenate(outs, -1)
    if batch_sizes is not None:
        x = x.reshape(lead, x.shape[-1])[rows_back]
    elif batch_first:
        x = jnp.swapaxes(x, 0, 1)
    result = [back(x, input), back(jnp.stack(last_h), input)]
    if mode == "LSTM":
        result.append(back(jnp.stack(last_c), input))
    return tuple(result)


def _check_cell(gates: int, input: Any, w_ih: Any, w_hh: Any, *states: Any) -> None:
    """torch's errors for weights that are not of ``gates`` blocks, and for an input and states (hidden0, hidden1) of other sizes than theirs, or of other batches."""
    wanted = gates * w_hh.shape[1]
    for name, w in (("weight_ih", w_ih), ("weight_hh", w_hh)):
        if w.shape[0] != wanted:
            raise RuntimeError(f"{name} first dim must be {gates} * hidden_size = {wanted}, but got {w.shape[0]}")
    if input.ndim and input.shape[-1] != w_ih.shape[1]:
        raise RuntimeError(f"input has inconsistent input_size: got {input.shape[-1]} expected {w_ih.shape[1]}")
    for i, h in enumerate(states):
        batches = [x.shape[0] if x.ndim else 1 for x in (input, h)]
        if input.ndim and input.ndim == h.ndim == 1:
            batches = [1, 1]
        if batches[0] != batches[1] and input.ndim != 1:
            raise RuntimeError(f"Input batch size {batches[0]} doesn't match hidden{i} batch size {batches[1]}")
        size = h.shape[min(input.ndim, h.ndim) - 1] if h.ndim else 1
        if size != w_hh.shape[1]:
            raise RuntimeError(f"hidden{i} has inconsistent hidden_size: got {size}, expected {w_hh.shape[1]}")


# What torch keeps of a step: its cells are products of matrices and what is done elementwise to those, which keeps its results.
_OPERANDS = "input hx w_ih w_hh b_ih b_hh"
_PRODUCTS = "input:w_ih w_ih:input hx:w_hh w_hh:hx"


@op("lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None)", where="torch", out=False,
    grad_name=OutputNames("LstmCellBackward0", lambda structure, outs: ("MulBackward0", "AddBackward0")), unsaved=_OPERANDS,
    kept="input:w_ih w_ih:input hx[0]:w_hh w_hh:hx[0] hx[1]")  # fmt: skip
def lstm_cell(input, hx, w_ih, w_hh, b_ih, b_hh):
    """One step of an LSTM: ``(h, c)`` from (B, F) and the old pair."""
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    _check_cell(4, input, w_ih, w_hh, *hx)
    return _lstm(_linear(input, w_ih, b_ih) + _linear(hx[0], w_hh, b_hh), hx[1])


@op("gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None)", where="torch", out=False, grad_name="AddBackward0",
    unsaved=_OPERANDS, kept=_PRODUCTS)  # fmt: skip
def gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh):
    """One step of a GRU."""
    _check_cell(3, input, w_ih, w_hh, hx)
    return _gru(_linear(input, w_ih, b_ih), _linear(hx, w_hh, b_hh), hx)


@op(
    "rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None)",
    where="torch",
    out=False,
    grad_name="TanhBackward0",
    unsaved=_OPERANDS,
    kept=_PRODUCTS + " result",
)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih, b_hh):
    """One step of an Elman network with tanh."""
    _check_cell(1, input, w_ih, w_hh, hx)
    return jnp.tanh(_linear(input, w_ih, b_ih) + _linear(hx, w_hh, b_hh))


@op(
    "rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None)",
    where="torch",
    out=False,
    grad_name="ReluBackward0",
    unsaved=_OPERANDS,
    kept=_PRODUCTS + " result",
)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih, b_hh):
    """One step of an Elman network with relu."""
    _check_cell(1, input, w_ih, w_hh, hx)
    return _activate("RNN_RELU", _linear(input, w_ih, b_ih) + _linear(hx, w_hh, b_hh))
