"""Does things and prints their numbers, a JSON line each: ``python [-m jtorch] -m compat.packages.run NAME...``.

The library is imported once; each thing is done in a fork of that process, so that none sees what another has imported or patched. ``--here`` does one in this process,
where its traceback is seen.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

THREADS = 1


def ours() -> bool:
    """Whether the library under the name of torch is jtorch."""
    import torch

    return hasattr(torch.version, "jtorch_version")


def prepare() -> None:
    """Imports what everything needs, without starting a backend, which a fork would not survive."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import numpy as np

    if not ours():
        declare_vision()
    _ = np


def declare_vision() -> None:
    """torchvision's compiled library is of another build than this torch. Its operators are declared, so that what it has in Python can be imported and compared."""
    import torch

    from jtorch.library import vision
    from jtorch.library.operators import REGISTRY

    _ = vision
    library = torch.library.Library("torchvision", "DEF")  # lasts as long as the process
    for name, overloads in REGISTRY.items():
        if name.startswith("torchvision::"):
            library.define(str(overloads[""].schema).partition("::")[2])
    globals()["_kept"] = library
    sys.modules["torchaudio"] = None  # type: ignore[assignment]  # refuses to be imported without its own compiled library


def one(fn: Callable[[], Any], whole: bool) -> list[float]:
    """The numbers of one thing, all of them or those of :func:`numbers`."""
    import numpy as np
    import torch

    from compat.packages.things import numbers

    torch.set_num_threads(THREADS)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    return [float(f"{x:.6g}") for x in numbers(fn(), whole)]


def in_a_fork(name: str, fn: Callable[[], Any], timeout: float, whole: bool) -> dict[str, object]:
    """``{name, numbers, error, seconds}``; the error is the exception's type and first line with the lines of the traceback after it, or empty."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("w+") as found, tempfile.NamedTemporaryFile("w+") as noise:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(noise.fileno(), 1), os.dup2(noise.fileno(), 2)
            try:
                if ours():
                    from jtorch._engine.running.fork import start_afresh

                    start_afresh()
                json.dump([one(fn, whole), "", ""], found)
            except BaseException as error:
                line = (str(error).strip().splitlines() or [""])[0][:200]
                json.dump([[], f"{type(error).__name__}: {line}", traceback.format_exc()], found)
            found.flush()
            os._exit(0)
        status = None
        while status is None:
            done, code = os.waitpid(child, os.WNOHANG)
            if done:
                status = code
            elif time.monotonic() - began > timeout:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                status = -1
            else:
                time.sleep(0.02)
        found.seek(0)
        text = found.read()
        values, error, trace = json.loads(text) if text else ([], f"more than {timeout:.0f} s" if status == -1 else f"the process ended with status {status}", "")
    return {"name": name, "numbers": values, "error": error, "traceback": trace, "seconds": time.monotonic() - began}


def main(arguments: list[str], registry: dict[str, Callable[[], Any]], whole: bool = False) -> None:
    """Each in a fork, or one here."""
    prepare()
    if arguments[0] == "--here":
        print(one(registry[arguments[1]], whole))
        return
    timeout = float(os.environ.get("PACKAGES_TIMEOUT", "300"))
    for name in arguments:
        print("\x1e" + json.dumps(in_a_fork(name, registry[name], timeout, whole)), flush=True)


if __name__ == "__main__":
    from compat.packages.things import THINGS, audio, science, text, training, vision

    _ = audio, science, text, training, vision
    main(sys.argv[1:], THINGS)
