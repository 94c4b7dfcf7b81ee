"""Copies of a module on several devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .scatter_gather import _device

__all__ = ["replicate"]


def replicate(network: Any, devices: Sequence[Any], detach: bool = False) -> list[Any]:
    """Copies of ``network`` on the devices; gradients flow back to it unless ``detach``."""
    modules = list(network.modules())
    index = {id(module): i for i, module in enumerate(modules)}
    replicas = []
    for device in map(_device, devices):
        copies = [module._replicate_for_data_parallel() for module in modules]
        moved: dict[int, Any] = {}
        for module, copy in zip(modules, copies):
            for name, param in module._parameters.items():
                if param is None:
                    copy._parameters[name] = None
                    continue
                if id(param) not in moved:
                    moved[id(param)] = (param.detach() if detach else param).to(device)
                # A plain attribute: what was moved is no leaf, so it cannot be a parameter.
                copy.__dict__[name] = moved[id(param)]
            for name, buffer in module._buffers.items():
                copy._buffers[name] = None if buffer is None else buffer.detach().to(device)
            for name, child in module._modules.items():
                copy._modules[name] = None if child is None else copies[index[id(child)]]
        replicas.append(copies[0])
    return replicas
