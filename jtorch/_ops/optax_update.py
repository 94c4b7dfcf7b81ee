"""An optax transformation as an operator: all parameters, gradients and state in, new parameters and state out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jtorch._registry import op

__all__ = ["OptaxProgram"]


class OptaxProgram:
    """A transformation fixed to a tree of parameters; the part of the operator's structure that says what to compute.

    ``tree``: the parameters as optax shall see them, with integers in place of arrays: the position of each in the list.
    """

    def __init__(self, tx: Any, tree: Any) -> None:
        self.tx = tx
        positions, self.params_def = jax.tree_util.tree_flatten(tree)
        self.order: tuple[int, ...] = tuple(positions)
        self.state_def: Any = None
        self.paths: tuple[str, ...] = ()

    def _tree(self, arrays: list[Any]) -> Any:
        return jax.tree_util.tree_unflatten(self.params_def, [arrays[i] for i in self.order])

    def plan(self, shapes: list[tuple[tuple[int, ...], Any]]) -> None:
        """Find the state's structure from the parameters' shapes and numpy types."""
        params = self._tree([jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes])
        state = jax.eval_shape(self.tx.init, params)
        leaves, self.state_def = jax.tree_util.tree_flatten_with_path(state)
        self.paths = tuple(jax.tree_util.keystr(path) for path, _ in leaves)

    def init(self, params: list[Any]) -> tuple[Any, ...]:
        """The state's leaves before the first step."""
        return tuple(jnp.asarray(leaf) for leaf in jax.tree_util.tree_leaves(self.tx.init(self._tree(params))))

    def update(self, params: list[Any], grads: list[Any], state: list[Any], names: tuple[str, ...], extra: list[Any]) -> tuple[Any, ...]:
        """New parameters (in the list's order) and then the state's new leaves."""
        tree = self._tree(params)
        before = jax.tree_util.tree_unflatten(self.state_def, state)
        updates, after = self.tx.update(self._tree(grads), before, tree, **dict(zip(names, extra, strict=True)))
        new = list(params)
        leaves = self.params_def.flatten_up_to(updates)
        for i, update in zip(self.order, leaves, strict=True):
            if update is not None:
                new[i] = (params[i] + update).astype(params[i].dtype)
        kept = [leaf.astype(old.dtype) for leaf, old in zip(self.state_def.flatten_up_to(after), state, strict=True)]
        return (*new, *kept)


@op("optax_init(Tensor[] params, any program)", where="internal", out=False)
def optax_init(params, program):
    """The leaves of a transformation's first state."""
    return program.init(params)


@op("optax_update(Tensor[] params, Tensor[] grads, Tensor[] state, Tensor[] extra, any program, any names)", where="internal", out=False)
def optax_update(params, grads, state, extra, program, names):
    """One step of a transformation on all parameters."""
    return program.update(params, grads, state, names, extra)
