"""A process that ends while XLA computes waits for it: taken down under its threads, the program's code is a segmentation fault."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit
held = []
atexit.register(lambda: print(all(x.is_ready() for x in held)))  # the first to be registered is the last to be called
import jax, jax.numpy as jnp
import jtorch as torch
(torch.ones(2) + 1).sum().item()
def slow(x):
    for _ in range(12):
        x = jnp.tanh(x @ x)
    return x
x = jnp.ones((1200, 1200))
slow = jax.jit(slow).lower(x).compile()
held.append(slow(x))
"""


def test_what_is_under_way_ends_first() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
