"""Data pipes in a loader: seeds, orders, and what pipes and loaders tell of themselves."""

import warnings

import torch
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper, Shuffler

warnings.simplefilter("ignore")
torch.manual_seed(3)
p = IterableWrapper(range(10)).shuffle(buffer_size=4).map(str).batch(3)
for _ in range(2):
    print(list(DataLoader(p, batch_size=None)))
print(torch.rand(1))
p = Shuffler(IterableWrapper(range(6)))
print(list(p), list(DataLoader(p, batch_size=2)), torch.rand(1))
it = iter(DataLoader(p, batch_size=2))
print(it._shared_seed, it._world_size, it._rank, it._profile_name, it._pg)
print(p.set_seed(4) is p and list(p) if hasattr(p, "set_seed") else None)
print(p.set_shuffle(False) is p and list(p))
