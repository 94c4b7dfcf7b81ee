"""``torch._functorch.autograd_function``: what a Function's vmap rule is told."""

from jtorch.autograd.vmap_rules import VmapInfo

__all__ = ["VmapInfo"]
