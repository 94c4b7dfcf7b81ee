"""Writes the type stubs: what an editor, mypy and pyright know of torch's functions and of Tensor, from the declarations themselves.

    python tools/write_stubs.py            # writes the .pyi files
    python tools/write_stubs.py --check    # exit 1 if one is out of date

Operators come from their records (one overload for each published signature), everything else from the annotations in the source. Names that a
stub cannot see become ``Any``.
"""

from __future__ import annotations

import ast
import inspect
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jtorch
from jtorch import _dtypes, _types
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.described_signature import annotation
from jtorch._core.tensor.return_types import TYPES, namedtuple_for
from jtorch._registry import Op, Param, Signature

ROOT = pathlib.Path(jtorch.__file__).parent

# Methods of Tensor and constants of torch are called int, float, bool, ...: in the stubs the types have names of their own.
_BUILTINS = {"int": "_int", "float": "_float", "bool": "_bool", "str": "_str", "complex": "_complex", "bytes": "_bytes"}
_KNOWN = {"Any", "Tensor", "None", "tuple", "list", "dict", "set", "object",  "Sequence", "Callable", "Iterable", "Iterator", "Mapping", "Number", "Literal", "type", *_BUILTINS}
_MODULES = {"_dtypes", "_types", "_device", "np"}
_SPELLED = {"torch.dtype": "_dtypes.dtype", "torch.layout": "_types.layout", "torch.memory_format": "_types.memory_format", "torch.device": "_device.device",
            "torch.Generator": "Generator", "_types.Size": "Size"}  # fmt: skip
# What an argument of this name is, in every function of torch that has it and whose source says no more than Any.
_BY_NAME = {
    "dtype": "_dtypes.dtype | None", "device": "Device", "layout": "_types.layout | None", "memory_format": "_types.memory_format | None",
    "generator": "Generator | None", "out": "Tensor | tuple[Tensor, ...] | None", "stride": "Sequence[_int] | _int", "storage_offset": "_int | None",
}  # fmt: skip

HEAD = '''# Written by tools/write_stubs.py from the declarations: change those, and run it.
# ruff: noqa
import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np

from jtorch import _device, _dtypes, _types
from jtorch._core.state.generator import Generator as Generator
{imports}
_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_str: TypeAlias = builtins.str
_complex: TypeAlias = builtins.complex
_bytes: TypeAlias = builtins.bytes
Number: TypeAlias = _int | _float | _bool | _complex
Device: TypeAlias = _device.device | _str | _int | None
Size: TypeAlias = _types.Size
'''


