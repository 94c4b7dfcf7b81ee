"""``torch.distributed.breakpoint``: a debugger in one process, for which the others wait."""

from __future__ import annotations

import logging
import pdb
import sys
import traceback
from typing import Any

from . import _groups
from ._collectives import barrier

__all__ = ["breakpoint"]
_log = logging.getLogger("torch.distributed")
_seen: dict[int, int] = {}


class _Debugger(pdb.Pdb):
    def interaction(self, *args: Any, **kwargs: Any) -> None:  # what multiprocessing starts has no input of its own
        before = sys.stdin
        try:
            with open("/dev/stdin") as sys.stdin:
                super().interaction(*args, **kwargs)
        finally:
            sys.stdin = before


def breakpoint(rank: int = 0, skip: int = 0, timeout_s: float | None = 3600) -> None:
    """Stop in the debugger on ``rank``, after ``skip`` calls from here; the others wait, at most ``timeout_s`` seconds from now on."""
    if skip > 0:
        key = hash("".join(traceback.format_stack(sys._getframe(1))))
        _seen[key] = _seen.get(key, 0) + 1
        if _seen[key] <= skip:
            _log.warning("Skip the breakpoint, counter=%d", _seen[key])
            return
    if timeout_s is not None:
        for group in list(_groups._groups.values()):
            group.timeout = float(timeout_s)
    if _groups.get_rank() == rank:
        debugger = _Debugger()
        debugger.message(f"\n!!! ATTENTION !!!\n\nType 'up' to get to the frame that called dist.breakpoint(rank={rank})\n")
        debugger.set_trace()
    barrier()


breakpoint.__module__ = "torch.distributed"
