"""A program: a segment of a trace as one XLA executable, found by its structure."""

from __future__ import annotations

from typing import Any

import jax

from . import log

__all__ = ["Program", "compile_program"]


class Program:
    """``run(*scalar arrays by class, *inputs) -> outputs``. Two segments of equal structure are one program.

    A body is nodes ``(entry, ref, ...)``; a ref is the number of an output made before (>= 0), an input (-1, -2, ...), a constant ``("c", class, value)`` or
    a runtime scalar ``("s", class, number)``.
    """

    __slots__ = ("body", "outs", "donated", "kinds", "run")

    def __init__(self, body: Any, outs: Any, donated: Any) -> None:
        self.body, self.outs, self.donated = body, outs, donated
        kinds: list[type] = []
        for _, *refs in body:
            for r in refs:
                if r.__class__ is tuple and r[0] == "s" and r[1] not in kinds:
                    kinds.append(r[1])
        self.kinds = kinds
        shift = len(kinds)
        self.run = jax.jit(self._function(), donate_argnums=tuple(d + shift for d in donated))

    @staticmethod
    def key(body: list[Any], outs: list[int], donated: tuple[int, ...]) -> Any:
        return tuple(body), tuple(outs), donated

    def _function(self) -> Any:
        body, outs, kinds = self.body, self.outs, self.kinds

        def segment(*args: Any) -> list[Any]:
            packed = dict(zip(kinds, args, strict=False))
            ins = args[len(kinds) :]
            vals: list[Any] = []
            for entry, *refs in body:
                given = []
                for r in refs:
                    if r.__class__ is int:
                        given.append(vals[r] if r >= 0 else ins[-1 - r])
                    elif r[0] == "c":
                        given.append(r[2])
                    else:
                        given.append(packed[r[1]][r[2]])
                out = entry.call.apply(*given)
                if entry.out is not None:
                    vals.append(out)
                else:
                    vals.extend(out)
            return [vals[i] for i in outs]

        return segment


_programs: dict[Any, Program] = {}


def compile_program(key: Any, tr: Any, why: str) -> Program:
    """The program with this structure; XLA compiles it when it first runs."""
    found = _programs.get(key)
    if found is None:
        from .executor import stats

        stats.compilations += 1
        log.compiling(key, why)
        found = _programs[key] = Program(*key)
    return found
