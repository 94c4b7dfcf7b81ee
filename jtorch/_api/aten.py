"""What torch keeps under underscores and ``torch.ops.aten`` and is a few calls of other operators; ``segment_reduce``."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from jtorch import _dtypes
from jtorch._core.dispatch.composites import compose
from jtorch._core.tensor.derived_functions import function_for, write_out
from jtorch._errors import not_implemented
from jtorch._namespace import C_nn, F, torch

Tensor = Any
_segments = function_for("internal.segment_reduce")
_grouped = function_for("internal.grouped_mm")


@compose("aten", name="slice")
def slice_of(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """``input[..., start:end:step, ...]`` at ``dim``."""
    at = range(input.dim())[dim] if -input.dim() <= dim < input.dim() else None
    if at is None:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-input.dim()}, {input.dim() - 1}], but got {dim})")
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    return input[(slice(None),) * at + (slice(start, end, step),)]


@compose("aten", name="index")
def index_of(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """``input[indices]``, a dim taken whole where there is None."""
    return input[tuple(slice(None) if i is None else i for i in indices)]


@compose("torch Tensor")
def slice_inverse(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """``input`` seen through the sizes and strides that ``src`` had before it was sliced."""
    return input.as_strided(src.size(), src.stride(), src.storage_offset())


def _clamped(input: Tensor, indices: Sequence[Tensor | None]) -> tuple[Any, ...]:
    return tuple(slice(None) if i is None else i.clamp(-n, n - 1) for i, n in zip(indices, input.shape, strict=False))


@compose("aten")
def native_dropout_backward(grad_output: Tensor, mask: Tensor, scale: float) -> Tensor:
    """``grad_output * mask * scale``."""
    return grad_output * (mask.type_as(grad_output) * scale)


@compose("torch")
def _unsafe_masked_index(input: Tensor, mask: Tensor, indices: Sequence[Tensor | None], fill: Any) -> Tensor:
    """``input[indices]``, and ``fill`` where ``mask`` is false, whatever the indices are there."""
    return input[_clamped(input, indices)].masked_fill(mask.logical_not(), fill)


@compose("torch")
def _unsafe_masked_index_put_accumulate(input: Tensor, mask: Tensor, indices: Sequence[Tensor | None], values: Tensor) -> Tensor:
    """``input`` with ``values`` added at ``indices`` where ``mask`` is true."""
    return input.index_put(_clamped(input, indices), values.masked_fill(mask.logical_not(), 0), accumulate=True)


@compose("torch")
def _chunk_cat(tensors: Sequence[Tensor], dim: int, num_chunks: int, *, out: Tensor | None = None) -> Tensor:
    """Each tensor cut into ``num_chunks`` along ``dim`` (zeros make up the last), each chunk flattened, equal chunks joined."""
    if num_chunks < 1:
        raise RuntimeError("_chunk_cat expects positive num_chunks")
    if not tensors:
        raise RuntimeError("_chunk_cat expects a non-empty input tensor list")
    if dim < 0 and len({t.dim() for t in tensors}) > 1:
        raise RuntimeError("_chunk_cat expects non-negative dim when input tensors have different ndims")
    if any(not -t.dim() <= dim < t.dim() for t in tensors):
        raise RuntimeError("_chunk_cat expects dim < ndim for all input tensors")
    if any(t.dtype is not tensors[0].dtype for t in tensors):
        raise RuntimeError("_chunk_cat expects all input tensors with the same dtype")
    at = range(tensors[0].dim())[dim]
    parts = []
    for t in tensors:
        if t.numel() == 0:
            raise RuntimeError("_chunk_cat expects non-empty tensor")
        if t.shape[:at] != tensors[0].shape[:at]:
            raise RuntimeError("_chunk_cat expects same sizes of 0,...,dim-1 dimensions for all tensors")
        missing = -t.size(at) % num_chunks
        if missing:
            t = torch.cat([t, t.new_zeros((*t.shape[:at], missing, *t.shape[at + 1 :]))], at)
        parts.append(t.reshape(*t.shape[:at], num_chunks, -1))
    made = torch.cat(parts, at + 1)
    return made if out is None else write_out("_chunk_cat", made, out)


@compose("torch")
def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None, offsets: Tensor | None = None,
    axis: int = 0, unsafe: bool = False, initial: float | None = None,
) -> Tensor:  # fmt: skip
    """Runs along ``axis`` reduced to one element each: "sum", "mean", "max" ("amax"), "min" ("amin") or "prod". Runs by their ``lengths`` or ``offsets``."""
    if data.numel() == 0 and lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    at = range(data.dim())[axis]
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    reduce = {"amax": "max", "amin": "min"}.get(reduce, reduce)
    if reduce not in ("sum", "mean", "max", "min", "prod"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if lengths is None:
        assert offsets is not None
        if offsets.dim() - 1 != at:
            raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of offsets but got {axis}.")
        lengths = torch.diff(offsets, dim=-1)
    elif lengths.dim() - 1 != at:
        raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of lengths but got {axis}.")
    if lengths.dtype not in (torch.int32, torch.int64):
        raise NotImplementedError(f"\"_segment_reduce_lengths_cpu_kernel1\" not implemented for '{lengths.dtype.legacy}'")
    if not data.is_floating_point():
        raise NotImplementedError(f"\"_segment_reduce_cpu\" not implemented for '{data.dtype.legacy}'")
    return _segments(data, reduce, lengths=lengths, axis=at, initial=initial, negative=not unsafe, fill=not unsafe and offsets is None)


torch._segment_reduce = torch.segment_reduce


@compose("torch")
def _native_batch_norm_legit(input: Tensor, weight: Tensor | None, bias: Tensor | None, *args: Any, **kwargs: Any) -> Any:
    """As ``native_batch_norm``; without running statistics it is (input, weight, bias, training, momentum, eps)."""
    names = ["running_mean", "running_var", "training", "momentum", "eps"]
    if (args and isinstance(args[0], bool)) or not args and "running_mean" not in kwargs:
        names, kwargs = names[2:], {"running_mean": None, "running_var": None, **kwargs}
    return torch.native_batch_norm(input, weight, bias, **dict(zip(names, args, strict=False)), **kwargs)


@compose("aten")
def _batch_norm_with_update(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor, running_var: Tensor, momentum: float, eps: float
) -> Any:
    """Batch normalisation in training: ``(output, mean, 1 / std, reserve)``; the reserve is cuDNN's and empty."""
    done = torch.native_batch_norm(input, weight, bias, running_mean, running_var, True, momentum, eps)
    return (*done, torch.empty(0, dtype=torch.uint8, device=input.device))


