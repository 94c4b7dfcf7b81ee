"""Small programs over torch.jit. Each is run with ``torch`` bound to real torch and to jtorch; both must print the same."""

_HEAD = """
import torch.jit
import warnings, io, copy
from typing import List, Optional, Dict, Tuple, Final
def t(f):
    try: print(f())
    except BaseException as e: print(type(e).__name__, str(e)[:300])
class M(torch.nn.Module):
    __constants__ = ["k"]
    def __init__(self):
        super().__init__(); self.lin = torch.nn.Linear(2, 2); self.k = 3; self.register_buffer("b", torch.ones(2)); self.lst = [1, 2]; self.odd = object(); self.flag = True
        self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.ReLU()])
    def forward(self, x):
        for layer in self.layers: x = layer(x)
        return self.lin(x) * self.k + self.helper(self.b)
    def helper(self, x): return x if self.flag else -x
    def plain(self, x): return x
class N(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.lin = torch.nn.Linear(3, 2); self.drop = torch.nn.Dropout(0.5); self.w = torch.nn.Parameter(torch.ones(2))
    def forward(self, x, y=None):
        n, c = x.shape[0], x.size(-1)
        z = self.lin(x.reshape(n * 2, c // 1)).view(n, -1, 2) * self.w
        return (z.sum(1), torch.cat([z, z], 1)[:, 1:]) if y is None else (z + y, z)
torch.manual_seed(0)
x = torch.ones(1, 2)
"""

