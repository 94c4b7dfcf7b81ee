"""``torch.ao.quantization``: observers, fake quantisation, training with it, and layers of integers. Tensors of integers with scales are declined."""

from __future__ import annotations

from . import fake_quantize as fake_quantize, fuse_modules as _fuse, observer as observer, qconfig as qconfig, quantize as _quantize, stubs as stubs, utils as utils
from .fake_quantize import *  # noqa: F403
from .observer import *  # noqa: F403
from .qconfig import *  # noqa: F403
from .qconfig_mapping import QConfigMapping
from .stubs import *  # noqa: F403

__all__ = [*fake_quantize.__all__, *observer.__all__, *qconfig.__all__, *stubs.__all__, *_fuse.__all__, *_quantize.__all__, "QConfigMapping"]
# In torch, too, these names are the functions and not the modules that hold them.
from .fuse_modules import *  # noqa: E402, F403
from .quantize import *  # noqa: E402, F403
