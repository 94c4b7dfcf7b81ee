"""Fourier transforms: torch.fft's functions, with torch's norm modes, sizes and errors."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._registry import op

from . import spectral_layout
from ._lib import is_complex, is_float

_FORWARD = {None: "backward", "backward": "backward", "ortho": "ortho", "forward": "forward"}
_MIRRORED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _norm(norm: str | None) -> str:
    if norm not in _FORWARD:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return _FORWARD[norm]


def _factor(norm: str, n: int, inverse: bool) -> float:
    """What the plain sum is multiplied by."""
    if norm == "ortho":
        return 1 / float(np.sqrt(n))
    return 1 / n if (norm == "backward") == inverse else 1.0


def _prepared(x: Any, to_complex: bool) -> Any:
    """Floating, and complex where the transform wants it. Halves are not for XLA's FFT."""
    if not is_float(x) and not is_complex(x):
        x = x.astype(_dtypes.default.np)
    if is_float(x) and x.dtype.itemsize <= 2:
        raise RuntimeError("Unsupported dtype " + _dtypes.from_np(np.dtype(x.dtype)).legacy)
    if to_complex and not is_complex(x):
        x = lax.complex(x, jnp.zeros_like(x))
    return x


def _axis(x: Any, dim: int) -> int:
    if x.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but got {dim})")
    return dim % x.ndim


