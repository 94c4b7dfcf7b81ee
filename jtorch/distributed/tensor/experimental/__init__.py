"""``torch.distributed.tensor.experimental``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from jtorch._errors import not_implemented
from jtorch.distributed.tensor._api import DTensor, implicit_replication

from ._attention import context_parallel

__all__ = ["context_parallel", "implicit_replication", "local_map", "register_sharding"]


def local_map(func: Callable[..., Any], out_placements: Any = None, in_placements: Any = None, in_grad_placements: Any = None, device_mesh: Any = None, *, redistribute_inputs: bool = False) -> Callable[..., Any]:
    """``func`` on the parts of DTensors; what it gives are parts that lie as ``out_placements`` says. ValueError where inputs lie otherwise than ``in_placements`` and may not be moved."""

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        mesh, given = device_mesh, []
        for i, x in enumerate(args):
            if not isinstance(x, DTensor):
                given.append(x)
                continue
            mesh = mesh or x.device_mesh
            wanted = in_placements[i] if in_placements is not None else None
            if wanted is not None and tuple(x.placements) != tuple(wanted):
                if not redistribute_inputs:
                    raise ValueError(f"arg {x} in local_map has a mismatched placements: arg placements is {x.placements} but the input placements is {wanted}! If redistribute_inputs is wanted, set redistribute_inputs=True to local_map.")
                x = x.redistribute(mesh, wanted)
            given.append(x.to_local(grad_placements=None if in_grad_placements is None else in_grad_placements[i]))
        out = func(*given, **kwargs)
        if mesh is None:
            return out
        single = not isinstance(out, (tuple, list))
        outs = (out,) if single else tuple(out)
        several = outs and out_placements and isinstance(out_placements[0], (tuple, list)) or any(p is None for p in out_placements or ())
        ways = out_placements if several else (out_placements,) * len(outs)
        found = [x if way is None or not hasattr(x, "dim") else DTensor.from_local(x, mesh, way) for x, way in zip(outs, ways, strict=True)]
        return found[0] if single else tuple(found)

    return call


def register_sharding(*args: Any, **kwargs: Any) -> Any:
    """How an operator's results lie follows from its function: raises NotImplementedError."""
    not_implemented("torch.distributed.tensor.experimental.register_sharding", "local_map says how a function's results lie")
