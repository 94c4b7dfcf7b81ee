"""``torch.nn.functional``: the operators of that namespace and torch's Python functions over them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import jtorch._api  # noqa: F401
from jtorch._namespace import F as _namespace

for _found in iter_modules(__path__):
    if not _found.name.startswith("_"):
        _module = import_module(f"{__name__}.{_found.name}")
        for _name in _module.__all__:
            setattr(_namespace, _name, getattr(_module, _name))

globals().update({k: v for k, v in vars(_namespace).items() if not k.startswith("__")})
