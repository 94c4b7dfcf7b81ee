"""Small programs about tensors, views and gradients. Each is run with ``torch`` bound to real torch and to jtorch; both must print the same.

A snippet that raises prints the exception's type and text.
"""

SNIPPETS: dict[str, str] = {
    "a histogram over no dims": """
for points in (torch.zeros(3, 0), torch.zeros(0, 0)):
    for density in (False, True):
        print(torch.histogramdd(points, [], density=density), torch.histogramdd(points, 2, weight=torch.ones(len(points)), density=density).hist)
""",
    "operators beside what is no operand": """
import operator
class Unknown: pass
class Knows: pass
names = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for n in names: setattr(Knows, f"__r{n}__", lambda self, other, n=n: n)
for n in names:
    for f in (getattr(operator, f"__{n}__"), getattr(operator, f"__i{n}__")):
        for other in (Unknown(), Knows(), None, "s", [1, 2]):
            for swapped in (False, True):
                x = torch.ones(2, dtype=torch.int64)
                try: print(n, type(other), swapped, f(other, x) if swapped else f(x, other))
                except TypeError as e: print(n, type(other), swapped, e)
print(torch.ones(2).__idiv__(None), torch.ones(2).__idiv__(2), torch.ones(2).__ipow__("s"), torch.ones(2).__imod__(Unknown()))
""",
    "nan times False in one program": """
inf, nan = float("inf"), float("nan")
y = torch.tensor([inf, nan, -inf, 1.]); b = torch.zeros(4, dtype=torch.bool); x = torch.zeros(4)
f = torch.compile(lambda x, y: (x > 0).float() * y, backend="eager")
print(f(x, y), f(x, y), torch.addcmul(x, (x > 0).float(), y), b.half() * y.half(), (x > 0).to(torch.complex64) * y, torch.xlogy(b, y), torch.special.xlog1py(b, y), y * b)
z = torch.full((3000,), nan, requires_grad=True)
s = ((z > 0).float() * z).sum(); s.backward()
print(s.item(), z.grad[0])
""",
    "a derivative of nothing has a history": """
for kind in (torch.float64, torch.complex64):
    for f in (torch.logdet, lambda x: torch.linalg.slogdet(x)[1], torch.linalg.inv):
        x = torch.zeros(0, 0, dtype=kind, requires_grad=True); y = f(x); c = torch.ones_like(y).requires_grad_()
        g, = torch.autograd.grad(y, x, c, create_graph=True)
        print(g.requires_grad, g.shape, torch.autograd.grad(g, c, torch.ones_like(g))[0].abs())
""",
    "arguments by name, of functions that take several forms": """
def said(f):
    try: print(f())
    except Exception as e: print(type(e).__name__)
x, m = torch.arange(4), torch.arange(6).view(2, 3)
for f in (
    lambda: x.clone().resize_(size=(2, 2)), lambda: m.clone().unsqueeze_(dim=0), lambda: m.clone().transpose_(dim0=0, dim1=1), lambda: m.view(size=(3, 2)), lambda: x.view(dtype=torch.int32),
    lambda: m.reshape(shape=(3, 2)), lambda: x.broadcast_to(size=(2, 4)), lambda: x.new_zeros(size=(2, 1)), lambda: x.to(tensor=torch.ones(2).double()), lambda: x.to(other=m), lambda: x.to(device="cpu", dtype=torch.int32),
    lambda: torch.zeros(size=(2,)), lambda: torch.arange(end=3), lambda: torch.arange(start=1, end=3, step=1), lambda: torch.randint(low=1, high=2, size=(2,)), lambda: torch.randint_like(x, low=1, high=2),
    lambda: torch.slice_copy(x, dim=0, start=1, end=3, step=1), lambda: torch.narrow_copy(x, dim=0, start=1, length=2), lambda: torch.split_copy(x, split_size=2, dim=0), lambda: torch.expand_copy(x, size=(2, 4), implicit=False),
    lambda: torch.view_copy(x, size=(2, 2)), lambda: torch.view_copy(x, dtype=torch.int32), lambda: torch.unfold_copy(x, dimension=0, size=2, step=1), lambda: torch.as_strided_copy(x, size=(2,), stride=(1,), storage_offset=1),
    lambda: torch.permute_copy(m, dims=(1, 0)), lambda: torch.diagonal_copy(m, offset=1, dim1=0, dim2=1), lambda: m.to_sparse(sparse_dim=1).layout, lambda: m.to_sparse_bsr(blocksize=(1, 1)).layout,
): said(f)
""",
    "write through a chain of views": """
x = torch.arange(12.).reshape(3, 4).requires_grad_()
y = x * 1
y.t()[0].mul_(2); y[:, 1] = 0; y.diagonal()[1:].add_(5)
print(y); y.sum().backward(); print(x.grad); print(type(y.grad_fn).__name__)
""",
    "views of views see the write": """
x = torch.zeros(4, 6)
a = x[1:3]; b = a[:, ::2]; c = b.t(); d = x.view(2, 12)
c[1] = 7
print(x); print(a); print(b); print(c); print(d); print(x._version, a._version, c._version)
print(a.storage_offset(), b.stride(), c.stride(), c.is_contiguous(), d.stride())
""",
    "as_strided and unfold": """
x = torch.arange(10.)
w = x.unfold(0, 4, 2); print(w, w.stride())
s = x.as_strided((3, 3), (2, 1), 1); print(s)
x[3] = -1
print(w); print(s)
y = torch.arange(6.).reshape(2, 3).t()
print(y.as_strided((2, 2), (1, 2)), y.storage_offset())
""",
    "as_strided of a leaf that is a view": """
x = torch.arange(12.).reshape(3, 4)[:, ::2].detach().requires_grad_()
y = torch.as_strided(x, (2, 2), (1, 2)); print(y)
(y[1:] ** 2).sum().backward(); print(x.grad)
z = torch.arange(6., requires_grad=True) * 2
w = z.as_strided_((2, 2), (1, 2)); print(z is w, z._version, z.detach()); z.sum().backward()
try: x.as_strided_((2,), (1,))
except Exception as e: print(type(e).__name__, e)
""",
    "data pointers": """
x = torch.zeros(3, 4)
print(x.data_ptr() == x.t().data_ptr(), x.data_ptr() == x[1:].data_ptr(), x[1:].data_ptr() - x.data_ptr(), x.storage().data_ptr() == x[1:].storage().data_ptr())
y = x; y += 1
print(x.data_ptr() == y.data_ptr(), x.data_ptr() == (x + 1).data_ptr(), len(x.storage()), x.untyped_storage().nbytes())
""",
    "view errors": """
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
x = torch.zeros(3, 4)
run(lambda: x.t().view(12)); run(lambda: x.view(5, 3)); run(lambda: x.view(-1, -1)); run(lambda: x.view(2, -1).shape)
run(lambda: x.expand(2, 3)); run(lambda: x.expand(3, 3, 4).shape); run(lambda: x.transpose(0, 2)); run(lambda: x.permute(0, 0))
run(lambda: x[3]); run(lambda: x[0, 0, 0]); run(lambda: x.squeeze(5)); run(lambda: x.narrow(0, 2, 2)); run(lambda: x.select(1, 4)); run(lambda: x.unfold(0, 4, 1))
run(lambda: x.expand(2, 3, 4).add_(1)); run(lambda: x.reshape(7)); run(lambda: x.chunk(0)); run(lambda: x.split([1, 1])); run(lambda: x.unflatten(1, (3, 2)))
""",
    "in place errors": """
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
w = torch.ones(3, requires_grad=True)
run(lambda: w.add_(1)); run(lambda: w[0].add_(1)); run(lambda: w.detach().add_(1)); run(lambda: w)
i = torch.ones(3, dtype=torch.long)
run(lambda: i.add_(1.5)); run(lambda: i.mul_(2)); run(lambda: i.div_(2)); run(lambda: torch.zeros(2).add_(torch.zeros(3, 2)))
run(lambda: torch.zeros(3).copy_(torch.zeros(4)))
""",
    "saved tensors modified": """
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e)[:180])
x = torch.ones(3, requires_grad=True)
def a(): y = x * 2; z = y * y; y.add_(1); z.sum().backward()
def b(): y = x * 2; z = y + y; y.add_(1); z.sum().backward(); return x.grad
def c(): y = x.exp(); z = y * 1; y.add_(1); z.sum().backward()
def d(): y = x.exp(); y.mul_(3); y.sum().backward(); return x.grad
run(a); x.grad = None; run(b); x.grad = None; run(c); x.grad = None; run(d)
""",
    "second backward": """
x = torch.ones(3, requires_grad=True)
y = (x * x).sum(); y.backward(retain_graph=True); y.backward(); print(x.grad)
try: y.backward()
except RuntimeError as e: print(e)
try: torch.ones(2).sum().backward()
except RuntimeError as e: print(e)
try: (x * 2).backward()
except RuntimeError as e: print(e)
(x * 2).backward(torch.tensor([1., 2., 3.])); print(x.grad)
try: (x * 2).backward(torch.ones(4))
except RuntimeError as e: print(e)
""",
    "grad of grad": """
x = torch.tensor([1., 2., 3.], requires_grad=True)
(g,) = torch.autograd.grad((x ** 3).sum(), x, create_graph=True); print(g.detach(), g.requires_grad)
(h,) = torch.autograd.grad(g.sum(), x, create_graph=True); print(h.detach())
(k,) = torch.autograd.grad(h.sum(), x); print(k)
y = torch.sigmoid(x) * torch.tanh(x); g, = torch.autograd.grad(y.sum(), x, create_graph=True); g.sum().backward(); print(x.grad)
""",
    "autograd.grad": """
x = torch.ones(2, requires_grad=True); z = torch.ones(2, requires_grad=True)
y = x * 3
print(torch.autograd.grad(y, x, torch.tensor([1., 2.])))
try: torch.autograd.grad((x * 2).sum(), [x, z])
except RuntimeError as e: print(e)
print(torch.autograd.grad((x * 2).sum(), [x, z], allow_unused=True), torch.autograd.grad((x * 2).sum(), [x, z], materialize_grads=True))
print(x.grad, torch.autograd.grad((x * x), x, torch.eye(2), is_grads_batched=True))
m = x * 2; n = (m * m).sum(); print(torch.autograd.grad(n, m))
""",
    "looking at single elements": """
x = (torch.arange(24.).reshape(2, 3, 4) * 1.5).clone(); m = x > 10; c = torch.complex(x[0], x[1]); h = x.to(torch.bfloat16)
print([int(v) for v in x[1, 2]], bool(m[1][0][0]), x.t if 0 else x.transpose(0, 2)[3, 1].tolist(), x[:, ::2, 1:].tolist(), '%d' % x[1, 1, 1], f'{x[0, 0, 1]:.2f}')
print(c[1, 2].item(), c.real[2, 3].item(), c.imag.t()[0].tolist(), c.conj()[0, 1].item(), h[1, 2, 3].item(), h[0, :2, 1].tolist(), x.view(torch.int32)[0, 0, 1].item())
y = x[1]; print(y[0, 0].item()); x.mul_(2); print(y[0, 0].item(), y[1].tolist()); y[0, 0] = -1; print(x[1, 0, 0].item(), y.t()[0, 0].item())
z = (x * 3)[0, 1]; print(z.tolist(), z[2].item(), z.expand(2, 4)[1, 1].item(), z.unfold(0, 2, 1)[2].tolist(), z[z > 30].tolist()); n = x[0, 0].numpy(); n[0] = 99; print(x[0, 0, 0].item(), x[:, 0].tolist())
print(torch.tensor([3])[0].item(), torch.zeros(2, 0)[1].tolist(), torch.as_strided(z, (2, 2), (1, 1))[1, 1].item(), x[-1, -1, -1].item(), [v.item() for v in m[0].any(1)])
s = torch.utils.data.RandomSampler(range(100), replacement=True, num_samples=10 ** 10, generator=torch.Generator().manual_seed(3)); print([next(iter(s)) for _ in range(3)])
""",
    "one process that asks about others": """
d = torch.distributed; t = torch.ones(2)
print(d.is_initialized(), d.is_torchelastic_launched(), d.is_nccl_available(), d.is_mpi_available())
def say(f, *a):
    try: print(f(*a))
    except Exception as e: print(type(e).__name__, e)
for name in ('get_rank', 'get_world_size', 'barrier', 'get_backend', 'destroy_process_group', 'new_group'): say(getattr(d, name))
say(d.all_reduce, t); say(d.broadcast, t, 0); say(d.all_gather, [t], t); say(d.broadcast_object_list, [1], 0); say(torch.nn.parallel.DistributedDataParallel, torch.nn.Linear(1, 1))
""",
    "arrays of numpy's subclasses": """
import numpy as np, tempfile, os
with tempfile.TemporaryDirectory() as d:
    np.arange(12, dtype=np.uint16).tofile(os.path.join(d, 'a.bin'))
    m = np.memmap(os.path.join(d, 'a.bin'), dtype=np.uint16, mode='r+')
    x = torch.stack([torch.from_numpy(m[i:i + 4].astype(np.int64)) for i in (0, 3, 5)]); print(x, (x * 2).sum().item(), torch.nn.functional.embedding(x, torch.arange(24.).reshape(12, 2)).sum().item())
    y = torch.from_numpy(m.view(np.int16)); y[0] = 7; print(m[0], type(y.numpy()).__name__, torch.tensor(m[:2].astype(np.int32)), torch.as_tensor(m.astype(np.float32)) + 1)
    del m, y
print(torch.from_numpy(np.ma.masked_array([1., 2.], [0, 1])) * 2, torch.as_tensor(np.matrix([[1, 2]])) @ torch.ones(2, 1, dtype=torch.int64))
""",
    "how far backward has come when a hook sees it": """
layers = [torch.nn.Linear(2, 2) for _ in range(4)]
for l in layers: torch.nn.init.constant_(l.weight, 0.5); torch.nn.init.constant_(l.bias, 0.25)
say = lambda name: print(name, [None if p.grad is None else round(p.grad.sum().item(), 4) for l in layers for p in l.parameters()])
def run(shared=False):
    x = torch.ones(1, 2)
    for l in layers: l.zero_grad(); x = torch.tanh(l(x))
    if shared: x = layers[3](x) + layers[0](x)
    return x
out = run(); out.sum().backward(); say('plain'); run(True).sum().backward(); say('shared')
a = torch.ones(2, requires_grad=True); b = a * 2; c = b * 3; b.register_hook(lambda g: print('b', a.grad, g)); (c * c).sum().backward(); print(a.grad)
handle = layers[1].register_full_backward_hook(lambda m, i, o: say('module 1')); run().sum().backward(); say('done'); handle.remove()
class Look(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, g): say('function'); return g
y = torch.ones(1, 2)
for i, l in enumerate(layers): l.zero_grad(); y = l(Look.apply(y) if i == 2 else y)
y.sum().backward(); say('done')
torch.nn.init.constant_(layers[1].weight, 0.5); layers[1].bias.requires_grad_(False); layers[1].zero_grad()
layers[1].weight.register_post_accumulate_grad_hook(lambda p: say('leaf hook')); run(True).sum().backward(); say('done')
l = torch.ones((), requires_grad=True); l.backward(); print(l.grad); l.backward(); print(l.grad)
""",
    "hooks": """
x = torch.ones(2, requires_grad=True); seen = []
h = x.register_hook(lambda g: g * 10); y = x * 2; y.retain_grad(); y.register_hook(lambda g: seen.append(g.clone()) or g + 1)
y.register_hook(lambda g: print('second', g)); x.register_post_accumulate_grad_hook(lambda p: print('acc', p.grad))
(y * 3).sum().backward(); print(x.grad, y.grad, seen)
h.remove(); x.grad = None; (x * 2).sum().backward(); print(x.grad)
z = (x * 2); z.grad_fn.register_hook(lambda i, o: print('node', i, o)); z.sum().backward()
z = x * 2; z.grad_fn.register_prehook(lambda o: (o[0] * 2,)); x.grad = None; z.sum().backward(); print(x.grad)
""",
    "graph": """
x = torch.ones(2, requires_grad=True); c = torch.ones(2)
y = (x * c + x).sum()
f = y.grad_fn
print(f.name(), [g[0].name() for g in f.next_functions], [(g[0].name() if g[0] else None, g[1]) for g in f.next_functions[0][0].next_functions])
m = f.next_functions[0][0].next_functions[0][0]; print(m.name(), [(g[0].name() if g[0] else None, g[1]) for g in m.next_functions])
print(m.next_functions[0][0].variable is x, x.is_leaf, y.is_leaf, y.requires_grad, c.grad_fn)
""",
    "grad modes": """
x = torch.ones(2, requires_grad=True)
with torch.no_grad():
    y = x * 2; print(y.requires_grad, torch.is_grad_enabled())
    with torch.enable_grad(): print((x * 2).requires_grad)
@torch.no_grad()
def f(a): return a * 2
print(f(x).requires_grad, torch.is_grad_enabled())
with torch.inference_mode(): z = x * 2; print(z.is_inference(), z.requires_grad)
try: z.add_(1); print('ok')
except RuntimeError as e: print(str(e)[:60])
torch.set_grad_enabled(False); print((x * 2).requires_grad); torch.set_grad_enabled(True)
with torch.set_grad_enabled(False): print((x * 2).requires_grad)
print((x * 2).requires_grad, x.detach().requires_grad, x.data.requires_grad)
""",
    "leaf and requires_grad": """
x = torch.ones(2)
print(x.requires_grad_().is_leaf, (x * 1).is_leaf, x.requires_grad_(False).requires_grad)
try: torch.ones(2, dtype=torch.long).requires_grad_()
except RuntimeError as e: print(e)
y = torch.ones(2, requires_grad=True) * 2
try: y.requires_grad = False
except RuntimeError as e: print(e)
y.detach_(); print(y.requires_grad, y.grad_fn)
w = torch.ones(2, requires_grad=True)
try: w.grad = torch.ones(3)
except RuntimeError as e: print(e)
w.grad = torch.ones(2); (w * 2).sum().backward(); print(w.grad)
""",
    "custom function": """
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x); ctx.k = k
        return k * x ** 3
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        print(ctx.needs_input_grad)
        return 3 * ctx.k * x ** 2 * g, None
x = torch.tensor([1., 2.], requires_grad=True)
y = Cube.apply(x, 2.0); print(y); y.sum().backward(); print(x.grad)
(g,) = torch.autograd.grad(Cube.apply(x, 1.0).sum(), x, create_graph=True); (h,) = torch.autograd.grad(g.sum(), x); print(g, h)
class Two(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        m = a.argmax(); ctx.mark_non_differentiable(m)
        return a * b, m
    @staticmethod
    def backward(ctx, g, _):
        return g, g * 2
a, m = Two.apply(x, x); print(a, m, m.requires_grad); x.grad = None; a.sum().backward(); print(x.grad)
class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        a.mul_(3); ctx.mark_dirty(a); return a
    @staticmethod
    def backward(ctx, g): return g * 3
z = x * 1; w = Dirty.apply(z); print(w is z, z); x.grad = None; z.sum().backward(); print(x.grad)
try: Cube()
except RuntimeError as e: print(str(e)[:50])
""",
    "numpy both ways": """
import numpy as np
n = np.arange(6.).reshape(2, 3); t = torch.from_numpy(n); t[0] = 9; n[1, 1] = -1; t.t()[2].mul_(2)
print(n, t, t.dtype)
u = torch.zeros(2, 2); m = u.numpy(); m[0, 1] = 5; u.add_(1); print(m, u); v = u[1].numpy(); v[:] = 8; print(u)
print(torch.as_tensor(n).data_ptr() == t.data_ptr(), torch.tensor(n).data_ptr() == t.data_ptr(), np.asarray(u).sum(), (u.numpy() + 1).dtype)
try: torch.ones(2, requires_grad=True).numpy()
except RuntimeError as e: print(e)
print(np.add(t, 1), t + np.ones(3), np.float32(2) * torch.ones(2), torch.tensor(np.float32(1.5)), torch.tensor([np.int64(1), 2]))
""",
    "indexing": """
x = torch.arange(24).reshape(2, 3, 4)
print(x[1, ..., 2], x[:, None, 1].shape, x[..., -1], x[0, [0, 2]], x[:, [2, 0], [1, 3]], x[[0, 1], :, [1, 2]].shape, x[x > 20], x[torch.tensor([True, False])].shape)
print(x[:, torch.tensor([[0, 1], [1, 2]])].shape, x[1:, 1:, ::2], x[torch.tensor(1)], x[True].shape, x[False].shape, x[None].shape)
y = x.clone(); y[:, 1] = 0; y[0, [0, 2], 1] = torch.tensor([-1, -2]); y[y > 20] = 5; y[..., 0] = torch.tensor([[7], [8]]); print(y)
z = torch.zeros(4); z[[0, 0, 1]] += 1; print(z); z[torch.tensor([True, False, True, False])] = torch.tensor([3., 4.]); print(z)
for i in (5, (0, 3), slice(None, None, -1), 'a', 1.5, (..., ...)):
    try: print(x[i])
    except Exception as e: print(type(e).__name__, e)
""",
    "index gradients": """
x = torch.arange(6.).reshape(2, 3).requires_grad_()
(x[:, [0, 0, 2]] * torch.tensor([1., 2., 3.])).sum().backward(); print(x.grad); x.grad = None
(x[x > 2] ** 2).sum().backward(); print(x.grad); x.grad = None
y = x * 1; y[0] = torch.tensor([1., 1., 1.]); y[1, [0, 1]] = x[0, :2] * 5; y.sum().backward(); print(x.grad); print(y)
""",
    "printing": """
torch.manual_seed(0)
print(torch.tensor([1.0, float('nan'), float('inf')]), torch.tensor([1e-5, 1.0, 1e4]), torch.tensor([]), torch.zeros(2, 0), torch.tensor(3), torch.tensor([True]))
print(torch.tensor([1 + 2j, 3.5j]), torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.half), torch.arange(2000), torch.zeros(3, 3, 3))
print(torch.nn.Parameter(torch.ones(2)), torch.ones(1, requires_grad=True), torch.Size([1, 2]), torch.float32, torch.device('cpu'), torch.ones(2).size())
torch.set_printoptions(precision=2, sci_mode=True); print(torch.tensor([1.23456, 100.])); torch.set_printoptions(profile='default')
print(f'{torch.tensor(2.5):.3f}', [torch.tensor(1), torch.tensor([2.])], str(torch.tensor(1.5)), type(torch.ones(1)), torch.ones(1).type())
""",
    "python protocol": """
t = torch.tensor([1., 2., 3.])
print(len(t), list(t), 2.0 in t, bool(torch.tensor(1)), int(torch.tensor(3.7)), float(torch.tensor(2)), [10, 20, 30][torch.tensor(1)], t.tolist(), t.sum().item())
for f in (lambda: bool(t), lambda: len(torch.tensor(1)), lambda: t.item(), lambda: iter(torch.tensor(1)), lambda: int(t), lambda: hash(t) == hash(t), lambda: {t: 1}[t]):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
print(1 - t, 2 / t, 2 ** t, 7 // t, 7 % t, -t, abs(-t), t ** 2, t @ t, t == 2, t != t, ~torch.tensor([True]), 3 & torch.tensor([5]), t > 1)
print(round(torch.tensor(2.567), decimals=1) if False else torch.round(torch.tensor(2.567), decimals=1), divmod(7, 2), t == None, t != 'a')
a = t; a += 1; print(t); a *= 2; a -= 1; a /= 2; a **= 2; print(t); i = torch.tensor([5]); i //= 2; i %= 2; i <<= 3; i |= 1; print(i)
""",
    "copy and pickle": """
import copy, pickle
x = torch.ones(2, requires_grad=True); x.grad = torch.ones(2); y = copy.deepcopy(x); y.data.add_(1); print(x, y, y.grad, y.requires_grad)
try: copy.deepcopy(x * 2)
except RuntimeError as e: print(str(e)[:40])
z = copy.copy(x); print(z is x, z.requires_grad)
a = torch.arange(4.); b = a[1:]; c, d = copy.deepcopy((a, b)); c[1] = 9; print(d)
m = torch.nn.Linear(2, 2); n = copy.deepcopy(m); print(torch.equal(m.weight, n.weight), m.weight is n.weight)
""",
    "types and moves": """
x = torch.tensor([1.7, -1.7, 300.])
print(x.int(), x.to(torch.uint8) if False else 0, x.bool(), x.half(), x.double().dtype, x.to('cpu') is x, x.to(torch.float32) is x, x.to(torch.float32, copy=True) is x, x.type(torch.int64))
print(torch.tensor(5).type_as(x), x.float() is x, x.long(), torch.tensor([0, 1, 2]).bool(), torch.tensor(1.5).to(torch.complex64), x.cpu() is x, x.is_cuda, x.device.type)
for f in (lambda: x.to('cuda:77'), lambda: torch.device('foo'), lambda: x.to(1, 2, 3, 4, 5)):
    try: f(); print('fine')
    except Exception as e: print(type(e).__name__)
print(torch.finfo(torch.float32), torch.iinfo(torch.int8), torch.finfo(torch.bfloat16).eps, torch.get_default_dtype())
torch.set_default_dtype(torch.float64); print(torch.tensor(1.5).dtype, torch.zeros(2).dtype, (torch.tensor(1) / 2).dtype); torch.set_default_dtype(torch.float32)
""",
    "creation": """
print(torch.arange(5), torch.arange(1, 2, 0.25), torch.arange(5, 0, -2), torch.linspace(0, 1, 5), torch.logspace(0, 2, 3), torch.eye(2, 3), torch.full((2,), 3), torch.full((2,), 3.5), torch.full((1,), True))
print(torch.zeros(2, dtype=torch.int), torch.ones_like(torch.zeros(2, 3).t()).stride(), torch.empty(2, 3).shape, torch.zeros((2, 3), dtype=torch.bool), torch.tensor([[1, 2], [3, 4]], dtype=torch.float))
print(torch.Tensor(2, 3).shape, torch.Tensor(), torch.LongTensor(), torch.ones(2).new(), torch.Tensor([1, 2]), torch.LongTensor([1, 2]), torch.FloatTensor(2).shape, torch.tensor([1, 2.5]), torch.tensor([True, 2]), torch.tensor([]).dtype, torch.tensor([[]]).shape)
for f in (lambda: torch.tensor([[1, 2], [3]]), lambda: torch.tensor('a'), lambda: torch.zeros(-1), lambda: torch.arange(0, 1, 0), lambda: torch.arange(1, 0), lambda: torch.zeros('a'), lambda: torch.tensor([1, 'a']), lambda: torch.tensor(None)):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
x = torch.ones(2, dtype=torch.float64); print(x.new_zeros(2).dtype, x.new_tensor([1, 2]), x.new_full((1,), 3), torch.zeros_like(x, dtype=torch.int), torch.scalar_tensor(2), torch.as_tensor([1, 2]))
""",
    "argument errors": """
x = torch.ones(2, 3)
for f in (lambda: torch.exp(0), lambda: torch.exp(), lambda: torch.exp(x, foo=1), lambda: x.exp(3), lambda: torch.add(x, 'a'), lambda: x + 'a', lambda: x.transpose(0), lambda: torch.softmax(x, 'a'), lambda: x + torch.ones(4),
          lambda: torch.sum(x, 'a'), lambda: x.mean(dim=5), lambda: torch.ones(2, dtype=torch.long).mean(), lambda: x @ torch.ones(2), lambda: torch.mm(x, x), lambda: torch.cat([x, torch.ones(3, 2)]), lambda: torch.stack([]), lambda: x.unsqueeze(9), lambda: x.max(dim=3), lambda: torch.matmul(x, 3)):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
""",
    "layouts": """
x = torch.zeros(2, 3, 4, 5)
for y in (x.permute(0, 2, 3, 1) + 1, x.to(memory_format=torch.channels_last) * 2, x.transpose(1, 2) + x.transpose(1, 2), x.transpose(1, 2) + torch.zeros(5), x.permute(3, 2, 1, 0).clone(), x.permute(3, 2, 1, 0).contiguous(), torch.empty_like(x.permute(1, 0, 2, 3)), x.expand(2, 2, 3, 4, 5) + 1, torch.exp(x[:, :, ::2])):
    print(y.shape, y.stride(), y.is_contiguous())
print(x.contiguous() is x, x.is_contiguous(memory_format=torch.channels_last), x.t().is_contiguous() if x.dim() == 2 else None)
""",
    "split and join gradients": """
x = torch.arange(6., requires_grad=True)
a, b = x.chunk(2); c = torch.cat([b * 2, a]); d = torch.stack(x.split([2, 4])[1].unbind()); (c.sum() + (d ** 2).sum()).backward(); print(x.grad, a.grad_fn.name(), c.grad_fn.name())
y = x * 1
try: y.unbind()[0].mul_(2)
except RuntimeError as e: print(str(e)[:70])
p = y.split(3)
try: p[0].add_(1)
except RuntimeError as e: print(str(e)[:70])
""",
    "complex": """
z = torch.tensor([1 + 2j, 3 - 1j], requires_grad=True)
(z.abs() ** 2).sum().backward(); print(z.grad); z.grad = None
(z * z).real.sum().backward(); print(z.grad); z.grad = None
w = z.detach().clone(); w.real[0] = 5; w.imag.mul_(2); print(w, w.conj(), torch.view_as_real(w), w.angle())
try: (z * z).sum().backward()
except RuntimeError as e: print(e)
x = torch.tensor([1., 2.], requires_grad=True); torch.complex(x, x * 2).abs().sum().backward(); print(x.grad)
""",
    "tensor subclass": """
class T(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        log.append(func.__name__); return super().__torch_function__(func, types, args, kwargs or {})
log = []
t = torch.ones(2).as_subclass(T); u = t + 1; v = torch.exp(u); print(type(u).__name__, type(v).__name__, 'exp' in log, isinstance(v, torch.Tensor))
class P(torch.Tensor): pass
p = torch.ones(2).as_subclass(P); print(type(p * 2).__name__, type(p.sum()).__name__, type(torch.ones(1) + p).__name__)
""",
    "errors name the devices": """
try: torch.zeros(2, device='meta') + torch.zeros(2)
except Exception as e: print(type(e).__name__)
m = torch.zeros(2, 3, device='meta'); print((m @ m.t()).shape, m.device, m.is_meta)
print(torch.zeros(2, device='cpu').device, torch.device('cuda:1').index, torch.device('cuda', 1), torch.device('cpu') == torch.device('cpu'))
""",
    "anomaly": """
import warnings
x = torch.zeros(1, requires_grad=True)
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    with torch.autograd.detect_anomaly():
        try: torch.sqrt(x * -1 - 1).sum().backward()
        except RuntimeError as e: print(e)
""",
    "memory exchanged by DLPack": """
import numpy as np
t = torch.arange(6.).view(2, 3)
d = torch.from_dlpack(t); e = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(t)); n = np.from_dlpack(t)
n[0, 0] = 9; d[0, 1] = 8; e[1] += 1
print(t, d, e, n, t.__dlpack_device__()); print(torch.from_dlpack(np.arange(3)), torch.from_dlpack(t.t()).stride(), torch.from_dlpack(t, copy=True).add_(1).sum() != t.sum())
try: torch.ones(1, requires_grad=True).__dlpack__()
except Exception as x: print(type(x).__name__, x)
""",
    "the language's protocols": """
import numpy as np
t = torch.arange(6.).view(2, 3)
print([x.sum().item() for x in t], len(t), 5. in t, 100. in t, f"{t[0, 1]:.2f}", f"{torch.tensor(3)}", '%d' % torch.tensor(4), [10, 20, 30][torch.tensor(1)], int(torch.tensor(2.7)), bool(torch.tensor([0.])))
for f in (lambda: bool(t), lambda: 1 < t < 3, lambda: int(t), lambda: len(torch.tensor(1)), lambda: [1, 2][torch.tensor(1.)], lambda: "a" in t, lambda: iter(torch.tensor(1)), lambda: f"{t:.2f}", lambda: t + "a", lambda: t @ None, lambda: t.clone().requires_grad_().numpy()):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e)[:110])
a, b = t; x, *y = t.unbind(1); print(a, b, x, len(y), sum(t), max(t[0]), dict(zip("ab", t))['a'])
print(np.float32(2) * t, (t * np.float64(2)).dtype, (t + np.ones((2, 3))).dtype, (t * np.array([1, 2, 3])).dtype, (np.int64(3) * t[0]).dtype, np.asarray(t).dtype)
""",
    "numpy's names of arguments": """
x = torch.arange(6.).view(2, 3)
print(x.sum(axis=0), x.mean(axis=1), x.max(axis=1), x.sum(axis=1, keepdims=True), x.any(axis=0), torch.sum(x, axis=(0, 1)), x.argmax(axis=1), torch.cumsum(x, axis=1), torch.cat([x, x], axis=1).shape)
for f in (lambda: x.exp(axis=0), lambda: torch.squeeze(x, axis=0)):
    try: print(f().shape)
    except TypeError as e: print(e)
""",
    "gradients at ties, bounds and corners": """
x = torch.tensor([-1., 0., 0.5, 1., 2., float("nan")])
low, high = torch.tensor(0.), torch.tensor(1.)
for f in (lambda x: x.clamp(0, 1), lambda x: x.clamp(min=0), lambda x: x.clip(max=1), lambda x: torch.clamp(x, low, high), lambda x: torch.maximum(x, low), lambda x: torch.fmin(x, high),
          torch.relu, torch.abs, torch.nn.functional.relu6, torch.nn.functional.hardtanh, lambda x: torch.nn.functional.leaky_relu(x, 0.1), lambda x: torch.hypot(x, low),
          torch.nn.functional.hardswish, torch.nn.functional.softshrink, lambda x: x.sign() * x, lambda x: torch.where(x > 0, x.sqrt(), low), lambda x: x.pow(2).sum().sqrt()):
    w = x.clone().requires_grad_(); f(w).sum().backward(); print(w.grad)
t = torch.tensor([[1., 1.], [2., 2.]], requires_grad=True)
for f in (lambda t: t.max(), lambda t: t.amax(1), lambda t: t.max(1).values, lambda t: t.median(), lambda t: t.sort(1).values[:, 0], lambda t: torch.minimum(t, t), lambda t: t.norm(float("inf")), lambda t: t.cummax(1).values):
    t.grad = None; f(t).sum().backward(); print(t.grad)
""",
    "operators of the language and what they refuse": """
t, z, i = torch.ones(2), torch.tensor(1 + 2j), torch.tensor([5])
for f in (lambda: ~t, lambda: ~z, lambda: pow(t, 2, 3), lambda: t @ 2, lambda: 2 @ t, lambda: float(torch.tensor(1 + 0j)), lambda: int(torch.tensor(3 + 0j)), lambda: float(z), lambda: int(z), lambda: complex(i), lambda: divmod(t, 2),
          lambda: round(torch.tensor(2.567), 2), lambda: t + None, lambda: [1, 2] + t, lambda: t.__contains__("a"), lambda: list(reversed(i)), lambda: t.__ilshift__(1), lambda: i.__itruediv__(2), lambda: z < 1, lambda: i % 0, lambda: 2 ** torch.tensor([-1]),
          lambda: torch.finfo(torch.half), lambda: torch.finfo(torch.bfloat16).resolution, lambda: torch.iinfo(torch.bool), lambda: torch.finfo(torch.int8)):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
""",
    "cholesky of what is not finite": """
inf, nan = float("inf"), float("nan")
for m in ([[2., inf], [inf, 3.]], [[inf, 0.], [0., 1.]], [[2., 1.], [1., inf]], [[2., nan], [1., 3.]], [[2., 1.], [nan, 3.]], [[1., 2.], [2., 1.]], [[-inf, 0.], [0., 1.]]):
    for upper in (False, True):
        try: print(torch.linalg.cholesky(torch.tensor(m), upper=upper))
        except Exception as e: print(type(e).__name__, e)
    print(torch.linalg.cholesky_ex(torch.tensor(m)).info)
""",
}
