"""The same optimizer on the same numbers under real torch and under jtorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_optimizers import optim_db

from compat import bridge, compare

RECORDS = {record.optim_cls.__name__: record for record in optim_db}
SHAPES: dict[str, list[tuple[int, ...]]] = {"Muon": [(4, 6), (6, 4)], "SparseAdam": [(10,), (6, 4)]}
# bfloat16 orthogonalization amplifies roundings
LOOSE = {"Muon": 1e-2}


def configurations() -> list[tuple[str, dict[str, Any], str]]:
    """(optimizer, keyword arguments, dtype): every configuration in float32, the first ones in the other types too."""
    out = []
    for name, record in RECORDS.items():
        for i, given in enumerate(record.optim_inputs_func("cpu")):
            # float32 roundings decide when L-BFGS stops
            dtypes = ["float64" if name == "LBFGS" else "float32"]
            if name != "LBFGS" and i in (0, len(record.optim_inputs_func("cpu")) - 1):
                dtypes.append("float64")
                if name != "Muon":
                    dtypes.append("bfloat16")
                if record.supports_complex:
                    dtypes.append("complex64")
            out += [(name, given.kwargs, dtype) for dtype in dtypes]
    return out


def name_of(config: tuple[str, dict[str, Any], str]) -> str:
    name, kwargs, dtype = config
    shown = ",".join(f"{k}={v.item() if isinstance(v, torch.Tensor) else v}" for k, v in kwargs.items())
    return f"{name}({shown})-{dtype}"


def translated(value: Any) -> Any:
    """Tensors inside containers as jtorch's; real torch's own are copied."""
    if isinstance(value, torch.Tensor):
        return bridge.tensor(value.detach().clone(), False)
    if isinstance(value, dict):
        return {k: translated(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(translated(v) for v in value)
    return value


def brought_back(value: Any) -> Any:
    """jtorch's tensors inside containers as real torch's."""
    if isinstance(value, bridge.jtorch().Tensor):
        array = np.array(bridge.back(value))
        name = str(value.dtype).removeprefix("torch.")
        return torch.tensor(array.astype(np.float32) if name == "bfloat16" else array).to(getattr(torch, name))
    if isinstance(value, dict):
        return {k: brought_back(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(brought_back(v) for v in value)
    return value


class Pair:
    """One optimizer twice. ``step()`` gives both the same gradients; ``check()`` compares parameters and state."""

    def __init__(self, name: str, kwargs: dict[str, Any], dtype: str = "float32", seed: int = 0) -> None:
        self.name, self.dtype = name, dtype
        self.generator = torch.Generator().manual_seed(seed)
        kind = getattr(torch, dtype)
        self.theirs = [self._random(shape, kind).requires_grad_() for shape in SHAPES.get(name, [(4, 6), (5,)])]
        self.ours = [bridge.tensor(p.detach().clone(), False).requires_grad_() for p in self.theirs]
        self.target = [self._random(tuple(p.shape), kind) for p in self.theirs]
        self.real = RECORDS[name].optim_cls(self.theirs, **{k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()})
        self.own = getattr(bridge.jtorch().optim, name)(self.ours, **translated(kwargs))

    def _random(self, shape: tuple[int, ...], kind: torch.dtype) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float32 if kind == torch.bfloat16 else kind).to(kind)

    def step(self) -> None:
        if self.name == "LBFGS":
            self.real.step(self._closure(self.real, self.theirs, self.target))
            self.own.step(self._closure(self.own, self.ours, [translated(t) for t in self.target]))
            return
        for p, q in zip(self.theirs, self.ours, strict=True):
            g = self._random(tuple(p.shape), p.dtype)
            if self.name == "SparseAdam":
                rows = torch.randperm(p.shape[0], generator=self.generator)[: p.shape[0] // 2]  # which they are changes, and not how many: a program for each number is compiled
                g = torch.zeros_like(g).index_copy_(0, rows, g[rows]).to_sparse(1)
            p.grad, q.grad = g, bridge.tensor(g, False)
        self.real.step()
        self.own.step()

    @staticmethod
    def _closure(optimizer: Any, params: list[Any], target: list[Any]) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = sum(((p - t).abs() ** 2 + (p * p * p).abs()).sum() for p, t in zip(params, target, strict=True))
            loss.backward()
            return loss

        return closure

    def check(self) -> None:
        for i, (p, q) in enumerate(zip(self.theirs, self.ours, strict=True)):
            self._same(p.detach(), q.detach(), f"parameter {i}")
        real, own = self.real.state_dict(), self.own.state_dict()
        assert list(own["state"]) == list(real["state"])
        for i, state in real["state"].items():
            assert sorted(own["state"][i]) == sorted(state), i
            for key, value in state.items():
                self._compare(value, own["state"][i][key], f"state[{i}][{key!r}]")
        for g, h in zip(real["param_groups"], own["param_groups"], strict=True):
            assert list(g) == list(h)
            for key in g:
                self._compare(g[key], h[key], key)

    def _compare(self, a: Any, b: Any, where: str) -> None:
        if isinstance(a, torch.Tensor):
            assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape), where
            self._same(a, b, where)
        elif isinstance(a, (list, tuple)):
            assert type(a) is type(b) and len(a) == len(b), where
            for x, y in zip(a, b, strict=True):
                self._compare(x, y, where)
        elif isinstance(a, float):
            assert np.isclose(a, b, rtol=LOOSE.get(self.name, 1e-6), atol=LOOSE.get(self.name, 1e-6)), where
        else:
            assert a == b, where

    def _same(self, a: torch.Tensor, b: Any, where: str) -> None:
        rtol, atol = compare.tolerance(self.dtype, scale={"bfloat16": 3.0}.get(self.dtype, 1.0))
        loose = max(atol, LOOSE.get(self.name, 0.0))
        text = compare.arrays(bridge.forth(a), bridge.back(b), max(rtol, loose), loose)
        assert text is None, f"{where}: {text}"
