"""Does one thing and prints its numbers: ``python [-m jtorch] -m compat.packages.run NAME``."""

from __future__ import annotations

import os
import random
import sys
import warnings


def main(name: str) -> None:
    """The numbers of one thing, a line each."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import numpy as np
    import torch

    if not hasattr(torch, "jtorch_version") and not hasattr(torch, "_jtorch_version"):  # real torch, whose release these two packages' libraries were not built for
        sys.modules.update(dict.fromkeys(("torchvision", "torchaudio")))  # type: ignore[arg-type]
    from compat.packages.things import THINGS, audio, numbers, science, text, training, vision

    _ = audio, science, text, training, vision
    torch.set_num_threads(1)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    for x in numbers(THINGS[name]()):
        print(f"\x1e{x:.6g}")


if __name__ == "__main__":
    main(sys.argv[1])
