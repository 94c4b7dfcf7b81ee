"""What torch asks of values that are no indices, and its words where they are refused: probabilities, divisors, pivots, matrices.

The functions that say what is wrong are written for numpy's arrays and jax's alike, and are of this module: programs are found by them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jtorch._errors import LinAlgError
from jtorch._registry import Range, Wrong

from ._guards import said


def _no_probability(x: Any) -> Any:
    return ~((x >= 0) & (x <= 1))


def _zero(x: Any) -> Any:
    return x == 0


@functools.cache
def _zero_of(width: int) -> Callable[[Any], Any]:
    """Whether so many bytes of an integer are zero: a number is brought to the elements' type before it divides."""
    return lambda x: (x & ((1 << 8 * width) - 1)) == 0


def _not_at_least_zero(x: Any) -> Any:
    return ~(x >= 0)


def _true(kind: type[Exception], text: str) -> Callable[[int, int], Exception]:
    return lambda value, at: kind(text)


def probabilities(input: Any, target: Any, *rest: Any) -> Sequence[Wrong]:
    """``binary_cross_entropy``."""
    text = "all elements of {} should be between 0 and 1"
    return [Wrong(x, _no_probability, _true(RuntimeError, text.format(n))) for n, x in (("input", input), ("target", target))]


def chances(input: Any, *rest: Any) -> Sequence[Wrong]:
    """``bernoulli``."""
    text = (
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  "
        "If so, please report an enhancement request to PyTorch.)"
    )
    return (Wrong(input, _no_probability, _true(RuntimeError, text)),)


def deviations(std: Any) -> Sequence[Wrong]:
    """``normal``."""
    return (Wrong(std, _not_at_least_zero, _true(RuntimeError, "normal expects all elements of std >= 0.0"), cpu=True),)


def fractions(input: Any, q: Any, *rest: Any) -> Sequence[Wrong]:
    """``quantile``."""
    return (Wrong(q, _no_probability, _true(RuntimeError, "quantile() q values must be in the range [0, 1]"), cpu=True),)


def divisors(input: Any, other: Any, rounding_mode: str | None = "trunc") -> Sequence[Wrong]:
    """Divisions that stay integers."""
    if rounding_mode is None or any(np.dtype(x.dtype).kind not in "iub" for x in (input, other)):
        return ()
    own, given = (np.dtype(x.dtype).itemsize for x in (input, other))
    return (Wrong(other, _zero if own >= given or np.dtype(input.dtype).kind == "b" else _zero_of(own), _true(RuntimeError, "ZeroDivisionError"), cpu=True),)


def asserted(input: Any, assert_msg: str | None = None) -> Sequence[Wrong]:
    """``_assert_async``."""
    return (Wrong(input, _zero, _true(RuntimeError, assert_msg or "Expected Tensor with single nonzero value, but got zero")),)


# Matrices --------------------------------------------------------------------------------------------------------------


def _batch(at: int, batched: bool) -> str:
    return f"(Batch element {at}): " if batched else ""


def _has_nan(x: Any) -> Any:
    return (x != x).any((-2, -1))


def _not_finite(x: Any) -> Any:
    return ~(abs(x) < math.inf).all()


def no_nan(input: Any, *rest: Any) -> Sequence[Wrong]:
    """Singular values: LAPACK refuses nan."""
    text = "linalg.svd: {}The algorithm failed to converge because the input matrix contained non-finite values."
    batched = len(input.shape) > 2
    return (Wrong(input, _has_nan, lambda value, at: LinAlgError(text.format(_batch(at, batched)))),)


def no_nan_unless_hermitian(input: Any, atol: Any, rtol: Any, hermitian: bool) -> Sequence[Wrong]:
    """``pinv``."""
    return () if hermitian else no_nan(input)


def finite(input: Any, *rest: Any) -> Sequence[Wrong]:
    """``eig``."""
    return (Wrong(input, _not_finite, _true(RuntimeError, "torch.linalg.eig: input tensor should not contain infs or NaNs.")),)


def solvable(A: Any, B: Any, rcond: Any, driver: str) -> Sequence[Wrong]:  # noqa: N803 - torch's names
    """``lstsq``: LAPACK refuses nan, by the number of its argument."""
    first = 5 if driver == "gels" else 4
    batched = len(A.shape) > 2

    def of(number: int) -> Any:
        return lambda value, at: RuntimeError(
            f"torch.linalg.lstsq: {_batch(at, batched)}Argument {number} has illegal value. Most certainly there is a bug in the implementation calling the backend library."
        )

    vector = len(B.shape) == len(A.shape) - 1 and B.shape == A.shape[:-1]
    return (Wrong(A, _has_nan, of(first)), Wrong(B, _nan_in_vector if vector else _has_nan, of(first + 2)))


def _nan_in_vector(x: Any) -> Any:
    return (x != x).any(-1)


