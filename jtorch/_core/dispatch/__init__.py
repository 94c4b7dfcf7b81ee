"""A call of an operator: from arguments to a recorded operator and back (binding, the short way and the general way), writing in place, ``__torch_function__``, when a trace is run.

It may import ``graph`` and ``storage``.
"""
