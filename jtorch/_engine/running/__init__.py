"""Running: the executor, an optimizer's updates run at once, packed updates, and what happens when the process forks.

The top floor of the engine: it may import all others.
"""
