"""L-BFGS with an optional strong-Wolfe line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jtorch._public import torch
from jtorch.optim.optimizer import Optimizer, ParamsT, _to_scalar

__all__ = ["LBFGS"]


def _cubic_interpolate(
    x1: Any, f1: Any, g1: Any, x2: Any, f2: Any, g2: Any, bounds: tuple[Any, Any] | None = None
) -> Any:  # fmt: skip
    """The minimum, within bounds, of the cubic through two points with these values and slopes; the middle if there is none."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square.sqrt() if isinstance(square, torch.Tensor) else math.sqrt(square)
    if x1 <= x2:
        at = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        at = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(at, low), high)


def _number(loss: Any) -> float:
    return loss.item() if isinstance(loss, torch.Tensor) else float(loss)


class _Point:
    """A trial step: position ``t``, value ``f``, gradient ``g``, slope ``s``."""

    __slots__ = ("t", "f", "g", "s")

    def __init__(self, t: Any, f: Any, g: Any, s: Any) -> None:
        self.t, self.f, self.g, self.s = t, f, g, s


def _interpolate(a: _Point, b: _Point, bounds: tuple[Any, Any] | None = None) -> Any:
    return _cubic_interpolate(a.t, a.f, a.s, b.t, b.f, b.s, bounds)


