"""One function a package: it does one real thing and gives back what has numbers in it. The package is imported inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

THINGS: dict[str, Callable[[], Any]] = {}


def thing(fn: Callable[[], Any]) -> Callable[[], Any]:
    """Register a function under its name, which is the package's import name with __ for a dot."""
    THINGS[fn.__name__.rstrip("_")] = fn
    return fn


def train(model: Any, inputs: Any, loss_of: Callable[[Any], Any], steps: int = 3, optimizer: Any = None) -> list[float]:
    """The losses of some steps of SGD (or of another optimizer) on one batch."""
    import torch

    optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(*inputs if isinstance(inputs, tuple) else (inputs,)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def numbers(value: Any, whole: bool = False) -> list[float]:
    """What has been computed as a list of numbers: all, or long tensors by their size, mean, mean magnitude and first elements."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach().to_dense() if value.is_sparse else value.detach()
        value = (torch.view_as_real(value) if value.is_complex() else value).double().cpu().numpy()
    if isinstance(value, np.ndarray):
        flat = value.astype(np.float64).ravel()
        return flat.tolist() if whole or flat.size <= 8 else [float(flat.size), float(flat.mean()), float(np.abs(flat).mean()), *flat[:4].tolist()]
    if isinstance(value, (bool, int, float, np.number)):
        return [float(value)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in numbers(v, whole)]
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in numbers(v, whole)]
    return []
