# What people do with modules: state dict hooks, forward and backward hooks, apply, buffers, conversions, deep copies, odd attributes.
import copy
import pickle
import sys
from collections import OrderedDict

import torch
import torch.nn as nn

torch.manual_seed(0)


class Old(nn.Module):
    """Renames what an older version saved."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(4.0).view(2, 2))
        self.register_buffer("steps", torch.tensor(3))
        self.register_parameter("none", None)

    def _load_from_state_dict(self, state, prefix, meta, strict, missing, unexpected, errors):
        if meta.get("version", 1) < 2 and prefix + "w" in state:
            state[prefix + "weight"] = state.pop(prefix + "w")
        super()._load_from_state_dict(state, prefix, meta, strict, missing, unexpected, errors)

    def forward(self, x, scale=1.0, *, flag=False):
        return x @ self.weight * scale

    def extra_repr(self):
        return f"shape={tuple(self.weight.shape)}"


class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Old()
        self.b = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Identity())])
        self.c = nn.ParameterList([nn.Parameter(torch.ones(1)), torch.ones(2)])
        self.act = nn.ModuleDict({"relu": nn.ReLU(), "lrelu": nn.LeakyReLU()})
        self.plain = [nn.Linear(1, 1)]
        self.t = torch.ones(2)

    def forward(self, x, which="relu"):
        return self.act[which](self.b[1](self.b[0](self.a(x, scale=2.0, flag=True))))


h = Holder()
print(h)
print([n for n, _ in h.named_modules()], [n for n, _ in h.named_children()])
print([(n, tuple(p.shape)) for n, p in h.named_parameters()], [(n, b.dtype) for n, b in h.named_buffers()])
print(list(h.state_dict(prefix="m.")), h.state_dict()._metadata["a"])
old = OrderedDict((k.replace("a.weight", "a.w"), v) for k, v in h.state_dict().items())
print(h.load_state_dict(old))
h.register_state_dict_pre_hook(lambda m, prefix, keep: print("saving", repr(prefix), keep))
h._register_state_dict_hook(lambda m, sd, prefix, meta: sd.pop("c.0") and None)
h.register_load_state_dict_post_hook(lambda m, keys: print("loaded", keys.missing_keys) or keys.missing_keys.clear())
h._register_load_state_dict_pre_hook(lambda sd, *a: print("before", len(sd)))
sd = h.state_dict()
print(len(sd))
print(h.load_state_dict(sd))
calls = []
h.a.register_forward_pre_hook(lambda m, a, k: calls.append(("pre", len(a), sorted(k))), with_kwargs=True)
h.b[0].register_forward_hook(lambda m, a, o: o + 100)
h.b[1].register_full_backward_hook(lambda m, gi, go: calls.append(("back", gi[0].shape, go[0].shape)))
first = h.b[0].register_forward_hook(lambda m, a, o: calls.append(("first", o.max() < 50)), prepend=True)
x = torch.randn(4, 2)
out = h(x)
out.sum().backward()
print(calls, out.shape, h.c[0].grad)
glob = nn.modules.module.register_module_forward_hook(lambda m, a, o: calls.append(type(m).__name__))
calls.clear()
h(x, which="lrelu")
glob.remove()
print(calls)


@torch.no_grad()
def init(m):
    if type(m) is nn.Linear:
        m.weight.fill_(1.0)
    if hasattr(m, "bias") and isinstance(m.bias, nn.Parameter):
        m.bias.zero_()


print(h.apply(init) is h, h.b[0].weight, h.plain[0].weight.shape)
c = copy.deepcopy(h)
c.b[0].weight.data.add_(1)
print(h.b[0].weight[0, 0], c.b[0].weight[0, 0], copy.copy(h).a is h.a, c.t is h.t)
print(h.double().a.weight.dtype, h.a.steps.dtype, h.half().b[0].bias.dtype, h.to(torch.bfloat16).b[1][0].running_mean.dtype, h.float().t.dtype, h.type(torch.float64).a.steps.dtype)
h.float()
before = h.a.weight
h.to("cpu", torch.float32, non_blocking=True)
print(before is h.a.weight, id(before) == id(h.a.weight))
h.eval()
print(h.training, h.b[1][0].training, h.act.training, h.train().b[1][0].training)
h.requires_grad_(False)
print([p.requires_grad for p in h.parameters()], h.zero_grad())
for bad in (
    lambda: setattr(h, "a", 3),
    lambda: setattr(h.a, "weight", torch.ones(2)),
    lambda: h.missing,
    lambda: h.register_buffer("a", torch.ones(1)),
    lambda: h.register_parameter("x.y", nn.Parameter(torch.ones(1))),
    lambda: h.add_module("t", nn.ReLU()),
    lambda: h.get_submodule("b.7"),
    lambda: nn.Sequential(1),
    lambda: h.b["x"],
    lambda: nn.Module()(1),
    lambda: h.load_state_dict([1]),
    lambda: setattr(nn.Module.__new__(nn.Module), "p", nn.Parameter(torch.ones(1))),
    lambda: h.register_buffer("q", 3),
    lambda: nn.Linear(2, 3)(torch.ones(4, 5)),
    lambda: nn.Conv2d(3, 4, 3)(torch.ones(1, 2, 8, 8)),
    lambda: nn.BatchNorm1d(3)(torch.ones(1, 3)),
    lambda: nn.Embedding(3, 2)(torch.tensor([3])),
    lambda: nn.LayerNorm(4)(torch.ones(2, 3)),
    lambda: nn.Conv2d(3, 4, 3, groups=2),
    lambda: nn.Dropout(1.5),
    lambda: nn.MultiheadAttention(5, 2),
):
    try:
        bad()
        print("fine")
    except Exception as e:
        print(type(e).__name__, str(e).splitlines()[0][:110])
seq = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
seq.append(nn.Linear(3, 1)).insert(1, nn.Dropout(0.0))
print(seq, len(seq), seq[-1], seq[:2], seq[0].in_features)
del seq[1]
print(list(seq._modules), [*map(str, (seq + nn.Sequential(nn.ReLU())).children())], seq.pop(0))
again = pickle.loads(pickle.dumps(seq))
print(torch.equal(again[-1].weight, seq[-1].weight), isinstance(again, nn.Sequential))
delattr(h, "a")
print(hasattr(h, "a"), "a" in h._modules, [n for n in dir(h) if n in ("b", "c", "t", "act")])
lazy = nn.Sequential(nn.LazyConv1d(3, 2), nn.LazyBatchNorm1d(), nn.Flatten(), nn.LazyLinear(2))
print(lazy[3], lazy[0].has_uninitialized_params())
lazy(torch.zeros(2, 4, 5))
print(lazy, list(lazy[3].parameters())[0].shape)
u, v = nn.Unflatten(1, (2, 3)), nn.utils.skip_init(nn.Linear, 2, 2)
print(u(torch.arange(6.0)[None]), v.weight.shape, nn.utils.parameters_to_vector(nn.Linear(2, 1).requires_grad_(False).parameters()).shape)
conv = nn.utils.fuse_conv_bn_eval(nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(2).eval())
print(conv, sum(1 for _ in conv.buffers()), nn.Bilinear(2, 3, 4), nn.RNN(2, 3, 2, nonlinearity="relu", bidirectional=True), nn.TransformerDecoderLayer(4, 2, 8).norm3, sep="\n")
