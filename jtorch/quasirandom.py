"""``torch.quasirandom``: Sobol's points, which fill the unit cube evenly. Source: https://docs.pytorch.org/docs/stable/generated/torch.quasirandom.SobolEngine.html

The direction numbers are those of Joe and Kuo (https://web.maths.unsw.edu.au/~fkuo/sobol/), which scipy carries; the points are computed on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._public import torch

__all__ = ["SobolEngine"]


class SobolEngine:
    """Points of a Sobol sequence, drawn one after the other.

    ``scramble`` shifts and permutes them at random, from ``seed`` or the default generator. ValueError for a dimension below 1 or above 21201.
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self._directions = _direction_numbers(dimension, self.MAXBIT)  # [dimension, MAXBIT]
        self.shift: Any = torch.zeros(dimension, dtype=torch.long)
        if scramble:
            self._scramble()
        self.quasi: Any = self.shift.clone()
        self.num_generated = 0

    def _scramble(self) -> None:
        generator = None
        if self.seed is not None:
            generator = torch.Generator()
            generator.manual_seed(self.seed)
        bits = 1 << np.arange(self.MAXBIT, dtype=np.int64)
        draw: Any = torch.randint(2, (self.dimension, self.MAXBIT), generator=generator)
        self.shift = torch.as_tensor(draw.numpy() @ bits)
        triangles: Any = torch.randint(2, (self.dimension, self.MAXBIT, self.MAXBIT), generator=generator)
        lower = np.tril(triangles.numpy())
        lower[:, np.arange(self.MAXBIT), np.arange(self.MAXBIT)] = 1
        # A bit of a new direction number is the parity of a row of the triangle and the old one's bits, the highest first.
        places = np.arange(self.MAXBIT - 1, -1, -1, dtype=np.int64)
        old = self._directions[:, :, None] >> places & 1  # [dimension, number, bit]
        new = np.einsum("drb,dnb->dnr", lower, old) & 1
        self._directions = (new << places).sum(-1)

    def _points(self, n: int) -> np.ndarray:
        """The next ``n`` points as integers of MAXBIT bits; the state moves on."""
        found = np.empty((n, self.dimension), np.int64)
        state = self.quasi.numpy().copy()
        for i in range(n):
            found[i] = state
            zeros = ~(self.num_generated + i) & (self.num_generated + i + 1)  # the lowest bit that is 0: Gray's code flips it
            state ^= self._directions[:, zeros.bit_length() - 1]
        self.quasi = torch.as_tensor(state)
        self.num_generated += n
        return found

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Any:
        """The next ``n`` points, [n, dimension], each in [0, 1)."""
        kind = torch.get_default_dtype() if dtype is None else dtype
        found = torch.as_tensor(self._points(n)).to(kind) * 2.0**-self.MAXBIT
        if out is None:
            return found
        out.resize_(found.shape).copy_(found)
        return out

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Any:
        """The next ``2 ** m`` points. ValueError unless the number drawn stays a power of two, which keeps the sequence balanced."""
        n = 2**m
        if (total := self.num_generated + n) & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require "
                f"n to be a power of 2. {self.num_generated} points have been previously generated, then: n={self.num_generated}+2**{m}={total}. "
                "If you still want to do this, please use 'SobolEngine.draw()' instead."
            )
        return self.draw(n, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Begin again."""
        self.quasi, self.num_generated = self.shift.clone(), 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next ``n`` points."""
        self._points(n)
        return self

    def __repr__(self) -> str:
        told = [f"dimension={self.dimension}", *(["scramble=True"] if self.scramble else []), *([f"seed={self.seed}"] if self.seed is not None else [])]
        return f"{type(self).__name__}({', '.join(told)})"


def _direction_numbers(dimension: int, bits: int) -> np.ndarray:
    from scipy.stats import qmc

    return np.asarray(qmc.Sobol(dimension, scramble=False, bits=bits)._sv).astype(np.int64)
