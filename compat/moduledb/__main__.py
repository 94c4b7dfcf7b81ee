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
    parser.add_argument("-v", "--verbose", action="store_true", help="print every failure with its construction")
    parser.add_argument("--max-details", type=int, default=8)
    parser.add_argument("--full", action="store_true", help="all constructions, and float64")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=240.0)
    parser.add_argument("--write", action="store_true", help="write compat/scoreboard/module_db.json and docs/scoreboard.md")
    parser.add_argument("--here", action="store_true", help="run in this process: for a debugger, no isolation")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
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
        for n in names:
            r = run(n)
            print(r.name, r.status, ", ".join(r.failures()))
            print("\n".join("    " + d for d in r.details[: args.max_details]))
        return 0
    command = [sys.executable, "-m", "compat.moduledb", "--worker", *(["--full"] if args.full else [])]
    args.settings = "all constructions, float32 and float64" if args.full else "12 constructions each, float32, train and eval"
    return harness.main_loop("module_db", names, every, command, args)


if __name__ == "__main__":
    sys.exit(main())
