"""``torch.fft``. Source: https://docs.pytorch.org/docs/stable/fft.html"""

import jtorch._api  # noqa: F401
from jtorch import _public
from jtorch._core.storage.bare_tensor import Tensor as Tensor

_LEFT_OUT = ("hfft2", "hfftn", "ihfft2", "ihfftn")  # by torch

__all__ = [*(name for name, value in vars(_public.fft).items() if callable(value) and name[0] != "_" and name not in _LEFT_OUT), "Tensor"]  # what ``from torch.fft import *`` takes
_public.complete(_public.fft, globals())
