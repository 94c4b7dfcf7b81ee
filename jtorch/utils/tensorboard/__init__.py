"""torch.utils.tensorboard: writes what TensorBoard shows. Needs the ``tensorboard`` package (not TensorFlow)."""

from __future__ import annotations

try:
    import tensorboard as _tensorboard
except ModuleNotFoundError as error:
    raise ImportError("TensorBoard logging requires the tensorboard package: pip install tensorboard") from error

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
del _tensorboard