SNIPPETS: dict[str, str] = {
    "a scripted module": _HEAD + """
m = M(); s = torch.jit.script(m)
print(isinstance(s, torch.nn.Module), isinstance(s, torch.jit.ScriptModule), isinstance(s, M), s.original_name, type(s).__name__, type(s.lin).__name__, s.lin.original_name)
print(s); print(torch.equal(s(x), m(x)), list(s.state_dict()), s.training, s.k, s.lst, s.flag)
t(lambda: s.plain); t(lambda: s.odd); t(lambda: s.nothere); t(lambda: setattr(s, "k", 5))
s.eval(); print(s.training, m.training, s.lin.training)
print(s.lin.weight is m.lin.weight, [n for n, _ in s.named_modules()], len(list(s.parameters())), [n for n, _ in s.named_buffers()], len(s.layers), type(s.layers[0]).__name__, [type(l).__name__ for l in s.layers])
s.flag = False; print(torch.equal(s(x), m(x)), m.flag, s.flag)
with torch.no_grad(): s.lin.weight.zero_(); s.b.fill_(7)
print(torch.equal(m.lin.weight, s.lin.weight), m.b)
s.load_state_dict(M().state_dict()); s.double(); print(next(s.parameters()).dtype, s(x.double()).dtype)
opt = torch.optim.SGD(s.parameters(), 0.1); s(x.double()).sum().backward(); opt.step(); print(s.lin.weight.grad is not None)
c = copy.deepcopy(s); print(type(c).__name__, c.lin.weight is s.lin.weight, torch.equal(c(x.double()), s(x.double())))
t(lambda: torch.jit.script(s) is s); t(lambda: torch.jit.script(3)); print(torch.jit.script(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU())))
t(lambda: s.register_forward_hook(print))
""",
    "what is said to the compiler": _HEAD + """
class E(torch.nn.Module):
    size: Final[int]
    def __init__(self): super().__init__(); self.size = 4
    def forward(self, x): return self.left(x)
    @torch.jit.export
    def other(self, x): return x + self.size
    @torch.jit.ignore
    def left(self, x: torch.Tensor) -> torch.Tensor: return x * 2
    @torch.jit.unused
    def never(self, x: torch.Tensor) -> torch.Tensor: raise Exception
s = torch.jit.script(E()); print(s.other(x), s(x), s.left(x)); t(lambda: setattr(s, "size", 5))
print(torch.jit.is_scripting(), torch.jit.is_tracing(), torch.jit.annotate(List[int], []))
I = torch.jit.isinstance
print(I([1], List[int]), I([1, "a"], List[int]), I({"a": 1}, Dict[str, int]), I(None, Optional[int]), I((1, "a"), Tuple[int, str]), I(1, (int, str)), I([[1], [2]], List[List[int]]), I({"a": [1.0]}, Dict[str, List[int]]))
t(lambda: I([1], List)); t(lambda: torch.jit.Attribute(1, int)); print(torch.jit.Final is Final)
f = torch.jit.fork(lambda x: x + 1, torch.ones(1)); print(torch.jit.wait(f))
@torch.jit.interface
class Shape:
    def area(self, x: int) -> int: pass
print(Shape.__name__); t(lambda: torch.jit.interface(3))
@torch.jit.script_if_tracing
def sit(x): return x + 1
print(sit(torch.ones(1)))
def over(x): ...
torch.jit._overload(over)
print(torch.jit.set_fusion_strategy([("STATIC", 2)]), torch.jit.onednn_fusion_enabled())
with torch.jit.optimized_execution(True): print(sit(torch.ones(1)))
class S2(torch.jit.ScriptModule):
    def __init__(self): super().__init__(); self.w = torch.nn.Parameter(torch.ones(2))
    def forward(self, x): return x * self.w
print(S2()(torch.ones(2)), list(S2().state_dict()))
""",
    "traces": _HEAD + """
warnings.simplefilter("ignore")
n = N().eval(); x = torch.randn(2, 2, 3)
near = torch.nn.PairwiseDistance(); rows = [torch.arange(6.).view(2, 3) + k for k in (0, 1, 3)]
for d in (near, lambda a, b: (a - b).abs().sum(1), None): print(torch.jit.trace(lambda a, p, q: torch.nn.functional.triplet_margin_with_distance_loss(a, p, q, distance_function=d), rows)(rows[0], rows[1] * 2, rows[2]))
tr = torch.jit.trace(n, x); print(tr, type(tr).__name__, isinstance(tr, torch.jit.ScriptModule), tr.original_name, type(tr.lin).__name__, list(tr.state_dict()))
for batch in (2, 5):
    v = torch.randn(batch, 2, 3); print([torch.equal(a, b) for a, b in zip(tr(v), n(v))], [tuple(a.shape) for a in tr(v)])
print(tr.w is n.w, tr.training)
with torch.no_grad(): n.w.mul_(3)
print(torch.equal(tr(x)[0], n(x)[0]))
tr(x)[0].sum().backward(); print(n.w.grad is not None, tr.lin.weight.grad.shape)
two = torch.jit.trace(n, (x, torch.ones(2, 1, 1))); print([tuple(a.shape) for a in two(x, torch.zeros(2, 1, 1))])
kw = torch.jit.trace(n, example_kwarg_inputs={"x": x, "y": torch.ones(2, 1, 1)}); print([tuple(a.shape) for a in kw(x=x, y=torch.zeros(2, 1, 1))])
def f(a, b):
    c = a.clone(); c[0] = 5; c.add_(b); d, e = torch.split(c, 1); a = a + len([1, 2])
    return {"c": c, "d": d, "e": e.T + a}
print(torch.jit.trace(lambda a: [a], x)(x)[0].shape); t(lambda: torch.jit.trace(lambda a: {"k": a}, x)); t(lambda: torch.jit.trace(lambda a: 3, x))
g = torch.jit.trace(f, (torch.zeros(2, 2), torch.ones(2, 2)), strict=False); out = g(torch.full((2, 2), 4.), torch.full((2, 2), 2.)); print(out["c"], out["d"], out["e"], g.name)
t(lambda: torch.jit.trace(tr, x) is tr)
class T2(torch.nn.Module):
    def forward(self, x): return x * 2
    def other(self, x): return x + 5
tm = torch.jit.trace_module(T2(), {"forward": torch.ones(1, 2), "other": torch.ones(1)}); print(tm.other(torch.ones(3)), tm(torch.ones(3, 3)), tm)
c = copy.deepcopy(tr); print(torch.equal(c(x)[0], tr(x)[0]), c.w is tr.w); tr.double(); print(tr(x.double())[0].dtype)
@torch.jit.script
def branchy(x):
    if x.sum() > 0: return x
    return -x
h = torch.jit.trace(lambda x: branchy(x) + 1, torch.ones(2)); print(h(torch.full((2,), -3.)))
""",
    "a trace warns": _HEAD + """
cases = {
    "bool": lambda x: x if x.sum() > 0 else -x, "int": lambda x: x[int(x[0])], "float": lambda x: x + float(x[0]), "item": lambda x: x + x[0].item(), "len": lambda x: x + len(x),
    "iter": lambda x: [v for v in x][0], "numpy": lambda x: x + float(x.numpy().sum()), "list": lambda x: x + len(x.tolist()), "tensor": lambda x: x + torch.tensor(3.0),
    "index": lambda x: x + [5, 6][x.long()[0]], "none": lambda x: x.view(x.shape[0], 1) * x.size(0) + x.numel() * 2 // 1, "unpack": lambda x: torch.stack(list(x.unbind(0))),
}
for name, f in cases.items():
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        try: torch.jit.trace(f, torch.ones(3), check_trace=False)
        except Exception as e: print(type(e).__name__)
    print(name, [(v.category.__name__, str(v.message)[:60]) for v in w if issubclass(v.category, torch.jit.TracerWarning)])
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always"); torch.jit.trace(torch.nn.Dropout(0.5), torch.ones(40)); print([str(v.message)[:70] for v in w])
print(torch.rand(1))
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always"); torch.jit.trace(torch.nn.ReLU(), torch.ones(40)); print([str(v.message)[:70] for v in w], issubclass(torch.jit.TracerWarning, Warning))
""",
    "freezing": _HEAD + """
s = torch.jit.script(M()); t(lambda: torch.jit.freeze(s)); t(lambda: torch.jit.freeze(M()))
s.eval(); f = torch.jit.freeze(s); print(type(f).__name__, list(f.state_dict()), list(f.parameters()), torch.equal(f(x), s(x)))
with torch.no_grad(): s.b.fill_(9)
print(torch.equal(f(x), s(x))); t(lambda: f.k); print(torch.jit.freeze(torch.jit.script(M()).eval(), preserved_attrs=["flag"]).flag)
print(torch.equal(torch.jit.optimize_for_inference(s)(x), s(x)))
""",
    "files": _HEAD + """
warnings.simplefilter("ignore")
n = N().eval(); x = torch.randn(2, 2, 3); tr = torch.jit.trace(n, x)
def round(m, **more):
    b = io.BytesIO(); torch.jit.save(m, b, **more); b.seek(0); return b
l = torch.jit.load(round(tr)); print(type(l).__name__, isinstance(l, torch.jit.ScriptModule), l.original_name, list(l.state_dict()), torch.equal(l(x)[0], tr(x)[0]), l.lin.original_name)
l2 = torch.jit.load(round(l), map_location="cpu"); v = torch.randn(4, 2, 3); print(torch.equal(l2(v)[1], n(v)[1]), [k for k, _ in l2.named_modules()])
with torch.no_grad(): l2.w.zero_()
print(l2(v)[0].abs().sum(), l2.training)
extra = {"info.txt": ""}; torch.jit.load(round(tr, _extra_files={"info.txt": "hello"}), _extra_files=extra); print(extra)
f = torch.jit.trace(lambda a: a * 2 + 1, torch.ones(2)); g = torch.jit.load(round(f)); print(g(torch.full((3,), 2.)))
import tempfile, os
with tempfile.TemporaryDirectory() as d:
    tr.save(os.path.join(d, "m.pt")); print(torch.equal(torch.jit.load(os.path.join(d, "m.pt"))(x)[0], tr(x)[0]))
try: torch.jit.load("never_there.pt")
except Exception as e: print(type(e).__name__, e)
fz = torch.jit.freeze(torch.jit.script(torch.nn.Linear(2, 2).eval())); print(torch.equal(torch.jit.load(round(fz))(torch.ones(1, 2)), fz(torch.ones(1, 2))))
""",
    "a call's operators": _HEAD + """
warnings.simplefilter("ignore")
F = torch.nn.functional
class G(torch.nn.Module):
    def __init__(self):
        super().__init__(); nn = torch.nn; self.c = nn.Conv2d(3, 4, 3, bias=False); self.b = nn.BatchNorm2d(4); self.l = nn.Linear(4, 2); self.d = nn.Dropout(0.1); self.n = nn.LayerNorm(2)
    def forward(self, x):
        y = F.max_pool2d(F.relu(self.b(self.c(x)), inplace=True), 2).mean((2, 3)); a, b = y.chunk(2, 1); z = torch.cat([a, b], 1) + 1; z = (z * z).view(2, 4)
        state = torch._C._get_tracing_state(); print(state is not None, torch.jit.is_tracing()); state.push_scope("head"); z = self.n(self.d(self.l(z))); state.pop_scope()
        return torch.einsum("ij,kj->ik", z, torch.softmax(z, -1)), z.transpose(0, 1)
g, out = torch.jit._get_trace_graph(G().eval(), (torch.ones(2, 3, 8, 8),))
shown = lambda v: (v.type().kind(), v.type().sizes() if v.isCompleteTensor() else None)
for n in g.nodes():
    if n.kind().startswith("aten"):
        print(n.kind(), n.scopeName(), [shown(v) for v in n.inputs()], [v.toIValue() for v in n.inputs() if v.node().kind() == "prim::Constant" and "Tensor" not in v.type().kind()], [shown(v) for v in n.outputs()])
print([(shown(v), v.type().scalarType()) for v in g.inputs()], [shown(v) for v in g.outputs()], len(out), torch._C._get_tracing_state())
c = next(n for n in g.nodes() if n.kind() == "prim::Constant" and n.hasAttribute("value")); print(c.attributeNames(), c.kindOf("value"), getattr(c, c.kindOf("value"))("value"))
""",
}  # fmt: skip
