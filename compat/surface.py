"""Which public names of torch are there, and do their parameters carry torch's names and defaults?

``python -m compat.surface [--write]`` prints the report, or writes docs/surface.md. What torch publishes about itself is the
measure: ``__all__``, ``torch.overrides.get_testing_overrides()`` (a stand-in with the signature of each overridable function)
and ``inspect.signature`` of what is written in Python. :func:`public` holds the rule; ``RULE`` is its text in the report.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import inspect
import re
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.overrides

from compat import bridge, harness, public_modules
from compat.packages import scan

SPACES = (
    "torch", "torch.Tensor", "torch.nn.functional", "torch.linalg", "torch.fft", "torch.special", "torch.nn", "torch.nn.init", "torch.nn.utils",
    "torch.nn.utils.rnn", "torch.optim", "torch.optim.lr_scheduler", "torch.autograd", "torch.utils.data", "torch.random", "torch.distributions", "torch.func", "torch.amp", "torch.sparse",
)  # fmt: skip
RULE = (
    "A name is public if it has no leading underscore and its namespace lists it in `__all__`, or `torch.overrides` lists it as overridable, or, where a namespace has "
    "no `__all__`, it is defined there and has a docstring. torch's `__all__` is filled with whatever its C++ library binds; what pybind11 made there and nobody "
    "documented (the classes, enumerations and functions of the JIT's internals: no docstring, or only the signature that pybind11 writes) is not counted. "
    "`torch.Tensor` is what a tensor answers to: overridable methods and properties, and public names of the class."
)
GOAL = ("torch", "torch.Tensor", "torch.nn.functional", "torch.linalg", "torch.fft", "torch.special")
# Defaults of arguments that say where and how, not what: torch's stand-ins word them loosely.
_LOOSE = {"out", "memory_format", "layout", "device", "dtype", "generator", "requires_grad", "pin_memory", "_stacklevel"}


@dataclass
class Report:
    """One namespace: how many names, which are missing, whose parameters differ."""

    space: str
    names: int = 0
    missing: list[str] = field(default_factory=list)
    compared: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    declined: list[str] = field(default_factory=list)


def public(space: str) -> Iterator[str]:
    """The public names of a namespace, by ``RULE``."""
    owner = functools.reduce(getattr, space.split(".")[1:], torch)
    listed = getattr(owner, "__all__", None)
    overridable = {id(f) for f in _overrides()}
    for name in sorted(set(listed) | {n for n in dir(owner) if id(_get(owner, n)) in overridable} if listed else dir(owner)):
        value = _get(owner, name)
        if name.startswith("_") and not (space == "torch.Tensor" and name.startswith("__") and id(value) in overridable):
            continue
        if value is None or isinstance(value, types.ModuleType):
            continue
        if id(value) not in overridable and (_leaked(value) if listed else space != "torch.Tensor" and not _documented(value, space)):
            continue
        yield name


def _leaked(value: Any) -> bool:
    """Whether pybind11 made this and nobody wrote a word about it."""
    kind = value if isinstance(value, type) else type(value)
    doc = inspect.getdoc(value) or "" if isinstance(getattr(value, "__doc__", None), (str, type(None))) else "?"
    if isinstance(kind, _PYBIND):
        own = vars(kind).get("__doc__")
        return not isinstance(own, str) or not own.strip()
    return isinstance(value, types.BuiltinFunctionType) and re.fullmatch(r"\w+\(.*\) -> \S.*|\w+\(\*args, \*\*kwargs\)\nOverloaded function\.(.|\n)*", doc.strip()) is not None


_PYBIND = type(torch._C.Graph)  # the metaclass of what pybind11 binds


def _documented(value: Any, space: str) -> bool:
    """Whether a namespace without ``__all__`` defines this itself, with words of its own."""
    home = getattr(value, "__module__", None) or ""
    if not callable(value) or not (inspect.getdoc(value) or "").strip():
        return False
    bound = isinstance(value, types.BuiltinFunctionType) and home in ("torch", "torch._C._nn") or isinstance(value, type) and home == "torch._C"
    return home.startswith(space) or bound


def _get(owner: Any, name: str) -> Any:
    try:
        return inspect.getattr_static(owner, name) if isinstance(owner, type) else getattr(owner, name)
    except Exception:
        return None


@functools.cache
def _overrides() -> dict[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.overrides.get_testing_overrides()


def signature_of(fn: Any) -> inspect.Signature | None:
    """torch's signature of a function, method or class, as far as torch publishes one."""
    candidates = [fn.__init__] if isinstance(fn, type) and isinstance(fn.__init__, types.FunctionType) else [fn]
    if isinstance(fn, types.FunctionType) or (isinstance(fn, type) and candidates[0] is not fn):
        try:
            return inspect.signature(candidates[0])
        except (TypeError, ValueError):
            return None
    try:
        stand_in = _overrides().get(fn)
    except TypeError:
        return None
    return inspect.signature(stand_in) if stand_in is not None else None


