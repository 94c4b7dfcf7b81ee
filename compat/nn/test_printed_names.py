"""What is printed as ``grad_fn`` of recurrent layers, which are one node here and many in torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compat import bridge

LAYERS: list[tuple[str, dict[str, Any], bool]] = [("LSTM", {}, False), ("LSTM", {"batch_first": True}, False), ("GRU", {"batch_first": True}, False), ("RNN", {"bidirectional": True}, False), ("GRU", {}, True)]


def _printed(of: Any) -> Any:
    return repr(of).split("grad_fn=")[-1] if hasattr(of, "grad_fn") else [_printed(x) for x in of]


@pytest.mark.parametrize(("kind", "options", "packed"), LAYERS)
def test_layers(kind: str, options: dict[str, Any], packed: bool) -> None:
    found = []
    for lib in (torch, bridge.jtorch()):
        x = lib.ones(2, 2, 3)
        if packed:
            x = lib.nn.utils.rnn.pack_padded_sequence(x, [2, 1])
        out, ends = getattr(lib.nn, kind)(3, 4, **options)(x)
        found.append(_printed([out.data if packed else out, ends]))
    assert found[0] == found[1]


def test_cells() -> None:
    found = [[_printed(getattr(lib.nn, kind)(3, 4)(lib.ones(2, 3))) for kind in ("LSTMCell", "GRUCell", "RNNCell")] for lib in (torch, bridge.jtorch())]
    assert found[0] == found[1]
