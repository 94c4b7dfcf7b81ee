"""``python -m jtorch.cache``: what is kept of compiled programs on disk.

``show`` (the default) prints where they are, how many things are kept and how much they take; ``clear`` forgets them; ``path`` prints the file alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jtorch import _config
from jtorch._engine.keeping import store

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status, 1 where nothing can be kept."""
    parser = argparse.ArgumentParser("python -m jtorch.cache", description="Compiled programs that are kept on disk for the next process.")
    parser.add_argument("command", nargs="?", choices=("show", "clear", "path"), default="show")
    command = parser.parse_args(argv).command
    if command == "clear":
        store.clear()
    found = store.contents()
    if found.path is None:
        print("nothing is kept: JTORCH_CACHE_DIR turns it off, or others could write into the folder" if command != "path" else "")
        return 1
    if command == "path":
        print(found.path)
    else:
        print(f"{found.path}: {found.count} programs and facts, {found.size / 2**20:.1f} of at most {_config.CACHE_BYTES / 2**20:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
