"""torch.func.rearrange: patterns, and what is refused in torch's words."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

CASES: list[tuple[str, dict[str, Any]]] = [
    ("b h w c -> b h w c", {}), ("b h w c -> (b h) w c", {}), ("b h w c -> h (b w) c", {}), ("b h w c -> b (c h w)", {}), ("b (h h1) (w w1) c -> (b h1 w1) h w c", {"h1": 2, "w1": 2}),
    ("b ... c -> (b ...) c", {}), ("... c -> c ...", {}), ("b h w c -> b 1 h w c", {}), ("b h w c -> () b h w c", {}), ("... -> (...)", {}), ("b h w c-> h w (b  c)", {}), ("b 1 w c -> b w c", {}),
    # refused
    ("b h w -> b h w", {}), ("b h w c", {}), ("b h w c -> b h w", {}), ("b h w c -> b h w c", {"z": 2}), ("b h w c -> b h w c", {"b": 2.0}), ("b h w c -> b h w c c", {}), ("b h w c -> ...", {}),
    ("(b h w c -> b h w c", {}), ("b) h w c -> b h w c", {}), ("((b) h) w c -> b h w c", {}), ("b h w c . -> b h w c", {}), ("b h w c -> b h w c 2", {}), ("b h w 0 -> b h w", {}), ("b h w c- -> b h w c", {}),
    ("b _h w c -> b _h w c", {}), ("(...) c -> c (...)", {}), ("b (h h1) w c -> b h h1 w c", {"h1": 5}), ("b (h h1) w c -> b h h1 w c", {}), ("b h w c -> b h w c", {"b": 7}),
    ("b (h h1) w c -> b h h1 w c", {"h1": 2, "h": 3}), ("a b c d e ... -> a b c d e ...", {}),
]  # fmt: skip


@pytest.mark.parametrize("listed", [False, True])
def test_rearrange(listed: bool) -> None:
    for pattern, lengths in CASES:
        found = []
        for lib in (torch, jtorch):
            x = lib.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
            x = x[:, :1] if pattern.startswith("b 1 w") else x
            try:
                y = lib.func.rearrange(list(x) if listed else x, pattern, **lengths)
                found.append((tuple(y.shape), y.tolist()))
            except Exception as e:  # noqa: BLE001 - compared
                found.append((type(e).__name__, str(e)))
        assert found[0] == found[1], pattern
