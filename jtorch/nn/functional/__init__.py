"""``torch.nn.functional``: the operators of that namespace and torch's Python functions over them."""

from __future__ import annotations

from importlib import import_module as _import_module
from pkgutil import iter_modules as _iter_modules
from types import FunctionType as _FunctionType

import jtorch._api  # noqa: F401
from jtorch import _namespace as _native
from jtorch import _public
from jtorch._core.dispatch.composites import offered as _offered
from jtorch.nn.functional._c_functions import NATIVE as _NATIVE

for _found in _iter_modules(__path__):
    if not _found.name.startswith("_"):
        _module = _import_module(f"{__name__}.{_found.name}")
        for _name in _module.__all__:
            _value = getattr(_module, _name)
            # An operator or a composite asks its arguments itself.
            _asks = hasattr(_value, "jtorch_ops") or hasattr(_value, "jtorch_public") or not isinstance(_value, _FunctionType)
            if not _asks:
                _value = _offered(_value)
                _value.__module__ = __name__  # where pickle finds it
            setattr(_native.F, _name, _value)
            setattr(_public.F, _name, _value)

for _name in _NATIVE:
    setattr(_native.C_nn, _name, getattr(_public.F, _name))
_native.C_nn.log_sigmoid = _public.F.logsigmoid

# Private in torch too, and called by libraries and by what people copied from torch.
_CALLED = {"attention": "_canonical_mask _none_or_dtype _in_projection _in_projection_packed _mha_shape_check", "activation": "_get_softmax_dim"}
for _part, _names in _CALLED.items():
    for _name in _names.split():
        setattr(_public.F, _name, getattr(_import_module(f"{__name__}.{_part}"), _name))

_public.complete(_public.F, globals())
