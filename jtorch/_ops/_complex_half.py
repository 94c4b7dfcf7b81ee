"""complex32: torch has it for moving numbers about, and computes with it almost nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch import _dtypes
from jtorch._errors import not_implemented
from jtorch._registry import Op

__all__ = ["EXPERIMENTAL", "refuse_complex_half"]

EXPERIMENTAL = "ComplexHalf support is experimental and many operators don't support it yet."  # what torch says once, where memory is made for it

# What takes it, besides views and most of what is internal.
_TAKE = frozenset("""
    abs add addcmul all any argwhere cat clone column_stack conj_physical constant_pad_nd conv1d conv2d conv3d conv_transpose1d conv_transpose2d
    conv_transpose3d count_nonzero diag_embed diagflat diagonal_scatter diff dist dstack eq fftshift fill flip fliplr flipud float_power hstack ifftshift
    index_add index_copy index_fill index_select isclose isfinite isinf isnan isreal kron masked_fill mul ne neg nonzero_static outer pairwise_distance repeat
    roll rot90 rsub select_scatter sgn slice_scatter stack std std_mean sub tile tril triu var var_mean vector_norm vstack where zero
""".split())
_KERNELS = {
    "acos": "acos_vml_cpu", "addbmm": "addmm_impl_cpu_", "addcdiv": "addcdiv_cpu_out", "addmm": "addmm_impl_cpu_", "addmv": "addmv_impl_cpu",
    "asin": "asin_vml_cpu", "atan": "atan_vml_cpu", "baddbmm": "baddbmm", "bmm": "bmm", "channel_shuffle": "channel_shuffle", "cholesky_ex": "cholesky_cpu",
    "cholesky_inverse": "cholesky_inverse_out_cpu", "corrcoef": "sum_cpu", "cos": "cos_vml_cpu", "cov": "sum_cpu", "cross": "cross",
    "cumprod": "cumprod_out_cpu", "cumsum": "cumsum_out_cpu", "cumulative_trapezoid": "cumsum_out_cpu", "det": "lu_cpu", "dot": "dot",
    "eig": "linalg_eig_out_cpu", "eigh": "linalg_eigh_cpu", "eigvals": "linalg_eig_out_cpu", "eigvalsh": "linalg_eigh_cpu", "einsum": "sum_cpu",
    "exp": "exp_vml_cpu", "exp2": "exp2", "expm1": "expm1_vml_cpu", "gather": "scatter_gather_tensor_cpu", "householder_product": "orgqr_cpu",
    "im2col": "im2col_out_cpu", "inner": "dot", "ldexp": "pow", "ldl_factor_ex": "ldl_factor_kernel_cpu", "ldl_solve": "ldl_solve_kernel_cpu",
    "lerp": "lerp_kernel_scalar", "linear": "addmm_impl_cpu_", "log": "log_vml_cpu", "log10": "log10_vml_cpu", "log1p": "log1p_vml_cpu", "log2": "log2_vml_cpu",
    "logcumsumexp": "logcumsumexp_out_cpu", "logsumexp": "exp_vml_cpu", "lu": "lu_cpu", "lu_factor_ex": "lu_cpu", "lu_solve": "linalg.lu_solve_cpu",
    "lu_unpack": "scatter_gather_scalar_cpu", "masked_scatter": "masked_scatter", "matmul": "addmm_impl_cpu_", "matrix_exp": "bmm", "matrix_power": "eye",
    "mean": "sum_cpu", "mm": "addmm_impl_cpu_", "multi_dot": "addmm_impl_cpu_", "mv": "addmv_impl_cpu", "nan_to_num": "nan_to_num", "pixel_shuffle": "pixel_shuffle",
    "pixel_unshuffle": "pixel_unshuffle", "pow": "pow", "prod": "prod_out_cpu", "put": "take_put_cpu", "qr": "geqrf_cpu",
    "reflection_pad1d": "reflection_pad1d", "replication_pad1d": "replication_pad1d", "replication_pad2d": "replication_pad2d", "rms_norm": "rms_norm",
    "scatter": "scatter_gather_tensor_cpu", "scatter_add": "scatter_gather_tensor_cpu", "sin": "sin_vml_cpu", "solve_ex": "lu_cpu",
    "solve_triangular": "triangular_solve_cpu", "sqrt": "sqrt_vml_cpu", "square": "pow", "sum_to_shape": "sum_cpu", "svdvals": "linalg_svd_cpu", "svd": "addmm_impl_cpu_",
    "take_along": "scatter_gather_tensor_cpu", "tan": "tan_vml_cpu", "tanh": "tanh_vml_cpu", "tensordot": "addmm_impl_cpu_", "trace": "trace",
    "trapezoid": "sum_cpu", "unique": "unique", "vdot": "vdot", "vecdot": "vdot",
}  # fmt: skip
_LOW = "{}: Low precision dtypes not supported. Got ComplexHalf"
_WORDS = {
    **{f"{kind}fft{dims}": "MKL FFT doesn't support tensors of type: Half" for kind in ("", "i", "r", "ir", "h", "ih") for dims in ("", "2", "n")},
    "logdet": _LOW.format("logdet"), "slogdet": _LOW.format("linalg.slogdet"),
    "inv_ex": _LOW.format("linalg.inv"), "lstsq": "This function doesn't handle types other than float and double",
    "pinv": "linalg.pinv(ComplexHalf): expected a tensor with 2 or more dimensions of float, double, cfloat or cdouble types",
    "vander": "linalg.vander supports floating point, complex, and integer tensors, but got ComplexHalf", "renorm": "Unrecognized ScalarType: ComplexHalf",
}  # fmt: skip


def refuse_complex_half(op: Op, kinds: Sequence[_dtypes.dtype], said: Any = None) -> None:
    """torch's error for an operator whose kernels leave complex32 out. ``said``: the type that the call names to compute in."""
    if _dtypes.complex32 not in kinds or op.view:
        return
    name, where = op.name, op.fn.__module__.rpartition(".")[2]
    if where in ("optim_updates", "optax_update"):
        not_implemented("optimizers on complex32", "keep parameters in complex64")
    if name in _WORDS:
        raise RuntimeError(_WORDS[name])
    if name in _KERNELS if op.where == ("internal",) else name not in _TAKE and said in (None, _dtypes.complex32):
        raise NotImplementedError(f"\"{_KERNELS.get(name, name + '_cpu')}\" not implemented for 'ComplexHalf'")
