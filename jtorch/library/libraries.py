"""``torch.library.Library`` and the functions that register parts of operators."""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jtorch._errors import not_implemented

from .formulas import autograd_of
from .operators import _KEY, REGISTRY, Operator, OpOverload, namespace
from .schema import parse_schema
from .tags import Tag

__all__ = ["Library", "define", "impl", "fallthrough_kernel"]

_RESERVED = ("prim",)
_defined_by: dict[str, str] = {}  # namespace to where its one DEF library was made
_keep_alive: list[Library] = []


def fallthrough_kernel() -> Any:
    """Registered for a key, it says that there is nothing to do there."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def _where(depth: int) -> str:
    frame = sys._getframe(depth + 1)
    return f"registered at {frame.f_code.co_filename}:{frame.f_lineno}"


class Library:
    """Defines operators in a namespace ("DEF" once for each, or "FRAGMENT"), or gives kernels to some ("IMPL", "DEF", "FRAGMENT").

    ValueError for another kind or a reserved namespace; RuntimeError for a second "DEF".
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        if ns in _RESERVED and kind != "IMPL":
            raise ValueError(f"{ns} is a reserved namespace. Please try creating a library with another name.")
        where = _where(1)
        if kind == "DEF":
            if ns in _defined_by:
                raise RuntimeError(
                    f"Only a single TORCH_LIBRARY can be used to register the namespace {ns}; please put all of your definitions in a single TORCH_LIBRARY "
                    "block.  If you were trying to specify implementations, consider using TORCH_LIBRARY_IMPL (which can be duplicated).  If you really "
                    "intended to define operators for a single namespace in a distributed way, you can use TORCH_LIBRARY_FRAGMENT to explicitly indicate "
                    f"this.  Previous registration of TORCH_LIBRARY was {_defined_by[ns]}; latest registration was {where}"
                )
            _defined_by[ns] = where
        self.ns, self.kind, self.dispatch_key, self._at = ns, kind, dispatch_key, where
        self.m: Any = self
        self._op_defs: set[str] = set()
        self._undo: list[Callable[[], None]] = []
        self._finalizer = weakref.finalize(self, _release, ns, kind, where, self._op_defs, self._undo)

    def __repr__(self) -> str:
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})>"

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """A new operator (or overload) of this signature; its name is returned. RuntimeError if there is one."""
        if alias_analysis not in ("", "FROM_SCHEMA", "CONSERVATIVE"):
            raise RuntimeError(f"Invalid alias_analysis type {alias_analysis}")
        parsed = parse_schema(schema)
        if "::" not in parsed.name:
            parsed.name = f"{self.ns}::{parsed.name}"
        overloads = REGISTRY.setdefault(parsed.name, {})
        if parsed.overload_name in overloads:
            raise RuntimeError(
                f"Tried to register an operator ({parsed}) with the same name and overload name multiple times. Each overload's schema should only be "
                f"registered with a single call to def(). Duplicate registration: {_where(1)}. Original registration: {overloads[parsed.overload_name].where}"
            )
        made = overloads[parsed.overload_name] = Operator(parsed, _where(1), (tags,) if isinstance(tags, Tag) else tags)  # type: ignore[misc,arg-type]
        _adopt(made, parsed.name + (f".{parsed.overload_name}" if parsed.overload_name else ""))
        name = schema.split("(")[0].strip()
        self._op_defs.add(f"{parsed.name}.{parsed.overload_name}" if parsed.overload_name else parsed.name)
        return name

    def _operator(self, op_name: Any, api: str) -> Operator:
        if isinstance(op_name, OpOverload):
            return op_name._op
        if not isinstance(op_name, str):
            raise RuntimeError(f"{api} should be passed either a name or an OpOverload object as the first argument, got {type(op_name)}")
        name = op_name if "::" in op_name else f"{self.ns}::{op_name}"
        plain, _, overload = name.partition(".")
        if plain.startswith("aten::") and plain not in REGISTRY:  # torch's own are read when somebody asks for them
            getattr(getattr(importlib.import_module("jtorch.ops").aten, plain.removeprefix("aten::"), None), "_overloads", None)
        # Kernels may come before the definition; they wait for it without a signature.
        return REGISTRY.get(plain, {}).get("" if overload == "default" else overload) or _waiting.setdefault(name, Operator(None))  # type: ignore[arg-type]

    def impl(self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False, allow_override: bool = True) -> None:
        """A kernel for a key (without one: for all devices, made of other operators). RuntimeError if it is not allowed to replace one."""
        if not callable(fn):
            raise TypeError(f"Input function is required to be a callable but found type {type(fn)}")
        op = self._operator(op_name, "impl")
        key = dispatch_key or self.dispatch_key or "CompositeImplicitAutograd"
        if not allow_override and key in op.kernels:
            raise RuntimeError(
                f"This is not allowed since there's already a kernel registered from python overriding {op_name}'s behavior for {key} dispatch key and "
                f"{self.ns} namespace."
            )
        if key == "Meta" and "CompositeImplicitAutograd" in op.kernels:
            raise RuntimeError(
                f"We should not register a meta kernel directly to the operator '{op_name}', because it has a CompositeImplicitAutograd kernel in core. "
                "Instead we should let the operator decompose, and ensure that we have meta kernels for the base ops that it decomposes into."
            )
        if fn is fallthrough_kernel:
            op.kernels.pop(key, None)
            return
        kernel = functools.partial(fn, None) if with_keyset else fn
        before = op.kernels.get(key)
        op.kernels[key] = kernel
        self._undo.append(lambda: op.kernels.__setitem__(key, before) if before else op.kernels.pop(key, None))  # type: ignore[arg-type,func-returns-value]
        if getattr(op, "packet", None) is not None:  # one of torch's own operators: its functions come to the kernel, too
            replaced = importlib.import_module("jtorch.library.replaced")
            if key in replaced.KERNEL_KEYS:
                replaced.begin()
                self._undo.append(replaced.end)

    def fallback(self, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False) -> None:
        """Kernels for all operators: only of namespace "_", and only to fall through."""
        if self.ns != "_":
            raise RuntimeError(f'Fallback can only be registered using library fragment on the global namespace "_" but it is {self.ns}')
        if fn is not fallthrough_kernel:
            not_implemented("torch.library.Library.fallback", "a mode or __torch_function__ sees every call")

    def _register_fake(self, op_name: Any, fn: Callable[..., Any], _stacklevel: int = 1, *, allow_override: bool = True) -> None:
        op = self._operator(op_name, "register_fake")
        before, op.fake = op.fake, fn
        self._undo.append(lambda: setattr(op, "fake", before))

    def _destroy(self) -> None:
        """Take back all that was registered through this object."""
        self._finalizer()
        self.m = None


