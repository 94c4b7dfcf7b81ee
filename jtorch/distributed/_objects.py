"""Collectives of Python objects. They are pickled, and go with the agreement on the collective: no program is compiled for their lengths."""

from __future__ import annotations

import io
import pickle
from typing import Any

from jtorch._public import torch

from ._collectives import _root, _side, recv, send
from ._groups import GroupMember, ProcessGroup, resolve, warn_not_member
from ._work import agree

__all__ = ["all_gather_object", "broadcast_object_list", "gather_object", "recv_object_list", "scatter_object_list", "send_object_list"]


def _member(group: Any, name: str) -> ProcessGroup | None:
    if group == GroupMember.NON_GROUP_MEMBER:
        warn_not_member(name)
        return None
    return resolve(group)


def _dumped(x: Any) -> bytes:
    out = io.BytesIO()
    pickle.Pickler(out).dump(x)
    return out.getvalue()


def all_gather_object(object_list: Any, obj: Any, group: Any = None) -> None:
    """The object of each process into ``object_list``, everywhere. Only among processes that trust each other: objects are unpickled."""
    g = _member(group, "all_gather_object")
    if g is not None:
        for i, data in enumerate(agree(g, "all_gather_object", _dumped(obj))):
            object_list[i] = pickle.loads(data)


def gather_object(obj: Any, object_gather_list: Any = None, dst: int | None = None, group: Any = None, group_dst: int | None = None) -> None:
    """The object of each process into ``object_gather_list`` of ``dst`` (0)."""
    g = _member(group, "gather_object")
    if g is None:
        return
    root = _root(g, group, 0 if dst is None and group_dst is None else dst, group_dst, "dst", "gather")
    _side(g, root, object_gather_list, "gather_list", "destination")
    payloads = agree(g, f"gather_object to {root}", _dumped(obj))
    if g.rank() == root:
        for i, data in enumerate(payloads):
            object_gather_list[i] = pickle.loads(data)


def broadcast_object_list(object_list: Any, src: int | None = None, group: Any = None, device: Any = None, group_src: int | None = None) -> None:
    """The objects of ``src`` (0) into every process's list."""
    g = _member(group, "broadcast_object_list")
    if g is None:
        return
    root = _root(g, group, 0 if src is None and group_src is None else src, group_src, "src", "broadcast")
    data = agree(g, f"broadcast_object_list({len(object_list)}) from {root}", _dumped(list(object_list)) if g.rank() == root else b"")[root]
    if g.rank() != root:
        object_list[:] = pickle.loads(data)


def scatter_object_list(
    scatter_object_output_list: Any, scatter_object_input_list: Any = None, src: int | None = None, group: Any = None, group_src: int | None = None
) -> None:
    """The i-th object of ``src``'s list into the first place of process i's."""
    g = _member(group, "scatter_object_list")
    if g is None:
        return
    if not isinstance(scatter_object_output_list, list) or len(scatter_object_output_list) < 1:
        raise ValueError("Expected argument scatter_object_output_list to be a list of size at least 1.")
    root = _root(g, group, 0 if src is None and group_src is None else src, group_src, "src", "scatter")
    if g.rank() == root and len(scatter_object_input_list or ()) != g.size():
        raise ValueError("Expected argument scatter_object_input_list to be a list with one object for each rank")
    data = agree(g, f"scatter_object_list from {root}", _dumped(list(scatter_object_input_list)) if g.rank() == root else b"")[root]
    scatter_object_output_list[0] = pickle.loads(data)[g.rank()]


def send_object_list(object_list: Any, dst: int | None = None, group: Any = None, device: Any = None, group_dst: int | None = None, use_batch: bool = False) -> None:
    """Send objects to the process ``dst``."""
    data = torch.frombuffer(bytearray(_dumped(list(object_list))), dtype=torch.uint8)
    send(torch.tensor([data.numel()]), dst, group, group_dst=group_dst)
    send(data, dst, group, group_dst=group_dst)


def recv_object_list(object_list: Any, src: int | None = None, group: Any = None, device: Any = None, group_src: int | None = None, use_batch: bool = False) -> int:
    """Receive as many objects as the list has; the sender's rank."""
    count = torch.zeros(1, dtype=torch.int64)
    source = recv(count, src, group, group_src=group_src)
    data = torch.empty(int(count), dtype=torch.uint8)
    recv(data, source, group)
    object_list[:] = pickle.loads(data.numpy().tobytes())
    return source
