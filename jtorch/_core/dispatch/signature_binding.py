"""From a call's arguments to an operator's descriptors, with torch's TypeErrors where they do not fit."""

from __future__ import annotations

import numbers

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from jtorch._core.storage.view_steps import aval_of
from jtorch import _device, _dtypes, _types
from jtorch._errors import warn, warn_always
from jtorch._engine.recording.call import T, slot, tensor_list, value
from jtorch._registry import REQUIRED, Op, Param, Signature

from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["bind", "descriptors", "no_overload", "numbers_first", "sizes_given", "Mismatch"]


class Mismatch(Exception):
    """This signature does not take these arguments; the text is torch's for the case of a single signature."""


class Unfit(Mismatch):
    """As a list's first element says, this signature is meant, but another element is no int: torch looks at the others when the signature is chosen."""


class Omitted:
    """The default of a runtime scalar that a call did not give: it will not change, so it is part of the structure."""

    __slots__ = ("value",)

    def __init__(self, number: Any) -> None:
        self.value = number


SLOT_KINDS = frozenset(("Scalar", "Tensor|Scalar", "index"))


def bind(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], method: bool = False) -> tuple[tuple[Any, ...], list[Any], Signature]:
    """(descriptors, tensors and numbers in order, signature). TypeError as torch words it."""
    if len(op.signatures) == 1:
        sig = op.signatures[0]
        try:
            values = _match(sig, args, kwargs, method)
        except Mismatch as error:
            raise TypeError(str(error)) from None
        key, flat = _describe(op, sig, values)
        return key, flat, sig
    for sig in op.signatures:
        try:
            values = _match(sig, args, kwargs, method)
        except Unfit as error:
            raise TypeError(str(error)) from None
        except Mismatch:
            continue
        key, flat = _describe(op, sig, values)
        return key, flat, sig
    raise TypeError(no_match(op.signatures[0].shown, [(op, s) for s in op.signatures], args, kwargs, method))


def descriptors(op: Op, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any]]:
    """As :func:`bind` for an internal call whose arguments are known to fit the first signature, all given in order."""
    sig = op.signatures[0]
    full = list(args) + [p.default for p in sig.params[len(args) :]]
    return _describe(op, sig, full)


def _describe(op: Op, sig: Signature, values: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    by_name = dict(zip([p.name for p in sig.params], values, strict=True))
    key: list[Any] = []
    flat: list[Any] = []
    for fp in op.fn_params:
        p = sig.by_name.get(fp.name)
        if p is None:
            key.append(value(fp.default))
            continue
        v, kind = by_name[fp.name], p.kind
        if v is None:
            key.append(_NONE)
        elif v.__class__ is Omitted:
            key.append(value(v.value))
        elif kind == "Tensor" or (kind == "Tensor|Scalar" and isinstance(v, Tensor)):
            key.append(T)
            flat.append(v)
        elif kind in SLOT_KINDS:
            if isinstance(v, Tensor):
                v = v.item()
            key.append(slot(v.__class__))
            flat.append(v)
        elif kind == "Tensor[]" or kind == "Tensor?[]":
            key.append(tensor_list([x is not None for x in v]))
            flat += [x for x in v if x is not None]
        elif kind == "index[]":
            key.append(tensor_list((True,) * len(v)))
            flat += v
        else:
            key.append(value(v))
    return tuple(key), flat


_NONE = value(None)


def _match(sig: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], method: bool) -> list[Any]:
    positional = sig.positional
    if len(args) > len(positional):
        # x.f(2, 3) for the only parameter, an int[]: torch takes all as the list.
        if method and len(positional) == 2 and positional[-1].kind == "int[]" and is_int_list(args[len(positional) - 1 :]):
            args = (*args[: len(positional) - 1], tuple(args[len(positional) - 1 :]))
        else:
            raise Mismatch(_too_many(sig, args, method))
    out: list[Any] = []
    used = 0
    missing: list[str] = []
    for i, p in enumerate(sig.params):
        if i < len(args) and not p.keyword_only:
            if p.name in kwargs:
                raise Mismatch(f"{sig.shown}() got multiple values for argument '{p.name}'")
            v = args[i]
        elif p.name in kwargs:
            v = kwargs[p.name]
            used += 1
        elif (other := _SYNONYMS.get(p.name)) is not None and other in kwargs:
            v = kwargs[other]
            used += 1
        elif p.default is REQUIRED:
            if p.optional and p.keyword_only:
                v = None
            else:
                missing.append(p.name)
                continue
        else:
            out.append(Omitted(p.default) if p.kind in SLOT_KINDS and p.default is not None else p.default)
            continue
        named = i >= len(args) or p.keyword_only
        if p.kind == "int[]" and not p.size and _is_int(v) and (named or not method or len(positional) != 2):  # a single int is a list where it might be one of several
            raise Mismatch(_wrong(sig, p, v, -1 if named else i, method))
        out.append(_convert(sig, p, v, -1 if named else i, method))
    if missing:
        quoted = ", ".join(f'"{m}"' for m in missing)
        raise Mismatch(f"{sig.shown}() missing {len(missing)} required positional arguments: {quoted}")
    if used < len(kwargs):
        for k in kwargs:
            if k not in sig.by_name and FROM_NUMPY.get(k) not in sig.by_name:
                if method and len(sig.params) == 1:
                    raise Mismatch(f"TensorBase.{sig.shown}() takes no keyword arguments")
                raise Mismatch(f"{sig.shown}() got an unexpected keyword argument '{k}'")
    return [x.number() if x.__class__ is _Looked else x for x in out]


