"""An ordinary loop over parameters that lie on several devices gives the numbers of the same loop on one. In a process of its own: the number of devices is fixed when JAX starts."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import jax, numpy as np, jtorch as torch
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

mesh = Mesh(np.array(jax.devices()), ("d",))

def run(sharded, optimizer):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 4))
    if sharded:
        for p in net.parameters():
            p.data = torch.func.to_torch(jax.device_put(p.detach().numpy(), NamedSharding(mesh, P("d"))))
    opt = optimizer(net.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        x, y = torch.randn(8, 8), torch.randint(0, 4, (8,))
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        losses.append(loss.item())
    return losses, len(torch.func.to_jax(net[0].weight).devices())

for optimizer in (torch.optim.SGD, torch.optim.AdamW):
    (one, a), (several, b), (again, c) = run(False, optimizer), run(True, optimizer), run(False, optimizer)
    assert (a, b, c) == (1, 4, 1), (a, b, c)
    np.testing.assert_allclose(one, several, rtol=1e-4)
    np.testing.assert_allclose(one, again, rtol=1e-5)
print("done")
"""


def test_a_loop_over_sharded_parameters() -> None:
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    found = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert found.stdout.strip() == "done", found.stderr[-3000:]
