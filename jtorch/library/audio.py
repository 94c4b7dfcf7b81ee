"""``torch.ops.torchaudio``: the loops over samples that torchaudio's compiled library has. What it has besides (alignment, transducer losses) is not there."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._public import torch

from .libraries import Library

_about, _library = Library("_torchaudio", "FRAGMENT"), Library("torchaudio", "FRAGMENT")


def _register(library: Library, schema: str) -> Any:
    def register(fn: Any) -> Any:
        library.impl(library.define(schema), fn, "CompositeExplicitAutograd")
        return fn

    return register


@_register(_about, "is_align_available() -> bool")
def is_align_available() -> bool:
    return False


@_register(_about, "cuda_version() -> int?")
def cuda_version() -> int | None:
    return None


@_register(_library, "_lfilter_core_loop(Tensor input_signal_windows, Tensor a_coeff_flipped, Tensor(a!) padded_output_waveform) -> ()")
def _lfilter_core_loop(input_signal_windows: Any, a_coeff_flipped: Any, padded_output_waveform: Any) -> None:
    # A sample after the other, each for all channels: on the host, as torchaudio's own.
    samples, coefficients, out = (x.detach().cpu().numpy() for x in (input_signal_windows, a_coeff_flipped, padded_output_waveform))
    out, order = np.array(out), coefficients.shape[1]
    for i in range(samples.shape[2]):
        out[:, :, i + order - 1] = samples[:, :, i] - (out[:, :, i : i + order] * coefficients).sum(-1)
    padded_output_waveform.copy_(torch.from_numpy(out))


@_register(_library, "_overdrive_core_loop(Tensor waveform, Tensor temp, Tensor(a!) last_in, Tensor(b!) last_out, Tensor(c!) output_waveform) -> ()")
def _overdrive_core_loop(waveform: Any, temp: Any, last_in: Any, last_out: Any, output_waveform: Any) -> None:
    wave, bent, before, last, out = (np.array(x.detach().cpu().numpy()) for x in (waveform, temp, last_in, last_out, output_waveform))
    for i in range(wave.shape[-1]):
        last = bent[:, i] - before + 0.995 * last
        before = bent[:, i]
        out[:, i] = wave[:, i] * 0.5 + last * 0.75
    for target, value in ((last_in, before), (last_out, last), (output_waveform, out)):
        target.copy_(torch.from_numpy(np.ascontiguousarray(value)))
