"""Forward-mode AD by dual numbers: use ``torch.func.jvp``, which is ``jax.jvp`` underneath."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented

__all__ = ["dual_level", "make_dual", "unpack_dual"]


class dual_level:
    """A level of forward-mode AD."""

    def __enter__(self) -> Any:
        not_implemented("torch.autograd.forward_ad", "use torch.func.jvp")

    def __exit__(self, *_: object) -> None:
        pass


def make_dual(tensor: Any, tangent: Any, *, level: Any = None) -> Any:
    not_implemented("torch.autograd.forward_ad.make_dual", "use torch.func.jvp")


def unpack_dual(tensor: Any, *, level: Any = None) -> Any:
    not_implemented("torch.autograd.forward_ad.unpack_dual", "use torch.func.jvp")
