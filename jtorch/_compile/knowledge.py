"""What the watch knows of the language and of the library: which functions are pure, which classes are no state, which code must not run unseen."""

from __future__ import annotations

import functools
import itertools
import math
import operator
import os
import sys
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from types import FunctionType
from typing import Any

from jtorch._compile.numbers import Tracked
from jtorch._compile.rewriting import REWRITTEN
from jtorch._core.state import generator as _generator
from jtorch._core.storage import view_steps
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.recording import guards
from jtorch._engine.recording import trace as _trace
from jtorch._errors import PACKAGE

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()
ROOT = PACKAGE
SEEN_INSIDE = tuple(ROOT + part.replace("/", os.sep) for part in ("nn/modules/", "nn/utils/", "nn/parallel/", "optim/", "distributions/", "utils/checkpoint", "utils/_contextlib"))
NOT_SEEN = (os.path.join(ROOT + "optim", "_apply.py"),)
MACHINE = ("jtorch._core", "jtorch._engine", "jtorch._registry", "jtorch._dtypes", "jtorch._device", "jtorch._types", "jtorch.autograd", "jtorch.amp.autocast_mode")  # classes of these are no program's state
LIBRARY = os.path.dirname(os.__file__) + os.sep
MOST = 5000  # elements of a container that are guarded
PLAIN_TYPES = frozenset((int, float, complex, bool, str, bytes, type(None), type(Ellipsis), slice, range))
CONTAINERS = frozenset((list, dict, OrderedDict, defaultdict, set, frozenset, deque, tuple))
LOOKS = frozenset((
    "item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "__complex__", "__array__", "__dlpack__", "__contains__", "__repr__", "__format__", "is_nonzero",
    "equal", "data_ptr", "untyped_storage", "storage", "register_hook", "register_post_accumulate_grad_hook", "retain_grad", "set_", "resize_", "requires_grad_", "share_memory_", "allclose",
    "__deepcopy__", "__reduce_ex__", "detach_", "__array_interface__", "__jax_array__",
))  # fmt: skip
PURE = frozenset([f for f in vars(math).values() if callable(f)])
FOLLOWED = frozenset((zip, enumerate, list, tuple, dict, set, frozenset, isinstance, issubclass, len, iter, next, reversed, map, filter, type, any, all, callable, id, bool, object, itertools.chain, itertools.repeat))
OF_NUMBERS = frozenset((max, min, abs, pow))
COMPARISONS = frozenset(("lt", "le", "gt", "ge", "eq", "ne"))
SAFE = FOLLOWED | frozenset((
    sum, max, min, sorted, abs, divmod, pow, range, str, repr, round, hash, slice, int, float, complex, bytes, ord, chr, bin, hex, format, property, classmethod, staticmethod, super, functools.partial, functools.reduce,
    *[f for f in vars(itertools).values() if callable(f)], *[f for f in vars(operator).values() if callable(f)], *PURE, OrderedDict, defaultdict, deque, weakref.ref, NotImplemented.__class__,
    Exception, ValueError, RuntimeError, TypeError, KeyError, IndexError, AttributeError, AssertionError, NotImplementedError, StopIteration, sys.intern, sys.exc_info,
))  # fmt: skip
SCALARS_FOLLOWED = frozenset(("prepare", "mul", "add", "sub", "div", "mul_", "add_", "sub_", "div_", "true_divide", "multiply", "subtract", "divide", "lerp", "lerp_", "addcmul", "addcmul_", "addcdiv", "addcdiv_", "rsub", "full_like_"))
MANAGER_CODE = __import__("contextlib").contextmanager(lambda: None).__code__


def pinned(x: Any) -> Any:
    if isinstance(x, Tracked):
        return x.pinned()
    if x.__class__ in (tuple, list):
        parts = [pinned(v) for v in x]
        return x if all(map(operator.is_, parts, x)) else x.__class__(parts)
    if x.__class__ is dict:
        parts = [pinned(v) for v in x.values()]
        return x if all(map(operator.is_, parts, x.values())) else dict(zip(x, parts, strict=True))
    if x.__class__ is slice:
        return slice(pinned(x.start), pinned(x.stop), pinned(x.step))
    return x


