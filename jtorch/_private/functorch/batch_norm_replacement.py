"""``torch._functorch.batch_norm_replacement``: where torch defines it."""

from jtorch.func import replace_all_batch_norm_modules_

__all__ = ["replace_all_batch_norm_modules_"]
