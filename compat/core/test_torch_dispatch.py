"""``__torch_dispatch__``: modes and subclasses see the operators of torch's library, with its names and arguments, forward and backward; fakes have shapes and no elements.

Each program prints the same under torch and jtorch.
"""

from __future__ import annotations

import pytest
import torch
import torch._subclasses.fake_tensor

import jtorch
from compat.core.test_snippets import printed

_HEAD = """
from importlib import import_module
name = torch.__name__
dispatch, pytree, fakes = import_module(f"{name}.utils._python_dispatch"), import_module(f"{name}.utils._pytree"), torch._subclasses.fake_tensor
TorchDispatchMode, return_and_correct_aliasing, _disable_current_modes = dispatch.TorchDispatchMode, dispatch.return_and_correct_aliasing, dispatch._disable_current_modes
tree_map, FakeTensorMode, FakeTensor, F, aten = pytree.tree_map, fakes.FakeTensorMode, fakes.FakeTensor, torch.nn.functional, torch.ops.aten
def shown(a):
    if isinstance(a, torch.Tensor): return f"{tuple(a.shape)}:{str(a.dtype)[6:]}"
    return "[" + ", ".join(map(shown, a)) + "]" if isinstance(a, (list, tuple)) else repr(a)
class Log(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        print("  ", func, "(" + ", ".join([shown(a) for a in args] + [f"{k}={shown(v)}" for k, v in (kwargs or {}).items()]) + ")", "->", shown(out))
        return out
def attempt(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).split(" (")[0])
"""

_CALLS = """
x + 1;1 + x;x - 1;1 - x;x * 2.5;x / 2;2 / x;x ** 2;2 ** x;-x;abs(x);x // 2;x % 2;x @ sq;x @ w.t();x == 1;x > x;~m;m & m;x.sum();x.sum(1);x.sum((0, 1), keepdim=True);x.mean(-1);x.max();x.max(1)
x.min(0, keepdim=True);x.argmax(1);x.std();x.var(1);x.norm();torch.linalg.norm(x);x.all();x.any(1);x.cumsum(1);x.sort();x.topk(2);x.clamp(0, 2);x.clamp(min=0);x.add(x, alpha=2)
torch.where(m, x, 0.);x.masked_fill(m, 0);x.T;x.mT;x.transpose(0, 1);x.permute(1, 0);x.view(3, 2);x.view(-1);x.reshape(3, 2);x.t().reshape(6);x.flatten();x.unsqueeze(0).squeeze(0);x.expand(4, 2, 3)
x.repeat(2, 2);x[0, 1];x[1:];x[:, 0];x[..., None];x[i];x[:, i];x[m];x[::2];x[-1];x.narrow(1, 0, 2);x.chunk(2, 1);x.split([1, 2], 1);x.unbind(0);torch.cat([x, x], 1);torch.stack([x, x])
torch.zeros(2, 3);torch.ones(2, dtype=torch.float64);torch.empty(2);torch.full((2,), 3.);torch.arange(0, 4, 2);torch.randint(0, 5, (2,));torch.zeros_like(x);torch.full_like(x, 2);torch.tensor([1., 2.])
x.new_zeros(2);x.new_full((2,), 1.);x.clone();x.detach();x.t().contiguous();x.double();x.to(torch.float32);x.int();x[0, 0].item();bool(x[0, 0]);x.clone().add_(1);x.clone().zero_();x.clone().fill_(2)
x.clone().copy_(x);x.clone().uniform_();x.clone().__setitem__(0, 1.);x.clone().__setitem__((slice(None), 0), x[:, 0]);x.clone().__setitem__(m, 0.);x.clone().__setitem__(i, x);x.clone().__iadd__(1)
torch.matmul(x3, sq);torch.matmul(x3, x3.transpose(1, 2));torch.einsum("ij,jk->ik", x, sq);torch.einsum("bij,bkj->bik", x3, x3);torch.outer(b, b);torch.maximum(x, x);torch.allclose(x, x);x.tanh()
F.relu(x);F.relu(x.clone(), inplace=True);F.gelu(x);F.elu(x);F.softmax(x, dim=-1);F.log_softmax(x, dim=1);F.linear(x, w, b);F.linear(x3, w, b);F.linear(x3, w);F.dropout(x, 0.5);F.layer_norm(x, (3,))
bn(im);cv(im);F.conv1d(x3.transpose(1, 2), torch.ones(2, 3, 2), padding=1);F.max_pool2d(im, 2);F.avg_pool2d(im, 2);F.adaptive_avg_pool2d(im, 1);F.interpolate(im, scale_factor=2);F.pad(x, (1, 1));F.embedding(i, w)
F.mse_loss(x, x);F.l1_loss(x, x);F.cross_entropy(x, i);F.nll_loss(x, i);F.binary_cross_entropy_with_logits(x, x);F.normalize(x);F.scaled_dot_product_attention(im, im, im, is_causal=True);torch.linalg.vector_norm(x, dim=1)
x.addcmul(x, x, value=2);x.lerp(x, 0.5);torch.nn.Linear(2, 2);x.square();torch.add(x, 1, out=torch.empty(0));x.is_contiguous();x.tolist();repr(x)
"""
_SETUP = """
torch.manual_seed(0)
x = torch.arange(6.).reshape(2, 3) + 1; w = torch.ones(4, 3); b = torch.zeros(4); i = torch.tensor([0, 1]); im = torch.ones(1, 2, 6, 6); x3 = torch.ones(2, 5, 3); m = x > 2; sq = torch.eye(3) + 1
bn = torch.nn.BatchNorm2d(2).requires_grad_(False); cv = torch.nn.Conv2d(2, 3, 3, padding=1).requires_grad_(False)
"""

