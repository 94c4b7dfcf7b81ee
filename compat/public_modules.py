"""Which names of torch's public modules are there: all modules that can be imported, whatever they are for.

``python -m compat.public_modules`` prints what is missing. A name is public if its module's ``__all__`` lists it or, without one, if it is a class or function that is defined there; in both
cases only where no part of the module's name begins with an underscore.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path

__all__ = ["missing", "names", "section"]

ROOT = Path(__file__).resolve().parent.parent
# Parts of torch's compiler, its tests, other devices and what only its own build needs.
APART = (
    "torch.ao", "torch.contrib", "torch.cuda", "torch.distributed.rpc", "torch.fx.experimental", "torch.fx.passes", "torch.mps", "torch.mtia", "torch.onnx", "torch.testing", "torch.utils.bottleneck",
    "torch.utils.hipify", "torch.utils.tensorboard", "torch.utils.viz", "torch.xpu",
)  # fmt: skip


def names() -> dict[str, list[str]]:
    """The public names of each of real torch's modules."""
    import torch

    found: dict[str, list[str]] = {}
    for info in pkgutil.walk_packages(torch.__path__, "torch.", onerror=lambda _: None):
        if any(part.startswith("_") for part in info.name.split(".")) or any(f"{info.name}.".startswith(f"{at}.") for at in APART):
            continue
        try:
            module = importlib.import_module(info.name)
        except BaseException:  # noqa: BLE001 - what needs packages that are not there, or ends the process
            continue
        listed = getattr(module, "__all__", None)
        found[info.name] = sorted(
            listed if listed is not None else [n for n, v in vars(module).items() if n[:1] != "_" and (inspect.isclass(v) or inspect.isfunction(v)) and v.__module__ == info.name]
        )
    return found


def missing(wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those that are not there, in the process that this is called in."""
    found: dict[str, list[str]] = {}
    for name, public in wanted.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            gone = list(public)
        else:
            gone = [n for n in public if not hasattr(module, n)]
        if gone:
            found[name] = gone
    return found


def _asked(library: list[str], given: str = "") -> dict[str, list[str]]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *library, "-m", "compat.public_modules", "--tell"], input=given, capture_output=True, text=True, env=env, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def section() -> list[str]:
    """A part of the page on the surface."""
    wanted = _asked([])
    gone = _asked(["-m", "jtorch"], json.dumps(wanted))
    total, left = (sum(map(len, x.values())) for x in (wanted, gone))
    lines = ["## All public modules", "", f"Of {total} public names in {len(wanted)} modules (without {', '.join(f'`{at}`' for at in APART)}), {total - left} are there ({1 - left / max(1, total):.1%}). Missing:", ""]
    return [*lines, *[f"- `{module}`: {', '.join(gone[module])}" for module in sorted(gone)], ""]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if "--tell" in sys.argv:
        given = sys.stdin.read()
        print(json.dumps(missing(json.loads(given)) if given else names()))
    else:
        print("\n".join(section()))
