"""``gradcheck`` and ``gradgradcheck``: analytical gradients against finite differences, and what else torch demands of a backward.

``fast_mode`` compares one projection of each Jacobian, where all is real and of double precision; where that differs, and of other types, the whole of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

from . import forward_ad
from ._jacobians import (
    as_tuple,
    backward_jacobian,
    differentiable,
    directions,
    duals,
    forward_direction,
    forward_jacobians,
    numeric_direction,
    numeric_jacobian,
    tangents_of,
    wanted,
)
from ._passes import grad
from .function import Function, batches

__all__ = ["gradcheck", "gradgradcheck", "GradcheckError"]


class GradcheckError(RuntimeError):
    """A gradient differs from its finite difference."""


def gradcheck(
    func: Any, inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Compare the Jacobians by backward (and by forward mode) with central differences, input by input. GradcheckError (or False) where they differ."""
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    check = _Check(func, as_tuple(inputs), eps, atol, rtol, nondet_tol, check_grad_dtypes, bool(masked), fast_mode)
    try:
        outs = check.outputs
        if check_backward_ad:
            check.backward()
        if check_forward_ad:
            check.forward()
            if check_undefined_grad:
                check.undefined_forward()
        if check_batched_forward_grad:
            check.batched_forward()
        if not check_backward_ad:
            return True
        if check_batched_grad:
            for k, out in enumerate(outs):
                check.batched(out, k)
        check.scales_with_seed()
        if check_undefined_grad:
            check.undefined()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


_BATCHED = """gradcheck or gradgradcheck failed while testing batched gradient computation. It runs the backward under torch.vmap: an operator or a custom Function there
gives another result for a batch than row by row. check_batched_{}grad=False leaves the test out."""
_RANDOM = "vmap: We do not yet support calling random operations inside of vmap. Please perform random operations outside of vmap as a workaround"


