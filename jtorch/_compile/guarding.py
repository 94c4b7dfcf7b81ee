"""What a replay requires to be as it was, as one function: written out, for Python asks ``a.x is b`` in a fraction of the time that a call in C takes to ask it of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import is_
from typing import Any

from jtorch._compile.knowledge import ABSENT, cell_again

__all__ = ["Guards", "Written", "same"]

_PRIMITIVES = frozenset((int, float, complex, str, bytes, bool))
_SCALARS = frozenset((int, float))
_NAME = re.compile(r"\w+\Z", re.ASCII)
_MANY = 300  # objects of one function: its frame is still one of Python's ordinary ones
_TOGETHER = 60  # conditions of one statement


def same(a: Any, b: Any) -> bool:
    """Whether one can stand for the other in a guard."""
    if a is b:
        return True
    if a.__class__ is not b.__class__ or a.__class__ not in _PRIMITIVES:
        return False
    return bool(a == b) and (a != 0 or repr(a) == repr(b))


def _short(x: Any) -> str:
    text = repr(x) if x.__class__ in _PRIMITIVES or x is None else f"a {x.__class__.__name__}"
    return text if len(text) < 60 else text[:57] + "..."


class Written:
    """Conditions, and what is to be found if all of them hold. What is asked is asked in the order in which it was required."""

    def __init__(self) -> None:
        self._functions: list[Callable[[], list[Any] | None]] = []
        self._names: dict[int, str] = {}
        self._given: list[Any] = []
        self._lines: list[list[str]] = [[]]
        self._found: list[str] = []

    def name(self, x: Any) -> str:
        """What an object is called in the conditions."""
        if x is None:
            return "None"
        found = self._names.get(id(x))
        if found is None:
            found = self._names[id(x)] = f"o{len(self._given)}"
            self._given.append(x)
        return found

    def require(self, condition: str) -> None:
        """One more condition. ``name``s were asked for since the last one."""
        if len(self._lines[-1]) >= _TOGETHER:
            self._lines.append([])
        self._lines[-1].append(condition)

    def find(self, expression: str) -> None:
        """One more of what is found; ends this function where it has become long."""
        self._found.append(expression)
        self.pause()

    def pause(self) -> None:
        """What comes next may be in another function."""
        if len(self._given) > _MANY:
            self._end()

    def _end(self) -> None:
        lines = [f"        if not ({' and '.join(line)}):\n            return None\n" for line in self._lines if line]
        text = f"def holds({', '.join(f'o{i}' for i in range(len(self._given)))}):\n    try:\n{''.join(lines)}        return [{', '.join(self._found)}]\n    except (KeyError, ValueError):\n        return None\n"
        space = {"same": same, "all": all, "map": map, "is_": is_, "len": len, "get": dict.get, "contains": dict.__contains__}
        exec(compile(text, "<jtorch guards>", "exec"), space)  # noqa: S102 - the text is ours; every object is an argument
        fn: Any = space["holds"]
        fn.__defaults__ = tuple(self._given)
        self._functions.append(fn)
        self._names, self._given, self._lines, self._found = {}, [], [[]], []

    def function(self) -> Callable[[], list[Any] | None]:
        """What gives a list of what is found, or None if a condition does not hold."""
        if self._given or not self._functions:
            self._end()
        functions = self._functions
        if len(functions) == 1:
            return functions[0]

        def holds() -> list[Any] | None:
            found: list[Any] = []
            for fn in functions:
                more = fn()
                if more is None:
                    return None
                found += more
            return found

        return holds


class Guards:
    """What the call read, and what it must still be. ``failed`` says which guard does not hold."""

    def __init__(self) -> None:
        self.dicts: list[Any] = []
        self.keys: list[Any] = []
        self.expected: list[Any] = []
        self.missing: list[tuple[Any, Any]] = []
        self.whole: list[tuple[Any, tuple[Any, ...]]] = []  # dicts of which everything is guarded, and their values
        self.containers: list[tuple[Any, list[Any]]] = []  # what goes through them finds these
        self.sets: list[tuple[Any, frozenset[Any]]] = []
        self.others: list[tuple[Callable[[], Any], Any]] = []
        self.functions: list[tuple[Any, Any]] = []  # and their code
        self.numbers: list[tuple[Any, Any, Any]] = []  # (container, key, class) of numbers that are followed

    def write(self, w: Written) -> None:
        """Require them."""
        written = {id(c): was for c, was in self.containers if isinstance(c, dict) and set(map(type, was)) <= {str}}  # with the keys of then: by now there may be others
        for c, was in self.containers:
            name = w.name(c)
            if not was:
                w.require(f"not {name}")
            elif id(c) in written:
                w.require(f"[*{name}] == {w.name(was)}")
            elif c.__class__ is list and len(was) <= _TOGETHER:
                w.require(f"len({name}) == {len(was)}")
                for i, x in enumerate(was):
                    w.require(f"{name}[{i}] is {w.name(x)}")
            else:
                w.require(f"len({name}) == {len(was)} and all(map(is_, {name}, {w.name(was)}))")
            w.pause()
        for c, values in self.whole:
            if values and id(c) in written:
                for key, x in zip(written[id(c)], values, strict=True):
                    self._entry(w, c, key, x)
            elif values:
                mine, theirs = f"{w.name(c)}.values()", w.name(values)  # in the order of what it is: an OrderedDict has its own
                w.require(f"(all(map(is_, {mine}, {theirs})) or all(map(same, {mine}, {theirs})))")
            w.pause()
        for held, key, x in zip(self.dicts, self.keys, self.expected, strict=True):
            self._entry(w, held, key, x)
            w.pause()
        for held, key in self.missing:
            w.require(f"{_key(w, key)} not in {w.name(held)}" if held.__class__ is dict else f"not contains({w.name(held)}, {_key(w, key)})")
            w.pause()
        for fn, code in self.functions:
            w.require(f"{w.name(fn)}.__code__ is {w.name(code)}")
            w.pause()
        for c, was in self.sets:
            w.require(f"{w.name(c)} == {w.name(was)}")
            w.pause()
        for again, was in self.others:
            cell = getattr(again, "func", None) is cell_again and was is not ABSENT
            _equal(w, f"{w.name(again.args[0])}.cell_contents" if cell else f"{w.name(again)}()", was)  # type: ignore[attr-defined]
            w.pause()
        for held, key, kind in self.numbers:
            name = w.name(held)
            if held.__class__ is list and key.__class__ is int:
                w.require(f"{key} < len({name}) and {name}[{key}].__class__ is {w.name(kind)}")
            else:
                w.require(f"get({name}, {_key(w, key)}).__class__ is {w.name(kind)}")
            w.pause()

    @staticmethod
    def _entry(w: Written, held: Any, key: Any, x: Any) -> None:
        if held.__class__ is dict:
            _equal(w, f"{w.name(held)}[{_key(w, key)}]", x)
            return
        _equal(w, f"get({w.name(held)}, {_key(w, key)})", x)
        if x is None:
            w.require(f"contains({w.name(held)}, {_key(w, key)})")

    def failed(self) -> str:
        """The first guard that does not hold, in words; empty if all do."""
        for held, key, was in zip(self.dicts, self.keys, self.expected, strict=True):
            now = held.get(key)
            if not same(now, was):
                return f"{key!r} was {_short(was)}, is {_short(now)}"
        for held, key in self.missing:
            if key in held:
                return f"{key!r} was not there"
        for c, known in self.containers:
            if len(c) != len(known):
                return f"a {c.__class__.__name__} of {len(known)} elements has {len(c)}"
            for now, was in zip(c, known, strict=True):
                if not same(now, was):
                    return f"an element of a container was {_short(was)}, is {_short(now)}"
        for held, values in self.whole:
            for (key, now), was in zip(held.items(), values, strict=False):
                if not same(now, was):
                    return f"{key!r} was {_short(was)}, is {_short(now)}"
        for again, was in self.others:
            now = again()
            if not same(now, was):
                return f"{_short(was)} is {_short(now)}"
        w = Written()
        self.write(w)
        return "a number or set is another" if w.function()() is None else ""

    def changed(self) -> list[tuple[int, Any]]:
        """Slots whose number is another one now: they are followed next time."""
        read = [(held, key, held.get(key), was) for held, key, was in zip(self.dicts, self.keys, self.expected, strict=True)]
        read += [(held, key, now, was) for held, values in self.whole for (key, now), was in zip(held.items(), values, strict=False)]
        return [(id(held), key) for held, key, now, was in read if now.__class__ in _SCALARS and was.__class__ in _SCALARS and not same(now, was)]


def _key(w: Written, key: Any) -> str:
    return repr(key) if key.__class__ is str and _NAME.match(key) else w.name(key)


def _equal(w: Written, now: str, was: Any) -> None:
    name = w.name(was)
    if was.__class__ not in _PRIMITIVES or was is True or was is False:
        w.require(f"{now} is {name}")
    else:
        w.require(f"({now} is {name} or same({now}, {name}))")
