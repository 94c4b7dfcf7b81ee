"""Worker processes: errors, deaths, time limits, memory that is handed over, scripts without a main guard, computing after a fork."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jtorch as torch
from jtorch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

ROOT = Path(__file__).resolve().parents[2]


class Made(Dataset[Any]):
    """A dataset from a function."""

    def __init__(self, size: int, fn: Callable[[int], Any]) -> None:
        self.size, self.fn = size, fn

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> Any:
        return self.fn(i)


class TwoArguments(Exception):
    """Cannot be made from one message."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b)


def at_five(action: Callable[[], Any]) -> Callable[[int], int]:
    def sample(i: int) -> int:
        if i == 5:
            action()
        return i

    return sample


def load(fn: Callable[[int], Any], **options: Any) -> list[Any]:
    return list(DataLoader(Made(8, fn), batch_size=2, num_workers=2, **options))


@pytest.mark.parametrize("action", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(3)], ids=["killed", "exited"])
def test_death_of_a_worker(action: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly") as caught:
        load(at_five(action))
    assert "killed by signal: Killed" in str(caught.value.__cause__) or "exit code 3" in str(caught.value.__cause__)


def test_time_limit() -> None:
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.5 seconds"):
        load(lambda i: time.sleep(30), timeout=0.5)


def raise_(error: BaseException) -> None:
    raise error


def test_exceptions_keep_type_and_traceback() -> None:
    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0.\nOriginal Traceback") as caught:
        load(at_five(lambda: raise_(ValueError("this one"))))
    assert str(caught.value).rstrip().endswith("ValueError: this one")
    with pytest.raises(KeyError) as missing:
        load(at_five(lambda: {}["k"]))
    assert "\nOriginal Traceback" in repr(missing.value)
    with pytest.raises(RuntimeError, match="TwoArguments"):
        load(at_five(lambda: raise_(TwoArguments(1, 2))))


def test_what_cannot_be_sent() -> None:
    with pytest.raises(Exception, match="(?s)Can't (pickle|get) local object.*lambda"):
        load(lambda i: lambda: 1, collate_fn=lambda batch: batch)
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        load(lambda i: torch.ones(2, requires_grad=True) * 2, collate_fn=lambda batch: batch)


def test_an_error_of_the_init_function() -> None:
    with pytest.raises(ZeroDivisionError):
        load(lambda i: i, worker_init_fn=lambda i: 1 / 0)


def test_large_batches_come_whole_and_leave_no_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    batches = list(DataLoader(Made(300, lambda i: torch.full((20000,), float(i))), num_workers=2))
    assert [float(b[0, 7]) for b in batches] == list(range(300))
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) <= before + 6
    batches[3].add_(1)
    assert float(batches[3][0, 0]) == 4.0 and float(batches[4][0, 0]) == 4.0


def test_tensors_keep_type_layout_and_attributes() -> None:
    def sample(i: int) -> dict[str, Any]:
        marked = torch.ones(2)
        marked.note = "x"
        return {
            "leaf": torch.ones(2, requires_grad=True), "half": torch.ones(3, dtype=torch.bfloat16), "parameter": torch.nn.Parameter(torch.ones(2)),
            "scalar": torch.tensor(3.0), "transposed": torch.ones(4, 6).t(), "empty": torch.zeros(0, 3), "array": np.arange(3), "marked": marked,
            "complex": torch.tensor([1 + 2j]).conj(),
        }  # fmt: skip

    got = next(iter(DataLoader(Made(1, sample), batch_size=None, num_workers=1)))
    assert got["leaf"].requires_grad and got["half"].dtype == torch.bfloat16 and isinstance(got["parameter"], torch.nn.Parameter)
    assert got["scalar"].shape == () and got["transposed"].stride() == (1, 6) and got["empty"].shape == (0, 3)
    assert got["array"].tolist() == [0, 1, 2] and got["marked"].note == "x" and got["complex"].tolist() == [1 - 2j]


def test_leaving_an_epoch_early() -> None:
    loader = DataLoader(Made(100, lambda i: i), batch_size=2, num_workers=2, persistent_workers=True)
    for _ in range(2):
        for i, _batch in enumerate(loader):
            if i == 3:
                break
    assert next(iter(loader)).tolist() == [0, 1] and len(list(loader)) == 50
    iterator = iter(DataLoader(Made(100, lambda i: i), num_workers=2))
    workers = iterator._workers
    next(iterator)
    del iterator
    gc.collect()
    assert not any(worker.is_alive() for worker in workers)


