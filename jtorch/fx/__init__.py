"""``torch.fx``: programs as graphs that Python can change. Source: https://docs.pytorch.org/docs/stable/fx.html"""

from __future__ import annotations

from . import (
    annotate as _annotate,  # noqa: F401
    config as config,
    graph as graph,
    graph_module as graph_module,
    immutable_collections as immutable_collections,
    interpreter as interpreter,
    node as node,
    operator_schemas as operator_schemas,
    proxy as proxy,
    subgraph_rewriter as subgraph_rewriter,
    tensor_type as tensor_type,
    traceback as traceback,
)
from ._symbolic_trace import PH as PH, ProxyableClassMeta as ProxyableClassMeta, Tracer, symbolic_trace, wrap
from .graph import CodeGen as CodeGen, Graph
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, has_side_effect, map_arg
from .proxy import Proxy
from .subgraph_rewriter import replace_pattern

__all__ = [
    "symbolic_trace", "Tracer", "wrap", "Graph", "GraphModule", "Interpreter", "Transformer", "Node", "Proxy", "replace_pattern", "has_side_effect", "map_arg",
]  # fmt: skip
