"""``torch.ops.profiler``: stretches with a name, for programs that are written in operators alone."""

from __future__ import annotations

from typing import Any

from .libraries import Library

__all__: list[str] = []

_profiler = Library("profiler", "FRAGMENT")


def _enter(name: str, args: str | None = None) -> Any:
    from jtorch.autograd.profiler import record_function

    scope = record_function(name, args)
    scope.__enter__()
    return scope


def _exit(handle: Any) -> None:
    handle.__exit__(None, None, None)


for _schema in ("_record_function_enter(str name, str? args=None) -> Any", "_record_function_enter_new(str name, str? args=None) -> Any"):
    _profiler.impl(_profiler.define(_schema), _enter, "CompositeImplicitAutograd")
for _schema in ("_record_function_exit(Any handle) -> ()", "_record_function_exit._RecordFunction(Any handle) -> ()"):
    _profiler.impl(_profiler.define(_schema), _exit, "CompositeImplicitAutograd")
