"""``torch._subclasses.fake_tensor``: tensors that have a shape, a type and a device, and no elements. Operators on them are run on the device ``meta``."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

from jtorch import _device, _dtypes
from jtorch._core.storage.bare_tensor import meta_of
from jtorch._core.storage.shells import make_shell
from jtorch._core.storage.view_steps import aval_of, layout
from jtorch._core.tensor.autograd_methods import set_requires_grad
from jtorch._public import torch
from jtorch.library import offering
from jtorch.library.offering import off
from jtorch.library.operators import OpOverload
from jtorch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

__all__ = [
    "DataDependentOutputException", "DynamicOutputShapeException", "FakeTensor", "FakeTensorConverter", "FakeTensorMode", "UnsupportedFakeTensorException",
    "UnsupportedOperatorException", "is_fake", "maybe_get_fake_mode", "unset_fake_temporarily",
]  # fmt: skip


class UnsupportedFakeTensorException(RuntimeError):
    """A tensor cannot be made a fake one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _OfOperator(RuntimeError):
    def __init__(self, func: Any) -> None:
        super().__init__(func)
        self.func = func


class DynamicOutputShapeException(_OfOperator):
    """The result's shape depends on elements."""


class DataDependentOutputException(_OfOperator):
    """The result is a number that elements decide."""


class UnsupportedOperatorException(_OfOperator):
    """An operator cannot be asked for shapes alone."""


class FakeTensor(torch.Tensor):  # type: ignore[name-defined,misc]
    """A tensor without elements. ``fake_mode``: the mode that made it, which runs the operators on it."""

    fake_mode: Any
    constant: Any

    @staticmethod
    def __new__(cls: Any, fake_mode: Any, elem: Any, device: Any, constant: Any = None, **_: Any) -> Any:
        """A fake of ``elem`` (a tensor on the device meta) that is on ``device``."""
        where = _device.device(device)
        if where.type == "cuda" and where.index is None:
            where = _device.device("cuda", 0)
        shape, strides, _offset = layout(elem)
        made = make_shell(cls, shape, aval_of(elem).dtype, where, None if strides == _plain(shape) else strides)
        made.fake_mode, made.constant = fake_mode, constant
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    @property
    def fake_device(self) -> Any:
        """Where it says that it is."""
        return aval_of(self).device

    @staticmethod
    def from_tensor(t: Any, fake_mode: Any) -> Any:
        """A fake of a tensor."""
        return fake_mode.from_tensor(t)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        a = aval_of(self)
        parts = ["..."]
        if a.device.type != torch.get_default_device().type:
            parts.append(f"device='{a.device}'")
        parts.append(f"size={tuple(a.shape)}")
        if a.dtype is not torch.get_default_dtype():
            parts.append(f"dtype={a.dtype}")
        if self._edge is not None:
            name = type(self._edge).__name__
            parts.append("requires_grad=True" if name == "AccumulateGrad" else f"grad_fn=<{self._edge.name()}>")
        text = f"FakeTensor({', '.join(parts)})"
        return f"Parameter({text})" if getattr(self, "_is_param", False) else text

    __torch_function__ = staticmethod(torch._C._disabled_torch_function_impl)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for t in _tensors((args, kwargs)):
            if isinstance(t, FakeTensor):
                with t.fake_mode:
                    return func(*args, **kwargs)
        return NotImplemented

    def tolist(self) -> Any:
        """Refused, as all that asks for elements."""
        if self.dim() == 0:
            return self.item()
        raise DataDependentOutputException(torch.ops.aten._local_scalar_dense.default)

    def numpy(self, **_: Any) -> Any:
        """Refused: RuntimeError."""
        raise RuntimeError(".numpy() is not supported for tensor subclasses.")

    @classmethod
    def gradient_of_shape(cls, t: Any) -> Any:
        """What a gradient of ``t`` is: it has the same shape and type."""
        return t.fake_mode._fake_of(t)


def _plain(shape: Any) -> tuple[int, ...]:
    out: list[int] = []
    n = 1
    for d in reversed(shape):
        out.append(n)
        n *= max(d, 1)
    return tuple(reversed(out))


