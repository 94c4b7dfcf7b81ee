"""What a process leaves on disk for the next: found again, never believed when it is damaged, foreign or open to others."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jtorch import _config
from jtorch._engine.keeping import store

CNN = """
    import jax
    count = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: count.append(event) if "compile_duration" in event or "trace" in event else None)
    import jtorch as torch
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(3):
        x, y = torch.randn(5, 1, 6, 6), torch.randint(0, 3, (5,))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        print(loss.item())
    a = torch.arange(6.).reshape(2, 3)
    print(a.softmax(-1), a[:, 1:] @ torch.ones(2, 2), (a ** 0.5).sum(), (a ** 0.25).sum(), a.gather(1, torch.tensor([[2], [0]])))
    print("compiled", len(count))
"""


def run(text: str, where: Path, **more: str) -> list[str]:
    env = {**os.environ, "JTORCH_CACHE_DIR": str(where), **more}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_second_start_neither_traces_nor_compiles_and_prints_the_same(tmp_path: Path) -> None:
    first = run(CNN, tmp_path)
    second = run(CNN, tmp_path)
    assert first[:-1] == second[:-1]
    assert int(first[-1].split()[1]) > 10
    assert second[-1] == "compiled 0"
    # What stands in the file is not believed when it was damaged: as a whole,
    file = tmp_path / "programs" / store.NAME
    file.write_bytes(b"no database at all" * 1000)
    assert run(CNN, tmp_path)[:-1] == first[:-1]
    # or in its rows;
    with contextlib.closing(sqlite3.connect(file)) as c, c:
        c.execute("update kept set data = zeroblob(size)")
    assert run(CNN, tmp_path)[:-1] == first[:-1]
    # and it was replaced both times.
    assert run(CNN, tmp_path)[-1] == "compiled 0"
    shown = subprocess.run([sys.executable, "-m", "jtorch.cache"], env={**os.environ, "JTORCH_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, check=True).stdout
    assert str(file) in shown


@pytest.fixture()
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(_config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(store, "_store", store._Store())
    yield tmp_path
    store.close()


def keep(**items: bytes) -> None:
    for name, data in items.items():
        store.put(name.encode(), lambda data=data: data)
    store.flush()


def test_what_is_put_is_there(here: Path) -> None:
    assert store.get(b"a") is None
    keep(a=b"x" * 10, b=b"")
    assert store.get(b"a") == b"x" * 10
    assert store.get(b"b") == b""
    assert store.contents()[1:] == (2, 10)
    store.put(b"c", lambda: 1 // 0)  # what cannot be made is not kept, and the rest is
    store.put(b"d", lambda: None)
    keep(e=b"e")
    assert store.get(b"e") == b"e"
    assert store.contents().count == 3
    store.clear()
    assert store.contents()[1:] == (0, 0)
    keep(a=b"again")
    assert store.get(b"a") == b"again"


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\0" + b"\0" * 200, os.urandom(9000)], ids=["empty", "text", "head", "noise"])
def test_a_file_of_another_kind_is_replaced(here: Path, content: bytes) -> None:
    folder = here / "programs"
    folder.mkdir(mode=0o700)
    (folder / store.NAME).write_bytes(content)
    (folder / store.NAME).chmod(0o600)
    assert store.get(b"a") is None
    keep(a=b"x")
    assert store.get(b"a") == b"x"


@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.slow) if s else s for s in range(20)])
def test_a_damaged_file_gives_what_was_kept_or_nothing(here: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    kept = {f"k{i}": rng.randbytes(rng.choice((3, 900, 5000, 30000))) for i in range(12)}
    keep(**kept)
    store.close()
    file = here / "programs" / store.NAME
    whole = file.read_bytes()
    for turn in range(15):
        bad, at, page = bytearray(whole), rng.randrange(len(whole)), rng.randrange(len(whole)) // 4096 * 4096
        kind = turn % 5
        if kind == 0:
            bad[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del bad[at:]
        elif kind == 2:
            bad[at:at] = rng.randbytes(rng.randrange(1, 5000))
        elif kind == 3:
            bad[page : page + 4096] = bytes(4096)
        else:
            other = at // 4096 * 4096
            bad[page : page + 4096], bad[other : other + 4096] = bad[other : other + 4096], bad[page : page + 4096]
        for left in file.parent.iterdir():
            left.unlink()
        file.touch(0o600)
        file.write_bytes(bad)
        monkeypatch.setattr(store, "_store", store._Store())
        for name, data in kept.items():
            assert store.get(name.encode()) in (None, data)
        store.contents()
        keep(new=b"new")
        assert store.get(b"new") in (None, b"new")
        store.clear()
        store.close()


def test_tables_of_another_version_are_replaced(here: Path) -> None:
    folder = here / "programs"
    folder.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(folder / store.NAME)) as c, c:
        c.execute("create table kept (key, data)")
        c.execute("pragma user_version = 77")
    (folder / store.NAME).chmod(0o600)
    keep(a=b"x")
    assert store.get(b"a") == b"x"


def test_what_others_could_have_written_is_not_read(here: Path) -> None:
    keep(a=b"x")
    folder, file = here / "programs", here / "programs" / store.NAME

    def seen() -> bytes | None:
        store.close()
        return store.get(b"a")

    assert seen() == b"x"
    for path, mode, closed in ((folder, 0o777, 0o700), (folder, 0o720, 0o700), (file, 0o622, 0o600)):
        path.chmod(mode)
        assert seen() is None
        assert store.contents().path is None
        path.chmod(closed)
        assert seen() == b"x"
    here.chmod(0o777)  # whoever may write here may put another folder in its place
    assert seen() is None
    here.chmod(0o700)
    os.link(file, here / "other")
    assert seen() is None
    os.unlink(here / "other")
    os.rename(file, here / "moved")
    os.symlink(here / "moved", file)
    assert seen() is None
    os.unlink(file)
    os.rename(here / "moved", file)
    folder.rename(here / "elsewhere")
    folder.symlink_to(here / "elsewhere")
    assert seen() is None


def test_it_does_not_grow_beyond_its_limit_and_the_least_recently_used_go(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "CACHE_BYTES", 100_000)
    now = [1_000_000]
    monkeypatch.setattr(store.time, "time", lambda: now[0])
    for i in range(10):
        now[0] += 10_000
        keep(**{f"k{i}": bytes(9_000)})
    now[0] += 10_000
    assert store.get(b"k0") is not None  # used: it stays
    keep(**{f"l{i}": bytes(9_000) for i in range(4)})
    assert store.get(b"k0") is not None
    assert store.get(b"k1") is None
    assert store.get(b"l3") is not None
    assert store.contents().size <= 100_000
    keep(large=bytes(50_000))  # more than a quarter of it all
    assert store.get(b"large") is None


def test_several_threads_and_connections_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them may be the one that makes the file, and none takes it away from the others."""

    def work(n: int) -> None:
        for i in range(5):
            store.put(f"{n} {i}".encode(), lambda i=i: bytes([i]) * 1000)
            store.get(f"{n} {i - 5}".encode())
        store._write()

    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-5)
        for round in range(40):
            monkeypatch.setattr(_config, "CACHE_DIR", str(tmp_path / str(round)))
            monkeypatch.setattr(store, "_store", store._Store())
            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            store.flush()
            assert store.contents().count == 20
            assert store.get(b"3 4") == bytes([4]) * 1000
            store.close()
    finally:
        sys.setswitchinterval(before)


