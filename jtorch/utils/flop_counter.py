"""Counting the floating-point operations of matrix products and convolutions, forward and backward, by module.

Operators are counted by the shapes of their inputs when they are recorded; their derivatives when a gradient reaches their result. Attention is counted as the two
products it is made of (and four in its backward): what torch counts where it has no fused kernel.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from jtorch._core.graph import grad_modes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.thread_state import state
from jtorch._public import torch
from jtorch.ops import aten

from .module_tracker import ModuleTracker

__all__ = ["FlopCounterMode", "register_flop_formula"]

Shape = Sequence[int]
flop_registry: dict[Any, Callable[..., int]] = {}  # a user's own formulas, by operator


def register_flop_formula(targets: Any, get_raw: bool = False) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A decorator for the formula of these operators (of ``torch.ops.aten``): given the shapes of their inputs (``get_raw``: the tensors) and ``out_shape``
    (``out_val``), how many operations."""

    def register(formula: Callable[..., int]) -> Callable[..., int]:
        def of_tensors(*args: Any, out_val: Any) -> int:
            if get_raw:
                return formula(*args, out_val=out_val)
            return formula(*[_shape(a) for a in args], out_shape=_shape(out_val))

        for target in targets if isinstance(targets, (list, tuple)) else (targets,):
            if target in flop_registry:
                raise RuntimeError(f"duplicate registrations for {target}")
            flop_registry[target] = of_tensors
        return formula

    return register


def _shape(x: Any) -> Any:
    return x.shape if isinstance(x, Tensor) else x


def convolution_flops(x: Shape, weight: Shape, out: Shape, transposed: bool) -> int:
    """Every element of the (for a transposed one: smaller) side meets every element of the kernels."""
    out_channels, in_channels, *kernel = weight
    return 2 * math.prod((x if transposed else out)[2:]) * math.prod(kernel) * x[0] * out_channels * in_channels


class _Counted:
    """One operator: its name in torch's library, its operations, and those of the derivative by each input (by the position among the tensors)."""

    def __init__(self, name: str, flops: int, backward: str, by_input: dict[int, int]) -> None:
        self.name, self.flops, self.backward, self.by_input = name, flops, backward, by_input


def _product(name: str, flops: int, *inputs: int) -> _Counted:
    return _Counted(name, flops, "bmm" if name in ("bmm", "baddbmm") else "mm", {i: flops for i in inputs})


def _matmul(a: Shape, b: Shape) -> _Counted | None:
    if len(b) < 2 or (len(a) == 1 and len(b) > 2):
        return None  # products with vectors are not counted in torch
    batch = torch.broadcast_shapes(a[:-2], b[:-2])
    flops = 2 * math.prod(batch) * (a[-2] if len(a) > 1 else 1) * a[-1] * b[-1]
    return _product("bmm" if len(a) > 2 and len(b) > 2 else "mm", flops, 0, 1)


def _linear(x: Shape, weight: Shape, bias: Shape | None = None) -> _Counted:
    return _product("mm" if bias is None else "addmm", 2 * math.prod(x) * weight[0], 0, 1)


def _convolution(x: Shape, weight: Shape, out: Shape, transposed: bool) -> _Counted:
    x, out = ((1, *s) if len(s) == len(weight) - 1 else s for s in (x, out))

    def swapped(shape: Shape) -> Shape:
        return (shape[1], shape[0], *shape[2:])

    pair = (swapped(out), swapped(x)) if transposed else (swapped(x), swapped(out))
    by_weight = convolution_flops(*pair, swapped(weight), False)
    by_input = convolution_flops(out, weight, x, not transposed)
    return _Counted("convolution", convolution_flops(x, weight, out, transposed), "convolution_backward", {0: by_input, 1: by_weight})


def _attention(q: Shape, k: Shape, v: Shape) -> _Counted:
    scores, mixed = (2 * math.prod(q[:-1]) * k[-2] * n for n in (q[-1], v[-1]))
    return _Counted("bmm", scores + mixed, "bmm", {0: scores, 1: scores, 2: 2 * mixed})


def _einsum(equation: str, shapes: list[Shape]) -> _Counted | None:
    """Pairs from left to right, as torch takes them without opt_einsum."""
    left, _, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if "..." in equation or len(terms) < 2:
        return None
    sizes = {c: n for term, shape in zip(terms, shapes, strict=True) for c, n in zip(term, shape, strict=True) if n != 1}
    if not _:
        output = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    total, merged = 0, set(terms[0])
    for i, term in enumerate(terms[1:], 1):
        later = set("".join(terms[i + 1 :])) | set(output)
        summed = (merged & set(term)) - later
        both = {c for c in merged | set(term) if c in later or c in merged & set(term)}
        if summed:
            total += 2 * math.prod(sizes.get(c, 1) for c in both)
        merged = both & later
    return _product("bmm", total, *range(len(terms))) if total else None


