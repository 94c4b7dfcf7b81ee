"""``torch.__version__``: a string that compares as a version, so that "2.13.0" comes after "2.4"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["TorchVersion"]

_FORM = re.compile(r"v?(\d+(?:\.\d+)*)[-_.]?(?:(a|b|rc|alpha|beta|c|pre|preview)[-_.]?(\d*))?(?:[-_.]?(post|dev)[-_.]?(\d*))?(?:\+(.*))?", re.IGNORECASE)
_STAGES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def _key(version: Any) -> tuple[Any, ...] | None:
    """What versions are ordered by; None for what is no version."""
    if isinstance(version, Iterable) and not isinstance(version, str):
        version = ".".join(str(part) for part in version)
    found = _FORM.fullmatch(str(version).strip())
    if found is None:
        return None
    release, stage, number, end, of_end, local = found.groups()
    parts = [int(n) for n in release.split(".")]
    while parts and not parts[-1]:
        parts.pop()
    kind = None if stage is None else _STAGES.get(stage.lower(), stage.lower())
    rank = {None: 3, "a": 0, "b": 1, "rc": 2}[kind]
    if kind is None and (end or "").lower() == "dev":
        rank = -1
    last = {None: 0, "post": 1, "dev": -1}[end and end.lower()]
    return tuple(parts), rank, int(number or 0), last, int(of_end or 0), local or ""


class TorchVersion(str):
    """A version that compares with strings and with tuples of numbers. What is no version is compared as text,
    and != compares as text always, as in torch."""

    def __eq__(self, other: object) -> bool:
        mine, theirs = _key(str(self)), _key(other)
        return str.__eq__(self, str(other)) if mine is None or theirs is None else mine == theirs

    def __lt__(self, other: Any) -> bool:
        mine, theirs = _key(str(self)), _key(other)
        return str.__lt__(self, str(other)) if mine is None or theirs is None else mine < theirs

    def __gt__(self, other: Any) -> bool:
        return not self < other and not self == other

    def __le__(self, other: Any) -> bool:
        return self < other or self == other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    __hash__ = str.__hash__
