"""A module as a pure function of (parameters, buffers, inputs) over jax arrays, for jax.jit, jax.grad, jax.vmap, optax and flax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import jax
import numpy as np
from jax import lax

from jtorch._core.backward.jax_hooks import hooked_by_jax, is_followed_by_jax
from jtorch._core.graph import node
from jtorch._core.graph.grad_modes import enable_grad
from jtorch._core.state.generator import keys_from
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import given_back
from jtorch._core.tensor.attributes import to_jax as _array
from jtorch._core.tensor.creation import as_tensor, from_jax
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._errors import warn_once

from .functional_call import functional_call

__all__ = ["to_jax", "to_torch", "tree_of", "mask_gradients", "pure_function", "value_and_grad"]


HELD = 2  # what ``state.stops`` is in a function that is JAX's as a whole


def to_jax(tree: Any) -> Any:
    """A pytree with each tensor's array in the tensor's place."""
    return jax.tree.map(lambda x: _array(x) if isinstance(x, Tensor) else x, tree, is_leaf=lambda x: isinstance(x, Tensor))


def to_torch(tree: Any) -> Any:
    """A pytree with a tensor in the place of each array (or tracer).

    What is computed of a tracer under ``torch.no_grad`` is behind ``jax.lax.stop_gradient`` from here on, if gradients are on here.
    """
    if state.stops != HELD and any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree)):
        state.stops = bool(state.mode & GRAD)
    return tensors_of(tree)


def tensors_of(tree: Any) -> Any:
    return jax.tree.map(lambda x: from_jax(x) if isinstance(x, jax.Array) else as_tensor(x) if isinstance(x, np.ndarray) else x, tree)


def tree_of(module: Any, *, copy: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of a module as dicts of jax arrays.

    They are the module's own: a program that they are donated to takes them from it as well. With ``copy`` they are not. What such a program gives is
    the module's again by ``module.load_state_dict(to_torch({**params, **buffers}))``.
    """
    found = to_jax(dict(module.named_parameters())), to_jax(dict(module.named_buffers()))
    return jax.tree.map(lambda x: x.copy(), found) if copy else found


def mask_gradients(params: dict[str, Any], module: Any) -> dict[str, Any]:
    """``jax.lax.stop_gradient`` on the parameters that do not require grad in ``module``."""
    wanted = {name: p.requires_grad for name, p in module.named_parameters()}
    return {name: x if wanted.get(name, True) else lax.stop_gradient(x) for name, x in params.items()}


def _hook(tensors: dict[str, Any], module: Any) -> None:
    """Let the hooks on a module's parameters hear of the gradients that JAX brings to what stands for them."""
    for name, p in module.named_parameters() if node.leaves_have_hooks else ():
        hooks = None if p._edge is None else p._edge.hooks
        if hooks is None or name not in tensors or not is_followed_by_jax(tensors[name]):
            continue
        for table in hooks.tensor.values():
            hooked_by_jax(tensors[name], table)
        if hooks.acc or hooks.pre or hooks.post:
            warn_once("hooks on the accumulation of a parameter's gradient (register_post_accumulate_grad_hook, hooks on its node) are not called inside JAX's transformations, where nothing is accumulated")


@contextmanager
def followed_by_jax() -> Iterator[None]:
    """Within: gradients are JAX's. What the program computes under ``torch.no_grad`` has none there either."""
    before, state.stops = state.stops, HELD
    try:
        with enable_grad():
            yield
    finally:
        state.stops = before


def pure_function(module: Any, *, mask: bool = True) -> Callable[..., Any]:
    """``f(params, buffers, *args, rngs=None, **kwargs) -> (output, new buffers)`` over jax arrays, without side effects.

    With ``mask``, parameters whose ``requires_grad`` is False get no gradient. The tape is off inside: derivatives are JAX's, but for a custom
    ``autograd.Function``, whose own backward they take, and for hooks on tensors and parameters and modules' full backward hooks, which JAX's gradients go through
    (hooks of other kinds are left out with a warning). ``rngs``: the JAX key (an input like
    the others: split it for scan steps, map over it for lanes that differ) that dropout and other draws take their numbers from. Without one a draw where an
    argument is traced raises RuntimeError, for it would be a constant of the program.
    """
    def f(params: dict[str, Any], buffers: dict[str, Any], *args: Any, rngs: Any = None, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        values = mask_gradients(params, module) if mask else params
        tensors, held = tensors_of(values), tensors_of(buffers)
        _hook(tensors, module)
        traced = rngs is None and any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves((params, buffers, args, kwargs)))
        mine = {id(t._s) for t in held.values()}
        given_back.append(mine)
        try:
            with followed_by_jax(), keys_from(rngs) if traced or rngs is not None else nullcontext():
                out = functional_call(module, {**tensors, **held}, tuple(tensors_of(list(args))), tensors_of(kwargs))
        finally:
            given_back.remove(mine)
        return to_jax(out), to_jax(held)

    return f


def value_and_grad(module: Any, loss_fn: Callable[..., Any] | None = None, *, has_aux: bool = False) -> Callable[..., Any]:
    """``f(params, buffers, inputs, *targets) -> ((loss, new buffers), gradients)``: ``jax.value_and_grad`` over a module.

    ``f(..., rngs=key)``: as :func:`pure_function`'s, for the module and the loss. ``inputs`` is what the module is called with, a tuple for several. ``loss_fn(output, *targets)`` gives the scalar loss (tensors in, tensor out); without it the
    output is the loss. ``has_aux``: ``loss_fn`` returns ``(loss, aux)``, and the first result is ``(loss, (new buffers, aux))``. Frozen parameters have gradients of zero.
    """
    run = pure_function(module)

    def loss(params: Any, buffers: Any, inputs: Any, *targets: Any, rngs: Any = None) -> Any:
        ours, theirs = (None, None) if rngs is None else jax.random.split(rngs)
        out, new = run(params, buffers, *(inputs if isinstance(inputs, tuple) else (inputs,)), rngs=ours)
        if loss_fn is None:
            return out, new
        with followed_by_jax(), keys_from(theirs):
            found = loss_fn(tensors_of(out), *tensors_of(list(targets)))
        if has_aux:
            value, aux = found
            return to_jax(value), (new, to_jax(aux))
        return to_jax(found), new

    both: Callable[..., Any] = jax.value_and_grad(loss, has_aux=True)
    return both
