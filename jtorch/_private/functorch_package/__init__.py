"""The package ``functorch``, which comes with PyTorch and shows ``torch.func`` by its older names. Found under that name where jtorch goes by torch's."""

from jtorch._private.functorch.deprecated import (
    combine_state_for_ensemble,
    functionalize,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    make_functional,
    make_functional_with_buffers,
    vjp,
    vmap,
)
from jtorch._private.functorch.make_functional import FunctionalModule, FunctionalModuleWithBuffers
from jtorch._private.functorch.python_key import make_fx
from jtorch._public import torch

__all__ = [
    "FunctionalModule", "FunctionalModuleWithBuffers", "combine_state_for_ensemble", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
    "make_functional", "make_functional_with_buffers", "make_fx", "vjp", "vmap",
]  # fmt: skip

__version__ = torch.__version__
