"""The structure: no circle of imports anywhere, deferred imports included; no long files; the picture in the tour."""

import graphlib
import importlib.util
import re
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]


def test_no_circle_of_imports():
    """Imports under TYPE_CHECKING are annotations and do not count. A package and what lies in it may know each other only downwards."""
    graph = grimp.build_graph("jtorch", exclude_type_checking_imports=True, cache_dir=None)
    order = graphlib.TopologicalSorter({m: graph.find_modules_directly_imported_by(m) for m in graph.modules})
    try:
        order.prepare()
    except graphlib.CycleError as error:
        raise AssertionError("a circle of imports: " + " -> ".join(error.args[1])) from None


def test_no_file_is_longer_than_600_lines():
    """What is longer wants to be two."""
    long = {str(p.relative_to(ROOT)): n for p in (ROOT / "jtorch").rglob("*.py") if (n := len(p.read_text().splitlines())) > 600}
    assert not long


def test_the_tour_draws_the_floors_as_they_are():
    """Which floor imports which; how many imports an arrow stands for may change. ``python tools/draw_floors.py`` draws them anew."""
    spec = importlib.util.spec_from_file_location("draw_floors", ROOT / "tools" / "draw_floors.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    now, drawn = (re.sub(r"\|\d+\|", "", text) for text in (draw.page(), draw.TARGET.read_text()))
    assert now == drawn
