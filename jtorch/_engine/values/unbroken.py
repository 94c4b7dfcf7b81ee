"""Doing several things with nothing in between.

A signal's handler, an exception that another thread throws, and another thread come between two bytecode instructions; Python looks for them where a function begins, at the end of a loop's
turn, and *after* a call. So what one call of a C function does is done as a whole, and so is what stands between two calls. :func:`at_once` goes through iterators that C functions make
(``map`` of a slot's setter, ``starmap`` of a program) in one such call: a program runs and its results are put away, or neither.

What has to be Python (JAX when it traces and compiles) is done in a thread of its own (:class:`Elsewhere`), where nothing is thrown and no handler runs, and while nothing is collected: a finalizer
that computes would wait for what waits for that thread, or for one of JAX's locks that the very thread holds.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import time
from _thread import _count, _local, allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, compress, repeat, starmap
from operator import and_, gt, methodcaller
from typing import Any

from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

__all__ = ["Elsewhere", "aside", "at_once", "collected_again", "elsewhere", "ending", "one_waits", "provided", "together", "uncollected", "undisturbed", "working"]

_go_through: Callable[[Iterable[Any]], None] = deque(maxlen=0).extend
_chained = chain.from_iterable
# Before 3.12 the collector runs wherever an object is made, and finalizers with it.
_COLLECTS = sys.version_info < (3, 12)


def together(doings: Iterable[Iterable[Any]]) -> Iterable[Any]:
    """One iterator after the other."""
    return _chained(doings)


def provided(condition: Iterable[Any], *doings: Iterable[Any]) -> Iterable[Any]:
    """The iterators, one after the other, if the first thing that ``condition`` gives is true when they are gone through."""
    return _chained(compress((_chained(doings),), condition))


class _Ending(map):  # type: ignore[type-arg]
    done = property(_go_through)


_look = "{0.done.__class__.__name__:.0}".format  # no str() of anything but a str: CPython looks for signals there


def ending(doing: Callable[..., Any], *args: Iterable[Any]) -> Callable[..., str]:
    """A C function that goes through ``map(doing, *args)``, whatever it is given, and returns something false: an ``__exit__`` that nothing can keep from being done.
    (In one that is written in Python an exception may come before its first line. ``str.format`` takes any arguments, and looks at an attribute of the first.)"""
    return partial(_look, _Ending(doing, *args))


_waiting: list[None] = []  # one for each thread of a pool that waits for work


def one_waits() -> None:
    """Said by a pool's thread when it begins."""
    _waiting.append(None)


def working(fn: Callable[..., Any], *args: Any) -> Any:
    """:func:`undisturbed`, in a thread that waits for work."""
    if _waiting:  # else the process has forked since
        _waiting.pop()
    try:
        return undisturbed(fn, *args)
    finally:
        _waiting.append(None)


class _Collecting:
    def __init__(self, collect: Callable[[], Any]) -> None:
        self.collect = collect

    done = property(methodcaller("collect"))


def _collect_in_c() -> None:
    """JAX has the collector call a function of Python's, and what arrives while that runs (Ctrl-C, a time limit) is printed and lost. The same in C leaves it for the program's next instruction."""
    for i, callback in enumerate(gc.callbacks):
        if getattr(callback, "__name__", "") == "_xla_gc_callback":
            collect = getattr(callback.__globals__.get("_jax"), "collect_garbage", None)
            if collect is not None:
                gc.callbacks[i] = partial(_look, _Collecting(collect))


class _Phases:
    """``partial(getattr, phases)`` is a callback of the collector in C: ``getattr(phases, "start", info)``."""

    def __init__(self, enabled: Callable[[], bool], enable: Callable[[bool], None]) -> None:
        before = [True]
        others = map(gt, starmap(_count, repeat(())), map(len, repeat(_waiting)))  # whether threads besides the main one do something
        self._at_start = zip(map(before.__setitem__, repeat(0), starmap(enabled, repeat(()))), map(enable, map(and_, starmap(enabled, repeat(())), others)), strict=False).__next__
        self._at_stop = map(enable, map(before.__getitem__, repeat(0))).__next__

    start, stop = property(methodcaller("_at_start")), property(methodcaller("_at_stop"))


def _trace_no_calls_while_collecting() -> None:
    """An array of JAX's keeps the calls that it was made in: each thread has one buffer for them, filled while objects are made. Where the collector runs in the middle of that and a finalizer
    computes, its calls take the places of those there were, whose code then loses references that nobody took, until it is gone under the function. So what is made by finalizers keeps none.
    That is one switch for all threads, and what another one begins while it is off is refused by JAX when it ends: where others are at work, it stays as it is."""
    from jaxlib import _jax  # type: ignore[attr-defined]

    gc.callbacks.append(partial(getattr, _Phases(_jax.tracebacks_enabled, _jax.set_tracebacks_enabled)))


