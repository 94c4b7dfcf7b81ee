"""einsum and tensordot, and products of matrices with themselves: matrix_power, matrix_exp; cross products."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import opt_einsum
from jax import lax

from jtorch import _dtypes
from jtorch._registry import Says, op

from ._lib import accumulate_in, broadcast_shape, dim_of, dtype_of, is_inexact, matmul_precision
from ._linalg_lib import ShapedName, contract, cpp_name, mT, no_bool, same_type, scalar_name

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def parse_subscripts(text: str, operand: int) -> list[str]:
    """The labels of one operand, ``...`` as one of them. RuntimeError with torch's text."""
    labels, at = [], 0
    while at < len(text):
        c = text[at]
        if c == ".":
            if "..." in labels:
                raise RuntimeError(f"einsum(): found '.' for operand {operand} for which an ellipsis was already found")
            if text[at : at + 3] != "...":
                raise RuntimeError(f"einsum(): found '.' for operand {operand} that is not part of any ellipsis")
            labels.append("...")
            at += 3
            continue
        if c != " ":
            labels.append(c)
        at += 1
    return labels


def _check_letters(equation: str) -> None:
    for i, c in enumerate(equation):
        if not (c in _LETTERS or c in " .,->"):
            raise RuntimeError(f"einsum(): invalid subscript given at index {i} in the equation string, subscripts must be in [a-zA-Z]")


def _sizes(inputs: list[list[str]], operands: Any) -> dict[str, int]:
    """Every label's size; size 1 broadcasts. Raises where they do not agree."""
    sizes: dict[str, int] = {}
    for n, (labels, x) in enumerate(zip(inputs, operands, strict=True)):
        own: dict[str, int] = {}
        named = len(labels) - ("..." in labels)
        if named > x.ndim or (named < x.ndim and "..." not in labels):
            none = "" if "..." in labels else " and no ellipsis was given"
            more = "is more than" if "..." in labels else "does not match"
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) {more} the number of dimensions ({x.ndim}) for operand {n}{none}"
            )
        at = 0
        for label in labels:
            if label == "...":
                at += x.ndim - named
                continue
            size = x.shape[at]
            at += 1
            if label in own and own[label] != size:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand {n} but the sizes don't match, {size} != {own[label]}"
                )
            own[label] = size
            known = sizes.get(label, 1)
            if 1 not in (known, size) and known != size:
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} for operand {n} which does not broadcast with previously seen size {known}"
                )
            sizes[label] = size if known == 1 else known
    return sizes


def _output(text: str | None, inputs: list[list[str]]) -> list[str]:
    used = [label for labels in inputs for label in labels]
    if text is None:
        once = sorted(c for c in set(used) if c != "..." and used.count(c) == 1)
        return (["..."] if "..." in used else []) + once
    out = parse_subscripts(text, len(inputs))
    for c in out:
        if c != "..." and out.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
        if c != "..." and c not in used:
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation for any input operand")
    return out


@op("einsum(str equation, Tensor[] operands)", where="internal", out=False, grad_name="ViewBackward0")
def einsum(equation: str, operands: Any) -> Any:
    """Sums of products by an equation, contracted in the order that opt_einsum finds, as one program."""
    _check_letters(equation)
    left, arrow, right = equation.partition("->")
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    texts = left.split(",")
    if len(texts) != len(operands):
        fewer = "fewer" if len(operands) < len(texts) else "more"
        raise RuntimeError(f"einsum(): {fewer} operands were provided than specified in the equation")
    inputs = [parse_subscripts(t, i) for i, t in enumerate(texts)]
    sizes = _sizes(inputs, operands)
    output = _output(right if arrow else None, inputs)
    # One letter for each dim of the ellipsis, counted from the right; labels of size 1 that broadcast are squeezed away.
    free = [c for c in _LETTERS if c not in sizes]
    covered = max(x.ndim - len(labels) + 1 if "..." in labels else 0 for labels, x in zip(inputs, operands, strict=True))
    dots = free[:covered]
    batch: tuple[int, ...] = ()
    terms, arrays = [], []
    for labels, x in zip(inputs, operands, strict=True):
        if "..." in labels:
            n, at = x.ndim - len(labels) + 1, labels.index("...")
            batch = broadcast_shape(batch, x.shape[at : at + n])
            labels = labels[:at] + dots[covered - n :] + labels[at + 1 :]
        terms.append(labels)
    sizes.update(zip(dots[covered - len(batch) :], batch, strict=True))
    for labels, x in zip(terms, operands, strict=True):
        thin = [i for i, c in enumerate(labels) if x.shape[i] == 1 and sizes[c] != 1]
        arrays.append(jnp.squeeze(x, thin) if thin else x)
        labels[:] = [c for i, c in enumerate(labels) if i not in thin]
    out = [c for label in output for c in (dots if label == "..." else [label])]
    spec = ",".join("".join(t) for t in terms) + "->" + "".join(out)
    if len(operands) == 1:
        return _single(spec, arrays[0], terms[0], out)
    if is_inexact(arrays[0]) and all(x.dtype == arrays[0].dtype for x in arrays):
        return jnp.einsum(spec, *arrays, precision=matmul_precision())
    kind = _pairwise_type(spec, terms, arrays, out)
    wide = "int32" if kind == np.bool_ else kind
    return jnp.einsum(spec, *[x.astype(wide) for x in arrays], precision=matmul_precision()).astype(kind)


