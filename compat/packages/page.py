"""docs/packages.md has one table for each tool that writes it; each replaces its own part and leaves the others."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "packages.md"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"


def section(name: str, page: Path = PAGE) -> str:
    """A part of the page, or nothing."""
    begin, end = _marks(name)
    _, found, rest = page.read_text().partition(begin)
    return rest.partition(end)[0] if found else ""


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Puts a part in its place, or at the end."""
    begin, end = _marks(name)
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before.rstrip()}\n\n{begin}{text}{end}{rest.partition(end)[2]}")


def rows(text: str) -> dict[str, str]:
    """{first cell: last cell} of a table."""
    return {m[1]: m[2] for m in re.finditer(r"^\| (\S+) \|(?:.*\|)? (.*) \|$", text, re.MULTILINE) if m[1] not in ("package", "program")}
