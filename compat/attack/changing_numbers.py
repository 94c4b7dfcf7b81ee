"""Numbers that never repeat themselves, in every number argument that the registry knows of: nothing is compiled for them, and nothing of them stays.

``python -m compat.attack.changing_numbers [--slice 0/8]``. The calls are made from the signatures: each operator that takes a number is tried on tensors of a few shapes and types until one suits it
(:func:`own_arguments` has those that need others), and those that none suits are named. :func:`steps` are the numbers of the optimizers' classes, changed before each step. (``compat/test_changing_numbers.py`` does the same with op_db's samples, as a test.)
"""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from compat import bridge
from compat.counting import programs
from jtorch._core.tensor.derived_functions import function_for
from jtorch._registry import OPS

KINDS = {"Scalar", "Tensor|Scalar", "float", "Number", "index", "Scalar[]", "float[]", "index[]", "Number[]"}
WARM, TIMES = 4, 4  # calls that may compile, and calls that may not
_SHAPES = ((3, 3), (4,), (2, 3, 4), (1, 2, 4, 4), (1, 2, 4, 4, 4), (3,), ())
_RANDOM = ("dropout", "bernoulli", "normal", "uniform", "rand", "exponential", "cauchy", "geometric", "multinomial", "rrelu", "poisson", "gumbel")


def places() -> dict[str, tuple[str, str, int, str]]:
    """By an id: the operator, the parameter, which overload, and the parameter's kind; each function of the registry once."""
    found: dict[str, tuple[str, str, int, str]] = {}
    seen: set[Any] = set()
    for name, overloads in OPS.items():
        at = 0
        for record in overloads:
            for signature in record.signatures:
                for p in signature.params:
                    key = record.fn, p.name, at
                    if p.kind in KINDS and key not in seen and not any(word in name for word in _RANDOM):
                        seen.add(key)
                        found[f"{name}.{p.name}.{at}"] = name, p.name, at, p.kind
                at += 1
    return found


PLACES = places()


def _tensors(t: Any) -> Iterator[Callable[[int], Any]]:
    for shape in _SHAPES:
        yield lambda k, shape=shape: t.linspace(0.2, 0.7 + k, max(1, t.Size(shape).numel())).reshape(shape) + (t.eye(3) * 2 if shape == (3, 3) else 0)
    yield lambda k: t.arange(4) % (k + 2)
    yield lambda k: t.tensor([[True, False], [False, True]])


_OTHERS: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, 2), "int[]": ([2], [2, 2], [2, 2, 2], [3], [3, 3], [4, 4]), "bool": (False,), "str": ("mean", "bilinear"), "any": (None,), "Tensor[]": (), "dtype": (None,), "index": (1,),
    "Scalar": (0.5,), "Tensor|Scalar": (0.5,), "float": (0.5,), "Number": (0.5,), "index[]": ([1],), "float[]": ([0.0, 1.0],), "Scalar[]": ([0.5],), "Number[]": ([0.5],),
}  # fmt: skip


