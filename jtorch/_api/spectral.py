"""stft and istft, window functions, fftfreq: spectral work written in tensors."""

from __future__ import annotations

import math
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.derived_functions import write_out
from jtorch._errors import warn_once
from jtorch._namespace import F, fft, torch


def _new(values: Tensor, dtype: Any, device: Any, requires_grad: bool, out: Any = None, name: str = "") -> Tensor:
    values = values.to(dtype=dtype or torch.get_default_dtype(), device=device)
    if out is not None:
        return write_out(name, values, out)  # type: ignore[no-any-return]
    return values.requires_grad_() if requires_grad else values


def _frequency_type(name: str, dtype: Any) -> Any:
    kind = dtype or torch.get_default_dtype()
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    if kind.is_complex:
        raise NotImplementedError(f"\"arange_cpu\" not implemented for '{kind.legacy}'")
    return kind


def _spacing(n: int, d: float) -> float:
    """``1 / (n * d)`` as C divides."""
    return 1.0 / (n * d) if n * d else math.copysign(math.inf, math.copysign(1.0, n * d))


@compose("fft")
def fftfreq(n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of ``fft``'s n results for samples that are ``d`` apart."""
    kind = _frequency_type("fftfreq", dtype)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    places = torch.cat([torch.arange((n + 1) // 2, dtype=kind), torch.arange(-(n // 2), 0, dtype=kind)]) * _spacing(n, d)
    return _new(places, dtype, device, requires_grad, out, "fftfreq")


@compose("fft")
def rfftfreq(n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of ``rfft``'s results."""
    kind = _frequency_type("rfftfreq", dtype)
    return _new(torch.arange(int(n / 2) + 1, dtype=kind) * _spacing(n, d), dtype, device, requires_grad, out, "rfftfreq")


# Windows ----------------------------------------------------------------------------------------------------------------------


def _window(name: str, length: int, periodic: bool, dtype: Any, device: Any, requires_grad: bool, layout: Any, shape: Any) -> Tensor:
    kind = dtype or torch.get_default_dtype()
    if layout is not None and layout is not torch.strided:
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {layout}")
    if not kind.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: TensorOptions(dtype={kind.legacy.lower()})")
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={length}")
    if length <= 1:
        values = torch.ones(length, dtype=kind)
    else:
        # Computed in the wanted type, as torch does.
        n = length + 1 if periodic else length
        values = shape(torch.arange(n, dtype=kind if kind.itemsize >= 4 else torch.float32), n)[:length]
    return _new(values, kind, device, requires_grad)


@compose("torch")
def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                    pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A triangle that reaches 0 at both ends."""
    return _window("bartlett_window", window_length, periodic, dtype, device, requires_grad, layout, lambda k, n: 1 - (k * (2.0 / (n - 1)) - 1).abs())


@compose("torch")
def blackman_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                    pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """``0.42 - 0.5 cos + 0.08 cos`` of one and two turns."""
    def shape(k: Tensor, n: int) -> Tensor:
        angle = k * (math.pi / (n - 1))
        return (angle * 4).cos() * 0.08 - (angle * 2).cos() * 0.5 + 0.42  # type: ignore[no-any-return]

    return _window("blackman_window", window_length, periodic, dtype, device, requires_grad, layout, shape)


@compose("torch")
def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
                   layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """``alpha - beta cos`` of one turn."""
    def shape(k: Tensor, n: int) -> Tensor:
        return alpha - beta * (k * (2.0 * math.pi / (n - 1))).cos()  # type: ignore[no-any-return]

    return _window("hamming_window", window_length, periodic, dtype, device, requires_grad, layout, shape)


@compose("torch")
def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """``(1 - cos) / 2`` of one turn."""
    def shape(k: Tensor, n: int) -> Tensor:
        return 0.5 - 0.5 * (k * (2.0 * math.pi / (n - 1))).cos()  # type: ignore[no-any-return]

    return _window("hann_window", window_length, periodic, dtype, device, requires_grad, layout, shape)


@compose("torch")
def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
                  device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """``I0(beta sqrt(1 - x**2)) / I0(beta)`` for x from -1 to 1."""
    def shape(k: Tensor, n: int) -> Tensor:
        x = 2.0 * k / (n - 1) - 1
        return torch.i0(beta * (1 - x * x).clamp(min=0).sqrt()) / torch.i0(torch.tensor(beta, dtype=k.dtype))  # type: ignore[no-any-return]

    return _window("kaiser_window", window_length, periodic, dtype, device, requires_grad, layout, shape)


# Short-time Fourier transform -------------------------------------------------------------------------------------------------


def _padded_window(window: Tensor | None, win_length: int, n_fft: int, like: Tensor, kind: Any) -> Tensor:
    w = torch.ones(win_length, dtype=kind, device=like.device) if window is None else window
    if win_length < n_fft:
        left = (n_fft - win_length) // 2
        w = F.pad(w, (left, n_fft - win_length - left))
    return w


def _head(name: str, x: Tensor, n_fft: int, hop: int, length: int, window: Tensor | None) -> str:
    """How torch's messages begin."""
    shown = "None" if window is None else f"torch.{window.dtype.legacy}Tensor{{{list(window.shape)}}}"
    return (
        f"{name}(torch.{x.dtype.legacy}Tensor{{{list(x.shape)}}}, n_fft={n_fft}, hop_length={hop}, win_length={length}, window={shown}"
    )


_NO_WINDOW = (
    "A window was not provided. A rectangular window will be applied,which is known to cause spectral leakage. Other windows such as torch.hann_window or torch.hamming_window "
    "are recommended to reduce spectral leakage.To suppress this warning and use a rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`. "
    "(Triggered internally at SpectralOps.cpp.)"
)


@compose("torch Tensor", in_python=True)
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """Fourier transforms of overlapping windows of a signal: (..., time) gives (..., frequency, frames)."""
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        wide = input.reshape((1,) * (3 - input.dim()) + tuple(input.shape)) if input.dim() < 3 else input
        half = n_fft // 2
        wide = F.pad(wide, (half, half), pad_mode)
        input = wide.reshape(wide.shape[-input.dim() :]) if input.dim() < 3 else wide
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    head = _head("stft", input, n_fft, hop, length, window)
    if return_complex is None:
        if not (input.is_complex() or (window is not None and window.is_complex())):
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True "
                "in a future PyTorch release."
            )
        return_complex = True
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(f"{head}) : expected a tensor of floating point or complex values")
    if not 1 <= input.dim() <= 2:
        raise RuntimeError(f"{head}) : expected a 1D or 2D tensor")
    flat = input.unsqueeze(0) if input.dim() == 1 else input
    size = flat.size(1)
    if not 0 < n_fft <= size:
        raise RuntimeError(f"{head}) : expected 0 < n_fft < {size}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{head}) : expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{head}) : expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and (window.dim() != 1 or window.size(0) != length):
        raise RuntimeError(f"{head}) : expected a 1D window tensor of size equal to win_length={length}, but got window with size {list(window.shape)}")
    is_complex = flat.is_complex() or (window is not None and window.is_complex())
    if onesided is None:
        onesided = not is_complex
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if window is None:
        warn_once(_NO_WINDOW)
    frames = flat.unfold(1, n_fft, hop)  # (batch, frames, n_fft)
    if window is not None:
        frames = frames * _padded_window(window, length, n_fft, flat, flat.dtype)
    elif length < n_fft:
        frames = frames * _padded_window(None, length, n_fft, flat, flat.dtype)
    norm = "ortho" if normalized else None
    out = fft.rfft(frames, dim=-1, norm=norm) if onesided else fft.fft(frames, dim=-1, norm=norm)
    out = out.transpose(1, 2)
    if input.dim() == 1:
        out = out.squeeze(0)
    return out if return_complex else torch.view_as_real(out)  # type: ignore[no-any-return]


@compose("torch Tensor")
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal whose ``stft`` this is: frames transformed back, added where they overlap, divided by the sum of squared windows."""
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    head = _head("istft", input, n_fft, hop, size, window)
    if not input.is_complex():
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with return_complex=True.")
    if input.numel() == 0:
        raise RuntimeError(f"{head}) : input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(f"{head}) : expected a tensor with 2 or 3 dimensions, but got {input.dim()}")
    bins, frames = input.size(-2), input.size(-1)
    if onesided is None:
        onesided = bins != n_fft
    if onesided and bins != n_fft // 2 + 1:
        raise RuntimeError(f"{head}) : expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + 1 when onesided=True, but got {bins}")
    if not onesided and bins != n_fft:
        raise RuntimeError(f"{head}) : expected the frequency dimension (3rd to the last) of the input tensor to match n_fft when onesided=False, but got {bins}")
    if not 0 < hop <= size:
        raise RuntimeError(f"{head}) : expected 0 < hop_length <= win_length")
    if not 0 < size <= n_fft:
        raise RuntimeError(f"{head}) : expected 0 < win_length <= n_fft")
    if window is not None and (window.dim() != 1 or window.size(0) != size):
        raise RuntimeError(f"{head}) : Invalid window shape. window has to be 1D and length of `win_length`")
    real = input.real.dtype
    w = _padded_window(window, size, n_fft, input, real if not return_complex else input.dtype)
    flat = (input.unsqueeze(0) if input.dim() == 2 else input).transpose(1, 2)  # (batch, frames, bins)
    norm = "ortho" if normalized else None
    if return_complex:
        if onesided:
            raise RuntimeError("Cannot have onesided output if window or input is complex")
        pieces = fft.ifft(flat, dim=-1, norm=norm)
    else:
        if window is not None and window.is_complex():
            raise RuntimeError("Complex windows are incompatible with return_complex=False")
        if not onesided:
            flat = flat[..., : n_fft // 2 + 1]
        pieces = fft.irfft(flat, n_fft, -1, norm)
    total = n_fft + hop * (frames - 1)
    place = (torch.arange(frames, device=input.device).unsqueeze(1) * hop + torch.arange(n_fft, device=input.device)).reshape(-1)

    def overlapped(x: Tensor) -> Tensor:
        return torch.zeros((x.size(0), total), dtype=x.dtype, device=x.device).index_add(1, place, x.reshape(x.size(0), -1))  # type: ignore[no-any-return]

    signal = overlapped(pieces * w)
    envelope = overlapped((w * w).expand(1, frames, n_fft))
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - n_fft // 2 if center else total
    stop = min(end, total)
    signal, envelope = signal[:, start:stop], envelope[:, start:stop]
    if float(envelope.detach().abs().min()) < 1e-11:
        raise RuntimeError(f"{head}, center={center}, normalized={normalized}, onesided={onesided}, length={length}, return_complex={return_complex}) window overlap add min: 1")
    signal = signal / envelope
    if end > total:
        signal = F.pad(signal, (0, end - total))
    return signal.squeeze(0) if input.dim() == 2 else signal  # type: ignore[no-any-return]