def _strong_wolfe(
    evaluate: Callable[[Any, Any, Any], tuple[float, Any]], x: Any, t: Any, d: Any, f: float, g: Any, gtd: Any, c1: float = 1e-4,
    c2: float = 0.9, tolerance_change: float = 1e-9, max_ls: int = 25,
) -> tuple[float, Any, Any, int]:  # fmt: skip
    """A step along ``d`` that meets the strong Wolfe conditions: ``(value, gradient, step, evaluations)``."""

    def trial(at: Any) -> _Point:
        value, grad = evaluate(x, at, d)
        return _Point(at, value, grad.clone(memory_format=torch.contiguous_format), grad.dot(d))

    def too_high(p: _Point) -> bool:
        return p.f > f + c1 * p.t * gtd

    def flat(p: _Point) -> bool:
        return abs(p.s) <= -c2 * gtd

    d_norm = d.abs().max()
    start = _Point(0, f, g.clone(memory_format=torch.contiguous_format), gtd)
    previous, new = start, trial(t)
    evaluations, iteration, done = 1, 0, False
    bracket: list[_Point] | None = None
    # extend the step until it brackets a minimum or is good enough
    while iteration < max_ls:
        if too_high(new) or (iteration > 1 and new.f >= previous.f):
            bracket = [previous, new]
            break
        if flat(new):
            bracket, done = [new], True
            break
        if new.s >= 0:
            bracket = [previous, new]
            break
        smallest, largest = new.t + 0.01 * (new.t - previous.t), new.t * 10
        at = _interpolate(previous, new, bounds=(smallest, largest))
        previous, new = new, trial(at)
        evaluations, iteration = evaluations + 1, iteration + 1
    if bracket is None or iteration == max_ls:
        bracket = [start, new]
    # shrink the bracket
    stalled = False
    low, high = (0, 1) if bracket[0].f <= bracket[-1].f else (1, 0)
    while not done and iteration < max_ls:
        a, b = bracket
        if abs(b.t - a.t) * d_norm < tolerance_change:
            break
        at = _interpolate(a, b)
        # stay away from the bracket's ends when progress is small twice in a row
        left, right = min(a.t, b.t), max(a.t, b.t)
        margin = 0.1 * (right - left)
        if min(right - at, at - left) < margin:
            if stalled or at >= right or at <= left:
                at = right - margin if abs(at - right) < abs(at - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        new = trial(at)
        evaluations, iteration = evaluations + 1, iteration + 1
        if too_high(new) or new.f >= bracket[low].f:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
        else:
            if flat(new):
                done = True
            elif new.s * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    best = bracket[low]
    return best.f, best.g, best.t, evaluations


class LBFGS(Optimizer):
    """Limited-memory BFGS on all parameters together (one group only); ``step(closure)`` may evaluate the closure many times.

    Per step at most ``max_iter`` iterations and ``max_eval`` evaluations (default 1.25 ``max_iter``); ``tolerance_grad`` and
    ``tolerance_change`` end it earlier; ``history_size`` past steps shape the direction; ``line_search_fn``: None (the step is
    ``lr``) or "strong_wolfe". Every decision is made on the host.
    """

    def __init__(
        self, params: ParamsT, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None, tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9, history_size: int = 100, line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        })  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]
        self._numel_cache: int | None = None

    def _numel(self) -> int:
        if self._numel_cache is None:
            self._numel_cache = sum(2 * p.numel() if p.is_complex() else p.numel() for p in self._params)
        return self._numel_cache

    def _gather_flat_grad(self) -> Any:
        views = []
        for p in self._params:
            if p.grad is None:
                view = torch.zeros(p.numel(), dtype=p.dtype, device=p.device)
            elif p.grad.is_sparse:
                view = p.grad.to_dense().view(-1)
            else:
                view = p.grad.view(-1)
            views.append(torch.view_as_real(view).view(-1) if view.is_complex() else view)
        return torch.cat(views, 0)

    def _add_grad(self, step_size: Any, update: Any) -> None:
        offset = 0
        for p in self._params:
            if p.is_complex():
                p = torch.view_as_real(p)
            p.add_(update[offset : offset + p.numel()].view_as(p), alpha=step_size)
            offset += p.numel()
        if offset != self._numel():
            raise AssertionError(f"Expected offset {offset} to equal {self._numel()}")

    def _clone_param(self) -> list[Any]:
        return [p.clone(memory_format=torch.contiguous_format) for p in self._params]

    def _set_param(self, params_data: list[Any]) -> None:
        for p, data in zip(self._params, params_data, strict=True):
            p.copy_(data)

    def _directional_evaluate(self, closure: Callable[[], Any], x: list[Any], t: Any, d: Any) -> tuple[float, Any]:
        self._add_grad(t, d)
        loss = _number(closure())
        grad = self._gather_flat_grad()
        self._set_param(x)
        return loss, grad

    @staticmethod
    def _direction(grad: Any, state: dict[str, Any], dirs: list[Any], steps: list[Any], ro: list[Any], scale: Any, size: int) -> Any:
        """The two-loop recursion: the inverse Hessian's estimate times the negative gradient."""
        al = state.setdefault("al", [None] * size)
        q = grad.neg()
        for i in range(len(dirs) - 1, -1, -1):
            al[i] = steps[i].dot(q) * ro[i]
            q.add_(dirs[i], alpha=-al[i])
        r = torch.mul(q, scale)
        for i in range(len(dirs)):
            r.add_(steps[i], alpha=al[i] - dirs[i].dot(r) * ro[i])
        return r

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Minimize: ``closure`` clears the gradients, evaluates the model, calls ``backward`` and returns the loss."""
        with torch.no_grad():
            return self._step(closure)

    def _step(self, closure: Callable[[], Any]) -> Any:
        if len(self.param_groups) != 1:
            raise AssertionError(f"Expected exactly one param_group, but got {len(self.param_groups)}")

        def evaluate() -> Any:
            with torch.enable_grad():
                return closure()

        group = self.param_groups[0]
        lr, max_iter, max_eval = _to_scalar(group["lr"]), group["max_iter"], group["max_eval"]
        tolerance_grad, tolerance_change = group["tolerance_grad"], group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        orig_loss = evaluate()
        loss = _number(orig_loss)
        evals = 1
        state["func_evals"] += 1
        flat_grad = self._gather_flat_grad()
        if flat_grad.abs().max() <= tolerance_grad:
            return orig_loss
        d, t, dirs, steps, ro, scale, before, prev_loss = (
            state.get(k) for k in ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")
        )
        n_iter, done = 0, False
        while n_iter < max_iter:
            n_iter += 1
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            if first:
                d, dirs, steps, ro, scale = flat_grad.neg(), [], [], [], 1
            else:
                y, s = flat_grad.sub(before), d.mul(t)
                ys = y.dot(s)
                if ys > 1e-10:
                    if len(dirs) == group["history_size"]:
                        for history in (dirs, steps, ro):
                            history.pop(0)
                    dirs.append(y)
                    steps.append(s)
                    ro.append(1.0 / ys)
                    scale = ys / y.dot(y)
                d = self._direction(flat_grad, state, dirs, steps, ro, scale, group["history_size"])
            if before is None:
                before = flat_grad.clone(memory_format=torch.contiguous_format)
            else:
                before.copy_(flat_grad)
            prev_loss = loss
            t = min(1.0, 1.0 / flat_grad.abs().sum()) * lr if first else lr
            gtd = flat_grad.dot(d)
            if gtd > -tolerance_change:
                break
            used = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                loss, flat_grad, t, used = _strong_wolfe(
                    lambda x, t, d: self._directional_evaluate(evaluate, x, t, d), self._clone_param(), t, d, loss, flat_grad, gtd,
                    max_ls=max_eval - evals,
                )  # fmt: skip
                self._add_grad(t, d)
                done = flat_grad.abs().max() <= tolerance_grad
            else:
                self._add_grad(t, d)
                if n_iter != max_iter:
                    # the last evaluation would only be repeated by the next step's first
                    loss = _number(evaluate())
                    flat_grad = self._gather_flat_grad()
                    done = flat_grad.abs().max() <= tolerance_grad
                    used = 1
            evals += used
            state["func_evals"] += used
            if n_iter == max_iter or evals >= max_eval or done:
                break
            if d.mul(t).abs().max() <= tolerance_change or abs(loss - prev_loss) < tolerance_change:
                break
        state.update(d=d, t=t, old_dirs=dirs, old_stps=steps, ro=ro, H_diag=scale, prev_flat_grad=before, prev_loss=prev_loss)
        return orig_loss