def _tensors(x: Any) -> list[Any]:
    if isinstance(x, torch.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for y in x for t in _tensors(y)] if isinstance(x, (list, tuple)) else []


def _mapped(fn: Any, x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return fn(x)
    if isinstance(x, dict):
        return {k: _mapped(fn, v) for k, v in x.items()}
    if x.__class__ in (list, tuple):
        return x.__class__(_mapped(fn, y) for y in x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return tuple(_mapped(fn, y) for y in x)
    return x


def _shown(x: Any) -> str:
    if isinstance(x, torch.Tensor) and not isinstance(x, FakeTensor):
        return f"tensor([...], size={tuple(x.shape)})"
    if isinstance(x, (list, tuple)):
        return f"{'[' if isinstance(x, list) else '('}{', '.join(map(_shown, x))}{']' if isinstance(x, list) else ')'}"
    return repr(x)


_SHAPES_OF_VALUES = frozenset(("nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive", "bincount", "repeat_interleave", "argwhere"))
_NUMBERS_OF_VALUES = frozenset(("_local_scalar_dense", "equal", "allclose", "item"))
_LIFTS = frozenset(("lift_fresh", "lift", "lift_fresh_copy"))


class FakeTensorMode(TorchDispatchMode):
    """Inside, tensors are made without elements, and operators give what the results would be like.

    ``allow_non_fake_inputs``: whether ordinary tensors may be among operands (they are taken as fakes).
    """

    def __init__(
        self, *, allow_fallback_kernels: bool = True, allow_non_fake_inputs: bool = False, shape_env: Any = None, static_shapes: bool | None = None, export: bool = False
    ) -> None:
        super().__init__()
        self.allow_fallback_kernels, self.allow_non_fake_inputs = allow_fallback_kernels, allow_non_fake_inputs
        self.shape_env, self.export, self.static_shapes = shape_env, export, True if static_shapes is None else static_shapes
        self.fake_tensor_converter = FakeTensorConverter()
        self._entered: list[bool] = []

    def __enter__(self) -> FakeTensorMode:
        again = bool(offering.MODE_STACK) and offering.MODE_STACK[-1] is self
        self._entered.append(not again)
        return self if again else super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *error: object) -> None:
        if self._entered.pop():
            super().__exit__(*error)

    @classmethod
    def is_infra_mode(cls) -> bool:
        return True

    def from_tensor(self, tensor: Any, *, static_shapes: Any = None, source: Any = None, symbolic_context: Any = None, trace: bool = True) -> Any:
        """A fake of ``tensor``, the same one each time."""
        return self.fake_tensor_converter.from_real_tensor(self, tensor)

    def _fake_of(self, t: Any, constant: Any = None) -> Any:
        shape, strides, _ = layout(t)
        made = make_shell(FakeTensor, shape, aval_of(t).dtype, aval_of(t).device, None if strides == _plain(shape) else strides)
        made.fake_mode, made.constant = self, constant
        return made

    def _wrapped(self, t: Any, where: Any) -> Any:
        shape, strides, _ = layout(t)
        made = make_shell(FakeTensor, shape, aval_of(t).dtype, where, None if strides == _plain(shape) else strides)
        made.fake_mode, made.constant = self, None
        return made

    def _place(self, func: Any, given: list[Any], kwargs: dict[str, Any]) -> Any:
        """The device of the results. RuntimeError for operands on several."""
        if kwargs.get("device") is not None:
            where = _device.device(kwargs["device"])
            return _device.device("cuda", 0) if where.type == "cuda" and where.index is None else where
        found, number = None, False
        for t in given:
            where = aval_of(t).device
            if found is None or (where is not found and found.type == "cpu" and number):
                found, number = where, not aval_of(t).shape
            elif where is not found and (aval_of(t).shape or where.type != "cpu"):
                raise RuntimeError(f"Unhandled FakeTensor Device Propagation for {func}, found two different devices {found}, {where}")
        return found if found is not None else torch.get_default_device()

    def _all_fake(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        def fake(t: Any) -> Any:
            if isinstance(t, FakeTensor):
                if t.fake_mode is not self:
                    raise AssertionError(f"Mixing fake modes NYI: {t.fake_mode} and {self}")
                return t
            if not self.allow_non_fake_inputs:
                named = [f"{k}={_shown(v)}" for k, v in kwargs.items()]
                raise AssertionError(
                    "Please convert all Tensors to FakeTensors first or instantiate FakeTensorMode with 'allow_non_fake_inputs'. "
                    f"Found in {func}({', '.join([*map(_shown, args), *named])})"
                )
            return self.from_tensor(t)

        return _mapped(fake, args), _mapped(fake, kwargs)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._opname if isinstance(func, OpOverload) else ""
        if name in _LIFTS and not isinstance(args[0], FakeTensor):
            return self._fake_of(args[0], args[0] if args[0].numel() <= 1 else None)
        args, kwargs = self._all_fake(func, args, kwargs)
        given = _tensors((args, kwargs))
        if name in _NUMBERS_OF_VALUES:
            if name == "_local_scalar_dense" and given[0].constant is not None:
                with off():
                    return given[0].constant.item()
            raise DataDependentOutputException(func)
        masks = name.startswith(("index", "_unsafe_index")) and not name.startswith("index_put") and any(aval_of(t).dtype in (_dtypes.bool_, _dtypes.uint8) for t in given[1:])
        if name in _SHAPES_OF_VALUES or masks:
            raise DynamicOutputShapeException(func)
        where = self._place(func, given, kwargs)
        if "device" in kwargs:
            kwargs = {**kwargs, "device": _device.META}
        with off():
            swapped: dict[int, Any] = {}

            def meta(t: Any) -> Any:
                if id(t) not in swapped:
                    shape, strides, _ = layout(t)
                    swapped[id(t)] = torch.empty_strided(shape, strides, dtype=aval_of(t).dtype, device="meta")
                return swapped[id(t)]

            moved = _mapped(meta, args), _mapped(meta, kwargs)
        out = offering.run_plain(func, *moved)
        back = {id(swapped[id(t)]): t for t in given}
        for a in given:  # what was written to knows no constant any more
            if func._schema.is_mutable:
                a.constant = None
        return _mapped(lambda t: back[id(t)] if id(t) in back else self._wrapped(t, where), out)


class FakeTensorConverter:
    """Makes fakes of tensors, one of each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.tensor_memo: dict[int, tuple[Any, Any]] = {}

    def from_real_tensor(self, fake_mode: Any, t: Any, **_: Any) -> Any:
        """A fake with the shape, strides, type and device of ``t``, and requiring grad if it does."""
        if isinstance(t, FakeTensor):
            return t
        if t.is_sparse:
            raise UnsupportedFakeTensorException("sparse nyi in meta tensors")
        known = self.tensor_memo.get(id(t))
        if known is not None and known[0]() is t:
            return known[1]
        made = fake_mode._fake_of(t)
        with off():
            if t.requires_grad:
                set_requires_grad(made, True)
            if t._meta is not None and t._meta.inference:
                meta_of(made).inference = True
        if isinstance(t, torch.nn.Parameter):
            made._is_param = True
        self.tensor_memo[id(t)] = weakref.ref(t), made
        return made

    __call__ = from_real_tensor


def is_fake(x: Any) -> bool:
    """Whether ``x`` is such a tensor, or wraps some."""
    if isinstance(x, FakeTensor):
        return True
    if isinstance(x, torch.Tensor) and hasattr(x, "__tensor_flatten__"):
        return any(is_fake(getattr(x, name)) for name in x.__tensor_flatten__()[0])
    return False


def maybe_get_fake_mode(t: Any) -> Any:
    """The mode that made it; None for another tensor."""
    return t.fake_mode if isinstance(t, FakeTensor) else None


@contextlib.contextmanager
def unset_fake_temporarily() -> Iterator[Any]:
    """Inside, no such mode is on."""
    fakes = [m for m in offering.MODE_STACK if isinstance(m, FakeTensorMode)]
    others = [m for m in offering.MODE_STACK if not isinstance(m, FakeTensorMode)]
    with _disable_current_modes():
        for mode in others:
            offering.enter(mode)
        try:
            yield fakes[-1] if fakes else None
        finally:
            for _ in others:
                offering.exit_()
