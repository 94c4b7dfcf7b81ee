"""What torch warns of, how often, and of which line: the program's own. (Torch's Python warns of a line of its own where a module calls a function; here it is the program's, too.)"""

from __future__ import annotations

import subprocess
import sys

import pytest

CALLS = """
F.softmax(x)
F.log_softmax(x)
F.softmin(x)
F.gumbel_softmax(x, eps=1e-3)
F.upsample(x, 8)
F.upsample_nearest(x[None], 8)
F.grid_sample(x[None], torch.zeros(1, 1, 1, 2))
F.affine_grid(torch.zeros(1, 2, 3), (1, 1, 2, 2))
F.kl_div(x, x)
F.mse_loss(x, x[:1])
F.l1_loss(x, x[:1])
F.smooth_l1_loss(x, x[:1])
F.huber_loss(x, x[:1])
F.dropout2d(x)
F.dropout2d(x[0])
F.dropout3d(x)
torch.nn.init.xavier_uniform(torch.zeros(2, 2))
torch.nn.init.kaiming_uniform_(torch.zeros(0, 2))
torch.nn.utils.clip_grad_norm([x], 1.0)
torch.nn.utils.clip_grad_norm_(iter([]), 1.0)
x[torch.ones(2, dtype=torch.uint8)]
x.T
torch.tensor(x)
(x.clone().requires_grad_() * 1).grad
float(torch.ones(1, requires_grad=True))
torch.add(torch.ones(2), 1, out=torch.ones(3))
torch.ones(1).std()
torch.ones(1).var()
torch.var_mean(torch.ones(1))
torch.std_mean(x, (0, 1), correction=7)
torch.ones(1, 3).var(0, keepdim=True)
torch.cov(torch.ones(2, 1))
torch.corrcoef(torch.ones(2, 1))
torch.cholesky(torch.eye(2))
torch.qr(torch.eye(2))
torch.cross(torch.ones(3, 3), torch.ones(3, 3))
torch.triangular_solve(torch.ones(2, 1), torch.eye(2))
torch.where(torch.ones(2, dtype=torch.uint8), torch.ones(2), torch.zeros(2))
torch.range(0, 2)
x.storage()
torch.ones(1, dtype=torch.complex64).to(torch.float32)
torch.ones(2).copy_(torch.ones(2, dtype=torch.complex64))
torch.ones(1, dtype=torch.complex64).to(torch.bool)
torch.frombuffer(b"abcd", dtype=torch.uint8)
torch.sparse_coo_tensor([[0], [0]], [1.0], (2, 2))
torch.eye(2).to_sparse_csr()
torch.eye(2).to_sparse_csc()
""".strip().splitlines()

PROGRAM = """
import sys, warnings
torch = __import__(sys.argv[1]); F = torch.nn.functional
x = torch.arange(24.0).reshape(2, 3, 4)
for line, text in enumerate(sys.stdin.read().splitlines(), 1):
    code = compile("\\n" * (line - 1) + text, "its lines", "exec")
    for again in range(2):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            exec(code)
        print(text, again, [(w.category.__name__, str(w.message).partition(" (Triggered")[0], w.filename, w.lineno) for w in seen])
"""


@pytest.fixture(scope="module")
def said() -> list[list[str]]:
    """What both say, each in a process of its own: some things are said once."""
    running = [subprocess.run([sys.executable, "-c", PROGRAM, name], input="\n".join(CALLS), stdout=subprocess.PIPE, text=True, check=True).stdout for name in ("torch", "jtorch")]
    return [text.splitlines() for text in running]


@pytest.mark.parametrize("at", range(len(CALLS)), ids=CALLS)
def test_warns_as_torch(said: list[list[str]], at: int) -> None:
    theirs, ours = (lines[2 * at : 2 * at + 2] for lines in said)
    assert theirs[0].startswith(CALLS[at])
    assert ours == theirs