@compose("aten")
def _upsample_bilinear2d_aa(
    input: Tensor, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: float | None = None, *, scale_factors: Any = None
) -> Tensor:
    """Bilinear resizing with a filter as wide as the step."""
    if isinstance(scales_h, (list, tuple)):
        scale_factors, scales_h = scales_h, None
    if output_size is None:
        output_size = [int(n * f) for n, f in zip(input.shape[2:], scale_factors, strict=True)]
    if scale_factors is None and (scales_h is not None or scales_w is not None):
        scale_factors = (scales_h, scales_w)
    return C_nn._upsample_bilinear2d_aa(input, output_size, align_corners, None if scale_factors is None else tuple(scale_factors))


@compose("torch")
def _scaled_mm(
    input: Tensor, mat2: Tensor, scale_a: Tensor, scale_b: Tensor, bias: Tensor | None = None, scale_result: Tensor | None = None,
    out_dtype: Any = None, use_fast_accum: bool = False, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``(input * scale_a) @ (mat2 * scale_b)`` of float8 matrices, accumulated in float32. A scale is of the whole matrix or of each row and column."""
    if input.dim() != 2 or mat2.dim() != 2:
        raise RuntimeError("mat1 and mat2 must be matrices" if input.dim() != 2 else "mat2 must be a matrix")
    if input.size(1) != mat2.size(0):
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({input.size(0)}x{input.size(1)} and {mat2.size(0)}x{mat2.size(1)})")
    made = torch.mm(input.float(), mat2.float()) * (scale_a.float() * scale_b.float())
    if bias is not None:
        made = made + bias.float()
    kind = out.dtype if out is not None else input.dtype if out_dtype is None else out_dtype
    if scale_result is not None and kind.itemsize == 1:
        made = made * scale_result.float()
    if kind in (torch.float8_e4m3fn, torch.float8_e4m3fnuz):  # no infinities: they saturate
        made = made.clamp(-torch.finfo(kind).max, torch.finfo(kind).max)
    made = made.to(kind)
    return made if out is None else write_out("_scaled_mm", made, out)


@compose("torch")
def _scaled_mm_v2(
    input: Tensor, mat2: Tensor, scale_a: Sequence[Tensor], recipe_a: Sequence[int], swizzle_a: Sequence[int], scale_b: Sequence[Tensor],
    recipe_b: Sequence[int], swizzle_b: Sequence[int], bias: Tensor | None, out_dtype: Any, contraction_dim: Sequence[int] = (),
    use_fast_accum: bool = False, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """As ``_scaled_mm``, with the scales' layout named: of the whole matrix or of each row and column."""
    wide = (ScalingType.TensorWise, ScalingType.RowWise)
    if [*recipe_a, *recipe_b] not in ([wide[0]] * 2, [wide[1]] * 2):
        not_implemented("scaled_mm with scales of blocks", "multiply by the scales, as float32 or bfloat16, and use torch.mm")
    if out is not None and out_dtype is not None and out.dtype is not out_dtype:
        raise ValueError("out_dtype must match output matrix type")
    if recipe_a[0] == ScalingType.RowWise:
        for name, scale in (("scale_a", scale_a[0]), ("scale_b", scale_b[0])):
            if scale.stride(1) != 1:
                raise ValueError(f"expected {name}.stride(1) to be 1, but got {scale.stride(1)}")
    return torch._scaled_mm(input, mat2, scale_a[0], scale_b[0], bias, None, out_dtype, use_fast_accum, out=out)


@compose("nn.functional")
def grouped_mm(mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None) -> Tensor:
    """Products of groups: of batches of matrices, or of groups of rows, columns or inner parts that end at ``offs``."""
    if bias is not None:
        raise RuntimeError("Bias not supported yet")
    return _grouped(mat_a, mat_b, offs, out_dtype)


torch._grouped_mm = F.grouped_mm


@compose("torch")
def mkldnn_convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, padding: Any, stride: Any, dilation: Any, groups: int
) -> Tensor:
    """A convolution; which library computes it is XLA's choice."""
    return torch.convolution(input, weight, bias, stride, padding, dilation, False, (0,) * (input.dim() - 2), groups)