def _pairwise_type(spec: str, terms: list[list[str]], arrays: list[Any], out: list[str]) -> Any:
    """The type of the sum of products, taken two operands at a time in the order that torch takes, opt_einsum's.

    A label that only one of two operands has is summed first, which widens integers; two that share no label to be summed are multiplied, which
    promotes; else bmm takes them, and asks for one type. ``terms`` leave out labels of size 1 that broadcast.
    """
    path = opt_einsum.contract_path(spec, *[x.shape for x in arrays], shapes=True)[0] if len(arrays) > 2 else [(0, 1)]
    left = [(dtype_of(x), {c for c, n in zip(labels, x.shape, strict=True) if n != 1}) for labels, x in zip(terms, arrays, strict=True)]
    for pair in path:
        (first, mine), (second, theirs) = (left[i] for i in sorted(pair))
        left = [term for i, term in enumerate(left) if i not in pair]
        later = set(out).union(*[labels for _, labels in left])
        a, b = _summed_type(first, mine - theirs - later), _summed_type(second, theirs - mine - later)
        if mine & theirs - later:
            if a is _dtypes.bool_:
                raise NotImplementedError("\"bmm\" not implemented for 'Bool'")
            if a is not b:
                raise RuntimeError(f"expected scalar type {a.legacy} but found {b.legacy}")
        left.append((_dtypes.promote_types(a, b), (mine | theirs) & later))
    return left[0][0].np


def _summed_type(kind: _dtypes.dtype, labels: set[str]) -> _dtypes.dtype:
    return _dtypes.int64 if labels and not (kind.is_floating_point or kind.is_complex) else kind


def _single(spec: str, x: Any, labels: list[str], out: list[str]) -> Any:
    """One operand: a sum, which widens integers as ``sum`` does."""
    sums = any(c not in out for c in labels)
    if sums and not is_inexact(x):
        x = x.astype("int64")
    return jnp.einsum(spec, accumulate_in(x) if sums else x).astype(x.dtype)


@op("tensordot(Tensor input, Tensor other, int[] dims_self, int[] dims_other)", where="internal", grad_name="ViewBackward0")
def tensordot(input: Any, other: Any, dims_self: tuple[int, ...], dims_other: tuple[int, ...]) -> Any:
    """Contracts dims of one with dims of the other; what is left of the first comes before what is left of the second."""
    if len(dims_self) != len(dims_other):
        raise RuntimeError("both dimension lists should have same length")
    if input.dtype != other.dtype:
        raise RuntimeError("both inputs should have same dtype")
    for i, j in zip(dims_self, dims_other, strict=True):
        n, m = input.shape[dim_of(i, input.ndim)], other.shape[dim_of(j, other.ndim)]
        if n != m and 1 not in (n, m):
            raise RuntimeError(f"contracted dimensions need to match, but first has size {n} in dim {i} and second has size {m} in dim {j}")
    no_bool(input, "addmm_impl_cpu_")
    axes = tuple(dim_of(i, input.ndim) for i in dims_self), tuple(dim_of(j, other.ndim) for j in dims_other)
    for found in axes:
        if len(set(found)) < len(found):
            raise RuntimeError(f"dim {next(i for n, i in enumerate(found) if i in found[:n])} appears multiple times in the list of dims")
    for i, j in zip(*axes, strict=True):
        # A contracted dim of size 1 broadcasts: the other side is summed over it.
        if input.shape[i] == 1 != other.shape[j]:
            other = other.sum(j, keepdims=True, dtype=other.dtype)
        elif other.shape[j] == 1 != input.shape[i]:
            input = input.sum(i, keepdims=True, dtype=input.dtype)
    return contract(input, other, axes)


