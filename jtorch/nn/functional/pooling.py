"""Pooling: ``return_indices``, sizes with gaps and the random windows of fractional pooling over the operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from math import inf
from typing import Any

from jtorch._core.storage.elementwise_strides import format_of
from jtorch._core.tensor.derived_functions import function_for
from jtorch._public import C_nn, F, torch

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

Tensor = Any
_mean_of_images = function_for("internal.mean_of_images")

avg_pool1d, avg_pool2d, avg_pool3d = F.avg_pool1d, F.avg_pool2d, F.avg_pool3d
adaptive_avg_pool1d = F.adaptive_avg_pool1d


def _with_switch(with_indices: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``f(..., return_indices=False)`` from the function that always gives the pair."""

    @wraps(with_indices)
    def pool(*args: Any, **kwargs: Any) -> Any:
        flag = kwargs.get("return_indices", args[position] if len(args) > position else False)
        pair = with_indices(*args, **kwargs)
        return pair if flag else pair[0]

    code = with_indices.__code__
    position = code.co_varnames[: code.co_argcount].index("return_indices")
    pool.__name__ = pool.__qualname__ = name
    return pool


def _size_in(out_size: Any, defaults: Any) -> list[int]:
    """The output size with None replaced by the input's."""
    if isinstance(out_size, int):
        return out_size  # type: ignore[return-value]
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    return [v if v is not None else d for v, d in zip(out_size, defaults[len(defaults) - len(out_size) :], strict=True)]


