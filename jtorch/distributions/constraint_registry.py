"""From constraints to transforms that reach them from unconstrained space: ``biject_to`` and ``transform_to``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import constraints, transforms
from .utils import NUMBERS

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """A table from classes of constraints to makers of transforms. Calling it with a constraint makes the transform."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}
        super().__init__()

    def register(self, constraint: Any, factory: Callable[[Any], Any] | None = None) -> Any:
        """Enter a constraint class (or a singleton of it), as a function or as a decorator. TypeError for anything else."""
        if factory is None:
            return lambda made: self.register(constraint, made)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {kind}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform for a constraint. NotImplementedError where none is registered."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _to_interval(c: Any) -> Any:
    low, high = c.lower_bound, c.upper_bound
    if isinstance(low, NUMBERS) and isinstance(high, NUMBERS) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


def _beyond(bound: str, sign: int) -> Callable[[Any], Any]:
    return lambda c: transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(getattr(c, bound), sign)])


for _registry in (biject_to, transform_to):

    def _independent(c: Any, _to: ConstraintRegistry = _registry) -> Any:
        return transforms.IndependentTransform(_to(c.base_constraint), c.reinterpreted_batch_ndims)

    def _cat(c: Any, _to: ConstraintRegistry = _registry) -> Any:
        return transforms.CatTransform([_to(part) for part in c.cseq], c.dim, c.lengths)

    def _stack(c: Any, _to: ConstraintRegistry = _registry) -> Any:
        return transforms.StackTransform([_to(part) for part in c.cseq], c.dim)

    _registry.register(constraints.real, lambda c: transforms.identity_transform)
    _registry.register(constraints.independent, _independent)
    _registry.register(constraints.greater_than, _beyond("lower_bound", 1))
    _registry.register(constraints.greater_than_eq, _beyond("lower_bound", 1))
    _registry.register(constraints.less_than, _beyond("upper_bound", -1))
    _registry.register(constraints.interval, _to_interval)
    _registry.register(constraints.half_open_interval, _to_interval)
    _registry.register(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
    _registry.register(constraints.cat, _cat)
    _registry.register(constraints.stack, _stack)

biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
transform_to.register(constraints.positive_definite, lambda c: transforms.PositiveDefiniteTransform())
transform_to.register(constraints.positive_semidefinite, lambda c: transforms.PositiveDefiniteTransform())
