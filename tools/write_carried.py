"""Writes ``jtorch/_private/carried.txt``: the names that torch's public modules have because they import them, and where those are at home.

    python tools/write_carried.py          # needs real torch beside jtorch

Programs take such names from where they met them (``from torch.nn.modules.conv import _pair``, ``torch.nn.functional.has_torch_function``). A name is listed if
jtorch has the module, lacks the name there, and has what it stands for at its home. One line a module: the module, then ``home:name,name=its name at home``.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import subprocess
import sys
import types
import typing
import warnings

ROOT = pathlib.Path(__file__).parent.parent
FILE = ROOT / "jtorch" / "_private" / "carried.txt"


def _import(path: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(path)
    except BaseException:  # a module may want a program, a device, another package, or exit
        return None


# What torch's modules take from its C++ library under these names, and a public module offers as well.
_FROM_C = dict.fromkeys(("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"), "torch.overrides")


def _home(name: str, value: object) -> tuple[str, str] | None:
    """Where what a module imported comes from, in Python's library or torch: the module, and its name there ("" for a module itself)."""
    if name in _FROM_C:
        path, own = _FROM_C[name], name
    elif isinstance(value, types.ModuleType):
        path, own = value.__name__, ""
    elif name in typing.__all__ and getattr(typing, name) is value:
        path, own = "typing", name
    else:
        path, own = getattr(value, "__module__", None), getattr(value, "__name__", None)  # type: ignore[assignment]
        if not (isinstance(path, str) and isinstance(own, str)) or getattr(_import(path), own, None) is not value:
            return None
    return (path, own) if path.partition(".")[0] in (*sys.stdlib_module_names, "torch", "typing_extensions") else None


def carried(modules: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Under real torch: module, name, and where the name is at home."""
    found = {}
    for path in modules:
        module = _import(path)
        names = {} if module is None else dict(vars(module))
        homes = {name: _home(name, value) for name, value in names.items() if not name.startswith("__")}
        found[path] = {name: home for name, home in homes.items() if home is not None and home[0] != path}
    return found


def lacking(found: dict[str, dict[str, tuple[str, str]]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Under jtorch: what of it is not there, and can be had from its home."""
    out: dict[str, dict[str, tuple[str, str]]] = {}
    for path, names in found.items():
        module = _import(path)
        for name, (home, own) in names.items() if module is not None else ():
            if hasattr(module, name):
                continue
            source = _import(home)
            if source is not None and (not own or hasattr(source, own)):
                out.setdefault(path, {})[name] = (home, own)
    return out


def _modules() -> list[str]:
    """jtorch's modules that torch has too, by torch's public names."""
    sys.path.insert(0, str(ROOT))
    from jtorch._install import _torch_name

    paths = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in (ROOT / "jtorch").rglob("*.py")]
    return sorted(name for name in map(_torch_name, paths) if name is not None and not name.startswith("torch._"))


def _line(path: str, names: dict[str, tuple[str, str]]) -> str:
    by_home: dict[str, list[str]] = {}
    for name, (home, own) in sorted(names.items()):
        by_home.setdefault(home if own else "", []).append(name if name == (own or home) else f"{name}={own or home}")
    return " ".join([path, *(f"{home}:{','.join(given)}" for home, given in sorted(by_home.items()))])


def _run(step: str, given: object, *command: str) -> typing.Any:
    done = subprocess.run([sys.executable, *command, __file__, step], input=json.dumps(given), capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Asks real torch, then jtorch without the present file, each in a process of its own."""
    if len(sys.argv) > 1:
        warnings.simplefilter("ignore")
        answer = (carried if sys.argv[1] == "torch" else lacking)(json.load(sys.stdin))
        print("\n" + json.dumps(answer))
        return
    FILE.write_text("")
    found = _run("jtorch", _run("torch", _modules()), "-m", "jtorch")
    FILE.write_text("".join(_line(path, names) + "\n" for path, names in sorted(found.items())))


if __name__ == "__main__":
    main()
