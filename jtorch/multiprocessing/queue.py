"""Queues whose ends pickle tensors as :mod:`torch.multiprocessing` does."""

from __future__ import annotations

import io
import multiprocessing.queues
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

__all__ = ["ConnectionWrapper", "Queue", "SimpleQueue"]


class ConnectionWrapper:
    """A connection that pickles for other processes."""

    def __init__(self, conn: Any) -> None:
        self.conn = conn

    def send(self, obj: Any) -> None:
        """Pickle and send."""
        out = io.BytesIO()
        ForkingPickler(out, pickle.HIGHEST_PROTOCOL).dump(obj)
        self.send_bytes(out.getvalue())

    def recv(self) -> Any:
        """Receive and unpickle."""
        return pickle.loads(self.recv_bytes())

    def __getattr__(self, name: str) -> Any:
        if "conn" in self.__dict__:
            return getattr(self.conn, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute 'conn'")


class Queue(multiprocessing.queues.Queue):  # type: ignore[type-arg]
    """As multiprocessing's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader, self._writer = ConnectionWrapper(self._reader), ConnectionWrapper(self._writer)  # type: ignore[has-type]
        self._send, self._recv = self._writer.send, self._reader.recv


class SimpleQueue(multiprocessing.queues.SimpleQueue):  # type: ignore[type-arg]
    """As multiprocessing's."""

    def _make_methods(self) -> None:
        if not isinstance(self._reader, ConnectionWrapper):  # type: ignore[has-type]
            self._reader, self._writer = ConnectionWrapper(self._reader), ConnectionWrapper(self._writer)  # type: ignore[has-type]
        super()._make_methods()  # type: ignore[misc]
