"""``python -m compat.moduledb [--modules REGEX] [-v] [--full] [-j N] [--write]``: torch.nn's classes against jtorch's."""

from __future__ import annotations

import argparse
import re
import sys

import torch

from compat import harness
from compat.moduledb.checks import ModuleChecks, database


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.moduledb", description="torch's module database run against jtorch")
    parser.add_argument("--modules", default="", help="only classes whose name (nn.Linear) matches this regular expression")
    parser.add_argument("--full", action="store_true", help="all constructions, and float64")
    harness.arguments(parser, timeout=240.0)
    args = parser.parse_args()

    def run(name: str) -> harness.Record:
        if args.full:
            return ModuleChecks(name, 10_000, (torch.float32, torch.float64)).run()
        return ModuleChecks(name).run()

    if args.worker:
        harness.serve(run)
        return 0
    every = list(database())
    names = [n for n in every if re.search(args.modules, n)]
    if args.here:
        return harness.run_here(names, run, args)
    command = [sys.executable, "-m", "compat.moduledb", "--worker", *(["--full"] if args.full else [])]
    args.settings = "all constructions, float32 and float64" if args.full else "12 constructions each, float32, train and eval"
    return harness.main_loop("module_db", names, every, command, args)


if __name__ == "__main__":
    sys.exit(main())
