"""Averages of models over training: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from jtorch._public import torch
from jtorch.nn import Module
from jtorch.optim.lr_scheduler._base import LRScheduler, Rates, _format_param
from jtorch.optim.optimizer import Optimizer

__all__ = [
    "AveragedModel", "update_bn", "SWALR", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn", "get_ema_avg_fn", "get_swa_avg_fn",
]  # fmt: skip


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _inexact(x: Any) -> bool:
    return x.is_floating_point() or x.is_complex()


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """A function of lists that moves each average towards the current value by ``1 - decay``, in place."""
    _check_decay(decay)

    def ema_update(ema_param_list: Any, current_param_list: Any, _: Any) -> None:
        with torch.no_grad():
            for average, current in zip(ema_param_list, current_param_list, strict=True):
                if _inexact(ema_param_list[0]):
                    average.lerp_(current, 1 - decay)
                else:
                    average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """A function of lists that takes the current values into equal-weight averages of ``num_averaged`` values, in place."""

    def swa_update(averaged_param_list: Any, current_param_list: Any, num_averaged: Any) -> None:
        with torch.no_grad():
            for average, current in zip(averaged_param_list, current_param_list, strict=True):
                if not _inexact(averaged_param_list[0]):
                    average.add_((current - average).div(num_averaged + 1).to(average.dtype))
                elif isinstance(num_averaged, torch.Tensor):
                    average.lerp_(current, (1 / (num_averaged + 1)).to(average.dtype))
                else:
                    average.lerp_(current, 1 / (num_averaged + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Any]:
    """A function of (average, current, count) that gives the moving average's next value."""
    _check_decay(decay)

    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        with torch.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[..., Any]:
    """A function of (average, current, count) that gives the equal-weight average's next value."""

    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        with torch.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of ``model`` (``.module``) whose parameters are an average over the calls of ``update_parameters``.

    ``avg_fn(average, current, count)`` gives the next average of one tensor, ``multi_avg_fn(averages, currents, count)`` updates
    lists in place; without either all calls weigh the same. ``use_buffers`` averages the buffers too; else they are copied.
    """

    n_averaged: Any

    def __init__(
        self, model: Any, device: Any = None, avg_fn: Callable[..., Any] | None = None, multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", torch.tensor(0, dtype=torch.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's result."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take ``model``'s present parameters into the average."""

        def tensors(of: Any) -> Iterable[Any]:
            return itertools.chain(of.parameters(), of.buffers()) if self.use_buffers else of.parameters()

        pairs = [
            (own.detach(), theirs.detach().to(own.device))
            for own, theirs in zip(tensors(self.module if self.use_buffers else self), tensors(model), strict=False)
        ]
        if bool(self.n_averaged == 0):
            for own, theirs in pairs:
                own.copy_(theirs)
        elif self.multi_avg_fn is not None:
            groups: dict[Any, tuple[list[Any], list[Any]]] = {}
            for own, theirs in pairs:
                averages, currents = groups.setdefault((own.device, own.dtype), ([], []))
                averages.append(own)
                currents.append(theirs)
            for (device, _), (averages, currents) in groups.items():
                self.multi_avg_fn(averages, currents, self.n_averaged.to(device))
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for own, theirs in pairs:
                own.copy_(average(own, theirs, self.n_averaged.to(own.device)))
        if not self.use_buffers:
            for own, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(theirs.detach().to(own.device))
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Fill the running statistics of ``model``'s batch norms anew, by one pass over ``loader`` (of inputs, or of lists that begin
    with the input)."""
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)}
    if not momenta:
        return
    with torch.no_grad():
        for module in momenta:
            module.reset_running_stats()
            module.momentum = None  # a plain mean over all batches
        was_training = model.training
        model.train()
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
        for module, momentum in momenta.items():
            module.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Go from the present rates to ``swa_lr`` in ``anneal_epochs`` epochs ("cos" or "linear"), and stay there."""

    def __init__(
        self, optimizer: Optimizer, swa_lr: float, anneal_epochs: int = 10, anneal_strategy: str = "cos", last_epoch: int = -1
    ) -> None:
        for rate, group in zip(_format_param("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _linear_anneal(t: float) -> float:
        return t

    @staticmethod
    def _cosine_anneal(t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2

    @staticmethod
    def _get_initial_lr(lr: Any, swa_lr: Any, alpha: float) -> Any:
        return swa_lr if alpha == 1 else (lr - alpha * swa_lr) / (1 - alpha)

    def get_lr(self) -> Rates:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)

        def progress(at: int) -> float:
            return self.anneal_func(max(0, min(1, at / max(1, self.anneal_epochs))))

        before, now = progress(step - 1), progress(step)
        # the rate from which the annealing started, found back from the present one
        starts = [self._get_initial_lr(g["lr"], g["swa_lr"], before) for g in self.optimizer.param_groups]
        return [g["swa_lr"] * now + lr * (1 - now) for g, lr in zip(self.optimizer.param_groups, starts, strict=True)]

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = self._cosine_anneal if anneal_strategy == "cos" else self._linear_anneal

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer and the annealing function."""
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "anneal_func")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict()`` gave."""
        self.__dict__.update(state_dict)
        self._set_anneal_func(self._anneal_strategy)
