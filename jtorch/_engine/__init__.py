"""The engine: records operators into a trace, runs traces. It knows arrays and operators, nothing of tensors."""

from . import setup  # noqa: F401  (JAX's settings, before anything else touches it)
from . import executor  # noqa: F401  (gives the trace its executor)
from . import fork  # noqa: F401  (what a forked child may do)
