"""How distributions take their parameters: numbers or tensors, probabilities or logits."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch

from .utils import broadcast_all, is_number, lazy_property, logits_to_probs, probs_to_logits


def batch_of(tensor: Any, *given: Any) -> Any:
    """The batch shape of broadcast parameters: none where all were numbers."""
    return torch.Size() if is_number(*given) else tensor.size()


def which(probs: Any, logits: Any) -> str:
    """The name of the one that was given. ValueError unless exactly one is."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return "logits" if probs is None else "probs"


class Binary:
    """``probs`` and ``logits`` of yes-or-no distributions: one is given, the other computed when asked for."""

    _given: str
    _keeps: tuple[str, ...] = ("_given",)

    def _take(self, probs: Any, logits: Any) -> Any:
        """Store the given one as a tensor; the batch shape."""
        self._given = which(probs, logits)
        value = probs if logits is None else logits
        (tensor,) = broadcast_all(value)
        setattr(self, self._given, tensor)
        return batch_of(tensor, value)

    def _take_counted(self, total_count: Any, probs: Any, logits: Any) -> Any:
        """The same beside a ``total_count``, broadcast together and in one type."""
        self._given = which(probs, logits)
        count, tensor = broadcast_all(total_count, probs if logits is None else logits)
        self.total_count = count.type_as(tensor)
        setattr(self, self._given, tensor)
        return tensor.size()

    @property
    def _param(self) -> Any:
        return self.__dict__[self._given]

    @property
    def param_shape(self) -> Any:
        """The shape of the given parameter."""
        return self._param.size()

    def _new(self, *args: Any, **kwargs: Any) -> Any:
        return self._param.new(*args, **kwargs)

    @lazy_property
    def logits(self) -> Any:
        """Log odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=True)


class OfCategorical:
    """Distributions that are built on a ``_categorical`` and show its parameters."""

    _categorical: Any

    @property
    def _param(self) -> Any:
        return self._categorical._param

    @property
    def param_shape(self) -> Any:
        """The shape of the given parameter."""
        return self._categorical.param_shape

    @property
    def probs(self) -> Any:
        """Probabilities along the last dim."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Log probabilities along the last dim."""
        return self._categorical.logits

    def _new(self, *args: Any, **kwargs: Any) -> Any:
        return self._categorical._new(*args, **kwargs)


def counted(distribution: Any, count: int, expand: bool) -> Any:
    """0 .. count-1 along a new first dim, beside the batch."""
    like = distribution._param
    values = torch.arange(count, dtype=like.dtype, device=like.device)
    values = values.view((-1,) + (1,) * len(distribution._batch_shape))
    return values.expand((-1, *distribution._batch_shape)) if expand else values
