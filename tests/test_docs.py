"""The code in docs/ and README.md runs, and what they name is there."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = ("README.md", "docs/index.md", "docs/from-pytorch.md", "docs/from-jax.md", "docs/one-model.md", "docs/compile.md", "docs/export.md", "docs/performance.md", "docs/adding-an-operator.md")


@pytest.mark.parametrize("page", [p for p in PAGES if (ROOT / p).exists()])
def test_code_runs(page, capsys):
    """The blocks of a page run one after another in one namespace, as a reader would type them."""
    names: dict[str, object] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.S | re.M):
        exec(compile(block, page, "exec"), names)
    capsys.readouterr()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *[f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))]])
def test_files_that_are_named_exist(page):
    """Paths in backquotes are of the checkout or of the package, and links are of the page's folder. A file named alone belongs to the folder that was named last."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.S | re.M)
    missing, folder = [], ROOT
    for name in re.findall(r"`([\w./-]+\.(?:py|md|toml)|[\w./-]+/)`", text):
        found = next((p for p in (ROOT / name, ROOT / "jtorch" / name, folder / name) if p.exists()), None)
        if found is None:
            missing.append(name)
        else:
            folder = found if found.is_dir() else found.parent
    missing += [link for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]*)?\)", text) if not ((ROOT / page).parent / link).exists()]
    assert not [m for m in missing if m not in ("train.py", "script.py", "typings/")]
