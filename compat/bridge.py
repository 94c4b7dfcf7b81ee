"""Carries values, functions and names from real torch to jtorch, so that one test program runs under both.

``translate`` works on anything that op_db hands out: tensors (strides, 0-dim, requires_grad, shared identity kept), dtypes,
containers, and functions. A torch function is found again by its public path; a Python function of torch's test suite
(``lambda x, *a: x.expand(*a)``) is rebuilt over the same code with its globals and closure translated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import dis
import enum
import functools
import importlib
import os
import types
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch

SPACES = (
    "", "nn.functional", "linalg", "fft", "special", "masked", "signal.windows", "Tensor", "nested", "sparse", "nn", "nn.init",
    "nn.utils.rnn", "nn.parameter", "optim", "_C._nn", "_C._VariableFunctions", "distributions", "utils.data",
)  # fmt: skip

_EXTENDED = {
    torch.bfloat16: (torch.int16, ml_dtypes.bfloat16),
    torch.float8_e4m3fn: (torch.int8, ml_dtypes.float8_e4m3fn),
    torch.float8_e5m2: (torch.int8, ml_dtypes.float8_e5m2),
    torch.float8_e4m3fnuz: (torch.int8, ml_dtypes.float8_e4m3fnuz),
    torch.float8_e5m2fnuz: (torch.int8, ml_dtypes.float8_e5m2fnuz),
}

# torch.manual_seed keeps a formatted stack (3 ms, and memory) for each kind of device that is never initialised here.
for _module in (torch.cuda.random, torch.xpu.random, torch.mtia):
    vars(_module)["_lazy_call"] = lambda *args, **kwargs: None


class Missing(Exception):
    """jtorch has no such name."""


@functools.cache
def jtorch() -> Any:
    """The library under test. ``COMPAT_AGAINST=torch`` runs torch against itself, which tests the harness."""
    return importlib.import_module(os.environ.get("COMPAT_AGAINST", "jtorch"))


@functools.cache
def paths() -> dict[Any, str]:
    """Every public callable of torch by identity: ``{torch.add: "add", torch.Tensor.add: "Tensor.add", ...}``."""
    found: dict[Any, str] = {}
    for space in SPACES:
        try:
            owner = functools.reduce(getattr, filter(None, space.split(".")), torch)
        except AttributeError:
            continue
        public = space.replace("_C._nn", "nn.functional").replace("_C._VariableFunctions", "")
        for name in dir(owner):
            value = getattr(owner, name, None)
            if callable(value) and getattr(value, "__hash__", None):
                with contextlib.suppress(TypeError):
                    found.setdefault(value, f"{public}.{name}" if public else name)
    found[torch.nn.functional.threshold] = "nn.functional.threshold"
    return found


def resolve(path: str) -> Any:
    """``resolve("linalg.det")`` in jtorch; :class:`Missing` says which part is not there."""
    value = jtorch()
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except (AttributeError, NotImplementedError) as e:
            raise Missing(f"jtorch.{path}") from e
    return value


def _names_in(code: types.CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names |= _names_in(const)
    return names


class Translator:
    """One translation: the same torch object always becomes the same jtorch object."""

    def __init__(self, grad: bool = True) -> None:
        self.memo: dict[int, tuple[Any, Any]] = {}
        self.grad = grad

    def __call__(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic, np.ndarray, range)):
            return value
        known = self.memo.get(id(value))
        if known is not None:
            return known[1]
        result = self._translate(value)
        self.memo[id(value)] = (value, result)  # the original is kept alive so that its id stays its own
        return result

    def _translate(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return tensor(value, self.grad)
        if isinstance(value, torch.dtype):
            return resolve(str(value).removeprefix("torch."))
        if isinstance(value, torch.Size):
            return resolve("Size")(value)
        if isinstance(value, torch.device):
            return resolve("device")(str(value))
        if isinstance(value, (torch.layout, torch.memory_format)):
            return resolve(str(value).removeprefix("torch."))
        if isinstance(value, torch.Generator):
            made = resolve("Generator")()
            made.manual_seed(value.initial_seed())
            return made
        if isinstance(value, tuple):
            items = [self(v) for v in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if isinstance(value, list):
            return [self(v) for v in value]
        if isinstance(value, dict):
            return {self(k): self(v) for k, v in value.items()}
        if isinstance(value, slice):
            return slice(self(value.start), self(value.stop), self(value.step))
        if isinstance(value, functools.partial):
            return functools.partial(self(value.func), *map(self, value.args), **{k: self(v) for k, v in value.keywords.items()})
        if (isinstance(value, enum.Enum) or hasattr(type(value), "__members__")) and type(value).__module__.startswith("torch."):
            return getattr(self._class(type(value)), value.name)
        if isinstance(value, torch.nn.Module):
            made = self._class(type(value)).__new__(self._class(type(value)))
            resolve("nn.Module").__init__(made)
            own = ("_parameters", "_buffers", "_modules")
            vars(made).update({k: self(v) for k, v in vars(value).items() if not k.startswith("_") or k not in vars(made)})
            for k in own:
                vars(made)[k].update({n: self(v) for n, v in vars(value)[k].items()})
            return made
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith("torch.nn"):
            fields = {f.name: self(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
            return self._class(type(value))(**fields)
        return self.function(value)

    @staticmethod
    def _class(kind: type) -> Any:
        """jtorch's class: by its public path, else by the module that defines it."""
        public = next((f"nn.functional.{n}" for n in (kind.__name__.lstrip("_"),) if kind.__module__ == "torch.nn.functional" or kind.__name__.startswith("_")), None)
        for path in (paths().get(kind), public, f"{kind.__module__.removeprefix('torch.')}.{kind.__qualname__}"):
            with contextlib.suppress(Missing):
                if path:
                    return resolve(path)
        raise Missing(f"jtorch's {kind.__module__}.{kind.__qualname__}")

    def function(self, value: Any) -> Any:
        """A module, class or function of torch as jtorch's; what has nothing to do with torch stays as it is."""
        if isinstance(value, types.ModuleType):
            if value is torch:
                return jtorch()
            return resolve(value.__name__.removeprefix("torch.")) if value.__name__.startswith("torch.") else value
        with contextlib.suppress(TypeError):
            if value in _SPECIAL:
                return _SPECIAL[value]
            if (path := paths().get(value)) is not None:
                return resolve(path)
        if isinstance(value, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
            return resolve("ops." + str(value))
        if isinstance(value, types.FunctionType) and value.__module__.startswith("torch.testing"):
            return self._rebuild(value)
        module = getattr(value, "__module__", None) or ""
        if module.startswith("torch.testing"):  # op_db's own records
            return value
        if module.partition(".")[0] == "torch":
            name = getattr(value, "__qualname__", None) or getattr(value, "__name__", repr(value))
            return resolve(f"{value.__module__.removeprefix('torch').lstrip('.')}.{name}".lstrip("."))
        return value

    def _rebuild(self, fn: types.FunctionType) -> Callable[..., Any]:
        scope: dict[str, Any] = {"__builtins__": __builtins__, "__name__": fn.__module__}
        for name in _names_in(fn.__code__):
            if name in fn.__globals__:
                scope[name] = self(fn.__globals__[name])
        cells = tuple(types.CellType(self(c.cell_contents)) for c in fn.__closure__ or ())
        result = types.FunctionType(fn.__code__, scope, fn.__name__, self(fn.__defaults__), cells or None)
        result.__kwdefaults__ = self(fn.__kwdefaults__)
        return result


@contextlib.contextmanager
def _freeze_rng_state() -> Iterator[None]:
    j = jtorch()
    state = j.get_rng_state()
    try:
        yield
    finally:
        j.set_rng_state(state)


def _wrapper_set_seed(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with _freeze_rng_state():
        jtorch().manual_seed(42)
        return op(*args, **kwargs)


def _specials() -> dict[Any, Any]:
    from torch.testing._internal import common_methods_invocations, common_utils

    return {
        common_utils.freeze_rng_state: _freeze_rng_state,
        common_methods_invocations.wrapper_set_seed: _wrapper_set_seed,
    }


_SPECIAL: dict[Any, Any] = _specials()


def to_numpy(t: torch.Tensor) -> np.ndarray:
    """A real torch tensor as an array with the same strides where numpy can say it, its own memory, extended dtypes included."""
    t = t.detach().resolve_conj().resolve_neg()
    if t.dtype in _EXTENDED:
        carrier, kind = _EXTENDED[t.dtype]
        return t.view(carrier).numpy().copy(order="K").view(kind)
    return t.numpy().copy(order="K")


def tensor(t: torch.Tensor, grad: bool = True) -> Any:
    """A real torch tensor as a jtorch one: own memory, same strides (expanded and offset ones included), dtype and requires_grad."""
    j = jtorch()
    if t.layout != torch.strided:
        if t.layout == torch.sparse_coo:
            parts = (tensor(t._indices(), False), tensor(t._values(), False))
            made = j.sparse_coo_tensor(*parts, tuple(t.shape), is_coalesced=t.is_coalesced())
        else:
            by_row = t.layout in (torch.sparse_csr, torch.sparse_bsr)
            indices = (t.crow_indices(), t.col_indices()) if by_row else (t.ccol_indices(), t.row_indices())
            layout = getattr(j, str(t.layout).removeprefix("torch."))
            made = j.sparse_compressed_tensor(*[tensor(i, False) for i in indices], tensor(t.values(), False), tuple(t.shape), layout=layout)
        return made.requires_grad_() if grad and t.requires_grad else made
    if t.dtype == torch.complex32:
        return tensor(t.detach().to(torch.complex64)).to(j.complex32).requires_grad_(grad and t.requires_grad)
    dense = t.is_contiguous() or t.numel() == 0
    if dense or sorted(t.stride()) != sorted(torch.empty(t.shape).stride()):
        span = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) if t.numel() else 0
        if dense:
            made = _from_array(to_numpy(t.contiguous()))
        else:
            made = j.as_strided(_from_array(to_numpy(torch.as_strided(t.detach(), (span,), (1,)))), tuple(t.shape), tuple(t.stride()))
    else:  # a permutation of dense memory
        order = sorted(range(t.dim()), key=lambda d: -t.stride(d))
        made = _from_array(to_numpy(t.permute(order).contiguous())).permute([order.index(d) for d in range(t.dim())])
    if isinstance(t, torch.nn.Parameter):
        return j.nn.Parameter(made.detach(), requires_grad=t.requires_grad)
    made = made.detach()
    return made.requires_grad_() if grad and t.requires_grad else made


def _from_array(a: np.ndarray) -> Any:
    j = jtorch()
    for carrier, kind in _EXTENDED.values():
        if a.dtype == kind:
            name = {v[1]: str(k) for k, v in _EXTENDED.items()}[kind].removeprefix("torch.")
            bits = j.from_numpy(a.view(str(carrier).removeprefix("torch.")))
            return bits.view(getattr(j, name)).clone()  # memory of its own type, so that it can be strided
    return j.from_numpy(a)


def back(t: Any) -> np.ndarray:
    """A jtorch tensor as an array (bfloat16 and float8 widened to float32, which is exact)."""
    t = t.detach()
    if str(t.layout) != "torch.strided":
        t = t.to_dense()
    if str(t.dtype).removeprefix("torch.").startswith(("bfloat16", "float8")):
        t = t.to(jtorch().float32)
    if str(t.dtype) == "torch.complex32":
        t = t.to(jtorch().complex64)
    if jtorch() is torch:
        return forth(t)
    return np.asarray(t.resolve_conj().resolve_neg().numpy() if t.dtype.is_complex else t.numpy())


def forth(t: torch.Tensor) -> np.ndarray:
    """A real torch tensor as an array of the same kinds as :func:`back` gives."""
    t = t.detach()
    if t.layout != torch.strided:
        t = t.to_dense()
    if torch._is_zerotensor(t):
        t = torch.zeros(t.shape, dtype=t.dtype)
    if t.dtype in _EXTENDED:
        t = t.to(torch.float32)
    if t.dtype == torch.complex32:
        t = t.to(torch.complex64)
    return t.resolve_conj().resolve_neg().numpy()
