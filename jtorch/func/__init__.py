"""Functions of tensors as functions of arrays, and modules as pure functions of their parameters.

``functional_call(module, params, args)`` runs a module with other values for its parameters. Because an operator that meets a JAX tracer is applied to it at
once, the same call works inside ``jax.jit``, ``jax.grad``, ``jax.vmap`` and ``jax.lax.scan``. ``requires_grad=False`` is a ``jax.lax.stop_gradient`` mask.
"""

from jtorch._core.state.generator import keys_from as rngs

from jtorch._public import torch

from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .functional_call import functional_call, functionalize, stack_module_state
from .normalising import debug_unwrap, replace_all_batch_norm_modules_
from .rearranging import rearrange
from .pure import mask_gradients, pure_function, to_jax, to_torch, tree_of, value_and_grad
from .vmap import vmap

__all__ = [
    "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp", "vmap",
    "debug_unwrap", "functional_call", "rearrange", "replace_all_batch_norm_modules_", "stack_module_state", "pure_function", "value_and_grad", "mask_gradients", "tree_of", "to_jax", "to_torch", "rngs",
]

torch.vmap = vmap