def _number(kind: str, i: int, whole: bool) -> Any:
    """The i-th of numbers that are all different."""
    base = kind.removesuffix("[]")
    x = i % 3 - 1 + 3 * (i // 3 % 2) if base == "index" else i + 1 if whole else 0.31 + 0.0137 * i
    return [x, x + 1] if kind == "float[]" else [x] if kind.endswith("[]") else x


def own_arguments(t: Any) -> dict[str, dict[str, Any]]:
    """What operators are given that the general shapes do not suit."""
    square, batch, image = t.eye(3) * 2, t.ones(2, 4, 4), t.linspace(0, 1, 256).reshape(1, 4, 8, 8)
    rois = t.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]])
    moments = {"exp_avg": square, "exp_avg_sq": square + 1}
    sparse = {"param": square, "indices": t.tensor([[0, 2]]), "values": t.ones(2, 3), "maximize": False}
    scaled = {"grad_scale": None, "found_inf": None}
    step = {"param": square, "grad": square + 1, "weight_decay": 0.1, "maximize": False}
    pooled = {"input": image, "rois": rois, "pooled_height": 2, "pooled_width": 2}
    normal = {"input": batch, "weight": None, "bias": None, "eps": 1e-5}
    return {
        "torch.scatter": {"input": square, "dim": 0, "index": t.zeros(1, 3, dtype=t.int64), "value": 0.5, "reduce": "add"},
        "torch.div": {"input": square + 1, "other": square + 2, "rounding_mode": "floor"},
        "torch.histc": {"input": t.ones(4), "bins": 4, "min": -1.0, "max": 1000.0},
        "torch.addbmm": {"input": t.ones(4, 4), "batch1": batch, "batch2": batch, "beta": 0.5, "alpha": 0.5},
        "torch.baddbmm": {"input": batch, "batch1": batch, "batch2": batch, "beta": 0.5, "alpha": 0.5},
        "_nn.multi_margin_loss": {"input": t.ones(3, 4), "target": t.tensor([1, 0, 2])},
        "internal.native_layer_norm": {**normal, "normalized_shape": [4]},
        "internal.native_group_norm": {**normal, "N": 2, "C": 4, "HxW": 4, "group": 2},
        "_nn._batch_norm": {**normal, "running_mean": t.zeros(4), "running_var": t.ones(4), "training": True, "momentum": 0.1},
        "torch.select": {"input": t.ones(6, 3), "dim": 0},
        "internal.unbind_piece": {"input": t.ones(6, 3), "dim": 0},
        "internal.nms": {"dets": t.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6], [8, 8, 9, 9]]), "scores": t.ones(3)},
        "internal.roi_align": {**pooled, "sampling_ratio": 1, "aligned": False, "grid": 1},
        "internal.ps_roi_align": {**pooled, "sampling_ratio": 1, "grid": 1},
        "internal.roi_pool": pooled,
        "internal.ps_roi_pool": pooled,
        "internal.sgd_update": {**step, **scaled, "buf": square, "lr": 0.1, "momentum": 0.9, "dampening": 0.1, "nesterov": False},
        "internal.adam_update": {
            **step, **scaled, **moments, "max_exp_avg_sq": square + 2, "alpha": -0.1, "root": 0.5, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "shrink": 0.9,
        },
        "internal.adagrad_update": {**step, **scaled, "sum": square + 1, "alpha": -0.1, "eps": 1e-8},
        "internal.adagrad_sparse_update": {**sparse, "sum": square + 1, "alpha": -0.1, "eps": 1e-8},
        "internal.sparse_adam_update": {**sparse, **moments, "alpha": -0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8},
        "internal.muon_update": {"param": square, "grad": square + 1, "weight_decay": 0.1, "buf": square, "lr": 0.1, "momentum": 0.9, "nesterov": True, "coefficients": [3.4445, -4.775, 2.0315], "eps": 1e-7, "steps": 2, "ratio": 1.0},
    }  # fmt: skip


def _own_call(name: str, which: str, kind: str) -> Callable[[int], Any] | None:
    given = own_arguments(bridge.jtorch()).get(name)
    if given is None:
        return None
    fn = function_for(name)
    if kind != "Number[]":
        return lambda i: fn(**{**given, which: _number(kind, i, False)})
    return lambda i: fn(**{**given, which: [_number("Number", i, False), *given[which][1:]]})


_TURNED_ON = {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01, "lr_decay": 0.01, "lr": 0.001}  # what is off, or must be given
_FIXED = ("initial_accumulator_value",)  # is read once


def steps() -> dict[str, Callable[[int], Any]]:
    """For every number of every optimizer's class, by name: a step with the i-th of numbers that are all different."""
    t = bridge.jtorch()
    found: dict[str, Callable[[int], Any]] = {}
    for name, cls in vars(t.optim).items():
        if not (isinstance(cls, type) and issubclass(cls, t.optim.Optimizer)) or name in ("Optimizer", "Optax"):  # Optax's numbers are inside of what it is given
            continue
        defaults = cls([t.nn.Parameter(t.ones(3, 3))]).defaults
        for key, value in defaults.items():
            for at, number in enumerate(value if isinstance(value, tuple) else (value,)):
                if key not in _FIXED and number.__class__ in (int, float) and not key.startswith(("max_", "history", "ns_steps")):
                    on = {k: v for k, v in _TURNED_ON.items() if k in defaults}
                    found[f"optim.{name}.{key}.{at}"] = _stepping(t, cls, on, key, at)
    return found


