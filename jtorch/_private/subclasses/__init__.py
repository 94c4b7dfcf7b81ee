"""``torch._subclasses``: tensors that have shapes and no values. Here the device ``meta`` has such."""

from .fake_tensor import FakeTensor, FakeTensorMode, UnsupportedFakeTensorException

__all__ = ["FakeTensor", "FakeTensorMode", "UnsupportedFakeTensorException"]
