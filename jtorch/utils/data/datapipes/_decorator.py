"""Decorators of data pipes' classes and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .datapipe import IterDataPipe, MapDataPipe

__all__ = [
    "argument_validation", "functional_datapipe", "guaranteed_datapipes_determinism", "non_deterministic", "runtime_validation", "runtime_validation_disabled",
]  # fmt: skip


class functional_datapipe:
    """A decorator: the class is also a form, ``pipe.name(...)``."""

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name

    def __call__(self, cls: Any) -> Any:
        base = IterDataPipe if issubclass(cls, IterDataPipe) else MapDataPipe if issubclass(cls, MapDataPipe) else None
        if base is None:
            raise TypeError("`functional_datapipe` can only decorate IterDataPipe or MapDataPipe")
        base.register_datapipe_as_function(self.name, cls)
        return cls


_determinism = [False]


class guaranteed_datapipes_determinism:
    """Inside, pipes that say they are not deterministic refuse to be made."""

    def __init__(self) -> None:
        self.before = _determinism[0]
        _determinism[0] = True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _determinism[0] = self.before


class non_deterministic:
    """A decorator for pipes whose order is not fixed: always, or where a function of their arguments says so."""

    def __init__(self, arg: Any) -> None:
        self.cls, self.says = (arg, None) if isinstance(arg, type) else (None, arg)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.cls is None:
            self.cls = args[0]
            return self._checked
        return self._checked(*args, **kwargs)

    def _checked(self, *args: Any, **kwargs: Any) -> Any:
        if _determinism[0] and (self.says is None or self.says(*args, **kwargs)):
            raise TypeError(f"{self.cls.__name__} is non-deterministic, but you set 'guaranteed_datapipes_determinism'.")
        return self.cls(*args, **kwargs)


def argument_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` itself: annotations of pipes are not checked here."""
    return f


def runtime_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` itself: annotations of pipes are not checked here."""
    return f


class runtime_validation_disabled:
    """A context without effect: annotations of pipes are not checked here."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
