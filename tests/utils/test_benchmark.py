"""torch.utils.benchmark: what is measured is computed, and how it is shown."""

import pytest

import jtorch as torch
from jtorch._engine.running.executor import stats
from jtorch.utils import benchmark
from jtorch.utils.benchmark import Compare, Measurement, TaskSpec, Timer


def test_each_turn_computes():
    x = torch.ones(4)
    before = stats.executions
    m = Timer("x + 1", globals={"x": x}).timeit(50)
    assert stats.executions - before >= 50
    assert m.number_per_run == 50 and len(m.times) == 1 and 0 < m.median < 1
    assert m.mean == m.median == m.times[0] and m.iqr == 0


def test_statements_and_setup():
    m = Timer("y = a @ a\nz = y.sum()", "a = torch.ones(3, 3)", label="product", num_threads=1).timeit(5)
    assert m.title == "product" and m.num_threads == 1 and "setup: a = torch.ones(3, 3)" in repr(m)
    assert "5 runs" in repr(m) and "1 measurement" in repr(m)
    Timer("if True:\n    y = 1").timeit(2)
    Timer().timeit(2)


def test_ranges():
    seen = []
    m = Timer("x * 2", globals={"x": torch.ones(2)}).blocked_autorange(callback=lambda n, t: seen.append((n, t)), min_run_time=0.02)
    assert sum(m.raw_times) >= 0.02 and [t for _, t in seen] == m.raw_times
    m = Timer("x * 2", globals={"x": torch.ones(2)}).adaptive_autorange(max_run_time=0.05)
    assert m.raw_times
    with pytest.raises(NotImplementedError):
        Timer().autorange()
    with pytest.raises(NotImplementedError, match="collect_callgrind"):
        Timer().collect_callgrind()
    with pytest.raises(NotImplementedError):
        Timer("1", language="c++")
    with pytest.raises(ValueError):
        Timer(lambda: 1)


def _measured(seconds, **names):
    return Measurement(10, [10 * s for s in seconds], TaskSpec("f(x)", "pass", label="label", **names))


def test_statistics():
    m = _measured([1e-3, 1.1e-3, 1.2e-3, 1.3e-3, 5e-3])
    assert m.median == pytest.approx(1.2e-3) and m.iqr == pytest.approx(0.2e-3) and m.has_warnings
    assert "Median: 1.20 ms" in repr(m) and "IQR:    0.20 ms (1.10 to 1.30)" in repr(m) and "WARNING: Interquartile range is 16.7%" in repr(m)
    assert not _measured([1e-3] * 5).has_warnings and _measured([1e-3] * 5).significant_figures == 4
    (merged,) = Measurement.merge([m, _measured([2e-3])])
    assert len(merged.times) == 6 and merged.number_per_run == 1
    assert benchmark.select_unit(3e-5) == ("us", 1e-6) and benchmark.select_unit(2.0) == ("s", 1)
    assert benchmark.trim_sigfig(3.14159, 2) == 3.1 and benchmark.trim_sigfig(1234, 2) == 1200


def test_table():
    results = [
        _measured([1.234e-3], sub_label="small", description="old"), _measured([0.5e-3], sub_label="small", description="new"),
        _measured([7e-3], sub_label="large", description="old"), _measured([2e-3], sub_label="large", description="new", num_threads=2),
    ]  # fmt: skip
    table = Compare(results)
    lines = str(table).splitlines()
    assert "label" in lines[0] and "old" in lines[1] and "new" in lines[1]
    assert lines[2].startswith("1 threads: ---") and lines[5].startswith("2 threads: ---")
    assert [line.split("|")[0].strip() for line in (lines[3], lines[4], lines[6])] == ["small", "large", "large"]
    assert "1.2" in lines[3] or "1234.0" in lines[3]
    assert "Times are in" in str(table)
    table.colorize()
    assert "\033[92m" in str(table)
    table.trim_significant_figures()
    table.highlight_warnings()
    table.print()
    with pytest.raises(ValueError):
        table.extend_results([1])
