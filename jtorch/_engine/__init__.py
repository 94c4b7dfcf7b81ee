"""The engine: records operators into a trace, runs traces. It knows arrays and operators, nothing of tensors."""

from jtorch._engine.values import jax_settings, memory  # noqa: F401  (JAX's settings, before anything else touches it)
from jtorch._engine.running import executor  # noqa: F401  (gives the trace its executor)
from jtorch._engine import placing  # noqa: F401  (gives recording what it knows of values on several devices)
from jtorch._engine.running import ending, fork  # noqa: F401  (the end of the process; what a forked child may do)

memory.keep_freed()  # before XLA's threads take memory
