"""The runner of PyTorch's own test files, on a file of the same kind made here."""

from pathlib import Path

from compat.harness import Worker
from compat.upstream.__main__ import Report, command, internal, page

FILE = """
import torch
from torch.testing._internal.common_utils import TestCase, run_tests, gone_since
from torch.testing._internal.common_device_type import instantiate_device_type_tests, dtypes

class TestSome(TestCase):
    @dtypes(torch.float32, torch.int64)
    def test_adds(self, device, dtype):
        self.assertEqual(torch.ones(2, device=device, dtype=dtype) + 1, torch.full((2,), 2, device=device, dtype=dtype))

    def test_wrong(self, device):
        self.assertEqual(torch.ones(2, device=device), torch.zeros(2, device=device))

    @gone_since("an older release")
    def test_reaches(self, device):
        with self.assertRaisesRegex(RuntimeError, "size of tensor a"):
            torch.ones(2, device=device) + torch.ones(3, device=device)

instantiate_device_type_tests(TestSome, globals(), only_for="cpu")
"""
WANTED = {
    "TestSomeCPU.test_adds_cpu_float32": "pass",
    "TestSomeCPU.test_adds_cpu_int64": "pass",
    "TestSomeCPU.test_reaches_cpu": "pass",
    "TestSomeCPU.test_wrong_cpu": "fail",
}


def test_both_libraries_run_a_file_of_that_kind(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(FILE)
    for library in ("torch", "jtorch"):
        worker = Worker(command(library, file), timeout=500)
        try:
            assert set(worker.run("?").note.split()) == set(WANTED)
            records = {n: worker.run(n) for n in WANTED}
        finally:
            worker.stop()
        assert {n: r.status for n, r in records.items()} == WANTED, (library, [r.details for r in records.values()])
        assert "not close" in records["TestSomeCPU.test_wrong_cpu"].checks["test"].first


def test_internals_are_told_from_the_rest() -> None:
    assert internal("AttributeError: x", "reaches torch._C._x")
    assert not internal("AssertionError: Tensor-likes are not close!", "")


def test_what_is_not_run_stays_on_the_page() -> None:
    first = page([Report("test_a.py", 2, 2, 1, 0, {"AssertionError: no": ["A.test_x"]}, {}), Report("test_b.py", 3, 3, 1, 1, {"timeout ": ["B.test_x", "B.test_y"]}, {})], "one.", 40)
    second = page([Report("test_a.py", 2, 2, 2, 0, {}, {})], "two.", 40, first)
    assert "| test_a.py | 2 | 2 | 2 | 2 | 100.0 | 0 | 0 |" in second and "| test_b.py | 3 | 3 | 3 | 1 | 33.3 | 1 | 0 |" in second
    assert "- test_b.py: 2 x `timeout `" in second and "- test_a.py" not in second and "two." in second and "one." not in second