_collect_in_c()
if _COLLECTS:
    _trace_no_calls_while_collecting()

_quiet: list[bool] = []  # what must not be disturbed by finalizers, as long as it goes on
_collected = False  # whether there was collection when the first of that began


def _collect_again() -> None:
    global _collected
    _collected = True
    if not _quiet:
        _collected = False
        gc.enable()


def undisturbed(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, during which nothing is collected in any thread."""
    global _collected
    collects = gc.isenabled()
    gc.disable()
    _quiet.append(True)
    if collects:
        _collected = True
    try:
        return fn(*args)
    finally:
        _quiet.pop()
        if _collected:
            _collect_again()


if _COLLECTS:

    def at_once(*doings: Iterable[Any]) -> None:
        """Go through the iterators, one after the other, with nothing in between. What one of them raises ends it there."""
        todo = _chained(doings)
        collects = gc.isenabled()
        try:
            if collects:
                gc.disable()
            _go_through(todo)
        finally:
            if collects:
                _collect_again()

else:

    def at_once(*doings: Iterable[Any]) -> None:
        """Go through the iterators, one after the other, with nothing in between. What one of them raises ends it there."""
        _go_through(_chained(doings))


def uncollected() -> bool:
    """Nothing is collected from here on, where that could come between two C calls. Whether :func:`collected_again` must end it."""
    if _COLLECTS and gc.isenabled():
        gc.disable()
        return True
    return False


collected_again = _collect_again


_is_ending = sys.is_finalizing


class Elsewhere:
    """``fn(*args)``, once, in a thread of its own. Whoever waits may be interrupted; the call goes on, and somebody else may wait for it."""

    __slots__ = ("_call", "_claim", "_done", "_finished", "_result", "_error")

    def __init__(self, fn: Callable[..., Any], *args: Any) -> None:
        self._call: Any = (fn, args)
        self._claim, self._done = allocate_lock(), allocate_lock()
        self._result: Any = None
        self._error: BaseException | None = None
        self._finished = False
        self._done.acquire()

    def _run(self) -> None:
        if not self._claim.acquire(False):
            return
        fn, args = self._call
        self._call = None
        _here.elsewhere = True
        _going_on[self] = None
        try:
            self._result = undisturbed(fn, *args)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        finally:
            del fn, args
            self._finished = True
            self._done.release()
            _going_on.pop(self, None)
            del self  # what it raised has this frame: a circle would keep all that the callers had until the next collection

    def wait(self) -> Any:
        """What the call returns; raises what it raised."""
        while not self._finished:
            if _is_ending():  # no other thread runs any more
                if self._claim.locked():
                    raise RuntimeError("Python is about to end: what another thread was doing will not be done")
                self._run()
            elif not self._claim.locked():
                # Or once more: what is thrown at a thread also hits one that it has just started (CPython gives a new thread its starter's number until it runs),
                # which then ends before it has begun.
                try:
                    start_new_thread(self._run, ())
                except RuntimeError:  # the interpreter is about to end
                    self._run()
            if self._done.acquire(timeout=0.2):
                self._done.release()
        error, result = self._error, self._result
        del self  # as in _run
        if error is None:
            return result
        try:
            raise error
        finally:
            del error


_going_on: dict[Elsewhere, None] = {}
_END, _LAST = 10.0, 0.2  # seconds


@atexit.register
def _at_exit() -> None:
    """Whoever was to wait was interrupted, and the process ends: a thread that came back from C++ after Python's end would take it down."""
    until = time.monotonic() + _END
    for call in list(_going_on):
        if call._done.acquire(timeout=max(0.0, until - time.monotonic())):
            call._done.release()
    # Those that are through may still let go of what JAX gave them: as many threads of this kind as nobody else has started.
    until = time.monotonic() + _LAST
    while _count() >= threading.active_count() and time.monotonic() < until:
        time.sleep(0.001)


def _in_child() -> None:
    """A forked process has none of the threads."""
    _going_on.clear()
    _quiet.clear()
    _waiting.clear()
    if _collected:
        _collect_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def elsewhere(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, done in a thread of its own while this one waits."""
    return Elsewhere(fn, *args).wait()


_here = _local()


def aside(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, in which JAX traces: :func:`elsewhere`, for what comes in the middle of tracing may leave JAX's own modes on. If JAX is tracing here already, what is traced may be a part of that."""
    return fn(*args) if _being_traced() or getattr(_here, "elsewhere", False) else elsewhere(fn, *args)
