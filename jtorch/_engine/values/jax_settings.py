"""JAX's settings: 64-bit types. Why they are for the whole process: docs/from-jax.md.

JAX's own persistent cache is left as it is: what it gives back cannot be written again, and jtorch keeps its programs itself (``keeping/``)."""

from __future__ import annotations

import jax

jax.config.update("jax_enable_x64", True)
