"""Names for calls, entries and programs that another process gives to the same ones: under them is kept what was found out (``kept.py``).

A name is made of what decides the program and nothing else: the operator's function by where it stands in jtorch, a call's structure, shapes, types and devices. What a program brings with
it (a custom operator) has no name: what its source is, nobody can say.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from jtorch import _device, _dtypes, _types
from jtorch._engine.keeping import surroundings
from jtorch._engine.keeping.store import folder, key_of
from jtorch._engine.padded import symbol
from jtorch._engine.recording.call import Call
from jtorch._engine.values.values import Aval

__all__ = ["Nameless", "key_for", "of_aval", "of_call", "of_function", "of_inputs", "of_node", "of_value"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_SEQUENCES = (tuple, list, _types.Size)
_OURS = ("jtorch._ops.", "jtorch._engine.", "jtorch._core.", "jtorch._random.")


class Nameless(Exception):
    """Another process could not know it by name."""


def of_call(call: Call) -> str:
    """The call's name. :class:`Nameless` if it has none."""
    found = call.identity
    if found is None:
        try:
            found = _of_call(call)
        except Nameless:
            found = False
        call.identity = found
    if found is False:
        raise Nameless(call.name)
    return found  # type: ignore[no-any-return]


def _of_call(call: Call) -> str:
    op = call.op
    if op is not None:
        if not op.fn.__module__.startswith("jtorch._ops."):
            raise Nameless(op.name)
        return f"{op.fn.__module__}.{op.fn.__qualname__}:{op.name}({of_value(call.key)})"
    if call.origin is not None:
        make, parts = call.origin
        return f"{of_function(make)}[{','.join([_of_part(p) for p in parts])}]"
    if call.key.__class__ is tuple and call.key and call.key[0] == "outside":  # a guard's: its rules are all there is to it
        return f"outside[{','.join([of_value(rule) for rule in call.key[1:]])}]"
    raise Nameless(call.name)


def _of_part(p: Any) -> str:
    if isinstance(p, Call):
        return of_call(p)
    return of_value(p) if p.__class__ in _PLAIN or p.__class__ is tuple else of_node(p)


def of_node(entry: Any) -> str:
    """An entry's name, or that of what stands for one in a program."""
    own = getattr(entry, "identity", None)
    return own() if own is not None else f"{of_call(entry.call)}{of_inputs(entry.inputs)}"


def of_function(fn: Any) -> str:
    """The name of a function of jtorch's own."""
    if fn.__class__ is not FunctionType or "<" in fn.__qualname__ or not fn.__module__.startswith(_OURS):
        raise Nameless(repr(fn))
    return f"{fn.__module__}.{fn.__qualname__}"


def of_value(x: Any) -> str:
    """A piece of structure, its class and all."""
    kind = x.__class__
    if kind in _PLAIN:
        return f"{kind.__name__}:{x!r}"
    if kind in _SEQUENCES:
        return f"{kind.__name__}({','.join([of_value(y) for y in x])})"
    if kind is _dtypes.dtype or kind is _device.device or kind in (_types.memory_format, _types.layout):
        return f"{kind.__name__}:{x}"
    if kind is type and x.__module__.partition(".")[0] in ("builtins", "jtorch"):
        return f"class:{x.__module__}.{x.__qualname__}"
    if kind is slice:
        return f"slice({of_value((x.start, x.stop, x.step))})"
    if kind is FunctionType:
        return of_function(x)
    if kind is type(symbol(0)):
        return f"dim:{x}"
    raise Nameless(repr(x))


def of_aval(a: Any) -> str:
    """An input's name: an aval, or the class of a number."""
    if a.__class__ is Aval:
        return f"{a.dtype.name}{a.shape}@{a.device}"
    if a.__class__ is type and a in _PLAIN:
        return a.__name__
    raise Nameless(repr(a))


def of_inputs(inputs: Any) -> str:
    """The names of an entry's inputs."""
    return f"<{';'.join([of_aval(a) for a in inputs])}>"


def key_for(kind: str, text: str, device: Any) -> bytes | None:
    """The key of what is kept about something with this name on one of JAX's devices; None if nothing can be."""
    if folder() is None:
        return None
    sources = surroundings.sources()
    if sources is None:
        return None
    return key_of(kind, text, sources, surroundings.settings(), surroundings.machine(device))
