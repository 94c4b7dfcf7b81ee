"""Modules that programs import for their switches: torch.backends.*, torch.cpu, the older spellings of amp."""

from __future__ import annotations

import importlib
import warnings

import pytest

import jtorch as torch


@pytest.mark.parametrize("name", ["cache", "interop", "backends.cudnn", "backends.mha", "cuda.amp", "cuda.amp.grad_scaler", "cpu.amp", "cpu", "autograd.grad_mode", "autograd.variable"])
def test_is_a_module(name):
    at = torch
    for part in name.split(".")[:2]:
        at = getattr(at, part)
    found = importlib.import_module(f"jtorch.{name}")
    assert found is at or name.count(".") == 2


def test_switches_are_kept():
    from jtorch.backends import cuda, cudnn

    with cudnn.flags(enabled=False, benchmark=True):
        assert not cudnn.enabled and cudnn.benchmark
    assert cudnn.enabled
    with pytest.raises(TypeError, match="nonsense"), cudnn.flags(nonsense=1):
        pass
    cuda.enable_math_sdp(False)
    assert not cuda.math_sdp_enabled()
    cuda.enable_math_sdp(True)


def test_older_autocast():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.cpu.amp.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_cpu_answers_as_a_device():
    assert torch.cpu.device_count() == 1 and torch.cpu.current_device() == "cpu"
    other = torch.cpu.Stream()
    with torch.cpu.stream(other):
        assert torch.cpu.current_stream() is other
    assert torch.cpu.current_stream() is not other


def test_conversion_may_give_new_parameters():
    from jtorch import __future__ as future

    m = torch.nn.Linear(2, 2)
    w = m.weight
    assert m.double().weight is w and w.dtype is torch.float64
    future.set_overwrite_module_params_on_conversion(True)
    try:
        assert m.float().weight is not w and w.dtype is torch.float64
    finally:
        future.set_overwrite_module_params_on_conversion(False)
