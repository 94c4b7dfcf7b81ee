"""Recording: calls, entries (a call on inputs of known shape and type), their derivatives, the trace, and what goes into it.

It may import ``values``.
"""
