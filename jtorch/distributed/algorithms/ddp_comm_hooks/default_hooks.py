"""The usual communication hooks: average as it is, or in a half type. Source: https://docs.pytorch.org/docs/stable/ddp_comm_hooks.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._public import torch
from jtorch.distributed import _collectives
from jtorch.distributed._groups import resolve

__all__ = ["allreduce_hook", "bf16_compress_hook", "bf16_compress_wrapper", "fp16_compress_hook", "fp16_compress_wrapper"]


def average(group: Any, flat: Any) -> Any:
    """A future of the average over a group."""
    g = resolve(group)
    return _collectives.all_reduce(flat.div_(g.size()), group=g, async_op=True).get_future().then(lambda f: f.value()[0])  # type: ignore[union-attr]


def allreduce_hook(process_group: Any, bucket: Any) -> Any:
    """The average."""
    return average(process_group, bucket.buffer())


def _compress(kind: Any, process_group: Any, bucket: Any) -> Any:
    flat = bucket.buffer()
    return average(process_group, flat.to(kind)).then(lambda f: flat.copy_(f.value()))


def fp16_compress_hook(process_group: Any, bucket: Any) -> Any:
    """The average, sent as float16."""
    return _compress(torch.float16, process_group, bucket)


def bf16_compress_hook(process_group: Any, bucket: Any) -> Any:
    """The average, sent as bfloat16."""
    return _compress(torch.bfloat16, process_group, bucket)


def _wrapper(kind: Any, hook: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(hook_state: Any, bucket: Any) -> Any:
        flat = bucket.buffer()
        bucket.set_buffer(flat.to(kind))
        return hook(hook_state, bucket).then(lambda f: flat.copy_(f.value()))

    return wrapped


def fp16_compress_wrapper(hook: Callable[..., Any]) -> Callable[..., Any]:
    """``hook`` on float16."""
    return _wrapper(torch.float16, hook)


def bf16_compress_wrapper(hook: Callable[..., Any]) -> Callable[..., Any]:
    """``hook`` on bfloat16."""
    return _wrapper(torch.bfloat16, hook)
