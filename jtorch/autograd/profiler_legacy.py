"""``torch.autograd.profiler_legacy``: the older name of ``torch.autograd.profiler``."""

from .profiler import profile as profile

__all__ = ["profile"]
