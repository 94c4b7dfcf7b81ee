"""Random tensors: ``rand``, ``randn``, ``randint``, ... and the in-place fills of ``Tensor``. On cpu torch's numbers, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._api._sparse import new_values as sparse_like
from jtorch._core.dispatch.checked_arguments import agree_with_out, checked_number
from jtorch._core.dispatch.composites import compose
from jtorch._core.state.generator import Generator, default_generator, manual_seed
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, laid_like
from jtorch._core.tensor.autograd_methods import require_grad
from jtorch._core.tensor.creation import place
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._errors import warn
from jtorch._namespace import torch
from jtorch._random import samplers as S

from ._drawing import _IS_FLOAT, fill, fresh, like_layout, needs_float, no_kernel, no_out
from .creation import _kind, _size

torch.Generator = Generator
torch.default_generator = default_generator

_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_LONG_MIN = -(2**63)


# ---- seeds and states --------------------------------------------------------------------------------------------------


def seed() -> int:
    """Seed all default generators from the operating system's randomness; the seed."""
    number = default_generator.seed()
    state = default_generator.get_state()
    manual_seed(number)
    default_generator.set_state(state)
    return number


def initial_seed() -> int:
    """The seed of the default cpu generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default cpu generator, a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Put the default cpu generator into a state of :func:`get_rng_state` (PyTorch's are understood)."""
    default_generator.set_state(new_state)


for _fn in (manual_seed, seed, initial_seed, get_rng_state, set_rng_state):
    setattr(torch, _fn.__name__, _fn)


# ---- checks ------------------------------------------------------------------------------------------------------------


def _check_uniform(low: float, high: float, dtype: Any) -> None:
    needs_float("check_uniform_bounds", dtype, complex_too=True)
    info = torch.finfo(dtype.to_real() if dtype.is_complex else dtype)
    for name, bound in (("from", low), ("to", high)):
        if not info.min <= bound <= info.max:
            raise RuntimeError(f"{name} is out of bounds for {_dtypes.C_NAMES[dtype.name]}")
    if not low <= high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    if high - low > info.max:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{dtype.legacy}>::max(), but found to={high:g} and from={low:g}"
            " which result in to-from to exceed the limit"
        )


def _range(low: int, high: int | None, dtype: Any) -> tuple[int, int]:
    """The bounds to draw from for ``random_(low, high)``; ``high=None`` is the largest of the type. RuntimeError in torch's words."""
    if high is None and low == _LONG_MIN:
        if dtype not in (_dtypes.int64, _dtypes.float64, _dtypes.float32, _dtypes.bfloat16):
            raise RuntimeError("random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16")
        return low, 2**63
    if high is not None and not low < high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if dtype in _IS_FLOAT:
        moved = S.float_random_bounds(dtype.np, low, high)
        if not moved[0] < moved[1]:
            raise RuntimeError(
                f"random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from={moved[0]} >= to={moved[1]}"
            )
        low, high = moved
        least, most = float(torch.finfo(dtype).min), float(torch.finfo(dtype).max)
    elif dtype.category > 1:
        raise RuntimeError("check_random_bounds handles only integral, floating-point and boolean types")
    else:
        least, most = (0, 1) if dtype is _dtypes.bool_ else (int(np.iinfo(dtype.np).min), min(int(np.iinfo(dtype.np).max), 2**63 - 1))
        high = most + 1 if high is None else high
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if not least <= bound <= most:
            raise RuntimeError(f"{name} is out of bounds for {_dtypes.C_NAMES[dtype.name]}")
        digits = _DIGITS.get(dtype.name)
        if digits is not None and abs(bound) > 1 << digits:
            warn(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations {_dtypes.C_NAMES[dtype.name]} can support "
                "discrete uniform distribution only within this range. This warning will become an error in version 1.7 release, "
                "please fix the code in advance",
            )
    return low, high


def _int(name: str, argument: str, position: int, v: Any) -> int:
    if isinstance(v, bool) or not hasattr(v, "__index__") or isinstance(v, Tensor) and aval_of(v).dtype.category != 1:
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be int, not {type(v).__name__}")
    return int(v.__index__())


