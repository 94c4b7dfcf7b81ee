"""``python -m torch.distributed.launch``: the old name of torchrun."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from .run import parse_args, run

__all__ = ["launch", "main"]


def launch(args: Sequence[str] | None = None) -> None:
    """Start the processes. A script that takes ``--local-rank`` is given it only by torchrun's environment (LOCAL_RANK), as with ``--use-env``."""
    warnings.warn(
        "The module torch.distributed.launch is deprecated\nand will be removed in future. Use torchrun.\nNote that --use-env is set by default in torchrun.\n"
        "If your script expects `--local-rank` argument to be set, please\nchange it to read from `os.environ['LOCAL_RANK']` instead. See \n"
        "https://pytorch.org/docs/stable/distributed.html#launch-utility for \nfurther instructions\n",
        FutureWarning,
        stacklevel=2,
    )
    run(parse_args(sys.argv[1:] if args is None else args))


main = launch

if __name__ == "__main__":
    main()
