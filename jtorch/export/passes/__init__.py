"""``torch.export.passes``: changes of exported programs."""

from __future__ import annotations

from typing import Any

from jtorch import ops
from jtorch._public import torch
from jtorch.export.exported_program import ExportedProgram
from jtorch.utils._pytree import tree_map_only

__all__ = ["move_to_device_pass"]


def move_to_device_pass(ep: ExportedProgram, location: Any) -> ExportedProgram:
    """The program itself, with its state, its constants, its example and what it makes moved to ``location``: a device, or a dict of devices by the one that they stand in for."""

    def place(device: Any) -> str:
        return str(location.get(str(device), device)) if isinstance(location, dict) else str(location)

    def moved(t: Any) -> Any:
        return t.to(place(t.device))

    for name, t in ep.state_dict.items():
        ep._state_dict[name] = torch.nn.Parameter(moved(t), t.requires_grad) if isinstance(t, torch.nn.Parameter) else moved(t)
    for name, t in ep.constants.items():
        if isinstance(t, torch.Tensor):
            ep._constants[name] = moved(t)
    if ep.example_inputs is not None:
        ep.example_inputs = tree_map_only(torch.Tensor, moved, ep.example_inputs)
    for node in ep.graph.nodes:
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": place(node.kwargs["device"])}
        if node.op == "call_function" and node.target is ops.aten.to.device:
            node.args = (node.args[0], place(node.args[1]), *node.args[2:])
    ep.validate()
    return ep