class _Visible(ast.NodeTransformer):
    """Names that a stub sees; Any for all others."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        text = ast.unparse(node)
        if text in _SPELLED or text.startswith("return_types.") or text.split(".")[0] in _MODULES:
            return ast.parse(_SPELLED.get(text, text), mode="eval").body
        if text.startswith("torch.return_types."):
            return ast.parse(text.removeprefix("torch."), mode="eval").body
        return ast.Name("Any")

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(_BUILTINS.get(node.id, node.id if node.id in _KNOWN else "Any"))


def rendered(text: Any, name: str = "") -> str:
    """An annotation as the stub spells it."""
    if text is inspect.Parameter.empty or text == "Any":
        return _BY_NAME.get(name, "Any")
    if not isinstance(text, str):
        text = getattr(text, "__name__", "Any")
    try:
        return ast.unparse(_Visible().visit(ast.parse(text, mode="eval").body))
    except SyntaxError:
        return "Any"


# --- operators ----------------------------------------------------------------------------------------------------


def _op_params(sig: Signature, method: bool) -> Iterator[str]:
    star, defaulted = False, False
    for i, p in enumerate(sig.params):
        if method and i == 0:
            yield "self"
            continue
        if p.keyword_only and not star:
            star = True
            yield "*"
        defaulted = not p.required or (defaulted and not p.keyword_only)
        yield f"{p.name}: {rendered(annotation(p))}{' = ...' if defaulted else ''}"


def _result(op: Op, inplace: bool) -> str:
    if inplace:
        return "Tensor"
    if op.fields:
        return f"return_types.{namedtuple_for(op).__name__}"
    returns = str(op.fn.__annotations__.get("return", ""))
    return "tuple[Tensor, ...]" if returns.startswith(("tuple", "list")) else "Tensor"


def _last(params: tuple[Param, ...]) -> Param | None:
    return params[-1] if params else None


def operator(name: str, ops: tuple[Op, ...], method: bool, inplace: bool, indent: str) -> list[str]:
    """The lines of one operator: a def for each signature, and one more where a last list of ints may come as separate ints."""
    forms: list[str] = []
    for op in ops:
        result = _result(op, inplace)
        for sig in op.signatures:
            params = list(_op_params(sig, method))
            if not method and not inplace and op.out and "nn.functional" not in op.where:
                given = "Tensor" if not op.fields else "tuple[Tensor, ...] | list[Tensor]"
                params += ["*"] * ("*" not in params) + [f"out: {given} | None = ..."]
            forms.append(f"{indent}def {name}({', '.join(params)}) -> {result}: ...")
            if method:
                forms += _separate(name, sig, method, result, indent)
    return _overloads(forms, indent)


def _separate(name: str, sig: Signature, method: bool, result: str, indent: str) -> list[str]:
    """The form in which the only list of ints comes as separate ints."""
    last = _last(sig.positional)
    if last is None or last.kind != "int[]" or last.size or len(sig.positional) != (2 if method else 1):
        return []
    first = ["self"] if method else []
    rest = [p for p in _op_params(sig, method) if p.split(":")[0] not in ("self", "*", last.name)]
    return [f"{indent}def {name}({', '.join([*first, f'*{last.name}: _int', *rest])}) -> {result}: ..."]


def _overloads(forms: list[str], indent: str) -> list[str]:
    told: dict[tuple[str, ...], str] = {}
    for form in forms:  # what differs only in which parameters are keywords is told by the freer, which comes first
        told.setdefault(tuple(sorted(set(re.split(r", |[()]", form)) - {"*", ""})), form)
    forms = list(told.values())
    return forms if len(forms) == 1 else [line for f in forms for line in (f"{indent}@overload", f)]


# --- functions of Python ------------------------------------------------------------------------------------------


def function(name: str, fn: Callable[..., Any], method: bool, indent: str) -> list[str]:
    """One def, from the annotations in the source."""
    ops = getattr(fn, "jtorch_ops", None)
    if ops is not None:
        return operator(name, ops, method, name.endswith("_") and not name.endswith("__"), indent)
    try:
        sig = inspect.signature(fn)
    except (TypeError, ValueError):
        return [f"{indent}{name}: Any"]
    if (published := getattr(fn, "jtorch_forms", None)) is not None:
        result = rendered(sig.return_annotation)
        forms: list[str] = []
        for form in published:
            forms.append(f"{indent}def {name}({', '.join(_op_params(form, method))}) -> {result}: ...")
            forms += _separate(name, form, method, result, indent)
        return _overloads(forms, indent)
    parts, star, first = [], False, True
    for p in sig.parameters.values():
        if first and method:
            first = False
            parts.append("self" if p.kind is not p.VAR_POSITIONAL else "self, *args: Any")
            continue
        first = False
        text = f"{p.name}: {rendered(p.annotation, p.name)}"
        if p.kind is p.VAR_POSITIONAL:
            star = True
            text = "*" + text
        elif p.kind is p.VAR_KEYWORD:
            text = "**" + text
        elif p.kind is p.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        parts.append(text + ("" if p.default is p.empty else " = ..."))
    return [f"{indent}def {name}({', '.join(parts)}) -> {rendered(sig.return_annotation)}: ..."]


def _tensor() -> str:
    lines = ["class Tensor:", "    _s: Any", "    _view: Any", "    _edge: Any", "    _nr: _int", "    _meta: Any", "    _grad: Any", "    __dict__: dict[_str, Any]"]
    lines.append("    def __init__(self, *args: Any, device: Device = ...) -> None: ...")
    skipped = set(dir(object)) - {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"} | {"__slots__", "__module__", "__weakref__", "__annotations__", "__dict__", "__new__"}
    for name in sorted(dir(Tensor)):
        if name in skipped or (name.startswith("_") and not name.startswith("__")):
            continue
        found = inspect.getattr_static(Tensor, name)
        if isinstance(found, property):
            says = rendered(inspect.signature(found.fget).return_annotation) if found.fget is not None else "Any"
            lines += ["    @property", f"    def {name}(self) -> {_PROPERTIES.get(name, says)}: ..."]
            if found.fset is not None and not hasattr(found.fset, "jtorch_read_only"):
                lines += [f"    @{name}.setter", f"    def {name}(self, value: Any) -> None: ..."]
        elif isinstance(found, (staticmethod, classmethod)):
            lines.append(f"    {name}: Any")
        elif callable(found):
            if name in _COMPARISONS:
                lines.append(f"    def {name}(self, other: Any) -> Tensor: ...  # type: ignore[override]")
            elif name in _RETURNS:
                lines.append(re.sub(r"-> Any", f"-> {_RETURNS[name]}", function(name, found, True, "    ")[0]))
            elif name in _ARITHMETIC:
                lines.append(f"    def {name}(self, other: Tensor | Number | np.ndarray[Any, Any]) -> Tensor: ...")
            else:
                lines += function(name, found, True, "    ")
        elif name == "__hash__":
            lines.append("    def __hash__(self) -> _int: ...")
    lines.append("    def __hash__(self) -> _int: ...")
    return "\n".join(lines) + "\n"


_COMPARISONS = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}
_ARITHMETIC = {f"__{side}{name}__" for side in ("", "r", "i") for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")}
_RETURNS = {"__getitem__": "Tensor", "__iter__": "Iterator[Tensor]"}
_PROPERTIES = {
    "shape": "Size", "grad": "Tensor | None", "data": "Tensor", "requires_grad": "_bool", "is_leaf": "_bool", "T": "Tensor", "mT": "Tensor", "H": "Tensor",
    "mH": "Tensor", "real": "Tensor", "imag": "Tensor", "ndim": "_int", "layout": "_types.layout", "device": "_device.device", "dtype": "_dtypes.dtype",
    "is_cuda": "_bool", "is_sparse": "_bool", "itemsize": "_int", "nbytes": "_int",
}  # fmt: skip


def _functions(space: Any, skip: set[str]) -> list[str]:
    lines: list[str] = []
    for name in sorted(vars(space)):
        found = vars(space)[name]
        if name.startswith("_") or name in skip or name in _KNOWN - {"complex"} or inspect.ismodule(found):
            continue
        if isinstance(found, _dtypes.dtype):
            lines.append(f"{name}: _dtypes.dtype")
        elif isinstance(found, (_types.layout, _types.memory_format, _types.qscheme)):
            lines.append(f"{name}: _types.{type(found).__name__}")
        elif inspect.isclass(found):
            lines.append(f"{name} = Any" if found.__module__.startswith("torch") else _import_of(name, found))
        elif callable(found):
            lines += function(name, found, False, "")
        elif isinstance(found, (int, float, str, bool)) or found is None:
            lines.append(f"{name}: {rendered(type(found).__name__)}" if found is not None else f"{name}: None")
    return lines


def _import_of(name: str, found: type) -> str:
    module = sys.modules.get(found.__module__)
    if module is None or getattr(module, found.__name__, None) is not found or not found.__module__.startswith("jtorch"):
        return f"{name}: Any"
    return f"from {found.__module__} import {found.__name__} as {name}"


def _results() -> str:
    lines: list[str] = []
    for name, kind in sorted(TYPES.items()):
        lines += [f"class {name}(NamedTuple):", *[f"    {f}: Tensor" for f in kind._fields], ""]  # type: ignore[attr-defined]
    return "\n".join(lines)


_OWN = "from jtorch import return_types\n"
_TENSOR = "from jtorch._core.storage.bare_tensor import Tensor as Tensor\n"
_BARE_TAIL = '''
PLAIN: set[type]
born_in: list[int]

class Storage:
    value: Any
    version: _int
    strides: tuple[_int, ...] | None
    host: Any
    ptr: Any
    extra: Any
    born: int
    def __getattr__(self, name: _str) -> Any: ...

class Meta:
    def __getattr__(self, name: _str) -> Any: ...
    def __setattr__(self, name: _str, value: Any) -> None: ...

def new_storage(value: Any, strides: tuple[_int, ...] | None = ...) -> Storage: ...
def new_tensor(value: Any, strides: tuple[_int, ...] | None = ...) -> Tensor: ...
def alias_of(s: Storage, view: Any, cls: type = ...) -> Tensor: ...
def meta_of(t: Tensor) -> Any: ...
'''


def stubs() -> dict[str, str]:
    """Path below the package -> text."""
    for name in ("return_types", "nn", "linalg", "fft", "special", "cond", "vmap", "while_loop"):
        getattr(jtorch, name)
    spaces = {"nn/functional/__init__.pyi": jtorch.nn.functional, "linalg.pyi": jtorch.linalg, "fft.pyi": jtorch.fft, "special.pyi": jtorch.special}
    out = {"_core/storage/bare_tensor.pyi": HEAD.format(imports=_OWN) + "\n" + _tensor() + _BARE_TAIL}
    for path, space in spaces.items():
        out[path] = HEAD.format(imports=_OWN + _TENSOR) + "\n" + "\n".join(_functions(space, {"annotations"})) + "\n"
    out["return_types.pyi"] = HEAD.format(imports=_TENSOR) + "\n" + _results()
    modules = sorted(m.name for m in __import__("pkgutil").iter_modules([str(ROOT)]) if not m.name.startswith("_"))
    skip = {"annotations", "Tensor", "Size", "device", "dtype", "torch", "Generator", *modules}
    body = "\n".join(
        [*[f"from jtorch import {m} as {m}" for m in modules], "from jtorch._dtypes import dtype as dtype", "from jtorch._device import device as device",
         "from jtorch._types import finfo as finfo, iinfo as iinfo, layout as layout, memory_format as memory_format, qscheme as qscheme", "",
         *_functions(jtorch, skip | {"finfo", "iinfo", "layout", "memory_format", "qscheme"}), "__version__: _str", ""]
    )  # fmt: skip
    out["__init__.pyi"] = HEAD.format(imports=_OWN + _TENSOR) + "\n" + body
    return out


def main() -> int:
    """Write or check them all."""
    old = [path for path, text in stubs().items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]
    if "--check" in sys.argv:
        print("\n".join(f"out of date: {path}" for path in old))
        return bool(old)
    for path, text in stubs().items():
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
