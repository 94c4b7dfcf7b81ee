# isolated
# Worker processes in a script that has no __main__ guard.
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info


class Rows(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, i):
        info = get_worker_info()
        assert info is not None and info.num_workers == 2
        return torch.full((3,), float(i)), info.id


for x, worker in DataLoader(Rows(), batch_size=3, num_workers=2):
    print(x[:, 0].tolist(), worker.tolist())
torch.manual_seed(2)
print([x[:, 0].tolist() for x, _ in DataLoader(Rows(), batch_size=4, shuffle=True, num_workers=2)])
