"""Which types ``out=`` may have: most operators cast their result as long as no kind of number is lost; these want exactly the result's, or refuse in words of their own.

``{0}`` is the type that was wanted, ``{1}`` the one that was given; ``{c0}`` and ``{c1}`` the same as torch's C++ names them.
"""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._dtypes import C_NAMES

__all__ = ["check_type", "rule_for", "type_stated"]

_EXACT = "Expected out tensor to have dtype {c0}, but got {c1} instead"
_FOUND = "Found dtype {1} but expected {0}"
_SCALAR = "expected scalar type {0} but found {1}"
_SCALAR_TYPE = "expected scalar_type {0} but found {1}"
_DOT = "result dtype {1} does not match input dtype {0}"
_QUANTILE = "quantile() out tensor must be same dtype as the input tensor"
_SELECTED = "{name}(): self and result must have the same scalar type"
_TENSORDOT = "tensordot: Expected the output tensor to have dtype {0}, but got an output tensor with dtype {1}"
_HISTOGRAM = "torch.histogram: input tensor and hist tensor should have the same dtype, but got input {c0} and hist {c1}"

# The very type of the result: by name, one text, or one for each result.
_SAME: dict[str, Any] = {
    **dict.fromkeys(
        "addmm addmv baddbmm bmm cross expand_copy diagonal_copy alias_copy lu_solve avg_pool3d avg_pool2d linear mm view_copy permute_copy slice_scatter index_copy index_add "
        "scatter scatter_add unfold_copy msort renorm squeeze_copy take_along_dim unsqueeze_copy transpose_copy tril triu log_softmax norm t_copy det cholesky eigvalsh ldl_solve "
        "vector_norm inv solve svdvals topk sort cholesky_ex ldl_factor lu_factor inv_ex solve_ex qr triangular_solve eigh slogdet lu_unpack split_with_sizes_copy svd lu isin "
        "ldl_factor_ex lu_factor_ex unbind_copy max min matmul matrix_power diag mv".split(),
        _EXACT,
    ),
    **dict.fromkeys("abs ceil conj_physical frac floor softshrink hardshrink gelu neg round sign sgn trunc softplus bitwise_not clamp".split(), _FOUND),
    **dict.fromkeys(("dot", "vdot"), _DOT),
    **dict.fromkeys(("logcumsumexp", "cummax", "cummin"), _SCALAR_TYPE),
    **dict.fromkeys(("quantile", "nanquantile"), _QUANTILE),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "logsigmoid", "solve_triangular"), _SCALAR),
    **dict.fromkeys(("inner", "tensordot"), _TENSORDOT),
    **dict.fromkeys(("amax", "amin"), "Expected the dtype for input and out to match, but got {0} for input's dtype and {1} for out's dtype."),
    **dict.fromkeys(("masked_select", "index_select"), _SELECTED),
    "addbmm": "self and mat2 must have the same dtype, but got {1} and {0}",
    "frexp": ("torch.frexp() expects mantissa to have dtype {c0} but got {c1}", "torch.frexp() expects exponent to have int dtype but got {c1}"),
    "kthvalue": ("output values must be of same type as input", "output indices must be of scalar type {0}"),
    "mode": ("expected scalar type '{0}' but got '{1}' for values output", "expected scalar type '{0}' but got '{1}' for indices output"),
    **dict.fromkeys(("median", "nanmedian"), (
        "Expected tensor for 'values' to have the same type as tensor for argument #2 'self'; but type torch.{1}Tensor does not equal torch.{0}Tensor (while checking arguments for median)",
        "Expected tensor for argument #1 'indices' to have scalar type {0}; but got torch.{1}Tensor instead (while checking arguments for median)",
    )),
    **dict.fromkeys(("searchsorted", "bucketize"),
        "torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) or Long(int64) depending on whether out_int32 flag is True, but we got output tensor's "
        "dtype {1} and out_int32 flag is {int32}"),
    "heaviside": "heaviside is not yet implemented for tensors with different dtypes.",
    "signbit": "signbit does not support non-boolean outputs.",
    "nan_to_num": "nan_to_num: dtype of out: {1} should be same as input: {0}",
    "take": "take(): self and out expected to have the same dtype, but got self.dtype = {0} and out.dtype = {1}",
    "multinomial": "multinomial expects {0} tensor out, got: {1}",
    "histc": _HISTOGRAM,
    "histogram": (_HISTOGRAM, "torch.histogram: input tensor and bin_edges tensor should have the same dtype, but got input {c0} and bin_edges {c1} for dimension 0"),
    "where": "Expected out type to be {0} but got {1}",
    "nonzero": "nonzero: Expected out tensor to have scalar type {0} but got scalar type{1}",
    "float_power": "the output given to float_power has dtype {1} but the operation's result requires dtype {0}",
    "vecdot": "linalg.vecdot: Expected out of dtype{0} but found {1}",
    "multi_dot": "multi_dot(): expected out tensor to have dtype {c0} but got {c1}",
    "matrix_norm": "linalg.matrix_norm expected out tensor dtype {0} but got: {1}",
    "polar": "Expected object of scalar type {0} but got scalar type {1} for argument 'out'",
    "narrow_copy": "Expected self.dtype() == output.dtype() to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)",
}  # fmt: skip

