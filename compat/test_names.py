"""The names of torch that installed libraries use are there, but for those on the list of gaps."""

from __future__ import annotations

import fnmatch

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