_waiting: dict[str, Operator] = {}


def _release(ns: str, kind: str, where: str, defs: set[str], undo: list[Callable[[], None]]) -> None:
    if kind == "DEF" and _defined_by.get(ns) == where:
        del _defined_by[ns]
    for each in reversed(undo):
        each()
    for qualname in defs:
        name, _, overload = qualname.partition(".")
        REGISTRY.get(name, {}).pop(overload, None)
        if not REGISTRY.get(name, {1: 1}):
            del REGISTRY[name]
        namespace(ns).__dict__.pop(name.partition("::")[2], None)


def _adopt(op: Operator, name: str) -> None:
    """Give an operator that is defined now the kernels that came before it."""
    early = _waiting.pop(name, None)
    if early is not None:
        op.kernels.update(early.kernels)
        op.fake = op.fake or early.fake


@contextlib.contextmanager
def _scoped_library(*args: Any, **kwargs: Any) -> Iterator[Library]:
    """A Library that is taken back at the end."""
    lib = Library(*args, **kwargs)
    try:
        yield lib
    finally:
        lib._destroy()


def parse_namespace(qualname: str) -> tuple[str, str]:
    """``ns::name`` in two. ValueError for anything else."""
    parts = qualname.split("::")
    if len(parts) != 2:
        raise ValueError(f"Expected `qualname` to be of the form " f'"namespace::name", but got {qualname}. The qualname passed to the torch.library APIs must consist of a namespace and a name, e.g. aten::sin')
    return parts[0], parts[1]


