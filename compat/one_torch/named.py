"""Names that objects carry, what inspect and typing find by them, and pickles that name them."""

import importlib.metadata
import inspect
import pickle
import pickletools
import sys
import typing

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

print(torch.__name__, torch.torch is torch, sys.modules["torch"] is torch, torch.__package__ is not None)
for path in (
    "torch.nn torch.nn.functional torch.linalg torch.fft torch.special torch.optim torch.optim.lr_scheduler torch.utils torch.utils.data torch.autograd torch.nn.init "
    "torch.nn.modules.linear torch.nn.modules.module torch.distributions torch.cuda torch.random torch.serialization torch.utils.data.dataloader torch.nn.utils.rnn torch.functional"
).split():
    __import__(path)
    module = sys.modules[path]
    print(module.__name__, module is eval(path), inspect.ismodule(module), bool(module.__file__))
print(importlib.metadata.version("torch").split("+")[0], torch.__version__.split("+")[0])


def subclasses(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


for kind in sorted({k for k in subclasses(nn.Module) if k.__module__.startswith("torch.nn.modules.") and getattr(nn, k.__name__, None) is k and k.__name__ not in ("Container", "NLLLoss2d")} | {nn.Module}, key=lambda k: k.__name__):
    hints = typing.get_type_hints(kind)
    print(kind.__module__.split("._")[0], kind.__qualname__, inspect.isclass(kind), isinstance(hints, dict), "training" in hints, list(inspect.signature(kind).parameters))
for fn in (F.relu, F.dropout, F.cross_entropy, F.multi_head_attention_forward, F.interpolate, nn.init.xavier_uniform_, nn.utils.clip_grad_norm_, torch.save, torch.manual_seed, torch.utils.data.random_split):
    print(fn.__module__, fn.__qualname__, inspect.isfunction(fn), "def " in inspect.getsource(fn), inspect.getmodule(fn).__name__)
for kind in (nn.Linear, nn.LSTM, nn.Conv2d, nn.Module, nn.MultiheadAttention, torch.optim.Adam, torch.optim.SGD, torch.optim.lr_scheduler.StepLR, torch.no_grad, torch.storage.UntypedStorage, DataLoader, torch.distributions.Normal, nn.Sequential, nn.Parameter, torch.autograd.Function):
    print(kind.__module__, kind.__qualname__, f"class {kind.__name__}" in inspect.getsource(kind), inspect.getmodule(kind).__name__)
print(inspect.getsource(nn.Linear.forward).strip().startswith("def forward"))

for value in (F.relu, nn.Linear, torch.float32, nn.Module, torch.Size([2]), torch.device("cpu"), torch.optim.Adam, nn.init.ones_, torch.Tensor, nn.ReLU()):
    text = pickle.dumps(value, 2)
    named = {a.replace("\n", " ").replace(" ", ".") for op, a, _ in pickletools.genops(text) if op.name == "GLOBAL"}
    print(sorted(n for n in named if n.startswith("torch") and "VariableFunctions" not in n), pickle.loads(text) is value or type(pickle.loads(text)) is type(value))
print(repr(nn.Linear), repr(torch.Tensor), repr(type(torch.ones(1))), repr(torch.dtype), type(torch.optim.Adam([torch.ones(1, requires_grad=True)], 0.1)))
print(next(iter(DataLoader(TensorDataset(torch.arange(3)), batch_size=3)))[0].tolist())

import torch.cuda
import torch.distributed

print([m.__name__ for m in (torch.distributed.device_mesh, torch.distributed.distributed_c10d, torch.fx.passes, torch.jit._recursive, torch.nn.quantized, torch.cuda.nccl)], hasattr(torch.nn, "no_such_part"))
