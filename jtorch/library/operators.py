"""Operators by name: what is registered of each, how a call finds its kernel, and ``torch.ops`` over it.

A call goes where torch's dispatcher sends it: to an argument's ``__torch_function__``, to autocast's cast, to the autograd formula where gradients are
recorded, and then to the kernel of the arguments' device (or the one for all devices).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.graph.grad_modes import enable_grad
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.lanes import LOOKED_AT
from jtorch._engine.values.thread_state import GRAD, state
from jtorch.autograd.vmap_rules import by_lane, by_rule, level_of

from .binding import bind
from .schema import FunctionSchema

__all__ = ["Operator", "OpOverload", "OpOverloadPacket", "OpNamespace", "REGISTRY", "below_autograd", "find", "namespace", "set_namespace"]


class _Below(threading.local):
    autograd = False


_below = _Below()


@contextmanager
def below_autograd() -> Iterator[None]:
    """Inside, calls go past autograd formulas to the kernels (``torch._C._AutoDispatchBelowAutograd``)."""
    before, _below.autograd = _below.autograd, True
    try:
        yield
    finally:
        _below.autograd = before


class Operator:
    """One overload: its signature, and what was registered for it."""

    def __init__(self, schema: FunctionSchema, where: str = "", tags: Any = ()) -> None:
        self.schema = schema
        self.where, self.tags = where, list(tags)
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.fake: Callable[..., Any] | None = None
        self.autograd: Callable[..., Any] | None = None  # (overload, args, kwargs) -> result, recording its own node
        self.vmap: Callable[..., Any] | None = None
        self.autocast: dict[str, Any] = {}
        self.dispatch_rules: dict[Any, Callable[..., Any]] = {}
        self.overload: OpOverload | None = None
        self.owner: Any = None  # the CustomOpDef, if it is one


REGISTRY: dict[str, dict[str, Operator]] = {}
"""``ns::name`` to its overloads; the one without a name is ""."""


def find(qualname: str) -> Operator:
    """The operator of ``ns::name`` or ``ns::name.overload``. AttributeError if there is none."""
    name, _, overload = qualname.partition(".")
    try:
        return REGISTRY[name]["" if overload == "default" else overload]
    except KeyError:
        raise AttributeError(f"'_OpNamespace' '{name.partition('::')[0]}' object has no attribute '{name.partition('::')[2]}'") from None


frames: list[Any] = []
"""The operators that are being offered to a ``__torch_dispatch__`` and whose inputs require grad: there, the operator itself records its history and nothing else does."""


NO_MATCH = "Overloaded torch operator invoked from Python failed to match any schema:"
_KEY = {"cpu": "CPU", "cuda": "CUDA", "meta": "Meta", "xla": "XLA", "tpu": "XLA"}


def tensors_in(args: Any, kwargs: dict[str, Any]) -> list[Any]:
    """The tensors among arguments, those in lists too."""
    found: list[Any] = []
    for a in (*args, *kwargs.values()):
        if isinstance(a, Tensor):
            found.append(a)
        elif isinstance(a, (list, tuple)):
            found += [x for x in a if isinstance(x, Tensor)]
    return found


def device_of(args: Any, kwargs: dict[str, Any], given: list[Any]) -> str:
    """The kind of device that a call is for."""
    kinds = {t.device.type for t in given}
    if "meta" in kinds:
        return "meta"
    for kind in kinds - {"cpu"}:
        return kind  # type: ignore[no-any-return]
    if not given:
        for a in (*args, *kwargs.values()):
            if hasattr(a, "type") and hasattr(a, "index") and not isinstance(a, (int, float, str, list, tuple)):
                return a.type  # type: ignore[no-any-return]
    return "cpu"


def _autocast_of(op: Operator, args: Any, kind: str) -> Any:
    """The arguments as an operator's autocast rule casts them, None where none applies."""
    from jtorch._public import torch

    if kind not in op.autocast or not torch.is_autocast_enabled(kind):
        return None
    wanted = op.autocast[kind]
    cast = lambda x: x.to(wanted) if isinstance(x, Tensor) and x.is_floating_point() and x.dtype is not torch.float64 else type(x)(map(cast, x)) if isinstance(x, (list, tuple)) else x  # type: ignore[attr-defined]
    return tuple(map(cast, args))


