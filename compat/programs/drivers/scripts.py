"""Scripts of public repositories, run whole and unmodified as ``__main__``: what each ``backward()`` started from is noted, and after enough steps the script is ended."""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import STEPS, checkout, program


class _Enough(BaseException):
    """No error, so no script catches it."""


def whole(repository: str, path: str, *arguments: str, steps: int = STEPS, files: Callable[[], None] | None = None) -> list[float]:
    """The losses of a script's first steps, run in an empty folder (``files`` puts there what it reads)."""
    import torch

    file = checkout(repository) / path
    sys.path.insert(0, str(file.parent))
    backward, found = torch.Tensor.backward, []

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        backward(self, *args, **kwargs)
        found.append(self.item())
        if len(found) == steps:
            raise _Enough

    torch.Tensor.backward = noted  # type: ignore[method-assign,assignment]
    before, home = sys.argv, Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            if files is not None:
                files()
            sys.argv = [str(file), *arguments]
            runpy.run_path(str(file), run_name="__main__")
        except _Enough:
            pass
        finally:
            os.chdir(home)
            sys.argv, torch.Tensor.backward = before, backward  # type: ignore[method-assign]
    return found


def _names() -> None:
    Path("names.txt").write_text("\n".join(a + b + c for a in ("ka", "mi", "to", "re", "ul") for b in ("ra", "ne", "so", "li") for c in ("", "n", "s", "el", "ia", "o") for _ in range(9)) + "\n")


def _makemore(kind: str) -> list[float]:
    return whole("karpathy/makemore", "makemore.py", "-i", "names.txt", "--type", kind, "--n-layer", "2", "--n-head", "2", "--n-embd", "16", "--n-embd2", "16", "-b", "8", "-n", "0", "--max-steps", "30", files=_names)


@program("karpathy/makemore")
def makemore_transformer() -> Any:
    return _makemore("transformer")


@program("karpathy/makemore")
def makemore_gru() -> Any:
    return _makemore("gru")


@program("karpathy/makemore")
def makemore_bow() -> Any:
    return _makemore("bow")


@program("karpathy/makemore")
def makemore_mlp() -> Any:
    return _makemore("mlp")


@program("vwxyzjn/cleanrl")
def cleanrl_ppo() -> Any:
    return whole("vwxyzjn/cleanrl", "cleanrl/ppo.py", "--total-timesteps", "400", "--num-envs", "2", "--num-steps", "16", "--no-cuda", steps=40)


@program("vwxyzjn/cleanrl")
def cleanrl_dqn() -> Any:
    return whole("vwxyzjn/cleanrl", "cleanrl/dqn.py", "--total-timesteps", "300", "--learning-starts", "60", "--train-frequency", "4", "--batch-size", "16", "--no-cuda", steps=40)


@program("vwxyzjn/cleanrl")
def cleanrl_c51() -> Any:
    return whole("vwxyzjn/cleanrl", "cleanrl/c51.py", "--total-timesteps", "300", "--learning-starts", "60", "--train-frequency", "4", "--batch-size", "16", "--n-atoms", "21", "--no-cuda")


@program("vwxyzjn/cleanrl")
def cleanrl_sac() -> Any:
    return whole("vwxyzjn/cleanrl", "cleanrl/sac_continuous_action.py", "--env-id", "Pendulum-v1", "--total-timesteps", "80", "--learning-starts", "30", "--batch-size", "16", "--no-cuda", steps=40)


@program("vwxyzjn/cleanrl")
def cleanrl_td3() -> Any:
    return whole("vwxyzjn/cleanrl", "cleanrl/td3_continuous_action.py", "--env-id", "Pendulum-v1", "--total-timesteps", "80", "--learning-starts", "30", "--batch-size", "16", "--no-cuda", steps=40)


@program("pytorch/examples")
def examples_reinforce() -> Any:
    return whole("pytorch/examples", "reinforcement_learning/reinforce.py", "--log-interval", "1000")


@program("pytorch/examples")
def examples_actor_critic() -> Any:
    return whole("pytorch/examples", "reinforcement_learning/actor_critic.py", "--log-interval", "1000")


@program("pytorch/examples")
def examples_regression() -> Any:
    return whole("pytorch/examples", "regression/main.py")


def _texts() -> None:
    words = "the quick brown fox jumps over a lazy dog and runs away from it".split()
    folder = Path("data/wikitext-2")
    folder.mkdir(parents=True)
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text("\n".join(" ".join(words[(i * k) % len(words)] for k in range(1, 12)) for i in range(40)) + "\n")


@program("pytorch/examples")
def examples_words() -> Any:
    return whole("pytorch/examples", "word_language_model/main.py", "--emsize", "8", "--nhid", "8", "--batch_size", "4", "--bptt", "5", "--epochs", "1", "--tied", "--lr", "1", files=_texts)


