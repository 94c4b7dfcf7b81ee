"""Every configuration of torch's optim_db: the same parameters, the same state, the same errors, and state dicts that cross over."""

from __future__ import annotations

import copy
import importlib
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum

from compat import bridge
from compat.optim.both import RECORDS, Pair, brought_back, configurations, name_of, translated

CONFIGS = [
    # in the other types the ordinary run has each class's first configuration, and `make compat-full` the last one; LBFGS, whose only type is float64, has its line search, too
    # of float32's configurations it has every second
    pytest.param(c, id=name_of(c), marks=pytest.mark.slow if c[1] and c[1].get("line_search_fn") is None and (c[2] != "float32" or i % 2) else ())
    for i, c in enumerate(configurations())
]
DEFAULTS = [(n, r.optim_inputs_func("cpu")[-1].kwargs, "float64" if n == "LBFGS" else "float32") for n, r in RECORDS.items()]


@pytest.fixture(autouse=True)
def _at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operators run one by one, so that configurations share executables; the test of whole steps does not."""
    if "as_programs" not in request.node.name and bridge.jtorch().__name__ == "jtorch":
        monkeypatch.setattr("jtorch._config.EAGER", True)


def _skip_without_sparse(name: str) -> None:
    if name == "SparseAdam" and not hasattr(bridge.jtorch(), "sparse_coo_tensor"):
        pytest.skip("no sparse tensors")


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar", "ignore:Sparse invariant checks")
@pytest.mark.parametrize("config", CONFIGS)
def test_ten_steps(config: tuple[str, dict[str, Any], str]) -> None:
    _skip_without_sparse(config[0])
    pair = Pair(*config)
    for _ in range(2 if config[0] == "LBFGS" else 10):
        pair.step()
    pair.check()
    assert repr(pair.own).replace(" ", "") == repr(pair.real).replace(" ", "") or any(
        isinstance(v, torch.Tensor) for v in config[1].values()
    )


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar", "ignore:Sparse invariant checks")
@pytest.mark.parametrize("config", DEFAULTS, ids=name_of)
def test_state_dicts_cross_over(config: tuple[str, dict[str, Any], str]) -> None:
    name = config[0]
    _skip_without_sparse(name)
    steps = 1 if name == "LBFGS" else 3
    first = Pair(*config)
    for _ in range(steps):
        first.step()
    # torch's state into jtorch's optimizer, and jtorch's into torch's; both then go on alike
    for direction in ("into jtorch", "into torch"):
        second = Pair(*config)
        with torch.no_grad():
            for p, q, r, s in zip(first.theirs, first.ours, second.theirs, second.ours, strict=True):
                source = p.detach() if direction == "into jtorch" else brought_back(q.detach())
                r.copy_(source)
                s.data = bridge.tensor(source.clone(), False)
        saved = first.real.state_dict() if direction == "into jtorch" else brought_back(first.own.state_dict())
        second.real.load_state_dict(copy.deepcopy(saved))
        second.own.load_state_dict(translated(saved))
        for _ in range(steps):
            second.step()
        second.check()


_FLAGS = [(name, flags) for name, record in RECORDS.items() for flags in record.supported_impls]


@pytest.mark.parametrize(("name", "flag"), _FLAGS)
def test_flags_change_nothing(name: str, flag: str) -> None:
    kwargs = dict(RECORDS[name].optim_inputs_func("cpu")[-1].kwargs)
    if isinstance(kwargs.get("lr"), torch.Tensor):
        kwargs["lr"] = 0.01
    pair = Pair(name, {**kwargs, flag: True})
    if flag == "differentiable":
        pytest.skip("see test_differentiable")
    for _ in range(3):
        pair.step()
    pair.check()


_DIFFERENTIABLE = [n for n, r in RECORDS.items() if "differentiable" in r.supported_impls]
_FEW = ("Adam", "SGD", "Rprop")  # moments, one product, choices by sign; `make compat-full` has all


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in _FEW else pytest.mark.slow) for n in _DIFFERENTIABLE])
def test_differentiable(name: str) -> None:
    """The gradient of a loss after two steps with respect to the parameter and the gradients that went into them."""
    results = []
    for library in (torch, bridge.jtorch()):
        p0 = library.tensor([0.5, -1.25, 2.0], dtype=library.float64, requires_grad=True)
        grads = [library.tensor([0.3, 0.7, -0.2], dtype=library.float64, requires_grad=True) for _ in range(2)]
        p = p0.clone()
        optimizer = getattr(library.optim, name)([p], lr=0.1, differentiable=True)
        for g in grads:
            p.grad = g * 1.5
            optimizer.step()
        loss = (p * p).sum()
        try:
            loss.backward()
        except RuntimeError as error:
            if library is torch and "modified by an inplace operation" in str(error):
                pytest.skip("torch's own update cannot be differentiated twice over")
            raise
        results.append([None if g is None else g.detach().tolist() for g in (p, p0.grad, *[g.grad for g in grads])])
    for theirs, ours in zip(*results, strict=True):
        if theirs is None or ours is None:
            # what torch reports as unused may be a plain zero here
            assert theirs is ours or set(theirs or ours) == {0.0}
        else:
            # torch computes the bias corrections of this mode in float32
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


_ERRORS = [
    (name, i) for name, record in RECORDS.items() for i, _ in enumerate(record.optim_error_inputs_func(device="cpu", dtype=torch.float32))
]


@pytest.mark.parametrize(("name", "i"), _ERRORS)
def test_errors(name: str, i: int) -> None:
    _skip_without_sparse(name)
    record = RECORDS[name]
    given = record.optim_error_inputs_func(device="cpu", dtype=torch.float32)[i]
    if given.error_on != OptimizerErrorEnum.CONSTRUCTION_ERROR:
        pytest.skip("on step")
    params = given.optimizer_error_input.params
    if any(isinstance(p, torch.Tensor) and p.layout != torch.strided for p in (params if isinstance(params, list) else [])):
        pytest.skip("sparse parameters")
    with warnings.catch_warnings():
        warnings.simplefilter("error" if issubclass(given.error_type, Warning) else "ignore")
        with pytest.raises(given.error_type) as theirs:
            record.optim_cls(params, **given.optimizer_error_input.kwargs)
        with pytest.raises(given.error_type) as ours:
            getattr(bridge.jtorch().optim, name)(bridge.Translator()(params), **translated(given.optimizer_error_input.kwargs))
    assert str(ours.value) == str(theirs.value)


def _both() -> list[Any]:
    return [torch, bridge.jtorch()]


@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam", "Adafactor", "Muon"])
def test_whole_steps_as_programs(name: str) -> None:
    pair = Pair(name, {})
    for _ in range(4):
        pair.step()
    pair.check()


def test_parameter_groups_and_names() -> None:
    shown = []
    for library in _both():
        a, b = (library.zeros(2, requires_grad=True) for _ in range(2))
        optimizer = library.optim.SGD([{"params": [("a", a)], "lr": 0.5}, {"params": [("b", b)], "momentum": 0.9}], lr=0.1)
        shown.append((repr(optimizer), [{k: v for k, v in g.items() if k != "params"} for g in optimizer.state_dict()["param_groups"]]))
        with pytest.raises(ValueError, match="cannot add param group without names"):
            optimizer.add_param_group({"params": [library.zeros(1, requires_grad=True)]})
    assert shown[0] == shown[1]


def test_hooks_are_called_in_order() -> None:
    logs = []
    for library in _both():
        p = library.zeros(2, requires_grad=True)
        optimizer, log = library.optim.SGD([p], lr=0.1), []

        def note(text: str, log: list[str] = log) -> Any:
            return lambda *args: log.append(text)

        module = importlib.import_module(f"{library.__name__}.optim.optimizer")
        handles = [
            module.register_optimizer_step_pre_hook(note("global pre")), module.register_optimizer_step_post_hook(note("global post")),
        ]  # fmt: skip
        optimizer.register_step_pre_hook(note("pre"))
        optimizer.register_step_post_hook(note("post"))
        optimizer.register_state_dict_pre_hook(note("dict pre 1"))
        optimizer.register_state_dict_pre_hook(note("dict pre 0"), prepend=True)
        optimizer.register_state_dict_post_hook(note("dict post"))
        optimizer.register_load_state_dict_pre_hook(note("load pre"))
        optimizer.register_load_state_dict_post_hook(note("load post"))
        p.grad = library.ones(2)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        for handle in handles:
            handle.remove()
        optimizer.step()
        logs.append(log)
    assert logs[0] == logs[1]


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_copies_go_on_alike(how: str) -> None:
    library = bridge.jtorch()
    p = library.tensor([1.0, 2.0], requires_grad=True)
    optimizer = library.optim.AdamW([p], lr=0.1, amsgrad=True)
    for _ in range(2):
        p.grad = library.ones(2)
        optimizer.step()
    other = pickle.loads(pickle.dumps(optimizer)) if how == "pickle" else copy.deepcopy(optimizer)
    q = other.param_groups[0]["params"][0]
    for x, o in ((p, optimizer), (q, other)):
        x.grad = library.ones(2)
        o.step()
    assert p.tolist() == q.tolist() and float(other.state[q]["step"]) == 3
