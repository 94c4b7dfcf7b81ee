"""Which functions of torch.nn.functional a module's forward calls by name: a program that replaces one is seen there, and nowhere else."""

import torch
import torch.nn.functional as F
from torch import nn

calls: list[str] = []
depth = 0


def watched(name, fn):
    def call(*args, **kwargs):
        global depth
        if not depth:
            calls.append(name)
        depth += 1
        try:
            return fn(*args, **kwargs)
        finally:
            depth -= 1

    return call


def image(channels=4, size=8):
    return torch.rand(2, channels, size, size)


def row(n=6):
    return torch.rand(2, n)


MODULES = {
    "Linear": (lambda: nn.Linear(6, 3), row), "Bilinear": (lambda: nn.Bilinear(6, 6, 2), lambda: (row(), row())),
    "Conv1d": (lambda: nn.Conv1d(4, 2, 3), lambda: torch.rand(2, 4, 8)), "Conv2d": (lambda: nn.Conv2d(4, 2, 3), image), "Conv2d reflect": (lambda: nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"), image),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 3), image), "BatchNorm2d": (lambda: nn.BatchNorm2d(4), image), "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4), image),
    "LayerNorm": (lambda: nn.LayerNorm(6), row), "GroupNorm": (lambda: nn.GroupNorm(2, 4), image), "RMSNorm": (lambda: nn.RMSNorm(6), row), "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), image),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), image), "AvgPool2d": (lambda: nn.AvgPool2d(2), image), "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(2), image), "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(2), image),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), image), "Dropout": (lambda: nn.Dropout(), row), "Dropout2d": (lambda: nn.Dropout2d(), image), "AlphaDropout": (lambda: nn.AlphaDropout(), row),
    "Embedding": (lambda: nn.Embedding(5, 3), lambda: torch.tensor([1, 2])), "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 3), lambda: torch.tensor([[1, 2]])),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), image), "PixelShuffle": (lambda: nn.PixelShuffle(2), image), "Fold": (lambda: nn.Fold((4, 4), (2, 2), stride=2), lambda: torch.rand(1, 4, 4)), "Unfold": (lambda: nn.Unfold(2), image),
    "ZeroPad2d": (lambda: nn.ZeroPad2d(1), image), "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), image), "CosineSimilarity": (lambda: nn.CosineSimilarity(), lambda: (row(), row())), "PairwiseDistance": (lambda: nn.PairwiseDistance(), lambda: (row(), row())),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(6, 2, 8), lambda: torch.rand(3, 2, 6)), "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(6, 2, 8), lambda: (torch.rand(3, 2, 6), torch.rand(3, 2, 6))),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(6, 2), lambda: (torch.rand(3, 2, 6),) * 3),
    "AdaptiveLogSoftmaxWithLoss": (lambda: nn.AdaptiveLogSoftmaxWithLoss(6, 8, [3]), lambda: (row(), torch.tensor([1, 5]))),
}  # fmt: skip
for name in (
    "ReLU ReLU6 LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish Softplus Softshrink Hardshrink Hardtanh Hardswish Hardsigmoid LogSigmoid Tanhshrink Softsign Softmin Softmax "
    "LogSoftmax RReLU"
).split():
    MODULES[name] = (lambda kind=getattr(nn, name): kind(1) if kind in (nn.Softmin, nn.Softmax, nn.LogSoftmax) else kind(), row)
MODULES["Threshold"], MODULES["GLU"] = (lambda: nn.Threshold(0.1, 0.0), row), (lambda: nn.GLU(), row)
pair, classes = lambda: (row(), row()), lambda: (row(), torch.tensor([1, 2]))
for name, data in {
    "L1Loss": pair, "MSELoss": pair, "SmoothL1Loss": pair, "HuberLoss": pair, "BCELoss": pair, "BCEWithLogitsLoss": pair, "KLDivLoss": pair, "PoissonNLLLoss": pair,
    "SoftMarginLoss": lambda: (row(), row().sign()), "CrossEntropyLoss": classes, "NLLLoss": classes, "MultiMarginLoss": classes, "TripletMarginLoss": lambda: (row(), row(), row()),
    "CosineEmbeddingLoss": lambda: (row(), row(), torch.ones(2)), "MarginRankingLoss": lambda: (row(), row(), row().sign()), "HingeEmbeddingLoss": lambda: (row(), row().sign()),
    "GaussianNLLLoss": lambda: (row(), row(), row()), "MultiLabelSoftMarginLoss": lambda: (row(), row().round()),
}.items():  # fmt: skip
    MODULES[name] = (getattr(nn, name), data)

names = [n for n in dir(F) if not n.startswith("_") and callable(getattr(F, n)) and not isinstance(getattr(F, n), type) and getattr(getattr(F, n), "__module__", "") != "typing"]
skip = {"has_torch_function", "has_torch_function_unary", "has_torch_function_variadic", "handle_torch_function", "boolean_dispatch", "assert_int_or_pair"}
for kind, (make, data) in MODULES.items():
    torch.manual_seed(0)
    module, args = make(), data()
    originals = {n: getattr(F, n) for n in names if n not in skip}
    for n, fn in originals.items():
        setattr(F, n, watched(n, fn))
    calls.clear()
    try:
        module(*(args if isinstance(args, tuple) else (args,)))
    except NotImplementedError as error:
        calls.append(str(error))
    for n, fn in originals.items():
        setattr(F, n, fn)
    print(kind, sorted(set(calls)))
