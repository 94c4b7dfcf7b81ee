"""Models from a folder and weights from a file's address, as under torch."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from compat import bridge

HUBCONF = """
dependencies = ["math"]
def small(n, scale=1.0):
    'A list of n numbers.'
    return [scale * i for i in range(n)]
"""


@pytest.fixture(params=["torch", "jtorch"])
def hub(request: pytest.FixtureRequest) -> Any:
    bridge.jtorch()
    return importlib.import_module(f"{request.param}.hub")


def test_models_of_a_folder(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    assert hub.load(tmp_path, "small", 3, source="local", scale=2.0) == [0.0, 2.0, 4.0]
    with pytest.raises(RuntimeError, match="Cannot find callable large in hubconf"):
        hub.load(str(tmp_path), "large", source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(str(tmp_path), "small", source="elsewhere")
    (tmp_path / "hubconf.py").write_text(HUBCONF.replace("math", "no_such_module"))
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_module"):
        hub.load(str(tmp_path), "small", source="local")


def test_weights_from_an_address(hub: Any, tmp_path: Path) -> None:
    state = {"w": torch.arange(3.0)}
    torch.save(state, tmp_path / "plain.pt")
    digest = hashlib.sha256((tmp_path / "plain.pt").read_bytes()).hexdigest()
    named = tmp_path / f"w-{digest[:8]}.pt"
    (tmp_path / "plain.pt").rename(named)
    kept = tmp_path / "kept"
    for _ in range(2):  # the second finds the file
        found = hub.load_state_dict_from_url(named.as_uri(), model_dir=str(kept), check_hash=True, progress=False)
        assert found["w"].tolist() == [0.0, 1.0, 2.0]
    assert (kept / named.name).exists()
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.download_url_to_file(named.as_uri(), str(tmp_path / "x"), "00", progress=False)
    assert not (tmp_path / "x").exists()


def test_folder(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_hub_dir" if hub.__name__ == "torch.hub" else "_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert hub.get_dir() == str(tmp_path / "hub")
    hub.set_dir(str(tmp_path))
    assert hub.get_dir() == str(tmp_path)
