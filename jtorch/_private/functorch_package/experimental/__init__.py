"""``functorch.experimental``: what has moved to ``torch.func`` since."""

from jtorch._private.functorch.apis import chunk_vmap
from jtorch.func import functionalize, hessian, jacfwd, jvp, replace_all_batch_norm_modules_

__all__ = ["chunk_vmap", "functionalize", "hessian", "jacfwd", "jvp", "replace_all_batch_norm_modules_"]