def _stride(stride: Any) -> Any:
    return () if stride is None else stride


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of windows over (N, C, L) or (C, L)."""
    return torch.max_pool1d_with_indices(input, kernel_size, _stride(stride), padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of windows over (N, C, H, W) or (C, H, W)."""
    return C_nn.max_pool2d_with_indices(input, kernel_size, _stride(stride), padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of windows over (N, C, D, H, W) or (C, D, H, W)."""
    return C_nn.max_pool3d_with_indices(input, kernel_size, _stride(stride), padding, dilation, ceil_mode)


def _max_pool(n: int) -> Callable[..., Any]:
    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        if return_indices:
            return _WITH_INDICES[n](input, kernel_size, stride, padding, dilation, ceil_mode)
        return getattr(torch, f"max_pool{n}d")(input, kernel_size, _stride(stride), padding, dilation, ceil_mode)

    pool.__name__ = pool.__qualname__ = f"max_pool{n}d"
    pool.__doc__ = f"Maxima of windows over {n} spatial dim{'s' if n > 1 else ''}; with ``return_indices``, ``(maxima, indices)``."
    return pool


_WITH_INDICES = {1: max_pool1d_with_indices, 2: max_pool2d_with_indices, 3: max_pool3d_with_indices}
max_pool1d, max_pool2d, max_pool3d = _max_pool(1), _max_pool(2), _max_pool(3)


def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of ``output_size`` windows that cover (N, C, L)."""
    return torch.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of windows that cover (N, C, H, W)."""
    return C_nn.adaptive_max_pool2d(input, _size_in(output_size, input.size()))


def adaptive_max_pool3d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of windows that cover (N, C, D, H, W)."""
    return C_nn.adaptive_max_pool3d(input, _size_in(output_size, input.size()))


adaptive_max_pool1d = _with_switch(adaptive_max_pool1d_with_indices, "adaptive_max_pool1d")
adaptive_max_pool2d = _with_switch(adaptive_max_pool2d_with_indices, "adaptive_max_pool2d")
adaptive_max_pool3d = _with_switch(adaptive_max_pool3d_with_indices, "adaptive_max_pool3d")


def _adaptive_avg(n: int, kernel: Callable[..., Any], input: Tensor, output_size: Any) -> Tensor:
    size = _size_in(output_size, input.size())
    whole = size == 1 if isinstance(size, int) else len(size) == n and all(s == 1 for s in size)
    if whole and input.dim() in (n + 1, n + 2) and all(input.shape[-n:]):
        dims = tuple(range(-n, 0))
        if input.dim() == n + 2 and format_of(tuple(input.shape), input.stride()):
            return _mean_of_images(input, dims)
        return input.mean(dims, keepdim=True)  # what torch records for one window
    return kernel(input, size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that cover (N, C, H, W); None in ``output_size`` keeps the input's size."""
    return _adaptive_avg(2, C_nn.adaptive_avg_pool2d, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that cover (N, C, D, H, W); None in ``output_size`` keeps the input's size."""
    return _adaptive_avg(3, C_nn.adaptive_avg_pool3d, input, output_size)


def _fractional(
    n: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{n}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        if n == 2 and len(output_ratio) > 2:
            raise ValueError("fractional_max_pool2d requires output_ratio to either be a single Int or tuple of Ints.")
        ratio = (output_ratio,) * n if isinstance(output_ratio, (int, float)) else output_ratio
        output_size = [int(input.size(d - n) * ratio[d]) for d in range(n)]
    if samples is None:
        batch = 1 if input.dim() == n + 1 else input.size(0)
        samples = torch.rand(batch, input.size(-n - 1), n, dtype=input.dtype, device=input.device)
    for argument, sizes in (("kernel_size", kernel_size), ("output_size", output_size)):
        if isinstance(sizes, (tuple, list)) and len(sizes) != n and isinstance(kernel_size, (int, tuple, list)):
            raise RuntimeError(f"{name}: {argument} must either be a single Int or tuple of {'three ' if n == 3 else ''}Ints")
    return getattr(C_nn, name)(input, kernel_size, output_size, samples)


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of randomly placed windows over (N, C, H, W)."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``(maxima, indices)`` of randomly placed windows over (N, C, D, H, W)."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


fractional_max_pool2d = _with_switch(fractional_max_pool2d_with_indices, "fractional_max_pool2d")
fractional_max_pool3d = _with_switch(fractional_max_pool3d_with_indices, "fractional_max_pool3d")


def _lp_pool(n: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    count = kernel_size
    if n == 2:
        height, width = kernel_size if isinstance(kernel_size, Iterable) else (kernel_size,) * 2
        count = height * width
    elif n == 3:
        depth, height, width = kernel_size if isinstance(kernel_size, Iterable) else (kernel_size,) * 3
        count = depth * height * width
    if isinstance(norm_type, (int, float)) and abs(norm_type) == inf:
        most = (max_pool1d, max_pool2d, max_pool3d)[n - 1]
        return most(input.abs(), kernel_size, stride, 0, 1, ceil_mode) if norm_type > 0 else -most(-input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1]
    out = pool(input.pow(norm_type), kernel_size, _stride(stride), 0, ceil_mode)
    return (torch.sign(out) * F.relu(torch.abs(out))).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The ``norm_type``-norm of windows over (N, C, L)."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The ``norm_type``-norm of windows over (N, C, H, W)."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The ``norm_type``-norm of windows over (N, C, D, H, W)."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _unpool_size(input: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], output_size: Any) -> list[int]:
    """The size that pooling came from: the smallest that fits, or the one asked for where it is possible."""
    sizes = tuple(input.shape[-len(kernel) :])
    default = [(sizes[d] - 1) * stride[d] + kernel[d] - 2 * padding[d] for d in range(len(kernel))]
    if output_size is None:
        for d, size in enumerate(default):
            if size < 0:
                raise ValueError(f"max_unpooling: output_size must contain non-negative spatial dimensions, but got output_size[{d}]={size}")
        return default
    wanted = list(output_size)
    if len(wanted) == len(kernel) + 2:
        wanted = wanted[2:]
    if len(wanted) != len(kernel):
        raise ValueError(
            f"output_size should be a sequence containing {len(kernel)} or {len(kernel) + 2} elements, but it has a length of "
            f"'{len(wanted)}'"
        )
    for d in range(len(kernel)):
        low, high = default[d] - stride[d], default[d] + stride[d]
        if not low < wanted[d] < high:
            raise ValueError(f'invalid output_size "{tuple(wanted)}" (dim {d} must be between {low} and {high})')
    return wanted


def _tuple(v: Any, n: int) -> list[int]:
    return [v] * n if isinstance(v, int) else list(v) if len(v) == n else [v[0]] * n


def _given(v: Any, n: int) -> tuple[Any, ...]:
    return (v,) * n if isinstance(v, (int, float)) else tuple(v)  # floats are refused where they are sizes


def _unpool(n: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Tensor:
    kernel, pad = _given(kernel_size, n), _given(padding, n)
    step = kernel if stride is None else _given(stride, n)
    size = _unpool_size(input, kernel, step, pad, output_size)
    if n == 3:
        return C_nn.max_unpool3d(input, indices, size, step, pad)
    if n == 2:
        return C_nn.max_unpool2d(input, indices, size)
    return C_nn.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), [*size, 1]).squeeze(-1)


def max_unpool1d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
    """Zeros with ``input`` at the places that :func:`max_pool1d` took it from."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
    """Zeros with ``input`` at the places that :func:`max_pool2d` took it from."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
    """Zeros with ``input`` at the places that :func:`max_pool3d` took it from."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
