"""``torch.ops.aten``: torch's own operators by the names and overloads of its library, for those that jtorch has under a Python name.

``aten_signatures.txt`` has their published signatures, one a line. A call goes to jtorch's function, which chooses by its arguments itself.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable
from typing import Any

from jtorch import _namespace
from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.graph.grad_modes import enable_grad
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._errors import not_implemented

from .binding import bind
from .operators import NO_MATCH, REGISTRY, Operator, OpNamespace, OpOverload, OpOverloadPacket, frames
from .schema import FunctionSchema, parse_schema

__all__ = ["AtenNamespace", "AtenPacket", "PART_OF"]

_PREFIXES = {"linalg_": _namespace.linalg, "fft_": _namespace.fft, "special_": _namespace.special}


def _in_place(write: Callable[..., Any]) -> Callable[..., Any]:
    """``uniform`` of ``uniform_``: the same on a copy."""

    def call(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return write(input.clone(), *args, **kwargs)  # type: ignore[attr-defined]

    return call


def function_of(name: str) -> Callable[..., Any] | None:
    """The function behind an operator's name."""
    for prefix, space in _PREFIXES.items():
        if name.startswith(prefix) and hasattr(space, name.removeprefix(prefix)):
            return getattr(space, name.removeprefix(prefix))  # type: ignore[no-any-return]
    for space in (_namespace.aten, _namespace.C_nn, _namespace.torch, Tensor, _namespace.F):
        found = getattr(space, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    write = getattr(Tensor, f"{name}_", None)
    return None if write is None else _in_place(write)


# What torch's functions are made of in its library: names for the policies of selective checkpoints. Here the function itself is the operator.
PART_OF = {
    "_softmax": "torch.softmax", "_log_softmax": "torch.log_softmax", "native_batch_norm": "F.batch_norm", "convolution": "F.conv2d",
    "convolution_backward": "torch.autograd.grad",
    "nll_loss_forward": "F.nll_loss", "nll_loss2d_forward": "F.nll_loss",
    **{
        f"_scaled_dot_product_{kind}": "F.scaled_dot_product_attention"
        for kind in ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
    },
}  # fmt: skip


def _refusing(name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: not_implemented(f"torch.ops.aten.{name}", f"use {PART_OF[name]}" if name in PART_OF else "it is no operator of its own here")


def refused(name: str, root: bool = False) -> Callable[..., Any] | None:
    """A function that stands for an operator of torch's library that is none here; None for any other name. ``root``: only where ``torch`` itself has the name, too."""
    if function_of(name) is not None or name not in _names() or root and name in _names("aten_unbound"):
        return None
    fn = _refusing(name)
    fn.__name__ = fn.__qualname__ = name
    return fn


@functools.cache
def _names(of: str = "aten_names") -> frozenset[str]:
    """Every operator of torch's library; ``aten_unbound``: those with an underscore before them that ``torch`` itself does not show."""
    return frozenset(importlib.resources.files("jtorch.library").joinpath(f"{of}.txt").read_text().split())


@functools.cache
def _signatures() -> dict[str, dict[str, str]]:
    """Name to the signatures of its overloads."""
    found: dict[str, dict[str, str]] = {}
    text = importlib.resources.files("jtorch.library").joinpath("aten_signatures.txt").read_text()
    for line in text.splitlines():
        name, _, overload = line[: line.index("(")].partition(".")
        found.setdefault(name, {})[overload] = f"aten::{line}"
    return found


@functools.cache
def _reduction_at(name: str) -> int | None:
    """Where a loss takes the number of its reduction, whose default is the mean here, and none at all where Python binds it."""
    for text in _signatures().get(name, {}).values():
        params = text[text.index("(") + 1 : text.rindex(") ->")].split(", ")
        if "int reduction=1" in params:
            return params.index("int reduction=1")
    return None


KERNEL_KEYS = ("CPU", "CompositeImplicitAutograd")
"""Where a program's own kernel for one of torch's operators takes the operator's place."""


class AtenPacket(OpOverloadPacket):
    """An operator of torch's library."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        super().__init__(f"aten::{name}")
        self._fn = fn

    @property
    def _overloads(self) -> dict[str, Operator]:
        known = REGISTRY.get(self._qualified_op_name)
        if known is None:
            said = _signatures().get(self.__name__) or {"": None}  # type: ignore[dict-item]
            known = REGISTRY[self._qualified_op_name] = {name: _AtenOperator(self, name, text) for name, text in said.items()}
        return known

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(f"'OpOverloadPacket' object has no attribute '{key}'")
        op = self._overloads.get("" if key == "default" else key)
        if op is None:
            raise AttributeError(f"The underlying op of '{self}' has no overload name '{key}'")
        made = op.overload or _AtenOverload(self, "" if key == "default" else key, op)  # type: ignore[arg-type]
        self.__dict__[key] = made
        return made

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if has_override(args, kwargs):
            return override(self, args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "self" in kwargs:  # the library's name of what Python calls input
            kwargs = dict(kwargs)
            args = (kwargs.pop("self"), *args)
        at = _reduction_at(self.__name__)
        if at is not None and len(args) <= at and "reduction" not in kwargs:
            kwargs = {**kwargs, "reduction": 1}
        try:
            return self._fn(*args, **kwargs)
        except TypeError as error:  # the library's own calls complain in another type, and about each overload
            raise RuntimeError(f"{NO_MATCH}\n{self._misfits(args, kwargs) or error}") from None

    def _misfits(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        said = []
        for op in self._overloads.values():
            try:
                bind(op.schema, args, kwargs)
            except RuntimeError as error:
                said.append(f"{error}\n\n")
        return "".join(said)


class _AtenOperator(Operator):
    """Reads its signature when somebody looks at it."""

    def __init__(self, packet: AtenPacket, overload: str, text: str | None) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.text, self.packet, self.name = text, packet, overload

    @property
    def schema(self) -> FunctionSchema:
        if self._schema is None:
            self._schema = parse_schema(self.text) if self.text else FunctionSchema(self.packet._qualified_op_name, self.name, [], [], True)
        return self._schema

    @schema.setter
    def schema(self, value: FunctionSchema | None) -> None:
        self._schema = value  # type: ignore[assignment]


class _AtenOverload(OpOverload):
    _names: frozenset[str] | None = None

    def __init__(self, packet: AtenPacket, name: str, op: _AtenOperator) -> None:
        self._overloadpacket, self._op, self._overloadname = packet, op, name or "default"
        self.__name__ = self.__qualname__ = f"{packet.__name__}.{self._overloadname}"
        self.__module__ = packet.__module__
        op.overload = self

    @property
    def _schema(self) -> FunctionSchema:  # type: ignore[override]
        return self._op.schema

    @property
    def namespace(self) -> str:
        return "aten"

    @property
    def _opname(self) -> str:
        return self._overloadpacket.__name__

    def name(self) -> str:
        return self._overloadpacket._qualified_op_name + ("" if self._overloadname == "default" else f".{self._overloadname}")

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if has_override(args, kwargs):
            return override(self, args, kwargs)
        if frames and frames[-1] is self and not state.mode & GRAD:
            with enable_grad():
                return self(*args, **kwargs)
        registered = next((self._op.kernels[key] for key in KERNEL_KEYS if key in self._op.kernels), None) if self._op.kernels else None
        if registered is not None:  # a program's own kernel for one of torch's operators
            return registered(*args, **kwargs)
        if kwargs and not kwargs.keys() <= self._keywords():
            bind(self._schema, args, kwargs)  # raises
        try:
            return self._overloadpacket._run(args, kwargs)  # type: ignore[attr-defined]
        except RuntimeError as error:
            if str(error).startswith(NO_MATCH):
                bind(self._schema, args, kwargs)  # says in torch's words what doesn't fit
            raise

    def _keywords(self) -> frozenset[str]:
        """The names that arguments may be given by."""
        names = self._names
        if names is None:
            names = self._names = frozenset(a.name for a in self._schema.arguments) | ({"input"} if getattr(self._op, "text", None) is None else set())
        return names

    def redispatch(self, keyset: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self(*args, **kwargs)

    def decompose(self, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented


class AtenNamespace(OpNamespace):
    """``torch.ops.aten``."""

    def __init__(self) -> None:
        super().__init__("aten")

    def __dir__(self) -> list[str]:
        return sorted(_signatures())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and not name.endswith("__") or name in ("__path__", "__wrapped__", "__all__"):
            raise AttributeError(name)
        fn = function_of(name)
        if fn is None and f"aten::{name}" in REGISTRY:  # defined by a program
            return super().__getattr__(name)
        if fn is None and (name in PART_OF or name in _names()):
            fn = _refusing(name)
        if fn is None:
            raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'")
        packet = AtenPacket(name, fn)
        self.__dict__[name] = packet
        return packet


