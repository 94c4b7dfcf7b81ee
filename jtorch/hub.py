"""``torch.hub``: models from a folder with a ``hubconf.py``, and weights from an address. Source: https://docs.pytorch.org/docs/stable/hub.html"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from jtorch import serialization
from jtorch._errors import not_implemented

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

try:
    from tqdm import tqdm
except ImportError:

    class tqdm:  # type: ignore[no-redef]  # noqa: N801 - the package's name
        """What is done of the whole, as one line: in place of the package."""

        def __init__(self, *, total: int | None = None, disable: bool = False, unit: str | None = None, unit_scale: bool = False, unit_divisor: int | None = None) -> None:
            self.total, self.disable, self.n = total, disable, 0

        def update(self, n: int) -> None:
            """So much more."""
            if not self.disable:
                self.n += n
                print(f"\r{100 * self.n / self.total:.1f}%" if self.total else f"\r{self.n:.1f} bytes", end="", file=sys.stderr, flush=True)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            if not self.disable:
                print(file=sys.stderr)


HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_dir: str | None = None


def get_dir() -> str:
    """The folder of what is downloaded: ``set_dir``'s, else ``$TORCH_HOME/hub``, with ``$XDG_CACHE_HOME/torch`` for TORCH_HOME."""
    return os.path.join(_get_torch_home(), "hub") if _dir is None else _dir


def _get_torch_home() -> str:
    """The folder above it."""
    return os.path.expanduser(os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"))


def set_dir(d: str | os.PathLike[str]) -> None:
    """Choose that folder."""
    global _dir
    _dir = os.path.expanduser(d)


def _config(repo_or_dir: str | os.PathLike[str], source: str) -> ModuleType:
    """The module ``hubconf`` of a folder. ValueError for an unknown source; repositories on GitHub are not fetched."""
    if source.lower() not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source.lower() == "github":
        not_implemented("torch.hub repositories on GitHub", "clone the repository and pass its folder with source='local'")
    folder = os.fspath(repo_or_dir)
    spec = importlib.util.spec_from_file_location("hubconf", os.path.join(folder, "hubconf.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _entry(module: ModuleType, model: str) -> Any:
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    for name in getattr(module, "dependencies", None) or ():
        if importlib.util.find_spec(name) is None:
            raise RuntimeError(f"Missing dependencies: {name}")
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def list(github: str, force_reload: bool = False, skip_validation: bool = False, trust_repo: Any = None, verbose: bool = True, *, source: str = "github") -> Any:  # noqa: A001
    """The names of the models that a folder offers. torch lists repositories alone; ``source="local"`` lists a folder."""
    return [n for n, v in vars(_config(github, source)).items() if callable(v) and not n.startswith("_")]


def help(github: str, model: str, force_reload: bool = False, skip_validation: bool = False, trust_repo: Any = None, *, source: str = "github") -> Any:  # noqa: A001
    """What a model's function says of itself."""
    return _entry(_config(github, source), model).__doc__


def load(
    repo_or_dir: str | os.PathLike[str], model: str, *args: Any, source: str = "github", trust_repo: Any = None, force_reload: bool = False,
    verbose: bool = True, skip_validation: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """The model that a function of ``hubconf.py`` returns for these arguments."""
    return _entry(_config(repo_or_dir, source), model)(*args, **kwargs)


def download_url_to_file(url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True) -> None:
    """Save what an address gives as a file, whole or not at all. RuntimeError if its SHA-256 does not begin with ``hash_prefix``."""
    dst = os.path.expanduser(dst)
    digest = hashlib.sha256()
    with urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as source, tempfile.NamedTemporaryFile(dir=os.path.dirname(dst) or ".", delete=False) as part:
        length = source.headers.get("Content-Length") if hasattr(source, "headers") else None
        try:
            with tqdm(total=int(length) if length else None, disable=not progress, unit="B", unit_scale=True, unit_divisor=1024) as bar:
                while block := source.read(1 << 17):
                    part.write(block)
                    digest.update(block)
                    bar.update(len(block))
            part.close()
            if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
            shutil.move(part.name, dst)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(part.name)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True, check_hash: bool = False, file_name: str | None = None,
    weights_only: bool = False,
) -> Any:  # fmt: skip
    """``torch.load`` of the file at an address, which is fetched once and kept in ``model_dir`` (default: ``get_dir()/checkpoints``)."""
    folder = Path(model_dir or os.path.join(get_dir(), "checkpoints"))
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / (file_name or os.path.basename(urlparse(url).path))
    if not kept.exists():
        print(f'Downloading: "{url}" to {kept}\n', file=sys.stderr, end="")
        known = HASH_REGEX.search(kept.name) if check_hash else None
        download_url_to_file(url, kept, known[1] if known else None, progress=progress)
    return serialization.load(str(kept), map_location=map_location, weights_only=weights_only)
