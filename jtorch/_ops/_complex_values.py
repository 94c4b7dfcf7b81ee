"""Elementary functions of complex numbers where XLA's own lose a sign of zero, and with it the side of a branch cut, or make nan of what C's library knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._lib import is_complex

__all__ = ["complex_exp", "complex_log", "mirrored"]


def mirrored(fn: Callable[..., Any], odd: bool = False) -> Callable[[Any], Any]:
    """``fn`` of complex numbers computed where the imaginary part has no sign (``odd``: the real part neither): ``fn(conj(z))`` is ``conj(fn(z))``, and an odd ``fn(-z)`` is ``-fn(z)``.

    Real numbers go to ``fn`` as they are. Derivatives are those of ``fn`` at the mirrored place, mirrored back.
    """

    def apply(z: Any) -> Any:
        if not is_complex(z):
            return fn(z)
        turned = jnp.signbit(z.real) if odd else None
        at = z if turned is None else jnp.where(turned, -z, z)
        below = jnp.signbit(at.imag)
        out = fn(jnp.where(below, jnp.conj(at), at))
        out = jnp.where(below, jnp.conj(out), out)
        return out if turned is None else jnp.where(turned, -out, out)

    return apply


def _exp_above(z: Any) -> Any:
    """``exp`` of what has no sign in its imaginary part: 0 at -inf, and inf with an unknown angle at inf, where that is not finite."""
    lost = ~jnp.isfinite(z.imag)
    made = jnp.exp(z)
    made = jnp.where(lost & (z.real == -np.inf), jnp.zeros_like(made), made)
    return jnp.where(lost & (z.real == np.inf), lax.complex(jnp.full_like(z.real, np.inf), jnp.full_like(z.real, np.nan)), made)


complex_exp = mirrored(lambda z: _exp_above(z) if is_complex(z) else jnp.exp(z))


def complex_log(z: Any) -> Any:
    """``log``: the modulus of what has an infinite part is infinite, though the other be nan."""
    if not is_complex(z):
        return jnp.log(z)
    made = jnp.log(z)
    far = jnp.isinf(z.real) | jnp.isinf(z.imag)
    return lax.complex(jnp.where(far, np.array(np.inf, made.real.dtype), made.real), made.imag)
