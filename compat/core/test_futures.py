"""Futures: what their callbacks raise, and what is no future or callback, under both libraries."""

from __future__ import annotations

import pickle
from typing import Any

import torch as real

import jtorch


def _attempt(fn: Any) -> Any:
    try:
        return fn()
    except Exception as e:  # the places that follow are paths, and the list of signatures is pybind's
        return type(e).__name__, str(e).split("\n\nAt:")[0].split(": incompatible")[0]


def _raises(_: Any) -> Any:
    raise ValueError("q")


def _seen(torch: Any) -> list[Any]:
    Future, collect_all, wait_all = torch.futures.Future, torch.futures.collect_all, torch.futures.wait_all
    seen: list[Any] = []
    for callback in (lambda f: f.wait() + 1, lambda f: f + 1, _raises, lambda: None):
        f: Any = Future()
        following = f.then(callback)
        last = following.then(lambda g: g.wait())
        f.set_result(1)
        seen += [_attempt(following.wait), _attempt(last.value)]
    failed: Any = Future()
    failed.set_exception(ValueError("z"))
    seen += [_attempt(failed.wait), _attempt(failed.then(lambda f: f.value()).wait), _attempt(lambda: wait_all([failed]))]
    f = Future()
    both = collect_all([failed, f])
    seen.append(both.done())
    f.set_result(3)
    seen += [both.done(), _attempt(both.wait), _attempt(lambda: f.set_result(2)), _attempt(lambda: f.set_exception(ValueError(2))), _attempt(lambda: f.set_exception(2))]
    seen += [_attempt(lambda: pickle.dumps(f)), _attempt(lambda: wait_all((None,))), _attempt(lambda: collect_all((f, None))), _attempt(lambda: torch.jit.wait(None))]
    seen += [_attempt(lambda: Future().then(3)), _attempt(lambda: Future().add_done_callback(3)), wait_all([]), repr(f).split(" at ")[0]]
    return seen


def test_futures() -> None:
    assert _seen(jtorch) == _seen(real)
