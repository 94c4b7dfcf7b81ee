"""Kullback-Leibler divergences by pairs of distributions. Source: torch.distributions.kl."""

from . import _kl_cross, _kl_same  # noqa: F401  (they register their pairs)
from ._kl_registry import _KL_MEMOIZE as _KL_MEMOIZE
from ._kl_registry import _KL_REGISTRY as _KL_REGISTRY
from ._kl_registry import _find as _find
from ._kl_registry import kl_divergence as kl_divergence
from ._kl_registry import register_kl as register_kl

__all__ = ["register_kl", "kl_divergence"]
