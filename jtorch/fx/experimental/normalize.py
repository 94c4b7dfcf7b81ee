"""Calls with their arguments in normal form."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from jtorch._public import torch

from ..interpreter import Transformer
from ..node import Node
from ..operator_schemas import normalize_function, normalize_module
from ..proxy import Proxy

__all__ = ["NormalizeArgs", "NormalizeOperators"]


class NormalizeArgs(Transformer):
    """Arguments of torch's functions and modules by name, with defaults filled in."""

    def __init__(self, module: Any, normalize_to_only_use_kwargs: bool = True) -> None:
        super().__init__(module)
        self.node_map: dict[Proxy, Node] = {}
        self.normalize_to_only_use_kwargs = normalize_to_only_use_kwargs

    def run_node(self, n: Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_function":
            made = normalize_function(n.target, args, kwargs, None, None, self.normalize_to_only_use_kwargs)
            args, kwargs = made or (args, kwargs)
            out = self.tracer.create_proxy("call_function", n.target, args, kwargs)
        elif n.op == "call_module":
            made = normalize_module(self.module, n.target, args, kwargs, self.normalize_to_only_use_kwargs)
            args, kwargs = made or (args, kwargs)
            out = super().call_module(n.target, args, kwargs)
        else:
            out = super().run_node(n)
        if n.op != "output":
            self.node_map[out] = n
            out.node.meta, out.node.type = n.meta, n.type
        return out


class NormalizeOperators(Transformer):
    """Python's operators as torch's functions."""

    binary_magic_method_remap: dict[Callable[..., Any], Callable[..., Any]] = {
        torch.add: operator.add, torch.mul: operator.mul, torch.sub: operator.sub, torch.div: operator.truediv, torch.floor_divide: operator.floordiv,
        torch.remainder: operator.mod, torch.eq: operator.eq, torch.ne: operator.ne, torch.lt: operator.lt, torch.le: operator.le, torch.gt: operator.gt,
        torch.ge: operator.ge,
    }  # fmt: skip

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target in self.binary_magic_method_remap and len(args) == 2:
            return super().call_function(self.binary_magic_method_remap[target], args, {})
        return super().call_function(target, args, kwargs)


