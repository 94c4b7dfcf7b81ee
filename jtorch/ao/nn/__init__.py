"""``torch.ao.nn``: modules for quantised networks."""

from . import quantized as quantized

__all__ = ["quantized"]
