"""What is to be run: which outputs are wanted, where a trace is cut, and which step is expected next.

It may import ``recording`` and ``values``.
"""
