"""``torch.ao``: quantisation. What simulates it works (observers, fake quantisation, the parts of modules); integers with scales are no tensors here."""

from . import nn as nn, quantization as quantization

__all__ = ["nn", "quantization"]