def _size(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _fitted(x: Any, dim: int, n: int) -> Any:
    """Cut or filled with zeros at the end to n along dim."""
    have = x.shape[dim]
    if have > n:
        return lax.slice_in_dim(x, 0, n, axis=dim)
    if have < n:
        return jnp.pad(x, [(0, n - have) if d == dim else (0, 0) for d in range(x.ndim)])
    return x


def _last(x: Any, dims: tuple[int, ...], run: Any) -> Any:
    """``run`` over the last dims, with ``dims`` moved there. XLA transforms up to three at once."""
    for i in range(len(dims), 0, -3):
        part = dims[max(i - 3, 0) : i]
        where = tuple(range(x.ndim - len(part), x.ndim))
        x = jnp.moveaxis(run(jnp.moveaxis(x, part, where), len(part)), where, part)
    return x


def _c2c(x: Any, dims: tuple[int, ...], norm: str, inverse: bool) -> Any:
    if not dims:
        return x
    n = int(np.prod([x.shape[d] for d in dims]))
    kind = lax.FftType.IFFT if inverse else lax.FftType.FFT
    out = _last(x, dims, lambda y, k: lax.fft(y, kind, y.shape[-k:]))
    plain = 1 / n if inverse else 1.0  # what XLA multiplies by itself
    factor = _factor(norm, n, inverse) / plain
    return out if factor == 1 else out * np.asarray(factor).astype(out.real.dtype)


def _r2c(x: Any, dims: tuple[int, ...], norm: str) -> Any:
    n = int(np.prod([x.shape[d] for d in dims]))
    last = dims[-1]
    out = jnp.moveaxis(lax.fft(jnp.moveaxis(x, last, -1), lax.FftType.RFFT, (x.shape[last],)), -1, last)
    out = _c2c(out, dims[:-1], "backward", False)
    factor = _factor(norm, n, False)
    return out if factor == 1 else out * np.asarray(factor).astype(x.dtype)


def _c2r(x: Any, dims: tuple[int, ...], last_size: int, norm: str) -> Any:
    """Half spectra to reals; ``last_size`` is the result's size along the last of dims."""
    last = dims[-1]
    n = int(np.prod([x.shape[d] for d in dims[:-1]], initial=1)) * last_size
    x = _c2c(x, dims[:-1], "forward", True)  # unscaled
    x = _fitted(x, last, last_size // 2 + 1)
    out = jnp.moveaxis(lax.fft(jnp.moveaxis(x, last, -1), lax.FftType.IRFFT, (last_size,)), -1, last)
    factor = _factor(norm, n, True) * last_size
    return out if factor == 1 else out * np.asarray(factor).astype(out.dtype)


def _transformed(structure: dict[str, Any], inputs: Any, outs: Any) -> str:
    """What torch's transform of real numbers keeps: the input, unless zeros were added, which copies it."""
    x = inputs[0].struct
    if x.dtype.name not in ("float32", "float64", "float16"):
        return ""
    if "s" in structure:
        dims, sizes = _several(x, structure["s"], structure["dim"])
    else:
        d = structure["dim"]
        dims, sizes = (d,), [x.shape[d] if structure["n"] is None else structure["n"]]
    return "input" if all(n <= x.shape[d] for d, n in zip(dims, sizes, strict=True)) else ""


def _one(x: Any, n: int | None, dim: int) -> tuple[Any, int, int]:
    d = _axis(x, dim)
    return x, d, _size(x.shape[d] if n is None else n)


@op("fft(Tensor input, int? n=None, int dim=-1, str? norm=None)", where="fft", kept=_transformed, grad_name="FftC2CBackward0", format=spectral_layout.complex_to_complex)
def fft(input: Any, n: int | None, dim: int, norm: str | None) -> Any:
    """The discrete Fourier transform along ``dim``, of ``n`` points (cut or filled with zeros). ``norm``: None, "backward", "ortho", "forward"."""
    x, d, n = _one(_prepared(input, True), n, dim)
    return _c2c(_fitted(x, d, n), (d,), _norm(norm), False)


@op("ifft(Tensor input, int? n=None, int dim=-1, str? norm=None)", where="fft", kept=_transformed, grad_name="FftC2CBackward0", format=spectral_layout.complex_to_complex)
def ifft(input: Any, n: int | None, dim: int, norm: str | None) -> Any:
    """The inverse of ``fft``."""
    x, d, n = _one(_prepared(input, True), n, dim)
    return _c2c(_fitted(x, d, n), (d,), _norm(norm), True)


def _real_only(input: Any, name: str) -> Any:
    if is_complex(input):
        raise RuntimeError(f"{name} expects a real input tensor, but got {_dtypes.from_np(np.dtype(input.dtype)).legacy}")
    return _prepared(input, False)


@op("rfft(Tensor input, int? n=None, int dim=-1, str? norm=None)", where="fft", kept=_transformed, grad_name="FftR2CBackward0", format=spectral_layout.real_to_complex)
def rfft(input: Any, n: int | None, dim: int, norm: str | None) -> Any:
    """The half of a real signal's ``fft`` that is not redundant."""
    x, d, n = _one(_real_only(input, "rfft"), n, dim)
    return _r2c(_fitted(x, d, n), (d,), _norm(norm))


@op("irfft(Tensor input, int? n=None, int dim=-1, str? norm=None)", where="fft", grad_name="FftC2RBackward0", format=spectral_layout.complex_to_real)
def irfft(input: Any, n: int | None, dim: int, norm: str | None) -> Any:
    """The inverse of ``rfft``: ``n`` real points, ``2 (size - 1)`` by default."""
    x = _prepared(input, True)
    d = _axis(x, dim)
    return _c2r(x, (d,), _size(2 * (x.shape[d] - 1) if n is None else n), _norm(norm))


@op("hfft(Tensor input, int? n=None, int dim=-1, str? norm=None)", where="fft", grad_name="FftC2RBackward0", format=spectral_layout.complex_to_real)
def hfft(input: Any, n: int | None, dim: int, norm: str | None) -> Any:
    """The real ``fft`` of a Hermitian signal given by its first half."""
    x = jnp.conj(_prepared(input, True))
    d = _axis(x, dim)
    return _c2r(x, (d,), _size(2 * (x.shape[d] - 1) if n is None else n), _MIRRORED[_norm(norm)])


@op("ihfft(Tensor input, int? n=None, int dim=-1, str? norm=None)", where="fft", kept=_transformed, grad_name="ConjBackward0", format=spectral_layout.real_to_complex)
def ihfft(input: Any, n: int | None, dim: int, norm: str | None) -> Any:
    """The inverse of ``hfft``."""
    x, d, n = _one(_real_only(input, "ihfft"), n, dim)
    return jnp.conj(_r2c(_fitted(x, d, n), (d,), _MIRRORED[_norm(norm)]))


def _several(x: Any, s: tuple[int, ...] | None, dim: tuple[int, ...] | None) -> tuple[tuple[int, ...], list[int]]:
    """(dims, sizes) of an n-dimensional transform."""
    if dim is not None:
        dims = tuple(_axis(x, d) for d in dim)
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > x.ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions.")
        dims = tuple(range(x.ndim - len(s), x.ndim))
    else:
        dims = tuple(range(x.ndim))
    sizes = [x.shape[d] if s is None or s[i] == -1 else s[i] for i, d in enumerate(dims)]
    return dims, [_size(n) for n in sizes]


def _fit_all(x: Any, dims: tuple[int, ...], sizes: list[int]) -> Any:
    for d, n in zip(dims, sizes, strict=True):
        x = _fitted(x, d, n)
    return x


def _fftn(input: Any, s: Any, dim: Any, norm: str | None, inverse: bool) -> Any:
    x = _prepared(input, True)
    dims, sizes = _several(x, s, dim)
    return _c2c(_fit_all(x, dims, sizes), dims, _norm(norm), inverse)


def _rfftn(input: Any, s: Any, dim: Any, norm: str, name: str) -> Any:
    x = _real_only(input, name)
    dims, sizes = _several(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    return _r2c(_fit_all(x, dims, sizes), dims, norm)


def _irfftn(input: Any, s: Any, dim: Any, norm: str, name: str, conjugate: bool) -> Any:
    x = _prepared(input, True)
    x = jnp.conj(x) if conjugate else x
    if dim is None and s is None and x.ndim == 0 or dim == ():
        raise RuntimeError(f"{name} must transform at least one axis")
    dims, sizes = _several(x, None if s is None else tuple(n if n != -1 else -1 for n in s), dim)
    last = 2 * (x.shape[dims[-1]] - 1) if s is None or s[-1] == -1 else s[-1]
    x = _fit_all(x, dims[:-1], sizes[:-1])
    return _c2r(x, dims, _size(last), norm)


_ND = "(Tensor input, int[1]? s=None, int[1]? dim=None, str? norm=None)"
_2D = "(Tensor input, int[1]? s=None, int[1] dim=(-2, -1), str? norm=None)"


@op("fftn" + _ND, where="fft", grad_name="FftC2CBackward0", format=spectral_layout.complex_to_complex)
def fftn(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """``fft`` over several dims (all by default), with sizes ``s``."""
    return _fftn(input, s, dim, norm, False)


@op("ifftn" + _ND, where="fft", grad_name="FftC2CBackward0", format=spectral_layout.complex_to_complex)
def ifftn(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """The inverse of ``fftn``."""
    return _fftn(input, s, dim, norm, True)


@op("rfftn" + _ND, where="fft", kept=_transformed, grad_name="FftR2CBackward0", format=spectral_layout.real_to_complex)
def rfftn(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """``rfft`` over the last dim, ``fft`` over the others."""
    return _rfftn(input, s, dim, _norm(norm), "rfftn")


@op("irfftn" + _ND, where="fft", grad_name="FftC2RBackward0", format=spectral_layout.complex_to_real)
def irfftn(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """The inverse of ``rfftn``."""
    return _irfftn(input, s, dim, _norm(norm), "irfftn", False)


@op("hfftn" + _ND, where="fft", grad_name="FftC2RBackward0", format=spectral_layout.complex_to_real)
def hfftn(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """``hfft`` over the last dim, ``fft`` over the others."""
    return _irfftn(input, s, dim, _MIRRORED[_norm(norm)], "hfftn", True)


@op("ihfftn" + _ND, where="fft", kept=_transformed, grad_name="ConjBackward0", format=spectral_layout.real_to_complex_and_rest)
def ihfftn(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """The inverse of ``hfftn``."""
    return jnp.conj(_rfftn(input, s, dim, _MIRRORED[_norm(norm)], "ihfftn"))


@op("fft2" + _2D, where="fft", grad_name="FftC2CBackward0", format=spectral_layout.complex_to_complex)
def fft2(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """``fftn`` over the last two dims."""
    return _fftn(input, s, dim, norm, False)


@op("ifft2" + _2D, where="fft", grad_name="FftC2CBackward0", format=spectral_layout.complex_to_complex)
def ifft2(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """The inverse of ``fft2``."""
    return _fftn(input, s, dim, norm, True)


@op("rfft2" + _2D, where="fft", kept=_transformed, grad_name="FftR2CBackward0", format=spectral_layout.real_to_complex)
def rfft2(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """``rfftn`` over the last two dims."""
    return _rfftn(input, s, dim, _norm(norm), "rfft2")


@op("irfft2" + _2D, where="fft", grad_name="FftC2RBackward0", format=spectral_layout.complex_to_real)
def irfft2(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """The inverse of ``rfft2``."""
    return _irfftn(input, s, dim, _norm(norm), "irfft2", False)


@op("hfft2" + _2D, where="fft", grad_name="FftC2RBackward0", format=spectral_layout.complex_to_real)
def hfft2(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """``hfftn`` over the last two dims."""
    return _irfftn(input, s, dim, _MIRRORED[_norm(norm)], "hfft2", True)


@op("ihfft2" + _2D, where="fft", kept=_transformed, grad_name="ConjBackward0", format=spectral_layout.real_to_complex_and_rest)
def ihfft2(input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """The inverse of ``hfft2``."""
    return jnp.conj(_rfftn(input, s, dim, _MIRRORED[_norm(norm)], "ihfft2"))


def _shift(input: Any, dim: tuple[int, ...] | None, forward: bool) -> Any:
    dims = tuple(range(input.ndim)) if dim is None else tuple(_axis(input, d) for d in dim)
    if not dims:
        raise RuntimeError("`shifts` required")
    steps = [input.shape[d] // 2 if forward else (input.shape[d] + 1) // 2 for d in dims]
    return jnp.roll(input, steps, dims)


@op("fftshift(Tensor input, int[1]? dim=None)", where="fft", out=False, grad_name="RollBackward0", format="first")
def fftshift(input: Any, dim: tuple[int, ...] | None) -> Any:
    """The zero frequency moved to the middle of each dim."""
    return _shift(input, dim, True)


@op("ifftshift(Tensor input, int[1]? dim=None)", where="fft", out=False, grad_name="RollBackward0", format="first")
def ifftshift(input: Any, dim: tuple[int, ...] | None) -> Any:
    """The inverse of ``fftshift``."""
    return _shift(input, dim, False)
