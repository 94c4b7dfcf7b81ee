"""The operators of the language on tensors: ``a + b``, ``a < b``, ``a @ b``, in place and with the sides exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jtorch._core.tensor.creation import as_tensor
from jtorch._engine.recording.call import T, Call, call_of, slot, value
from jtorch._namespace import torch
from jtorch._registry import OPS, Op

from jtorch._core.tensor.derived_functions import default_call, run_inplace
from jtorch._core.dispatch.signature_binding import number_of
from jtorch._core.dispatch.record import PARTS, apply_multi, call2, call2s
from jtorch._core.dispatch.torch_function import MODES, has_override, override
from jtorch._core.dispatch.short_way import short_operator
from jtorch._core.storage.bare_tensor import PLAIN, Tensor
from jtorch._core.storage.view_steps import aval_of

__all__ = ["attach_operators"]

_NUMBERS = (float, int, bool, complex)


def _calls(op: Op, extra: tuple[Any, ...]) -> tuple[Call, dict[type, Call]]:
    """The calls of a binary operator on (tensor, tensor) and on (tensor, number)."""
    return call_of(op, (T, T, *extra)), {k: call_of(op, (T, slot(k), *extra)) for k in _NUMBERS}


def _extra(op: Op) -> tuple[Any, ...]:
    """Descriptors of the parameters after the two operands, at their defaults."""
    sig = op.signatures[0]
    return tuple(value(sig.by_name[p.name].default if p.name in sig.by_name else p.default) for p in op.fn_params[2:])


def _other(x: Any) -> Any:
    """What numpy and JAX give as an operand, as a tensor or number; None if it is nothing of the kind.

    torch leaves arithmetic with an array to numpy, whose type the result has: float64 for float32 beside int64. With the array on the left there is none.
    """
    if isinstance(x, jax.Array):
        return as_tensor(x)
    return number_of(x)


# Under which name __torch_function__ hears of an operator: torch's are often the very methods that do the work.
_HEARD = {
    "__truediv__": "div", "__rtruediv__": "__rdiv__", "__mod__": "remainder", "__radd__": "add", "__rmul__": "mul", "__pos__": "positive",
    "__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_",
    **{f"__{n}__": n for n in ("add", "sub", "mul", "matmul", "ne", "lt", "le", "gt", "ge", "neg", "abs")},
}  # fmt: skip


def asked(name: str, *operands: Any) -> Any:
    """What the operands' ``__torch_function__`` makes of an operator; as in torch, a TypeError there leaves it to the other operand."""
    try:
        return override(getattr(Tensor, _HEARD.get(name, name)), operands, {})
    except TypeError:
        return NotImplemented


def _binary(name: str, op: Op, symbol: str) -> Callable[..., Any]:
    tensors, numbers = _calls(op, _extra(op))

    def operate(a: Tensor, b: Any) -> Any:
        cls = b.__class__
        if a.__class__ in PLAIN and not MODES:
            if cls in PLAIN:
                return call2(tensors, a, b)
            call = numbers.get(cls)
            if call is not None:
                return call2s(call, a, b)
        if has_override((a, b), {}):
            return asked(name, a, b)
        if isinstance(b, Tensor):
            return apply_multi(tensors, (a, b))
        other = _other(b)
        if other is None:
            return NotImplemented
        return apply_multi(numbers[other.__class__] if not isinstance(other, Tensor) else tensors, (a, other))

    operate.__name__ = operate.__qualname__ = name
    return operate


def _reflected(name: str, fn: Callable[[Tensor, Any], Any]) -> Callable[..., Any]:
    of_quotient = name == "__rtruediv__"  # a product with the reciprocal, which leaves an array to numpy
    of_tensors = name == "__rmatmul__"
    of_class = name in ("__radd__", "__rmul__", "__rand__", "__ror__", "__rxor__")

    def operate(a: Tensor, b: Any) -> Any:
        if a.__class__ in PLAIN and b.__class__ in _NUMBERS and not MODES and not of_tensors:
            return fn(a, b)
        if has_override((a, b), {}):
            return asked(name, a, b)
        if of_tensors and b.__class__ in _NUMBERS:
            return NotImplemented
        if of_class and not isinstance(a, Tensor):  # Tensor.__radd__(2, t): torch's is a slot of its C class
            raise TypeError(f"descriptor '{name}' for 'torch._C.TensorBase' objects doesn't apply to a '{type(a).__name__}' object")
        if not isinstance(b, (Tensor, *_NUMBERS)) and not (of_quotient and isinstance(b, np.ndarray)):
            other = _other(b)
            if other is None:
                return NotImplemented if not of_quotient or b is None else _quotient_of(b, a)
            b = other
        return fn(a, b)

    operate.__name__ = operate.__qualname__ = name
    return operate


