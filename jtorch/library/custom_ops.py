"""``torch.library.custom_op``: operators whose kernels are Python functions."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from jtorch._core.graph.grad_modes import no_grad
from jtorch._core.storage.write_counts import origin_of

from .formulas import autograd_of
from .inferring import infer_schema
from .libraries import Library, overload_of
from .operators import _KEY, Operator, OpOverload, find, tensors_in
from .schema import parse_schema
from .tags import Tag

__all__ = ["custom_op", "CustomOpDef", "resolve"]

log = logging.getLogger(__name__)
OPDEFS: dict[str, CustomOpDef] = {}


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: str | Iterable[str], device_types: Any = None, schema: str | None = None, tags: Any = None
) -> Any:
    """An operator ``ns::name`` of a function: a decorator without one.

    Its signature is that of the annotations, unless ``schema`` says another; ``mutates_args`` names what it writes to. What it computes is not looked into:
    derivatives come from ``register_autograd``, shapes on the meta device from ``register_fake``. A second definition of a name replaces the first.
    """

    def make(fn: Callable[..., Any]) -> CustomOpDef:
        said = (tags,) if isinstance(tags, Tag) else tuple(tags or ())  # type: ignore[misc,arg-type]
        written = mutates_args if isinstance(mutates_args, str) else tuple(mutates_args)
        text = infer_schema(fn, mutates_args=written, tags=said) if schema is None else schema
        namespace, _, short = name.partition("::")
        made = CustomOpDef(namespace, short, text, fn, said)
        if schema is not None:
            expected = {a.name for a in made._opoverload._schema.arguments if a.is_write}
            if expected != set(written):
                raise ValueError(
                    f"Attempted to create a custom op with `mutates_args={mutates_args}` and `schema={schema}. The schema suggests that the op mutates "
                    f"{expected}which is different from what was provided to us in `mutates_args`. Please make these consistent."
                )
        made.register_kernel(device_types)(fn)
        return made

    return make if fn is None else make(fn)


class CustomOpDef:
    """An operator that was made of a function. Call it; register more of it; ``torch.ops.ns.name`` is the same."""

    def __init__(self, namespace: str, name: str, schema: str, fn: Callable[..., Any], tags: Any = None) -> None:
        self._namespace, self._name, self._schema, self._init_fn = namespace, name, schema, fn
        self._tags = tuple(tags or ())
        self._backend_fns: dict[str | None, Callable[..., Any]] = {}
        self._abstract_fn: Callable[..., Any] | None = None
        self._setup_context_fn: Callable[..., Any] | None = None
        self._backward_fn: Callable[..., Any] | None = None
        self._vmap_fn: Callable[..., Any] | None = None
        self._disabled_kernel: set[Any] = set()
        before = OPDEFS.pop(self._qualname, None)
        if before is not None:
            before._lib._destroy()
        self._lib = Library(namespace, "FRAGMENT")
        self._validate()
        self._lib.define(name + schema, tags=[Tag.pt2_compliant_tag, *(t for t in self._tags if t is not Tag.pt2_compliant_tag)])  # type: ignore[attr-defined]
        self._op: Operator = find(self._qualname)
        self._op.owner = self
        self._opoverload = overload_of(self._op)
        self._op.fake = self._fake
        self._op.autograd = autograd_of(self._opoverload, lambda: self._backward_fn, lambda: self._setup_context_fn)
        OPDEFS[self._qualname] = self

    @property
    def _qualname(self) -> str:
        return f"{self._namespace}::{self._name}"

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def _validate(self) -> None:
        parsed = parse_schema(self._qualname + self._schema)
        if Tag.out not in self._tags and any(a.kwarg_only and "Tensor" in str(a.type) for a in parsed.arguments):  # type: ignore[attr-defined]
            raise NotImplementedError(f"custom_op with kwarg-only Tensor args. Please make your tensors not kwarg-only. Got: {self._name}{self._schema}")

    def _fake(self, *args: Any, **kwargs: Any) -> Any:
        if self._abstract_fn is not None:
            return self._abstract_fn(*args, **kwargs)
        if self._op.schema.is_mutable and not self._op.schema.returns:
            return None
        raise RuntimeError(
            f"There was no fake impl registered for {self}. This is necessary for torch.compile/export/fx tracing to work. Please use "
            f"`{self._init_fn.__name__}.register_fake` to add an fake impl."
        )

    @contextmanager
    def set_kernel_enabled(self, device_type: str, enabled: bool = True) -> Iterator[None]:
        """Inside, the kernel of a device type is used or not; where it isn't, the function that the operator was made of is."""
        before = device_type in self._disabled_kernel
        if device_type not in self._backend_fns:
            log.warning("Attempted to %s kernel for %s but no kernel was registered for this device type.", "enable" if enabled else "disable", device_type)
        (self._disabled_kernel.discard if enabled else self._disabled_kernel.add)(device_type)
        try:
            yield
        finally:
            (self._disabled_kernel.add if before else self._disabled_kernel.discard)(device_type)

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """The function to run for device types (None: all). ValueError for an operator without tensors that has no ``device`` argument."""

        def register(fn: Callable[..., Any]) -> Callable[..., Any]:
            for kind in [device_types] if device_types is None or isinstance(device_types, str) else list(device_types):
                self._backend_fns[kind] = fn
                self._lib.impl(self._name, self._kernel(kind), "CompositeExplicitAutograd" if kind is None else _KEY.get(kind, kind.upper()))
            return fn

        arguments = self._op.schema.arguments
        if device_types is not None and not any("Tensor" in str(a.type) for a in arguments) and not any(str(a.type) == "Device" and a.name == "device" for a in arguments):
            raise ValueError("Functions without tensor inputs are required to have a `device: torch.device` argument")
        return register if fn is None else register(fn)

    def _kernel(self, kind: str | None) -> Callable[..., Any]:
        written = [a.name for a in self._op.schema.arguments if a.is_write]

        def run(*args: Any, **kwargs: Any) -> Any:
            fn = self._init_fn if kind in self._disabled_kernel else self._backend_fns[kind]
            with no_grad():
                result = fn(*args, **kwargs)
            for t in tensors_in(self._written(args, kwargs, written), {}) if written else ():
                t._s.version += 1  # beside what the function's own writes counted: it may have written through numpy
            if not written and not self._op.schema._is_view_op():
                self._check_aliases(args, kwargs, result, fn)
            return result

        return run

    def _written(self, args: Any, kwargs: dict[str, Any], names: list[str]) -> list[Any]:
        order = [a.name for a in self._op.schema._positional]
        found: list[Any] = []
        for name in names:
            value = kwargs.get(name) if name in kwargs else args[order.index(name)] if name in order else None
            found += value if isinstance(value, (list, tuple)) else [value]
        return found

    def _check_aliases(self, args: Any, kwargs: dict[str, Any], result: Any, fn: Callable[..., Any]) -> None:
        storages = {id(origin_of(t._s)) for t in tensors_in(args, kwargs)}
        for out in tensors_in(result if isinstance(result, (list, tuple)) else (result,), {}):
            if id(origin_of(out._s)) in storages:
                raise RuntimeError(
                    f"{self._name} (with implementation in {inspect.getmodule(fn)}): The output of this custom operator (1) must not also be an input to this "
                    "custom operator and (2) may not alias any inputs to this custom operator or other returns. The most common way to trigger this error is "
                    "if we have y = custom_op(x) and y and x are the same Tensor. Please instead return a clone of the offending output tensor(s) (e.g. "
                    "return x.clone()) or refactor the custom operator to not return y."
                )
            storages.add(id(origin_of(out._s)))

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """What the results are like, for arguments on the meta device: a function that computes nothing."""
        self._abstract_fn = fn
        return fn

    def register_autograd(self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None) -> None:
        """The derivative: ``backward(ctx, *grads)``, and what to keep for it: ``setup_context(ctx, inputs, output)``.

        RuntimeError for an operator that writes to its arguments.
        """
        if self._op.schema.is_mutable or self._op.schema._is_view_op():
            raise RuntimeError(
                f"Cannot register autograd formula for non-functional operator {self} with schema {self._op.schema}. Please create a functional operator and "
                "register an autograd formula for that."
            )
        self._backward_fn, self._setup_context_fn = backward, setup_context

    def register_vmap(self, func: Callable[..., Any] | None = None) -> Any:
        """How to run it on batches: ``func(info, in_dims, *args) -> (result, out_dims)``."""

        def register(fn: Callable[..., Any]) -> Callable[..., Any]:
            self._vmap_fn = self._op.vmap = fn
            return fn

        return register if func is None else register(func)

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """Under autocast the floating-point arguments are cast to this type."""
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in ("cpu", "cuda", "xla"):
            raise ValueError(f"Device type '{device_type}' does not support autocast.")
        self._op.autocast[device_type] = cast_inputs

    def register_torch_dispatch(self, torch_dispatch_class: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """What a class with ``__torch_dispatch__``, or a mode, does instead."""

        def register(f: Callable[..., Any]) -> Callable[..., Any]:
            self._op.dispatch_rules[torch_dispatch_class] = f
            return f

        return register if fn is None else register(fn)

    def register_effect(self, effect: Any) -> None:
        """Calls are kept in order, whatever this says: they run as Python meets them."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._opoverload(*args, **kwargs)


def resolve(op: Any, api: str) -> Any:
    """The CustomOpDef or Operator that a name, an overload or a CustomOpDef means. ValueError for other things."""
    if isinstance(op, CustomOpDef):
        return op
    if isinstance(op, str):
        found = find(op)
    elif isinstance(op, OpOverload):
        found = op._op
    else:
        raise ValueError(f"{api}({op}): got unexpected type for op: {type(op)}")
    return found.owner or found
