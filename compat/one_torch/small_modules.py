"""Modules of torch.utils that programs import: deterministic, weak, data.graph, set_module; and torch.__version__."""

import warnings

warnings.simplefilter("ignore")
import torch
import torch.autograd.anomaly_mode
import torch.utils.deterministic
from torch.torch_version import TorchVersion
from torch.utils.data import IterDataPipe
from torch.utils.data.graph import traverse, traverse_dps
from torch.utils.weak import TensorWeakRef, WeakIdKeyDictionary, WeakTensorKeyDictionary

print(torch.utils.deterministic.fill_uninitialized_memory, torch.autograd.anomaly_mode.detect_anomaly is torch.autograd.detect_anomaly)
V = TorchVersion
for a in ("2.13.0", "2.4", "1.13.1+cpu", "2.0.0a0", "2.0.0rc1", "2.1.0.dev2023", "2.1.0.post1"):
    for b in ("2.0", "2.13", "1.13.1", (2, 0), (2, 4, 0), "2.1"):
        print(a, b, V(a) < b, V(a) <= b, V(a) > b, V(a) >= b, V(a) == b, V(a) != b)
print(isinstance(torch.__version__, (str, TorchVersion)), torch.__version__ >= "2.4", torch.__version__ > (2, 4), torch.__version__.startswith("2.13"))

for kind in (WeakTensorKeyDictionary, WeakIdKeyDictionary):
    a, b = torch.ones(2), torch.ones(2)
    d = kind({a: 1})
    d[b] = 2
    print(len(d), a in d, torch.ones(2) in d, d[a], d.get(b), sorted(d.values()), sum(k.sum().item() for k in d))
    del b
    print(len(d), list(d.items())[0][1], d.pop(a), len(d))
a = torch.ones(2)
r = TensorWeakRef(a)
print(r() is a)
del a

def shape(g):
    return [(type(p).__name__.replace("IterDataPipe", ""), shape(below)) for p, below in g.values()]

class Source(IterDataPipe):
    def __iter__(self):
        return iter([1, 2])

source = Source()
print(len(shape(traverse_dps(source))), len(shape(traverse(source, only_datapipe=True))))
chained = source.map(str).batch(2).shuffle()
deep, at = 0, traverse_dps(chained)
while at:
    deep, (key, (pipe, at)) = deep + 1, next(iter(at.items()))
    assert key == id(pipe)
print(deep, pipe is source)
try:
    traverse_dps([1])
except RuntimeError as e:
    print(str(e)[:40])

class C: pass
torch.utils.set_module(C, "somewhere")
print(C.__module__)
try:
    torch.utils.set_module(C, 3)
except TypeError as e:
    print(e)
