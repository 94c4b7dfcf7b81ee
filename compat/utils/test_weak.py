"""Dictionaries whose keys are tensors by identity, and go with them: the same under both libraries."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch as real

import jtorch


def _attempt(fn: Any) -> Any:
    try:
        return fn()
    except Exception as e:
        return type(e).__name__, str(e)


def _seen(torch: Any) -> list[Any]:
    Dict, Ref = torch.utils.weak.WeakIdKeyDictionary, torch.utils.weak.WeakIdRef
    keys = [torch.ones(2) for _ in range(3)]
    d = Dict({keys[0]: 0})
    for i, k in enumerate(keys):
        d[k] = i
    seen: list[Any] = [repr(d).split(" at ")[0], len(d), d[keys[1]], keys[0] in d, torch.ones(2) in d, _attempt(lambda: d["a"]), "a" in d, sorted(d.values())]
    seen += [d.pop(keys[0]), len(d), d.setdefault(keys[0], 7), d.pop(torch.ones(1), "x"), _attempt(lambda: d.pop(torch.ones(1)))[0]]
    e = d.copy()
    seen += [type(e).__name__, len(e), e == d, d == dict(d), copy.copy(d) == d, len(copy.deepcopy(d)), d == {}, d == 3]
    del k
    keys.pop()
    gc.collect()
    seen += [len(d), len(e), len(list(d.items())), [type(r).__name__ for r in d.keyrefs()], d.popitem()[1], len(d)]
    f, g = torch.utils.weak.WeakTensorKeyDictionary(), Dict({keys[1]: 6})
    f[keys[0]] = 5
    seen += [sorted((f | g).values()), type(f | {keys[1]: 1}).__name__, sorted(({keys[1]: 1} | f).values()), _attempt(lambda: f | 3)[0]]
    f |= g
    f.update({keys[0]: 9})
    del f[keys[1]]
    seen += [sorted(f.values()), _attempt(lambda: f.__delitem__(keys[1]))[0], bool(f), f.get(keys[0]), f.get(keys[1])]
    refs = [Ref(keys[0]), Ref(keys[0]), Ref(keys[1])]
    return [*seen, refs[0]() is keys[0], refs[0] == refs[1], refs[0] == refs[2], hash(refs[0]) == hash(refs[1])]


def test_weak_dictionaries() -> None:
    assert _seen(jtorch) == _seen(real)


def _exchanged(torch: Any) -> list[Any]:
    x = torch.arange(6.0).view(2, 3)
    seen: list[Any] = [_attempt(lambda s=s: type(x.__dlpack__(stream=s)).__name__) for s in (object(), "a", 1, None, -1, 2)]
    for kind in (torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.complex64, torch.int16):
        y = torch.arange(4).to(kind)
        taken = torch.from_dlpack(y[::2])
        capsule = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(y))
        y[2] = 1
        seen += [str(taken), str(capsule.dtype), capsule[:2].to(torch.complex64).tolist()]
    return [*seen, _attempt(lambda: torch.from_dlpack(torch.ones(2, requires_grad=True)))]


@pytest.mark.filterwarnings("ignore")
def test_exchange_by_dlpack() -> None:
    """A tensor's memory is shared, of types that numpy does not have too."""
    assert _exchanged(jtorch) == _exchanged(real)
