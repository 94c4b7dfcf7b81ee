"""Prints one call as jtorch sees it: the trace it records, the HLO that XLA makes of it, and how often each HLO operation stands there.

    python tools/show_op.py 'torch.einsum("bij,bjk->bik", a, b)' --tensor a=2,3,4 --tensor b=2,4,5
    python tools/show_op.py 'F.embedding(i, w)' --tensor i=int64:2,3 --tensor w=10,4 --grad w --optimized

``--grad NAME`` adds the backward of the result's sum with respect to that tensor.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax

import jtorch as torch


def tensor(text: str) -> tuple[str, Any]:
    """``a=float64:2,3`` as a name and a tensor of random numbers (integers: 0 or 1)."""
    name, _, rest = text.partition("=")
    kind, _, shape = rest.rpartition(":")
    dtype = getattr(torch, kind or "float32")
    sizes = tuple(int(n) for n in shape.split(",") if n)
    return name, torch.randn(sizes).to(dtype) if dtype.is_floating_point or dtype.is_complex else torch.randint(0, 2, sizes).to(dtype)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("call", help="an expression over torch, F and the tensors")
    parser.add_argument("--tensor", action="append", default=[], metavar="NAME=[DTYPE:]SIZES")
    parser.add_argument("--grad", action="append", default=[], metavar="NAME", help="also the backward, with respect to this tensor")
    parser.add_argument("--optimized", action="store_true", help="XLA's HLO after optimization, not before")
    args = parser.parse_args()
    tensors = dict(tensor(t) for t in args.tensor)

    def run(arrays: dict[str, jax.Array]) -> Any:
        made = torch.func.to_torch(arrays)
        for name in args.grad:
            made[name].requires_grad_()
        out = eval(args.call, {"torch": torch, "F": torch.nn.functional, **made})
        results = out if isinstance(out, (tuple, list)) else (out,)
        if args.grad:
            total = sum((r.sum() for r in results if r.requires_grad), torch.zeros(()))
            results = (*results, *torch.autograd.grad(total, [made[n] for n in args.grad]))
        return [torch.func.to_jax(r) for r in results if isinstance(r, torch.Tensor)]

    held = {k: v.detach() for k, v in tensors.items()}
    for name in args.grad:
        held[name].requires_grad_()
    out = eval(args.call, {"torch": torch, "F": torch.nn.functional, **held})
    first = out[0] if isinstance(out, (tuple, list)) else out
    recorded = pending()
    print("result:", [f"{r.dtype} {tuple(r.shape)}" for r in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(r, torch.Tensor)])
    if first.grad_fn is not None:
        print("grad_fn:", first.grad_fn.name(), "<-", [f.name() for f, _ in first.grad_fn.next_functions if f is not None])
    if recorded:
        print("\ntrace:")
        print("\n".join("  " + line for line in recorded))
    arrays = torch.func.to_jax(tensors)
    lowered = jax.jit(run).lower(arrays)
    text = lowered.compile().as_text() if args.optimized else lowered.as_text()
    if args.optimized:  # after the tables of files and stack frames
        text = re.sub(r"(?s)^.*?\n(?=%|ENTRY)", "", text, count=1)
    print("\n" + ("optimized HLO:" if args.optimized else "StableHLO:"))
    print(text)
    words = re.findall(r"= \S+ ([a-z][\w-]*)\(", text) if args.optimized else re.findall(r"(?:stablehlo|chlo)\.(\w+)", text)
    print("operations:", dict(collections.Counter(words).most_common()))
    return 0


def pending() -> list[str]:
    """The nodes of this thread's trace that are still waiting, one line each."""
    from jtorch._engine.recording.trace import SCALAR
    from jtorch._engine.values.thread_state import state

    trace = state.trace
    if trace is None:
        return []

    def operand(p: int) -> str:
        return f"%{p}" if p >= 0 else repr(trace.scalars[SCALAR - p]) if p <= SCALAR else f"input {-1 - p} {trace.inputs[-1 - p].aval!r}"

    lines, number = [], 0
    for entry, *operands in trace.nodes:
        lines.append(f"%{number} = {entry.call.name}({', '.join(map(operand, operands))}) -> {', '.join(map(repr, entry.outs))}")
        number += len(entry.outs)
    return lines


if __name__ == "__main__":
    sys.exit(main())