def test_persistent_workers_stay_and_others_go() -> None:
    def pids(**options: Any) -> set[int]:
        loader = DataLoader(Made(8, lambda i: os.getpid()), num_workers=2, **options)
        return {int(b) for _ in range(2) for b in loader}

    assert len(pids(persistent_workers=True)) == 2 and len(pids()) == 4


def test_out_of_order(tmp_path: Path) -> None:
    came = tmp_path / "came"

    def sample(i: int) -> int:
        while i == 0 and not came.exists():  # the first waits until another has come
            time.sleep(0.01)
        return i

    free = []
    for b in DataLoader(Made(10, sample), num_workers=2, in_order=False):
        came.touch()
        free.append(int(b))
    kept = [int(b) for b in DataLoader(Made(10, sample), num_workers=2)]
    assert kept == list(range(10)) and sorted(free) == kept and free[0] != 0


def test_streams_are_shared_out_by_the_dataset() -> None:
    class Stream(IterableDataset[int]):
        def __iter__(self) -> Any:
            info = get_worker_info()
            assert info is not None and info.num_workers == 2 and info.dataset is self
            return iter(range(info.id, 11, 2))

    assert sorted(int(b) for b in DataLoader(Stream(), num_workers=2)) == list(range(11))


def test_workers_compute_after_the_parent_did() -> None:
    x = torch.randn(40, 8)
    w = torch.randn(8, 8)
    assert (x @ w).sum().isfinite()

    def sample(i: int) -> Any:
        row = (x[i] - x[i].mean()) / x[i].std()
        out = torch.tanh(row @ w)
        out[0] = i
        return out.flip(0), torch.nn.functional.softmax(row, 0).argmax()

    there = list(DataLoader(Made(40, sample), batch_size=8, num_workers=2))
    here = list(DataLoader(Made(40, sample), batch_size=8))
    for (a, b), (c, d) in zip(there, here, strict=True):
        assert torch.allclose(a, c, atol=1e-5)
        assert b.equal(d)


def test_rows_of_tensors_with_workers() -> None:
    data = TensorDataset(torch.arange(10.0).view(10, 1), torch.arange(10))
    got = [(a.tolist(), b.tolist()) for a, b in DataLoader(data, batch_size=4, num_workers=2)]
    assert got == [([[0.0], [1.0], [2.0], [3.0]], [0, 1, 2, 3]), ([[4.0], [5.0], [6.0], [7.0]], [4, 5, 6, 7]), ([[8.0], [9.0]], [8, 9])]


def run(script: str, tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "program.py"
    path.write_text(script)
    return subprocess.run(
        [sys.executable, *command, str(path)], capture_output=True, text=True, timeout=550, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )


NO_GUARD = """
import torch
from torch.utils.data import DataLoader, Dataset
class Squares(Dataset):
    def __len__(self): return 6
    def __getitem__(self, i): return torch.tensor(float(i)) ** 2
w = torch.randn(3, 3) @ torch.randn(3, 3)
print("start", w.shape)
for batch in DataLoader(Squares(), batch_size=3, num_workers=2):
    print((batch + 0).tolist())
print("end")
"""


def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    done = run(NO_GUARD, tmp_path, "-m", "jtorch")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["start torch.Size([3, 3])", "[0.0, 1.0, 4.0]", "[9.0, 16.0, 25.0]", "end"]
    assert done.stderr == ""


GUARD = """
import torch
from torch.utils.data import DataLoader, Dataset
class Squares(Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): return torch.tensor(float(i)) ** 2
if __name__ == "__main__":
    for batch in DataLoader(Squares(), batch_size=2, num_workers=1, multiprocessing_context="spawn"):
        print(batch.tolist())
"""


def test_spawned_workers(tmp_path: Path) -> None:
    done = run(GUARD, tmp_path, "-m", "jtorch")
    assert done.stdout.splitlines() == ["[0.0, 1.0]", "[4.0, 9.0]"], done.stderr


def test_workers_end_with_the_program(tmp_path: Path) -> None:
    script = NO_GUARD.replace('print("end")', "import os\nit = iter(DataLoader(Squares(), num_workers=2))\nnext(it)\nprint(*[w.pid for w in it._workers], flush=True)\nos.kill(os.getpid(), 9)")
    done = run(script, tmp_path, "-m", "jtorch")
    pids = [int(p) for p in done.stdout.splitlines()[-1].split()]
    assert len(pids) == 2
    until = time.monotonic() + 300
    while time.monotonic() < until and any(os.path.exists(f"/proc/{p}") and "Z" not in Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()[0] for p in pids):
        time.sleep(0.2)
    assert not any(os.path.exists(f"/proc/{p}") and "Z" not in Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()[0] for p in pids)