def _counted(name: str, structure: list[Any], shapes: list[Shape], out: Shape) -> _Counted | None:
    """What is known of an operator by its name here."""
    if name in ("mm", "bmm"):
        return _product(name, 2 * math.prod(shapes[0]) * shapes[1][-1], 0, 1)
    if name in ("addmm", "baddbmm"):
        return _product(name, 2 * math.prod(shapes[1]) * shapes[2][-1], 1, 2)
    if name == "matmul":
        return _matmul(*shapes[:2])
    if name == "linear":
        return _linear(*shapes)
    if name == "tensordot":
        axes = structure[0]
        return _product("mm", 2 * math.prod(shapes[0]) * math.prod(shapes[1]) // math.prod([shapes[0][d] for d in axes]), 0, 1)
    if name == "einsum":
        return _einsum(structure[0], shapes)
    if name in ("conv1d", "conv2d", "conv3d") or name.startswith("conv_transpose"):
        return _convolution(shapes[0], shapes[1], out, "transpose" in name)
    if name == "convolution":
        return _convolution(shapes[0], shapes[1], out, next(s for s in structure if isinstance(s, bool)))
    if name == "_scaled_dot_product_attention":
        return _attention(*shapes[:3])
    return None


def _packet(name: str) -> Any:
    return getattr(aten, name)


class FlopCounterMode:
    """Inside, the operations of matrix products, convolutions and attention are counted: in all, and by module and operator.

    ``display`` prints a table at the end, ``depth`` modules deep. ``custom_mapping``: formulas of operators, over those that torch counts.
    """

    def __init__(self, mods: Any = None, depth: int | None = 2, display: bool = True, custom_mapping: dict[Any, Any] | None = None) -> None:
        self.flop_counts: dict[str, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
        self.depth, self.display = depth, display
        own = {**flop_registry, **{k: f if getattr(f, "_get_raw", False) else _by_shapes(f) for k, f in (custom_mapping or {}).items()}}
        self._own = {str(k).rpartition(".")[2]: (k, f) for k, f in own.items()}
        self.mod_tracker = ModuleTracker()

    def get_total_flops(self) -> int:
        """All of them."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """By module (``"Global"`` is everything), then by operator."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as text: modules, their operators, how many and which share of all."""
        depth = self.depth if depth is None else depth
        total = max(self.get_total_flops(), 1)
        rows = [("Module", "FLOP", "% Total")]
        for module in sorted(m for m in self.flop_counts if m == "Global" or depth is None or m.count(".") + 1 <= depth):
            counts = self.flop_counts[module]
            indent = " " * (0 if module == "Global" else module.count(".") + 1)
            for name, n in ((module, sum(counts.values())), *((f" - {op}", n) for op, n in counts.items())):
                rows.append((indent + name, _shown(n), f"{100 * n / total:.2f}%"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self.mod_tracker.__enter__()
        grad_modes.told.after.append(self._saw)
        state.mode |= grad_modes.COUNTED
        return self

    def __exit__(self, *args: Any) -> None:
        grad_modes.told.after.remove(self._saw)
        if not grad_modes.told.after:
            state.mode &= ~grad_modes.COUNTED
        self.mod_tracker.__exit__(*args)
        if self.display:
            print(self.get_table(self.depth))

    def _add(self, where: set[str], name: Any, flops: int) -> None:
        for module in where:
            self.flop_counts[module][_packet(name) if isinstance(name, str) else name] += flops

    def _saw(self, call: Any, args: Any, tensors: list[Tensor]) -> None:
        given = [a for a in args if isinstance(a, Tensor)]
        found: _Counted | None
        if (own := self._own.get(call.name)) is not None:
            self._add(set(self.mod_tracker.parents), own[0], own[1](*given, out_val=tensors[0]))
            return
        found = _counted(call.name, [d[-1] for d in call.key if d[0] == "V"] if call.op is not None else [], [a.shape for a in given], tensors[0].shape)
        if found is None:
            return
        where = set(self.mod_tracker.parents)
        if not grad_modes.computed_again[0]:
            self._add(where, found.name, found.flops)
        back = sum(n for i, n in found.by_input.items() if given[i].requires_grad)
        if back and tensors[0].requires_grad:
            counting = self._saw

            def arrived(grad: Tensor) -> None:
                if counting in grad_modes.told.after:
                    self._add(where, found.backward, back)

            tensors[0].register_hook(arrived)


def _by_shapes(formula: Callable[..., int]) -> Callable[..., int]:
    return lambda *args, out_val: formula(*[_shape(a) for a in args], out_shape=_shape(out_val))


_SUFFIXES = ("", "K", "M", "B", "T")


def _shown(n: int) -> str:
    """A number as torch's table has it: in thousands, millions, ... with three digits."""
    index = max(0, min(len(_SUFFIXES) - 1, (len(str(n)) - 2) // 3))
    return f"{n / 1000**index:.3f}{_SUFFIXES[index]}" if index else str(n)


