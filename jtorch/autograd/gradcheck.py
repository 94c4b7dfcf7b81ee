"""``gradcheck``: analytical gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._errors import not_implemented
from jtorch._public import torch

from ._passes import grad

__all__ = ["gradcheck", "gradgradcheck", "GradcheckError"]


class GradcheckError(RuntimeError):
    """A gradient differs from its finite difference."""


def _outputs(fn: Any, inputs: Any) -> tuple[Tensor, ...]:
    out = fn(*inputs)
    return tuple(o for o in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(o, Tensor) and o.requires_grad)


def gradcheck(
    func: Any, inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Compare the Jacobian by backward with central differences, input by input. GradcheckError (or False) where they differ."""
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    if check_forward_ad:
        not_implemented("torch.autograd.gradcheck of forward mode", "check_backward_ad=True alone")
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True.")
    outs = _outputs(func, inputs)
    for n, x in enumerate(checked):
        for k, o in enumerate(outs):
            analytic, numeric = _analytic(o, x), _numeric(func, inputs, x, k, eps)
            if not np.allclose(analytic, numeric, rtol, atol):
                if raise_exception:
                    raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input {n},\nnumerical:{numeric}\nanalytical:{analytic}\n")
                return False
    return True


def _analytic(out: Any, x: Any) -> np.ndarray:
    """The Jacobian by backward, a column for each element of the output."""
    found = np.zeros((x.numel(), out.numel()), complex)
    for j in range(out.numel()):
        seed = torch.zeros_like(out).view(-1)
        seed[j] = 1
        (g,) = grad(out, [x], seed.view(out.shape), retain_graph=True, allow_unused=True)
        found[:, j] = 0 if g is None else g.reshape(-1).numpy()
    return found


def _numeric(func: Any, inputs: Any, x: Any, k: int, eps: float) -> np.ndarray:
    """The Jacobian of output ``k`` by central differences. ``x`` itself is given other elements, as ``func`` may know it by another name;
    its own are neither written nor counted as written, so graphs made before stay good."""
    own, elements = (x._s, x._view), x.detach().numpy()

    def at(value: Any) -> np.ndarray:
        changed = elements.copy()
        changed.flat[i] = value
        x.data = torch.from_numpy(changed)
        try:
            out = func(*inputs)
            out = (out if isinstance(out, (tuple, list)) else (out,))[k].detach().reshape(-1)
            return np.array(out.numpy())
        finally:
            x._s, x._view = own

    parts = []
    for step in (eps, 1j * eps) if x.is_complex() else (eps,):
        rows = []
        for i in range(x.numel()):
            old = elements.flat[i]
            rows.append((at(old + step) - at(old - step)) / (2 * eps))
        parts.append(np.array(rows))
    # d re(out) / d(re x) + i d re(out) / d(im x) is what backward gives for a real seed.
    return parts[0].real + 1j * parts[1].real if len(parts) == 2 else parts[0].real


def gradgradcheck(func: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> bool:
    """``gradcheck`` of the gradient function."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outs = _outputs(func, inputs)
    seeds = tuple(torch.randn_like(o).requires_grad_() for o in outs) if grad_outputs is None else ((grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs))
    n = len(inputs)
    options.pop("gen_non_contig_grad_outputs", None)
    if options.pop("check_fwd_over_rev", False):
        not_implemented("torch.autograd.gradcheck of forward mode", "check_rev_over_rev=True alone")
    if not options.pop("check_rev_over_rev", True):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")

    def gradient(*args: Any) -> Any:
        ins, given = args[:n], args[n:]
        wanted = [x for x in ins if isinstance(x, Tensor) and x.requires_grad]
        return grad(_outputs(func, ins), wanted, given, create_graph=True, allow_unused=True, materialize_grads=True)

    return gradcheck(gradient, (*inputs, *seeds), **options)
