"""The updates against their formulas in numpy, and what a step leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

import jtorch as torch
from jtorch import optim
from jtorch._engine.running.executor import stats

P0 = np.array([[0.5, -1.0], [2.0, 0.25]])
G = [np.array([[0.1, 0.2], [-0.3, 0.4]]), np.array([[-0.2, 0.1], [0.5, 0.0]]), np.array([[0.3, -0.4], [0.1, 0.2]])]


def run(make, grads=G):
    p = torch.tensor(P0, requires_grad=True)
    optimizer = make([p])
    for g in grads:
        p.grad = torch.tensor(g)
        optimizer.step()
    return p.detach().numpy(), optimizer


def test_sgd_with_momentum_dampening_and_decay():
    p, v = P0.copy(), None
    for g in G:
        g = g + 0.1 * p
        v = g if v is None else 0.9 * v + (1 - 0.2) * g
        p = p - 0.5 * v
    got, _ = run(lambda ps: optim.SGD(ps, lr=0.5, momentum=0.9, dampening=0.2, weight_decay=0.1))
    np.testing.assert_allclose(got, p, rtol=1e-12)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(decoupled):
    p, m, v = P0.copy(), 0.0, 0.0
    for t, g in enumerate(G, 1):
        if decoupled:
            p = p * (1 - 0.1 * 0.2)
        else:
            g = g + 0.2 * p
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * g * g
        p = p - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    kind = optim.AdamW if decoupled else optim.Adam
    got, _ = run(lambda ps: kind(ps, lr=0.1, betas=(0.9, 0.99), weight_decay=0.2))
    np.testing.assert_allclose(got, p, rtol=1e-6)


@pytest.mark.parametrize("name", "SGD Adam AdamW Adamax NAdam RAdam Adadelta Adagrad ASGD RMSprop Rprop Adafactor".split())
def test_maximize_is_the_step_on_the_negative_gradient(name):
    kind = getattr(optim, name)
    up, _ = run(lambda ps: kind(ps, maximize=True))
    down, _ = run(kind, [-g for g in G])
    np.testing.assert_allclose(up, down, rtol=1e-14)


@pytest.mark.parametrize("name", "SGD Adam AdamW Adamax NAdam RAdam Adadelta Adagrad ASGD RMSprop Rprop Adafactor Muon".split())
def test_counts_in_the_graph_give_the_same(name, monkeypatch):
    """What torch.compile and capturable=True do: the step count is part of the recorded program."""
    kind = getattr(optim, name)
    plain, first = run(kind, G * 3)
    monkeypatch.setattr("jtorch.optim._apply.replayed", lambda: True)
    replayed, second = run(kind, G * 3)
    np.testing.assert_allclose(replayed, plain, rtol=1e-6)
    for a, b in zip(*(o.state_dict()["state"].get(0, {}).values() for o in (first, second)), strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-5)


def test_muon_step_is_orthogonal():
    p = torch.zeros(4, 8, requires_grad=True)
    optimizer = optim.Muon([p], lr=1.0, weight_decay=0.0)
    p.grad = torch.tensor(np.random.default_rng(0).normal(size=(4, 8)), dtype=torch.float32)
    optimizer.step()
    size = np.linalg.svd(p.detach().numpy(), compute_uv=False)
    assert 0.6 < size.min() and size.max() < 1.3
    with pytest.raises(ValueError, match="only supports 2D"):
        optim.Muon([torch.zeros(3, requires_grad=True)])


def test_lbfgs_finds_the_minimum():
    p = torch.tensor([-1.5, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = optim.LBFGS([p], line_search_fn="strong_wolfe", max_iter=100)

    def rosenbrock():
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        return loss

    optimizer.step(rosenbrock)
    np.testing.assert_allclose(p.detach().numpy(), [1.0, 1.0], atol=1e-5)


def test_closure_runs_with_gradients_and_gives_the_loss():
    p = torch.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == 1.0


def test_parameters_without_gradient_are_left_alone():
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([a, b], lr=0.1)
    a.grad = torch.ones(2)
    optimizer.step()
    assert b.tolist() == [1.0, 1.0] and b not in optimizer.state and a in optimizer.state


def test_step_updates_views_and_bumps_versions():
    base = torch.zeros(2, 3)
    p = base[0].requires_grad_()
    version = base._version
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = torch.ones(3)
    optimizer.step()
    assert base.tolist() == [[-1.0] * 3, [0.0] * 3] and base._version > version


def test_a_schedule_compiles_nothing_new():
    p = torch.zeros(8, 8, requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.1)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    seen = []
    for _ in range(8):
        optimizer.zero_grad()
        ((p - 1.0) ** 2).sum().backward()
        optimizer.step()
        scheduler.step()
        seen.append(stats.compilations)
    assert seen[-1] == seen[3], seen


def test_step_counts_are_tensors_that_can_be_read_written_and_loaded():
    p = torch.zeros(2, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    for _ in range(2):
        p.grad = torch.ones(2)
        optimizer.step()
    step = optimizer.state[p]["step"]
    assert step.dtype == torch.float32 and step.shape == () and step.item() == 2.0
    kept = step.clone()
    optimizer.step()
    assert step.item() == 3.0 and kept.item() == 2.0 and (step + 1).item() == 4.0
    optimizer.step()  # after the count was used in a computation
    assert step.item() == 4.0
    step.fill_(10)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 11.0
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 12.0


def test_tensor_learning_rates():
    lr = torch.tensor(0.1)
    p = torch.zeros(2, requires_grad=True)
    optimizer = optim.Adam([p], lr=lr)
    p.grad = torch.ones(2)
    optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), -0.1, rtol=1e-5)
    lr.fill_(0.0)
    optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), -0.1, rtol=1e-5)


def test_differentiable_step():
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    p0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    p = p0.clone()
    optimizer = optim.SGD([p], lr=lr, differentiable=True)
    p.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    optimizer.step()
    p.sum().backward()
    assert lr.grad.item() == -7.0 and p0.grad.tolist() == [1.0, 1.0]


def test_state_dict_has_torchs_form():
    a, b = torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = optim.Adam([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.5)
    b.grad = torch.ones(3)
    optimizer.step()
    saved = optimizer.state_dict()
    assert list(saved) == ["state", "param_groups"] and list(saved["state"]) == [1]
    assert [g["params"] for g in saved["param_groups"]] == [[0], [1]] and saved["param_groups"][0]["lr"] == 1.0
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.Adam([a]).load_state_dict(saved)
    with pytest.raises(ValueError, match="size of optimizer's group"):
        optim.Adam([{"params": [a, torch.zeros(1, requires_grad=True)]}, {"params": [b]}]).load_state_dict(saved)


def test_what_can_be_optimized():
    p = torch.zeros(2, requires_grad=True)
    with pytest.raises(TypeError, match="iterable of Tensors or dicts, but got torch.FloatTensor"):
        optim.SGD(p)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([p * 2])
    with pytest.raises(TypeError, match="one of the params is int"):
        optim.SGD([1])
    with pytest.raises(TypeError, match="ordered collections"):
        optim.SGD([{"params": {p}}])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p])


def test_zero_grad():
    p = torch.zeros(2, requires_grad=True)
    optimizer = optim.SGD([p])
    p.grad = grad = torch.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad and grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_parameters_and_state_swapped_in():
    p, q = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    p.grad = q.grad = torch.ones(2)
    optimizer.step()
    saved = optimizer.state_dict()
    with optim.swap_in_optimizer_params_and_state(optimizer, {"p": q}, {**saved, "state": {0: {"momentum_buffer": torch.zeros(2)}}}):
        optimizer.step()
    assert q.tolist() == [0.0, 0.0] and p.tolist() == [-1.0, -1.0] and optimizer.param_groups[0]["params"][0] is p


def test_an_optimizer_written_for_torch():
    """Old style: ``.data``, in-place chains, an int step count, ``required``, ``__setstate__``."""
    from jtorch.optim.optimizer import Optimizer, required

    class Lion(Optimizer):
        def __init__(self, params, lr=required, betas=(0.9, 0.99), weight_decay=0.0):
            super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("weight_decay", 0.0)

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"] = torch.zeros_like(p.data)
                    state["step"] += 1
                    beta1, beta2 = group["betas"]
                    p.data.mul_(1 - group["lr"] * group["weight_decay"])
                    update = state["exp_avg"].clone().mul_(beta1).add_(p.grad, alpha=1 - beta1).sign_()
                    p.add_(update, alpha=-group["lr"])
                    state["exp_avg"].mul_(beta2).add_(p.grad, alpha=1 - beta2)

    p = torch.tensor(P0, requires_grad=True)
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Lion([p])
    optimizer = Lion([p], lr=0.1)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5**e)
    for g in G:
        p.grad = torch.tensor(g)
        optimizer.step()
        scheduler.step()
    other = Lion([torch.tensor(P0, requires_grad=True)], lr=1.0)
    other.load_state_dict(optimizer.state_dict())
    assert other.state[other.param_groups[0]["params"][0]]["step"] == 3 and other.param_groups[0]["lr"] == 0.0125
    first = P0 - 0.1 * np.sign(G[0])
    np.testing.assert_allclose(np.abs(p.detach().numpy() - first) <= 0.075 + 1e-12, True)
