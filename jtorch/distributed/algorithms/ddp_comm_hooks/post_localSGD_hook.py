"""Gradients averaged over all processes at first, and later within groups of them (post-local SGD, https://arxiv.org/abs/1808.07217)."""

from __future__ import annotations

import logging
from typing import Any

from jtorch.distributed._groups import new_subgroups, resolve
from jtorch.futures import Future

from .default_hooks import average

__all__ = ["PostLocalSGDState", "post_localSGD_hook"]
_log = logging.getLogger(__name__)


class PostLocalSGDState:
    """``process_group`` (None: the world) averages until step ``start_localSGD_iter``, then ``subgroup`` (None: the processes of a machine), or nobody if ``post_local_gradient_allreduce`` is not set."""

    __slots__ = ["process_group", "subgroup", "start_localSGD_iter", "post_local_gradient_allreduce", "iter"]

    def __init__(self, process_group: Any, subgroup: Any, start_localSGD_iter: int, post_local_gradient_allreduce: bool = True) -> None:
        _log.info("Local SGD will be started after %s iterations", start_localSGD_iter)
        self.process_group, self.subgroup, self.start_localSGD_iter = process_group, subgroup, start_localSGD_iter
        self.post_local_gradient_allreduce, self.iter = post_local_gradient_allreduce, 0

    def maybe_increase_iter(self, bucket: Any) -> None:
        """Count a step at its last bucket."""
        if bucket.is_last():
            self.iter += 1
        if self.iter == self.start_localSGD_iter:
            _log.info("Start to apply local SGD after %s iterations.", self.iter)


def post_localSGD_hook(state: PostLocalSGDState, bucket: Any) -> Any:
    """The average over the processes that the state says. A model averager brings the groups together."""
    if state.iter < state.start_localSGD_iter:
        state.maybe_increase_iter(bucket)
        return average(resolve(state.process_group), bucket.buffer())
    if not state.post_local_gradient_allreduce:
        done: Future[Any] = Future()
        done.set_result(bucket.buffer())
        return done
    if state.subgroup is None:
        state.subgroup, _ = new_subgroups()
    return average(state.subgroup, bucket.buffer())