class _Check:
    """One run: the function, its inputs and the tolerances."""

    def __init__(self, func: Any, inputs: tuple[Any, ...], eps: float, atol: float, rtol: float, nondet_tol: float, dtypes: bool, masked: bool, fast: bool) -> None:
        self.func, self.inputs, self.eps, self.atol, self.rtol, self.nondet_tol, self.dtypes, self.masked = func, inputs, eps, atol, rtol, nondet_tol, dtypes, masked
        self.fast = fast
        _check_inputs(inputs)
        self.results = as_tuple(func(*inputs))
        self.outputs = differentiable(self.results)
        if any(o.layout != torch.strided for o in self.outputs):
            raise ValueError("Sparse output is not supported at gradcheck yet. Please call to_dense(masked_grad=...) on the output of fn for gradcheck.")

    # --- Jacobians --------------------------------------------------------------------------------------------

    def backward(self) -> None:
        if not any(isinstance(o, Tensor) and o.is_complex() for o in self.results):
            return self._compare_backward(self.func, "")
        for part in ("imaginary", "real"):
            take = torch.imag if part == "imaginary" else torch.real

            def fn(*args: Any, take: Any = take) -> Any:
                return tuple(take(o) if o.is_complex() else o for o in as_tuple(self.func(*args)))

            self._compare_backward(fn, part)
        return None

    def _compare_backward(self, fn: Any, part: str) -> None:
        results = as_tuple(fn(*self.inputs))
        ins = wanted(self.inputs)
        if not differentiable(results):
            for n in range(len(ins)):
                self._expect_zero(fn, results, ins[n])
            return
        for k, (at, out) in enumerate([(at, o) for at, o in enumerate(results) if isinstance(o, Tensor) and o.requires_grad]):
            if self.fast and self._agrees_along(fn, out, at, ins):
                continue
            analytic, types, sizes = backward_jacobian(out, ins)
            again, _, _ = backward_jacobian(out, ins)
            if self.dtypes and not types:
                raise GradcheckError("Gradient has dtype mismatch")
            if not sizes:
                raise GradcheckError("Analytical gradient has incorrect size")
            rounding = 1e-13  # the second pass may run as another program than the first
            if any(a.size and np.abs(a - b).max() > self.nondet_tol + rounding * np.abs(a).max() for a, b in zip(analytic, again, strict=True)):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different values, although "
                    f"analytical gradient matches numerical gradient.The tolerance for nondeterminism was {self.nondet_tol}."
                )
            for n, x in enumerate(ins):
                numeric = numeric_jacobian(fn, self.inputs, x, at, self.eps, self.masked)
                split = part if part and self.results[at].is_complex() else ""
                self._close(analytic[n], numeric, k, n, f"While considering the {split} part of complex outputs only, " if split else "", "")

    def _agrees_along(self, fn: Any, out: Any, at: int, ins: list[Any]) -> bool:
        """Whether one projection of each Jacobian is what the differences along it say. Where it is not, or cannot be told, the whole is looked at."""
        found = directions([out, *ins])
        if found is None:
            return False
        v, *us = found
        seed = torch.from_numpy(v)
        passes = [grad(out, ins, seed, retain_graph=True, allow_unused=True) for _ in range(2)]
        for x, u, g, again in zip(ins, us, *passes, strict=True):
            numeric = float(numeric_direction(fn, self.inputs, x, at, self.eps, u) @ v.reshape(-1))
            analytic = 0.0
            if g is not None:
                if g.size() != x.size() or g.dtype is not x.dtype or g.layout != x.layout:
                    return False
                analytic = float((g.detach() * torch.from_numpy(u)).sum())
                if abs(analytic - float((again.detach() * torch.from_numpy(u)).sum())) > self.nondet_tol + 1e-13 * abs(analytic):
                    return False
            if not self._near(analytic, numeric, u, v):
                return False
        return True

    def _near(self, analytic: float, numeric: float, u: np.ndarray, v: np.ndarray) -> bool:
        return bool(np.isclose(analytic, numeric, self.rtol, self.atol * float(u.sum()) * float(v.sum())))

    def _expect_zero(self, fn: Any, results: tuple[Any, ...], x: Any) -> None:
        for k, o in enumerate(results):
            if isinstance(o, Tensor) and numeric_jacobian(fn, self.inputs, x, k, self.eps, self.masked).any():
                raise GradcheckError("Numerical gradient for function expected to be zero")

    def forward(self) -> None:
        complex_in = [n for n, x in enumerate(self.inputs) if isinstance(x, Tensor) and x.is_complex() and x.requires_grad]
        if not complex_in:
            return self._compare_forward(self.func, self.inputs, "", complex_in)
        for part in ("imaginary", "real"):
            imaginary = part == "imaginary"

            def fn(*args: Any, imaginary: bool = imaginary) -> Any:
                whole = [
                    (torch.complex(x.real.detach(), a) if imaginary else torch.complex(a, x.imag.detach())) if n in complex_in else a
                    for n, (a, x) in enumerate(zip(args, self.inputs, strict=True))
                ]
                return self.func(*whole)

            parts = tuple((x.imag if imaginary else x.real).detach().clone().requires_grad_() if n in complex_in else x for n, x in enumerate(self.inputs))
            self._compare_forward(fn, parts, part, complex_in)
        return None

    def _compare_forward(self, fn: Any, inputs: tuple[Any, ...], part: str, complex_in: list[int]) -> None:
        results = as_tuple(fn(*inputs))
        ins = wanted(inputs)
        if not differentiable(results):
            for x in ins:
                self._expect_zero(fn, results, x)
            return
        floats = [at for at, o in enumerate(results) if isinstance(o, Tensor) and (o.is_floating_point() or o.is_complex())]
        if self.fast and self._agrees_forward(fn, inputs, results, floats):
            return
        found, types = forward_jacobians(fn, inputs, len(floats))
        if self.dtypes and not types:
            raise GradcheckError("Forward AD gradient has dtype mismatch.")
        for k, at in enumerate(floats):
            if not results[at].requires_grad:
                continue
            for n, x in enumerate(ins):
                numeric = numeric_jacobian(fn, inputs, x, at, self.eps, self.masked)
                self._close(found[n][k], numeric, k, n, f"While considering the {part} part of complex inputs only, " if n in complex_in else "", "computed with forward mode ")

    def _agrees_forward(self, fn: Any, inputs: tuple[Any, ...], results: tuple[Any, ...], floats: list[int]) -> bool:
        """As :meth:`_agrees_along`, by forward mode."""
        which = [n for n, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        found = directions([*[results[at] for at in floats], *[inputs[n] for n in which]])
        if found is None:
            return False
        for n, u in zip(which, found[len(floats) :], strict=True):
            for at, v, (value, tangent) in zip(floats, found, forward_direction(fn, inputs, n, u), strict=False):
                if not results[at].requires_grad:
                    continue
                if tangent is not None and tangent.dtype is not value.dtype:
                    return False
                analytic = 0.0 if tangent is None else float((tangent.detach() * torch.from_numpy(v)).sum())
                if not self._near(analytic, float(numeric_direction(fn, inputs, inputs[n], at, self.eps, u) @ v.reshape(-1)), u, v):
                    return False
        return True

    def _close(self, analytic: np.ndarray, numeric: np.ndarray, k: int, n: int, head: str, mode: str) -> None:
        if not np.allclose(analytic, numeric, self.rtol, self.atol):
            raise GradcheckError(
                f"{head}Jacobian {mode}mismatch for output {k} with respect to input {n},\nnumerical:{torch.as_tensor(numeric)}\nanalytical:{torch.as_tensor(analytic)}\n"
            )

    # --- the rest ---------------------------------------------------------------------------------------------

    def batched(self, out: Any, k: int) -> None:
        """A batch of seeds under ``vmap`` gives what they give one by one."""
        ins = wanted(self.inputs)

        def vjp(seed: Any) -> tuple[Any, ...]:
            found = grad(out, ins, seed, retain_graph=True, allow_unused=True)
            return tuple(torch.zeros((), dtype=x.dtype).expand(x.shape) if g is None else g for g, x in zip(found, ins, strict=True))

        self._same_in_batches(vjp, [torch.randn_like(out) for _ in range(2)], "", k)

    def batched_forward(self) -> None:
        """The same of tangents."""
        for n, x in enumerate(self.inputs):
            if isinstance(x, Tensor) and x.requires_grad and (x.is_floating_point() or x.is_complex()):
                self._same_in_batches(lambda t, n=n: tangents_of(self.func, self.inputs, n, t), [torch.randn_like(x) for _ in range(2)], "forward_", n)

    def _same_in_batches(self, fn: Any, seeds: list[Any], kind: str, k: int) -> None:
        expected = [torch.stack(rows) for rows in zip(*[fn(s) for s in seeds], strict=True)]
        batches.by_operators = True
        try:
            found = torch.vmap(fn)(torch.stack(seeds))
        except RuntimeError as error:
            text = _RANDOM if "in randomness error mode" in str(error) else error
            raise GradcheckError(f"While computing batched gradients, got: {text}\n\n{_BATCHED.format(kind)}") from error
        finally:
            batches.by_operators = False
        for n, (a, b) in enumerate(zip(found, expected, strict=True)):
            if not torch.allclose(a, b):
                raise GradcheckError(f"For output {n if kind else k} and input {n}:\n\n{_BATCHED.format(kind)}\n\nGot:\n{a}\n\nExpected:\n{b}")

    def scales_with_seed(self) -> None:
        """A seed of zeros gives gradients of zeros, of the inputs' types and sizes."""
        ins = wanted(self.inputs)
        seeds = [torch.zeros_like(o, memory_format=torch.contiguous_format) for o in self.outputs]
        for g, x in zip(grad(self.outputs, ins, seeds, retain_graph=True, allow_unused=True) if self.outputs else (), ins, strict=bool(self.outputs)):
            if g is None:
                continue
            if g.layout != torch.strided:
                if g.layout != x.layout:
                    raise GradcheckError(f"grad is incorrect layout ({g.layout} is not {x.layout})")
                if g.is_sparse and (g.sparse_dim() != x.sparse_dim() or g.dense_dim() != x.dense_dim()):
                    which = "sparse_dim" if g.sparse_dim() != x.sparse_dim() else "dense_dim"
                    raise GradcheckError(f"grad is sparse tensor, but has incorrect {which} {getattr(g, which)()}, expected {getattr(x, which)()}")
                g, x = g.to_dense(), x.to_dense()
            if g.ne(0).any() if not self.masked else not torch.allclose(g, torch.zeros_like(g)):
                raise GradcheckError("backward not multiplied by grad_output")
            if g.dtype is not x.dtype:
                raise GradcheckError("grad is incorrect type")
            if g.device != x.device:
                raise GradcheckError("grad is incorrect device")
            if g.size() != x.size():
                raise GradcheckError("grad is incorrect size")

    def undefined_forward(self) -> None:
        """An input without a tangent counts as one whose tangent is zero."""
        which = [n for n, x in enumerate(self.inputs) if isinstance(x, Tensor) and x.requires_grad]
        tangents = {n: torch.rand_like(self.inputs[n].detach()) for n in which}
        for n in which:
            zeros = duals(self.func, self.inputs, {**tangents, n: torch.zeros_like(self.inputs[n].detach())})
            for k, ((_, a), (_, b)) in enumerate(zip(zeros, duals(self.func, self.inputs, {**tangents, n: None}), strict=True)):
                if a is not None and b is not None and not torch.allclose(a, b):
                    raise GradcheckError(  # (torch's exception has these as they are)
                        "Mismatch in tangent values for output with index: ", k, " when input: ", self.inputs[n], " has an undefined tangent value. ", " Got: ", a, " but expected: ", b
                    )  # fmt: skip

    def undefined(self) -> None:
        """A backward takes it that outputs have no gradient, all of them or one at a time."""
        count = len(self.outputs)
        for which in (None, *(range(count) if count > 1 else ())):
            outs = [_Undefined.apply(o) if which in (None, n) else o for n, o in enumerate(differentiable(self.func(*self.inputs)))]
            if outs:
                self._takes_undefined(outs)

    def _takes_undefined(self, outs: list[Any]) -> None:
        where = 'Please look at "Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
        seeds = [torch.zeros_like(o, memory_format=torch.contiguous_format) for o in outs]
        try:
            found = grad(outs, wanted(self.inputs), seeds, allow_unused=True)
        except RuntimeError as error:
            _warn_undefined()
            raise GradcheckError(f"Expected backward function to handle undefined output grads. {where}") from error
        if any(g is not None and g.ne(0).any() for g in map(lambda g: g if g is None or g.layout == torch.strided else g.to_dense(), found)):
            _warn_undefined()
            raise GradcheckError(f"Expected all input grads to be undefined or zero when all output grads are undefined or zero. {where}")


class _Undefined(Function):
    """The identity, whose backward gives nothing."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> None:
        return None


def _warn_undefined() -> None:
    warnings.warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but it may break existing callers of this function. "
        'If this is true for you, you can call this function with "check_undefined_grad=False" to disable the feature',
        stacklevel=5,
    )


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    for n, x in enumerate(inputs):
        if not (isinstance(x, Tensor) and x.requires_grad):
            continue
        if x.dtype not in (torch.float64, torch.complex128):
            warnings.warn(
                f"Input #{n} requires gradient and is not a double precision floating point or complex. "
                "This check will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        content: Any = x._values() if x.is_sparse else x if x.layout == torch.strided else x.values()  # type: ignore[attr-defined]
        if any(st == 0 and size > 1 for st, size in zip(content.stride(), content.size(), strict=True)):
            raise RuntimeError(
                f"The {n}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping to be able to compute the numerical "
                "gradients correctly. You should call .contiguous on the input before passing it to gradcheck."
            )
    if not wanted(inputs):
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True.")


def _leaf(x: Any) -> Any:
    """A tensor, dual or not, as one that requires grad."""
    return (x if forward_ad.unpack_dual(x).tangent is not None else x.detach()).requires_grad_()


def gradgradcheck(
    func: Any, inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """``gradcheck`` of the gradient function."""
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_undefined_grad=True requires check_rev_over_rev to be True")
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_batched_grad=True requires check_rev_over_rev to be True")
    inputs = as_tuple(inputs)
    if grad_outputs is None:
        seeds = tuple(
            torch.testing.make_tensor(o.shape, dtype=o.dtype, device=o.device, low=-1, high=1, requires_grad=True, noncontiguous=gen_non_contig_grad_outputs)
            for o in differentiable(func(*inputs))
        )
    else:
        seeds = as_tuple(grad_outputs)
    n = len(inputs)
    wanted_at = {k for k, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad}

    def gradient(*args: Any) -> Any:
        ins, given = [_leaf(x) if k in wanted_at and not x.requires_grad else x for k, x in enumerate(args[:n])], args[n:]
        found = grad(differentiable(func(*ins)), wanted(ins), given, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient, (*inputs, *seeds), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad, fast_mode=fast_mode, check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev, masked=masked,
    )  # fmt: skip


def _iter_tensors(x: Any, only_requiring_grad: bool = False) -> Iterator[Any]:
    """The tensors in nested containers, in order. Source: torch.autograd.gradcheck, which PyTorch's tests of modules import it from."""
    if isinstance(x, torch.Tensor):
        if x.requires_grad or not only_requiring_grad:
            yield x
    elif isinstance(x, Iterable) and not isinstance(x, str):
        for part in x:
            yield from _iter_tensors(part, only_requiring_grad)


def _get_numerical_jacobian(
    fn: Callable[..., Any], inputs: Any, outputs: Any = None, target: Any = None, eps: float = 1e-3, is_forward_ad: bool = False
) -> list[tuple[Any, ...]]:
    """For each tensor of ``target`` (default: of ``inputs``) that requires grad the Jacobians of all outputs, by central differences: (its elements, the output's)."""
    given = as_tuple(inputs)
    count = len(as_tuple(fn(*given) if outputs is None else outputs))
    found = []
    for x in _iter_tensors(given if target is None else target, True):
        found.append(tuple(torch.from_numpy(numeric_jacobian(fn, given, x, k, eps, False)) for k in range(count)))
    return found
