# Samplers and collections of datasets, and what batches are made of.
# digits: 3
import torch, io, json, dataclasses
from torch import nn
from torch.utils.data import (
    Dataset,
    DataLoader,
    random_split,
    WeightedRandomSampler,
    BatchSampler,
    SubsetRandomSampler,
    ConcatDataset,
    ChainDataset,
    IterableDataset,
    StackDataset,
    Subset,
    default_collate,
)
from torch.utils.data import default_convert, get_worker_info

torch.manual_seed(0)


@dataclasses.dataclass
class Item:
    x: torch.Tensor
    y: int


class D(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError(i)
        return {"x": torch.full((2,), float(i)), "y": i % 3, "name": f"s{i}", "t": (i, [i * 0.5])}


class It(IterableDataset):
    def __init__(self, a, b):
        self.a, self.b = a, b

    def __iter__(self):
        return iter(range(self.a, self.b))


a, b, c = random_split(D(10), [0.5, 0.3, 0.2], generator=torch.Generator().manual_seed(1))
print(len(a), len(b), len(c), list(a.indices), get_worker_info())
try:
    random_split(D(10), [3, 3])
except ValueError as e:
    print(e)
try:
    random_split(D(10), [0.5, 0.6])
except ValueError as e:
    print(e)
w = WeightedRandomSampler([0.1, 0.9, 0.5], 6, generator=torch.Generator().manual_seed(2))
print(list(w), len(w))
print([list(x) for x in BatchSampler(SubsetRandomSampler([4, 5, 6, 7, 8], generator=torch.Generator().manual_seed(0)), 2, drop_last=False)])
for batch in DataLoader(ConcatDataset([a, b]), batch_size=4, shuffle=True):
    print(batch["x"].sum(), batch["y"], batch["name"], batch["t"])
print(list(DataLoader(ChainDataset([It(0, 3), It(5, 9)]), batch_size=3)))
print(StackDataset(torch.arange(3), torch.ones(3))[1], len(StackDataset(u=D(2))), Subset(D(5), [1, 2])[0]["y"])
import numpy as np

print(
    default_convert([np.float32(1), np.ones(2), (1, "a")]), default_collate([np.int64(1), np.int64(2)]), default_collate([1.0, 2.0]).dtype
)
try:
    default_collate([object()])
except TypeError as e:
    print(str(e)[:60])
try:
    DataLoader(D(2), batch_size=2, sampler=w, shuffle=True)
except ValueError as e:
    print(e)
