"""Losses between an input and a target, element by element or class by class."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.checked_arguments import checked_number, tensor_argument
from jtorch._errors import warn
from jtorch._public import C_nn, F, torch

from .._reduction import chosen, get_enum, number

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "ctc_loss", "gaussian_nll_loss", "huber_loss", "kl_div",
    "l1_loss", "linear_cross_entropy", "mse_loss", "nll_loss", "poisson_nll_loss", "smooth_l1_loss",
]  # fmt: skip

Tensor = Any


def _reduce(loss: Tensor, reduction: int) -> Tensor:
    return loss if reduction == 0 else loss.mean() if reduction == 1 else loss.sum()


def _same_size(input: Tensor, target: Tensor, stacklevel: int = 3) -> tuple[Tensor, Tensor]:
    """Both broadcast to one shape, with torch's warning where they differ."""
    if target.size() == input.size():
        return input, target
    warn(
        f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
        "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
    )
    expanded = torch.broadcast_tensors(input, target)
    return expanded[0], expanded[1]


def _weighted(loss: Tensor, weight: Tensor | None, input: Tensor, reduction: str) -> Tensor:
    """``loss`` per element times weight; the mean divides by the weights' sum."""
    if weight is None:
        return _reduce(loss, get_enum(reduction))
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return torch.sum(loss)
    if reduction == "mean":
        return torch.sum(loss) / torch.sum(weight)
    raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``(input - target) ** 2``, reduced."""
    reduction = chosen(size_average, reduce, reduction)
    a, b = _same_size(input, target)
    if weight is not None:
        return _weighted(C_nn.mse_loss(a, b, 0), weight, input, reduction)
    return C_nn.mse_loss(a, b, get_enum(reduction))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``|input - target|``, reduced."""
    reduction = chosen(size_average, reduce, reduction)
    a, b = _same_size(input, target)
    return _weighted((a - b).abs(), weight, input, reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Quadratic within ``beta`` of the target, L1 beyond."""
    reduction = chosen(size_average, reduce, reduction)
    a, b = _same_size(input, target)
    if beta == 0.0:
        return _reduce((a - b).abs(), get_enum(reduction))
    return C_nn.smooth_l1_loss(a, b, get_enum(reduction), beta)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Quadratic within ``delta`` of the target, linear beyond."""
    a, b = _same_size(input, target)
    if weight is not None:
        return _weighted(C_nn.huber_loss(a, b, 0, delta), weight, input, reduction)
    return C_nn.huber_loss(a, b, get_enum(reduction), delta)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-input[i, target[i]]`` of log-probabilities (N, C), (C,) or (N, C, d1, ...)."""
    return _nll(input, target, weight, number(size_average, reduce, reduction), ignore_index)


def _nll(input: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> Tensor:
    dim = tensor_argument("nll_loss_nd", "input", 1, input).dim()
    tensor_argument("nll_loss_nd", "target", 2, target)
    if dim < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {dim})")
    if dim != 1 and input.size(0) != (target.size(0) if target.dim() else -1):
        if target.dim() == 0:
            raise IndexError("Dimension specified as 0 but tensor has no dimensions")
        raise ValueError(f"Expected input batch_size ({input.size(0)}) to match target batch_size ({target.size(0)}).")
    if dim <= 2:
        return C_nn.nll_loss(input, target, weight, reduction, ignore_index)
    if dim == 4 or target.shape == input.shape[:1] + input.shape[2:]:
        return C_nn.nll_loss2d(input, target, weight, reduction, ignore_index)
    wanted = [*input.shape[:1], *input.shape[2:]]
    raise RuntimeError(f"Expected target size {wanted}, got {list(target.shape)}")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Negative log-likelihood of the softmax of logits; targets are class indices, or probabilities of the input's shape."""
    mode = number(size_average, reduce, reduction)
    if label_smoothing.__class__ is not float or ignore_index.__class__ is not int:
        ignore_index = checked_number("cross_entropy_loss", "ignore_index", int, ignore_index, " (position 5)")
        label_smoothing = checked_number("cross_entropy_loss", "label_smoothing", float, label_smoothing, " (position 6)")
    tensor_argument("cross_entropy_loss", "input", 1, input)
    tensor_argument("cross_entropy_loss", "target", 2, target)
    if input.shape == target.shape and input.dim() > 0:
        if ignore_index >= 0 and target.is_floating_point():
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _cross_entropy_of_probabilities(input, target, weight, mode, label_smoothing)
    if label_smoothing > 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    classes = 0 if input.dim() == 1 else 1
    scores = input.log_softmax(classes)
    if label_smoothing <= 0.0:  # torch looks no further at a negative one
        return _nll(scores, target, weight, mode, ignore_index)
    return _smoothed(scores, target, weight, mode, ignore_index, label_smoothing, classes)


def _cross_entropy_of_probabilities(input: Tensor, target: Tensor, weight: Tensor | None, mode: int, smoothing: float) -> Tensor:
    if not (target.is_floating_point()):
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {target.dtype.legacy}")
    classes = 0 if input.dim() == 1 else 1
    n = input.size(classes)
    if weight is not None and (weight.dim() != 1 or weight.numel() != n):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {n} classes or no classes but got weight "
            f"tensor of shape: {list(weight.shape)}"
        )
    scores = input.log_softmax(classes)
    if smoothing > 0.0:
        if smoothing > 1.0:
            raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smoothing:g}")
        target = target * (1 - smoothing) + smoothing / n
    product = scores * target
    if weight is not None:
        product = product * weight.view([1 if i != classes else n for i in range(input.dim())])
    if mode == 1:
        return C_nn.div_by_count(-product.sum(), 1 if input.dim() == 1 else max(input.numel() // n, 1) if n else 1)
    return -product.sum() if mode == 2 else -product.sum(classes)


def _smoothed(
    scores: Tensor, target: Tensor, weight: Tensor | None, mode: int, ignore_index: int, smoothing: float, classes: int
) -> Tensor:
    nll = _nll(scores, target, weight, mode, ignore_index)
    n = scores.size(classes)
    if weight is not None:
        spread = -(scores * weight.view([1 if i != classes else n for i in range(scores.dim())])).sum(classes)
    else:
        spread = -scores.sum(classes)
    ignored = target == ignore_index
    spread = spread.masked_fill(ignored, 0.0)
    if mode == 0:
        smooth = spread
    elif mode == 2:
        smooth = spread.sum()
    elif weight is None:
        smooth = spread.sum() / (target.numel() - ignored.sum()) if target.numel() else spread.mean()
    else:
        picked = weight.gather(0, target.masked_fill(ignored, 0).flatten()).masked_fill(ignored.flatten(), 0)
        smooth = spread.sum() / picked.sum()
    return nll * (1 - smoothing) + smooth * (smoothing / n)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(target * log(input) + (1 - target) * log(1 - input))`` of probabilities."""
    mode = number(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is deprecated. Please "
            f"ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(torch.broadcast_shapes(tuple(target.shape), tuple(weight.shape)))
    return C_nn.binary_cross_entropy(input, target, weight, mode)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, from the logits."""
    mode = number(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    return torch.binary_cross_entropy_with_logits(input, target, weight, pos_weight, mode)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``target * (log(target) - input)``; ``batchmean`` divides the sum by the batch size."""
    if size_average is not None or reduce is not None:
        mode = number(size_average, reduce, reduction)
    elif reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
        )
        mode = 1
    else:
        mode = 2 if reduction == "batchmean" else get_enum(reduction)
    reduced = torch.kl_div(input, target, mode, log_target=log_target)
    return reduced / input.size(0) if reduction == "batchmean" and input.dim() != 0 else reduced


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of a Poisson distribution with mean ``exp(input)`` (or ``input``)."""
    reduction = chosen(size_average, reduce, reduction)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not a valid value for reduction")
    return torch.poisson_nll_loss(input, target, log_input, full, eps, get_enum(reduction))


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood of a normal distribution with mean ``input`` and variance ``var`` (at least ``eps``)."""
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * torch.ones_like(input)
    elif torch.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = torch.unsqueeze(var, -1)
        elif input.ndim != var.ndim or sum(v for n, v in zip(input.size(), var.size(), strict=True) if n != v) != 1:
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with torch.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (torch.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.9189385332046727  # log(2 * pi) / 2
    return _reduce(loss, get_enum(reduction))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification over log-probabilities (T, N, C) or (T, C)."""
    return torch.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, get_enum(reduction), zero_infinity)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """:func:`cross_entropy` of ``input @ linear_weight.T + linear_bias``.

    ``options`` tune torch's chunking, which one compiled program does not need.
    """
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    features = input.size(-1)
    if features != linear_weight.size(-1):
        raise RuntimeError(
            f"expected equal input and linear_weight last dimensions (in_features), got {features} and {linear_weight.size(-1)}, "
            f"respectively"
        )
    if linear_weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, (N, "
            f"{features}), got unbatched input "
            f"with shape {tuple(input.shape)}"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise RuntimeError(f"expected linear_bias shape {tuple(linear_weight.shape[:-1])}, got {tuple(linear_bias.shape)}")
    classes = linear_weight.size(0)
    scores = F.linear(input, linear_weight.flatten(0, -2), None if linear_bias is None else linear_bias.flatten())
    if linear_weight.dim() > 2:
        scores = scores.reshape(*input.shape[:-1], classes, *linear_weight.shape[1:-1])
    return cross_entropy(
        scores,
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )
