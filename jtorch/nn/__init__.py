"""``torch.nn``: modules, parameters, initialisers and the functions beneath."""

from __future__ import annotations

import sys
from typing import Any

from jtorch._public import torch

from . import functional  # isort: skip  (the layers below take their defaults from it)
from . import attention, common_types, grad, init, modules, parallel, parameter, utils
from .modules import *  # noqa: F403
from .parallel import DataParallel
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "common_types",
    "factory_kwargs",
    "functional",
    "grad",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
    *modules.__all__,
]

torch.nn = sys.modules[__name__]


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """The part of ``kwargs`` that ``torch.empty`` and its like take, with what is under the key "factory_kwargs" in it."""
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    expected = simple | {"factory_kwargs"}
    if not kwargs.keys() <= expected:
        raise TypeError(f"unexpected kwargs {kwargs.keys() - expected}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for key in simple & kwargs.keys():
        if key in result:
            raise TypeError(f"{key} specified twice, in **kwargs and in factory_kwargs")
        result[key] = kwargs[key]
    return result
