"""One test of a file after another, in this process: ``python -m compat.upstream.worker LIBRARY FILE``, names on stdin, records on stdout."""

from __future__ import annotations

import contextlib
import copy
import sys
import time
import traceback
import unittest
import warnings
from pathlib import Path
from typing import Any

from compat.harness import Record, serve
from compat.upstream import loading


def tests_of(module: Any) -> dict[str, unittest.TestCase]:
    """Every test of a module by ``Class.method``."""
    classes = {c for c in vars(module).values() if isinstance(c, type) and issubclass(c, unittest.TestCase) and c.__module__ == module.__name__}
    return {f"{c.__name__}.{n}": c(n) for c in classes for n in unittest.defaultTestLoader.getTestCaseNames(c)}


class _Outcome(unittest.TestResult):
    """What became of one test: with sub-tests, the first that went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: BaseException | None = None

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.wrong = self.wrong or err[1]

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.wrong = self.wrong or err[1]

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.wrong = self.wrong or err[1]


def where(e: BaseException) -> str:
    """The innermost lines of a traceback."""
    return "".join(traceback.format_exception(type(e), e, e.__traceback__)[-7:])


def run(test: unittest.TestCase) -> Record:
    """Run one test with its class's set-up."""
    name = ".".join(test.id().split(".")[-2:])
    record = Record(name)
    loading.touched.clear()
    outcome = _Outcome()
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            unittest.TestSuite([test]).run(outcome)
        except Exception as e:  # the helpers themselves
            outcome.wrong = e
    record.seconds = time.perf_counter() - begin
    reached = sorted(set(loading.touched))
    if outcome.wrong is not None:
        text = f"{type(outcome.wrong).__name__}: " + " ".join(str(outcome.wrong).split())[:300]
        record.fail("test", text, where(outcome.wrong))
        if reached:
            record.note = "reaches " + ", ".join(reached[:3])
    elif outcome.skipped:
        record.skip("test", outcome.skipped[0][1])
    else:
        record.ok("test")
    return record


class Afterwards:
    """Between two tests: what the last one left pending is run, what it left to be raised is dropped, and the thread's modes are as they were at first."""

    def __init__(self) -> None:
        from jtorch import get_default_dtype
        from jtorch._engine.recording import guards, trace

        self.default = get_default_dtype()  # some of the files set another
        self.guards, self.trace = guards, trace
        self.modes = {k: v for k, v in vars(trace.state).items() if k not in ("trace", "traces", "here", "updating")}

    def look_where_an_exception_is_expected(self) -> None:
        """What is wrong with values that are not computed yet is an exception where somebody looks: at the end of ``assertRaises`` that is done."""
        context: Any = unittest.case._AssertRaisesContext  # type: ignore[attr-defined]
        ends = context.__exit__

        def __exit__(this: Any, kind: Any, value: Any, tb: Any) -> Any:
            if kind is None:
                try:
                    self.trace.flush("look")
                    while self.guards.pending:
                        self.guards._raise(*self.guards.pending.popleft())
                except Exception as e:
                    kind, value, tb = type(e), e, e.__traceback__
            return ends(this, kind, value, tb)

        context.__exit__ = __exit__

    def __call__(self) -> None:
        import torch

        state = self.trace.state
        with contextlib.suppress(Exception):
            self.trace.flush()
        self.guards.pending.clear()
        state.trace, state.traces = self.trace.Trace(state.trace.device), {}
        for name in set(vars(state)) - set(self.modes) - {"trace", "traces", "here", "updating"}:  # since then it hides the class's
            delattr(state, name)
        for name, value in self.modes.items():
            setattr(state, name, copy.copy(value) if isinstance(value, list | dict) else value)
        torch.set_default_dtype(self.default)
        torch.set_default_device(None)


def main() -> None:
    library, file = sys.argv[1:3]
    sys.argv[1:] = []
    loading.prepare(library)
    path = Path(file)
    tests = tests_of(loading.load(path))
    settle: Any = lambda: None  # noqa: E731
    if library == "jtorch":
        settle = Afterwards()
        settle.look_where_an_exception_is_expected()

    def one(name: str) -> Record:
        if name == "?":  # the names of the tests
            return Record("?", note=" ".join(sorted(tests)), state="pass")
        if name not in tests:
            record = Record(name)
            record.fail("test", "there is no such test under this library")
            return record
        try:
            return run(copy.copy(tests[name]))
        finally:
            settle()

    serve(one)


if __name__ == "__main__":
    main()
