"""Functions written with torch's own functions. Importing this package completes the namespaces."""

from importlib import import_module
from pkgutil import iter_modules

import jtorch._core.tensor.setup  # noqa: F401

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
import_module(f"{__name__}.published_signatures").publish()
