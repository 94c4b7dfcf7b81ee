"""``DataParallel``: here, the wrapped module itself, as one process sees its devices as one mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._public import torch

from ..modules.module import Module
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel"]


def _device_list(device_ids: Sequence[Any] | None) -> list[int]:
    """The GPUs to use: those given, or all there are; none on a machine without."""
    if not torch.cuda.is_available():
        return []
    if device_ids is None:
        return list(range(torch.cuda.device_count()))
    return [d if isinstance(d, int) else torch.device(d).index or 0 for d in device_ids]


class DataParallel(Module):
    """Wraps ``module`` so that its state is under "module." and, with several GPUs, the batch (``dim``) is split over them.

    With no GPU or one, calls go straight to ``module``.
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = _device_list(device_ids)
        if not self.device_ids:
            return
        self.dim = dim
        self.output_device = self.device_ids[0] if output_device is None else output_device
        self.src_device_obj = torch.device("cuda", self.device_ids[0])
        if len(self.device_ids) == 1:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The wrapped module's result."""
        if len(self.device_ids) < 2:
            return self.module(*inputs, **kwargs)
        parts, keywords = self.scatter(inputs, kwargs, self.device_ids)
        if not parts and not keywords:
            parts, keywords = ((),), ({},)
        if len(self.device_ids) == 1 or len(parts) == 1:
            return self.module(*parts[0], **keywords[0])
        replicas = self.replicate(self.module, self.device_ids[: len(parts)])
        return self.gather(self.parallel_apply(replicas, parts, keywords), self.output_device)

    def replicate(self, module: Any, device_ids: Sequence[Any]) -> list[Any]:
        """One copy per device."""
        return replicate(module, device_ids, not torch.is_grad_enabled())

    def scatter(self, inputs: Any, kwargs: Any, device_ids: Sequence[Any]) -> Any:
        """The arguments, split over the devices."""
        return scatter_kwargs(inputs, kwargs, device_ids, dim=self.dim)

    def parallel_apply(self, replicas: Sequence[Any], inputs: Sequence[Any], kwargs: Any) -> list[Any]:
        """Each replica on its part."""
        return parallel_apply(replicas, inputs, kwargs, self.device_ids[: len(replicas)])

    def gather(self, outputs: Any, output_device: Any) -> Any:
        """The parts of the result joined on one device."""
        return gather(outputs, output_device, dim=self.dim)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """One call of ``module`` on ``inputs`` split over the devices."""
    if not isinstance(inputs, tuple):
        inputs = () if inputs is None else (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))
