# Datasets and loaders: batches, shuffling from a seed, collation, samplers, splits.
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.tensor([float(i), float(i * i)]), i % 2


data = Squares(10)
print(len(data), data[3])
for x, y in DataLoader(data, batch_size=4):
    print(x, y)
torch.manual_seed(0)
for epoch in range(2):
    print([y.tolist() for y in (x[:, 0] for x, _ in DataLoader(data, batch_size=4, shuffle=True, drop_last=True))])
g = torch.Generator()
g.manual_seed(5)
loader = DataLoader(data, batch_size=3, shuffle=True, generator=g)
print(len(loader), [x[:, 0].tolist() for x, _ in loader])
pairs = TensorDataset(torch.arange(6).float().view(3, 2), torch.tensor([0, 1, 0]))
print(len(pairs), pairs[1], next(iter(DataLoader(pairs, batch_size=2))))
torch.manual_seed(1)
a, b = random_split(data, [7, 3])
print(a.indices, b.indices, len(Subset(data, [1, 2])))
named = [{"id": i, "v": torch.full((2,), i)} for i in range(4)]
print(next(iter(DataLoader(named, batch_size=3))))
print(next(iter(DataLoader([1.5, 2.5, 3.5], batch_size=3))), next(iter(DataLoader(["a", "b"], batch_size=2))))
print(list(DataLoader(range(5), batch_size=None)), list(DataLoader(range(5), collate_fn=lambda b: b, batch_size=2)))
