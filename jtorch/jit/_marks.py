"""What programs say to the script compiler: here nothing is compiled to another language, so these keep what they are given and answer what is so."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import typing
import warnings
from typing import Any, Final, Union

__all__ = [
    "Attribute", "Final", "FunctionModifiers", "annotate", "boolean_dispatch", "export", "ignore", "interface", "is_ignored_fn", "is_scripting",
    "module_has_exports", "unused",
]  # fmt: skip


class FunctionModifiers:
    """What is said of a function, in its ``_torchscript_modifier``."""

    UNUSED = "unused (ignored and replaced with raising of an exception)"
    IGNORE = "ignore (leave as a call to Python, cannot be torch.jit.save'd)"
    EXPORT = "export (compile this function even if nothing calls it)"
    DEFAULT = "default (compile if called from a exported function / forward)"
    COPY_TO_SCRIPT_WRAPPER = "if this method is not scripted, copy the python method onto the scripted model"
    _DROP = "_drop (function is fully ignored, declaration can be unscriptable)"


def _marked(fn: Any, modifier: str) -> Any:
    fn._torchscript_modifier = modifier
    return fn


def export(fn: Any) -> Any:
    """A method that the scripted module has too."""
    return _marked(fn, FunctionModifiers.EXPORT)


def unused(fn: Any) -> Any:
    """A method (or property) that scripted code does not use."""
    if isinstance(fn, property):
        for part in (fn.fget, fn.fset):
            if part is not None:
                _marked(part, FunctionModifiers.UNUSED)
        return fn
    return _marked(fn, FunctionModifiers.UNUSED)


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A method that stays a call of Python; with ``drop`` one that is not used."""
    if callable(drop):
        return _marked(drop, FunctionModifiers.IGNORE)
    if not isinstance(drop, bool):
        raise RuntimeError(f"Argument to @torch.jit.ignore must be a bool or a function but got {drop}")
    if kwargs.pop("drop_on_export", None):
        warnings.warn(
            "ignore(drop_on_export=True) has been deprecated. TorchScript will now drop the function call on compilation. Use torch.jit.unused now. {}",
            category=FutureWarning, stacklevel=2,
        )  # fmt: skip
        drop = True
    return lambda fn: _marked(fn, FunctionModifiers.UNUSED if drop else FunctionModifiers.IGNORE)


def _copy_to_script_wrapper(fn: Any) -> Any:
    return _marked(fn, FunctionModifiers.COPY_TO_SCRIPT_WRAPPER)


def _drop(fn: Any) -> Any:
    return _marked(fn, FunctionModifiers._DROP)


def modifier_of(fn: Any) -> str:
    """What is said of a function."""
    fn = getattr(fn, "__func__", fn)
    return getattr(fn, "_torchscript_modifier", FunctionModifiers.DEFAULT)


def is_ignored_fn(fn: Any) -> bool:
    """Whether scripted code leaves the function to Python."""
    return modifier_of(fn) in (FunctionModifiers.UNUSED, FunctionModifiers.IGNORE, FunctionModifiers._DROP)


def should_drop(fn: Any) -> bool:
    """Whether scripted code does not use the function."""
    return modifier_of(fn) in (FunctionModifiers.UNUSED, FunctionModifiers._DROP)


def module_has_exports(mod: Any) -> bool:
    """Whether a method is marked by :func:`export`."""
    return any(modifier_of(value) == FunctionModifiers.EXPORT for cls in type(mod).__mro__ for value in vars(cls).values() if inspect.isfunction(value))


def is_scripting() -> bool:
    """False: functions run as the Python they are."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """``the_value``."""
    return the_value


class Attribute(typing.NamedTuple):
    """A value with a type, for a module's attribute."""

    value: Any
    type: Any


def interface(obj: Any) -> Any:
    """A class that only says what methods there are. RuntimeError for anything else."""
    if not inspect.isclass(obj):
        raise RuntimeError("interface must be applied to a class")
    obj.__torch_script_interface__ = True  # type: ignore[attr-defined]
    return obj


_overloaded: dict[str, list[Any]] = {}


def _qualified(fn: Any) -> str:
    return f"__torch__.{fn.__module__}.{fn.__qualname__}"


def _overload(func: Any) -> Any:
    """One of several declarations of a function; the implementation follows."""
    _overloaded.setdefault(_qualified(func), []).append(func)
    return func


_overload_method = _overload


def _get_fn_overloads(qual_name: str) -> list[Any] | None:
    return _overloaded.get(qual_name)


def _clear_fn_overloads(qual_name: str) -> None:
    del _overloaded[qual_name]


def boolean_dispatch(arg_name: str, arg_index: int, default: bool, if_true: Any, if_false: Any, module_name: str, func_name: str) -> Any:
    """A function that is one of two by a flag among its arguments."""

    @functools.wraps(if_true if if_false.__doc__ is None else if_false)
    def fn(*args: Any, **kwargs: Any) -> Any:
        flag = kwargs[arg_name] if arg_name in kwargs else args[arg_index] if arg_index < len(args) else default
        return (if_true if flag else if_false)(*args, **kwargs)

    fn.__name__, fn.__module__ = func_name or fn.__name__, module_name or fn.__module__
    return fn


class _IgnoreContextManager(contextlib.AbstractContextManager):  # type: ignore[type-arg]
    def __init__(self, **kwargs: Any) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_CONTAINERS: dict[Any, str] = {list: "List", dict: "Dict", tuple: "Tuple", typing.Optional: "Optional"}


def _isinstance(obj: Any, target_type: Any) -> bool:
    """``isinstance`` that looks into containers: ``list[int]``, ``dict[str, Tensor]``, ``Optional[int]``, tuples of types."""
    if isinstance(target_type, tuple):
        return any(_isinstance(obj, each) for each in target_type)
    origin, args = typing.get_origin(target_type), typing.get_args(target_type)
    bare = target_type if origin is None else origin
    if not args and bare in _CONTAINERS:
        name = _CONTAINERS[bare]
        raise RuntimeError(
            f"Attempted to use {name} without a contained type. Please add a contained type, e.g. {name}[{'int, int' if name == 'Dict' else 'int'}]"
        )
    if origin is None:
        return target_type is Any or isinstance(obj, type(None) if target_type is None else target_type)
    if origin in (Union, types.UnionType):
        return any(_isinstance(obj, a) for a in args)
    if not isinstance(obj, origin):
        return False
    if origin is list:
        return all(_isinstance(v, args[0]) for v in obj)
    if origin is dict:
        return all(_isinstance(k, args[0]) and _isinstance(v, args[1]) for k, v in obj.items())
    if origin is tuple:
        return len(obj) == len(args) and all(_isinstance(v, a) for v, a in zip(obj, args, strict=True))
    return True


def isinstance_(obj: Any, target_type: Any) -> bool:
    """``torch.jit.isinstance``."""
    if not obj and isinstance(obj, (list, dict, tuple)) and typing.get_args(target_type):
        warnings.warn(
            "The inner type of a container is lost when calling torch.jit.isinstance in eager mode. For example, List[int] would become list and therefore "
            "falsely return True for List[float] or List[str]."
        )
    return _isinstance(obj, target_type)
