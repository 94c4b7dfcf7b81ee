"""``torch._functorch.deprecated``: what the package ``functorch`` still shows, with a warning that ``torch.func`` has it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from jtorch._public import torch

from . import make_functional as _functional

__all__ = [
    "combine_state_for_ensemble", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "make_functional",
    "make_functional_with_buffers", "vjp", "vmap",
]  # fmt: skip


def get_warning(api: str, new_api: str | None = None, replace_newlines: bool = False) -> str:
    """The text of the warning."""
    text = (
        f"We've integrated functorch into PyTorch. As the final step of the \nintegration, `functorch.{api}` is deprecated as of PyTorch \n"
        "2.0 and will be deleted in a future version of PyTorch >= 2.3. \n"
        f"Please use `{new_api or f'torch.func.{api}'}` instead; see the PyTorch 2.0 release notes \n"
        "and/or the `torch.func` migration guide for more details \nhttps://pytorch.org/docs/main/func.migrating.html"
    )
    return text.replace("\n", "") if replace_newlines else text


def warn_deprecated(api: str, new_api: str | None = None) -> None:
    """Warns."""
    warnings.warn(get_warning(api, new_api, replace_newlines=True), FutureWarning, stacklevel=3)


def _old(fn: Callable[..., Any], new_api: str | None = None) -> Callable[..., Any]:
    name = fn.__name__

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        warn_deprecated(name, new_api)
        return fn(*args, **kwargs)

    call.__module__ = __name__
    return call


vmap = _old(torch.func.vmap, "torch.vmap")
grad, grad_and_value, vjp, jvp, jacrev, jacfwd, hessian, functionalize = map(
    _old, (torch.func.grad, torch.func.grad_and_value, torch.func.vjp, torch.func.jvp, torch.func.jacrev, torch.func.jacfwd, torch.func.hessian, torch.func.functionalize)
)
make_functional = _old(_functional.make_functional, "torch.func.functional_call")
make_functional_with_buffers = _old(_functional.make_functional_with_buffers, "torch.func.functional_call")
combine_state_for_ensemble = _old(_functional.combine_state_for_ensemble, "torch.func.stack_module_state")
