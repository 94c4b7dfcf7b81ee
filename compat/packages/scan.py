"""Which dotted names of torch do libraries use? ``python -m compat.packages.scan`` reads the sources of the packages installed beside it and writes names.txt:
each name that real torch has, and how many packages use it. :func:`unresolved` asks the library under the name of torch for them.

    python -m jtorch -m compat.packages.scan --resolve      # prints those that jtorch does not have
"""

from __future__ import annotations

import argparse
import ast
import collections
import importlib
import json
import subprocess
import sys
import sysconfig
import types
import warnings
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
NAMES = HERE / "names.txt"
OTHERS = {"torch", "torchgen", "functorch", "caffe2", "jax", "jaxlib", "flax", "jtorch", "__pycache__"}


def names_in(source: str) -> set[str]:
    """The dotted names of torch that a module imports or reads, through its aliases."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    alias: dict[str, str] = {}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name.split(".")[0] == "torch":
                    found.add(a.name)
                    alias[a.asname or "torch"] = a.name if a.asname else "torch"
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "torch":
            for a in node.names:
                name = node.module if a.name == "*" else f"{node.module}.{a.name}"
                found.add(name)  # type: ignore[arg-type]
                alias[a.asname or a.name] = name  # type: ignore[assignment]
    for node in ast.walk(tree) if alias else ():
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            parts, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id in alias:
                found.add(".".join([alias[inner.id], *reversed(parts)]))
    return found


def missing(name: str) -> str | None:
    """The shortest part of a dotted name that the library under the name of torch does not have; None if it has all."""
    import torch

    value: object = torch
    path = "torch"
    for part in name.split(".")[1:]:
        path += f".{part}"
        try:
            value = getattr(value, part)
        except AttributeError:
            if not isinstance(value, types.ModuleType):
                return path
            try:
                value = importlib.import_module(path)
            except ImportError:
                return path
        except Exception:
            return path
    return None


def scan(folder: Path) -> dict[str, int]:
    """{name: how many packages of a folder use it}."""
    users: dict[str, set[str]] = collections.defaultdict(set)
    for entry in sorted(folder.iterdir()):
        if entry.name in OTHERS or entry.suffix == ".dist-info":
            continue
        for path in [entry] if entry.suffix == ".py" else sorted(entry.rglob("*.py")) if entry.is_dir() else []:
            source = path.read_text(errors="replace")
            for name in names_in(source) if "torch" in source else ():
                users[name].add(entry.name)
    packages = {p for found in users.values() for p in found}
    print(f"{len(packages)} packages use {len(users)} names", file=sys.stderr)
    return {name: len(found) for name, found in users.items()}


def names() -> dict[str, int]:
    """What names.txt says."""
    return {name: int(count) for name, count in (line.split() for line in NAMES.read_text().splitlines())}


def unresolved(of: Iterable[str]) -> dict[str, str]:
    """{name: the part that is missing} in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: part for name in of if (part := missing(name)) is not None}


def of_jtorch() -> dict[str, str]:
    """:func:`unresolved` of names.txt under jtorch, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "jtorch", "-m", "compat.packages.scan", "--resolve"], capture_output=True, text=True, timeout=600, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Scan, or resolve."""
    parser = argparse.ArgumentParser(prog="python -m compat.packages.scan")
    parser.add_argument("--resolve", action="store_true", help="print what the library under the name of torch does not have, as JSON")
    args = parser.parse_args()
    if args.resolve:
        print(json.dumps(unresolved(names())))
        return
    used = scan(Path(sysconfig.get_paths()["purelib"]))
    there = set(used) - set(unresolved(used))  # what real torch does not have is of another version
    NAMES.write_text("".join(f"{name} {used[name]}\n" for name in sorted(there)))


if __name__ == "__main__":
    main()