def call(overload: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator. The arguments are bound to its signature first: RuntimeError as torch's if they don't fit."""
    op = overload._op
    if has_override(args, kwargs):
        return override(overload, args, kwargs)
    if frames and frames[-1] is overload and not state.mode & GRAD:
        with enable_grad():
            return call(overload, args, kwargs)
    args, kwargs = bind(op.schema, args, kwargs)
    given = tensors_in(args, kwargs)
    kind = device_of(args, kwargs, given)
    cast = _autocast_of(op, args, kind) if op.autocast else None
    if cast is not None:
        from jtorch._public import torch

        with torch.autocast(kind, enabled=False):
            return call(overload, cast, kwargs)
    key = _KEY.get(kind, "CPU")
    if f"Autocast{key}" in op.kernels:
        from jtorch._public import torch

        if torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return op.kernels[f"Autocast{key}"](*args, **kwargs)
    level = level_of((args, kwargs)) if state.lanes or state.derivative else None
    if level is not None and op.vmap is not None and state.derivative < level.depth:
        return by_rule(op.vmap, level, args, kwargs)
    if not _below.autograd:
        own = op.kernels.get(f"Autograd{key}") or op.kernels.get("Autograd")
        if own is not None:
            return own(*args, **kwargs)
        if op.autograd is not None:
            return op.autograd(overload, args, kwargs)
    return run_kernel(op, key, args, kwargs, given)


def run_kernel(op: Operator, key: str, args: tuple[Any, ...], kwargs: dict[str, Any], given: list[Any]) -> Any:
    """Run the kernel for a device. NotImplementedError if there is none."""
    if key == "Meta" and op.fake is not None:
        return op.fake(*args, **kwargs)
    kernel = op.kernels.get(key) or op.kernels.get("CompositeExplicitAutograd")
    if kernel is None:
        kernel = op.kernels.get("CompositeImplicitAutograd")
        if kernel is None:
            raise NotImplementedError(_no_kernel(op, key))
        return kernel(*args, **kwargs)
    level = level_of((args, kwargs)) if state.lanes or state.derivative else None
    result = kernel(*args, **kwargs) if level is None else _batched(op, kernel, level, args, kwargs)
    if op.autograd is None and state.mode & GRAD and not _below.autograd and any(t._edge is not None for t in given):
        _warn_in_backward(op, result)
    return result


def _batched(op: Operator, kernel: Callable[..., Any], level: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A kernel under ``vmap``: by the operator's rule, else for all lanes at once, or one after another where it looks at values."""
    if op.vmap is not None:
        return by_rule(op.vmap, level, args, kwargs)
    try:
        return kernel(*args, **kwargs)
    except RuntimeError as error:
        if str(error) != LOOKED_AT or op.schema.is_mutable:
            raise
    return by_lane(kernel, level, args, kwargs)


def as_made(overload: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """For ``Operator.autograd``: an operator whose kernel's own derivatives are the derivative."""
    given = tensors_in(args, kwargs)
    return run_kernel(overload._op, _KEY.get(device_of(args, kwargs, given), "CPU"), args, kwargs, given)


def _no_kernel(op: Operator, key: str) -> str:
    there = ", ".join(sorted(op.kernels)) or "none"
    name = op.schema.name
    return (
        f"Could not run '{name}' with arguments from the '{key}' backend. This could be because the operator doesn't exist for this backend, or was omitted "
        f"during the selective/custom build process (if using custom build). '{name}' is only available for these backends: [{there}]."
    )


def _warn_in_backward(op: Operator, result: Any) -> None:
    """An operator that only has a kernel is recorded as what the kernel does; torch says so when the derivative is asked for."""
    for out in result if isinstance(result, (list, tuple)) else (result,):
        if isinstance(out, Tensor) and out.requires_grad:  # type: ignore[attr-defined]
            out.register_hook(lambda g: warnings.warn(_NOT_REGISTERED.format(op.schema.name)))  # type: ignore[attr-defined]


_NOT_REGISTERED = (
    "{}: an autograd kernel was not registered to the Autograd key(s) but we are trying to backprop through it. This may lead to silently incorrect behavior. "
    "This behavior is deprecated and will be removed in a future version of PyTorch. If your operator is differentiable, please ensure you have registered an "
    "autograd kernel to the correct Autograd key (e.g. DispatchKey::Autograd, DispatchKey::CompositeImplicitAutograd). If your operator is not "
    "differentiable, or to squash this warning and use the previous behavior, please register torch::CppFunction::makeFallthrough() to DispatchKey::Autograd."
)


class OpOverload:
    """One overload, ``torch.ops.ns.name.overload``."""

    def __init__(self, packet: OpOverloadPacket, name: str, op: Operator) -> None:
        self._overloadpacket, self._op = packet, op
        self._overloadname = name or "default"
        self._schema = op.schema
        self.__name__ = f"{packet.__name__}.{self._overloadname}"
        self.__qualname__ = self.__name__
        self.__module__ = packet.__module__
        op.overload = self

    @property
    def overloadpacket(self) -> OpOverloadPacket:
        return self._overloadpacket

    @property
    def op(self) -> Any:
        return self

    @property
    def _name(self) -> str:
        return self.name()

    @property
    def _qualname(self) -> str:
        return f"{self._overloadpacket._qualified_op_name}"

    @property
    def namespace(self) -> str:
        return self._schema.name.partition("::")[0]

    @property
    def _namespace(self) -> str:
        return self.namespace

    @property
    def _opname(self) -> str:
        return self._schema.name.partition("::")[2]

    @property
    def tags(self) -> list[Any]:
        return self._op.tags

    @property
    def _nondeterministic_seeded(self) -> bool:
        return any(t.name == "nondeterministic_seeded" for t in self._op.tags)

    @property
    def is_view(self) -> bool:
        return self._schema._is_view_op()

    def name(self) -> str:
        """``ns::name``, with the overload's name if it has one."""
        return self._schema.name + (f".{self._schema.overload_name}" if self._schema.overload_name else "")

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return call(self, args, kwargs)

    def redispatch(self, keyset: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call past autograd."""
        with below_autograd():
            return call(self, args, kwargs)

    def has_kernel_for_dispatch_key(self, k: Any) -> bool:
        return str(k).rpartition(".")[2] in self._op.kernels

    def py_impl(self, dispatch_key: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A decorator that registers a kernel."""

        def register(fn: Callable[..., Any]) -> Callable[..., Any]:
            self._op.kernels[str(getattr(dispatch_key, "name", dispatch_key)).rpartition(".")[2]] = fn
            return fn

        return register

    def decompose(self, *args: Any, **kwargs: Any) -> Any:
        """What the operator is made of, where it is made of others; else NotImplemented."""
        kernel = self._op.kernels.get("CompositeImplicitAutograd")
        return NotImplemented if kernel is None else kernel(*args, **kwargs)

    def __hash__(self) -> int:
        return hash(self.name())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, OpOverload) and other._op is self._op)

    def __str__(self) -> str:
        return f"{self.namespace}.{self.__name__}"

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self.namespace}.{self._opname}', overload='{self._overloadname}')>"

    def __deepcopy__(self, memo: Any) -> OpOverload:
        return self

    def __reduce__(self) -> Any:
        return _overload, (self._schema.name, self._schema.overload_name)


