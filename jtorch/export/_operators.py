"""Recorded operators as calls of ``torch.ops.aten``: which overload, and with which arguments, does exactly what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jtorch import ops
from jtorch._core.dispatch.record import apply_multi
from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.families.outline import with_sizes
from jtorch._engine.padded import symbol
from jtorch._engine.recording.bodies import Body
from jtorch._engine.recording.call import Call, call_of
from jtorch._engine.recording.trace import SCALAR
from jtorch._engine.values.values import Aval
from jtorch._errors import not_implemented
from jtorch._registry import OPS
from jtorch.library.aten import AtenPacket

__all__ = ["OwnOperator", "call_for", "filled", "is_size"]


class OwnOperator:
    """An operator that torch's library has under no name: called with its sizes, and what it reads."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.__name__ = self.__qualname__ = self._name = f"jtorch.{call.name}"
        self.__module__ = "torch.ops.jtorch"

    def __call__(self, sizes: Sequence[int], *args: Any) -> Any:
        return apply_multi(with_sizes(self.call, iter(sizes)), list(args))

    def path(self) -> Any:
        """By what :func:`again` finds it. NotImplementedError for branches and loops."""
        op = self.call.op
        if op is None:
            not_implemented("torch.export.save of branches and loops", "they are made of others, and have no name in a file; jtorch.export.stablehlo writes them")
        at = next((name, i) for name, found in OPS.items() for i, o in enumerate(found) if o is op)
        return [*at, self.call.key]


def again(name: str, i: int, key: Any) -> OwnOperator:
    """The operator of this name, its ``i``-th overload, with what is structure in its call. KeyError and IndexError where there is none."""
    return OwnOperator(call_of(OPS[name][i], key))


class _Tensor:
    """Stands for the next tensor (or number) in a list of arguments."""

    def __init__(self, i: int) -> None:
        self.i = i


# Names of parameters that are others in torch's library, and of operators.
_SAME = {"self": ("input",), "size": ("shape", "size"), "shape": ("size", "shape"), "tensors": ("tensors",), "end": ("length",), "normalized_shape": ("normalized_shape",)}
_NAMES = {"to_copy": "_to_copy", "view": "reshape"}  # a view of what is laid out otherwise when the graph runs is a reshape


def call_for(call: Call, inputs: Sequence[Any], key: Any, sizes: Sequence[Any], single: bool, used: int) -> tuple[Any, list[Any], dict[str, Any], bool]:
    """(target, args, kwargs, whether it gives the first result alone) for a recorded call. ``inputs``: its avals and number classes; ``key`` and ``sizes``: as the call's, where sizes may be
    expressions; ``used``: how many of its results are wanted. What is read stands as :class:`_Tensor`."""
    if call.op is not None:
        for i, (overload, args, kwargs) in enumerate(_candidates(call, call.key)):
            gives = _gives(overload, args, kwargs, call, inputs)
            if gives is not None and used <= gives:
                return (*list(_candidates(call, key))[i], gives == 1 and single is False)
    return OwnOperator(call), [list(sizes), *map(_Tensor, range(len(inputs)))], {}, False


def _given(call: Call, key: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    n = 0
    for p, d in zip(call.op.fn_params, key, strict=True):
        if d[0] in ("T", "S"):
            out[p.name] = _Tensor(n)
            n += 1
        elif d[0] == "L":
            found = []
            for there in d[1]:
                found.append(_Tensor(n) if there else None)
                n += there
            out[p.name] = found
        else:
            out[p.name] = list(d[2]) if d[2].__class__ is tuple else d[2]
    return out


def _candidates(call: Call, key: Any) -> Iterator[tuple[Any, list[Any], dict[str, Any]]]:
    given = _given(call, key)
    name = call.op.name
    if name == "slice" and "length" in given:
        start, length, step = given["start"], given["length"], given.get("step", 1)
        given = {**given, "end": _End(start, length, step)}
    for packet_name in dict.fromkeys((_NAMES.get(name, name), name.lstrip("_"))):
        packet = getattr(ops.aten, packet_name, None)
        if not isinstance(packet, AtenPacket):
            continue
        for overload_name in sorted(packet._overloads, key=lambda n: (n != "", n != "Tensor", n)):
            if overload_name.endswith("out") or overload_name in ("Dimname", "names"):
                continue
            overload = getattr(packet, overload_name or "default")
            found = _bound(overload._schema, given)
            if found is not None:
                args, count, kwargs = found
                yield overload, args[:count], kwargs
                yield overload, args, kwargs  # where a default is written otherwise than it was given


class _End:
    """Where a slice ends."""

    def __init__(self, start: Any, length: Any, step: Any) -> None:
        self.start, self.length, self.step = start, length, step


_MISSING = object()


def _bound(schema: Any, given: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]] | None:
    """The given parameters as a signature takes them, and how many of the positional ones are no defaults; None if it does not."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    wanted = 0
    for a in schema.arguments:
        value = _MISSING
        for name in (*_SAME.get(a.name, ()), a.name) if a.name != "end" else ("end",):
            if name in given:
                value = given[name]
                break
        if value is _MISSING:
            if not a.has_default_value() and a.name != "cudnn_enabled":
                return None
            value = a.default_value if a.has_default_value() else False
        if a.kwarg_only:
            if value is not None and value != a.default_value:
                kwargs[a.name] = value
        else:
            args.append(value)
            if not a.has_default_value() or value.__class__ in (_Tensor, _End) or value != a.default_value:
                wanted = len(args)
    return args, wanted, kwargs


def _gives(overload: Any, args: Any, kwargs: Any, call: Call, inputs: Sequence[Any]) -> int | None:
    """How many results a call of an overload gives, if it records exactly this call; else None."""
    where = next((a.device for a in inputs if isinstance(a, Aval)), None)
    if where is None:
        return None
    body = Body(where)
    given = [new_tensor(body.add(a)) if isinstance(a, Aval) else _SAMPLE[a] for a in inputs]
    try:
        with body.recording():
            out = overload(*filled(args, given.__getitem__, int), **filled(kwargs, given.__getitem__, int))
            outs = list(out) if isinstance(out, (tuple, list)) else [out]
            values = [read(t) for t in outs]
    except Exception:
        return None
    nodes = body.trace.nodes
    count = sum(isinstance(a, Aval) for a in inputs)
    same = len(nodes) == 1 and nodes[0][0].call is call and [p for p in nodes[0][1:] if SCALAR < p < 0] == [-1 - i for i in range(count)]
    return len(outs) if same and [v.pos for v in values] == list(range(len(values))) else None


_SAMPLE: dict[Any, Any] = {bool: True, int: 1, float: 1.0, complex: 1j}


def filled(x: Any, tensor: Callable[[int], Any], size: Callable[[Any], Any]) -> Any:
    """Arguments with what is read in its place, and sizes as ``size`` gives them."""
    if x.__class__ is _Tensor:
        return tensor(x.i)
    if x.__class__ is _End:
        start, length, step = (filled(y, tensor, size) for y in (x.start, x.length, x.step))
        return size((start, length, step)) if any(hasattr(y, "op") for y in (start, length)) else start + length * step
    if x.__class__ in (list, tuple):
        return x.__class__(filled(y, tensor, size) for y in x)
    if x.__class__ is dict:
        return {k: filled(v, tensor, size) for k, v in x.items()}
    return size(x) if is_size(x) else x


_SYMBOLIC = type(symbol(0))


def is_size(x: Any) -> bool:
    """Whether this is an expression of sizes."""
    return x.__class__ is _SYMBOLIC
