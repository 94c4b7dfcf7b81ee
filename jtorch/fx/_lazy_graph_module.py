"""GraphModules whose code is generated when it is first needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .graph import PythonCode
from .graph_module import GraphModule, _format_import_block, from_above, reduce_graph_module

_use_lazy_graph_module_flag = False
_force_skip_lazy_graph_module_flag = False


@contextlib.contextmanager
def _force_skip_lazy_graph_module() -> Iterator[None]:
    global _force_skip_lazy_graph_module_flag
    before, _force_skip_lazy_graph_module_flag = _force_skip_lazy_graph_module_flag, True
    try:
        yield
    finally:
        _force_skip_lazy_graph_module_flag = before


@contextlib.contextmanager
def _use_lazy_graph_module(should_use: bool) -> Iterator[None]:
    """Inside, new GraphModules are lazy."""
    global _use_lazy_graph_module_flag
    before, _use_lazy_graph_module_flag = _use_lazy_graph_module_flag, should_use and not _force_skip_lazy_graph_module_flag
    try:
        yield
    finally:
        _use_lazy_graph_module_flag = before


def _get_graph_module_cls() -> type[GraphModule]:
    return _LazyGraphModule if _use_lazy_graph_module_flag else GraphModule


def _make_graph_module(*args: Any, graph_module_cls: Any = None, **kwargs: Any) -> GraphModule:
    return (graph_module_cls or _get_graph_module_cls())(*args, **kwargs)  # type: ignore[no-any-return]


class _LazyGraphModule(GraphModule):
    """Generates its code at its first call, or when the code is looked at."""

    @classmethod
    def from_graphmodule(cls, gm: GraphModule) -> GraphModule:
        return gm if isinstance(gm, _LazyGraphModule) else _LazyGraphModule(gm, gm.graph)

    @staticmethod
    def force_recompile(gm: Any) -> None:
        """Generate a lazy module's code now."""
        if isinstance(gm, _LazyGraphModule):
            gm.real_recompile()

    def real_recompile(self) -> None:
        if self._needs_recompile():
            self._real_recompile()

    @classmethod
    def _needs_recompile(cls) -> bool:
        return cls.forward is cls._lazy_forward

    def _lazy_forward(self, *args: Any, **kwargs: Any) -> Any:
        self.real_recompile()
        return self(*args, **kwargs)

    forward = _lazy_forward

    def __reduce__(self) -> Any:
        code = self._real_recompile()
        body = self.__dict__.copy()
        del body["_graph"]
        return reduce_graph_module, (body, _format_import_block(code.globals))

    def _real_recompile(self) -> PythonCode:
        return super().recompile()

    @classmethod
    def recompile(cls) -> Any:
        """Forget the code."""
        cls.forward = cls._lazy_forward  # type: ignore[method-assign]

    @property
    def code(self) -> str:
        self.real_recompile()
        return super().code

    def __str__(self) -> str:
        self.real_recompile()
        return super().__str__()


from_above.make_graph_module = _make_graph_module
