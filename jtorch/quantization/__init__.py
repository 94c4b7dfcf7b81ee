"""``torch.quantization``: the older name of ``torch.ao.quantization``."""

from jtorch.ao.quantization import *  # noqa: F403
from jtorch.ao.quantization import __all__ as __all__
from jtorch.ao.quantization import fake_quantize as fake_quantize
from jtorch.ao.quantization import observer as observer