# ---- factories ---------------------------------------------------------------------------------------------------------


def _finish(name: str, t: Tensor, out: Any, dtype: Any, requires_grad: bool) -> Tensor:
    if out is not None:
        from jtorch._core.tensor.derived_functions import write_out

        agree_with_out(out, dtype)
        return write_out(name, t, out, quiet=True)  # type: ignore[no-any-return]
    return require_grad(t) if requires_grad else t


def _uniform(shape: Any, kind: Any, where: Any, generator: Any, strides: Any = None, low: float = 0.0, high: float = 1.0) -> Tensor:
    _check_uniform(low, high, kind)
    return fresh(shape, kind, where, generator, lambda g, s, d, st: S.uniform(g, s, d, low, high, st), ("uniform", low, high), strides)


def _normal(shape: Any, kind: Any, where: Any, generator: Any, strides: Any = None, mean: float = 0.0, std: float = 1.0) -> Tensor:
    needs_float("normal_kernel_cpu", kind, complex_too=True)
    return fresh(shape, kind, where, generator, lambda g, s, d, st: S.normal(g, s, d, mean, std, st), ("normal", mean, std), strides)


def _integers(shape: Any, kind: Any, where: Any, generator: Any, low: int, high: int, strides: Any = None) -> Tensor:
    a, b = _range(low, high, kind)
    return fresh(shape, kind, where, generator, lambda g, s, d, st: S.random_from_to(g, s, d, a, b, st), ("integers", a, b), strides)


