"""The code in docs/ and README.md runs."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = ("README.md", "docs/index.md", "docs/from-pytorch.md", "docs/from-jax.md", "docs/performance.md")


@pytest.mark.parametrize("page", [p for p in PAGES if (ROOT / p).exists()])
def test_code_runs(page, capsys):
    """The blocks of a page run one after another in one namespace, as a reader would type them."""
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.S | re.M):
        exec(compile(block, page, "exec"), names)
    capsys.readouterr()
