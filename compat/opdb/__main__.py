"""``python -m compat.opdb [--ops REGEX] [-v] [--full | --transforms] [-j N] [--samples N] [--write] [--slice I/N] [--resume FILE]``: op_db against jtorch."""

from __future__ import annotations

import argparse
import re
import sys

from compat import harness
from compat.opdb.checks import OpChecks, Options
from compat.opdb.samples import cases, database

WANTED = {"todo": ("new", "fail", "missing", "crash", "timeout")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.opdb", description="torch's operator database run against jtorch")
    parser.add_argument("--ops", default="", help="only entries whose full name matches this regular expression")
    parser.add_argument("--check", action="append", default=[], help="only this check (gradient, second, method, inplace, out, noncontiguous, errors; values always run)")
    parser.add_argument("--full", action="store_true", help="all samples, and float64, complex64, bfloat16 and bool as well; every dtype is a case of its own")
    parser.add_argument("--transforms", action="store_true", help="through torch.vmap, jax.vmap, jax.jit and jvp instead (see transforms.py)")
    parser.add_argument("--samples", type=int, help="samples per operator and dtype (default 8)")
    parser.add_argument("--status", default="", help="only entries with this status on the written scoreboard (fail, missing, ...; todo: all that do not pass and are no gaps)")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    harness.arguments(parser, timeout=180.0)
    args = parser.parse_args()

    amount = args.samples or (100_000 if args.full else 2 if args.transforms else 8)
    options = Options(
        samples=amount, gradients=amount if args.full else max(1, min(4, amount)), second=amount if args.full else min(2, amount),
        variants=amount if args.full else min(3, amount), errors=10_000 if args.full else 40, only=tuple(args.check),
    )  # fmt: skip
    checks = OpChecks
    if args.transforms:
        from compat.opdb.transforms import TransformChecks as checks  # type: ignore[assignment]
    if args.worker:
        harness.serve(lambda name: checks(name, options).run())
        return 0
    section = "op_db" + (harness.FULL if args.full else harness.TRANSFORMED if args.transforms else "")
    every = [case for n in database() for case in cases(n, args.full)]
    names = [c for n in database() if re.search(args.ops, n) for c in cases(n, args.full)]
    if args.status:
        before, known = harness.load(section), harness.gaps(section)
        names = [n for n in names if (harness.shown_status(before[n], known) if n in before else "new") in WANTED.get(args.status, (args.status,))]
    if args.list:
        print("\n".join(names))
        return 0
    if args.here:
        return harness.run_here(names, lambda name: checks(name, options).run(), args)
    command = [sys.executable, "-m", "compat.opdb", "--worker", *[f"--check={c}" for c in args.check]]
    command += ["--full"] if args.full else ["--transforms"] if args.transforms else []
    command += [f"--samples={args.samples}"] if args.samples else []
    count = "all" if amount == 100_000 else amount
    args.settings = f"{count} samples of {'every dtype' if args.full else 'one dtype' if args.transforms else 'float32 and int64 each'}"
    if args.full:
        args.timeout = max(args.timeout, 1800.0)
    return harness.main_loop(section, names, every, command, args)


if __name__ == "__main__":
    sys.exit(main())
