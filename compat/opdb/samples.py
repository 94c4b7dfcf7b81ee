"""Which samples of an operator are run: a deterministic choice that covers distinct shapes and keyword arguments."""

from __future__ import annotations

import functools
import itertools
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from compat.compare import Leniency

DEFAULT_DTYPES = (torch.float32, torch.int64)
FULL_DTYPES = (torch.float32, torch.int64, torch.float64, torch.complex64, torch.bfloat16, torch.bool, torch.complex32, torch.float16, torch.complex128, torch.uint8, torch.int32, torch.int16, torch.int8)
_LIMIT = 1500  # samples looked at: a few operators make thousands


@functools.cache
def database() -> dict[str, Any]:
    """op_db by full name; the second of two entries with one name gets ``#2``."""
    from torch.testing._internal import common_utils
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.opinfo import core

    # With each sample torch looks through the whole stack, and its source files, for a unittest that it could name in a report. There is none here, and it took a third of the time.
    common_utils.extract_test_fn = core.extract_test_fn = lambda: None
    found: dict[str, Any] = {}
    for op in op_db:
        name = op.full_name
        for n in itertools.count(2):
            if name not in found:
                break
            name = f"{op.full_name}#{n}"
        found[name] = op
    return found


@functools.cache
def exceptions() -> dict[str, Leniency]:
    """How results of single operators may differ from torch's, each with its reason (exceptions.toml)."""
    data = tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text())
    return {name: Leniency(**entry) for name, entry in data.items()}


def leaves(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of a tree of containers, each once per mention."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from leaves(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from leaves(v)


def dtypes_for(op: Any, full: bool = False) -> list[torch.dtype]:
    """The dtypes an operator is run with; one it supports where none of the defaults is."""
    wanted = [d for d in (FULL_DTYPES if full else DEFAULT_DTYPES) if d in op.dtypes]
    if not wanted:
        wanted = [d for d in (torch.complex64, torch.int32, torch.bool, *sorted(op.dtypes, key=str)) if d in op.dtypes][:1]
    return wanted


def cases(entry: str, full: bool) -> list[str]:
    """What is run of an entry: itself, or with ``full`` each of its dtypes as a case of its own (``add@bfloat16``)."""
    return [f"{entry}@{str(d)[6:]}" for d in dtypes_for(database()[entry], full)] or [entry] if full else [entry]


def pick(op: Any, dtype: torch.dtype, grad: bool, count: int) -> list[Any]:
    """``count`` samples: one of every kind (ranks, keyword arguments, types of arguments) first, then the next of each."""
    torch.manual_seed(0)
    made = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=grad), _LIMIT))
    return spread(made, count, _coarse)


def spread(items: Iterable[Any], count: int, key: Any) -> list[Any]:
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*groups.values()))
    return list(itertools.islice((s for s in rounds if s is not None), count))


def _coarse(sample: Any) -> Any:
    tensors = tuple((t.dim(), min(t.numel(), 2)) for t in leaves((sample.input, sample.args, sample.kwargs)))
    return tensors[:4], tuple(sorted(sample.kwargs)), tuple(type(a).__name__ for a in sample.args)


def describe(sample: Any) -> str:
    """A sample in one line: shapes and dtypes of tensors, repr of the rest."""

    def show(v: Any) -> str:
        if isinstance(v, torch.Tensor):
            shape = "x".join(map(str, v.shape)) or "0-dim"
            extra = f" {v.layout}" if v.layout is not torch.strided else "" if v.is_contiguous() else f" strides {tuple(v.stride())}"
            values = f"={v.tolist()}" if v.layout is torch.strided and v.numel() <= 4 and not v.is_meta else ""
            return f"<{str(v.dtype)[6:]} {shape}{extra}{' grad' if v.requires_grad else ''}{values}>"
        if isinstance(v, (list, tuple)):
            return ("[%s]" if isinstance(v, list) else "(%s)") % ", ".join(map(show, v))
        return repr(v)

    parts = [show(sample.input), *map(show, sample.args), *(f"{k}={show(v)}" for k, v in sample.kwargs.items())]
    return ", ".join(parts)
