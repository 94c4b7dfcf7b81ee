"""``torch.futures``: values that come later, with callbacks in torch's order. Source: https://docs.pytorch.org/docs/stable/futures.html"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value, or an exception, that somebody sets once. Callbacks run in the thread that sets it, in the order in which they were added. It cannot be pickled (RuntimeError)."""

    __module__ = "torch.jit"  # as torch's prints itself

    def __init__(self, *, devices: Any = None) -> None:
        self._lock = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []
        self.devices = list(devices or ())

    def __reduce__(self) -> Any:
        raise RuntimeError("Can not pickle torch.futures.Future")

    def done(self) -> bool:
        """Whether it is set."""
        return self._done

    def wait(self) -> T:
        """The value, once it is there; raises what was set as an exception."""
        with self._lock:
            self._lock.wait_for(lambda: self._done)
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def value(self) -> T:
        """The value that must be there already. RuntimeError if it is not."""
        if not self._done:
            raise RuntimeError("value() should only be called after the future has completed.")
        return self.wait()

    def _set(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self._done:
                raise RuntimeError("Attempting to mark a completed Future as complete again. Note that a Future can only be marked completed once.")
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._lock.notify_all()
        for callback in callbacks:
            callback(self)

    def set_result(self, result: T) -> None:
        """Set the value. RuntimeError if it is set."""
        self._set(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set an exception, which ``wait`` raises."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._set(None, result)

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Call ``callback(self)`` when it is set: at once if it is. What it raises is printed."""

        _refuse_no_function("add_done_callback", callback)

        def run(future: Future[T]) -> None:
            try:
                callback(future)
            except Exception as error:
                logging.getLogger("torch.futures").error(_failed(error))

        with self._lock:
            if not self._done:
                self._callbacks.append(run)
                return
        run(self)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """A future of what ``callback(self)`` gives; where that raises, of a RuntimeError that says what and where."""
        _refuse_no_function("then", callback)
        following: Future[Any] = Future(devices=self.devices)

        def run(future: Future[T]) -> None:
            try:
                result = callback(future)
            except Exception as error:
                following.set_exception(RuntimeError(_failed(error)))
            else:
                following.set_result(result)

        self.add_done_callback(run)
        return following


def _failed(error: Exception) -> str:
    where = "".join(f"  {f.filename}({f.lineno}): {f.name}\n" for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename != __file__)
    return f"Got the following error when running the callback: {type(error).__name__}: {error}\n\nAt:\n{where}"


def _refuse_no_function(name: str, callback: Any) -> None:
    if not callable(callback):
        raise TypeError(f"{name}(): incompatible function arguments: expected a callable of one Future, but got {type(callback).__name__}")


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list of these futures, set when all are; it raises the first exception among them."""
    together: Future[list[Future[Any]]] = Future()
    if any(future is None for future in futures):
        raise RuntimeError("Future can't be None")
    left = len(futures)
    lock = threading.Lock()
    if not left:
        together.set_result([])

    def count(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            error = next((f._error for f in futures if f._error is not None), None)
            together._set(list(futures), error)

    for future in futures:
        future.add_done_callback(count)
    return together


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """The values of all; raises the first exception among them."""
    return [future.wait() for future in collect_all(futures).wait()]