def _plain(name: str, draw: Any, doc: str) -> None:
    def fn(*args: Any, size: Any = None, generator: Any = None, names: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
           device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
        no_out(out)
        if not args and size is None:
            raise TypeError(f"{name}() received an invalid combination of arguments - got (), but expected one of:\n"
                            " * (tuple of ints size, *, torch.Generator generator, Tensor out = None, ...)\n")  # fmt: skip
        kind = aval_of(out).dtype if out is not None and dtype is None else _kind(dtype)
        where = aval_of(out).device if out is not None and device is None else place(device)
        return _finish(name, draw(_size(args, size, name), kind, where, generator), out, dtype, requires_grad)

    def like(input: Tensor, *, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
             requires_grad: bool = False, memory_format: Any = None) -> Tensor:  # fmt: skip
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}_like(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        a = aval_of(input)
        if a.__class__ is SparseAval:
            return sparse_like(f"{name}_like", input, lambda values: like(values, generator=generator, dtype=dtype))
        shape, strides = like_layout(input, memory_format)
        t = laid_like(draw(shape, a.dtype if dtype is None else _kind(dtype), a.device if device is None else place(device), generator, strides), input)
        return require_grad(t) if requires_grad else t

    fn.__doc__, like.__doc__ = doc, f"``{name}`` of the shape, type, device and layout of ``input``."
    fn.__name__, like.__name__ = name, f"{name}_like"
    compose("torch", name=name)(fn)
    compose("torch", name=f"{name}_like")(like)


_plain("rand", _uniform, "A tensor of uniform numbers in [0, 1). NotImplementedError for integer types.")
_plain("randn", _normal, "A tensor of standard normal numbers; a complex one has variance 1/2 in each part.")


@compose("torch")
def randint(*args: Any, low: Any = None, high: Any = None, size: Any = None, generator: Any = None, out: Any = None, dtype: Any = None,
            layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Integers of [low, high): ``randint(high, size)`` or ``randint(low, high, size)``; int64 by default."""
    no_out(out)
    given = list(args)
    if size is None and given and (isinstance(given[-1], (tuple, list))):
        size = given.pop()
    if size is None or len(given) + (low is not None) + (high is not None) not in (1, 2):
        if len(given) >= 2 and size is None:
            raise TypeError(f"randint(): argument 'size' (position {len(given)}) must be tuple of ints, not {type(given[-1]).__name__}")
        shown = ", ".join(type(a).__name__ for a in args)
        raise TypeError(f"randint() received an invalid combination of arguments - got ({shown}), but expected one of:\n"
                        " * (int high, tuple of ints size, *, ...)\n * (int low, int high, tuple of ints size, *, ...)\n")  # fmt: skip
    if len(given) == 2:
        low, high = given
    elif given:
        low, high = (0, given[0]) if high is None and low is None else (given[0], high) if low is None else (low, given[0])
    a = _int("randint", "low", 1, 0 if low is None else low)
    b = _int("randint", "high", 1 if len(args) == 2 else 2, high)
    kind = aval_of(out).dtype if out is not None and dtype is None else _dtypes.int64 if dtype is None else _kind(dtype)
    t = _integers(_size((size,), None, "randint"), kind, place(device) if out is None else aval_of(out).device, generator, a, b)
    return _finish("randint", t, out, dtype, requires_grad)


@compose("torch")
def randint_like(input: Tensor, *args: Any, low: Any = None, high: Any = None, generator: Any = None, dtype: Any = None,
                 layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
                 memory_format: Any = None) -> Tensor:  # fmt: skip
    """``randint`` of the shape, type, device and layout of ``input``."""
    if not isinstance(input, Tensor):
        raise TypeError(f"randint_like(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if len(args) == 2:
        low, high = args
    elif args:
        low, high = (low, args[0]) if high is None else (args[0], high)
    a = aval_of(input)
    shape, strides = like_layout(input, memory_format)
    t = _integers(shape, a.dtype if dtype is None else _kind(dtype), a.device if device is None else place(device), generator,
                  _int("randint_like", "low", 2, 0 if low is None else low), _int("randint_like", "high", 2, high), strides)  # fmt: skip
    t = laid_like(t, input)
    return require_grad(t) if requires_grad else t


def _permutations(generator: Any, shape: Any, kind: Any, strides: Any) -> Any:
    """A permutation of the last dim for each of the others."""
    if len(shape) == 1:
        return S.randperm(generator, shape[0], kind)
    return np.stack([_permutations(generator, shape[1:], kind, None) for _ in range(shape[0])])


@compose("torch")
def randperm(n: int, *, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A random permutation of 0 .. n-1, int64 by default."""
    no_out(out)
    count = _int("randperm", "n", 1, n)
    if count < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {count}: [{count}]")
    kind = aval_of(out).dtype if out is not None and dtype is None else _dtypes.int64 if dtype is None else _kind(dtype)
    if kind is _dtypes.bool_ or kind.is_complex or kind in _dtypes.BARE_UNSIGNED or kind in _dtypes.FLOAT8:
        no_kernel("randperm", kind)
    if kind in _IS_FLOAT and count > (1 << _DIGITS[kind.name]) + 1:
        raise RuntimeError(f"n cannot be greater than {(1 << _DIGITS[kind.name]) + 1} for {kind.legacy} type.")
    if kind.category == 1 and count > int(np.iinfo(kind.np).max):
        raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")
    where = place(device) if out is None else aval_of(out).device
    t = fresh((count,), kind, where, generator, _permutations, ("permutation", 0, 0))
    return _finish("randperm", t, out, dtype, requires_grad)


# ---- in place ----------------------------------------------------------------------------------------------------------


def _named(kwargs: dict[str, Any], name: str, default: Any) -> Any:
    """``from=``, which Python cannot have as a parameter."""
    found = kwargs.pop(name, default)
    if kwargs:
        raise TypeError(f"got an unexpected keyword argument '{next(iter(kwargs))}'")
    return found


@compose("Tensor")
def uniform_(self: Tensor, *args: Any, to: Any = None, generator: Any = None, **kwargs: Any) -> Tensor:
    """Fill with uniform numbers of [from, to), default [0, 1)."""
    if len(args) > 2:
        raise TypeError(f"uniform_() takes from 0 to 2 positional arguments but {len(args)} were given")
    low = checked_number("uniform_", "from", float, args[0] if args else _named(kwargs, "from", 0.0), " (position 1)")
    high = checked_number("uniform_", "to", float, args[1] if len(args) > 1 else 1.0 if to is None else to, " (position 2)")
    _check_uniform(low, high, aval_of(self).dtype)
    return fill(self, "Uniform", generator, lambda g, s, d, st: S.uniform(g, s, d, low, high, st), ("uniform", low, high))


@compose("Tensor")
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal numbers."""
    mean, std = float(mean), float(std)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    needs_float("normal_kernel_cpu", aval_of(self).dtype, complex_too=True)
    return fill(self, "Normal", generator, lambda g, s, d, st: S.normal(g, s, d, mean, std, st), ("normal", mean, std))


@compose("Tensor")
def random_(self: Tensor, *args: Any, to: Any = None, generator: Any = None, **kwargs: Any) -> Tensor:
    """Fill with integers: of [0, largest of the type] (for floats [0, 2**mantissa]), of [0, to), or of [from, to)."""
    kind = aval_of(self).dtype
    start = _named(kwargs, "from", None)
    if len(args) > 2:
        raise TypeError(f"random_() takes 2 positional arguments but {len(args)} were given")
    if len(args) == 1 and start is None and to is None:
        start, to = 0, args[0]
    elif len(args) == 1:
        start = args[0] if start is None else start
    elif len(args) == 2:
        start, to = args
    for v in (start, to):
        if v is not None and (isinstance(v, bool) or not hasattr(v, "__index__")):
            raise TypeError(
                f"random_() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)}), "
                "but expected one of:\n"
                " * (*, torch.Generator generator = None)\n * (int from, int to, *, torch.Generator generator = None)\n"
                " * (int to, *, torch.Generator generator = None)\n"
            )
    if start is None and to is None:
        if kind.is_complex:
            no_kernel("random_kernel_cpu", kind)
        if kind in _IS_FLOAT:
            top = (1 << _DIGITS[kind.name]) + 1
        else:
            top = 2 if kind is _dtypes.bool_ else int(np.iinfo(kind.np).max) + 1
        return fill(self, "Random", generator, lambda g, s, d, st: S.random_full(g, s, d, st), ("integers", 0, min(top, 2**63 - 1)))
    low, high = _range(0 if start is None else int(start), None if to is None else int(to), kind)
    return fill(
        self, "Random", generator, lambda g, s, d, st: S.random_from_to(g, s, d, low, high, st), ("integers", low, min(high, 2**63 - 1))
    )


@compose("Tensor")
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with exponential numbers of rate ``lambd``."""
    lambd, kind = float(lambd), aval_of(self).dtype
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    if kind not in _IS_FLOAT:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {kind.legacy}"
        )
    return fill(self, "Exponential", generator, lambda g, s, d, st: S.exponential(g, s, d, lambd, st), ("exponential", lambd, 0))


@compose("Tensor")
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with the number of trials up to the first success of probability ``p``."""
    p, kind = float(p), aval_of(self).dtype
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    if kind.is_complex or kind is _dtypes.bool_:
        no_kernel("geometric_cpu", kind)
    return fill(self, "Geometric", generator, lambda g, s, d, st: S.geometric(g, s, d, p, st), ("geometric", p, 0))


@compose("Tensor")
def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
    """Fill with exponentials of normal numbers."""
    mean, std = float(mean), float(std)
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    needs_float("log_normal_cpu", aval_of(self).dtype)
    return fill(self, "LogNormal", generator, lambda g, s, d, st: S.log_normal(g, s, d, mean, std, st), ("log_normal", mean, std))


@compose("Tensor")
def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with Cauchy numbers."""
    median, sigma, kind = float(median), float(sigma), aval_of(self).dtype
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    if kind not in _IS_FLOAT:
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {_dtypes.C_NAMES[kind.name]}"
        )
    return fill(self, "Cauchy", generator, lambda g, s, d, st: S.cauchy(g, s, d, median, sigma, st), ("cauchy", median, sigma))
