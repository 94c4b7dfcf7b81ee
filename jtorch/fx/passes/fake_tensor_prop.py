"""Noting the kinds of a graph's values without computing them."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

from ..interpreter import Interpreter
from ..node import Node, map_aggregate

__all__ = ["FakeTensorProp"]


class FakeTensorProp(Interpreter):
    """Runs a graph on tensors of the ``meta`` device; each node's is in its ``meta["val"]``."""

    def __init__(self, module: Any, mode: Any = None) -> None:
        super().__init__(module)
        self._mode = mode

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        n.meta["val"] = map_aggregate(result, lambda x: x.detach() if isinstance(x, Tensor) else x)
        n.meta["type"] = type(result)
        return result

    def fetch_attr(self, target: str) -> Any:
        found = super().fetch_attr(target)
        return _meta(found) if isinstance(found, Tensor) else found

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = super().fetch_attr(target)
        state = {name: _meta(value) for name, value in (*module.named_parameters(), *module.named_buffers())}
        return torch.func.functional_call(module, state, args, kwargs)

    def propagate(self, *args: Any) -> Any:
        """Run with stand-ins for these arguments."""
        return self.propagate_dont_convert_inputs(*(_meta(a) if isinstance(a, Tensor) else a for a in args))

    def propagate_dont_convert_inputs(self, *args: Any) -> Any:
        """Run with these stand-ins."""
        return super().run(*args)


def _meta(value: Any) -> Any:
    made = torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
    return made.requires_grad_(value.requires_grad)
