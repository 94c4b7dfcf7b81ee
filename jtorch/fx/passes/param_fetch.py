"""Putting modules' parameters where nodes have their ``attrs_for_lowering``."""

from __future__ import annotations

from typing import Any

from jtorch import nn

from ..graph_module import GraphModule

__all__ = ["default_matching", "extract_attrs_for_lowering", "lift_lowering_attrs_to_nodes"]


def default_matching(name: str, target_version: int) -> str:
    """The name itself."""
    return name


_WANTED = {
    nn.Linear: ["weight", "bias"],
    nn.Conv2d: ["weight", "bias", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"],
    nn.BatchNorm2d: ["weight", "bias", "running_mean", "running_var", "eps"],
    nn.ReLU: [],
    nn.MaxPool2d: ["kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"],
    nn.AdaptiveAvgPool2d: ["output_size"],
}


def extract_attrs_for_lowering(mod: Any) -> dict[str, Any]:
    """A module's class and what its computation needs. RuntimeError for other classes than Linear, Conv2d, BatchNorm2d, ReLU and pooling."""
    if type(mod) not in _WANTED:
        raise RuntimeError(f"No module named {mod.__class__.__name__}") if not hasattr(mod, "forward") else RuntimeError("couldn't find the module type in module_fetch_book")
    return {"name": f"{mod.__class__.__module__}.{mod.__class__.__name__}", **{name: getattr(mod, name) for name in _WANTED[type(mod)]}}


def lift_lowering_attrs_to_nodes(fx_module: GraphModule) -> None:
    """Note at each module's call what :func:`extract_attrs_for_lowering` gives."""
    modules = dict(fx_module.named_modules())
    for node in fx_module.graph.nodes:
        if node.op == "call_module":
            if isinstance(modules[node.target], GraphModule):
                lift_lowering_attrs_to_nodes(modules[node.target])  # type: ignore[arg-type]
            else:
                node.attrs_for_lowering = extract_attrs_for_lowering(modules[node.target])
