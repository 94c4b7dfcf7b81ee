"""Speed side by side, from one process: jtorch's ordinary loop, torch eager, and a hand-written ``jax.jit`` step."""
