"""``torch.ao.nn.qat``: layers that round their weight in every forward, so that they train for the integers that it will be stored as."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch import nn
from jtorch.ao.nn.intrinsic import _FusedModule

__all__ = ["Conv1d", "Conv2d", "Conv3d", "Embedding", "EmbeddingBag", "Linear"]


class _Rounding(nn.Module):
    """What the layers share: ``qconfig.weight`` makes the module that rounds; ``from_float`` takes a layer's parameters, ``to_float`` gives them back."""

    _FLOAT_MODULE: ClassVar[type[Any]]
    weight: Any
    bias: Any

    def _rounds(self, qconfig: Any, device: Any = None, dtype: Any = None) -> None:
        if not qconfig:
            raise AssertionError("qconfig must be provided for QAT module")
        self.qconfig = qconfig
        self.weight_fake_quant = qconfig.weight(factory_kwargs={"device": device, "dtype": dtype})

    @classmethod
    def _config(cls, mod: Any) -> Any:
        """The configuration of a layer that is of the class to convert; AssertionError for another, or for one without."""
        if type(mod) is not cls._FLOAT_MODULE:
            raise AssertionError(f"qat.{cls.__name__}.from_float only works for {cls._FLOAT_MODULE.__name__}, got {type(mod).__name__}")
        if not hasattr(mod, "qconfig"):
            raise AssertionError("Input float module must have qconfig defined")
        if not mod.qconfig:
            raise AssertionError("Input float module must have a valid qconfig")
        return mod.qconfig

    @classmethod
    def from_float(cls, mod: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """The layer that rounds, with the parameters of ``mod``."""
        qconfig = cls._config(mod)
        mod = mod[0] if isinstance(mod, _FusedModule) else mod
        made = cls._like(mod, qconfig=qconfig)
        if hasattr(mod, "bias"):
            made.weight, made.bias = mod.weight, mod.bias
        return made

    @classmethod
    def _like(cls, mod: Any, **more: Any) -> Any:
        raise NotImplementedError

    def _plain(self, kind: type[Any]) -> Any:
        made = _like(kind, self)
        made.weight = nn.Parameter(self.weight.detach())
        if getattr(self, "bias", None) is not None:
            made.bias = nn.Parameter(self.bias.detach())
        return made


def _like(kind: type[Any], mod: Any, **more: Any) -> Any:
    """A layer of this class with the sizes of ``mod``."""
    if isinstance(mod, nn.Linear):
        return kind(mod.in_features, mod.out_features, mod.bias is not None, **more)
    return kind(
        mod.in_channels, mod.out_channels, mod.kernel_size, stride=mod.stride, padding=mod.padding, dilation=mod.dilation, groups=mod.groups, bias=mod.bias is not None, padding_mode=mod.padding_mode,
        **more,
    )  # fmt: skip


class Linear(_Rounding, nn.Linear):
    """Linear with a weight that is rounded."""

    _FLOAT_MODULE: ClassVar[type[Any]] = nn.Linear

    def __init__(self, in_features: int, out_features: int, bias: bool = True, qconfig: Any = None, device: Any = None, dtype: Any = None) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self._rounds(qconfig, device, dtype)

    def forward(self, input: Any) -> Any:
        """``input`` times the rounded weight."""
        return nn.functional.linear(input, self.weight_fake_quant(self.weight), self.bias)

    @classmethod
    def _like(cls, mod: Any, **more: Any) -> Any:
        return _like(cls, mod, **more)

    @classmethod
    def from_float(cls, mod: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """The layer that rounds, with the parameters of ``mod``; NonDynamicallyQuantizableLinear counts as Linear."""
        if type(mod) is nn.modules.linear.NonDynamicallyQuantizableLinear and cls is Linear:
            plain = _like(nn.Linear, mod)
            plain.weight, plain.bias, plain.qconfig = mod.weight, mod.bias, mod.qconfig
            mod = plain
        return super().from_float(mod)

    def to_float(self) -> Any:
        """The layer without rounding."""
        made = self._plain(nn.Linear)
        made.train(self.training)
        return made


class _Conv(_Rounding):
    """Convolutions."""

    _FLOAT_CONV_MODULE: ClassVar[type[Any]]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
        qconfig: Any = None, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        self._FLOAT_CONV_MODULE.__init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device=device, dtype=dtype)
        self._rounds(qconfig, device, dtype)

    def forward(self, input: Any) -> Any:
        """``input`` convolved with the rounded weight."""
        return self._conv_forward(input, self.weight_fake_quant(self.weight), self.bias)

    @classmethod
    def _like(cls, mod: Any, **more: Any) -> Any:
        return _like(cls, mod, **more)

    def to_float(self) -> Any:
        """The layer without rounding."""
        made = self._plain(self._FLOAT_CONV_MODULE)
        made.train(self.training)
        return made


class Conv1d(_Conv, nn.Conv1d):
    """Conv1d with a weight that is rounded."""

    _FLOAT_MODULE = _FLOAT_CONV_MODULE = nn.Conv1d


class Conv2d(_Conv, nn.Conv2d):
    """Conv2d with a weight that is rounded."""

    _FLOAT_MODULE = _FLOAT_CONV_MODULE = nn.Conv2d


class Conv3d(_Conv, nn.Conv3d):
    """Conv3d with a weight that is rounded."""

    _FLOAT_MODULE = _FLOAT_CONV_MODULE = nn.Conv3d


class Embedding(_Rounding, nn.Embedding):
    """Embedding with a weight that is rounded."""

    _FLOAT_MODULE = nn.Embedding

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
        _weight: Any = None, device: Any = None, dtype: Any = None, qconfig: Any = None,
    ) -> None:  # fmt: skip
        nn.Embedding.__init__(self, num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, device=device, dtype=dtype)
        self._rounds(qconfig, device, dtype)

    def forward(self, input: Any) -> Any:
        """Rows of the rounded weight."""
        return nn.functional.embedding(input, self.weight_fake_quant(self.weight), self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)

    @classmethod
    def _like(cls, mod: Any, **more: Any) -> Any:
        return cls(mod.num_embeddings, mod.embedding_dim, mod.padding_idx, mod.max_norm, mod.norm_type, mod.scale_grad_by_freq, mod.sparse, mod.weight, **more)

    def to_float(self) -> Any:
        """The layer without rounding."""
        made = nn.Embedding(self.num_embeddings, self.embedding_dim, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse, None)
        made.weight = nn.Parameter(self.weight.detach())
        return made.train(self.training)


