"""Between JAX and the tape: functions of JAX as functions of tensors, and tensors as pytrees.

A ``Tensor`` is a pytree of one leaf, its array, and a module one of its parameters and buffers: so ``jax.jit``, ``jax.grad``, ``jax.device_put`` and optax take and give tensors, alone or in any structure. (A ``Parameter`` is one of its own kind; ``p.detach()`` is a tensor.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jtorch._core.dispatch.record import apply_multi
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.attributes import to_jax
from jtorch._core.tensor.creation import as_tensor, from_jax
from jtorch._engine.recording.call import Call
from jtorch.func.pure import followed_by_jax, to_torch
from jtorch.func.pure import to_jax as to_arrays
from jtorch.interop._trees import register_modules
from jtorch.nn.parameter import Parameter

__all__ = ["jax_function", "torch_function"]


class _Form:
    """A function with the structure of its arguments fixed, and that of its results, which is known when it has been traced."""

    __slots__ = ("call", "tree", "rest")

    def __init__(self, fn: Callable[..., Any], structure: Any, at: tuple[int, ...], leaves: list[Any], name: str) -> None:
        self.tree: Any = None
        self.rest: list[Any] = []

        def apply(*arrays: Any) -> Any:
            given = list(leaves)
            for i, array in zip(at, arrays, strict=True):
                given[i] = array
            args, kwargs = jax.tree.unflatten(structure, given)
            found, self.tree = jax.tree.flatten(fn(*args, **kwargs))
            self.rest = [None if _is_array(x) else (x,) for x in found]
            return tuple(x for x in found if _is_array(x))

        self.call = Call(None, ("jax_function", name), apply, name, residuals="save")


def _is_array(x: Any) -> bool:
    return isinstance(x, (jax.Array, np.ndarray, np.generic))


def jax_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of jax arrays (``jnp``, ``jax.lax``, Pallas kernels) as one of tensors, whose gradients ``backward()`` takes by ``jax.vjp``.

    ``fn`` must be pure. It is recorded as one operator, so it is part of the compiled program around it and works inside ``torch.vmap``, ``torch.func`` and JAX's transformations.
    Tensors and arrays may stand anywhere in its arguments and results (dicts, tuples, ...); everything else is structure, and must be hashable: another value compiles anew.
    """
    forms: dict[Any, _Form] = {}
    name = getattr(fn, "__name__", fn.__class__.__name__)

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs), is_leaf=lambda x: isinstance(x, Tensor))
        at = tuple(i for i, x in enumerate(leaves) if isinstance(x, Tensor) or _is_array(x))
        tensors = [x if isinstance(x, Tensor) else from_jax(x) if isinstance(x, jax.Array) else as_tensor(x) for x in map(leaves.__getitem__, at)]
        for i in at:
            leaves[i] = None
        key = (structure, at, tuple((x.__class__, x) for x in leaves))
        form = forms.get(key)
        if form is None:
            form = forms[key] = _Form(fn, structure, at, leaves, name)
        out = apply_multi(form.call, tensors)
        results = iter(out if isinstance(out, tuple) else (out,))
        return jax.tree.unflatten(form.tree, [next(results) if x is None else x[0] for x in form.rest])

    return run


def torch_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors as one of jax arrays and tracers, for ``jax.grad``, ``jax.vmap`` and the like: arrays anywhere in its arguments come as tensors, tensors in its results leave as arrays.

    Its gradients are JAX's (a custom ``autograd.Function`` keeps its own). A module that it holds is a constant of it; :func:`jtorch.func.pure_function` makes one a function of its parameters."""

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        with followed_by_jax():
            args, kwargs = to_torch((args, kwargs))
            return to_arrays(fn(*args, **kwargs))

    return run


def _parts(t: Any) -> tuple[tuple[Any], None]:
    return (to_jax(t),), None  # nothing of the tape: gradients and updates are trees of the same kind


def _parameter_parts(t: Any) -> tuple[tuple[Any], bool]:
    return (to_jax(t),), bool(t.requires_grad)


def _whole(cls: Any) -> Callable[[bool, Any], Any]:
    def build(requires_grad: Any, leaves: Any) -> Any:
        (x,) = leaves
        if not _is_array(x):  # JAX also builds structures of what stands for arrays
            return x if isinstance(x, Tensor) else _Placeholder(x)
        t = from_jax(x) if isinstance(x, jax.Array) else as_tensor(x)
        return Parameter(t, requires_grad=requires_grad) if cls is Parameter else t

    return build


class _Placeholder:
    """What stands in a tensor's place in a structure that holds no arrays; a pytree of one leaf too."""

    def __init__(self, x: Any) -> None:
        self.x = x


jax.tree_util.register_pytree_node(Tensor, _parts, _whole(Tensor))
jax.tree_util.register_pytree_node(Parameter, _parameter_parts, _whole(Parameter))
jax.tree_util.register_pytree_node(_Placeholder, lambda p: ((p.x,), None), lambda _, leaves: _Placeholder(leaves[0]))
register_modules()
