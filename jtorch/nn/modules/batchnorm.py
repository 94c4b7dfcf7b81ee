"""Batch normalisation."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.view_steps import is_traced
from jtorch._public import F, torch

from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


def _one_of(batches: Any) -> Any:
    """What one of so many batches counts in their plain mean."""
    return batches.double().reciprocal() if is_traced(batches) else 1.0 / float(batches)


class _NormBase(Module):
    """Weights per feature, and running statistics, of batch and instance normalisation."""

    # Version 2 has the buffer num_batches_tracked.
    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]
    num_batches_tracked: Any
    running_mean: Any
    running_var: Any
    _dims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(torch.empty(num_features, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        if track_running_stats:
            self.register_buffer("running_mean", torch.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", torch.ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no statistics."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Any) -> None:
        if not self._dims:
            raise NotImplementedError
        if input.dim() not in self._dims:
            raise ValueError(f"expected {' or '.join(f'{d}D' for d in self._dims)} input (got {input.dim()}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        version = local_metadata.get("version", None)
        if (version is None or version < 2) and self.track_running_stats:
            key = prefix + "num_batches_tracked"
            if key not in state_dict:
                mine = self.num_batches_tracked
                known = mine is not None and not mine.is_meta
                state_dict[key] = mine if known else torch.tensor(0, dtype=torch.long)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    def _average_factor(self) -> Any:
        """How much this batch counts in the running statistics; counts the batch. A number, or a tensor where JAX traces how many batches there were."""
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                factor = _one_of(self.num_batches_tracked)
        return factor

    def forward(self, input: Any) -> Any:
        """The input normalised per channel (dimension 1), by the batch's statistics in training, else by the running ones."""
        self._check_input_dim(input)
        factor = self._average_factor()
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        running = not self.training or self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if running else (None, None)
        if not isinstance(factor, torch.Tensor):
            return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, factor, self.eps)
        new = mean.clone(), var.clone()
        out = F.batch_norm(input, *new, self.weight, self.bias, by_batch, 1.0, self.eps)
        with torch.no_grad():
            for held, batch in zip((mean, var), new, strict=True):
                held.lerp_(batch, factor.to(batch.dtype))
        return out


class BatchNorm1d(_BatchNorm):
    """Normalises (N, C) or (N, C, L) per channel."""

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises (N, C, H, W) per channel."""

    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises (N, C, D, H, W) per channel."""

    _dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over all processes of ``process_group`` (None: all); with one process, the same as ``BatchNorm``."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def _check_non_zero_input_channels(self, input: Any) -> None:
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def forward(self, input: Any) -> Any:
        """As ``BatchNorm``, in training with the statistics of the batches of all processes together, on any device."""
        self._check_input_dim(input)
        self._check_non_zero_input_channels(input)
        dist = torch.distributed
        uses_batch = self.training or self.running_mean is None
        if not (self.training and uses_batch and dist.is_available() and dist.is_initialized() and dist.get_world_size(self.process_group) > 1):
            return super().forward(input)
        return self._over_all(input, dist)

    def _over_all(self, input: Any, dist: Any) -> Any:
        dims = [d for d in range(input.dim()) if d != 1]
        total = dist.nn.functional.all_reduce
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        count = torch.tensor([float(input.numel() // input.size(1))], device=input.device)
        dist.all_reduce(count, group=self.process_group)
        if count.item() <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.size()}")
        shape = [1, -1, *[1] * (input.dim() - 2)]
        mean = total(x.sum(dims), group=self.process_group) / count
        centred = x - mean.view(shape)
        var = total(centred.square().sum(dims), group=self.process_group) / count
        if self.track_running_stats and self.running_mean is not None:
            self._follow(mean.detach(), (var * count / (count - 1)).detach())
        out = centred * (var + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            out = out * self.weight.view(shape)
        if self.bias is not None:
            out = out + self.bias.view(shape)
        return out.to(input.dtype)

    def _follow(self, mean: Any, var: Any) -> None:
        self.num_batches_tracked.add_(1)
        factor = _one_of(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, new in ((self.running_mean, mean), (self.running_var, var)):
            if isinstance(factor, torch.Tensor):
                running.lerp_(new.to(running.dtype), factor.to(running.dtype))
            else:
                running.mul_(1 - factor).add_(new.to(running.dtype), alpha=factor)

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """``module`` with every ``BatchNorm`` in it replaced by a ``SyncBatchNorm`` that shares its tensors."""
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                with torch.no_grad():
                    result.weight = module.weight
                    result.bias = module.bias
            result.running_mean = module.running_mean
            result.running_var = module.running_var
            result.num_batches_tracked = module.num_batches_tracked
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """Takes ``num_features`` from dimension 1 of the first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        # Neither weights nor statistics yet: they are put in uninitialised below.
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=bias)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = torch.tensor(0, dtype=torch.long, device=device)

    def reset_parameters(self) -> None:
        """As the final class's, once the shape is known."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:  # type: ignore[override]
        """Take ``num_features`` from ``input``."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        waiting = []
        if self.affine:
            waiting += [self.weight, self.bias]
        if self.track_running_stats:
            waiting += [self.running_mean, self.running_var]
        for tensor in waiting:
            if tensor is not None:
                tensor.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A ``BatchNorm1d`` that takes ``num_features`` from its first input."""

    cls_to_become = BatchNorm1d
    _dims = (2, 3)


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A ``BatchNorm2d`` that takes ``num_features`` from its first input."""

    cls_to_become = BatchNorm2d
    _dims = (4,)


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A ``BatchNorm3d`` that takes ``num_features`` from its first input."""

    cls_to_become = BatchNorm3d
    _dims = (5,)
