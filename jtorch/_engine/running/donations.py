"""Which inputs a program is allowed to overwrite.

Those that nobody else holds: and who holds one may be a matter of chance, where another thread looks at it just now. Each set of them is a program of its own, so the first few that a structure is met
with are had; after those, the one of them that fits best and asks for the least that nobody can have against it.
"""

from __future__ import annotations

from typing import Any

from jtorch._engine.running import retention

__all__ = ["settled"]

MOST = 4  # sets for one structure, and beside them none at all

_known: dict[Any, list[tuple[int, ...]]] = {}
retention.told.append(_known.clear)


def settled(structure: Any, allowed: tuple[int, ...]) -> tuple[int, ...]:
    """The inputs that a new program of this structure is to overwrite, where it may overwrite ``allowed``."""
    known = _known.setdefault(structure, [])
    if len(known) < MOST:
        known.append(allowed)
        return allowed
    every = set(allowed)
    return max((d for d in known if every.issuperset(d)), key=len, default=())
