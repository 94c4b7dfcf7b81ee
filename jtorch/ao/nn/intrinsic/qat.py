"""``torch.ao.nn.intrinsic.qat``: fused layers that round their weight, those with batch normalisation by the scale that it gives the weight."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from jtorch import nn
from jtorch._public import torch
from jtorch.ao.nn import intrinsic as nni
from jtorch.ao.nn import qat
from jtorch.ao.nn.qat import _like
from jtorch.nn.utils.fusion import fuse_conv_bn_weights

from . import _FusedModule

__all__ = [
    "ConvBn1d", "ConvBn2d", "ConvBn3d", "ConvBnReLU1d", "ConvBnReLU2d", "ConvBnReLU3d", "ConvReLU1d", "ConvReLU2d", "ConvReLU3d", "LinearBn1d", "LinearReLU", "freeze_bn_stats", "update_bn_stats",
]  # fmt: skip


class _Normalised(qat._Rounding, _FusedModule):
    """A layer and its batch normalisation: the weight is rounded as it would be with the running statistics in it, and the batch's statistics are taken out of the result."""

    _BN: ClassVar[type[Any]]
    bn: Any
    freeze_bn: bool

    def _normalises(self, features: int, eps: float, momentum: float, freeze_bn: bool, qconfig: Any, bias: bool) -> None:
        if not qconfig:
            raise AssertionError("qconfig must be provided for QAT module")
        self.qconfig = qconfig
        self.freeze_bn = freeze_bn if self.training else True
        self.bn = self._BN(features, eps, momentum, True, True)
        self.weight_fake_quant = qconfig.weight()
        if bias:
            self.bias = nn.Parameter(torch.empty(features))
        else:
            self.register_parameter("bias", None)
        self.reset_bn_parameters()
        if freeze_bn or not self.training:
            self.freeze_bn_stats()
        else:
            self.update_bn_stats()

    def reset_running_stats(self) -> None:
        """Forget the statistics."""
        self.bn.reset_running_stats()

    def reset_bn_parameters(self) -> None:
        """Draw the normalisation's weight, and the layer's bias."""
        self.bn.reset_running_stats()
        nn.init.uniform_(self.bn.weight)
        nn.init.zeros_(self.bn.bias)
        if self.bias is not None:
            bound = 1 / math.sqrt(nn.init._calculate_fan_in_and_fan_out(self.weight)[0])
            nn.init.uniform_(self.bias, -bound, bound)

    def update_bn_stats(self) -> Any:
        """The statistics follow the batches."""
        self.freeze_bn = False
        self.bn.training = True
        return self

    def freeze_bn_stats(self) -> Any:
        """The statistics stay."""
        self.freeze_bn = True
        self.bn.training = False
        return self

    def train(self, mode: bool = True) -> Any:
        """Training or not; frozen statistics stay frozen."""
        self.training = mode
        if not self.freeze_bn:
            for module in self.children():
                module.train(mode)
        return self

    def _apply_weight(self, input: Any, weight: Any) -> Any:
        raise NotImplementedError

    def forward(self, input: Any) -> Any:
        """The layer and its normalisation."""
        scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        rows, columns = (-1, *[1] * (self.weight.dim() - 1)), (1, -1, *[1] * (self.weight.dim() - 2))
        plain = self._apply_weight(input, self.weight_fake_quant(self.weight * scale.reshape(rows))) / scale.reshape(columns)
        return self.bn(plain if self.bias is None else plain + self.bias.reshape(columns))

    @classmethod
    def from_float(cls, mod: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """From the fused pair."""
        qconfig = cls._config(mod)
        layer, bn = mod[0], mod[1]
        made = _like(cls, layer, eps=bn.eps, momentum=bn.momentum, qconfig=qconfig)
        made.weight, made.bias = layer.weight, layer.bias
        made.bn.weight, made.bn.bias = bn.weight, bn.bias
        made.bn.running_mean, made.bn.running_var, made.bn.num_batches_tracked = bn.running_mean, bn.running_var, bn.num_batches_tracked
        return made


class _ConvBn(_Normalised):
    _FLOAT_CONV_MODULE: ClassVar[type[Any]]
    _RELU: ClassVar[type[Any] | None] = None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: Any = None, padding_mode: str = "zeros",
        eps: float = 1e-05, momentum: float = 0.1, freeze_bn: bool = False, qconfig: Any = None,
    ) -> None:  # fmt: skip
        self._FLOAT_CONV_MODULE.__init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._normalises(out_channels, eps, momentum, freeze_bn, qconfig, bool(bias))

    def _apply_weight(self, input: Any, weight: Any) -> Any:
        return self._conv_forward(input, weight, torch.zeros(self.out_channels, device=weight.device, dtype=input.dtype))

    def to_float(self) -> Any:
        """The convolution with the normalisation in it, and its ReLU."""
        conv = self._plain(self._FLOAT_CONV_MODULE)
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, self.bn.running_mean, self.bn.running_var, self.bn.eps, self.bn.weight, self.bn.bias)
        return (conv if self._RELU is None else self._RELU(conv, nn.ReLU())).train(self.training)


