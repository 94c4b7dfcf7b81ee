"""Kullback-Leibler divergence: a registry of pairs of classes, the most specific registered pair answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .distribution import Distribution

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_KL_MEMOIZE: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator that enters a function ``(p, q) -> divergence`` for two classes and their subclasses: of any library's, as in torch. TypeError for what is
    no class."""
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type):
            issubclass(kind, Distribution)  # says so
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def decorator(fun: Any) -> Any:
        _KL_REGISTRY[type_p, type_q] = fun
        _KL_MEMOIZE.clear()
        return fun

    return decorator


def _find(type_p: type, type_q: type) -> Any:
    """The registered function of the nearest classes; a RuntimeWarning where nearness in p and in q disagree."""
    found = [(a, b) for a, b in _KL_REGISTRY if issubclass(type_p, a) and issubclass(type_q, b)]
    if not found:
        return NotImplemented
    far_p, far_q = type_p.__mro__.index, type_q.__mro__.index
    left = min(found, key=lambda pair: (far_p(pair[0]), far_q(pair[1])))
    right = min(found, key=lambda pair: (far_q(pair[1]), far_p(pair[0])))
    if _KL_REGISTRY[left] is not _KL_REGISTRY[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({left[0].__name__}, {right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left]


def kl_divergence(p: Any, q: Any) -> Any:
    """The mean under ``p`` of ``log p(x) - log q(x)``, of ``batch_shape``. NotImplementedError for pairs that are not registered."""
    key = (type(p), type(q))
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _find(*key)
    fun = _KL_MEMOIZE[key]
    if fun is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return fun(p, q)
