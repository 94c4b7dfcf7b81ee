"""The names of torch that installed libraries use are there, but for those on the list of gaps."""

from __future__ import annotations

import fnmatch
import importlib
import subprocess
import sys

import pytest

from compat import harness
from compat.packages import scan


def test_what_libraries_name_is_there_or_on_the_list_of_gaps() -> None:
    gaps = harness.gaps("names")
    missing = scan.of_jtorch()
    assert len(scan.names()) > 3000
    assert sorted({part for part in missing.values() if not any(fnmatch.fnmatchcase(part, g) for g in gaps)}) == []
    assert all(gaps.values())


def test_names_are_read_through_aliases() -> None:
    source = "import torch as t\nimport torch.nn.functional as F\nfrom torch.utils import data as d\nt.foo.bar(F.relu)\nd.x = 1\nx = d.Dataset\n"
    assert scan.names_in(source) == {"torch", "torch.nn.functional", "torch.utils.data", "torch.foo", "torch.foo.bar", "torch.nn.functional.relu", "torch.utils.data.Dataset"}


CARRIED = """
import importlib
from jtorch._private import carried
wrong = []
for module in carried._table():
    for name in carried._homes(module):
        try:
            getattr(importlib.import_module(module), name)
        except Exception as error:
            wrong.append(f"{module}.{name}: {error}")
print(wrong)
"""


@pytest.mark.slow
def test_what_torchs_modules_carry_by_their_imports() -> None:
    from jtorch._private import carried

    for module in carried._table():
        for name in carried._homes(module):
            assert hasattr(importlib.import_module(module), name), (module, name)
    done = subprocess.run([sys.executable, "-m", "jtorch", "-c", CARRIED], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
