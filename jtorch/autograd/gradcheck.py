"""``gradcheck``: analytical gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._core.tensor import Tensor
from jtorch._namespace import torch

__all__ = ["gradcheck", "gradgradcheck", "GradcheckError"]


class GradcheckError(RuntimeError):
    """A gradient differs from its finite difference."""


def _outputs(fn: Any, inputs: Any) -> tuple[Tensor, ...]:
    out = fn(*inputs)
    return tuple(o for o in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(o, Tensor) and o.requires_grad)  # type: ignore[attr-defined]


def gradcheck(
    func: Any, inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Compare the Jacobian by backward with central differences, input by input. GradcheckError (or False) where they differ."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]  # type: ignore[attr-defined]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    outs = _outputs(func, inputs)
    for x in checked:
        base = x.detach()  # type: ignore[attr-defined]
        for k, o in enumerate(outs):
            numeric = np.zeros((base.numel(), o.numel()), complex if o.is_complex() else float)  # type: ignore[attr-defined]
            flat = base.reshape(-1)
            steps = [eps, 1j * eps] if x.is_complex() else [eps]  # type: ignore[attr-defined]
            parts = []
            for step in steps:
                part = numeric.copy()
                for i in range(base.numel()):
                    old = flat[i].item()
                    with torch.no_grad():
                        base.view(-1)[i] = old + step
                        up = func(*inputs)
                        up = (up if isinstance(up, (tuple, list)) else (up,))[k].detach().clone()
                        base.view(-1)[i] = old - step
                        down = func(*inputs)
                        down = (down if isinstance(down, (tuple, list)) else (down,))[k].detach().clone()
                        base.view(-1)[i] = old
                    part[i] = ((up - down) / (2 * eps)).reshape(-1).numpy()
                parts.append(part)
            analytic = np.zeros(numeric.shape, complex)
            from jtorch.autograd import grad

            for j in range(o.numel()):  # type: ignore[attr-defined]
                seed = torch.zeros_like(o).view(-1)
                seed[j] = 1
                (g,) = grad(o, [x], seed.view(o.shape), retain_graph=True, allow_unused=True)  # type: ignore[attr-defined]
                analytic[:, j] = 0 if g is None else g.reshape(-1).numpy()
            # d re(out) / d(re x) + i d re(out) / d(im x) is what backward gives for a real seed.
            want = parts[0].real + (1j * parts[1].real if len(parts) == 2 else 0)
            if not np.allclose(analytic, want, rtol, atol):
                if raise_exception:
                    raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input:\nnumerical:{want}\nanalytical:{analytic}\n")
                return False
    return True


def gradgradcheck(func: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> bool:
    """``gradcheck`` of the gradient function."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outs = _outputs(func, inputs)
    seeds = tuple(torch.randn_like(o).requires_grad_() for o in outs) if grad_outputs is None else ((grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs))
    n = len(inputs)
    options.pop("gen_non_contig_grad_outputs", None)

    def gradient(*args: Any) -> Any:
        from jtorch.autograd import grad

        ins, given = args[:n], args[n:]
        wanted = [x for x in ins if isinstance(x, Tensor) and x.requires_grad]  # type: ignore[attr-defined]
        return grad(_outputs(func, ins), wanted, given, create_graph=True, allow_unused=True, materialize_grads=True)

    return gradcheck(gradient, (*inputs, *seeds), **options)
