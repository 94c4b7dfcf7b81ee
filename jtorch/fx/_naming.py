"""Names: of values in generated code, and of functions and classes by the paths that torch has for them."""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import keyword
import re
import types
from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch.nn.functional._c_functions import NATIVE

# Functions of torch.nn.functional that are torch's own C++ functions, by the module that these name as theirs.
_C_FUNCTIONAL = {
    "torch": (
        "adaptive_avg_pool1d avg_pool1d bilinear celu_ channel_shuffle conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d "
        "cosine_similarity hardshrink native_channel_shuffle pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu relu_ rrelu_ selu_ threshold_"
    ),
    "torch._C._nn": " ".join((*NATIVE, "logsigmoid")),
}  # fmt: skip
_C_HOME = {name: home for home, names in _C_FUNCTIONAL.items() for name in names.split()}
_RENAMED = {"logsigmoid": "log_sigmoid"}
_FAMILIES = {"torch.linalg": ("torch._C._linalg", "linalg_"), "torch.fft": ("torch._C._fft", "fft_"), "torch.special": ("torch._C._special", "special_")}


@functools.cache
def _spaces() -> tuple[tuple[str, Any], ...]:
    names = ("torch.nn.functional", "torch.functional", "torch.linalg", "torch.fft", "torch.special", "torch")
    return tuple((name, importlib.import_module("j" + name)) for name in names)


@functools.cache
def library() -> Any:
    """The module that generated code calls ``torch``."""
    return importlib.import_module("jtorch")


def as_torch(module: str) -> str:
    """A module of jtorch by torch's name."""
    return module[1:] if module == "jtorch" or module.startswith("jtorch.") else module


def resolve(path: str) -> Any:
    """What a dotted path below ``torch`` stands for; None if nothing does."""
    found = library()
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


_known: dict[int, tuple[Any, tuple[str, str]]] = {}


def torch_name(fn: Any) -> tuple[str, str] | None:
    """(module, name) that torch gives a public function of its own; None for a function that isn't one."""
    held = _known.get(id(fn))
    if held is not None and held[0] is fn:
        return held[1]
    name = getattr(fn, "__name__", None)
    if not isinstance(name, str):
        return None
    for space, module in _spaces():
        spelled = name.removeprefix(_FAMILIES[space][1]) if space in _FAMILIES else name
        if vars(module).get(spelled) is fn or (space == "torch" and getattr(module, "__dict__", {}).get(name) is fn):
            found = _in_torch(space, spelled)
            _known[id(fn)] = fn, found
            return found
    return None


def _in_torch(space: str, name: str) -> tuple[str, str]:
    if space in _FAMILIES:
        home, prefix = _FAMILIES[space]
        return home, prefix + name
    if space == "torch.nn.functional" and name in _C_HOME:
        return _C_HOME[name], _RENAMED.get(name, name)
    if space == "torch" and name in _C_HOME and hasattr(_spaces()[0][1], name) and _C_HOME[name] == "torch":
        return "torch", name
    return space, name


def is_python_in_torch(fn: Any) -> bool:
    """Whether torch has this function in Python, so that ``__torch_function__`` sees its arguments as its body hands them on."""
    named = torch_name(fn)
    return named is not None and named[0] in ("torch.nn.functional", "torch.functional")


def method_name(fn: Any) -> str | None:
    """The name by which a method of Tensor is called, as torch's ``__torch_function__`` sees it; None if it isn't one."""
    if torch_name(fn) is not None:
        return None
    found = _methods().get(id(fn))
    return None if found is None or found[0] is not fn else _METHODS.get(found[1], found[1])


@functools.cache
def _methods() -> dict[int, tuple[Any, str]]:
    """Tensor's functions by identity; the shortest of several names."""
    pairs = sorted(vars(Tensor).items(), key=lambda item: (item[0].startswith("_"), len(item[0])), reverse=True)
    return {id(value): (value, name) for name, value in pairs if callable(value)}


# torch's operators are the methods without underscores, but for those that only the language has.
_METHODS = {
    "__add__": "add", "__radd__": "add", "__mul__": "mul", "__rmul__": "mul", "__sub__": "sub", "__truediv__": "div", "__matmul__": "matmul", "__neg__": "neg",
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge", "__abs__": "abs", "__invert__": "bitwise_not",
    "__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_", "__mod__": "remainder",
}  # fmt: skip


def get_qualified_name(func: Any) -> str:
    """The dotted path by which code calls a function. RuntimeError for a lambda whose source has no name."""
    name = func.__name__
    if getattr(builtins, name, None) is func:
        return name  # type: ignore[no-any-return]
    if not isinstance(func, type):
        if inspect.getattr_static(Tensor, name, None) is func and torch_name(func) is None:
            return f"torch.Tensor.{name}"
        found = torch_name(func)
        if found is not None:
            return f"{found[0]}.{found[1]}"
    if name == "<lambda>":
        try:
            name = inspect.getsource(func).split("=")[0].strip()
        except Exception as error:
            raise RuntimeError("Unable to represent lambda") from error
    module = func.__module__
    if module is None:
        raise RuntimeError(f"cannot find module for {func}")
    return f"{as_torch(module)}.{name}".replace("torch._ops", "torch.ops")


