"""``python -m compat.opdb --transforms``: op_db's samples through ``torch.vmap``, ``jax.vmap``, ``jax.jit`` and ``jvp``.

What vmap is to give is torch's own answer for each lane, computed alone. A function whose result has a size that depends on values cannot be mapped or compiled
by anybody: it is skipped where real ``torch.vmap`` refuses it too. So are functions that draw random numbers, and results that are no tensors.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from compat import bridge
from compat.harness import first_line
from compat.opdb.checks import Call, OpChecks, Outcome, _cotangent, attempt, seeded, settle
from compat.opdb.gauge import GAUGES
from compat.opdb.samples import describe, pick

__all__ = ["TransformChecks"]


SIZES = ("argwhere", "bincount")  # which torch.vmap computes lane by lane


class TransformChecks(OpChecks):
    """One entry's record: the checks ``torch_vmap``, ``jax_vmap``, ``jax_jit`` and ``jvp``, with samples of the first dtype alone."""

    def _run(self) -> None:
        if not self.op.dtypes or self.op.name.startswith("jiterator"):
            self.record.skip("torch_vmap", "torch has no CPU implementation")
            return
        function = bridge.Translator()(self.op.op)
        self.dtype = self.dtypes[0]
        for sample in pick(self.op, self.dtype, False, self.options.samples):
            self.here = f"{str(self.dtype)[6:]} ({describe(sample)})"
            self._sample(function, sample)

    def _sample(self, function: Any, sample: Any) -> None:
        call = Call(sample)
        theirs, spec = tree_flatten(call.theirs)
        ours = [call.translate(x) for x in theirs]
        at = [i for i, x in enumerate(theirs) if isinstance(x, torch.Tensor) and x.layout is torch.strided and not x.is_meta]
        if not at:
            return

        measure = GAUGES[self.lenient.gauge] if self.lenient.gauge else None

        def run(lib: Any, fn: Any, rest: list[Any]) -> Any:
            def of(*tensors: Any) -> Any:
                flat = list(rest)
                for i, t in zip(at, tensors, strict=True):
                    flat[i] = t
                x, args, kwargs = tree_unflatten(flat, spec)
                out = fn(x, *args, **kwargs)
                return out if measure is None else [t for t in measure(lib, out, (x, args, kwargs)) if isinstance(t, lib.Tensor)]

            return of

        j = bridge.jtorch()
        f, g = run(torch, self.op.op, theirs), run(j, function, ours)
        given = [theirs[i].detach().contiguous() for i in at]
        lanes = [given, [t * 0.75 if t.is_floating_point() and t.itemsize > 1 else t for t in given]]
        alone = [attempt(f, *[t.clone() for t in lane]) for lane in lanes]
        again = attempt(f, *[t.clone() for t in given])
        if alone[0].error is not None:
            return
        flat = tree_flatten(alone[0].value)[0]
        if not flat or not all(isinstance(t, torch.Tensor) and t.layout is torch.strided for t in flat):
            return self.record.skip("torch_vmap", "results that are no tensors")
        if not self.lenient.values or not all(torch.equal(_numbers(a), _numbers(b)) for a, b in zip(flat, tree_flatten(again.value)[0], strict=True)):
            return self.record.skip("torch_vmap", self.lenient.reason or "it draws random numbers")
        if alone[1].error is not None or [t.shape for t in tree_flatten(alone[1].value)[0]] != [t.shape for t in flat]:
            lanes[1], alone[1] = given, alone[0]
        mapped = [torch.stack(list(pair)) for pair in zip(*lanes, strict=True)]
        refused = attempt(torch.vmap(f), *[t.clone() for t in mapped]).error
        each = [torch.stack(list(pair)) for pair in zip(*[tree_flatten(o.value)[0] for o in alone], strict=True)]
        into = lambda tensors: [bridge.tensor(t.clone()) for t in tensors]
        arrays = lambda tensors: [j.func.to_jax(t) for t in into(tensors)]
        over = lambda *xs: [j.func.to_jax(t) for t in _flat(g(*[j.func.to_torch(x) for x in xs]), j)]
        back = lambda outs: [j.func.to_torch(x) for x in outs]
        self._transformed("torch_vmap", each, lambda: _flat(j.vmap(g)(*into(mapped)), j), refused)
        self._transformed("jax_vmap", each, lambda: back(jax.vmap(over)(*arrays(mapped))), refused)
        self._transformed("jax_jit", flat, lambda: back(jax.jit(over)(*arrays(given))), refused)
        wrapper = self.op.gradcheck_wrapper
        if any("_input" in n for n in (wrapper.__name__, *wrapper.__code__.co_names)):  # torch declares the derivative for Hermitian or triangular matrices only
            f = run(torch, functools.partial(self.op.gradcheck_wrapper, self.op.op), theirs)
            g = run(j, functools.partial(bridge.Translator()(self.op.gradcheck_wrapper), function), ours)
        if self._compared("jvp"):
            self._pushed(f, g, given, j)

    def _transformed(self, check: str, theirs: list[Any], run: Any, refused: BaseException | None) -> None:
        if self.op.name in SIZES and check != "torch_vmap":
            return self.record.skip(check, "how large its result is depends on values, which JAX does not know while it traces")
        if check != "torch_vmap" and any(t.dtype is torch.complex32 for t in theirs):
            return self.record.skip(check, "JAX has no complex numbers of two halves: it is given what carries them")
        got = attempt(lambda: settle(run()))
        if got.error is not None and refused is not None:
            return self.record.skip(check, f"torch.vmap: {first_line(refused)}")
        self._same(check, Outcome(theirs), got)

    def _pushed(self, f: Any, g: Any, given: list[torch.Tensor], j: Any) -> None:
        """``jvp`` with respect to the tensors of a floating type."""
        at = [i for i, t in enumerate(given) if t.is_floating_point() or t.is_complex()]
        if not at or not self.op.supports_forward_ad:
            return
        moves = [_cotangent(given[i], i) for i in at]

        def of(fn: Any, rest: list[Any]) -> Any:
            def run(*tensors: Any) -> Any:
                flat = list(rest)
                for i, t in zip(at, tensors, strict=True):
                    flat[i] = t
                return fn(*flat)

            return run

        theirs = seeded(lambda: torch.func.jvp(of(f, [t.clone() for t in given]), tuple(given[i].clone() for i in at), tuple(moves)))
        if theirs.error is not None:
            return self.record.skip("jvp", f"torch: {first_line(theirs.error)}")
        tensor = bridge.tensor
        got = seeded(lambda: settle(j.func.jvp(of(g, [tensor(t.clone()) for t in given]), tuple(tensor(given[i].clone()) for i in at), tuple(map(tensor, moves)))))
        self._same("jvp", Outcome([tree_flatten(x)[0] for x in theirs.value]), Outcome([_flat(x, j) for x in got.value]) if got.error is None else got, gradient=True)


def _flat(out: Any, j: Any) -> list[Any]:
    return [t for t in j.utils._pytree.tree_flatten(out)[0] if isinstance(t, j.Tensor)]


def _numbers(t: torch.Tensor) -> torch.Tensor:
    return (t.cfloat() if t.dtype is torch.complex32 else t).nan_to_num()  # torch has no kernel for complex halves
