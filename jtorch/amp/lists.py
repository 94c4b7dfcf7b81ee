"""Which operators autocast casts, by device type, as torch's published lists have it: facts, kept as words.

Names are bare: ``mm`` stands for ``torch.mm`` and ``Tensor.mm``, ``conv2d`` for ``nn.functional.conv2d``, ``linalg.qr`` for itself. What is
not listed runs in the types it is given. Accelerators without a list of their own (xla, tpu, ...) go by CUDA's, in bfloat16.
"""

from __future__ import annotations

from jtorch import _autocast

__all__ = ["fill"]

CUDA_LOWER = """
    addbmm addmm addmv addr baddbmm bmm chain_matmul einsum linalg.multi_dot linalg.vecdot linear matmul mm mv prelu
    conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell scaled_dot_product_attention
"""
CUDA_FLOAT32 = """
    acos asin cosh erfinv exp expm1 log log10 log1p log2 pow rpow __rpow__ reciprocal rsqrt sinh tan softplus logsumexp
    cdist cosine_similarity dist pdist renorm frobenius_norm nuclear_norm norm group_norm layer_norm native_layer_norm rms_norm
    binary_cross_entropy_with_logits cosine_embedding_loss hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss
    multi_margin_loss multilabel_margin_loss nll_loss nll_loss2d poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
"""
CUDA_DTYPE = "cumprod cumsum linalg.matrix_norm linalg.vector_norm log_softmax prod softmax sum"
CUDA_PROMOTE = "addcdiv addcmul atan2 bilinear cross dot grid_sampler index_put scatter_add tensordot vdot"

CPU_LOWER = """
    addbmm addmm baddbmm bmm linalg.vecdot linear matmul mm prelu scaled_dot_product_attention _native_multi_head_attention tensordot
    _addmm_activation conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
    padded_lstm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
"""
PRODUCTS = "einsum linalg.multi_dot chain_matmul inner matrix_power"  # not listed by torch: matrix products, where there is one in them
CPU_FLOAT32 = """
    adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d fractional_max_pool2d fractional_max_pool3d max_pool3d max_pool3d_with_indices
    max_unpool2d max_unpool3d reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d replication_pad3d
    grid_sampler grid_sampler_2d grid_sampler_3d
    binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy ctc_loss hinge_embedding_loss huber_loss
    kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss nll_loss2d poisson_nll_loss
    smooth_l1_loss soft_margin_loss triplet_margin_loss
    cdist cholesky cholesky_inverse cholesky_solve fake_quantize_per_tensor_affine geqrf inverse lu lu_solve nanquantile orgqr ormqr
    pinverse polar prod qr quantile stft svd trace triangular_solve view_as_complex
    fft.fft fft.ifft fft.fft2 fft.ifft2 fft.fftn fft.ifftn fft.rfft fft.irfft fft.rfft2 fft.irfft2 fft.rfftn fft.irfftn fft.hfft fft.ihfft
    linalg.cholesky linalg.cholesky_ex linalg.cond linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.householder_product
    linalg.inv linalg.inv_ex linalg.lstsq linalg.matrix_rank linalg.qr linalg.solve linalg.svd linalg.svdvals linalg.tensorinv
    linalg.tensorsolve
"""
CPU_PROMOTE = "cat index_copy stack"


def fill() -> None:
    """Register the lists."""
    from jtorch._dtypes import bfloat16, float16

    for what, names in (("lower", CPU_LOWER), ("float32", CPU_FLOAT32), ("promote", CPU_PROMOTE), ("product", PRODUCTS)):
        _autocast.register("cpu", names, what, bfloat16)
    for kind in _autocast.KINDS:
        if kind == "cpu":
            continue
        default = bfloat16 if kind in ("hpu", "xla", "maia", "tpu") else float16
        tables = {"lower": CUDA_LOWER, "float32": CUDA_FLOAT32, "dtype": CUDA_DTYPE, "promote": CUDA_PROMOTE}
        tables["banned"] = "binary_cross_entropy"
        for what, names in tables.items():
            _autocast.register(kind, names, what, default)