# Casts as anywhere, other words where a kind would be lost.
_CASTABLE = "{name}: Expected result to be safely castable from {0} dtype, but got result with dtype {1}"
_CAST: dict[str, tuple[type[Exception], str]] = {
    **dict.fromkeys(("column_stack", "stack", "_chunk_cat", "hstack", "cat", "vstack", "dstack"), (TypeError, "torch.cat(): input types can't be cast to the desired output type {1}")),
    **dict.fromkeys(("cholesky_inverse", "cholesky_solve", "tensorinv", "tensorsolve"), (RuntimeError, _CASTABLE)),
    **dict.fromkeys(("pinv", "cond"), (RuntimeError, "linalg." + _CASTABLE)),
    **dict.fromkeys(("householder_product", "matrix_rank"), (RuntimeError, "torch.linalg." + _CASTABLE)),
    "ldexp": (RuntimeError, "ldexp can't be cast to the desired output type {1}"),
    "diag": (RuntimeError, "diag: result type {0} can't be cast to the desired out= type {1}"),
    "logsumexp": (RuntimeError, "logsumexp(): Expected floating point type for result tensor, but got: {1}"),
    **{n: (RuntimeError, f"{n}{{n}} expects a complex output tensor, but got {{1}}") for n in ("fft", "ifft", "rfft", "ihfft")},
}  # fmt: skip


# Where it is the shape of the result that decides: of so many dims, another rule.
_BY_DIMS: dict[tuple[str, int], Any] = {("matmul", 0): _DOT}
_LOST_FIRST = frozenset((("diag", 2),))  # where the words for a kind that would be lost come before those for another type


def rule_for(name: str, at: int, dims: int) -> Any:
    """What an operator says of the type of its result number ``at``: a text, or None."""
    rule = _BY_DIMS.get((name, dims), _SAME.get(name))
    return rule[min(at, len(rule) - 1)] if isinstance(rule, tuple) else rule


def type_stated(name: str, result: Any, input: Any) -> bool | str:
    """The rule (as ``out=`` of an operator's declaration) for a call with ``dtype=`` beside ``out=``: both name the one type, though ``out`` alone may be of another."""
    if rule_for(name, 0, 0) is not None or not isinstance(result, Tensor):
        return True  # a rule of its own, with or without dtype=
    if name in ("nansum", "nanmean") and min(aval_of(t).dtype.category for t in (result, input)) >= 2:  # of integers the sum, which has no nan, and the words are sum's
        return "nansum: provided dtype must match dtype of result. Got {1} and {0}."
    return "exact"


def _filled(text: str, name: str, wanted: Any, given: Any) -> str:
    return text.format(wanted.legacy, given.legacy, c0=C_NAMES.get(wanted.name, wanted.name), c1=C_NAMES.get(given.name, given.name), name=name, n="", int32=wanted.itemsize == 4)


def check_type(name: str, at: int, result: Any, given: Any, inputs: Any = ()) -> None:
    """Raise what torch does if a result (an aval) is not written to a tensor of type ``given``, another type."""
    wanted = result.dtype
    rule = rule_for(name, at, len(result.shape))
    if name == "abs" and any(aval_of(x).dtype.is_complex for x in inputs if isinstance(x, Tensor)):
        return  # magnitudes are cast
    lost = wanted.category > given.category
    if rule is not None and not (lost and (name, len(result.shape)) in _LOST_FIRST):
        raise RuntimeError(_filled(rule, name, wanted, given))
    if lost and name in _CAST:
        error, text = _CAST[name]
        raise error(_filled(text, name, wanted, given))
