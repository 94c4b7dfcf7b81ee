"""``torch.testing.FileCheck``: whether a text has certain pieces, in a certain order."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["FileCheck"]

_KINDS = ("CHECK", "CHECK-SAME", "CHECK-NEXT", "CHECK-DAG", "CHECK-NOT", "CHECK-COUNT", "CHECK-REGEX", "CHECK-SOURCE-HIGHLIGHTED")


class FileCheck:
    """Conditions on a text, in order; ``run`` raises RuntimeError at the first that does not hold.

    >>> FileCheck().check("relu").check_not("sigmoid").check_next("return").run(str(traced.graph))
    """

    def __init__(self) -> None:
        self._checks: list[tuple[str, str, int, bool]] = []

    def _add(self, kind: str, text: str, count: int = 1, exactly: bool = False) -> FileCheck:
        self._checks.append((kind, text, count, exactly))
        return self

    def check(self, test_string: str) -> FileCheck:
        """It stands after what was found before."""
        return self._add("CHECK", test_string)

    def check_not(self, test_string: str) -> FileCheck:
        """It does not stand between what is found before and after."""
        return self._add("CHECK-NOT", test_string)

    def check_same(self, test_string: str) -> FileCheck:
        """It stands later in the line of what was found before."""
        return self._add("CHECK-SAME", test_string)

    def check_next(self, test_string: str) -> FileCheck:
        """It stands in the line after."""
        return self._add("CHECK-NEXT", test_string)

    def check_count(self, test_string: str, count: int, exactly: bool = False) -> FileCheck:
        """It stands so often, and with ``exactly`` not once more before the end."""
        return self._add("CHECK-COUNT", test_string, count, exactly)

    def check_dag(self, test_string: str) -> FileCheck:
        """It stands after what was found before; neighbouring ones may come in any order."""
        return self._add("CHECK-DAG", test_string)

    def check_regex(self, test_string: str) -> FileCheck:
        """A regular expression matches after what was found before."""
        return self._add("CHECK-REGEX", test_string)

    def check_source_highlighted(self, test_string: str) -> FileCheck:
        """It stands in a line whose next line marks it with ``~~~``."""
        return self._add("CHECK-SOURCE-HIGHLIGHTED", test_string)

    def run(self, test_string: Any, graph: Any = None) -> None:
        """Check a text, or anything that prints as one; with two arguments the first has the conditions in comments (``# CHECK: ...``)."""
        if graph is not None:
            FileCheck._parsed(str(test_string)).run(graph)
            return
        _Run(str(test_string), self._checks).all()

    @staticmethod
    def _parsed(text: str) -> FileCheck:
        made = FileCheck()
        for kind, options, what in re.findall(r"#\s*(CHECK(?:-[A-Z]+)*)((?:-EXACTLY)?-\d+)?:\s?(.*)", text):
            exactly = "-EXACTLY" in kind + options
            kind = kind.replace("-EXACTLY", "")
            if kind not in _KINDS:
                raise RuntimeError(f"Could not parse check: {kind}")
            made._add(kind, what.strip(), int(re.sub(r"\D", "", options) or 1), exactly)
        if not made._checks:
            raise RuntimeError("No checks have been added to this instance ofFilecheck! Check for bad input.")
        return made


class _Run:
    """One text, and how far it has been read."""

    def __init__(self, text: str, checks: list[tuple[str, str, int, bool]]) -> None:
        self.text, self.checks, self.start, self.end = text, checks, 0, 0  # the last find

    def all(self) -> None:
        banned: list[str] = []
        together: list[str] = []
        how: dict[str, Callable[[str, int, bool], None]] = {
            "CHECK": self._after, "CHECK-SAME": self._same, "CHECK-NEXT": self._next, "CHECK-COUNT": self._count, "CHECK-REGEX": self._regex, "CHECK-SOURCE-HIGHLIGHTED": self._marked,
        }  # fmt: skip
        for kind, what, count, exactly in [*self.checks, ("", "", 0, False)]:
            if together and kind != "CHECK-DAG":
                self._any_order(together, banned)
                together, banned = [], []
            if kind == "CHECK-NOT":
                banned.append(what)
            elif kind == "CHECK-DAG":
                together.append(what)
            elif kind:
                before = self.end
                how[kind](what, count, exactly)
                self._none(banned, before, self.start)
                banned = []
        self._none(banned, self.end, len(self.text))

    def _find(self, what: str, begin: int, end: int | None = None, kind: str = "CHECK") -> int:
        at = self.text.find(what, begin, len(self.text) if end is None else end)
        if at < 0:
            shown = what.replace("\\", "\\\\")
            raise RuntimeError(f'Expected to find "{shown}" but did not find it\nSearched string:\n{self.text[begin:end]}\nFrom {kind}: {what}\n')
        return at

    def _to(self, at: int, length: int) -> None:
        self.start, self.end = at, at + length

    def _none(self, banned: list[str], begin: int, end: int) -> None:
        for what in banned:
            at = self.text.find(what, begin, end)
            if at >= 0:
                raise RuntimeError(f'Expected to not find "{what}" but found it\n{self._line(at)}\nFrom CHECK-NOT: {what}\n')

    def _line(self, at: int) -> str:
        return self.text[self.text.rfind("\n", 0, at) + 1 : self._line_end(at)]

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _after(self, what: str, count: int, exactly: bool) -> None:
        self._to(self._find(what, self.end), len(what))

    def _same(self, what: str, count: int, exactly: bool) -> None:
        at = self._find(what, self.end, kind="CHECK-SAME")
        if at > self._line_end(self.end):
            raise RuntimeError(f'Expected to not find "\\n" but found it\n{self._line(at)}\nFrom CHECK-SAME: {what}\n')
        self._to(at, len(what))

    def _next(self, what: str, count: int, exactly: bool) -> None:
        at = self._find(what, self.end, kind="CHECK-NEXT")
        if self.text.count("\n", self.end, at) != 1:
            raise RuntimeError(f'Expected to not find "\\n" but found it\n{self._line(at)}\nFrom CHECK-NEXT: {what}\n')
        self._to(at, len(what))

    def _count(self, what: str, count: int, exactly: bool) -> None:
        for _ in range(count):
            self._to(self._find(what, self.end, kind=f"CHECK-COUNT-{'EXACTLY-' if exactly else ''}{count}"), len(what))
        if exactly:
            self._none([what], self.end, len(self.text))

    def _regex(self, what: str, count: int, exactly: bool) -> None:
        match = re.compile(what).search(self.text, self.end)
        if match is None:
            raise RuntimeError(f'Expected to find regex "{what}" but did not find it\nSearched string:\n{self.text[self.end:]}\nFrom CHECK-REGEX: {what}\n')
        self._to(match.start(), match.end() - match.start())

    def _marked(self, what: str, count: int, exactly: bool) -> None:
        at = self._find(what, self.end, kind="CHECK-SOURCE-HIGHLIGHTED")
        column, begin = at - self.text.rfind("\n", 0, at) - 1, self._line_end(at) + 1
        below = self.text[begin : self._line_end(begin)]
        if below[column : column + len(what)].strip("~") or not below[column : column + 1]:
            raise RuntimeError(f'Expected to find "{what}"highlighted but it is not.\nFrom CHECK-SOURCE-HIGHLIGHTED: {what}\n')
        self._to(at, len(what))

    def _any_order(self, what: list[str], banned: list[str]) -> None:
        begin = self.end
        finds = [(self._find(w, begin, kind="CHECK-DAG"), len(w)) for w in what]
        self._none(banned, begin, min(at for at, _ in finds))
        self._to(*max(finds, key=sum))
