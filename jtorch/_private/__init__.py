"""What torch keeps under private names at its root and libraries use all the same: ``torch._C``, ``torch._dynamo``, ``torch._utils_internal``, ...

Here they stand without the underscore (``jtorch/_private/dynamo`` is ``torch._dynamo``), as far as installed libraries name them: ``python -m compat.names``
counts. A part that has no counterpart raises NotImplementedError when it is used, not when it is imported.
"""
