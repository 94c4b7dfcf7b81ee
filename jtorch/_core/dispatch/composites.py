"""Composites: functions written with torch's own functions, published under their names and open to ``__torch_function__``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jtorch import _namespace

from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["compose", "offered", "COMPOSITES"]

COMPOSITES: dict[str, Callable[..., Any]] = {}


def offered(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, offered first to arguments (and modes) that have a ``__torch_function__`` of their own."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if has_override(args, kwargs):
            return override(call.jtorch_public, args, kwargs)  # type: ignore[attr-defined]
        return fn(*args, **kwargs)

    call.jtorch_public = call  # type: ignore[attr-defined]  # what the namespaces show, should somebody wrap it once more
    return call


def compose(where: str = "torch Tensor", name: str | None = None, aliases: str = "", doc: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Publish a function of tensors in these namespaces ("torch Tensor nn.functional linalg fft special").

    ``doc`` is the docstring of functions that a loop makes. Bare ``aliases`` go to the same namespaces, dotted ones where they say. A name that is taken raises.
    """

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        public = name or fn.__name__
        fn.__doc__ = doc or fn.__doc__
        call = offered(fn)
        for n in (public, *aliases.split()):
            for space in ("",) if "." in n else where.split():
                full = n if not space else f"{space}.{n}"
                spaced, _, short = full.rpartition(".")
                if full in COMPOSITES:
                    raise RuntimeError(f"{full} is declared twice")
                COMPOSITES[full] = call
                if spaced == "Tensor":
                    setattr(Tensor, short, call)
                else:
                    module = _namespace.BY_NAME[spaced]
                    setattr(module, short, call)
                    if short == public and call.__module__ == fn.__module__:
                        call.__module__, call.__name__, call.__qualname__ = module.__name__, short, short  # where pickle finds it
        return call

    return declare
