"""Every learning rate schedule step by step: rates, momenta, warnings, state dicts and errors as torch's."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge


def _library(name: str) -> Any:
    return torch if name == "torch" else bridge.jtorch()


def _optimizer(library: Any, kind: str = "SGD", lr: Any = 0.5, groups: int = 2) -> Any:
    params = [{"params": [library.zeros(2, requires_grad=True)], "lr": lr * (i + 1)} for i in range(groups)]
    extra = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(library.optim, kind)(params, lr=lr, **extra)


Make = Callable[[Any, Any], Any]  # (lr_scheduler module, optimizer) -> scheduler


def _sequential(s: Any, o: Any) -> Any:
    parts = [s.LinearLR(o, start_factor=0.1, total_iters=4), s.ConstantLR(o, 0.5, 2), s.CosineAnnealingLR(o, 6), s.ExponentialLR(o, 0.9)]
    return s.SequentialLR(o, parts, milestones=[4, 7, 12])


class _Halving:
    def __init__(self) -> None:
        self.base = 2.0

    def __call__(self, epoch: float) -> float:
        return self.base**-epoch


SCHEDULES: dict[str, Make] = {
    "lambda": lambda s, o: s.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]),
    "lambda of an object": lambda s, o: s.LambdaLR(o, _Halving()),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9),
    "step": lambda s, o: s.StepLR(o, 3, gamma=0.3),
    "multistep": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], gamma=0.3),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.3, total_iters=4),
    "linear": lambda s, o: s.LinearLR(o, start_factor=0.2, end_factor=0.7, total_iters=6),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "polynomial": lambda s, o: s.PolynomialLR(o, total_iters=8, power=2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=5, eta_min=0.05),
    "warm restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.01),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, 0.5, step_size_up=3, step_size_down=2),
    "cyclic triangular2": lambda s, o: s.CyclicLR(o, [0.1, 0.2], [0.5, 0.8], step_size_up=2, mode="triangular2"),
    "cyclic exp_range": lambda s, o: s.CyclicLR(o, 0.1, 0.5, step_size_up=2, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "cyclic scale_fn": lambda s, o: s.CyclicLR(o, 0.1, 0.5, step_size_up=2, scale_fn=_Halving(), scale_mode="iterations"),
    "one cycle": lambda s, o: s.OneCycleLR(o, max_lr=[1.0, 2.0], total_steps=16),
    "one cycle linear": lambda s, o: s.OneCycleLR(o, 1.0, epochs=4, steps_per_epoch=4, anneal_strategy="linear", three_phase=True),
    "sequential": _sequential,
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], o),
    "swa": lambda s, o: importlib.import_module(s.__name__.rpartition(".")[0] + ".swa_utils").SWALR(o, swa_lr=0.05, anneal_epochs=5),
}


def _run(library: Any, make: Make, steps: int = 15, kind: str = "SGD", lr: Any = 0.5) -> tuple[list[Any], Any, Any]:
    optimizer = _optimizer(library, kind, lr)
    scheduler = make(library.optim.lr_scheduler, optimizer)
    seen = []
    for _ in range(steps):
        seen.append([
            [float(g["lr"]) for g in optimizer.param_groups], [float(x) for x in scheduler.get_last_lr()],
            [float(g.get("momentum", g.get("betas", [0])[0])) for g in optimizer.param_groups],
        ])  # fmt: skip
        optimizer.step()
        scheduler.step()
    return seen, optimizer, scheduler


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name: str, kind: str) -> None:
    theirs, ours = (_run(_library(n), SCHEDULES[name], kind=kind)[0] for n in ("torch", "jtorch"))
    np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=1e-12, atol=1e-14)


def _plain(value: Any) -> Any:
    """State dicts as plain data: functions and methods by name."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (torch.Tensor, bridge.jtorch().Tensor)):
        return float(value)
    return getattr(value, "__name__", value) if callable(value) else value


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_dicts_are_torchs_and_go_on(name: str) -> None:
    states, tails = [], []
    for library in map(_library, ("torch", "jtorch")):
        _, optimizer, scheduler = _run(library, SCHEDULES[name], steps=5)
        saved = copy.deepcopy(scheduler.state_dict())
        states.append(_plain(saved))
        other_optimizer = _optimizer(library)
        other = SCHEDULES[name](library.optim.lr_scheduler, other_optimizer)
        other.load_state_dict(saved)
        other_optimizer.load_state_dict(optimizer.state_dict())
        tail = []
        for _ in range(5):
            other_optimizer.step()
            other.step()
            tail.append([g["lr"] for g in other_optimizer.param_groups])
        tails.append(tail)
    assert states[1] == states[0]
    np.testing.assert_allclose(tails[1], tails[0], rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("sequential", "chained", "one cycle", "one cycle linear")])
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_closed_forms(name: str) -> None:
    results = []
    for library in map(_library, ("torch", "jtorch")):
        optimizer = _optimizer(library)
        scheduler = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
        optimizer.step()
        seen = []
        for epoch in (0, 1, 4, 2, 7):
            scheduler.step(epoch)
            seen.append([g["lr"] for g in optimizer.param_groups])
        results.append(seen)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith(("cyclic", "one cycle", "sequential", "chained", "swa"))])
def test_tensor_rates_keep_their_identity(name: str) -> None:
    results = []
    for library in map(_library, ("torch", "jtorch")):
        lr = library.tensor(0.5)
        optimizer = library.optim.SGD([library.zeros(2, requires_grad=True)], lr=lr)
        make = SCHEDULES["multiplicative"] if name == "lambda" else SCHEDULES[name]
        scheduler = make(library.optim.lr_scheduler, optimizer)
        seen = []
        for _ in range(6):
            optimizer.step()
            scheduler.step()
            assert optimizer.param_groups[0]["lr"] is lr
            seen.append(lr.item())
        results.append(seen)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-7)


