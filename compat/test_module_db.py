"""module_db in the ordinary run: every class on the list of passing ones still passes."""

from __future__ import annotations

import pytest

from compat import harness
from compat.moduledb.checks import ModuleChecks, database

_LIST = harness.BOARD / "module_db_passing.txt"
PASSING = _LIST.read_text().split() if _LIST.exists() else []


# Layers of the encoder and attention are short; of the lazy classes there is one of each kind.
LONG = {"nn.Transformer", "nn.TransformerDecoder", "nn.TransformerDecoderLayer", "nn.TransformerEncoder"} | {
    f"nn.Lazy{kind}{dims}d" for kind in ("Conv", "ConvTranspose", "BatchNorm", "InstanceNorm") for dims in (2, 3)
} | {f"nn.{kind}3d" for kind in ("AdaptiveMaxPool", "BatchNorm", "CircularPad", "Conv", "ConvTranspose", "MaxPool")}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in PASSING])
def test_module_agrees_with_torch(name: str) -> None:
    record = ModuleChecks(name, samples=1).run()  # `make scoreboard` and `make compat-full` take more
    assert not record.failures(), "\n".join(record.details)


def test_every_listed_name_is_an_entry() -> None:
    assert set(PASSING) <= set(database())
    assert set(harness.gaps("module_db")) <= set(database())
    assert not set(harness.gaps("module_db")) & set(PASSING)
