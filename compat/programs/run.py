"""Runs drivers and prints their numbers: ``python [-m jtorch] -m compat.programs.run NAME...``.

``PROGRAMS_AS=double`` runs them in float64, where rounding is a billion times smaller: what differs there differs in meaning. ``PROGRAMS_AS=plain`` runs real torch without oneDNN
and with four threads: how far the losses go then is what float32's rounding alone does to them. ``double plain`` is both: a program whose losses differ even so is so badly
conditioned that its rounding shows in float64.
"""

from __future__ import annotations

import os
import sys

from compat.packages import run
from compat.programs.drivers import load


def vary(how: str) -> None:
    """Another type or other kernels, for everything that follows."""
    import torch

    if "double" in how:
        torch.set_default_dtype(torch.float64)
    if "plain" in how:
        torch.backends.mkldnn.set_flags(False)
        run.THREADS = 4


if __name__ == "__main__":
    vary(os.environ.get("PROGRAMS_AS", ""))
    run.main(sys.argv[1:], load(), whole=True)
