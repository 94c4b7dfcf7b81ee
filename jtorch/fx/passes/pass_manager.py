"""The older pass manager, whose passes return modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .infra.pass_manager import _validate_pass_schedule_constraint, this_before_that_pass_constraint

__all__ = [
    "inplace_wrapper", "log_hook", "loop_pass", "this_before_that_pass_constraint", "these_before_those_pass_constraint", "PassManager",
]  # fmt: skip


def inplace_wrapper(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A pass that changes its argument as one that returns it."""

    @wraps(fn)
    def run(gm: Any) -> Any:
        fn(gm)
        return gm

    return run


def log_hook(fn: Callable[..., Any], level: int = 20) -> Callable[..., Any]:
    """The pass, with its result in the log."""
    import logging

    @wraps(fn)
    def run(gm: Any) -> Any:
        value = fn(gm)
        logging.getLogger(__name__).log(level, "Ran pass %s\t Return value: %s", fn, value)
        return value

    return run


def loop_pass(base_pass: Callable[..., Any], n_iter: int | None = None, predicate: Callable[..., bool] | None = None) -> Callable[..., Any]:
    """A pass ``n_iter`` times, or as long as ``predicate`` of its result holds. AssertionError unless one of them is given."""
    assert (n_iter is not None) ^ (predicate is not None), "Exactly one of `n_iter`or `predicate` must be specified."

    @wraps(base_pass)
    def run(source: Any) -> Any:
        output = source
        if n_iter is not None and n_iter > 0:
            for _ in range(n_iter):
                output = base_pass(output)
            return output
        if predicate is not None:
            while predicate(output):
                output = base_pass(output)
            return output
        raise RuntimeError(f"loop_pass must be given positive int n_iter (given {n_iter}) xor predicate (given {predicate})")

    return run


def these_before_those_pass_constraint(these: Callable[..., Any], those: Callable[..., Any]) -> Callable[..., bool]:
    """A constraint of kinds: passes made by ``those`` may not come before passes made by ``these``."""
    return lambda a, b: a.__class__.__name__ != those.__name__ or b.__class__.__name__ != these.__name__


class PassManager:
    """Passes in their order, which is checked against constraints."""

    def __init__(self, passes: list[Callable[..., Any]] | None = None, constraints: list[Callable[..., bool]] | None = None) -> None:
        self.passes, self.constraints = passes or [], constraints or []
        self._validated = False

    @classmethod
    def build_from_passlist(cls, passes: list[Callable[..., Any]]) -> PassManager:
        return cls(passes)

    def add_pass(self, _pass: Callable[..., Any]) -> None:
        self.passes.append(_pass)
        self._validated = False

    def add_constraint(self, constraint: Callable[..., bool]) -> None:
        self.constraints.append(constraint)
        self._validated = False

    def remove_pass(self, _passes: list[str]) -> None:
        self.passes = [p for p in self.passes if p.__name__ not in _passes]
        self._validated = False

    def replace_pass(self, _target: Callable[..., Any], _replacement: Callable[..., Any]) -> None:
        self.passes = [_replacement if p.__name__ == _target.__name__ else p for p in self.passes]
        self._validated = False

    def validate(self) -> None:
        """RuntimeError if the order breaks a constraint."""
        if not self._validated:
            for constraint in self.constraints:
                _validate_pass_schedule_constraint(constraint, self.passes)
            self._validated = True

    def __call__(self, source: Any) -> Any:
        self.validate()
        for fn in self.passes:
            source = fn(source)
        return source


