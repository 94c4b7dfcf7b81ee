"""The list of gaps says of everything that jtorch refuses by name why it does."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECTION = "refused"


def name_of(node: ast.expr) -> str:
    """The text of a literal, with * for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in node.values)
    assert isinstance(node, ast.Constant), f"line {node.lineno}: not_implemented() wants the name as a literal"
    return str(node.value)


def refused() -> Iterator[str]:
    """What the sources hand to ``not_implemented``. declined.py has a table of its own, which compat/test_surface.py holds against the list."""
    for path in sorted((ROOT / "jtorch").rglob("*.py")):
        if path.name == "declined.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "not_implemented":
                yield name_of(node.args[0])


def test_the_list_of_gaps_names_what_is_refused_and_nothing_else() -> None:
    listed = tomllib.loads((ROOT / "compat" / "gaps.toml").read_text())[SECTION]
    assert set(listed) == set(refused())
    assert all(listed.values())


def test_refusals_of_jtorchs_own_go_through_one_function() -> None:
    for path in sorted((ROOT / "jtorch").rglob("*.py")):
        if path.name != "_errors.py":
            assert "NotImplementedError(f\"jtorch" not in path.read_text() and 'NotImplementedError("jtorch' not in path.read_text(), path
