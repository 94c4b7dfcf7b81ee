"""What the two processes of the checker write to each other: pickles of plain Python values with their length before them. Imports neither torch nor jtorch."""

from __future__ import annotations

import pickle
import struct
from typing import Any, BinaryIO

__all__ = ["Ref", "receive", "send"]


class Ref(tuple[str, Any]):
    """A value that is not plain Python: ("tensor", key), ("dtype", "float32"), ("device", "cpu"), ..."""


def send(stream: BinaryIO, message: Any) -> None:
    """Write one message. OSError if the other side is gone."""
    body = pickle.dumps(_plain(message), protocol=4)
    stream.write(struct.pack("<Q", len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message. EOFError if the other side is gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError("the other process has ended")
    return _typed(pickle.loads(stream.read(struct.unpack("<Q", head)[0])))


_MARK = "\0ref"


def _plain(x: Any) -> Any:
    """Without our own class, whose module has another name on the other side."""
    if isinstance(x, Ref):
        return (_MARK, *(_plain(v) for v in x))
    if isinstance(x, tuple):
        return tuple(_plain(v) for v in x)
    if isinstance(x, list):
        return [_plain(v) for v in x]
    if isinstance(x, dict):
        return {k: _plain(v) for k, v in x.items()}
    return x


def _typed(x: Any) -> Any:
    if isinstance(x, tuple):
        if x and isinstance(x[0], str) and x[0] == _MARK:
            return Ref(_typed(v) for v in x[1:])
        return tuple(_typed(v) for v in x)
    if isinstance(x, list):
        return [_typed(v) for v in x]
    if isinstance(x, dict):
        return {k: _typed(v) for k, v in x.items()}
    return x