def library_for(namespace: str, lib: Library | None) -> Library:
    """The one given, or a new one that stays."""
    if lib is None:
        lib = Library(namespace, "FRAGMENT")
        _keep_alive.append(lib)
    return lib


def define(qualname: Any, schema: str, alias_analysis: str = "", *, lib: Library | None = None, tags: Any = ()) -> Any:
    """A new operator ``ns::name`` of a signature without name, ``"(Tensor x) -> Tensor"``. ValueError for other forms.

    With a Library in the first place a decorator: the operator is defined and the function is its kernel.
    """
    if isinstance(qualname, Library):

        def wrap(f: Callable[..., Any]) -> Callable[..., Any]:
            qualname.impl(qualname.define(schema, alias_analysis), f)
            return f

        return wrap
    if not isinstance(qualname, str):
        raise ValueError(f"define(qualname, schema): expected qualname to be instance of str, got {type(qualname)}")
    namespace, name = parse_namespace(qualname)
    if not re.fullmatch(r"\(.*\) -> .*", schema):
        raise ValueError(f'define(qualname, schema, ...): expected schema to look like e.g. "(Tensor x) -> Tensor" but got "{schema}"')
    library_for(namespace, lib).define(name + schema, tags=tags)
    return None


_DISPATCH_KEYS = re.compile(
    r"(CPU|CUDA|HIP|XLA|MPS|XPU|HPU|Lazy|MTIA|MAIA|PrivateUse1|Meta|Autograd\w*|Autocast\w*|Composite\w+|BackendSelect|Python\w*|FuncTorch\w+|Functionalize|"
    r"ADInplaceOrView|Sparse\w*|Quantized\w*|NestedTensor\w*|MkldnnCPU|Tracer|Conjugate|Negative|ZeroTensor|Undefined|Dense)"
)


def _keys(types: str | Sequence[str]) -> list[str]:
    out = []
    for each in (types,) if isinstance(types, str) else types:
        if _DISPATCH_KEYS.fullmatch(each):
            out.append(each)
        elif each == "default":
            out.append("CompositeExplicitAutograd")
        elif each in _KEY or each in ("mps", "xpu", "hpu", "mtia"):
            out.append(_KEY.get(each, each.upper()))
        else:
            raise RuntimeError(f"Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: {each}")
    return out


def impl(qualname: Any, types: Any, func: Any = None, *, lib: Library | None = None) -> Any:
    """A kernel of ``ns::name`` for device types ("cpu", "cuda", "default") or dispatch keys; without ``func`` a decorator.

    With a Library in the first place: ``impl(lib, name, dispatch_key)``, a decorator.
    """
    if isinstance(qualname, Library):

        def wrap(f: Callable[..., Any]) -> Callable[..., Any]:
            qualname.impl(types, f, func or "")
            return f

        return wrap
    keys = _keys(types)

    def register(f: Callable[..., Any]) -> None:
        owner = library_for(parse_namespace(qualname)[0], lib)
        for key in keys:
            owner.impl(qualname, f, key)

    return register if func is None else register(func)


def overload_of(op: Operator) -> OpOverload:
    """The object that programs call."""
    if op.overload is None:
        space, name = parse_namespace(op.schema.name)
        getattr(getattr(namespace(space), name), op.schema.overload_name or "default")
    assert op.overload is not None
    return op.overload


def set_formula(op: Operator, backward: Any, setup_context: Any) -> None:
    """The derivative of an operator that is not a CustomOpDef."""
    if op.schema.is_mutable or op.schema._is_view_op():
        raise RuntimeError(
            f"Cannot register autograd formula for non-functional operator {overload_of(op)} with schema {op.schema}. Please create a functional operator "
            "and register an autograd formula for that."
        )
    op.autograd = autograd_of(overload_of(op), lambda: backward, lambda: setup_context)