def _quotient_of(b: Any, a: Tensor) -> Any:
    """``b / a`` where ``b`` is of a class that may know products with a tensor."""
    try:
        return a.reciprocal() * b
    except TypeError:
        return NotImplemented


def _inplace(name: str, op: Op) -> Callable[..., Any]:
    tensors, numbers = _calls(op, _extra(op))

    def operate(a: Tensor, b: Any) -> Any:
        if a.__class__ in PLAIN and not MODES:
            if b.__class__ in PLAIN:
                return run_inplace(tensors, (a, b))
            if b.__class__ in numbers:
                return run_inplace(numbers[b.__class__], (a, b))
        if has_override((a, b), {}):
            return asked(name, a, b)
        if not isinstance(b, (Tensor, *_NUMBERS)) or (b.__class__ not in numbers and not isinstance(b, Tensor)):
            b = _other(b)
            if b is None:
                return NotImplemented
        return run_inplace(tensors if isinstance(b, Tensor) else numbers[b.__class__], [a, b])

    operate.__name__ = operate.__qualname__ = name
    return operate


# dunder stem -> public operator; those in _INPLACE also have __i...__.
_TABLE = {
    "add": "torch.add", "sub": "torch.sub", "mul": "torch.mul", "truediv": "torch.div", "floordiv": "torch.floor_divide", "mod": "torch.remainder",
    "and": "torch.bitwise_and", "or": "torch.bitwise_or", "xor": "torch.bitwise_xor",
    "lshift": "torch.bitwise_left_shift", "rshift": "torch.bitwise_right_shift",
    "eq": "torch.eq", "ne": "torch.ne", "lt": "torch.lt", "le": "torch.le", "gt": "torch.gt", "ge": "torch.ge", "matmul": "torch.matmul",
}  # fmt: skip
_COMPARE = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
_REFLECT: dict[str, Callable[[Tensor, Any], Any]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "sub": lambda a, b: torch.rsub(a, b),
    "truediv": lambda a, b: torch.div(b, a) if isinstance(a, Tensor) and isinstance(b, Tensor) else a.reciprocal() * b,
    "floordiv": lambda a, b: torch.floor_divide(b, a),
    "mod": lambda a, b: torch.remainder(b, a),
    "and": lambda a, b: torch.bitwise_and(a, b),
    "or": lambda a, b: torch.bitwise_or(a, b),
    "xor": lambda a, b: torch.bitwise_xor(a, b),
    "lshift": lambda a, b: torch.bitwise_left_shift(b, a),
    "rshift": lambda a, b: torch.bitwise_right_shift(b, a),
    "matmul": lambda a, b: torch.matmul(b, a),
    "pow": lambda a, b: torch.pow(b, a),
}


def _function_operator(name: str, public: str) -> Callable[..., Any]:
    fn = getattr(torch, public.rpartition(".")[2])
    tensors = default_call(OPS[public][0], 2)
    of_tensors = public == "torch.matmul"  # no number is a matrix

    def operate(a: Tensor, b: Any) -> Any:
        if tensors is not None and a.__class__ in PLAIN and b.__class__ in PLAIN and not MODES:
            return call2(tensors, a, b)
        if has_override((a, b), {}):
            return asked(name, a, b)
        if not isinstance(b, (Tensor, *_NUMBERS)):
            b = _other(b)
            if b is None:
                return NotImplemented
        return NotImplemented if of_tensors and not isinstance(b, Tensor) else fn(a, b)

    operate.__name__ = operate.__qualname__ = name
    return operate


