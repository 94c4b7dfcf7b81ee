"""An error of the engine's own fails a test, where a program would go on with exact shapes."""

import pytest

from jtorch import _config


@pytest.fixture(autouse=True)
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "LOG", _config.LOG | {"faults"})