class EmbeddingBag(_Rounding, nn.EmbeddingBag):
    """EmbeddingBag with a weight that is rounded."""

    _FLOAT_MODULE = nn.EmbeddingBag

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
        _weight: Any = None, include_last_offset: bool = False, padding_idx: int | None = None, qconfig: Any = None, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        nn.EmbeddingBag.__init__(self, num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, mode, sparse, _weight, include_last_offset, padding_idx, device=device, dtype=dtype)
        self._rounds(qconfig, device, dtype)

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        """Sums or means of rows of the rounded weight."""
        return nn.functional.embedding_bag(
            input, self.weight_fake_quant(self.weight), offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse, per_sample_weights, self.include_last_offset,
            self.padding_idx,
        )  # fmt: skip

    @classmethod
    def _like(cls, mod: Any, **more: Any) -> Any:
        return cls(mod.num_embeddings, mod.embedding_dim, mod.max_norm, mod.norm_type, mod.scale_grad_by_freq, mod.mode, mod.sparse, mod.weight, mod.include_last_offset, mod.padding_idx, **more)

    def to_float(self) -> Any:
        """The layer without rounding."""
        made = nn.EmbeddingBag(self.num_embeddings, self.embedding_dim, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse, None, self.include_last_offset, self.padding_idx)
        made.weight = nn.Parameter(self.weight.detach())
        return made.train(self.training)
