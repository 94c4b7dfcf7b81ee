"""``torch._dynamo._trace_wrapped_higher_order_op``."""

from __future__ import annotations

from typing import Any

__all__ = ["TransformGetItemToIndex"]


class TransformGetItemToIndex:
    """Inside, a tensor can be indexed by a 0-dim tensor that vmap has made: here it always can."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        pass
