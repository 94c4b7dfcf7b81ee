"""``torch._jit_internal``: what is said to the script compiler, and types for it."""

from __future__ import annotations

import typing
import weakref
from collections.abc import Callable
from typing import Any, Dict, Final, List, Optional, Tuple, Union  # noqa: F401, UP035 - torch's names

from jtorch.jit import annotations as _annotations
from jtorch.jit._marks import (
    FunctionModifiers as FunctionModifiers,
)
from jtorch.jit._marks import (
    _clear_fn_overloads as _clear_fn_overloads,
)
from jtorch.jit._marks import (
    _copy_to_script_wrapper as _copy_to_script_wrapper,
)
from jtorch.jit._marks import (
    _drop as _drop,
)
from jtorch.jit._marks import (
    _get_fn_overloads as _get_fn_overloads,
)
from jtorch.jit._marks import (
    _IgnoreContextManager as _IgnoreContextManager,
)
from jtorch.jit._marks import (
    _isinstance as _isinstance,
)
from jtorch.jit._marks import (
    _overload as _overload,
)
from jtorch.jit._marks import (
    _overload_method as _overload_method,
)
from jtorch.jit._marks import (
    _qualified as _qualified_name,  # noqa: F401
)
from jtorch.jit._marks import (
    boolean_dispatch as boolean_dispatch,
)
from jtorch.jit._marks import (
    export as export,
)
from jtorch.jit._marks import (
    ignore as ignore,
)
from jtorch.jit._marks import (
    is_ignored_fn as is_ignored_fn,
)
from jtorch.jit._marks import (
    is_scripting as is_scripting,
)
from jtorch.jit._marks import (
    modifier_of as get_torchscript_modifier,  # noqa: F401
)
from jtorch.jit._marks import (
    module_has_exports as module_has_exports,
)
from jtorch.jit._marks import (
    should_drop as should_drop,
)
from jtorch.jit._marks import (
    unused as unused,
)

BroadcastingListCls = _annotations.BroadcastingListCls  # type: ignore[attr-defined]
globals().update({name: value for name, value in vars(_annotations).items() if name.startswith("BroadcastingList")})


def _container(*kinds: Any) -> Callable[[Any], bool]:
    return lambda ann: typing.get_origin(ann) in kinds


is_tuple, is_list, is_dict = _container(tuple), _container(list), _container(dict)


def is_union(ann: Any) -> bool:
    """Whether an annotation is a Union."""
    import types

    return typing.get_origin(ann) in (Union, types.UnionType)


def is_optional(ann: Any) -> bool:
    """Whether an annotation allows None."""
    return is_union(ann) and type(None) in typing.get_args(ann)


def is_final(ann: Any) -> bool:
    """Whether an annotation says Final."""
    return typing.get_origin(ann) is Final or ann is Final


def can_compile_class(cls: Any) -> bool:
    """True: classes stay Python."""
    return True

boolean_dispatched: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # which of two functions a flag chooses: F.max_pool2d and its like are one function here
