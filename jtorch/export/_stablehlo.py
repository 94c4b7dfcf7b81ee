"""``jtorch.export.stablehlo``: a module as a program of JAX's, with its weights, for a process that has neither jtorch nor its Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax import export as jax_export

from jtorch._core.storage.view_steps import read
from jtorch._core.tensor.attributes import to_jax
from jtorch._engine.families.exporting import Differs, exportable
from jtorch._engine.recording.trace import force
from jtorch._errors import not_implemented
from jtorch._public import torch

from ._operators import is_size
from .dynamic_shapes import MOST
from .samples import recorded, sizes_of

__all__ = ["stablehlo"]


def stablehlo(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, dynamic_shapes: Any = None, platforms: Sequence[str] | None = None, weights: str = "inside",
) -> Any:  # fmt: skip
    """``module(*args, **kwargs)`` as a ``jax.export.Exported``, whose ``serialize()`` is read by ``jax.export.deserialize`` in a process that has only JAX.

    ``args``: example tensors, of which only shapes and types count. ``dynamic_shapes``: which sizes may change, as ``torch.export.export`` takes it: one program then serves all sizes.
    ``platforms``: those that it is lowered for ("cpu", "cuda", "tpu"), whatever is there now. ``weights="outside"``: it is called with a dict of the ``state_dict`` first
    (``call(weights, *args)``), instead of holding them. Results are the module's, with arrays in the place of tensors.

    ValueError where the module does something else for other sizes; RuntimeError where it looks at a value, or writes buffers (call ``eval()`` first).
    """
    if weights not in ("inside", "outside"):
        raise ValueError(f"weights should be 'inside' or 'outside', but got {weights!r}")
    kwargs = kwargs or {}
    sizes = sizes_of(module, args, kwargs, dynamic_shapes)
    found = recorded(module, args, kwargs, sizes)
    if any(r.changed for r in found.regions):
        raise RuntimeError("the module writes buffers when it is called (batch norm in training?): call eval() before it is exported")
    first = found.regions[0]
    bounds = [f"{n} {op} {b}" for n, (low, high) in zip(sizes.names, sizes.bounds, strict=True) for op, b in ((">=", low), ("<=", high)) if b not in (0, 1, MOST)]
    solved = found.solved()
    results = found.results(solved)
    if any(map(is_size, results)):
        not_implemented("jtorch.export.stablehlo of a module that returns a size", "return arrays: who calls the program knows their sizes")
    given = exportable(solved, [t._s.value for t in first.inputs], sizes.names, bounds)
    arrays = [force(v) for v in given.frees]
    where = {id(v): i for i, v in enumerate(given.frees)}
    state = module.state_dict(keep_vars=True) if isinstance(module, torch.nn.Module) else {}
    named = {name: where[id(read(t))] for name, t in state.items() if id(read(t)) in where}
    leaves, tensors, spec = first.leaves, first.tensors, first.spec

    def run(held: Any, *a: Any, **k: Any) -> Any:
        frees = list(arrays)
        for name, i in named.items():
            if held is not None:
                frees[i] = held[name]
        outs = iter(given.call(frees, [x for x in jax.tree.leaves((a, k))]))
        out = [next(outs) if i in tensors else x for i, x in enumerate(leaves)]
        return _plain(spec, out)

    structs = iter(given.structs)
    shaped = jax.tree.map(lambda x: next(structs) if isinstance(x, torch.Tensor) else x, (args, kwargs), is_leaf=lambda x: isinstance(x, torch.Tensor))
    flat = [x for x in jax.tree.leaves(shaped) if not isinstance(x, jax.ShapeDtypeStruct)]
    if flat:
        raise ValueError(f"arguments should be tensors, in tuples, lists and dicts; bind others with functools.partial or in a module: got {flat[0]!r}")
    if weights == "outside":
        held = {name: jax.ShapeDtypeStruct(t.shape, to_jax(t).dtype) for name, t in state.items()}
        return jax_export.export(jax.jit(run), platforms=platforms)(held, *shaped[0], **shaped[1])
    return jax_export.export(jax.jit(lambda *a, **k: run(None, *a, **k)), platforms=platforms)(*shaped[0], **shaped[1])


def _plain(spec: Any, leaves: list[Any]) -> Any:
    """What a tree is with containers that JAX knows in a process of its own: objects of other classes become tuples of what is in them."""
    from jtorch.utils._pytree import tree_unflatten

    tree = tree_unflatten(leaves, spec)
    known = jax.tree.leaves(tree, is_leaf=lambda x: any(x is y for y in leaves))
    return tree if len(known) == len(leaves) and all(a is b for a, b in zip(known, leaves, strict=True)) else tuple(leaves)


__all__ += ["Differs"]
