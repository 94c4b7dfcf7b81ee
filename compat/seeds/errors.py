# What goes wrong in ordinary programs: types and first lines of the exceptions.
import torch, warnings
from torch import nn

torch.manual_seed(0)

warnings.simplefilter("ignore")


def run(name, f):
    try:
        print(name, f())
    except Exception as e:
        print(name, type(e).__name__, str(e).split("\n")[0][:160])


x = torch.randn(3, 4)
p = torch.randn(2, requires_grad=True)
run("mm", lambda: x @ x)
run("lin", lambda: nn.Linear(3, 2)(x))
run("cat", lambda: torch.cat([x, x[:, :2]], 0))
run("stack", lambda: torch.stack([x, x[:2]]))
run("view", lambda: x.view(5))
run("bool", lambda: bool(x > 0))
run("item", lambda: x.item())
run("numpy", lambda: p.numpy())
run("bw", lambda: p.backward())
run("bw2", lambda: torch.ones(1).backward())


def twice():
    y = (p * p).sum()
    y.backward()
    y.backward()


run("twice", twice)


def inplace():
    y = p.exp()
    y.add_(1)
    y.sum().backward()


run("inplace", inplace)
run("leaf", lambda: p.add_(1))
run("ce", lambda: nn.functional.cross_entropy(torch.randn(2, 3), torch.tensor([0, 5])))
run("ce2", lambda: nn.functional.cross_entropy(torch.randn(2, 3), torch.tensor([0.5, 1.0])))
run("emb", lambda: nn.Embedding(3, 2)(torch.tensor([3])))
run("conv", lambda: nn.Conv2d(3, 4, 3)(torch.randn(1, 1, 5, 5)))
run("conv2", lambda: nn.Conv2d(1, 4, 7)(torch.randn(1, 1, 5, 5)))
run("bn", lambda: nn.BatchNorm1d(3)(torch.randn(1, 3)))
run("opt", lambda: torch.optim.SGD([], 0.1))
run("opt2", lambda: torch.optim.Adam([p], lr=-1))
run("opt3", lambda: torch.optim.SGD([p * 2], 0.1))
run("opt4", lambda: torch.optim.Adam(p, 0.1))
run("sd", lambda: nn.Linear(2, 2).load_state_dict({"weight": torch.ones(3, 3)}))
run("attr", lambda: nn.Linear(2, 2).foo)
run("mod", lambda: nn.Module()(1))
run("reg", lambda: nn.Module().register_parameter("a", torch.ones(1)))
run("set", lambda: setattr(nn.Linear(2, 2), "weight", torch.ones(2)))
run("dtype", lambda: nn.Linear(2, 2)(torch.ones(1, 2).double()))
run("long", lambda: nn.Linear(2, 2)(torch.ones(1, 2).long()))
run("idx", lambda: x[5])
run("idx2", lambda: x[torch.tensor([7])])
run("mask", lambda: x[torch.ones(2).bool()])
run("slice", lambda: x[::-1])
run("perm", lambda: x.permute(0))
run("sq", lambda: x.unsqueeze(4))
run("grad", lambda: torch.autograd.grad(p.sum(), torch.ones(1, requires_grad=True)))
run("chol", lambda: torch.linalg.cholesky(-torch.eye(2)))
run("inv", lambda: torch.inverse(torch.zeros(2, 2)))
run("solve", lambda: torch.linalg.solve(torch.zeros(2, 2), torch.ones(2)))
run("multi", lambda: torch.multinomial(torch.tensor([-1.0, 2.0]), 1))
run("normal", lambda: torch.distributions.Normal(0.0, -1.0))
run("bern", lambda: torch.bernoulli(torch.tensor([2.0])))
run("one_hot", lambda: nn.functional.one_hot(torch.tensor([-1])))
run("arange", lambda: torch.arange(0, 5, -1))
run("rand", lambda: torch.randint(5, 2, (2,)))
run("new", lambda: torch.tensor([[1], [1, 2]]))
run("str", lambda: torch.tensor(["a"]))
run("to", lambda: x.to("nope"))
run("device", lambda: torch.device("foo"))
run("save", lambda: torch.load("/nope"))
run("hook", lambda: x.register_hook(lambda g: g))
run("ret", lambda: p.sum().retain_grad())
run("eins", lambda: torch.einsum("ij,jk->ik", x, x))
run("rep", lambda: x.repeat(2))
run("exp", lambda: x.expand(2, 4))
run("gather", lambda: x.gather(1, torch.tensor([[9]])))
run("scatter", lambda: x.scatter(0, torch.tensor([[0]]), torch.ones(1, 1).double()))
run("where", lambda: torch.where(x, 1, 0))
run("mha", lambda: nn.MultiheadAttention(5, 2))
run("drop", lambda: nn.Dropout(1.5))
run("pool", lambda: nn.MaxPool2d(2)(torch.ones(3)))
run("rnn", lambda: nn.LSTM(2, 3)(torch.ones(4, 1, 5)))
run("pad", lambda: nn.functional.pad(x, (1,)))
run("iter", lambda: list(torch.tensor(1)))
run("len", lambda: len(torch.tensor(1)))
run("float", lambda: float(x))
run("hash", lambda: {x: 1}[x].__class__)
run("fmt", lambda: f"{torch.tensor(1.5):.3f} {torch.tensor(3):d}")
run("fmt2", lambda: f"{x:.2f}")
run("sched", lambda: torch.optim.lr_scheduler.StepLR(None, 1))
run("closure", lambda: torch.optim.LBFGS([p]).step())
run("clip", lambda: nn.utils.clip_grad_norm_([p], -1.0))
run("mse", lambda: nn.MSELoss()(torch.ones(2), torch.ones(2, 2)).item())
run("kl", lambda: nn.KLDivLoss(reduction="nope")(x, x))
run("seq", lambda: nn.Sequential(3))
run("ml", lambda: nn.ModuleList([1]))
run("pd", lambda: nn.ParameterDict({"a": 1})["a"])
run("buf", lambda: nn.Linear(1, 1).register_buffer("weight", None))
