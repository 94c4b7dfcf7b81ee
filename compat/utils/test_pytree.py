"""torch.utils._pytree (compat/one_torch/trees.py compares it with torch's)."""

from __future__ import annotations

import jax


def test_registered_with_jax_too() -> None:
    from jtorch.utils._pytree import register_pytree_node

    class Pair:
        def __init__(self, a: int, b: int) -> None:
            self.a, self.b = a, b

    register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda children, _: Pair(*children))
    assert jax.tree_util.tree_leaves(Pair(1, 2)) == [1, 2]
    assert jax.tree_util.tree_map(lambda x: x + 1, Pair(1, 2)).b == 3