def check_square(x: Any, name: str) -> None:
    """RuntimeError unless the last two dims are there and equal."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices")


def check_inexact(x: Any, name: str, low: bool = True) -> None:
    """RuntimeError for integers; with ``low=False`` also for 16-bit floats."""
    if not is_inexact(x):
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {scalar_name(x)}")
    if not low and scalar_name(x) in ("Half", "BFloat16"):
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {scalar_name(x)}")


def _product(a: Any, b: Any) -> Any:
    lead = tuple(range(a.ndim - 2))
    return contract(a, b, ((a.ndim - 1,), (a.ndim - 2,)), (lead, lead))


@op("matrix_power(Tensor input, int n)", where="internal", grad_name=ShapedName("MmBackward0", lambda s: "MmBackward0" if len(s[0]) == 2 else "UnsafeViewBackward0"))  # fmt: skip
def matrix_power(input: Any, n: int) -> Any:
    """The n-th power of square matrices by repeated squaring."""
    check_square(input, "linalg.matrix_power")
    if n == 0:
        return jnp.broadcast_to(jnp.eye(input.shape[-1], dtype=input.dtype), input.shape)
    out = None
    while True:
        if n > 1:
            no_bool(input, "addmm_impl_cpu_" if input.ndim == 2 else "bmm")
        if n & 1:
            out = input if out is None else _product(out, input)
        n >>= 1
        if not n:
            return out
        input = _product(input, input)


@op("matrix_exp(Tensor input)", aliases="linalg.matrix_exp", out=False, grad_name="LinalgMatrixExpBackward0")
def matrix_exp(input: Any) -> Any:
    """The exponential of square matrices."""
    check_square(input, "linalg.matrix_exp")
    check_inexact(input, "linalg.matrix_exp")
    if input.size == 0:
        return input
    wide = accumulate_in(input)
    if input.shape[-1] == 1:
        return jnp.exp(wide).astype(input.dtype)
    return _expm(wide).astype(input.dtype)


def _expm_value(a: Any) -> Any:
    """Scaling and squaring with the Taylor polynomial of degree 16 in six products (Paterson and Stockmeyer): no solves, so float32 stays exact."""
    real = jnp.abs(jnp.zeros((), a.dtype)).dtype
    size = jnp.max(jnp.sum(jnp.abs(a), -2), -1)
    limit = 0.78 if real == np.float64 else 2.2  # where the polynomial's error is below the type's precision
    squarings = jnp.ceil(jnp.log2(jnp.maximum(size, limit) / limit))
    squarings = jnp.where(jnp.isfinite(squarings), squarings, 0).astype(np.int32)
    x = a * jnp.exp2(-squarings.astype(real))[..., None, None].astype(a.dtype)
    eye = jnp.eye(a.shape[-1], dtype=a.dtype)
    x2 = x @ x
    powers = [jnp.broadcast_to(eye, x.shape), x, x2, x2 @ x]
    x4 = x2 @ x2

    def part(first: int) -> Any:
        return sum(p * np.asarray(1 / math.factorial(first + i)).astype(a.dtype) for i, p in enumerate(powers))

    out = part(12) + x4 * np.asarray(1 / math.factorial(16)).astype(a.dtype)
    for first in (8, 4, 0):
        out = out @ x4 + part(first)

    def more(state: Any) -> Any:
        return state[0] < squarings.max()

    def square(state: Any) -> Any:
        i, y = state
        return i + 1, jnp.where((i < squarings)[..., None, None], y @ y, y)

    out = lax.while_loop(more, square, (jnp.zeros((), np.int32), out))[1]
    return jnp.where(jnp.isfinite(size)[..., None, None], out, np.asarray(np.nan).astype(a.dtype))


@jax.custom_vjp
def _expm(a: Any) -> Any:
    return _expm_value(a)


def _expm_forward(a: Any) -> Any:
    return _expm(a), a


def _expm_backward(a: Any, g: Any) -> Any:
    # The exponential of [[A, G], [0, A]] has the derivative at A along G in its corner (Mathias 1996); transposed, that is the gradient.
    n, t = a.shape[-1], mT(a)
    top = jnp.concatenate([t, g.astype(a.dtype)], -1)
    low = jnp.concatenate([jnp.zeros_like(t), t], -1)
    return (_expm(jnp.concatenate([top, low], -2))[..., :n, n:],)


_expm.defvjp(_expm_forward, _expm_backward)


@op("cross(Tensor input, Tensor other, *, int dim=-1)", where="linalg", grad_name="LinalgCrossBackward0")
def linalg_cross(input: Any, other: Any, dim: int) -> Any:
    """The cross product of vectors of three along ``dim``; other dims broadcast."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    at = dim_of(dim, input.ndim)
    if input.ndim == 0 or input.shape[at] != 3 or other.shape[at] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[at] if input.ndim else 1} and "
            f"{other.shape[at] if other.ndim else 1}"
        )
    no_bool(input, "cross")
    shape = broadcast_shape(input.shape, other.shape)
    same_type(input, other, "expected scalar type {a} but found {b}")
    rolled = [(jnp.roll(x, -1, at), jnp.roll(x, -2, at)) for x in (input, other)]
    (a1, a2), (b1, b2) = rolled
    return jnp.broadcast_to(a1 * b2 - a2 * b1, shape)


