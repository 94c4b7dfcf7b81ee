"""Categorical."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch

from . import constraints
from ._parameters import which
from .distribution import Distribution, filled
from .utils import lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """Indices 0 .. K-1 by the weights ``probs`` or the unnormalised log probabilities ``logits`` along the last dim."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _expands = {"probs": 1, "logits": 1}
    _keeps = ("_num_events", "_given")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._given = which(probs, logits)
        value = probs if logits is None else logits
        if value.dim() < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        if logits is None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        shape = self._param.size()
        self._num_events = shape[-1]
        if logits is not None and (self._validate_args if validate_args is None else validate_args) and self.logits.__class__ is torch.Tensor and not self.logits.is_inference():
            # The check looks at the logits, and who draws looks at the probabilities next: one program gives both.
            with torch.enable_grad():
                self._ahead = self.logits, self.logits._version, logits_to_probs(self.logits)
        super().__init__(shape[:-1], validate_args=validate_args)

    @property
    def _param(self) -> Any:
        return self.__dict__[self._given]

    @property
    def param_shape(self) -> Any:
        """The shape of the given parameter."""
        return self._param.size()

    def _new(self, *args: Any, **kwargs: Any) -> Any:
        return self._param.new(*args, **kwargs)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Any:
        """Log probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        """Probabilities."""
        logits, version, probs = self.__dict__.pop("_ahead", (None, 0, None))
        return probs if logits is not None and logits is self.logits and version == logits._version else logits_to_probs(self.logits)

    @property
    def mean(self) -> Any:
        """nan: categories have no order."""
        return filled(self, torch.nan, self.probs)

    @property
    def mode(self) -> Any:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Any:
        """nan, as the mean."""
        return filled(self, torch.nan, self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        count = torch.Size(sample_shape).numel()
        rows = self.probs.reshape(-1, self._num_events)
        drawn = torch.multinomial(rows, count, True).T.reshape(self._extended_shape(sample_shape))
        if not drawn.is_inference():  # nobody would see that it was written
            self._drawn = drawn, drawn._version
        return drawn

    def log_prob(self, value: Any) -> Any:
        drawn, version = self.__dict__.get("_drawn", (None, 0))
        if value is not drawn or value._version != version:  # what was drawn here lies in the support
            self._checked(value)
        index, table = torch.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return table.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        finite = torch.clamp(self.logits, min=torch.finfo(self.logits.dtype).min)
        return -(finite * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = torch.arange(self._num_events, dtype=torch.long, device=self._param.device)
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
