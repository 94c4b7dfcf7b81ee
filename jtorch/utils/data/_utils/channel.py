"""Objects between a DataLoader and a worker: small ones through a socket, large arrays through memory that both map.

Every worker has a socket of its own, so that a worker that dies in the middle of a message harms no other. Large buffers lie in one anonymous
file per message whose descriptor travels with it; it is never on a file system, so nothing is left behind when either side is killed.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import weakref
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._core.storage.host_memory import numpy_of
from jtorch._core.storage.shared_memory import CAN_SHARE, Mapping
from jtorch._core.storage.view_steps import aval_of, is_contiguous, layout, read
from jtorch._public import torch
from jtorch.serialization._storage import dense_order, name_of

from .host import host_array, owned

_INLINE = 1 << 14  # up to here a message fits the socket's buffer, and the sender goes on at once
_ALIGN = 64
_HANDLES = 200  # descriptors that a system passes at once
_HEAD = struct.Struct("<QQ?")
_ROW = struct.Struct("<Q?")
_CAN_SHARE = CAN_SHARE and hasattr(socket, "send_fds")

MP_STATUS_CHECK_INTERVAL = 5.0
"""Seconds between looks at whether the other process is still there."""


class Channel:
    """Both ends send and receive objects; tensors arrive as tensors. EOFError or OSError when the other end is gone."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, obj: Any) -> None:
        """Send one object. What cannot be pickled raises before anything is sent."""
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(obj)
        parts = [buffer.raw() for buffer in buffers]
        body = stream.getvalue()
        # Buffers that lie in shared memory already go by their own descriptor, the others together in one more, or in the message.
        own = [_made.get(_address(part)) if part.nbytes > _INLINE else None for part in parts]
        rest = [part for part, mapping in zip(parts, own, strict=True) if mapping is None]
        total = sum(_padded(part.nbytes) for part in rest)
        joint = total > _INLINE and _CAN_SHARE
        table = [(part.nbytes, mapping is not None) for part, mapping in zip(parts, own, strict=True)]
        head = _HEAD.pack(len(body), len(parts), joint) + b"".join(_ROW.pack(*row) for row in table)
        handles = [mapping.handle for mapping in own if mapping is not None]
        extra: Mapping | None = None
        if joint:
            extra = Mapping.new(total)
            memory, at = np.asarray(extra), 0
            for part in rest:
                memory[at : at + part.nbytes] = np.frombuffer(part, np.uint8)
                at += _padded(part.nbytes)
            handles.append(extra.handle)
            rest = []
        self.connection.send_bytes(b"".join([head, body, *rest]))
        if handles:
            with self._socket() as channel:
                for start in range(0, len(handles), _HANDLES):
                    socket.send_fds(channel, [b"F"], handles[start : start + _HANDLES])
        del extra, own  # only now may the descriptors be closed

    def receive(self) -> Any:
        """Wait for one object."""
        data = self.connection.recv_bytes()
        body_size, count, joint = _HEAD.unpack_from(data)
        table = [_ROW.unpack_from(data, _HEAD.size + i * _ROW.size) for i in range(count)]
        start = _HEAD.size + count * _ROW.size
        body = memoryview(data)[start : start + body_size]
        handles = self._receive_handles(sum(own for _, own in table) + joint)
        try:
            owned_sizes = [size for size, own in table if own]
            mapped = iter([np.asarray(Mapping(handle, size)) for handle, size in zip(handles, owned_sizes, strict=False)])
            rest_sizes = [size for size, own in table if not own]
            if joint:
                memory = np.asarray(Mapping(handles[-1], sum(_padded(size) for size in rest_sizes)))
            else:
                memory = np.frombuffer(bytearray(memoryview(data)[start + body_size :]), np.uint8)
        finally:
            for handle in handles:
                os.close(handle)
        buffers, at = [], 0
        for size, own in table:
            if own:
                buffers.append(next(mapped))
            else:
                buffers.append(memory[at : at + size])
                at += _padded(size) if joint else size
        return pickle.loads(body, buffers=buffers)

    def _receive_handles(self, count: int) -> list[int]:
        handles: list[int] = []
        if count:
            with self._socket() as channel:
                while len(handles) < count:
                    wanted = min(_HANDLES, count - len(handles))
                    mark, got, _, _ = socket.recv_fds(channel, 1, wanted)
                    handles += got
                    if len(got) < wanted:
                        for handle in handles:
                            os.close(handle)
                        if not mark:
                            raise EOFError
                        raise RuntimeError(
                            "Too many open files. Communication with the workers is no longer possible. "
                            "Please increase the limit using `ulimit -n` in the shell"
                        )
        return handles

    def _socket(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self.connection.fileno()))

    def fileno(self) -> int:
        """For waiting on several channels."""
        return self.connection.fileno()

    def poll(self, timeout: float = 0.0) -> bool:
        """Whether something can be received."""
        return self.connection.poll(timeout)

    def close(self) -> None:
        """Close this end."""
        self.connection.close()