_NO_DIM = Says(
    "Using torch.cross without specifying the dim arg is deprecated.\nPlease either pass the dim explicitly or simply use torch.linalg.cross.\n"
    "The default value of dim will change to agree with that of linalg.cross in a future release.",
    once=True,
)


@op("cross(Tensor input, Tensor other, int? dim=None)", grad_name="LinalgCrossBackward0",
    guard=lambda input, other, dim: (_NO_DIM,) if dim is None else ())  # fmt: skip
def cross(input: Any, other: Any, dim: int | None) -> Any:
    """As ``linalg.cross``; without ``dim`` the first one of size 3."""
    if dim is None:
        found = [d for d in range(input.ndim) if input.shape[d] == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    return linalg_cross.fn(input, other, dim)


def _one_type(tensors: Any) -> None:
    for i, x in enumerate(tensors[1:], 1):
        if x.dtype != tensors[0].dtype:
            names = f"tensor 0 is {cpp_name(tensors[0])} and tensor {i} {cpp_name(x)}"
            raise RuntimeError(f"multi_dot(): all tensors must have be the same dtype but {names}")


@op("multi_dot(Tensor[] tensors)", where="linalg", grad_name="MmBackward0")
def multi_dot(tensors: Any) -> Any:
    """The product of a chain of matrices (first and last may be vectors) in the cheapest order of multiplication."""
    if len(tensors) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(tensors)))
    last = len(tensors) - 1
    for i, x in enumerate(tensors):
        if i in (0, last):
            if x.ndim not in (1, 2):
                which = "first" if i == 0 else "last"
                raise RuntimeError(f"multi_dot(): the {which} tensor must be 1D or 2D but got {x.ndim}D")
        elif x.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x.ndim}D")
    _one_type(tensors)
    wide = [x[None] if i == 0 and x.ndim == 1 else x[:, None] if i == last and x.ndim == 1 else x for i, x in enumerate(tensors)]
    for i in range(last):
        if wide[i].shape[1] != wide[i + 1].shape[0]:
            a, b = wide[i].shape, wide[i + 1].shape
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes [{a[0]}, {a[1]}] and [{b[0]}, {b[1]}] cannot be multiplied"
            )
    no_bool(wide[0], "addmm_impl_cpu_")
    out = _chain(wide) if len(wide) > 2 else contract(wide[0], wide[1], ((1,), (0,)))
    drop = ([0] if tensors[0].ndim == 1 else []) + ([1] if tensors[last].ndim == 1 else [])
    return jnp.squeeze(out, drop) if drop else out


def _chain(matrices: list[Any]) -> Any:
    """Matrix-chain order by dynamic programming over the sizes."""
    n = len(matrices)
    p = [matrices[0].shape[0], *[m.shape[1] for m in matrices]]
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cut[i][j] = min((cost[i][k] + cost[k + 1][j] + p[i] * p[k + 1] * p[j + 1], k) for k in range(i, j))

    def product(i: int, j: int) -> Any:
        if i == j:
            return matrices[i]
        k = cut[i][j]
        return contract(product(i, k), product(k + 1, j), ((1,), (0,)))

    return product(0, n - 1)


@op("chain_matmul(Tensor[] matrices)", where="internal", grad_name="MmBackward0")
def chain_matmul(matrices: Any) -> Any:
    """As ``linalg.multi_dot``, for matrices only; a single one comes back."""
    for x in matrices:
        if x.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else multi_dot.fn(matrices)