class _Looked:
    """A tensor where a number is asked for. It is looked at once it is known that the signature is the one: it may have no value to look at."""

    __slots__ = ("tensor", "kind")

    def __init__(self, tensor: Any, kind: Any = None) -> None:
        self.tensor, self.kind = tensor, kind

    def number(self) -> Any:
        found = self.tensor.item()
        return found if self.kind is None else self.kind(found)


def numbers_first(overloads: list[Op], args: tuple[Any, ...], kwargs: dict[str, Any], method: bool, suffix: str = "") -> tuple[Op, Any, Any, Signature] | None:
    """The deprecated overload that takes the arguments, as ``select`` returns it."""
    for op in overloads:
        for sig in op.numbers_first:
            if method:  # the tensor itself comes first
                params = sorted(sig.params, key=lambda p: p.name != "input")
                sig = Signature(sig.name, tuple(params))
            try:
                values = _match(sig, args, kwargs, method)
            except Mismatch:
                continue
            _warn_numbers_first(op, sig, method, suffix)
            return op, *_describe(op, sig, values), sig
    return None


_numbers_first: list[Op] = []  # who was warned of: one in a process, whichever it is


def _warn_numbers_first(op: Op, sig: Signature, method: bool, suffix: str) -> None:
    if not _numbers_first or warn_always[0]:
        _numbers_first.append(op)
        better = "".join(f"\t{s.name}{suffix}{s.text(method, bool(op.out) and not method)}\n" for s in op.signatures)
        warn(
            f"This overload of {sig.name}{suffix} is deprecated:\n\t{sig.name}{suffix}{sig.text(method, bool(op.out) and not method)}\nConsider using one of the following signatures instead:\n{better}"
            "(Triggered internally at python_arg_parser.cpp.)"
        )


# numpy's names for the same arguments, which torch also takes.
_SYNONYMS = {"dim": "axis", "keepdim": "keepdims", "input": "x", "other": "x2"}
FROM_NUMPY = {theirs: ours for ours, theirs in _SYNONYMS.items()}


def _too_many(sig: Signature, args: tuple[Any, ...], method: bool) -> str:
    shift = 1 if method else 0
    n, given = len(sig.positional) - shift, len(args) - shift
    if n == 0 and len(sig.params) == shift:
        return f"{'TensorBase.' if method else ''}{sig.shown}() takes no arguments ({given} given)"
    required = sum(p.required for p in sig.positional) - shift
    if n == 0:  # those that are asked for by name are counted, too
        required = sum(p.default is REQUIRED for p in sig.params) - shift
    return f"{sig.shown}() takes {'from ' + str(required) + ' to ' + str(n) if required != n else n} positional argument{'s' if n != 1 else ''} but {given} {'were' if given != 1 else 'was'} given"


def _is_int(v: Any) -> bool:
    return isinstance(v, (int, np.integer)) and not isinstance(v, bool) or _is_int_tensor(v)


def is_int_list(values: Any) -> bool:
    """Whether torch's parser takes a sequence for a list of ints: it asks its first element alone."""
    return not values or _is_int(values[0])


