"""How an archive came to need a module that cannot be put into it."""

from __future__ import annotations

from jtorch.package._exporter import PackagingError

__all__ = ["find_first_use_of_broken_modules"]


def find_first_use_of_broken_modules(exc: PackagingError) -> dict[str, list[str]]:
    """For each module that an error names, the modules that lead to it. AssertionError for another exception."""
    if not isinstance(exc, PackagingError):
        raise AssertionError(f"exception must be a PackagingError, got {type(exc).__name__}")
    graph = exc.dependency_graph
    return {name: graph.first_path(name) for name, node in graph.nodes.items() if node.get("error")}