def _stepping(t: Any, cls: Any, options: dict[str, Any], key: str, at: int) -> Callable[[int], Any]:
    made: list[Any] = []

    def step(i: int) -> Any:
        if not made:
            made.extend([p := t.nn.Parameter(t.eye(3) + 1), cls([p], **options)])
        parameter, optimizer = made
        if cls is t.optim.SparseAdam:
            parameter.grad = t.sparse_coo_tensor(t.tensor([[0, 2]]), t.ones(2, 3), (3, 3))
        else:
            parameter.grad = t.ones(3, 3)
        (group,) = optimizer.param_groups
        x = 0.05 + 0.9 * (i * 0.6180339887498949 % 1.0)
        group[key] = (*group[key][:at], x, *group[key][at + 1 :]) if isinstance(group[key], tuple) else x * (1e-3 if key == "lr" else 1)
        if cls is t.optim.LBFGS:
            optimizer.step(lambda: (parameter.detach() ** 2).sum())
        else:
            optimizer.step()
        return parameter.detach()

    return step


def calls(name: str, which: str, at: int, kind: str) -> Iterator[Callable[[int], Any]]:
    """Calls that may suit: functions of the number's number."""
    t = bridge.jtorch()
    signature = [s for record in OPS[name] for s in record.signatures][at]
    fn = function_for(name)
    own = _own_call(name, which, kind)
    if own is not None and (name not in ("torch.div", "torch.scatter") or any(p.name in ("rounding_mode", "reduce") for p in signature.params)):
        yield own
    for make, whole in itertools.product(_tensors(t), (False, True)):
        if whole and kind not in ("Scalar", "Tensor|Scalar", "Number"):
            continue
        choices: list[tuple[Any, ...]] = []
        names: list[str] = []
        for k, p in enumerate(signature.params):
            if p.name != which and p.required:
                names.append(p.name)
                given = (make(k), t.eye(3) * 2, t.ones(4)) if p.kind == "Tensor" else ([make(0), make(1)],) if p.kind in ("Tensor[]", "Tensor?[]") else _OTHERS.get(p.kind, ())
                choices.append(given)
        for given in itertools.islice(itertools.product(*choices), 12):
            rest = dict(zip(names, given, strict=True))
            yield lambda i, rest=rest, whole=whole: fn(**rest, **{which: _number(kind, i, whole)})


def settled(out: Any) -> Any:
    """Wait for a result; its shape, or several."""
    for x in out if isinstance(out, (tuple, list)) else (out,):
        x.tolist()
    return [tuple(x.shape) for x in out] if isinstance(out, (tuple, list)) else tuple(out.shape)


def suitable(place: str) -> Callable[[int], Any] | None:
    """The first call that suits: whatever its number is, the result is of one shape. None if there is none."""
    for call in calls(*PLACES[place]):
        try:
            if len({str(settled(call(i))) for i in range(6)}) == 1:  # indices come again after six
                return call
        except Exception:  # noqa: BLE001, S112 - it does not suit
            continue
    return None


def compiled(tried: Iterable[Callable[[int], Any]], monkeypatch: pytest.MonkeyPatch) -> int | None:
    """How many programs are compiled for the last of the numbers by the first call that suits; None if none does."""
    with programs(monkeypatch) as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in tried:
            try:
                shapes = {str(settled(call(i))) for i in range(WARM)}
                seen.clear()
                shapes |= {str(settled(call(i))) for i in range(WARM, WARM + TIMES)}
            except Exception:  # noqa: BLE001, S112 - it does not suit
                continue
            if len(shapes) == 1:
                return sum(seen)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", default="0/1", help="K/N: every N-th place, from K")
    k, _, n = parser.parse_args().slice.partition("/")
    through_classes = steps()
    chosen = [*PLACES, *through_classes][int(k) :: int(n)]
    patch = pytest.MonkeyPatch()
    found = {place: compiled(calls(*PLACES[place]) if place in PLACES else [through_classes[place]], patch) for place in chosen}
    bad = {place: count for place, count in found.items() if count}
    print(f"{len(chosen)} arguments; compiled anew: {bad}; no call suits: {[place for place, count in found.items() if count is None]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
