"""Sound."""

from __future__ import annotations

from typing import Any

from . import thing


def sound(n: int = 1, length: int = 1600) -> Any:
    import torch

    return torch.sin(torch.arange(n * length).view(n, length) * 0.1) * 0.5


@thing
def torchaudio() -> Any:
    import torchaudio

    return torchaudio.transforms.MelSpectrogram(16000, n_fft=256, n_mels=8)(sound()), torchaudio.functional.resample(sound(), 16000, 8000), torchaudio.functional.lowpass_biquad(sound(), 16000, 500.0)


@thing
def nnAudio() -> Any:  # noqa: N802 - the package's name
    from nnAudio.features import STFT, MelSpectrogram

    return STFT(n_fft=128, hop_length=64, verbose=False, output_format="Magnitude")(sound()), MelSpectrogram(sr=16000, n_fft=128, n_mels=8, verbose=False)(sound())


@thing
def julius() -> Any:
    import julius

    return julius.resample_frac(sound(), 4, 3), julius.lowpass_filter(sound(), 0.1), julius.split_bands(sound(), 16000, n_bands=2)


@thing
def torch_audiomentations() -> Any:
    from torch_audiomentations import Gain, PolarityInversion

    x = sound()[None]
    return Gain(p=1.0, output_type="tensor", min_gain_in_db=-6, max_gain_in_db=-5.999)(x, 16000), PolarityInversion(p=1.0, output_type="tensor")(x, 16000)


@thing
def encodec() -> Any:
    from encodec.modules import SEANetDecoder, SEANetEncoder

    kind = {"dimension": 8, "n_filters": 2, "n_residual_layers": 1, "ratios": [4, 2], "lstm": 1}
    found = SEANetEncoder(**kind)(sound(1, 160)[None])
    return found, SEANetDecoder(**kind)(found)


@thing
def whisper() -> Any:
    import torch
    from whisper.model import ModelDimensions, Whisper

    net = Whisper(ModelDimensions(n_mels=8, n_audio_ctx=10, n_audio_state=16, n_audio_head=2, n_audio_layer=1, n_vocab=20, n_text_ctx=8, n_text_state=16, n_text_head=2, n_text_layer=1))
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return net(torch.randn(1, 8, 20), torch.randint(0, 20, (1, 4)))


@thing
def speechbrain() -> Any:
    from speechbrain.lobes.features import Fbank
    from speechbrain.nnet.RNN import LSTM

    features = Fbank(n_mels=8)(sound())
    return features, LSTM(hidden_size=4, input_shape=features.shape)(features)[0]
