"""What the engine computes with: avals and values, what each thread has of its own, JAX's settings and the log.

The lowest floor of the engine: it imports nothing of it.
"""
