"""Cases for public classes of torch.nn that module_db does not have: constructor arguments and an input for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Case:
    """One construction and one call. ``train`` only: some classes have no eval difference worth a second run."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    input_kwargs: dict[str, Any] = field(default_factory=dict)


def _x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, requires_grad=True)


def _drop(*shape: int) -> Callable[[], list[Case]]:
    return lambda: [Case((0.3,), inputs=(_x(*shape),)), Case((), inputs=(_x(*shape),))]


def _shape(*args: Any, shape: tuple[int, ...]) -> Callable[[], list[Case]]:
    return lambda: [Case(args, inputs=(_x(*shape),))]


EXTRA: dict[str, Callable[[], list[Case]]] = {
    "nn.Identity": _shape(shape=(2, 3)),
    "nn.Flatten": lambda: [Case(inputs=(_x(2, 3, 4),)), Case((0, 1), inputs=(_x(2, 3, 4),))],
    "nn.Unflatten": _shape(1, (2, 3), shape=(4, 6)),
    "nn.Fold": _shape((4, 5), (2, 2), shape=(1, 12, 12)),
    "nn.Unfold": _shape((2, 2), shape=(1, 3, 4, 5)),
    "nn.Dropout": _drop(4, 5),
    "nn.Dropout1d": _drop(2, 3, 4),
    "nn.Dropout2d": _drop(2, 3, 4, 4),
    "nn.Dropout3d": _drop(2, 3, 2, 2, 2),
    "nn.AlphaDropout": _drop(4, 5),
    "nn.FeatureAlphaDropout": _drop(2, 3, 4),
    "nn.PixelShuffle": _shape(2, shape=(1, 8, 2, 3)),
    "nn.PixelUnshuffle": _shape(2, shape=(1, 2, 4, 6)),
    "nn.ChannelShuffle": _shape(2, shape=(1, 4, 2, 2)),
    "nn.Upsample": lambda: [
        Case(kwargs={"scale_factor": 2, "mode": "nearest"}, inputs=(_x(1, 2, 3, 4),)),
        Case(kwargs={"size": (5, 7), "mode": "bilinear", "align_corners": True}, inputs=(_x(1, 2, 3, 4),)),
    ],
    "nn.UpsamplingNearest2d": lambda: [Case(kwargs={"scale_factor": 2}, inputs=(_x(1, 2, 3, 4),))],
    "nn.UpsamplingBilinear2d": lambda: [Case(kwargs={"scale_factor": 2}, inputs=(_x(1, 2, 3, 4),))],
    "nn.MaxUnpool1d": lambda: [Case((2,), inputs=(_x(1, 2, 3), torch.tensor([[[0, 3, 4], [1, 2, 5]]])))],
    "nn.MaxUnpool2d": lambda: [Case((2,), inputs=(_x(1, 1, 2, 2), torch.tensor([[[[0, 3], [9, 15]]]])))],
    "nn.MaxUnpool3d": lambda: [Case((2,), inputs=(_x(1, 1, 1, 1, 2), torch.tensor([[[[[0, 3]]]]])))],
    "nn.AdaptiveLogSoftmaxWithLoss": lambda: [Case((8, 20, [5, 10]), inputs=(_x(6, 8), torch.tensor([0, 4, 7, 11, 19, 2])))],
    "nn.SyncBatchNorm": list,
    "nn.CrossMapLRN2d": _shape(3, shape=(1, 4, 3, 3)),
    "nn.RReLU": lambda: [Case(inputs=(_x(3, 4),))],
    "nn.Hardsigmoid": _shape(shape=(3, 4)),
    "nn.CosineSimilarity": lambda: [Case((1,), inputs=(_x(3, 4), _x(3, 4)))],
    "nn.PairwiseDistance": lambda: [Case((), inputs=(_x(3, 4), _x(3, 4)))],
    "nn.TripletMarginLoss": lambda: [Case(inputs=(_x(3, 4), _x(3, 4), _x(3, 4)))],
    "nn.TripletMarginWithDistanceLoss": lambda: [Case(inputs=(_x(3, 4), _x(3, 4), _x(3, 4)))],
    "nn.MultiLabelMarginLoss": lambda: [Case(inputs=(_x(2, 4), torch.tensor([[3, 0, -1, 1], [1, -1, 0, 0]])))],
    "nn.NLLLoss2d": list,
    "nn.EmbeddingBag": lambda: [
        Case((10, 3), {"mode": m}, inputs=(torch.tensor([1, 2, 4, 5, 4, 3]), torch.tensor([0, 4]))) for m in ("mean", "sum", "max")
    ],
    "nn.Sequential": lambda: [Case((torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)), inputs=(_x(5, 3),))],
    "nn.TransformerDecoder": lambda: [Case((torch.nn.TransformerDecoderLayer(8, 2, 16, 0.0), 2), inputs=(_x(3, 2, 8), _x(4, 2, 8)))],
    "nn.LazyLinear": lambda: [Case((4,), inputs=(_x(2, 3),))],
    "nn.LazyBatchNorm1d": lambda: [Case(inputs=(_x(4, 3, 2),))],
    "nn.LazyBatchNorm2d": lambda: [Case(inputs=(_x(4, 3, 2, 2),))],
    "nn.LazyBatchNorm3d": lambda: [Case(inputs=(_x(4, 3, 2, 2, 2),))],
    "nn.LazyInstanceNorm1d": lambda: [Case(inputs=(_x(4, 3, 5),))],
    "nn.LazyInstanceNorm2d": lambda: [Case(inputs=(_x(4, 3, 5, 2),))],
    "nn.LazyInstanceNorm3d": lambda: [Case(inputs=(_x(4, 3, 5, 2, 2),))],
}
