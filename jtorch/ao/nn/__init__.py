"""``torch.ao.nn``: modules for quantised networks."""

from . import intrinsic as intrinsic, qat as qat, quantized as quantized

__all__ = ["intrinsic", "qat", "quantized"]
