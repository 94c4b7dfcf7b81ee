"""Products, convolutions, pools, normalisation, activations and losses as operators of torch's library."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jtorch import _dtypes, _types
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._namespace import torch
from jtorch.ops import aten

from .rules import RULES, each, rule, shape_of
from .rules_of_views import reshape, to


@rule("linear")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    shape = shape_of(input)
    if len(shape) == 2 and bias is not None:
        return aten.addmm.default(bias, input, aten.t.default(weight))
    if len(shape) <= 2 or bias is None:
        if len(shape) > 2:
            turned = aten.t.default(weight)
            flat = aten.view.default(input, [math.prod(shape[:-1]), shape[-1]])
            return aten._unsafe_view.default(aten.mm.default(flat, turned), [*shape[:-1], shape_of(turned)[1]])
        out = matmul(input, aten.t.default(weight))
        return out if bias is None else aten.add.Tensor(out, bias)
    flat = aten.view.default(input, [math.prod(shape[:-1]), shape[-1]])
    out = aten.addmm.default(bias, flat, aten.t.default(weight))
    return aten.view.default(out, [*shape[:-1], shape_of(weight)[0]])


@rule("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Any:
    a, b = shape_of(input), shape_of(other)
    if out is not None:
        return aten.matmul.out(input, other, out=out)
    if len(a) == 1 and len(b) == 1:
        return aten.dot.default(input, other)
    if len(a) == 2 and len(b) == 1:
        return aten.mv.default(input, other)
    if len(a) == 1 and len(b) == 2:
        return aten.squeeze_.dim(aten.mm.default(aten.unsqueeze.default(input, 0), other), 0)
    if len(a) == 2 and len(b) == 2:
        return aten.mm.default(input, other)
    if len(a) >= 3 and len(b) <= 2:  # the batch is rows of one product
        flat = reshape(input, [math.prod(a[:-1]), a[-1]])
        if len(b) == 1:
            return aten._unsafe_view.default(aten.mv.default(flat, other), [*a[:-1]])
        return aten._unsafe_view.default(aten.mm.default(flat, other), [*a[:-1], b[1]])
    if len(a) == 1:
        input, a = aten.unsqueeze.default(input, 0), (1, *a)
        dropped = -2
    elif len(b) == 1:
        other, b = aten.unsqueeze.default(other, 1), (*b, 1)
        dropped = -1
    else:
        dropped = 0
    batch = list(torch.broadcast_shapes(a[:-2], b[:-2]))
    n = math.prod(batch)
    left = reshape(aten.expand.default(input, [*batch, *a[-2:]]), [n, *a[-2:]], always=True)
    right = reshape(aten.expand.default(other, [*batch, *b[-2:]]), [n, *b[-2:]], always=True)
    made = aten.bmm.default(left, right)
    shape = [*batch, a[-2], b[-1]]
    if dropped:
        del shape[dropped]
    return aten._unsafe_view.default(made, shape)


def _pair(left: Tensor, right: Tensor, summed: set[int], n: int) -> Any:
    """Two operands that have the same dims (1 where one lacks it), multiplied and summed over some: one batched product."""
    a, b = shape_of(left), shape_of(right)
    early = lambda t, mine, other: [d for d in sorted(summed) if mine[d] != 1 and other[d] == 1]
    for d in early(left, a, b):
        left = aten.sum.dim_IntList(left, [d], True)
    for d in early(right, b, a):
        right = aten.sum.dim_IntList(right, [d], True)
    a, b = shape_of(left), shape_of(right)
    over = sorted(summed)
    both = [d for d in range(n) if d not in summed and a[d] != 1 and b[d] != 1]
    of_left = [d for d in range(n) if d not in summed and a[d] != 1 and b[d] == 1]
    of_right = [d for d in range(n) if d not in summed and a[d] == 1]
    size = lambda dims, shape: math.prod([shape[d] for d in dims])
    x = reshape(aten.permute.default(left, [*both, *of_left, *over, *of_right]), [size(both, a), size(of_left, a), size(over, a)])
    y = reshape(aten.permute.default(right, [*both, *over, *of_right, *of_left]), [size(both, b), size(over, b), size(of_right, b)])
    out_dims = [*both, *of_left, *over, *of_right]
    made = aten.view.default(aten.bmm.default(x, y), [1 if d in summed else (a[d] if a[d] != 1 else b[d]) for d in out_dims])
    return aten.permute.default(made, [out_dims.index(d) for d in range(n)])


@rule("einsum")
def einsum(equation: Any, *operands: Any) -> Any:
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or "." in equation or len(operands) != 2:
        return NotImplemented
    given, arrow, wanted = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != 2 or any(len(set(t)) != len(t) or len(t) != len(shape_of(x)) for t, x in zip(terms, operands, strict=True)):
        return NotImplemented
    letters = sorted(set(given) - {","})
    if not arrow:
        wanted = "".join(c for c in letters if given.count(c) == 1)
    order = [*wanted, *[c for c in letters if c not in wanted]]
    parts = []
    for term, x in zip(terms, operands, strict=True):
        missing = [c for c in order if c not in term]
        for _ in missing:
            x = aten.unsqueeze.default(x, len(shape_of(x)))
        have = [*term, *missing]
        parts.append(aten.permute.default(x, [have.index(c) for c in order]))
    summed = set(range(len(wanted), len(order)))
    if not summed:
        return aten.mul.Tensor(*parts)
    out = _pair(parts[0], parts[1], summed, len(order))
    return aten.view.default(out, [*shape_of(out)[: len(wanted)]])


@rule("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Any:
    return aten.mul.Tensor(aten.view.default(input, [shape_of(input)[0], 1]), vec2)


# --- convolutions, pools, normalisation ------------------------------------------------------------


def _convolution(n: int, transposed: bool) -> Callable[..., Any]:
    def run(input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any) -> Any:
        flat = len(shape_of(input)) == n + 1
        if flat:
            input = aten.unsqueeze.default(input, 0)
        if isinstance(padding, str):
            spans = [d * (k - 1) for d, k in zip(each(dilation, n), shape_of(weight)[2:], strict=True)]
            if padding == "same" and any(s % 2 for s in spans):
                input = aten.constant_pad_nd.default(input, [x for s in reversed(spans) for x in (0, s % 2)])
            padding = [s // 2 for s in spans] if padding == "same" else 0
        out = aten.convolution.default(input, weight, bias, each(stride, n), each(padding, n), each(dilation, n), transposed, each(output_padding, n), groups)
        return aten.squeeze.dim(out, 0) if flat else out

    if transposed:
        return lambda input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1: run(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return lambda input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1: run(input, weight, bias, stride, padding, 0, groups, dilation)


for _n in (1, 2, 3):
    RULES[f"conv{_n}d"] = _convolution(_n, False)
    RULES[f"conv_transpose{_n}d"] = _convolution(_n, True)


def _max_pool(n: int, indices: bool) -> Callable[..., Any]:
    def run(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
        given: list[Any] = [input, each(kernel_size, n)]
        rest = [[] if stride is None or stride == [] or each(stride, n) == given[1] else each(stride, n), each(padding, n), each(dilation, n), ceil_mode]
        defaults = [[], [0] * n, [1] * n, False]
        while rest and rest[-1] == defaults[len(rest) - 1]:
            rest.pop()
        if stride is not None and stride != [] and not rest:
            rest = [each(stride, n)]
        out = getattr(aten, f"max_pool{n}d_with_indices").default(*given, *rest)
        return out if indices or return_indices else out[0]

    return run


for _n in (2, 3):
    RULES[f"max_pool{_n}d"] = RULES[f"_max_pool{_n}d"] = _max_pool(_n, False)


@rule("adaptive_avg_pool2d")
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Any:
    size = [n if want is None else want for n, want in zip(shape_of(input)[-2:], each(output_size, 2) if output_size is not None else [None, None], strict=True)]
    if size == [1, 1]:
        return aten.mean.dim(input, [-1, -2], True)
    return aten._adaptive_avg_pool2d.default(input, size)


@rule("layer_norm")
def layer_norm(input: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: bool = True) -> Any:
    return aten.native_layer_norm.default(input, list(normalized_shape), weight, bias, eps)[0]


@rule("group_norm")
def group_norm(input: Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True) -> Any:
    n, c, *rest = shape_of(input)
    return aten.native_group_norm.default(input, weight, bias, n, c, math.prod(rest), num_groups, eps)[0]


def _batch_norm(input: Tensor, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float) -> Any:
    aten.empty.memory_format([0], dtype=_dtypes.uint8, layout=_types.CONSTANTS["strided"], device=aval_of(input).device)
    return aten.native_batch_norm.default(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


@rule("batch_norm")
def batch_norm(input: Tensor, first: Any = None, second: Any = None, third: Any = None, fourth: Any = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5, cudnn_enabled: Any = None, **named: Any) -> Any:
    if cudnn_enabled is not None:  # torch.batch_norm has the weight first, torch.nn.functional's the statistics
        return _batch_norm(input, first, second, third, fourth, training, momentum, eps)
    running_mean, running_var = named.get("running_mean", first), named.get("running_var", second)
    return _batch_norm(input, named.get("weight", third), named.get("bias", fourth), running_mean, running_var, training, momentum, eps)


# --- activations and losses ------------------------------------------------------------


def _softmax(which: str) -> Callable[..., Any]:
    def run(input: Tensor, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
        if isinstance(_stacklevel, _dtypes.dtype):
            dtype = _stacklevel
        if dim is None:
            dim = 0 if len(shape_of(input)) in (0, 1, 3) else 1
        if dtype is not None:
            input = to(input, dtype)
        return getattr(aten, which).default(input, dim, False)

    return run


RULES["softmax"], RULES["log_softmax"] = _softmax("_softmax"), _softmax("_log_softmax")
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def _reduction(reduction: Any) -> int:
    return reduction if isinstance(reduction, int) else _REDUCTIONS[reduction]


@rule("nll_loss", "nll_loss_nd")
def nll_loss(input: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None, reduction: Any = "mean") -> Any:
    dims = len(shape_of(input))
    if dims > 4 or dims == 3:
        return NotImplemented
    name = "nll_loss2d_forward" if dims == 4 else "nll_loss_forward"
    return getattr(aten, name).default(input, target, weight, _reduction(reduction), ignore_index)[0]


@rule("cross_entropy")
def cross_entropy(
    input: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None, reduction: Any = "mean",
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    if label_smoothing or shape_of(input) == shape_of(target) or size_average is not None or reduce is not None or len(shape_of(input)) not in (1, 2, 4):
        return NotImplemented
    scores = aten._log_softmax.default(input, 0 if len(shape_of(input)) == 1 else 1, False)
    return nll_loss(scores, target, weight, None, ignore_index, None, reduction)


def _loss(name: str, weighted: bool) -> Callable[..., Any]:
    def run(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Any:
        names = (["weight"] if weighted else []) + ["size_average", "reduce", "reduction"] + ([] if weighted else ["weight"])
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if given.get("size_average") is not None or given.get("reduce") is not None or (not weighted and given.get("weight") is not None):
            return NotImplemented
        reduction = _reduction(given.get("reduction", "mean"))
        if shape_of(input) != shape_of(target):
            input, target = torch.broadcast_tensors(input, target)
        rest: list[Any] = [given["weight"]] if weighted and given.get("weight") is not None else []
        if name == "binary_cross_entropy_with_logits" and given.get("pos_weight") is not None:
            rest = [given.get("weight"), given["pos_weight"]]
        if name == "l1_loss":
            gone = aten.abs.default(aten.sub.Tensor(input, target))
            return gone if reduction == 0 else aten.mean.default(gone) if reduction == 1 else aten.sum.default(gone)
        packet = getattr(aten, name)
        if reduction == 1:
            return packet.default(input, target, *rest)
        filled = {"binary_cross_entropy": 1, "binary_cross_entropy_with_logits": 2}.get(name, 0)
        return packet.default(input, target, *rest, *[None] * (filled - len(rest)), reduction)

    return run


for _name in ("mse_loss", "l1_loss"):
    RULES[_name] = _loss(_name, False)
for _name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
    RULES[_name] = _loss(_name, True)


@rule("dropout")
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, **named: Any) -> Any:
    training = named.get("train", training)
    if not training or p == 0:
        return input
    if p == 1 or inplace:
        return NotImplemented
    noise = aten.div_.Scalar(aten.bernoulli_.float(aten.empty_like.default(input), 1 - p), 1 - p)
    return aten.mul.Tensor(input, noise)


@rule("embedding")
def embedding(*args: Any, **kwargs: Any) -> Any:
    names = ["input", "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"]
    if len(args) > 1 and aval_of(args[0]).dtype.category >= 2:  # torch.embedding has the weight first
        names = ["weight", "input", "padding_idx", "scale_grad_by_freq", "sparse"]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if "indices" in given:
        given["input"] = given.pop("indices")
    if given.get("max_norm") is not None:
        return NotImplemented
    padding = given.get("padding_idx")
    if padding is not None and padding < 0 and padding != -1:
        padding += shape_of(given["weight"])[0]
    rest = [-1 if padding is None else padding, bool(given.get("scale_grad_by_freq")), bool(given.get("sparse"))]
    return aten.embedding.default(given["weight"], given["input"], *rest)


@rule("scaled_dot_product_attention")
def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False, scale: Any = None, enable_gqa: bool = False) -> Any:
    if len(shape_of(query)) != 4 or dropout_p or enable_gqa:
        return NotImplemented
    named = {k: v for k, v in (("attn_mask", attn_mask), ("scale", scale)) if v is not None}
    rest = [0.0, True] if is_causal else []
    return aten._scaled_dot_product_flash_attention_for_cpu.default(query, key, value, *rest, **named)[0]