def test_two_processes_share_the_folder(tmp_path: Path) -> None:
    text = "import jtorch as torch\nfor i in range(3, 8): print((torch.ones(i) * 2).softmax(0).sum().item())"
    env = {**os.environ, "JTORCH_CACHE_DIR": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", text], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [p.communicate(timeout=300) for p in both]
    assert results[0] == results[1]
    assert results[0][1] == ""


def test_nothing_is_kept_where_that_is_said(tmp_path: Path) -> None:
    assert run("import jtorch as torch; print(torch.ones(3).sum().item())", tmp_path, JTORCH_CACHE_DIR="0") == ["3.0"]
    assert list(tmp_path.iterdir()) == []


def test_programs_are_taken_to_another_folder(tmp_path: Path) -> None:
    program = """
        import sys
        import jtorch as torch
        import jax
        count = []
        jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: count.append(event) if "compile_duration" in event else None)
        file = {file!r}
        if {load}:
            import warnings
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                assert torch.compiler.load_cache_artifacts(b"nothing") is None
                assert torch.compiler.load_cache_artifacts(open(file, "rb").read()[:-1] + b"?") is None and len([s for s in said if "not loaded" in str(s.message)]) == 2
            assert len(torch.compiler.load_cache_artifacts(open(file, "rb").read()).artifacts["program"]) > 0
        x = torch.linspace(0, 1, 12, requires_grad=True)
        x.reshape(3, 4).softmax(-1).pow(3).sum().backward()
        print(x.grad.tolist())
        if not {load}:
            taken, info = torch.compiler.save_cache_artifacts()
            assert not info.empty() and info.inductor_artifacts == []
            open(file, "wb").write(taken)
        print(len(count))
    """
    file = str(tmp_path / "artifacts")
    first = run(program.format(file=file, load=False), tmp_path / "one")
    second = run(program.format(file=file, load=True), tmp_path / "two")
    assert first[0] == second[0] and int(first[1]) > 0 and second[1] == "0"