def _padded(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _address(part: memoryview) -> int:
    return np.frombuffer(part, np.uint8).__array_interface__["data"][0]


_made: weakref.WeakValueDictionary[int, Mapping] = weakref.WeakValueDictionary()


def shared_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array; a large one lies in memory that :meth:`Channel.send` hands over without a copy."""
    size = int(np.prod(shape)) * dtype.itemsize
    if size <= _INLINE or not _CAN_SHARE:
        return np.empty(shape, dtype)
    mapping = Mapping.new(size)
    _made[mapping.address] = mapping  # type: ignore[index]
    return np.asarray(mapping).view(dtype).reshape(shape)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Tensors as numpy arrays, whose memory travels beside the pickle."""
        if isinstance(obj, torch.Tensor):
            return _reduce(obj)
        return NotImplemented


def _reduce(tensor: Any) -> Any:
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support crossing process boundaries.  "
            "If you just want to transfer the data, call detach() on the tensor before serializing (e.g., putting it on the queue)."
        )
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return NotImplemented
    kind, device = type(tensor), str(tensor.device)
    plain = tensor.detach().resolve_conj().resolve_neg()
    if device != "cpu":
        plain = plain.cpu()
    array = host_array(plain)
    if array is None:
        array = _dtypes.in_memory(numpy_of(read(plain)), aval_of(plain).dtype)
    size, stride, _ = layout(plain)
    # Dims in another order in memory (channels last, transposed) stay so; anything else becomes contiguous.
    order = None if is_contiguous(size, stride) else dense_order(size, stride)
    data = np.ascontiguousarray(array if order is None else array.transpose(order)).reshape(-1).view(np.uint8)
    state = getattr(tensor, "__dict__", None) or None
    return _rebuild, (data, name_of(tensor.dtype), size, order, stride, tensor.requires_grad, device, None if kind is torch.Tensor else kind, state)


def _rebuild(
    data: np.ndarray, dtype: str, size: tuple[int, ...], order: Any, stride: Any, requires_grad: bool, device: str, kind: Any, state: Any
) -> Any:
    elements = data.view(_dtypes.ALL[dtype].memory)
    if order is None:
        tensor = owned(elements.reshape(size))
    else:
        tensor = owned(elements.reshape([size[dim] for dim in order]).transpose(sorted(range(len(order)), key=order.__getitem__)))
        tensor._s.strides = stride
    if device != "cpu":
        tensor = tensor.to(device)
    if kind is not None:
        is_parameter = issubclass(kind, torch.nn.Parameter)
        tensor = kind(tensor, requires_grad) if is_parameter else tensor.as_subclass(kind)
    if state:
        tensor.__dict__.update(state)
    if requires_grad and not tensor.requires_grad:
        tensor.requires_grad_(True)
    return tensor
