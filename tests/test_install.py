"""``python -m jtorch`` runs a program as python would, with torch's names meaning jtorch's modules."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(folder: Path, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=folder, input=stdin, timeout=240, env=env, check=False
    )
    return done.returncode, re.sub(r"0x[0-9a-f]+", "0x", done.stdout), done.stderr


NAMES = """
import importlib, importlib.metadata, importlib.util, sys
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.nn.modules.linear import Linear
import torch.utils.data.dataloader
import jtorch
assert torch is jtorch and F is jtorch.nn.functional and DataLoader is jtorch.utils.data.DataLoader and Linear is jtorch.nn.Linear
assert sys.modules["torch.nn"] is jtorch.nn and torch.utils.data.dataloader.DataLoader is DataLoader
assert jtorch.__spec__.name == "jtorch" and jtorch.nn.__spec__.name == "jtorch.nn"
print(importlib.metadata.version("torch"), importlib.util.find_spec("torch") is not None, importlib.util.find_spec("torch.optim") is not None)
print(importlib.util.find_spec("torch.nowhere"))
for name in ("torch._nowhere", "torch.nowhere", "torch.nn.nowhere.deep"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(error.name, "|", error)
import pickle, copyreg
class Mine: pass
assert type(pickle.loads(pickle.dumps(Mine()))) is Mine and Mine.__module__ == "__main__"
"""


def test_names(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(NAMES)
    code, out, err = run(tmp_path, "-m", "jtorch", "a.py")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[:2] == ["2.13.0 True True", "None"]
    assert lines[2].startswith("torch._nowhere | No module named 'torch._nowhere'") and lines[3].startswith("torch.nowhere |")


CARRIED = """
from torch.nn.modules.conv import _pair, Tensor
from torch.optim.lr_scheduler import Optimizer, bisect_right
from torch.nn.modules.activation import xavier_uniform_
import torch, torch.nn.functional as F
assert _pair(2) == (2, 2) and Tensor is torch.Tensor and Optimizer is torch.optim.Optimizer and xavier_uniform_ is torch.nn.init.xavier_uniform_
assert F.math.pi == torch.math.pi and F.grad is torch.nn.grad and not torch.cuda._initialized
x, w = torch.ones(2, 3), torch.eye(3).repeat(3, 1)
assert [p.tolist() for p in F._in_projection_packed(x, x, x, w)] == [x.tolist()] * 3
for name in ("nothing", "Optional2", "csv"):
    try:
        getattr(F, name)
    except AttributeError as error:
        print(error)
"""


def test_what_a_module_carries_by_its_imports(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CARRIED)
    code, out, err = run(tmp_path, "-m", "jtorch", "a.py")
    assert code == 0, err
    assert out.splitlines() == [f"module 'torch.nn.functional' has no attribute '{name}'" for name in ("nothing", "Optional2", "csv")]


PROGRAM = """
import sys, atexit
atexit.register(lambda: print("at exit", flush=True))
print(sys.argv, sys.path[0], __name__, __file__, __spec__, __package__, sorted(globals()))
def f(): raise ValueError("x")
kind = sys.argv[1] if len(sys.argv) > 1 else ""
if kind == "error": f()
if kind == "exit": sys.exit(3)
if kind == "message": sys.exit("said")
if kind == "interrupt": raise KeyboardInterrupt
if kind == "chain":
    try: f()
    except ValueError: 1 / 0
if kind == "hook":
    sys.excepthook = lambda kind, value, trace: print("hook", kind, trace.tb_frame.f_code.co_name)
    f()
"""


@pytest.mark.parametrize("kind", ["", "error", "exit", "message", "interrupt", "chain", "hook"])
def test_a_script_ends_as_under_python(kind: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    assert run(tmp_path, "-m", "jtorch", "program.py", kind) == run(tmp_path, "program.py", kind)


@pytest.mark.parametrize(
    "arguments",
    [("broken.py",), ("missing.py",), ("-m", "program", "error"), ("-c", "import sys; print(sys.argv, sys.path[0]); 1/0", "a"), ("-", "a"), ("package", "x"),
     ("-m", "package", "x")],
    ids=" ".join,
)  # fmt: skip
def test_other_ways_to_name_a_program(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = (1\ny = 2\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text(PROGRAM)
    source = "import sys; print(sys.argv, sys.path[0]); 1/0"
    assert run(tmp_path, "-m", "jtorch", *arguments, stdin=source) == run(tmp_path, *arguments, stdin=source)


def test_version(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "-m", "jtorch", "--version")
    assert code == 0 and re.fullmatch(r"jtorch [\d.]+ \(follows torch 2\.13\.0\)\n", out)


def test_what_is_not_asked_for_is_not_imported(tmp_path: Path) -> None:
    asked = "import importlib.util as u, sys; print(u.find_spec('torch').name, [m for m in ('torch', 'jax', 'jtorch') if m in sys.modules]); import torch, jtorch; print(torch is jtorch, torch.__name__)"
    assert run(tmp_path, "-m", "jtorch", "-c", asked)[:2] == (0, "torch []\nTrue torch\n")


def test_the_report_of_the_environment(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "-W", "error", "-m", "jtorch", "-m", "torch.utils.collect_env")
    assert code == 0 and out.startswith("Collecting environment information...") and "JAX backend" in out, err


def test_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", "jtorch", "--help")[0] == 0
    code, _, err = run(tmp_path, "-m", "jtorch")
    assert code == 2 and "usage: python -m jtorch" in err


CHILDREN = """
import multiprocessing as mp
import torch
class Held: value = 5
def work(queue, held):
    import torch.optim, jtorch.optim
    queue.put((torch.optim is jtorch.optim, held.value))
if __name__ == "__main__":
    for method in ("spawn", "forkserver", "fork"):
        context = mp.get_context(method)
        queue = context.Queue()
        process = context.Process(target=work, args=(queue, Held()))
        process.start()
        print(method, queue.get(timeout=200))
        process.join()
"""


def test_child_processes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CHILDREN)
    code, out, err = run(tmp_path, "-m", "jtorch", "a.py")
    assert code == 0 and out.splitlines() == [f"{method} (True, 5)" for method in ("spawn", "forkserver", "fork")], err


def test_an_old_python_is_told(tmp_path: Path) -> None:
    code, _, err = run(tmp_path, "-c", "import sys; sys.version_info = (3, 9, 18); import jtorch")
    assert code == 1 and err.rstrip().endswith("ImportError: jtorch needs Python 3.11 or newer, and this is Python 3.9")


def test_not_over_a_torch_that_is_imported(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("")
    source = "import torch, jtorch._install as i\ntry: i.install()\nexcept RuntimeError as e: print(e)\nprint(i.installed())"
    code, out, _ = run(tmp_path, "-c", source)
    assert code == 0 and "PyTorch is imported already in this process (torch)" in out and out.endswith("False\n")


def test_over_a_torch_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('the other torch')")
    source = "import jtorch._install as i\ni.install(); i.install()\nimport torch, jtorch\nprint(torch is jtorch)\ni.uninstall()\nimport sys\nprint('torch' in sys.modules)"
    assert run(tmp_path, "-c", source)[:2] == (0, "True\nFalse\n")


WRONG = """
import torch
m = torch.nn.Sequential(torch.nn.Linear(4, 4))
def hook(module, inputs, output):
    return torch.nn.functional.linear(output, torch.ones(3, 7))
m.register_forward_hook(hook)
m(torch.ones(2, 4))
"""


def test_traceback_shows_the_programs_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    code, _, err = run(tmp_path, "-m", "jtorch", "a.py")
    assert code == 1 and re.findall(r'File ".*?([^/"]+)", line (\d+)', err) == [("a.py", "7"), ("a.py", "5")]
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x4 and 7x3)" in err and "JTORCH_TRACEBACK=full" in err and "JAX_TRACEBACK" not in err
    monkeypatch.setenv("JTORCH_TRACEBACK", "full")
    code, _, err = run(tmp_path, "-m", "jtorch", "a.py")
    assert code == 1 and "module.py" in err and "left out" not in err
