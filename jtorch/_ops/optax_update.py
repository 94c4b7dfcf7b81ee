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
        self.keys: dict[int, Any] = {}  # leaves that are keys of JAX's random numbers, which no tensor holds: their words do
        self.wanted: tuple[str, ...] = ()  # what the update asks for besides: of value, grad and value_fn

    def _tree(self, arrays: list[Any]) -> Any:
        return jax.tree_util.tree_unflatten(self.params_def, [arrays[i] for i in self.order])

    def plan(self, shapes: list[tuple[tuple[int, ...], Any]]) -> None:
        """Find the state's structure from the parameters' shapes and numpy types."""
        params = self._tree([jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes])
        self.keys = {}

        def init(params: Any) -> Any:
            made = self.tx.init(params)
            for i, leaf in enumerate(jax.tree_util.tree_leaves(made)):
                if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                    self.keys[i] = jax.random.key_impl(leaf)
            return made

        state = jax.eval_shape(init, params)
        leaves, self.state_def = jax.tree_util.tree_flatten_with_path(state)
        self.paths = tuple(jax.tree_util.keystr(path) for path, _ in leaves)
        for names in ((), ("value",), ("value", "grad"), ("value", "grad", "value_fn")):
            extra = {"value": jax.ShapeDtypeStruct((), params_type(shapes)), "grad": params}
            try:
                jax.eval_shape(lambda s, p, extra: self.tx.update(p, s, p, **self._named(names, extra, _sum)), state, params, {n: extra[n] for n in names if n in extra})  # noqa: B023
            except TypeError:
                continue
            except Exception:  # whatever it wants is known to who calls it
                break
            self.wanted = names
            break

    @staticmethod
    def _named(names: tuple[str, ...], extra: dict[str, Any], value_fn: Any) -> dict[str, Any]:
        return {**extra, **({"value_fn": value_fn} if "value_fn" in names else {})}

    def init(self, params: list[Any]) -> tuple[Any, ...]:
        """The state's leaves before the first step."""
        return tuple(jnp.asarray(self._words(leaf)) for leaf in jax.tree_util.tree_leaves(self.tx.init(self._tree(params))))

    @staticmethod
    def _words(leaf: Any) -> Any:
        return jax.random.key_data(leaf) if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    def update(self, params: list[Any], grads: list[Any], state: list[Any], names: tuple[str, ...], extra: list[Any], value_fn: Any = None) -> tuple[Any, ...]:
        """New parameters (in the list's order) and then the state's new leaves. ``value_fn``: the loss as a function of the tree, for searches along a line."""
        tree = self._tree(params)
        given = [jax.random.wrap_key_data(x, impl=self.keys[i]) if i in self.keys else x for i, x in enumerate(state)]
        before = jax.tree_util.tree_unflatten(self.state_def, given)
        more = dict(zip(names, extra, strict=True))
        if "grad" in self.wanted:
            more["grad"] = self._tree(grads)
        updates, after = self.tx.update(self._tree(grads), before, tree, **self._named(self.wanted, more, value_fn))
        new = list(params)
        leaves = self.params_def.flatten_up_to(updates)
        for i, update in zip(self.order, leaves, strict=True):
            if update is not None:
                new[i] = (params[i] + update).astype(params[i].dtype)
        kept = [jnp.asarray(self._words(leaf)).astype(old.dtype) for leaf, old in zip(self.state_def.flatten_up_to(after), state, strict=True)]
        return (*new, *kept)


def params_type(shapes: list[tuple[tuple[int, ...], Any]]) -> Any:
    """The type of a loss: that of the first parameter."""
    return shapes[0][1] if shapes else jnp.float32


def _sum(tree: Any) -> Any:
    return sum(x.sum() for x in jax.tree_util.tree_leaves(tree))


@op("optax_init(Tensor[] params, any program)", where="internal", out=False)
def optax_init(params, program):
    """The leaves of a transformation's first state."""
    return program.init(params)


@op("optax_update(Tensor[] params, Tensor[] grads, Tensor[] state, Tensor[] extra, any program, any names)", where="internal", out=False)
def optax_update(params, grads, state, extra, program, names):
    """One step of a transformation on all parameters."""
    return program.update(params, grads, state, names, extra)
