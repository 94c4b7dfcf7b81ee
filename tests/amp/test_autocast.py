"""Autocast: which types come out, thread-locality, decorators; and the gradient scaler."""

from __future__ import annotations

import pickle
import threading

import pytest

import jtorch as torch
from jtorch import amp, optim
from jtorch import nn as nn
from jtorch._namespace import F
from jtorch._namespace import torch as names


def kinds():
    x = torch.ones(3, 4)
    y = F.linear(x, torch.ones(5, 4))
    loss = F.cross_entropy(y, torch.zeros(3, dtype=torch.int64))
    return y.dtype, (y + x[:, :1]).dtype, loss.dtype, F.softmax(y, 1).dtype, torch.cat([y[:, :4], x]).dtype


def test_cpu_lists():
    half, single = torch.bfloat16, torch.float32
    with amp.autocast("cpu"):
        assert kinds() == (half, single, single, half, single)
        with amp.autocast("cpu", enabled=False):
            assert kinds() == (single,) * 5
        with amp.autocast("cpu", dtype=torch.float16):
            assert kinds()[0] == torch.float16
        assert names.is_autocast_enabled("cpu") and names.get_autocast_dtype("cpu") == half
    assert kinds() == (single,) * 5 and not names.is_autocast_enabled("cpu")


def test_double_and_integers_are_left_alone():
    with amp.autocast("cpu"):
        x = torch.ones(2, 2, dtype=torch.float64)
        assert (x @ x).dtype == torch.float64
        assert (torch.ones(2, 2, dtype=torch.int64) @ torch.ones(2, 2, dtype=torch.int64)).dtype == torch.int64


def test_gradients_come_in_the_parameters_type():
    w = torch.ones(2, 3, requires_grad=True)
    with amp.autocast("cpu"):
        F.linear(torch.ones(1, 3), w).sum().backward()
    assert w.grad.dtype == torch.float32 and w.grad.tolist() == [[1.0] * 3] * 2


def test_decorator_and_threads():
    seen = []

    @amp.autocast("cpu")
    def inside():
        thread = threading.Thread(target=lambda: seen.append(kinds()[0]))
        thread.start()
        thread.join()
        return kinds()[0]

    assert inside() == torch.bfloat16 and seen == [torch.float32]


def test_custom_function():
    seen = []

    class Square(torch.autograd.Function):
        @staticmethod
        @amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, x):
            seen.append((x.dtype, names.is_autocast_enabled("cpu")))
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append(names.is_autocast_enabled("cpu"))
            return 2 * g * ctx.saved_tensors[0]

    x = torch.ones(2, requires_grad=True)
    with amp.autocast("cpu"):
        Square.apply(x.to(torch.bfloat16)).sum().backward()
    assert seen == [(torch.float32, False), False] and x.grad.tolist() == [2.0, 2.0]


def test_arguments():
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        amp.autocast(1)
    with pytest.raises(RuntimeError, match="Expected one of cpu"):
        amp.autocast("foo")
    with pytest.warns(UserWarning, match="In CPU autocast, but the target dtype is not supported"):
        assert not amp.autocast("cpu", dtype=torch.float32)._enabled
    with pytest.raises(TypeError, match="requires a callable"):
        amp.autocast("cpu")(3)


@pytest.mark.parametrize("fused", [False, True])
def test_scaler_leaves_out_bad_steps_and_adapts(fused):
    p = torch.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5, fused=fused)
    scaler = amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    for factor, value, scale in ((1.0, 0.5, 8.0), (float("inf"), 0.5, 4.0), (1.0, 0.0, 4.0), (1.0, -0.5, 8.0)):
        optimizer.zero_grad()
        scaler.scale(p.sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        assert (p.item(), scaler.get_scale()) == (value, scale)
    state = scaler.state_dict()
    assert state == {"scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2, "_growth_tracker": 0}
    other = pickle.loads(pickle.dumps(scaler))
    assert other.get_scale() == 8.0
    other.load_state_dict({**state, "scale": 2.0})
    assert other.get_scale() == 2.0


def test_scaler_counts_adams_steps_on_the_device():
    p = torch.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1, fused=True)
    scaler = amp.GradScaler("cpu", init_scale=4.0)
    for factor in (1.0, float("nan"), 1.0):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.state[p]["step"].item() == 2.0 and p.item() == pytest.approx(0.8, abs=1e-5)


def test_scaler_order_of_calls():
    p = torch.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    scaler = amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="did not use scaler.scale"):
        scaler.step(optimizer)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    assert p.grad.item() == 1.0
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="step\\(\\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="being called after step"):
        scaler.unscale_(optimizer)
    scaler.update(3.0)
    assert scaler.get_scale() == 3.0
    assert amp.GradScaler("cpu", enabled=False).state_dict() == {}
