"""The base class of distributions: shapes, argument checks and expansion, from what a class says about its parameters."""

from __future__ import annotations

import warnings
from typing import Any

from jtorch._public import torch

from . import constraints
from .utils import holds, lazy_property

__all__ = ["Distribution"]

_NO_SHAPE = torch.Size()


class Distribution:
    """A batch of probability distributions: ``batch_shape`` independent ones, each over events of ``event_shape``.

    A subclass lists the attributes that grow with the batch in ``_expands`` (name -> number of event dims they end with) and
    those that are passed on as they are in ``_keeps``; ``expand`` follows from that.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args: bool = __debug__
    _expands: dict[str, int]
    _keeps: tuple[str, ...] = ()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments when nobody says."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = _NO_SHAPE, event_shape: Any = _NO_SHAPE, validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = batch_shape, event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_arguments()
        super().__init__()

    def _check_arguments(self) -> None:
        try:
            wanted = self.arg_constraints
        except NotImplementedError:
            wanted = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or initialize the distribution "
                "with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
        for name, constraint in wanted.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # not given, and only computed when asked for
            value = getattr(self, name)
            if not holds(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} "
                    f"to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    # ---- shapes --------------------------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Any:
        """The shape of the batch of parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one sample of one distribution."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = _NO_SHAPE) -> Any:
        """The shape of a sample: sample, batch, event."""
        return torch.Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution over a larger batch, its parameters expanded without copies.

        ``_instance`` is a new instance that a subclass's own ``expand`` provides. NotImplementedError for a subclass with an
        ``__init__`` of its own that does not override this.
        """
        owner = next((c for c in type(self).__mro__ if "_expands" in c.__dict__), None)
        if owner is None:
            raise NotImplementedError
        new = self._get_checked_instance(owner, _instance)
        batch_shape = torch.Size(batch_shape)
        self._pass_on(new, batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _pass_on(self, new: Any, batch_shape: Any) -> None:
        """Give a new instance the parameters, expanded."""
        for name, event_dims in self._expands.items():
            value = self.__dict__.get(name)
            if value is None:
                continue
            shape = value._batch_shape if isinstance(value, Distribution) else value.shape
            new.__dict__[name] = value.expand(batch_shape + shape[len(shape) - event_dims :])
        for name in self._keeps:
            new.__dict__[name] = self.__dict__[name]

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom __init__ method "
                "must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    # ---- what a subclass defines ------------------------------------------------------------------------------------------

    @property
    def arg_constraints(self) -> Any:
        """Constraints that the parameters satisfy, by name."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The constraint that samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean, of ``batch_shape + event_shape``."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most likely value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance, elementwise."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation, elementwise."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = _NO_SHAPE) -> Any:
        """A sample of ``sample_shape + batch_shape + event_shape``, outside of any graph."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = _NO_SHAPE) -> Any:
        """A sample that is differentiable in the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """Deprecated: ``sample((n,))``."""
        warnings.warn("`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2)
        return self.sample(torch.Size((n,)))

    def log_prob(self, value: Any) -> Any:
        """The log of the density or mass at ``value``."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of at most ``value``."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The quantile of the probability ``value``."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first dim; ``expand=False`` leaves the batch dims at size one."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, of ``batch_shape``."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return torch.exp(self.entropy())

    # ---- checks of samples ------------------------------------------------------------------------------------------------

    def _checked(self, value: Any) -> None:
        """Validate a sample where arguments are validated."""
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value: Any) -> None:
        """ValueError unless the shape fits and the value lies in the support."""
        if not isinstance(value, torch.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        actual = value.size()
        if actual[len(actual) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(f"The right-most size of value must match event_shape: {actual} vs {self._event_shape}.")
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(actual), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {actual} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if support is None:
            raise AssertionError("support is unexpectedly None")
        if not holds(support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support ({support!r}) "
                f"of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return self.__class__.__name__ + "(" + ", ".join(shown) + ")"


def filled(distribution: Distribution, number: float, like: Any) -> Any:
    """A constant of the distribution's shape: the mean or variance of one that has none."""
    return torch.full(distribution._extended_shape(), number, dtype=like.dtype, device=like.device)
