"""``torch._functorch.config``: kept, and without effect."""

from __future__ import annotations

from jtorch._private.settings import settings_module as _settings_module

functionalize_rng_ops = False
donated_buffer = True
debug_assert = False
activation_memory_budget = 1.0
recompute_views = False
aggressive_recomputation = False
enable_autograd_cache = True
autograd_cache_allow_custom_autograd_functions = False
bundled_autograd_cache = False

_settings_module(__name__)
