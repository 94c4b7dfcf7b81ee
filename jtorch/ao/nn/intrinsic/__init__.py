"""``torch.ao.nn.intrinsic``: modules that follow each other and count as one when a model is quantised. Until then each is a Sequential of its parts."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch import nn

__all__ = [
    "BNReLU2d", "BNReLU3d", "ConvBn1d", "ConvBn2d", "ConvBn3d", "ConvBnReLU1d", "ConvBnReLU2d", "ConvBnReLU3d", "ConvReLU1d", "ConvReLU2d", "ConvReLU3d", "LinearBn1d", "LinearLeakyReLU", "LinearReLU",
    "LinearTanh",
]  # fmt: skip


class _FusedModule(nn.Sequential):
    """Modules that count as one."""


class _Chain(_FusedModule):
    """Parts of the classes ``_KINDS``. AssertionError for others."""

    _KINDS: ClassVar[tuple[type[Any], ...]] = ()

    def __init__(self, *modules: Any) -> None:
        if tuple(map(type, modules)) != self._KINDS:
            *names, last = (type(m).__name__ for m in modules)
            raise AssertionError(f"Incorrect types for input modules: {', '.join(names)}{',' if len(names) > 1 else ''} and {last}")
        super().__init__(*modules)


class ConvReLU1d(_Chain):
    """Conv1d and ReLU."""

    _KINDS = (nn.Conv1d, nn.ReLU)


class ConvReLU2d(_Chain):
    """Conv2d and ReLU."""

    _KINDS = (nn.Conv2d, nn.ReLU)


class ConvReLU3d(_Chain):
    """Conv3d and ReLU."""

    _KINDS = (nn.Conv3d, nn.ReLU)


class LinearReLU(_Chain):
    """Linear and ReLU."""

    _KINDS = (nn.Linear, nn.ReLU)


class LinearLeakyReLU(_Chain):
    """Linear and LeakyReLU."""

    _KINDS = (nn.Linear, nn.LeakyReLU)


class LinearTanh(_Chain):
    """Linear and Tanh."""

    _KINDS = (nn.Linear, nn.Tanh)


class ConvBn1d(_Chain):
    """Conv1d and BatchNorm1d."""

    _KINDS = (nn.Conv1d, nn.BatchNorm1d)


class ConvBn2d(_Chain):
    """Conv2d and BatchNorm2d."""

    _KINDS = (nn.Conv2d, nn.BatchNorm2d)


class ConvBn3d(_Chain):
    """Conv3d and BatchNorm3d."""

    _KINDS = (nn.Conv3d, nn.BatchNorm3d)


class ConvBnReLU1d(_Chain):
    """Conv1d, BatchNorm1d and ReLU."""

    _KINDS = (nn.Conv1d, nn.BatchNorm1d, nn.ReLU)


class ConvBnReLU2d(_Chain):
    """Conv2d, BatchNorm2d and ReLU."""

    _KINDS = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)


class ConvBnReLU3d(_Chain):
    """Conv3d, BatchNorm3d and ReLU."""

    _KINDS = (nn.Conv3d, nn.BatchNorm3d, nn.ReLU)


class BNReLU2d(_Chain):
    """BatchNorm2d and ReLU."""

    _KINDS = (nn.BatchNorm2d, nn.ReLU)


class BNReLU3d(_Chain):
    """BatchNorm3d and ReLU."""

    _KINDS = (nn.BatchNorm3d, nn.ReLU)


class LinearBn1d(_Chain):
    """Linear and BatchNorm1d."""

    _KINDS = (nn.Linear, nn.BatchNorm1d)