def _zero_on_diagonal(x: Any) -> Any:
    return (np if isinstance(x, np.ndarray) else jnp).diagonal(x, axis1=-2, axis2=-1) == 0


def diagonal(input: Any, *rest: Any) -> Sequence[Wrong]:
    """``cholesky_inverse``."""
    n, batched = input.shape[-1], len(input.shape) > 2

    def error(value: int, at: int) -> Exception:
        return LinAlgError(
            f"cholesky_inverse: {_batch(at // n, batched)}The diagonal element {at % n + 1} is zero, "
            "the inversion could not be completed because the input matrix is singular."
        )

    return (Wrong(input, _zero_on_diagonal, error),)


def solver_pivots(LU: Any, pivots: Any, *rest: Any) -> Sequence[Range]:  # noqa: N803 - torch's name
    """``lu_solve``."""

    def error(value: int, at: int) -> Exception:
        found = "greater or equal to 1" if value < 1 else "smaller or equal to LU.size(-2)"
        return RuntimeError(f"Pivots given to lu_solve must all be {found}. Did you properly pass the result of lu_factor?")

    return (Range(pivots, 1, LU.shape[-2] + 1, error, cpu=True),)


def unpacked_pivots(LU_data: Any, LU_pivots: Any, unpack_data: bool, unpack_pivots: bool) -> Sequence[Range]:  # noqa: N803 - torch's names
    """``lu_unpack``."""
    text = "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive.Did you properly pass the result of lu_factor?"
    return (Range(LU_pivots, 1, LU_data.shape[-2] + 1, said(RuntimeError, text)),) if unpack_pivots else ()


# Counts -----------------------------------------------------------------------------------------------------------------


def _endless(x: Any) -> Any:
    x = x.reshape(-1, x.shape[-1] if x.ndim > 1 else 1)
    return ~(abs(x.max(0)) < math.inf) | ~(abs(x.min(0)) < math.inf)


def _endless_at_all(x: Any) -> Any:
    return _endless(x.reshape(-1))


def counted(input: Any, bins: int, min: Any, max: Any) -> Sequence[Wrong]:
    """``histc`` over the data's own range."""
    if min != max:
        return ()
    return (Wrong(input, _endless_at_all, _true(RuntimeError, "torch.histc: range of the input is not finite")),)


def binned(input: Any, bins: Any, range: Any, *rest: Any) -> Sequence[Wrong]:
    """``histogram`` and ``histogramdd`` over the data's own range."""
    if range is not None:
        return ()
    wrong = _endless_at_all if isinstance(bins, int) else _endless
    return (Wrong(input, wrong, lambda value, at: RuntimeError(f"torch.histogramdd: dimension {at}'s range is not finite")),)


@functools.cache
def _more_than(most: int) -> Callable[[Any], Any]:
    return lambda mask: mask.sum() > most


def scattered(input: Any, mask: Any, source: Any) -> Sequence[Wrong]:
    """``masked_scatter``: an element of the source for every True."""
    elements = math.prod(jnp.broadcast_shapes(input.shape, mask.shape))
    if not elements:
        return ()
    repeated = max(elements // max(math.prod(mask.shape), 1), 1)
    error = _true(RuntimeError, "Number of elements of source < number of ones in mask")
    return (Wrong(mask, _more_than(math.prod(source.shape) // repeated), error),)


def _negative(x: Any) -> Any:
    return x < 0


@functools.cache
def _not_in_all(size: int) -> Callable[[Any], Any]:
    return lambda lengths: lengths.sum(-1) != size


def runs(data: Any, reduce: str, lengths: Any, axis: int, initial: Any, negative: bool, fill: bool) -> Sequence[Wrong]:
    """``segment_reduce``: the lengths of runs that are to fill a dim."""
    text = "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
    found = [Wrong(lengths, _negative, _true(RuntimeError, "lengths contains negative value!"))] if negative else []
    return found + ([Wrong(lengths, _not_in_all(data.shape[axis]), _true(RuntimeError, text))] if fill else [])


def lengths(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, *rest: Any) -> Sequence[Range]:
    """``ctc_loss``."""
    steps, longest = log_probs.shape[0], targets.shape[1]
    where = "(while checking arguments for ctc_loss_allocate_outputs)"

    def of_inputs(value: int, at: int) -> Exception:
        bound = "least 0" if value < 0 else f"most {steps}"
        return RuntimeError(f"Expected input_lengths to have value at {bound}, but got value {value} {where}")

    def of_targets(value: int, at: int) -> Exception:
        if value < 0:
            return RuntimeError(f"Expected target_lengths to have value at least 0, but got value {value} {where}")
        text = f"Expected tensor to have size at least {value} at dimension 1, but got size {longest} for argument #2 'targets' {where}"
        return RuntimeError(text)

    return (Range(input_lengths, 0, steps + 1, of_inputs), Range(target_lengths, 0, longest + 1, of_targets))
