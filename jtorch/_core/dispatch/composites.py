"""Composites: functions written with torch's own functions, published under their names and open to ``__torch_function__``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from jtorch import _namespace
from jtorch._dtypes import OF_CLASS

from jtorch._core.dispatch.checked_arguments import Parameters
from jtorch._core.dispatch.signature_binding import FROM_NUMPY
from jtorch._core.dispatch.torch_function import MODES, has_override, override
from jtorch._core.storage.bare_tensor import Tensor, meta_of
from jtorch._engine.values.thread_state import INFERENCE, state

__all__ = ["compose", "offered", "COMPOSITES"]

COMPOSITES: dict[str, Callable[..., Any]] = {}


def offered(
    fn: Callable[..., Any], numpy_names: bool = False, also: dict[str, str] | None = None, seen: Callable[..., tuple[Any, ...]] | None = None,
    checked: Parameters | None = None,
) -> Callable[..., Any]:
    """``fn``, offered first to arguments (and modes) that have a ``__torch_function__`` of their own.

    As torch's functions in C++ do, it takes a class of Python for a ``dtype`` and, where ``numpy_names``, numpy's names (``axis``). ``also``: what other
    overloads call a parameter. ``seen``: the arguments in the one form in which such classes see them, where there are several. ``checked``: what is asked of numbers.
    """
    params = inspect.signature(fn).parameters
    renamed = {theirs: ours for theirs, ours in FROM_NUMPY.items() if numpy_names and ours in params and theirs not in params} | (also or {})
    typed = "dtype" in params
    makes = "requires_grad" in params or fn.__name__ in ("from_numpy", "as_tensor", "empty_permuted")

    asked = fn.__name__ not in ("tensor", "as_tensor", "asarray", "from_numpy")  # these are given data: only modes see them, and the last not even they
    by_modes = fn.__name__ != "from_numpy"

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if typed and (kind := kwargs.get("dtype")).__class__ is type:
                if kind not in OF_CLASS:
                    raise TypeError(f"{call.__name__}(): argument 'dtype' must be torch.dtype, not type")
                kwargs["dtype"] = OF_CLASS[kind]
            if renamed and not renamed.keys().isdisjoint(kwargs):
                kwargs = {renamed.get(k, k): v for k, v in kwargs.items()}
        if seen is not None:
            args = seen(*args)
        if has_override(args, kwargs) if asked else by_modes and MODES:
            return override(call.jtorch_public, args, kwargs)  # type: ignore[attr-defined]
        if checked is not None:
            args, kwargs = checked.given(args, kwargs)
        if makes and state.mode & INFERENCE:
            return _marked(fn(*args, **kwargs), args)
        return fn(*args, **kwargs)

    call.jtorch_public = call  # type: ignore[attr-defined]  # what the namespaces show, should somebody wrap it once more
    return call


def _marked(made: Any, args: tuple[Any, ...]) -> Any:
    """A new tensor, marked as one of inference mode."""
    if isinstance(made, Tensor) and made._view is None and not any(made is a for a in args):
        meta_of(made).inference = True
    return made


def compose(
    where: str = "torch Tensor", name: str | None = None, aliases: str = "", doc: str | None = None, also: dict[str, str] | None = None,
    seen: Callable[..., tuple[Any, ...]] | None = None, in_python: bool | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Publish a function of tensors in these namespaces ("torch Tensor nn.functional linalg fft special").

    ``doc`` is the docstring of functions that a loop makes. Bare ``aliases`` go to the same namespaces, dotted ones where they say. ``also``: other overloads'
    names for parameters; ``seen``: as in :func:`offered`. ``in_python``: whether torch itself writes the function in Python (as most of nn.functional, and little else), where it
    takes none of numpy's names for parameters and asks nothing of numbers. A name that is taken raises.
    """

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        public = name or fn.__name__
        fn.__doc__ = doc or fn.__doc__
        numpy_names = not (where == "nn.functional" if in_python is None else in_python)
        first = where.split()[0]
        shown = f"{first}_{public}" if first in ("fft", "linalg", "special") else public

        def parameters(method: bool) -> Parameters | None:  # torch's own functions of Python ask nothing
            return Parameters.of(fn, shown, method) if numpy_names else None

        call = offered(fn, numpy_names, also, seen, parameters(first == "Tensor"))
        method = offered(fn, numpy_names, also, seen, parameters(True)) if "Tensor" in where.split()[1:] else call  # who is asked hears which of the two was called
        for n in (public, *aliases.split()):
            for space in ("",) if "." in n else where.split():
                full = n if not space else f"{space}.{n}"
                spaced, _, short = full.rpartition(".")
                if full in COMPOSITES:
                    raise RuntimeError(f"{full} is declared twice")
                COMPOSITES[full] = method if spaced == "Tensor" else call
                if spaced == "Tensor":
                    setattr(Tensor, short, method)
                else:
                    module = _namespace.BY_NAME[spaced]
                    setattr(module, short, call)
                    if short == public and call.__module__ == fn.__module__:
                        call.__module__, call.__name__, call.__qualname__ = module.__name__, short, short  # where pickle finds it
        return call

    return declare
