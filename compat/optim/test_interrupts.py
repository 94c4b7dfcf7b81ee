"""An optimizer whose step is a loop, interrupted in the middle of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compat import bridge


def _plain(v: Any) -> Any:
    if isinstance(v, (list, tuple)):
        return [_plain(x) for x in v]
    return v.tolist() if hasattr(v, "tolist") else v


def _left(lib: Any, search: str | None, at: int) -> list[Any]:
    """What LBFGS has made of a parameter and its state when its closure is interrupted for the ``at``-th time, and after a further step."""
    w = lib.nn.Parameter(lib.tensor([1.5, -0.7, 0.3], dtype=lib.float64))
    optimizer = lib.optim.LBFGS([w], lr=0.5, max_iter=6, line_search_fn=search)
    calls, found = 0, []

    def closure() -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        optimizer.zero_grad()
        loss = ((w**2 - 1) ** 2).sum() + w.prod()
        loss.backward()
        return loss

    with pytest.raises(KeyboardInterrupt):
        for _ in range(3):
            optimizer.step(closure)
    for _ in range(2):
        found.append([w.tolist(), {k: _plain(v) for k, v in optimizer.state[w].items()}, calls, lib.is_grad_enabled()])
        try:
            optimizer.step(closure)
        except TypeError as error:  # after an interrupt in its first step: it has counted a step that it has kept nothing of
            found.append(str(error))
    return found


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_stands_between_the_same_inner_steps_as_torch_s(search: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jtorch._config.EAGER", True)  # operators share programs
    for at in (1, 3, 9) if search else (3,):
        assert _near(_left(bridge.jtorch(), search, at), _left(torch, search, at)), at


def _near(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_near(v, b[k]) for k, v in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_near, a, b))
    return a == (pytest.approx(b, rel=1e-9, abs=1e-12) if isinstance(b, float) else b)  # type: ignore[no-any-return]
