"""New tensors, arithmetic and reductions as operators of torch's library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch import _device, _dtypes, _types
from jtorch._core.dispatch.torch_function import passed
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._namespace import torch
from jtorch.ops import aten

from .rules import RULES, made, rule
from .rules_of_views import sizes_of


@rule("tensor", "scalar_tensor_")
def _tensor(data: Any, **named: Any) -> Any:
    requires_grad = named.pop("requires_grad", False)
    lifted = aten.lift_fresh.default(made(torch.tensor, data, **named))
    return torch.Tensor.requires_grad_(lifted) if requires_grad else lifted


def _options(named: dict[str, Any], default_device: bool = True) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if named.get("generator") is not None:
        out["generator"] = named["generator"]
    if named.get("dtype") is not None:
        out["dtype"] = _dtypes.OF_CLASS.get(named["dtype"], named["dtype"])
    if named.get("layout") is not None and named["layout"].name != "strided" if hasattr(named.get("layout"), "name") else False:
        out["layout"] = named["layout"]
    where = named.get("device")
    if where is not None or default_device:
        out["device"] = _device.device(where) if where is not None else torch.get_default_device()
    out["pin_memory"] = bool(named.get("pin_memory", False))
    if named.get("memory_format") is not None:
        out["memory_format"] = named["memory_format"]
    return out


def _grown(new: Any, named: dict[str, Any]) -> Any:
    return torch.Tensor.requires_grad_(new) if named.get("requires_grad") else new


def _creation(name: str, overload: str, *fixed: str) -> Callable[..., Any]:
    def run(*args: Any, **named: Any) -> Any:
        if named.get("out") is not None or named.get("names") is not None:
            return NotImplemented
        first = [args[i] if i < len(args) else named[n] for i, n in enumerate(fixed)]
        size = sizes_of(args[len(fixed) :], named, "size")
        op = getattr(getattr(aten, name), "generator" if named.get("generator") is not None and overload == "default" else overload)
        return _grown(op(*first, size, **_options(named)), named)

    return run


for _name, _overload in (("zeros", "default"), ("ones", "default"), ("empty", "memory_format"), ("rand", "default"), ("randn", "default")):
    RULES[_name] = _creation(_name, _overload)


@rule("full")
def _full(size: Any, fill_value: Any, **named: Any) -> Any:
    if named.get("out") is not None:
        return NotImplemented
    return _grown(aten.full.default(sizes_of((size,), {}), fill_value, **_options(named)), named)


@rule("randint")
def _randint(*args: Any, **named: Any) -> Any:
    order = ["low", "high", "size"] if len(args) > 2 or ("size" in named and len(args) == 2) or "low" in named else ["high", "size"]
    given = {**dict(zip(order, args, strict=False)), **named}
    if given.get("out") is not None or given.get("generator") is not None:
        return NotImplemented
    size = sizes_of((given["size"],), {})
    drawn = aten.randint.low(given["low"], given["high"], size, **_options(given)) if "low" in given else aten.randint.default(given["high"], size, **_options(given))
    return _grown(drawn, given)


@rule("arange")
def _arange(*args: Any, **named: Any) -> Any:
    order = ["end"] if len(args) == 1 and "end" not in named else ["start", "end", "step"]
    given = {**dict(zip(order, args, strict=False)), **named}
    if given.get("out") is not None:
        return NotImplemented
    start, end, step = given.get("start", 0), given["end"], given.get("step", 1)
    options = _options(given)
    if "step" in given and step != 1:
        return _grown(aten.arange.start_step(start, end, step, **options), given)
    return _grown(aten.arange.start(start, end, **options) if "start" in given else aten.arange.default(end, **options), given)


def _counted(name: str, overload: str, *order: str) -> Callable[..., Any]:
    def run(*args: Any, **named: Any) -> Any:
        given = {**dict(zip(order, args, strict=False)), **named}
        if given.get("out") is not None:
            return NotImplemented
        values = [given[n] for n in order if n in given]
        if name == "eye" and len(values) == 2:
            return _grown(aten.eye.m(*values, **_options(given)), given)
        op = getattr(getattr(aten, name), "generator" if given.get("generator") is not None else overload)
        return _grown(op(*values, **_options(given)), given)

    return run


RULES["linspace"] = _counted("linspace", "default", "start", "end", "steps")
RULES["logspace"] = _counted("logspace", "default", "start", "end", "steps", "base")
RULES["eye"] = _counted("eye", "default", "n", "m")
RULES["randperm"] = _counted("randperm", "default", "n")


def _like(name: str, *more: str) -> Callable[..., Any]:
    def run(input: Tensor, *args: Any, **named: Any) -> Any:
        values = [args[i] if i < len(args) else named[n] for i, n in enumerate(more)]
        if name == "randint_like":
            return NotImplemented
        return _grown(getattr(aten, name).default(input, *values, **_options(named, False)), named)

    return run


for _name in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"):
    RULES[_name] = _like(_name)
RULES["full_like"] = _like("full_like", "fill_value")


def _new(name: str) -> Callable[..., Any]:
    def run(input: Tensor, *args: Any, **named: Any) -> Any:
        more: list[Any] = []
        if name == "new_full":
            more = [args[1] if len(args) > 1 else named["fill_value"]]
            args = args[:1]
        return _grown(getattr(aten, name).default(input, sizes_of(args, named, "size"), *more, **_options(named, False)), named)

    return run


for _name in ("new_zeros", "new_ones", "new_empty", "new_full"):
    RULES[_name] = _new(_name)


# --- arithmetic and reductions ------------------------------------------------------------


def _dunder(name: str) -> Callable[..., Any]:
    return lambda a, b: getattr(torch, name)(a, b)


for _dunder_name, _public in {
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge", "__and__": "bitwise_and", "__or__": "bitwise_or", "__xor__": "bitwise_xor",
    "__rand__": "bitwise_and", "__ror__": "bitwise_or", "__rxor__": "bitwise_xor", "__lshift__": "bitwise_left_shift", "__rshift__": "bitwise_right_shift",
    "__floordiv__": "floor_divide", "__rsub__": "rsub", "__pow__": "pow", "__mod__": "remainder", "__truediv__": "div", "__add__": "add", "__sub__": "sub", "__mul__": "mul",
}.items():  # fmt: skip
    RULES[_dunder_name] = _dunder(_public)
for _dunder_name, _public in {"__rpow__": "pow", "__rfloordiv__": "floor_divide", "__rmod__": "remainder", "__rlshift__": "bitwise_left_shift", "__rrshift__": "bitwise_right_shift"}.items():
    RULES[_dunder_name] = lambda a, b, name=_public: getattr(torch, name)(b, a)
for _dunder_name, _public in {"__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_", "__ipow__": "pow_", "__ifloordiv__": "floor_divide_", "__imod__": "remainder_"}.items():
    RULES[_dunder_name] = lambda a, b, name=_public: getattr(a, name)(b)
for _dunder_name, _public in {"__invert__": "bitwise_not", "__neg__": "neg", "__abs__": "abs", "__pos__": "positive"}.items():
    RULES[_dunder_name] = lambda a, name=_public: getattr(torch, name)(a)


@rule("__rdiv__", "__rtruediv__")
def _divided(input: Tensor, other: Any) -> Any:
    return aten.mul.Tensor(aten.reciprocal.default(input), other)


@rule("square")
def _square(input: Tensor) -> Any:
    return aten.pow.Tensor_Scalar(input, 2)


for _alias, _public in {"clip": "clamp", "absolute": "abs", "negative": "neg", "greater": "gt", "less": "lt", "not_equal": "ne", "greater_equal": "ge", "less_equal": "le", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "fix": "trunc", "concat": "cat", "concatenate": "cat", "inverse": "linalg_inv"}.items():
    RULES[_alias] = lambda *args, name=_public, **kwargs: getattr(torch, name)(*args, **kwargs)


def _spread(name: str) -> Callable[..., Any]:
    def run(input: Tensor, dim: Any = None, *args: Any, **named: Any) -> Any:
        if args:
            return NotImplemented
        if isinstance(dim, bool):
            named["unbiased"], dim = dim, None
        named = {{"keepdims": "keepdim", "axis": "dim"}.get(k, k): v for k, v in named.items()}
        dim = named.pop("dim", dim)
        given: dict[str, Any] = {}
        if "unbiased" in named:
            given["correction"] = int(named["unbiased"])
        elif "correction" in named:
            given["correction"] = named["correction"]
        elif dim is not None:
            given["correction"] = 1
        if named.get("keepdim"):
            given["keepdim"] = True
        op = getattr(aten, name).correction
        return op(input, **given) if dim is None else op(input, [dim] if isinstance(dim, int) else list(dim), **given)

    return run


RULES["std"], RULES["var"] = _spread("std"), _spread("var")


@rule("norm")
def _norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None, out: Any = None) -> Any:
    if out is not None or dtype is not None or not (p == "fro" or isinstance(p, (int, float))):
        return NotImplemented
    args: list[Any] = [] if p == "fro" else [p]
    if dim is not None:
        args = [args[0] if args else 2, [dim] if isinstance(dim, int) else list(dim)] + ([True] if keepdim else [])
    return aten.linalg_vector_norm.default(input, *args)


for _name in ("max", "min"):
    RULES[_name] = lambda *args, name=_name, **named: getattr(torch, f"{name}imum")(*args) if len(args) == 2 and isinstance(args[1], Tensor) and not named else NotImplemented


@rule("where")
def _where(condition: Tensor, input: Any = None, other: Any = None, **named: Any) -> Any:
    input, other = named.get("self", input), named.get("other", other)
    if input is None or (not isinstance(input, Tensor) and not isinstance(other, Tensor)):
        return NotImplemented
    kind = aval_of(input if isinstance(input, Tensor) else other)
    full = lambda x: x if isinstance(x, Tensor) else aten.scalar_tensor.default(x, dtype=kind.dtype, layout=_types.CONSTANTS["strided"], device=kind.device)
    return aten.where.self(condition, full(input), full(other))


@rule("backward")
def _backward(input: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None) -> Any:
    return passed(torch.Tensor.backward, (input,), {"gradient": gradient, "retain_graph": retain_graph, "create_graph": create_graph, "inputs": inputs})
