"""Several passes, in an order that their constraints allow."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from jtorch.nn.modules.module import Module

from .pass_base import PassResult

__all__ = ["pass_result_wrapper", "this_before_that_pass_constraint", "PassManager"]

Pass = Callable[..., Any]


def pass_result_wrapper(fn: Pass) -> Any:
    """A function of modules as a pass: its result, or the module that it changed, in a PassResult."""
    if fn is None:
        return None

    @wraps(fn)
    def run(gm: Any) -> PassResult | None:
        result = fn(gm)
        if isinstance(result, PassResult) or result is not None and not isinstance(result, Module):
            return result if isinstance(result, PassResult) else None
        return PassResult(gm if result is None else result, True)

    if not inspect.isfunction(fn):
        run.__name__ = type(fn).__name__
    return run


def _validate_pass_schedule_constraint(constraint: Callable[[Pass, Pass], bool], passes: list[Pass]) -> None:
    for i, a in enumerate(passes):
        for j, b in enumerate(passes[i + 1 :]):
            if not constraint(a, b):
                raise RuntimeError(f"pass schedule constraint violated. Expected {a} before {b} but found {a} at index {i} and {b} at index {j} in pass list.")


def _topological_sort_passes(passes: list[Pass], constraints: list[Callable[[Pass, Pass], bool]]) -> list[Pass]:
    if not constraints:
        return passes
    after: dict[Pass, list[Pass]] = {p: [] for p in passes}
    waiting = dict.fromkeys(passes, 0)
    for a in passes:
        for b in passes:
            for constraint in constraints if a != b else ():
                if not constraint(a, b):
                    after[b].append(a)
                    waiting[a] += 1
    ready = deque(p for p in passes if waiting[p] == 0)
    out = []
    while ready:
        done = ready.popleft()
        out.append(done)
        for p in after[done]:
            waiting[p] -= 1
            if waiting[p] == 0:
                ready.append(p)
    left = [p for p in waiting if waiting[p] != 0]
    if left:
        raise RuntimeError(f"Circular dependency detected within the following passes: {left}")
    return out


def this_before_that_pass_constraint(this: Pass, that: Pass) -> Callable[[Pass, Pass], bool]:
    """A constraint: ``that`` may not come before ``this``."""
    return lambda a, b: a != that or b != this


class PassManager:
    """Runs passes ``steps`` times or until none changes anything, with checks between."""

    steps: int = 1

    def __init__(
        self, passes: list[Pass] | None = None, constraints: list[Callable[[Pass, Pass], bool]] | None = None, steps: int | None = None,
        run_checks_after_each_pass: bool = False, suppress_check_failures: bool = False,
    ) -> None:  # fmt: skip
        self.passes, self.constraints = passes or [], constraints or []
        self._validated = False
        if steps:
            self.steps = steps
        self.run_checks_after_each_pass, self.suppress_check_failures = run_checks_after_each_pass, suppress_check_failures

    def add_pass(self, _pass: Pass) -> None:
        """One more pass, the last."""
        self.passes.append(_pass)
        self._validated = False

    def add_constraint(self, constraint: Callable[[Pass, Pass], bool]) -> None:
        """One more constraint."""
        self.constraints.append(constraint)
        self._validated = False

    def validate_constraints(self) -> None:
        """RuntimeError if the order breaks a constraint."""
        if not self._validated:
            for constraint in self.constraints:
                _validate_pass_schedule_constraint(constraint, self.passes)
            self._validated = True

    def solve_constraints(self) -> None:
        """Put the passes in an order that the constraints allow. RuntimeError if there is none."""
        self.passes = _topological_sort_passes(self.passes, self.constraints)
        self._validated = True

    def add_checks(self, check: Callable[[Any], None]) -> None:
        """A function of a module that raises if something is wrong."""
        if len(inspect.signature(check).parameters) != 1:
            raise TypeError("PassManager check function should only take in one variable, a module")
        self.check = check  # type: ignore[assignment,method-assign]

    def check(self, module: Any) -> None:
        pass

    def __call__(self, module: Any) -> PassResult:
        if not self._validated:
            self.solve_constraints()
        self.check(module)
        changed = False
        for _ in range(self.steps):
            modified = False
            for i, fn in enumerate(self.passes):
                name = fn.__name__ if inspect.isfunction(fn) else type(fn).__name__
                try:
                    result = fn(module)
                    if not hasattr(result, "graph_module"):
                        raise TypeError(f"The result of the pass {name} should be type PassResult.Please wrap it with pass_result_wrapper()")
                    module, modified = result.graph_module, modified or result.modified
                    if self.run_checks_after_each_pass:
                        self.check(module)
                except Exception as e:
                    before = [p.__name__ if inspect.isfunction(p) else type(p).__name__ for p in self.passes[:i]]
                    raise Exception(f"An error occurred when running the '{name}' pass after the following passes: {before}") from e
            changed = changed or modified
            if not modified:
                break
        return PassResult(module, changed)