def int_list(name: str, argument: str, word: str, values: Any) -> tuple[int, ...]:
    """The ints of what :func:`is_int_list` holds for. Bools are ints behind the first place. Unfit in torch's words for what is none."""
    out = []
    for k, v in enumerate(values):
        if not isinstance(v, int) and not _is_int(v):
            raise Unfit(f"{name}(): argument '{argument}' failed to unpack the object at pos {k + 1} with error \"type must be {word},but got {type_name(v)}\"")
        out.append(v.item() if isinstance(v, Tensor) else int(v))
    return tuple(out)


def no_overload(name: str, args: Sequence[Any], *overloads: str) -> NoReturn:
    """TypeError as torch's parser words it where several overloads were tried."""
    raise TypeError(f"{name}() received an invalid combination of arguments - got ({', '.join(map(type_name, args))}), but expected one of:\n" + "\n".join([f" * {o}" for o in overloads]))


def sizes_given(name: str, argument: str, given: Any, position: int = 1, alone: bool = True) -> tuple[int, ...]:
    """A list of ints as a function that binds its own arguments is given it (where ``alone``, a single int too): where ``given`` is none, TypeError in torch's words."""
    if isinstance(given, (tuple, list)):
        if is_int_list(given):
            try:
                return int_list(name, argument, "tuple of ints", given)
            except Unfit as error:
                raise TypeError(str(error)) from None
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, but found element of type {type_name(given[0])} at pos 0")
    if alone and _is_int(given):
        return (int(given),)
    raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, not {type_name(given)}")


def _is_int_tensor(v: Any) -> bool:
    return isinstance(v, Tensor) and aval_of(v).dtype.category == 1 and _numel(v) == 1


def is_number_tensor(v: Any) -> bool:
    """Whether a tensor may stand where torch asks for a number: it has no dims, and no gradient would be lost."""
    return isinstance(v, Tensor) and not aval_shape(v) and not v.requires_grad


def _convert(sig: Signature, p: Param, v: Any, i: int, method: bool) -> Any:
    """A value as its parameter wants it, or Mismatch."""
    if v is None:
        if p.default == ():  # a list that is empty by default
            return ()
        if p.optional or p.default is None:
            return None
        raise Mismatch(_wrong(sig, p, v, i, method))
    kind = p.kind
    if kind == "Tensor":
        if isinstance(v, Tensor):
            return v
    elif kind == "Tensor|Scalar":
        if isinstance(v, Tensor):
            return v
        if not (method and i == 0) and (x := number_of(v)) is not None:
            return x
    elif kind in ("Scalar", "Number"):
        if (x := number_of(v)) is not None:
            return x
        if is_number_tensor(v):
            return _Looked(v)
    elif kind == "int" or kind == "index":
        if isinstance(v, (int, np.integer)) and not isinstance(v, bool):
            return int(v)
        if is_number_tensor(v) and _is_int_tensor(v):
            return _Looked(v)
        if not isinstance(v, (bool, float, str, Tensor)) and hasattr(v, "__index__"):
            return v.__index__()
    elif kind == "bool":
        if isinstance(v, (bool, np.bool_)):
            return bool(v)
    elif kind == "float":
        if isinstance(v, (int, float, np.integer, np.floating)):
            return float(v)
        if is_number_tensor(v):
            return _Looked(v, float)
    elif kind in ("int[]", "index[]"):
        if isinstance(v, (tuple, list)) or v.__class__.__name__ == "Size":
            if is_int_list(v):
                return int_list(sig.shown, p.name, p.word, v)
            if not method and i >= 0:
                raise Mismatch(f"{sig.shown}(): argument '{p.name}' (position {i + 1}) must be {p.word}, but found element of type {type_name(v[0])} at pos 0")
        elif _is_int(v):
            return (int(v),) * (p.size or 1)
    elif kind in ("Tensor[]", "Tensor?[]"):
        if isinstance(v, (tuple, list)):
            for k, x in enumerate(v):
                if not isinstance(x, Tensor) and not (x is None and kind == "Tensor?[]"):
                    raise Mismatch(f"expected Tensor as element {k} in argument {sig.params.index(p)}, but got {type(x).__name__}")
            return tuple(v)
    elif kind == "dtype":
        if isinstance(v, _dtypes.dtype):
            return v
        if v.__class__ is type and v in _dtypes.OF_CLASS:
            return _dtypes.OF_CLASS[v]
    elif kind == "device":
        if isinstance(v, (_device.device, str, int)) and not isinstance(v, bool):
            return _device.device(v)
    elif kind == "str":
        if isinstance(v, str):
            return v
    elif kind in ("float[]", "Scalar[]", "Number[]"):
        if isinstance(v, (tuple, list)) and all(number_of(x) is not None for x in v):
            return tuple(number_of(x) for x in v)
        if p.size and number_of(v) is not None:
            return (number_of(v),) * p.size
    elif kind == "bool[]":
        if isinstance(v, (tuple, list)):
            return tuple(bool(x) for x in v)
    elif kind in ("any", "layout", "memory_format", "Generator"):
        return v
    raise Mismatch(_wrong(sig, p, v, i, method))


