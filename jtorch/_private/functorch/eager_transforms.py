"""``torch._functorch.eager_transforms``: the derivatives where torch defines them."""

from __future__ import annotations

from typing import Any

from jtorch.func import functionalize, hessian, jacfwd, jacrev, jvp, linearize, vjp
from jtorch.func.derivatives import _split

__all__ = ["functionalize", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]


def _slice_argnums(args: tuple[Any, ...], argnums: Any, as_tuple: bool = True) -> Any:
    """The arguments that ``argnums`` names. RuntimeError if it cannot."""
    chosen = _split(args, argnums)[0]
    return (chosen,) if as_tuple and isinstance(argnums, int) else chosen
