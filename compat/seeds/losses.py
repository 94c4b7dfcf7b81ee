# Losses: their reductions, the deprecated arguments of old code, label smoothing in three ways.
import warnings

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old = nn.KLDivLoss(size_average=False)
    print(old.reduction, [(w.category.__name__, str(w.message)) for w in caught])
new = nn.KLDivLoss(reduction="sum")
p, q = F.log_softmax(torch.randn(3, 4), 1), F.softmax(torch.randn(3, 4), 1)
print(old(p, q), new(p, q), torch.equal(old(p, q), new(p, q)))
print(nn.KLDivLoss(reduction="batchmean")(p, q), F.kl_div(p, q, reduction="none"))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(nn.KLDivLoss()(p, q), [str(w.message) for w in caught])


class LabelSmoothing(nn.Module):
    """Spreads part of the target's mass over the other classes; the padding class gets none."""

    def __init__(self, size, padding_idx, smoothing=0.0):
        super().__init__()
        self.criterion = nn.KLDivLoss(reduction="sum")
        self.size, self.padding_idx, self.smoothing = size, padding_idx, smoothing

    def forward(self, x, target):
        true = x.data.clone()
        true.fill_(self.smoothing / (self.size - 2))
        true.scatter_(1, target.data.unsqueeze(1), 1 - self.smoothing)
        true[:, self.padding_idx] = 0
        mask = torch.nonzero(target.data == self.padding_idx)
        if mask.dim() > 0:
            true.index_fill_(0, mask.squeeze(-1), 0.0)
        return self.criterion(x, true.clone().detach()), true


loss, spread = LabelSmoothing(5, 0, 0.4)(F.log_softmax(torch.randn(3, 5), -1), torch.tensor([2, 1, 0]))
print(loss, spread)

logits = torch.randn(4, 5, requires_grad=True)
target = torch.tensor([1, 0, 4, 2])
for s in (0.0, 0.1):
    value = nn.CrossEntropyLoss(label_smoothing=s)(logits, target)
    (grad,) = torch.autograd.grad(value, logits)
    print(value, grad)
print(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0]), ignore_index=4, reduction="none")(logits, target))
print(F.cross_entropy(logits, F.softmax(torch.randn(4, 5), 1)))
x, y = torch.randn(3, 2, requires_grad=True), torch.randn(3, 2)
print(nn.MSELoss()(x, y), F.mse_loss(x, y, reduction="sum"), nn.L1Loss()(x, y))
prob, bits = torch.sigmoid(torch.randn(4)), torch.tensor([0.0, 1.0, 1.0, 0.0])
print(nn.BCELoss()(prob, bits), F.binary_cross_entropy(prob, bits, reduction="none"))
print(nn.BCEWithLogitsLoss()(torch.logit(prob), bits), nn.NLLLoss()(F.log_softmax(logits, 1), target))