def attach_operators() -> None:
    """Give Tensor the language's operators."""
    for stem, public in _TABLE.items():
        overloads = OPS.get(public)
        if overloads is None:
            continue
        name = f"__{stem}__"
        first = overloads[0]
        simple = len(first.signatures[0].params) > 1 and first.signatures[0].params[1].kind == "Tensor|Scalar"
        operate = _binary(name, first, stem) if simple else _function_operator(name, public)
        if stem in _COMPARE:
            plain = operate

            def compare(a: Tensor, b: Any, plain: Any = plain, stem: str = stem) -> Any:
                if b.__class__ is np.ndarray and stem == "eq":  # the one operator that takes an array in torch too
                    b = torch.as_tensor(b, device=a.device)
                return plain(a, b) if b is not None else (NotImplemented if stem not in ("eq", "ne") else stem == "ne")

            compare.__name__ = compare.__qualname__ = name
            operate = compare if stem in ("eq", "ne") else plain
        call = _calls(first, _extra(first))[0] if simple else default_call(first, 2)
        setattr(Tensor, name, operate if call is None else short_operator(name, call, operate, PARTS))
        if stem in _REFLECT:
            setattr(Tensor, f"__r{stem}__", _reflected(f"__r{stem}__", _REFLECT[stem]))
        if stem not in _COMPARE and stem != "matmul":
            setattr(Tensor, f"__i{stem}__", _inplace(f"__i{stem}__", first) if simple else _inplace_method(f"__i{stem}__", public))
    Tensor.__pow__ = _pow  # type: ignore[method-assign]
    Tensor.__rpow__ = _reflected("__rpow__", _REFLECT["pow"])  # type: ignore[method-assign]
    Tensor.__ipow__ = _inplace_method("__ipow__", "torch.pow")  # type: ignore[method-assign]
    Tensor.__imatmul__ = lambda a, b: NotImplemented  # type: ignore[method-assign]
    for dunder, fn in {"neg": "neg", "pos": "positive", "abs": "abs"}.items():
        setattr(Tensor, f"__{dunder}__", _unary(f"__{dunder}__", _named(fn)))
    Tensor.__invert__ = _unary("__invert__", _inverted)  # type: ignore[method-assign]
    _pow.__name__, Tensor.__ipow__.__name__, Tensor.__rtruediv__.__name__ = "pow", "pow_", "__rdiv__"
    for name in [*map("__{}__".format, (*_TABLE, "pow", "neg", "pos", "abs", "invert")), *map("__r{}__".format, _REFLECT), *map("__i{}__".format, (*_TABLE, "pow"))]:
        if (found := vars(Tensor).get(name)) is not None:
            found.jtorch_public = found  # it asks by itself
    Tensor.__div__ = Tensor.__truediv__  # type: ignore[method-assign,assignment]
    Tensor.__rdiv__ = Tensor.__rtruediv__  # type: ignore[method-assign]


def _pow(a: Tensor, b: Any, modulus: Any = None) -> Any:
    if modulus is not None:
        return NotImplemented
    if a.__class__ in PLAIN and (b.__class__ in _NUMBERS or b.__class__ in PLAIN) and not MODES:
        return torch.pow(a, b)
    if has_override((a, b), {}):
        return asked("__pow__", a, b)
    if not isinstance(b, (Tensor, *_NUMBERS)):
        b = _other(b)
        if b is None:
            return NotImplemented
    return torch.pow(a, b)


def _inplace_method(name: str, public: str) -> Callable[..., Any]:
    method = public.rpartition(".")[2] + "_"

    def operate(a: Tensor, b: Any) -> Any:
        if not isinstance(b, (Tensor, *_NUMBERS)) and not has_override((a, b), {}) and _other(b) is None:
            return NotImplemented
        return getattr(a, method)(b)

    operate.__name__ = operate.__qualname__ = name
    return operate


def _named(fn: str) -> Callable[[Tensor], Any]:
    return lambda a: getattr(torch, fn)(a)


def _inverted(a: Tensor) -> Any:
    if aval_of(a).dtype.category > 1:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return torch.bitwise_not(a)


def _unary(name: str, fn: Callable[[Tensor], Any]) -> Callable[..., Any]:
    def operate(a: Tensor) -> Any:
        if (a.__class__ not in PLAIN or MODES) and has_override((a,), {}):
            return override(getattr(Tensor, _HEARD.get(name, name)), (a,), {})
        return fn(a)

    operate.__name__ = operate.__qualname__ = name
    return operate


