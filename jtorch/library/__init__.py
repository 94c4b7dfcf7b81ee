"""``torch.library``: operators of one's own, by name. Source: https://docs.pytorch.org/docs/stable/library.html"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from jtorch._errors import not_implemented

from .checking import OpCheckError as OpCheckError, opcheck
from .custom_ops import CustomOpDef, custom_op, resolve
from .inferring import infer_schema
from .libraries import Library, _scoped_library as _scoped_library, define, fallthrough_kernel, impl, library_for, parse_namespace, set_formula
from .operators import OpOverload as OpOverload, Operator
from .tags import Tag as Tag

__all__ = [
    "Library", "impl", "define", "fallthrough_kernel", "impl_abstract", "register_autocast", "register_fake", "register_torch_dispatch", "register_vmap",
    "get_ctx", "get_kernel", "custom_op", "triton_op", "wrap_triton", "infer_schema", "opcheck", "register_kernel", "register_autograd", "CustomOpDef",
]  # fmt: skip


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Library | None = None) -> Any:
    """The function to run for device types (None: all); without ``func`` a decorator."""
    found = resolve(op, "torch.library.register_kernel")
    if isinstance(found, CustomOpDef):
        return found.register_kernel(device_types, func) if func is not None else found.register_kernel(device_types)
    types = "CompositeExplicitAutograd" if device_types is None else device_types
    return impl(_name(found), types, func, lib=lib)


def _name(op: Operator) -> str:
    return op.schema.name + (f".{op.schema.overload_name}" if op.schema.overload_name else "")


def register_fake(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Library | None = None, _stacklevel: int = 1, allow_override: bool = False) -> Any:
    """What an operator's results are like, for arguments on the meta device; without ``func`` a decorator."""
    if isinstance(op, str):  # which may be defined later
        target: Any = op
    else:
        target = resolve(op, "register_fake")

    def register(fn: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(target, CustomOpDef):
            return target.register_fake(fn)
        if isinstance(target, str):
            from .custom_ops import OPDEFS

            if target in OPDEFS:
                return OPDEFS[target].register_fake(fn)
            library_for(parse_namespace(target)[0], lib)._register_fake(target, fn)
        else:
            target.fake = fn
        return fn

    return register if func is None else register(func)


def impl_abstract(qualname: Any, func: Callable[..., Any] | None = None, *, lib: Library | None = None, _stacklevel: int = 1) -> Any:
    """:func:`register_fake` by its older name."""
    warnings.warn(
        "`torch.library.impl_abstract` was renamed to `torch.library.register_fake`. Please use that instead; we will remove `torch.library.impl_abstract` in "
        "a future version of PyTorch.",
        FutureWarning,
        stacklevel=2,
    )
    return register_fake(qualname, func, lib=lib)


def register_autograd(op: Any, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None, lib: Library | None = None) -> None:
    """An operator's derivative: ``backward(ctx, *grads)``, and ``setup_context(ctx, inputs, output)``, which keeps what it needs."""
    found = resolve(op, "register_autograd")
    if isinstance(found, CustomOpDef):
        found.register_autograd(backward, setup_context=setup_context)
    else:
        set_formula(found, backward, setup_context)


def register_vmap(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Library | None = None) -> Any:
    """How an operator runs on batches: ``func(info, in_dims, *args) -> (result, out_dims)``; without ``func`` a decorator."""
    found = resolve(op, "register_vmap")

    def register(fn: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(found, CustomOpDef):
            found.register_vmap(fn)
        else:
            found.vmap = fn
        return fn

    return register if func is None else register(func)


def register_autocast(op: Any, device_type: str, cast_inputs: Any, /, *, lib: Library | None = None) -> None:
    """Under autocast an operator's floating-point arguments are cast to this type. ValueError for a device without autocast."""
    if device_type not in ("cpu", "cuda"):
        raise ValueError(f"Unknown device type: {device_type}")
    found = resolve(op, "register_autocast")
    (found._op if isinstance(found, CustomOpDef) else found).autocast[device_type] = cast_inputs


def register_torch_dispatch(op: Any, torch_dispatch_class: Any, func: Callable[..., Any] | None = None, /, *, lib: Library | None = None) -> Any:
    """What a class with ``__torch_dispatch__``, or a mode, does instead of an operator."""
    found = resolve(op, "register_torch_dispatch")

    def register(fn: Callable[..., Any]) -> Callable[..., Any]:
        (found._op if isinstance(found, CustomOpDef) else found).dispatch_rules[torch_dispatch_class] = fn
        return fn

    return register if func is None else register(func)


def get_ctx() -> Any:
    """Inside a fake impl: makes sizes that depend on values. There are none here: RuntimeError, as torch's outside of one."""
    raise RuntimeError("get_ctx() can only be called inside of an abstract impl: jtorch's sizes are numbers")


def get_kernel(op: Any, dispatch_key: Any) -> Callable[..., Any]:
    """The kernel that is registered for a key. RuntimeError if none is."""
    found = resolve(op, "get_kernel")
    kernels = (found._op if isinstance(found, CustomOpDef) else found).kernels
    key = str(getattr(dispatch_key, "name", dispatch_key))
    if key not in kernels:
        raise RuntimeError(f"No kernel for {op} with dispatch key {key}")
    return kernels[key]


def triton_op(name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: Any, schema: str | None = None) -> Any:
    """As :func:`custom_op`, of a function that also tells the results' shapes by being called. What it calls through :func:`wrap_triton` is declined; the way for
    tensors on the host, which such functions have, is taken.
    """

    def register(fn: Callable[..., Any]) -> CustomOpDef:
        made = custom_op(name, fn, mutates_args=mutates_args, schema=schema)
        made.register_fake(fn)
        return made  # type: ignore[no-any-return]

    return register if fn is None else register(fn)


def wrap_triton(triton_kernel: Any, /) -> Any:
    """Declined, as :func:`triton_op`."""
    return not_implemented("torch.library.wrap_triton", "use custom_op, or a JAX function through jtorch.func")