def _overload(name: str, overload: str) -> OpOverload:
    return getattr(_packet(name), overload or "default")  # type: ignore[no-any-return]


def _packet(name: str) -> Any:
    space, _, short = name.partition("::")
    return getattr(namespace(space), short)


class OpOverloadPacket:
    """An operator with its overloads, ``torch.ops.ns.name``."""

    def __init__(self, qualname: str) -> None:
        self._qualified_op_name = qualname
        space, _, self.__name__ = qualname.partition("::")
        self.__module__ = f"torch._ops.{space}"

    @property
    def _overloads(self) -> dict[str, Operator]:
        return REGISTRY[self._qualified_op_name]

    def overloads(self) -> list[str]:
        """The overloads' names."""
        return [name or "default" for name in self._overloads]

    @property
    def _schemas(self) -> dict[str, FunctionSchema]:
        return {name: op.schema for name, op in self._overloads.items()}

    @property
    def op(self) -> Any:
        return self

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{key}'")
        op = self._overloads.get("" if key == "default" else key)
        if op is None:
            raise AttributeError(f"The underlying op of '{self}' has no overload name '{key}'")
        made = op.overload or OpOverload(self, "" if key == "default" else key, op)
        self.__dict__[key] = made
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self.overloads())

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if has_override(args, kwargs):
            return override(self, args, kwargs)
        names = list(self._overloads)
        if len(names) == 1:
            return getattr(self, names[0] or "default")(*args, **kwargs)
        problems = []
        for name in names:
            overload = getattr(self, name or "default")
            try:
                bind(overload._schema, args, kwargs)
            except RuntimeError as error:
                problems.append(str(error))
                continue
            return overload(*args, **kwargs)
        raise RuntimeError(f"{NO_MATCH}\n" + "\n\n".join(problems) + "\n\n")

    def __hash__(self) -> int:
        return hash(self._qualified_op_name)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, OpOverloadPacket) and other._qualified_op_name == self._qualified_op_name)

    def __str__(self) -> str:
        return self._qualified_op_name.replace("::", ".")

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self}')>"

    def __deepcopy__(self, memo: Any) -> OpOverloadPacket:
        return self

    def __reduce__(self) -> Any:
        return _packet, (self._qualified_op_name,)


class OpNamespace(ModuleType):
    """``torch.ops.ns``."""

    def __init__(self, name: str) -> None:
        super().__init__(f"torch.ops.{name}")
        self.name = name
        self.__file__ = "torch.ops"

    def __iter__(self) -> Iterator[str]:
        return iter(dir(self))

    def __dir__(self) -> list[str]:
        return sorted(q.partition("::")[2] for q in REGISTRY if q.startswith(f"{self.name}::"))

    def __getattr__(self, name: str) -> Any:
        qualname = f"{self.name}::{name}"
        if name.startswith("__") or qualname not in REGISTRY:
            raise AttributeError(f"'_OpNamespace' '{self.name}' object has no attribute '{name}'")
        made = OpOverloadPacket(qualname)
        self.__dict__[name] = made
        return made


_spaces: dict[str, OpNamespace] = {}


def namespace(name: str) -> OpNamespace:
    """``torch.ops.<name>``, one object for each."""
    if name not in _spaces:
        _spaces[name] = OpNamespace(name)
    return _spaces[name]


def set_namespace(space: OpNamespace) -> None:
    """Let a namespace with more to it be the one of its name."""
    _spaces[space.name] = space
