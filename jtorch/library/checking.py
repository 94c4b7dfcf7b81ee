"""``torch.library.opcheck``: whether what was registered of an operator fits together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.write_counts import origin_of
from jtorch.utils._pytree import tree_leaves, tree_map

from .custom_ops import CustomOpDef
from .libraries import overload_of
from .operators import OpOverload, OpOverloadPacket

__all__ = ["opcheck", "OpCheckError"]

_ALL = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


class OpCheckError(Exception):
    """A check failed."""


def _clone(tree: Any) -> Any:
    return tree_map(lambda x: x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else copy.copy(x), tree)  # type: ignore[attr-defined]


def _tensors(tree: Any) -> list[Any]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def _test_schema(op: OpOverload, args: Any, kwargs: Any) -> None:
    """Only what the signature says is written to; results share no memory with arguments unless it says so."""
    args, kwargs = _clone((args, kwargs))
    before = _clone((args, kwargs))
    result = op(*args, **kwargs)
    written = {a.name for a in op._schema.arguments if a.is_write}
    names = [a.name for a in op._schema._positional]
    for name, now, then in [*zip(names, args, before[0], strict=False), *((k, v, before[1][k]) for k, v in kwargs.items())]:
        for a, b in zip(_tensors([now]), _tensors([then]), strict=True):
            if name not in written and not _equal(a, b):
                raise RuntimeError(f"Argument {name} is not defined as mutable but was mutated")
    if not op._schema.is_mutable and not op._schema._is_view_op():
        given = {id(origin_of(t._s)) for t in _tensors((args, kwargs))}
        if any(id(origin_of(t._s)) in given for t in _tensors(result)):
            raise RuntimeError("Argument is not defined to alias output but was aliasing")


def _equal(a: Any, b: Any) -> bool:
    from jtorch._public import torch

    same = (a.detach() == b.detach()) | ((a.detach() != a.detach()) & (b.detach() != b.detach()))
    return a.shape == b.shape and bool(torch.all(same))


def _test_autograd_registration(op: OpOverload, args: Any, kwargs: Any) -> None:
    """The derivative is registered where the dispatcher looks for it, not inside a kernel."""
    kernels, registered = op._op.kernels, op._op.autograd is not None
    if registered or "CompositeImplicitAutograd" in kernels or any(k.startswith("Autograd") for k in kernels):
        return
    args, kwargs = _clone((args, kwargs))
    if not any(t.requires_grad for t in _tensors((args, kwargs))):
        return
    if any(t.requires_grad for t in _tensors(op(*args, **kwargs))):
        raise AssertionError(
            f"{op}: at least one output of this operator has requires_grad=True, but the operator does not have an autograd kernel defined at an autograd "
            "key (e.g. DispatchKey::Autograd). This could mean that you have incorrectly registered an autograd kernel to a non-Autograd DispatchKey, which "
            "may lead to silently incorrect results. If your operator consists of regular PyTorch operations, consider not using an operator at all or "
            "registering your operator as CompositeImplicitAutograd. If you have an autograd.Function inside a backend-specific (CPU/CUDA) registration, "
            "please convert it to be registered at the Autograd key."
        )


def _test_faketensor(op: OpOverload, args: Any, kwargs: Any) -> None:
    """On the meta device the results have the real ones' sizes and types."""
    args, kwargs = _clone((args, kwargs))
    real = op(*args, **kwargs)
    fake = op(*tree_map(lambda x: x.detach().to("meta") if isinstance(x, Tensor) else x, args), **tree_map(lambda x: x.to("meta") if isinstance(x, Tensor) else x, kwargs))  # type: ignore[attr-defined]
    mine, theirs = _tensors(fake), _tensors(real)
    if len(mine) != len(theirs):
        raise AssertionError(f"{op}: the fake impl returned {len(mine)} tensors, and the real one {len(theirs)}")
    for a, b in zip(mine, theirs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise AssertionError(f"Shapes {a.shape} and {b.shape} are not equal!" if a.shape != b.shape else f"Dtypes {a.dtype} and {b.dtype} are not equal!")


def _test_aot(op: OpOverload, args: Any, kwargs: Any, atol: float | None = None, rtol: float | None = None) -> None:
    """Compiled, the results and gradients are the same."""
    from jtorch._public import torch

    def run(fn: Callable[..., Any]) -> Any:
        mine, named = _clone((args, kwargs))
        result = fn(*mine, **named)
        outs = [t for t in _tensors(result) if t.requires_grad]
        leaves = [t for t in _tensors((mine, named)) if t.requires_grad]
        grads = torch.autograd.grad([o.sum() for o in outs], leaves, allow_unused=True) if outs and leaves else ()
        return [*_tensors(result), *(g for g in grads if g is not None)]

    for a, b in zip(run(op), run(torch.compile(op)), strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=rtol)


_TESTS: dict[str, Callable[..., None]] = {
    "test_schema": _test_schema, "test_autograd_registration": _test_autograd_registration, "test_faketensor": _test_faketensor,
    "test_aot_dispatch_dynamic": _test_aot, "test_aot_dispatch_static": _test_aot,
}  # fmt: skip


def opcheck(
    op: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, test_utils: str | Sequence[str] = _ALL, raise_exception: bool = True,
    atol: float | None = None, rtol: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run checks of an operator on arguments: {"test_schema": "SUCCESS", ...}. OpCheckError if one fails, or its exception as the value.

    ValueError for something that is no operator.
    """
    if isinstance(op, CustomOpDef):
        op = op._opoverload
    if isinstance(op, OpOverloadPacket):
        overloads = list(op._overloads.values())
        if len(overloads) != 1:
            raise RuntimeError(f"opcheck can only test operators without overloads. Got the following overloads for {op}: {op.overloads()}")
        op = overload_of(overloads[0])
    if not isinstance(op, OpOverload):
        raise ValueError(f"opcheck(op, ...): op must be instance of torch._ops.OpOverload, e.g. torch.ops.aten.sin.default, got {type(op)}")
    wanted = [test_utils] if isinstance(test_utils, str) else list(test_utils)
    if wanted == ["ALL"]:
        wanted = list(_ALL)
    unknown = set(wanted) - set(_TESTS)
    if unknown:
        raise ValueError(f"opcheck(op, ..., test_utils={test_utils}), expected test_utils to be subset of {tuple(_TESTS)} but it was not")
    results: dict[str, Any] = {}
    for name in wanted:
        more = {"atol": atol, "rtol": rtol} if "aot" in name else {}
        try:
            _TESTS[name](op, args, kwargs or {}, **more)
            results[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise OpCheckError(f"opcheck(op, ...): {name} failed with {error} (scroll up for stack trace)") from error
            results[name] = error
    return results