def accepted(fn: Any) -> tuple[dict[str, Any], bool] | None:
    """Parameter names (with defaults) that jtorch's function takes, over all its overloads; and whether it takes any keyword."""
    if (records := getattr(fn, "jtorch_ops", None)) is not None:
        from jtorch._registry import REQUIRED

        found: dict[str, Any] = {}
        for record in records:
            for s in record.signatures:
                for p in s.params:
                    found.setdefault(p.name, inspect.Parameter.empty if p.default is REQUIRED else p.default)
            if record.out:
                found["out"] = None
        return found, False
    if (forms := getattr(fn, "jtorch_forms", None)) is not None:
        return {p.name: p.default if not p.required else inspect.Parameter.empty for s in reversed(forms) for p in s.params}, False
    try:
        s = inspect.signature(fn.__init__ if isinstance(fn, type) else fn)
    except (TypeError, ValueError):
        return None
    loose = any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in s.parameters.values())
    return {n: p.default for n, p in s.parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}, loose


def schema_names(fn: Any) -> dict[str, Any] | None:
    """Parameter names with defaults by torch's operator schemas, where the function is written in C++: its stand-in's are approximate."""
    name = getattr(fn, "__name__", "")
    if isinstance(fn, (types.FunctionType, type)):
        return None
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{name}")
    found: dict[str, Any] = {}
    for s in schemas:
        for a in s.arguments:
            if "Dimname" not in str(a.type):
                default = a.default_value if a.has_default_value() else inspect.Parameter.empty
            found.setdefault(a.name, 0 if a.name == "reduction" and default == 1 else default)  # written as a word, which torch's Python binding takes for 0
    return found or None


def compare_parameters(theirs: Any, ours: Any) -> str | None:
    """What of the parameters' names or defaults differs; None when nothing does or one side says nothing."""
    if getattr(theirs, "__name__", "").startswith("__"):
        return None  # Python passes operators their arguments by position
    want, have = signature_of(theirs), accepted(ours)
    if want is None or have is None:
        return None
    names, loose = have
    problems = []
    published = schema_names(theirs)
    wanted = dict(want.parameters)
    if published is not None:
        wanted = {n: p if p.default is p.empty else p.replace(default=published[n]) for n, p in wanted.items() if n in published}
    for name, p in wanted.items():
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or name in _LOOSE or name in ("self", "input", "tensor", "a", "x") or name.startswith("_"):
            continue
        if name not in names:
            if not loose:
                problems.append(f"no {name!r}")
        elif p.default is not p.empty and names[name] is not inspect.Parameter.empty and isinstance(p.default, (int, float, str, bool, type(None))):
            if p.default != names[name] and p.default is not None and names[name] is not None and isinstance(names[name], (int, float, str, bool)):
                problems.append(f"{name}={names[name]!r}, torch {p.default!r}")
    return "; ".join(problems) or None


def report(space: str) -> Report:
    """Compare one namespace."""
    made = Report(space)
    owner = functools.reduce(getattr, space.split(".")[1:], torch)
    try:
        ours_owner = bridge.resolve(space.partition(".")[2]) if space != "torch" else bridge.jtorch()
    except bridge.Missing:
        made.missing = list(public(space))
        made.names = len(made.missing)
        return made
    for name in public(space):
        made.names += 1
        theirs = _get(owner, name)
        try:
            ours = inspect.getattr_static(ours_owner, name) if isinstance(ours_owner, type) else getattr(ours_owner, name)
        except Exception:
            made.missing.append(name)
            continue
        if hasattr(ours, "jtorch_declined"):
            made.declined.append(name)
        if callable(theirs) and callable(ours):
            made.compared += 1
            if (problem := compare_parameters(theirs, ours)) is not None:
                made.parameters[name] = problem
    return made


