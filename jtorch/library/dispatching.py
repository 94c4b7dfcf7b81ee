"""``__torch_dispatch__``: every operator of torch's library that a call comes to, offered to modes and to the classes of its arguments.

While a mode is on, or an argument's class has a ``__torch_dispatch__``, public functions are led here (``jtorch/_core/dispatch/torch_function.py``). What a function
comes to in torch's library is said in ``decompositions.py`` where it is not one operator of the function's own name; arguments are given as torch gives them: by
position without trailing defaults, by name what the signature has so. Autograd stays above: a handler sees operators on tensors, and what it returns gets the history
(``derivatives.py``). Nothing of this is asked while there is neither mode nor class.
"""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch import torch_function as functions
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.shells import is_shell
from jtorch._core.tensor import return_types
from jtorch._errors import not_implemented
from jtorch.ops import aten

from . import derivatives  # noqa: F401 - it gives results their history
from .binding import bind
from .decompositions import HIDDEN, RULES
from .jit_types import ListType
from .offering import call_overload, off
from .operators import OpOverload, OpOverloadPacket, tensors_in
from .schema import Argument, FunctionSchema

__all__ = ["overload_for", "route"]

# --- from a public function to an operator ----------------------------------------------------------------------------------

_RENAMED = {"input": "self", "x": "self", "axis": "dim", "keepdims": "keepdim", "x2": "other"}
_WITH_NUMBERS = frozenset(n + s for n in ("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "floor_divide") for s in ("", "_"))
_FULL_NAMES = {"subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "subtract_": "sub_", "multiply_": "mul_", "divide_": "div_", "true_divide_": "div_"}


def _same(value: Any, default: Any) -> bool:
    if default.__class__ is not value.__class__:
        return False
    if isinstance(default, (list, tuple)):
        return len(value) == len(default) and all(map(_same, value, default))
    return default is value if isinstance(value, Tensor) else bool(default == value)


def _trimmed(schema: FunctionSchema, by_position: tuple[Any, ...], by_name: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Without what is as the signature has it anyway."""
    arguments: list[Argument] = schema._positional
    n = len(by_position)
    while n and arguments[n - 1].has_default_value() and _same(by_position[n - 1], arguments[n - 1].default_value):
        n -= 1
    known = schema._by_name
    return by_position[:n], {k: v for k, v in by_name.items() if not (known[k].has_default_value() and _same(v, known[k].default_value))}


def _fitted(schema: FunctionSchema, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments in the order of a signature; None where they do not fit."""
    known = schema._by_name
    if kwargs:
        kwargs = {k if k in known else _RENAMED.get(k, k): v for k, v in kwargs.items()}
        first = schema.arguments[0].name if schema.arguments else ""
        if "self" in kwargs and "self" not in known:
            kwargs[first] = kwargs.pop("self")
    lists = [i for i, a in enumerate(schema._positional) if isinstance(a.type, ListType) and a.type.element.name in ("int", "SymInt")]
    if lists and len(args) > lists[0] and isinstance(args[lists[0]], int) and (len(args) > len(schema._positional) or lists[0] == len(schema._positional) - 1):
        args = (*args[: lists[0]], list(args[lists[0] :]))
    try:
        return bind(schema, args, kwargs)
    except RuntimeError:
        return None


def overload_for(packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """(overload, its arguments as torch hands them out) of the first signature that takes them; None if none does."""
    written = "out" in kwargs and kwargs["out"] is not None
    if not written and "out" in kwargs:
        kwargs = {k: v for k, v in kwargs.items() if k != "out"}
    for name in packet._overloads:
        overload = getattr(packet, name or "default")
        schema = overload._schema
        outs = [a.name for a in schema.arguments if a.is_out]
        if bool(outs) is not written:
            continue
        given = kwargs
        if written and outs != ["out"]:
            parts = kwargs["out"]
            if not isinstance(parts, (tuple, list)) or len(parts) != len(outs):
                continue
            given = {**{k: v for k, v in kwargs.items() if k != "out"}, **dict(zip(outs, parts, strict=True))}
        found = _fitted(schema, args, given)
        if found is not None:
            return overload, *_trimmed(schema, *found)
    return None


def _arithmetic(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """Sums, products and quotients take a number as the tensor that it would be."""
    kwargs = {_RENAMED.get(k, k): v for k, v in kwargs.items()}
    args = (*args, *[kwargs.pop(k) for k in ("self", "other") if k in kwargs])
    if len(args) != 2 or isinstance(args[1], Tensor):
        return None
    if kwargs.get("out", 0) is None:
        del kwargs["out"]
    if kwargs.get("alpha") == 1:
        del kwargs["alpha"]
    packet = getattr(aten, _FULL_NAMES.get(name, name))
    mode = kwargs.get("rounding_mode", None)
    if mode is None:
        kwargs.pop("rounding_mode", None)
    overload = "Tensor_mode" if mode is not None else "out" if "out" in kwargs else "default" if name.startswith("floor") else "Tensor"
    return getattr(packet, overload), args, kwargs


_SPACES = {"linalg": "linalg_", "fft": "fft_", "special": "special_"}


def _name_of(fn: Any) -> str:
    """What a public function is called in torch's library, where it is an operator of its own."""
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, property):
        return f"{getattr(owner, '__name__', '')}.{fn.__name__}"
    name = getattr(fn, "__name__", "")
    space = str(getattr(fn, "__module__", "")).rpartition(".")[2]
    prefix = _SPACES.get(space, "")
    return name if not prefix or name.startswith(prefix) else prefix + name


def route(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a public function (or an operator by its name) while there is a mode or a class to ask."""
    if isinstance(fn, OpOverload):
        try:
            args, kwargs = _trimmed(fn._schema, *bind(fn._schema, args, kwargs))
        except RuntimeError:
            pass  # a number for a tensor, which sums and products take; what doesn't fit the operator itself complains about
        return call_overload(fn, args, kwargs)
    if isinstance(fn, OpOverloadPacket):
        found = overload_for(fn, args, kwargs)
        if found is None:
            return functions.passed(fn, args, kwargs)
        return call_overload(*found)
    name = _name_of(fn)
    if str(getattr(fn, "__module__", "")).endswith(".init"):
        return functions.passed(fn, args, kwargs)
    if name == "__deepcopy__" and is_shell(args[0]):  # a clone, which the class makes
        return fn(*args, **kwargs)
    if name in HIDDEN or name.endswith((".__set__", ".__delete__")):
        with off(), functions.DisableTorchFunctionSubclass():
            return fn(*args, **kwargs)
    rule = RULES.get(name)
    if rule is not None:
        result = rule(*args, **kwargs)
        if result is not NotImplemented:
            return _as_public(fn, result)
    found = _operator(fn, name, args, kwargs)
    if found is not None:
        return _as_public(fn, call_overload(*found))
    if hasattr(fn, "jtorch_ops"):
        if any(map(is_shell, tensors_in(args, kwargs))):
            not_implemented(f"{name} on tensor subclasses with __torch_dispatch__", "it is no operator that torch's library publishes, or its arguments fit none")
        with off():
            return fn(*args, **kwargs)
    return functions.passed(fn, args, kwargs)


def _operator(fn: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    if name in _WITH_NUMBERS and (found := _arithmetic(name, args, kwargs)) is not None:
        return found
    name = _FULL_NAMES.get(name, name)
    if not hasattr(fn, "jtorch_ops") and not hasattr(fn, "jtorch_public") and name not in _METHODS:
        return None
    try:
        packet = getattr(aten, name)
    except AttributeError:
        return None
    return overload_for(packet, args, kwargs) if packet._overloads else None


_METHODS = frozenset(("clone", "detach", "detach_", "expand", "view", "permute", "copy_", "uniform_", "normal_", "bernoulli_", "zero_", "fill_", "as_strided", "unbind", "index_put_", "index_put"))


def _as_public(fn: Any, result: Any) -> Any:
    """Several results as the public function gives them."""
    if result.__class__ is list:
        return tuple(result)
    if result.__class__ is tuple:
        for op in getattr(fn, "jtorch_ops", ()):
            if op.fields and len(op.fields) == len(result):
                return return_types.namedtuple_for(op)(*result)
    return result


functions.ROUTE[0] = route
