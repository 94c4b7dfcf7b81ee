"""``torch.fx.experimental.proxy_tensor``: tracing by the operators of torch's library. Not done: ``torch.fx.symbolic_trace`` traces by functions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["disable_proxy_modes_tracing", "get_proxy_mode", "make_fx", "maybe_disable_fake_tensor_mode"]


def get_proxy_mode() -> Any:
    """The tracing that is running: None."""
    return None


def make_fx(f: Any, *args: Any, **kwargs: Any) -> Any:
    """A graph of the operators that a function runs."""
    not_implemented("torch.fx.experimental.proxy_tensor.make_fx", "use torch.fx.symbolic_trace")


@contextlib.contextmanager
def disable_proxy_modes_tracing() -> Iterator[None]:
    """Inside, nothing is traced."""
    yield


maybe_disable_fake_tensor_mode = disable_proxy_modes_tracing