def static_of(cls: Any, name: str) -> Any:
    for c in cls.__mro__:
        if name in c.__dict__:
            return c.__dict__[name]
    return ABSENT


def read_again(obj: Any, name: str) -> Any:
    return getattr(obj, name, ABSENT)


def class_again(c: Any, name: str) -> Any:
    return c.__dict__.get(name, ABSENT)


def cell_again(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT


def ours(module: Any) -> bool:
    return (getattr(module, "__name__", "") or "").partition(".")[0] in ("jtorch", "torch", "math", "operator", "functools", "itertools", "warnings")


def ours_class(cls: Any) -> bool:
    return (cls.__module__ or "").startswith(("jtorch", "torch"))


def named(x: Any) -> str:
    return f"{getattr(x, '__module__', '')}.{getattr(x, '__qualname__', None) or getattr(x, '__name__', None) or x.__class__.__name__}"


def to_be_seen(fn: FunctionType) -> bool:
    """Whether a function is one whose reads must be seen."""
    path = fn.__code__.co_filename
    if fn.__code__ in REWRITTEN or path.startswith("<string>"):
        return False
    if path.startswith(ROOT):
        return path.startswith(SEEN_INSIDE) and path not in NOT_SEEN
    return not path.startswith(LIBRARY) or "site-packages" in path or "dist-packages" in path


def generator_manager(fn: Any, args: Any, kwargs: Any) -> Any:
    from contextlib import _GeneratorContextManager

    return _GeneratorContextManager(fn, args, kwargs)


@functools.lru_cache(maxsize=4096)
def names_in(code: Any) -> tuple[str, ...]:
    """Names that a function, and functions inside it, may read as globals."""
    found = dict.fromkeys(code.co_names)
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            found.update(dict.fromkeys(names_in(c)))
    return tuple(found)


TRUTH = Tensor.__bool__.__code__
CHECK = guards.watch.__code__  # looks at what is on the host, and that is a constant here
FORCE = _trace.force.__code__
LOOKING = {view_steps.elements.__code__: "a value is looked at", _generator.Generator.next_key.__code__: "random numbers of an accelerator"}
LIBRARIES = ("jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum", "scipy", "absl")


def verdict_of(code: Any) -> str:
    """Why a code object must not run unseen; empty if it may."""
    if code in REWRITTEN:
        return ""
    if code is FORCE:
        return "force"
    if code in LOOKING:
        return LOOKING[code]
    path = code.co_filename
    if path.startswith(ROOT):
        if path.startswith(os.path.join(ROOT + "_core", "tensor")) and code.co_name in LOOKS:
            return f"Tensor.{code.co_name}"
        if path.startswith(SEEN_INSIDE) and path not in NOT_SEEN and not path.startswith(os.path.join(ROOT + "_compile")):
            return f"{code.co_qualname} ran unseen"
        return ""
    if path.startswith(("<frozen", "<jtorch", "<numbers")) or (path.startswith(LIBRARY) and "site-packages" not in path):
        return ""
    if path.startswith("<"):
        return "" if code.co_name in ("__init__", "__new__", "<lambda>") else f"{code.co_qualname} ran unseen"
    if any(f"{os.sep}{name}{os.sep}" in path for name in LIBRARIES):
        return ""
    return f"{code.co_qualname} ran unseen"


def inside_library(frame: Any) -> bool:
    """Whether JAX (or an import) is at work, which calls what it likes."""
    back = frame.f_back
    if frame.f_code.co_filename.startswith("<string>") and back is not None and back.f_code not in REWRITTEN and back.f_code.co_filename.startswith(ROOT):
        return True  # what JAX keeps its programs by is compared in C
    while back is not None and back.f_code not in REWRITTEN:
        path = back.f_code.co_filename
        if path.startswith("<frozen") or any(f"{os.sep}{name}{os.sep}" in path for name in LIBRARIES):
            return True
        back = back.f_back
    return False
