"""A plugin of pytest: runs a share of the tests, or those named, and writes what became of each to a file as it goes (``SUITE`` holds both paths and the choice, as JSON)."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from compat.packages.run import prepare

CHOICE = json.loads(os.environ.get("SUITE", "{}"))  # {found: path, every: n} or {found: path, names: path}
_began = [0.0]


def drawn(name: str, every: int) -> bool:
    """Whether a test is in the sample: it follows from its name, so it is the same on every machine."""
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % every == 0


def write(**what: Any) -> None:
    """One line more."""
    with Path(CHOICE["found"]).open("a") as out:
        out.write(json.dumps(what) + "\n")


def pytest_configure(config: Any) -> None:
    """torchvision's operators are declared where its compiled library is of another build, so that tests which import it can be collected."""
    prepare()
    warnings.resetwarnings()


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leaves the chosen."""
    names = set(json.loads(Path(CHOICE["names"]).read_text())) if "names" in CHOICE else None
    chosen = [i for i in items if (drawn(i.nodeid, CHOICE["every"]) if names is None else i.nodeid in names)]
    config.hook.pytest_deselected(items=[i for i in items if i not in set(chosen)])
    write(collected=len(items), chosen=len(chosen))
    items[:] = chosen
    for item in chosen:  # limits of the tests' own are by the clock, for machines that have nothing else to do; the command has one
        for node in item.listchain():
            node.own_markers = [m for m in node.own_markers if m.name != "timeout"]


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    """So that it is known which test ended the process."""
    _began[0] = time.process_time()
    write(began=nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    """Each phase that decides."""
    if report.when == "call" or report.outcome != "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else str(report.longrepr or "")
        outcome = "expected to fail" if hasattr(report, "wasxfail") else report.outcome
        write(name=report.nodeid, outcome=outcome, text=" ".join(text.split())[:300], seconds=round(time.process_time() - _began[0], 3), all=str(report.longrepr)[-4000:] if report.outcome == "failed" else "")
