# isolated
# Scalars and a graph written by SummaryWriter, read back with the tensorboard package.
import os
import tempfile

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(2, 1))
        self.b = nn.Parameter(torch.zeros(1, 1))

    def forward(self, x):
        return x @ self.w + self.b


folder = tempfile.mkdtemp()
writer = SummaryWriter(folder)
net = Net()
writer.add_graph(net, input_to_model=torch.rand(10, 2))
for step in range(5):
    writer.add_scalar("loss", 1.0 / (step + 1), step)
    writer.add_scalars("both", {"a": step, "b": 2 * step}, step)
writer.close()

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(folder)
events.Reload()
print(sorted(events.Tags()["scalars"]), events.Tags()["graph"])
print([(e.step, round(e.value, 4)) for e in events.Scalars("loss")])
graph = events.Graph()
ops = {n.op for n in graph.node}
print(len(graph.node) > 3, any("matmul" in n.op.lower() or "matmul" in n.name.lower() for n in graph.node), any("add" in n.op.lower() or "add" in n.name.lower() for n in graph.node))
print(len(os.listdir(folder)) >= 1)
