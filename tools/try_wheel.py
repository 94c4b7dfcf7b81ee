"""What `make wheel-test` runs in an environment that has the wheel and not this checkout: the examples, a notebook, and help() of every public name.

It is copied beside the examples, and run there. Nothing of it needs the checkout, make or pytest.
"""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = [  # with fewer steps than by themselves
    ["-m", "jtorch", "digits_cnn.py", "--epochs", "4"],
    ["-m", "jtorch", "char_gpt.py", "--steps", "20", "--layers", "2", "--sample", "20"],
    ["-m", "jtorch", "lstm_tagger.py", "--epochs", "1"],
    ["gpt_functional.py", "--steps", "10"],
]
CELLS = [
    "%load_ext jtorch",
    "import torch\nx = torch.arange(6.0, requires_grad=True)\n(x * x).sum().backward()\nx.grad",
    "torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.ReLU())",
]
SHOWN = ["tensor([ 0.,  2.,  4.,  6.,  8., 10.])", "(0): Linear(in_features=6, out_features=2, bias=True)"]
SPACES = "nn nn.functional nn.init nn.utils optim optim.lr_scheduler linalg fft special distributions autograd func utils.data random fx amp sparse".split()


def examples() -> None:
    for command in EXAMPLES:
        print("$ python", *command, flush=True)
        subprocess.run([sys.executable, *command], cwd=HERE, check=True, stderr=subprocess.DEVNULL)


def notebook() -> None:
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbformat.write(book, HERE / "tried.ipynb")
    subprocess.run([sys.executable, "-m", "jupyter", "nbconvert", "--to", "markdown", "--execute", "tried.ipynb"], cwd=HERE, check=True)
    text = (HERE / "tried.md").read_text()
    missing = [line for line in SHOWN if line not in text]
    assert not missing, f"the notebook does not show {missing}:\n{text}"


def help_of_all() -> None:
    import importlib

    import jtorch

    count, silent = 0, []
    for where in ["", "Tensor", *SPACES]:
        space = jtorch if not where else jtorch.Tensor if where == "Tensor" else importlib.import_module(f"jtorch.{where}")
        for name in sorted(dir(space)):
            found = None if name.startswith("_") else getattr(space, name, None)
            if not callable(found) or inspect.ismodule(found):
                continue
            count += 1
            said = pydoc.plain(pydoc.render_doc(found))
            if not said.strip() or not (inspect.isclass(found) or (inspect.getdoc(found) or "").strip()):
                silent.append(f"{where}.{name}".lstrip("."))
    print(f"help() of {count} names")
    assert not silent, f"help() says nothing of {silent}"


if __name__ == "__main__":
    import jax

    import jtorch

    print(f"Python {sys.version.split()[0]}, jax {jax.__version__}, jtorch from {Path(jtorch.__file__).parent}", flush=True)
    assert HERE not in Path(jtorch.__file__).parents
    for part in [p for p in (examples, notebook, help_of_all) if len(sys.argv) == 1 or p.__name__ in sys.argv[1:]]:
        part()
    print("the wheel works")
