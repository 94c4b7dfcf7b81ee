"""Runs drivers and prints their numbers: ``python [-m jtorch] -m compat.programs.run NAME...``."""

from __future__ import annotations

import sys

from compat.packages.run import main
from compat.programs.drivers import PROGRAMS

if __name__ == "__main__":
    from compat.programs.drivers import packages, repositories

    _ = packages, repositories
    main(sys.argv[1:], PROGRAMS, whole=True)