CASES = {
    "what operators are called": _SETUP + f"""
for call in {[c for line in _CALLS.strip().splitlines() for c in line.split(";")]!r}:
    print(call)
    with Log(): eval(call)
""",
    "backward": _SETUP + """
xg = x.clone().requires_grad_()
for f in (lambda: torch.autograd.grad((xg * xg).sum(), xg), lambda: (xg * 2).sum().backward(), lambda: F.relu(xg @ sq).mean().backward(), lambda: F.cross_entropy(xg, i).backward()):
    with Log(): f()
print(xg.grad)
""",
    "a training step": """
class Count(TorchDispatchMode):
    def __init__(self): super().__init__(); self.c = {}
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.c[str(func)] = self.c.get(str(func), 0) + 1
        return func(*args, **(kwargs or {}))
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3))
xx, yy = torch.randn(2, 1, 6, 6), torch.tensor([0, 1])
with Count() as counted: F.cross_entropy(net(xx), yy).backward()
for k in sorted(counted.c): print(k, counted.c[k])
print(f"{net[0].weight.grad.sum().item():.4f} {net[5].weight.grad.abs().sum().item():.4f}")
""",
    "counting": """
counter = import_module(f"{name}.utils.flop_counter").FlopCounterMode
class Same(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return func(*args, **(kwargs or {}))
net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 64, 10)); x = torch.ones(2, 3, 8, 8)
with counter(display=False) as found, Same(): net(x).sum().backward()
print(found.get_total_flops(), {str(k): v for k, v in sorted(found.get_flop_counts()["Global"].items(), key=str)})
with FakeTensorMode(), counter(display=False) as found: torch.nn.Linear(100, 200)(torch.empty(32, 100)).sum().backward()
print(found.get_total_flops())
""",
    "modes": """
class Dev(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.overloadpacket in (aten.zeros, aten.empty, aten.ones): kwargs["device"] = "meta"
        return func(*args, **kwargs)
with Dev(): print(torch.zeros(3), torch.ones(2).device)
class Mul(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func == aten.add.Tensor: return torch.mul(*args)
        return func(*args, **(kwargs or {}))
a = torch.tensor([2., 3.], requires_grad=True); b = torch.tensor([5., 7.], requires_grad=True)
with Mul(): c = a + b
print(c, c.grad_fn.name()); c.sum().backward(); print(a.grad, b.grad)
class Name(TorchDispatchMode):
    def __init__(self, n): super().__init__(); self.n = n
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        print("  ", self.n, func, repr(func), func.name(), func._schema.name, func._overloadname, func.overloadpacket, types, dispatch._get_current_dispatch_mode() is None)
        return func(*args, **(kwargs or {}))
with Name("outer"), Name("inner"): print((a.detach() + 1).tolist(), len(dispatch._get_current_dispatch_mode_stack()))
with Name("outer"):
    with _disable_current_modes() as off: a + 1; print(len(off))
    a.detach()
a + 1
class Fail(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): raise ValueError("no " + str(func))
try:
    with Fail(): a + 1
except ValueError as e: print(e)
print(a + 1)
""",
    "a wrapper": """
class Logging(torch.Tensor):
    elem: torch.Tensor
    __slots__ = ["elem"]
    @staticmethod
    def __new__(cls, elem, *args, **kwargs):
        r = torch.Tensor._make_wrapper_subclass(cls, elem.size(), strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype, layout=elem.layout, device=elem.device, requires_grad=kwargs.get("requires_grad", False))
        r.elem = elem.detach() if r.requires_grad else elem
        return r
    def __repr__(self): return f"Logging({self.elem})"
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        unwrap = lambda e: e.elem if isinstance(e, cls) else e
        rs = tree_map(lambda e: cls(e) if isinstance(e, torch.Tensor) else e, func(*tree_map(unwrap, args), **tree_map(unwrap, kwargs or {})))
        print("  ", func, [t.__name__ for t in types])
        return rs
x = Logging(torch.tensor([[3.0, 2.], [1, -1]]), requires_grad=True); w = torch.ones(3, 2)
print(x, x.shape, x.requires_grad, x.is_leaf, x.device, type(x).__name__)
y = x * x; print(y, y.grad_fn.name()); y.sum().backward(); print(x.grad)
out = F.linear(x, w, torch.zeros(3)).relu(); print(out); out.mean().backward(); print(x.grad)
print(torch.autograd.grad((x.exp() * 2).sum(), x)[0])
z = x.detach(); z.add_(1); print(z, x[0], x[:, 1], x.t().reshape(-1), torch.cat([x, x]).shape, F.softmax(x, -1), x.max(1).values)
print(torch.nn.Linear(2, 2)(x).shape, (x + torch.ones(2, 2)).elem)
class NoD(torch.Tensor): pass
attempt(lambda: torch.Tensor._make_wrapper_subclass(NoD, (2,)))
class Bad(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None): return NotImplemented
try: torch.Tensor._make_wrapper_subclass(Bad, (2,)).sin()
except TypeError as e: print(str(e).partition("<class")[0])
""",
    "quantised weights": """
class Quant(torch.Tensor):
    @staticmethod
    def __new__(cls, q, scale, dtype=torch.float32, requires_grad=False): return torch.Tensor._make_wrapper_subclass(cls, q.shape, dtype=dtype, device=q.device, requires_grad=requires_grad)
    def __init__(self, q, scale, dtype=torch.float32, requires_grad=False): self.q, self.scale = q, scale
    def dequantize(self): return self.q.to(self.dtype) * self.scale
    def __tensor_flatten__(self): return ["q", "scale"], {}
    @classmethod
    def __tensor_unflatten__(cls, d, meta, size, stride): return cls(d["q"], d["scale"])
    def __repr__(self): return f"Quant(shape={tuple(self.shape)})"
    __torch_function__ = torch._C._disabled_torch_function_impl
    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs=None):
        kwargs = kwargs or {}
        print("  Q", func)
        if func in (aten.detach.default, aten.clone.default): return return_and_correct_aliasing(func, args, kwargs, cls(func(args[0].q), args[0].scale))
        if func is aten.t.default: return cls(args[0].q.t(), args[0].scale)
        return func(*tree_map(lambda t: t.dequantize() if isinstance(t, cls) else t, args), **kwargs)
torch.manual_seed(0)
lin = torch.nn.Linear(4, 3)
W = lin.weight.detach(); s = W.abs().max() / 127; q = Quant((W / s).round().to(torch.int8), s)
lin.weight = torch.nn.Parameter(q, requires_grad=False)
print(type(lin.weight).__name__, isinstance(lin.weight, torch.nn.Parameter), lin.weight.shape, lin.weight)
xin = torch.ones(2, 4, requires_grad=True); o = lin(xin); print(o.detach(), o.grad_fn.name()); o.sum().backward(); print(xin.grad)
print(dispatch.is_traceable_wrapper_subclass(q), q.dtype, q + 1, type(lin.state_dict()["weight"]).__name__)
""",
    "a subclass with elements": """
class My(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        print("  My", func)
        return super().__torch_dispatch__(func, types, args, kwargs or {})
r = torch.ones(2).as_subclass(My) + 1; print(type(r).__name__, r)
mk = torch.Tensor._make_subclass(My, torch.ones(2), True); r = (mk * 3).sum(); print(type(r).__name__); r.backward(); print(type(mk.grad).__name__, mk.grad)
""",
    "fakes": """
mode = FakeTensorMode()
with mode:
    x = torch.empty(2, 3); z = x @ torch.rand(3, 4)
    print(z, type(z).__name__, z.shape, z.device, z.dtype)
    for f in (lambda: (x + 1).sum(0), lambda: torch.zeros(2, 3, device="cuda"), lambda: F.relu(z).view(-1)[:3], lambda: z.sum().item(), lambda: bool(z.sum() > 0), lambda: torch.nonzero(x), lambda: torch.tensor([1., 2.]),
              lambda: torch.arange(5), lambda: x.max(1), lambda: x.numpy(), lambda: x.tolist()): attempt(f)
    m = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)); o = m(x); print(o, type(m[0].weight).__name__); o.sum().backward(); print(m[0].weight.grad)
    print(torch.nn.Conv2d(3, 8, 3, padding=1)(torch.randn(1, 3, 16, 16)), torch.cat([x, x]).stride(), x.t().stride(), x.add_(1))
real = torch.ones(4, 5); f = mode.from_tensor(real)
print(f, f.shape, f.fake_device, f.fake_mode is mode, mode.from_tensor(real) is f, f + f, f.double(), f.to("meta"), fakes.is_fake(f), fakes.maybe_get_fake_mode(f) is mode)
attempt(lambda: f + real)
with FakeTensorMode(allow_non_fake_inputs=True): print(torch.empty(4, 5) + real)
print(mode.from_tensor(torch.nn.Parameter(real)))
with mode, fakes.unset_fake_temporarily(): print(torch.ones(2))
""",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)
