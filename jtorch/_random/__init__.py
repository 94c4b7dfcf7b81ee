"""Random numbers on the host: torch's CPU generator and samplers to the bit, with numpy only (no jax below this line)."""
