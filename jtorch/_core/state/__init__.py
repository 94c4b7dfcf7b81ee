"""State that programs keep between steps: generators, the updates of optimizers, and their state packed into few arrays.

The top floor of the core: it may import all others.
"""