def aval_shape(t: Tensor) -> tuple[int, ...]:
    return aval_of(t).shape


def _numel(t: Tensor) -> int:
    n = 1
    for d in aval_shape(t):
        n *= d
    return n


def number_of(v: Any) -> Any:
    """A Python number, numpy's scalars included; None if it is none."""
    if isinstance(v, (bool, int, float, complex)):
        return v if v.__class__ in _NUMBERS else _plain(v)
    if isinstance(v, np.generic) and isinstance(v, (numbers.Number, np.bool_, np.number)):
        return int(v) if isinstance(v, np.integer) else float(v)  # type: ignore[arg-type]  # numpy.bool_ and complex64 too: what is no number of Python is read as float
    return None


_NUMBERS = frozenset((bool, int, float, complex))


def _plain(v: Any) -> Any:
    kinds: tuple[type, ...] = (bool, int, float, complex)
    for kind in kinds:
        if isinstance(v, kind):
            return kind(v)
    return None


def type_name(v: Any) -> str:
    """What C++'s messages call the class of ``v``: torch's own and numpy's with their module."""
    name = type(v).__name__
    return "Tensor" if v.__class__ is Tensor else f"torch.{name}" if isinstance(v, _NAMED) else f"torch.storage.{name}" if name == "UntypedStorage" else f"numpy.{name}" if type(v).__module__ == "numpy" else name


_NAMED = (_dtypes.dtype, _device.device, _types.layout, _types.memory_format, _types.qscheme)


def _wrong(sig: Signature, p: Param, v: Any, i: int, method: bool) -> str:
    where = "" if p.keyword_only or i < 0 else f" (position {i + (0 if method else 1)})"
    got = _list_name(v) if isinstance(v, (tuple, list)) else type_name(v)
    return f"{sig.shown}(): argument '{p.name}'{where} must be {p.word}, not {got}"


def _list_name(v: Any) -> str:
    return type(v).__name__


def no_match(name: str, signatures: list[tuple[Op, Signature]], args: tuple[Any, ...], kwargs: dict[str, Any], method: bool) -> str:
    """torch's text when no overload takes the arguments: that of the only one that takes as many, if there is one."""
    given = len(args) + len(kwargs)
    plausible = [s for op, s in signatures if sum(p.default is REQUIRED for p in s.params) <= given <= len(s.params) + (bool(op.out) and not method)]
    if len(plausible) == 1 and (len(signatures) == 1 or all(p.kind != "Tensor|Scalar" for p in plausible[0].params)):  # which are several of torch's
        try:
            _match(plausible[0], args, kwargs, method)
        except Mismatch as error:
            return named(str(error), plausible[0].shown, name)
    shown = args[1:] if method else args
    got = ", ".join([_shown_type(a) for a in shown] + [f"{k}={_shown_type(v) if shown else type_name(v)}" for k, v in kwargs.items()]) + ("" if shown or not kwargs else ", ")
    lines = "".join(f" * {s.text(method, _shows_out(op, s, len(signatures), method))}\n" for op, s in signatures)
    return f"{name}() received an invalid combination of arguments - got ({got}), but expected one of:\n{lines}"


def named(text: str, shown: str, name: str) -> str:
    """An error's text with the name that was called (``add_``) for the operator's."""
    return text if shown == name else text.replace(f"{shown}(", f"{name}(", 1)


def _shows_out(op: Op, sig: Signature, overloads: int, method: bool) -> bool:
    """The form of a reduction over everything has no ``out`` beside the one with dims."""
    return bool(op.out) and not method and not (overloads > 1 and len(sig.positional) == 1)


def _shown_type(v: Any) -> str:
    if isinstance(v, (tuple, list)):
        inner = ", ".join(type_name(x) for x in v)
        return f"{type(v).__name__} of [{inner}]" if isinstance(v, list) else f"tuple of ({inner}{',' if len(v) == 1 else ''})"
    return type_name(v)