class ScalingType(enum.IntEnum):
    """What one scale of a float8 matrix is for."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(enum.IntEnum):
    """In which order the scales of blocks lie."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


F.ScalingType, F.SwizzleType = ScalingType, SwizzleType


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [] if x is None else [x]


@compose("nn.functional")
def scaled_mm(
    mat_a: Tensor, mat_b: Tensor, scale_a: Any, scale_recipe_a: Any, scale_b: Any, scale_recipe_b: Any, swizzle_a: Any = None, swizzle_b: Any = None,
    bias: Tensor | None = None, output_dtype: Any = _dtypes.bfloat16, contraction_dim: Sequence[int] = (), use_fast_accum: bool = False,
) -> Tensor:  # fmt: skip
    """The product of two float8 matrices, each with its scales."""
    a, b = (_listed(scale_a), _listed(scale_recipe_a), _listed(swizzle_a)), (_listed(scale_b), _listed(scale_recipe_b), _listed(swizzle_b))
    return torch._scaled_mm_v2(mat_a, mat_b, *a, *b, bias, output_dtype, contraction_dim, use_fast_accum)


def _resampled(name: str, corners: bool) -> None:
    plain = getattr(C_nn, name)

    def upsample(input: Tensor, output_size: Any, *rest: Any, **named: Any) -> Tensor:
        """As ``torch._C._nn`` has it; the factors as numbers of their own too, one for each dim."""
        aligned = [rest[0] if rest else named.pop("align_corners")] if corners else []
        given = [*rest[len(aligned) :], *[named.pop(k) for k in ("scales", "scales_d", "scales_h", "scales_w") if k in named]]
        if given and not isinstance(given[0], (list, tuple)):
            given = [None if None in given else tuple(given)]
        return plain(input, output_size, *aligned, *given, **named)

    compose("aten", name=name)(upsample)


for _kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d", "trilinear3d"):
    _resampled(f"upsample_{_kind}", not _kind.startswith("nearest"))