def _same(found: Any, obj: Any) -> bool:
    """Whether a name stands for an object, or for the same operator under another of its names."""
    return found is obj or (callable(found) and _C_HOME.get(getattr(obj, "__name__", "")) is not None and torch_name(found) == torch_name(obj) is not None)


def in_torch(obj: Any) -> str | None:
    """The path below ``torch`` at which generated code finds this object; None where it has to be handed to the code."""
    module = getattr(obj, "__module__", None)
    if not isinstance(module, str) or not (as_torch(module) == "torch" or as_torch(module).startswith("torch.")):
        return None
    paths = []
    name = getattr(obj, "__name__", None)
    if isinstance(name, str):
        paths += [f"torch.{name}", f"{as_torch(module)}.{name}"]
    try:
        paths.insert(len(paths) if isinstance(obj, type) else 0, get_qualified_name(obj))
    except Exception:  # nameless callables
        pass
    for path in paths:
        if path.startswith("torch.") and _same(resolve(path), obj):
            return path
    found = torch_name(obj)
    if found is not None:  # named as torch names it, where jtorch has it under its public name only
        for space, module_ in _spaces():
            for spelled, value in vars(module_).items():
                if value is obj:
                    return f"{space}.{spelled}"
    return None


def type_repr(obj: Any) -> str:
    """A type as annotations show it."""
    if isinstance(obj, type) and not isinstance(obj, types.GenericAlias):
        if obj.__module__ == "builtins":
            return obj.__qualname__
        return in_torch(obj) or f"{as_torch(obj.__module__)}.{obj.__qualname__}"
    if obj is ...:
        return "..."
    return obj.__name__ if isinstance(obj, types.FunctionType) else repr(obj).replace("jtorch.", "torch.")


_CAMEL = re.compile(r"(?<=[a-z])([A-Z])")
_NOT_IN_NAMES = re.compile("[^0-9a-zA-Z_]+")
_PARTS = re.compile(r"^([a-zA-Z_][0-9a-zA-Z_]*?)(?:_(\d+))?$")
ILLEGAL: dict[str, Any] = {**{word: object() for word in keyword.kwlist}, **vars(builtins)}
"""Names that a value may have only if it is that object."""


def snake_case(text: str) -> str:
    """``maxPool`` as ``max_pool``."""
    return _CAMEL.sub(r"_\1", text).lower()


class Namespace:
    """Unique names, one for each object; none that hides a builtin."""

    def __init__(self) -> None:
        self._obj_to_name: dict[Any, str] = {}
        self._used_names: set[str] = set()
        self._base_count: dict[str, int] = {}

    def create_name(self, candidate: str, obj: Any) -> str:
        """The name of ``obj``: the one it has, else ``candidate``, made legal and with a number at its end where it is taken."""
        if obj is not None and obj in self._obj_to_name:
            return self._obj_to_name[obj]
        parts = _PARTS.match(candidate)
        if parts is None:
            candidate = _NOT_IN_NAMES.sub("_", candidate) or "_unnamed"
            if candidate[0].isdigit():
                candidate = f"_{candidate}"
            parts = _PARTS.match(candidate)
            assert parts is not None, f"Name regex failed to match candidate: {candidate}"
        base, number = parts.group(1, 2)
        if number is None or candidate in self._used_names:
            count = self._base_count.get(base, 0)
            if ILLEGAL.get(candidate, obj) is not obj:
                count += 1
                candidate = f"{base}_{count}"
        else:
            count = int(number)
        while candidate in self._used_names:
            count += 1
            candidate = f"{base}_{count}"
        self._used_names.add(candidate)
        self._base_count[base] = count
        if obj is not None:
            self._obj_to_name[obj] = candidate
        return candidate

    def associate_name_with_obj(self, name: str, obj: Any) -> None:
        """Give an object a name that was made for it. AssertionError if it has one."""
        if self._obj_to_name.setdefault(obj, name) is not name:
            raise AssertionError("obj is already associated")

    def _rename_object(self, obj: Any, name: str) -> None:
        if obj not in self._obj_to_name:
            raise AssertionError(f"Object {obj} is not in _obj_to_name")
        self._obj_to_name[obj] = name
        self._used_names.add(name)


def target_to_str(target: Callable[..., Any] | str) -> str:
    """The name that a node gets from what it calls."""
    if callable(target):
        named = torch_name(target)
        text = named[1] if named is not None and named[1] in _RENAMED.values() else target.__name__
    else:
        text = target[2:-2] if target.startswith("__") and target.endswith("__") else target
    return snake_case(text)
