"""``python -m compat.opdb [--ops REGEX] [-v] [--full] [-j N] [--samples N] [--write]``: op_db against jtorch."""

from __future__ import annotations

import argparse
import re
import sys

from compat import harness
from compat.opdb.checks import OpChecks, Options
from compat.opdb.samples import database

WANTED = {"todo": ("new", "fail", "missing", "crash", "timeout")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.opdb", description="torch's operator database run against jtorch")
    parser.add_argument("--ops", default="", help="only entries whose full name matches this regular expression")
    parser.add_argument("--check", action="append", default=[], help="only this check (gradient, second, method, inplace, out, noncontiguous, errors; values always run)")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every failure with its sample")
    parser.add_argument("--max-details", type=int, default=8)
    parser.add_argument("--full", action="store_true", help="all samples, and float64, complex64, bfloat16 and bool as well")
    parser.add_argument("--samples", type=int, help="samples per operator and dtype (default 8)")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds for one operator")
    parser.add_argument("--write", action="store_true", help="write compat/scoreboard/op_db.json and docs/scoreboard.md")
    parser.add_argument("--here", action="store_true", help="run in this process: for a debugger, no isolation")
    parser.add_argument("--status", default="", help="only entries with this status on the written scoreboard (fail, missing, ...; todo: all that do not pass)")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()

    amount = args.samples or (100_000 if args.full else 8)
    options = Options(
        samples=amount, gradients=amount if args.full else max(1, min(4, amount)), second=amount if args.full else min(2, amount),
        variants=amount if args.full else min(3, amount), errors=10_000 if args.full else 40, full=args.full, only=tuple(args.check),
    )  # fmt: skip
    if args.worker:
        harness.serve(lambda name: OpChecks(name, options).run())
        return 0
    every = list(database())
    names = [n for n in every if re.search(args.ops, n)]
    if args.status:
        before = harness.load("op_db")
        names = [n for n in names if (before[n].status if n in before else "new") in WANTED.get(args.status, (args.status,))]
    if args.list:
        print("\n".join(names))
        return 0
    if args.here:
        for n in names:
            r = OpChecks(n, options).run()
            print(r.name, r.status, ", ".join(r.failures()))
            print("\n".join("    " + d for d in r.details[: args.max_details]))
        return 0
    command = [sys.executable, "-m", "compat.opdb", "--worker", *[f"--check={c}" for c in args.check]]
    command += ["--full"] if args.full else []
    command += [f"--samples={args.samples}"] if args.samples else []
    args.settings = "all samples and dtypes" if args.full else f"{amount} samples of float32 and int64 each"
    if args.full:
        args.timeout = max(args.timeout, 3600.0)
    return harness.main_loop("op_db", names, every, command, args)


if __name__ == "__main__":
    sys.exit(main())