def undeclared(reports: list[Report]) -> list[str]:
    """Where the list of gaps (``[surface]``: patterns of names) and the declined names disagree, in sentences."""
    gaps = harness.gaps("surface")
    names = [f"{r.space}.{n}" for r in reports for n in r.declined]
    wrong = [f"{n} raises NotImplementedError and is not on the list of gaps" for n in names if not any(fnmatch.fnmatchcase(n, g) for g in gaps)]
    return wrong + [f"{g} is on the list of gaps, and no declined name fits it" for g in gaps if not any(fnmatch.fnmatchcase(n, g) for n in names)]


def document(reports: list[Report]) -> str:
    """The report as a page."""
    lines = ["# Surface", "", "Written by `make scoreboard`; do not edit by hand. Public names of torch 2.13.0 and whether jtorch has them, with the same parameter names.", ""]
    lines += [RULE, "", "*Declined* names exist with torch's parameters and raise NotImplementedError that says what to use instead; the list of gaps has the reasons.", ""]
    lines += ["| namespace | names | work | share | declined | exist | share | parameters compared | that differ |", "|---|---|---|---|---|---|---|---|---|"]
    for r in reports:
        there = r.names - len(r.missing)
        works = there - len(r.declined)
        n = max(1, r.names)
        lines.append(f"| {r.space} | {r.names} | {works} | {works / n:.1%} | {len(r.declined)} | {there} | {there / n:.1%} | {r.compared} | {len(r.parameters)} |")
    core = [r for r in reports if r.space in GOAL]
    total, missing, declined = (sum(x) for x in zip(*[(r.names, len(r.missing), len(r.declined)) for r in core], strict=True))
    lines += ["", f"The six namespaces of operators together: {total - missing} of {total} exist, {(total - missing) / total:.1%}; {total - missing - declined} work, {(total - missing - declined) / total:.1%}.", ""]
    used, missing = scan.names(), scan.of_jtorch()
    groups = sorted(set(missing.values()))
    lines += ["## Names that libraries use", "", f"Of {len(used)} dotted names of torch in the sources of the packages of `compat/packages`, {len(used) - len(missing)} are there ({1 - len(missing) / len(used):.1%}). The rest falls into {len(groups)} groups, whose reasons are on the list of gaps:", "", ", ".join(f"`{g}`" for g in groups), ""]
    lines += public_modules.section()
    for r in reports:
        if r.missing:
            lines += [f"## Missing in {r.space}", "", ", ".join(f"`{n}`" for n in r.missing), ""]
        if r.declined:
            lines += [f"## Declined in {r.space} (list of gaps)", "", ", ".join(f"`{n}`" for n in r.declined), ""]
        if r.parameters:
            lines += [f"## Parameters that differ in {r.space}", "", *[f"- `{n}`: {harness.cell(t)}" for n, t in sorted(r.parameters.items())], ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.surface")
    parser.add_argument("--write", action="store_true", help="write docs/surface.md")
    parser.add_argument("--space", action="append", default=[], help="only this namespace (torch.linalg), in full")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    reports = [report(s) for s in (args.space or SPACES)]
    if args.write and not args.space:
        harness.DOCS.mkdir(exist_ok=True)
        (harness.DOCS / "surface.md").write_text(document(reports))
    wrong = [] if args.space else undeclared(reports)
    print("".join(f"{line}\n" for line in wrong), end="")
    for r in reports:
        there = r.names - len(r.missing)
        print(f"{r.space:28s} {there:5d} of {r.names:5d}  {there / max(1, r.names):6.1%}   {len(r.declined):3d} of them declined   parameters differ: {len(r.parameters)} of {r.compared}")
        if args.space:
            print("  missing:", ", ".join(r.missing))
            print("  declined:", ", ".join(r.declined))
            print("".join(f"  {n}: {t}\n" for n, t in r.parameters.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
