"""Padding: constant, reflection, replication, circular; negative sizes crop."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from jtorch._registry import op

from ._nn import const, shape_text

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _constant(input: Any, pad: tuple[int, ...], value: float) -> Any:
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    n = len(pad) // 2
    if n > input.ndim:
        raise RuntimeError(f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pad)} while the input has {input.ndim} dimensions.")
    config = [(0, 0, 0)] * input.ndim
    for i in range(n):
        axis = input.ndim - 1 - i
        low, high = pad[2 * i], pad[2 * i + 1]
        if input.shape[axis] + low + high < 0:
            raise RuntimeError(
                f"The input size {input.shape[axis]}, plus negative padding {low} and {high}, resulted in a negative output size, which is invalid. "
                f"Check dimension {axis} of your input."
            )
        if low < -input.shape[axis] or high < -input.shape[axis]:
            raise RuntimeError("narrow(): length must be non-negative.")
        config[axis] = (low, high, 0)
    return lax.pad(input, const(value, input), config)


@op("constant_pad_nd(Tensor input, int[] pad, Number value=0)", where="torch")
def constant_pad_nd(input, pad, value):
    """``value`` around the input: ``pad`` lists (before, after) from the last dim on; negative sizes crop."""
    return _constant(input, pad, value)


def _name(n: int, kind: str) -> str:
    return f"{kind}Pad{n}DBackward0"


def _around(mode: str, input: Any, pad: tuple[int, ...]) -> Any:
    n = len(pad) // 2
    for i in range(n):
        axis = input.ndim - 1 - i
        size, low, high = input.shape[axis], pad[2 * i], pad[2 * i + 1]
        if size == 0:
            raise RuntimeError(
                f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {shape_text(input.shape)}"
            )
        if mode == "reflect" and (low >= size or high >= size):
            raise RuntimeError(
                f"Argument #{4 + 2 * i}: Padding size should be less than the corresponding input dimension, but got: padding ({low}, {high}) at dimension {axis} of input {shape_text(input.shape)}"
            )
        if mode == "circular" and (low > size or high > size):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if size + low + high < (0 if mode == "circular" else 1):
            raise RuntimeError(
                "Negative padding value is resulting in an empty dimension" if mode == "circular" else
                f"input ({' '.join(f'{a}: {s}' for a, s in zip(('D', 'H', 'W')[3 - n:], input.shape[-n:], strict=True))}) is too small."
                f" Calculated output {('D', 'H', 'W')[2 - i]}: {size + low + high}"
            )  # fmt: skip
    for i in range(n):
        axis = input.ndim - 1 - i
        size, low, high = input.shape[axis], pad[2 * i], pad[2 * i + 1]
        if low > 0 or high > 0:
            widths = [(0, 0)] * input.ndim
            widths[axis] = (max(low, 0), max(high, 0))
            input = jnp.pad(input, widths, _MODES[mode])
        if low < 0 or high < 0:
            start = max(-low, 0)
            input = lax.slice_in_dim(input, start, start + size + low + high, 1, axis)
    return input


def _declare(n: int, mode: str, name: str, grad: str) -> None:
    def run(input: Any, padding: Any) -> Any:
        return _around(mode, input, padding)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"{mode.capitalize()} padding of the last {n} dim{'s' if n > 1 else ''}; ``padding`` lists (before, after) from the last one on."
    op(f"{name}(Tensor input, int[{2 * n}] padding)", where="_nn", grad_name=grad)(run)


for _n in (1, 2, 3):
    _declare(_n, "reflect", f"reflection_pad{_n}d", _name(_n, "Reflection"))
    _declare(_n, "replicate", f"replication_pad{_n}d", _name(_n, "Replication"))
    _declare(_n, "circular", f"_circular_pad{_n}d", "CopySlices")