def test_plateau() -> None:
    metrics = [1.0, 0.9, 0.9, 0.91, 0.9, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]
    for options in ({}, {"mode": "max"}, {"threshold_mode": "abs", "threshold": 0.05}, {"cooldown": 2}, {"min_lr": [0.2, 0.3]}):
        results = []
        for library in map(_library, ("torch", "jtorch")):
            optimizer = _optimizer(library)
            scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, **options)
            seen = []
            for i, m in enumerate(metrics):
                scheduler.step(library.tensor(m) if i % 2 else m)
                seen.append([*scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best, scheduler.in_cooldown])
            results.append((seen, _plain(scheduler.state_dict())))
        np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-6)
        assert set(results[1][1]) == set(results[0][1])


def _wrong_order(s: Any, o: Any) -> None:
    scheduler = s.StepLR(o, 2)
    scheduler.step()


def _overridden(s: Any, o: Any) -> None:
    scheduler = s.StepLR(o, 2)
    o.step = lambda: None
    scheduler.step()


def _epoch_given(s: Any, o: Any) -> None:
    scheduler = s.StepLR(o, 2)
    o.step()
    scheduler.step(3)


def _get_lr(s: Any, o: Any) -> None:
    s.ExponentialLR(o, 0.5).get_lr()


@pytest.mark.parametrize("act", [_wrong_order, _overridden, _epoch_given, _get_lr])
def test_warnings(act: Callable[[Any, Any], None]) -> None:
    texts = []
    for library in map(_library, ("torch", "jtorch")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            act(library.optim.lr_scheduler, _optimizer(library))
        texts.append([(w.category, str(w.message)) for w in caught])
    assert texts[1] == texts[0] and texts[0]


def _too_many_steps(s: Any, o: Any) -> None:
    scheduler = s.OneCycleLR(o, 1.0, total_steps=2)
    for _ in range(4):
        o.step()
        scheduler.step()


def _mixed_optimizers(s: Any, o: Any) -> None:
    other = type(o)([p for g in o.param_groups for p in g["params"]], lr=0.1)
    s.SequentialLR(o, [s.StepLR(o, 1), s.StepLR(other, 1)], [2])


ERRORS: dict[str, Make] = {
    "not an optimizer": lambda s, o: s.StepLR(3, 1),
    "no initial_lr": lambda s, o: s.StepLR(o, 1, last_epoch=3),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda e: 1.0]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, [1.0, 2.0]),
    "constant": lambda s, o: s.ConstantLR(o, 1.5),
    "linear start": lambda s, o: s.LinearLR(o, 0.0),
    "linear end": lambda s, o: s.LinearLR(o, 0.5, 1.5),
    "T_0": lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    "T_mult": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0),
    "eta_min": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 1, "a"),
    "negative epoch": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1).step(-1),
    "base_lr": lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    "mode": lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="x"),
    "total_steps": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=-1),
    "no steps": lambda s, o: s.OneCycleLR(o, 0.1),
    "epochs": lambda s, o: s.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=1),
    "pct_start": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=4, pct_start=2),
    "anneal": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=4, anneal_strategy="x"),
    "too many steps": _too_many_steps,
    "factor": lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda s, o: s.ReduceLROnPlateau(o, mode="x"),
    "threshold mode": lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"),
    "min_lr": lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
    "no schedulers": lambda s, o: s.SequentialLR(o, [], []),
    "milestones": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
    "plateau in sequence": lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "no chain": lambda s, o: s.ChainedScheduler([]),
    "chained plateau": lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
    "mixed optimizers": _mixed_optimizers,
    "momentum": lambda s, o: s.OneCycleLR(_without_momentum(o), 0.1, total_steps=3),
}


def _without_momentum(o: Any) -> Any:
    module = importlib.import_module(type(o).__module__.split(".")[0])
    return module.optim.Adagrad([module.zeros(1, requires_grad=True)], lr=0.1)


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    caught = []
    for library in map(_library, ("torch", "jtorch")):
        with pytest.raises(Exception) as error:
            ERRORS[name](library.optim.lr_scheduler, _optimizer(library))
        caught.append((error.type, str(error.value)))
    assert caught[1] == caught[0]


@pytest.mark.filterwarnings("ignore")
def test_averaged_models() -> None:
    results = []
    for library in map(_library, ("torch", "jtorch")):
        swa = library.optim.swa_utils
        seen = []
        for options in ({}, {"avg_fn": swa.get_ema_avg_fn(0.9)}, {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.9)},
                        {"multi_avg_fn": swa.get_swa_multi_avg_fn()}, {"avg_fn": swa.get_swa_avg_fn(), "use_buffers": True}):  # fmt: skip
            model = library.nn.Sequential(library.nn.Linear(2, 2), library.nn.BatchNorm1d(2))
            averaged = None
            for i in range(4):
                with library.no_grad():
                    for k, p in enumerate(model.parameters()):
                        p.fill_(float(i * i + k))
                averaged = averaged or swa.AveragedModel(model, **options)
                averaged.update_parameters(model)
            swa.update_bn([library.ones(3, 2) * i for i in range(3)], averaged)
            seen.append({k: v.tolist() for k, v in averaged.state_dict().items()})
        results.append(seen)
    for theirs, ours in zip(*results, strict=True):
        assert list(ours) == list(theirs)
        for key in theirs:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-6)

