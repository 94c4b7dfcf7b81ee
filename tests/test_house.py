"""The structure: no circle of imports anywhere, deferred imports included."""

import graphlib

import grimp


def test_no_circle_of_imports():
    """Imports under TYPE_CHECKING are annotations and do not count. A package and what lies in it may know each other only downwards."""
    graph = grimp.build_graph("jtorch", exclude_type_checking_imports=True, cache_dir=None)
    order = graphlib.TopologicalSorter({m: graph.find_modules_directly_imported_by(m) for m in graph.modules})
    try:
        order.prepare()
    except graphlib.CycleError as error:
        raise AssertionError("a circle of imports: " + " -> ".join(error.args[1])) from None
