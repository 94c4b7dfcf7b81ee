"""Patterns of names, and what an archive holds as a tree."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["Directory", "GlobGroup"]


class GlobGroup:
    """Names of parts between ``separator`` that some pattern of ``include`` fits and none of ``exclude``: ``*`` within a part, ``**`` for any number of whole parts."""

    def __init__(self, include: str | Iterable[str], *, exclude: str | Iterable[str] = (), separator: str = ".") -> None:
        self._text = f"GlobGroup(include={include}, exclude={exclude})"
        self.separator = separator
        self.include, self.exclude = ([self._compiled(p) for p in ([given] if isinstance(given, str) else given)] for given in (include, exclude))

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        between, inside = re.escape(self.separator), f"[^{self.separator}]"
        text = ""
        for part in pattern.split(self.separator):
            if part == "**":
                text += f"({between}{inside}+)*"
            elif "**" in part:
                raise ValueError("** can only appear as an entire path segment")
            else:
                text += between + f"{inside}*".join(map(re.escape, part.split("*")))
        return re.compile(text)

    def matches(self, candidate: str) -> bool:
        """Whether a name is one of them."""
        candidate = self.separator + candidate
        return any(p.fullmatch(candidate) for p in self.include) and not any(p.fullmatch(candidate) for p in self.exclude)

    def __repr__(self) -> str:
        return self._text


class Directory:
    """A folder of an archive with ``children`` by name, or a file; as text, a drawing of the tree."""

    def __init__(self, name: str, is_dir: bool) -> None:
        self.name, self.is_dir = name, is_dir
        self.children: dict[str, Directory] = {}

    def _add(self, path: str) -> None:
        *folders, last = path.split("/")
        at = self
        for folder in folders:
            at = at.children.setdefault(folder, Directory(folder, True))
        at.children[last] = Directory(last, False)

    def has_file(self, filename: str) -> bool:
        """Whether there is such a file or folder below."""
        first, _, rest = filename.partition("/")
        return first in self.children and (not rest or self.children[first].has_file(rest))

    def __str__(self) -> str:
        return "".join(self._lines("", "─── "))

    def _lines(self, before: str, pointer: str) -> Any:
        yield f"{before}{pointer}{self.name}\n"
        before += "│   " if pointer == "├── " else "    "
        folders, files = (sorted(k for k, v in self.children.items() if v.is_dir is kind) for kind in (True, False))
        for i, name in enumerate(folders):
            yield from self.children[name]._lines(before, "└── " if i == len(folders) - 1 and not files else "├── ")
        for i, name in enumerate(files):
            yield f"{before}{'└── ' if i == len(files) - 1 else '├── '}{name}\n"


def tree(name: str, files: Iterable[str], include: str | Iterable[str] = "**", exclude: str | Iterable[str] = ()) -> Directory:
    """The files that fit."""
    made, group = Directory(name, True), GlobGroup(include, exclude=exclude, separator="/")
    for file in files:
        if group.matches(file):
            made._add(file)
    return made