class _Rectified(_ConvBn):
    def forward(self, input: Any) -> Any:
        """The layer, its normalisation and ReLU."""
        return nn.functional.relu(super().forward(input))


class ConvBn1d(_ConvBn, nn.Conv1d):
    """Conv1d and BatchNorm1d."""

    _FLOAT_MODULE: ClassVar[type[Any]] = nni.ConvBn1d
    _FLOAT_CONV_MODULE, _BN = nn.Conv1d, nn.BatchNorm1d


class ConvBn2d(_ConvBn, nn.Conv2d):
    """Conv2d and BatchNorm2d."""

    _FLOAT_MODULE: ClassVar[type[Any]] = nni.ConvBn2d
    _FLOAT_CONV_MODULE, _BN = nn.Conv2d, nn.BatchNorm2d


class ConvBn3d(_ConvBn, nn.Conv3d):
    """Conv3d and BatchNorm3d."""

    _FLOAT_MODULE: ClassVar[type[Any]] = nni.ConvBn3d
    _FLOAT_CONV_MODULE, _BN = nn.Conv3d, nn.BatchNorm3d


class ConvBnReLU1d(_Rectified, ConvBn1d):
    """Conv1d, BatchNorm1d and ReLU."""

    _FLOAT_MODULE, _RELU = nni.ConvBnReLU1d, nni.ConvReLU1d


class ConvBnReLU2d(_Rectified, ConvBn2d):
    """Conv2d, BatchNorm2d and ReLU."""

    _FLOAT_MODULE, _RELU = nni.ConvBnReLU2d, nni.ConvReLU2d


class ConvBnReLU3d(_Rectified, ConvBn3d):
    """Conv3d, BatchNorm3d and ReLU."""

    _FLOAT_MODULE, _RELU = nni.ConvBnReLU3d, nni.ConvReLU3d


class _ConvReLU(qat._Conv, _FusedModule):
    _RELU: ClassVar[type[Any]]

    def forward(self, input: Any) -> Any:
        """ReLU of the convolution."""
        return nn.functional.relu(super().forward(input))

    def to_float(self) -> Any:
        """The pair without rounding."""
        return self._RELU(super().to_float(), nn.ReLU()).train(self.training)


class ConvReLU1d(_ConvReLU, nn.Conv1d):
    """Conv1d and ReLU."""

    _FLOAT_CONV_MODULE, _FLOAT_MODULE, _RELU = nn.Conv1d, nni.ConvReLU1d, nni.ConvReLU1d


class ConvReLU2d(_ConvReLU, nn.Conv2d):
    """Conv2d and ReLU."""

    _FLOAT_CONV_MODULE, _FLOAT_MODULE, _RELU = nn.Conv2d, nni.ConvReLU2d, nni.ConvReLU2d


class ConvReLU3d(_ConvReLU, nn.Conv3d):
    """Conv3d and ReLU."""

    _FLOAT_CONV_MODULE, _FLOAT_MODULE, _RELU = nn.Conv3d, nni.ConvReLU3d, nni.ConvReLU3d


class LinearReLU(qat.Linear, _FusedModule):
    """Linear and ReLU."""

    _FLOAT_MODULE = nni.LinearReLU

    def forward(self, input: Any) -> Any:
        """ReLU of the product."""
        return nn.functional.relu(super().forward(input))

    def to_float(self) -> Any:
        """The pair without rounding."""
        return nni.LinearReLU(super().to_float(), nn.ReLU())


class LinearBn1d(_Normalised, nn.Linear):
    """Linear and BatchNorm1d."""

    _FLOAT_MODULE, _BN = nni.LinearBn1d, nn.BatchNorm1d

    def __init__(self, in_features: int, out_features: int, bias: bool = True, eps: float = 1e-05, momentum: float = 0.1, freeze_bn: bool = False, qconfig: Any = None) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias)
        self._normalises(out_features, eps, momentum, freeze_bn, qconfig, bias)

    def reset_bn_parameters(self) -> None:
        """The normalisation's weight is drawn; the bias is what its memory held, until it is given."""
        self.bn.reset_running_stats()
        nn.init.uniform_(self.bn.weight)
        nn.init.zeros_(self.bn.bias)

    def _apply_weight(self, input: Any, weight: Any) -> Any:
        return nn.functional.linear(input, weight, torch.zeros(self.out_features, device=weight.device, dtype=input.dtype))

    def to_float(self) -> Any:
        """The product with the normalisation in it."""
        plain, bn = self._plain(nn.Linear), nn.BatchNorm1d(self.out_features, self.bn.eps, self.bn.momentum)
        bn.load_state_dict(self.bn.state_dict())
        return nn.utils.fusion.fuse_linear_bn_eval(plain.eval(), bn.eval()).train(self.training)


def update_bn_stats(mod: Any) -> None:
    """For ``module.apply``."""
    if isinstance(mod, _Normalised):
        mod.update_bn_stats()


def freeze_bn_stats(mod: Any) -> None:
    """For ``module.apply``."""
    if isinstance(mod, _Normalised):
        mod.freeze_bn_stats()
