"""Small programs over torch.fx. Each is run with ``torch`` bound to real torch and to jtorch; both must print the same."""

_NET = """
import torch.fx as fx, copy, operator, io, pickle
F = torch.nn.functional
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 5)
        self.param = torch.nn.Parameter(torch.ones(3, 4))
        self.register_buffer("shift", torch.full((5,), 0.5))
        self.block = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(5, 5, bias=False))
        self.layers = torch.nn.ModuleList([torch.nn.Tanh(), torch.nn.Identity()])
    def forward(self, x, scale: float = 2.0):
        z = F.relu(x + self.param)
        z = self.block(self.linear(z)) * scale + self.shift
        for layer in self.layers:
            z = layer(z)
        a, b = torch.split(z, [2, 3], 1)
        return {"a": a.clamp(min=0.0).sum(), "b": (b.shape[0], -b, b[:, 1:] > 0)}
torch.manual_seed(0)
net = Net()
"""

SNIPPETS: dict[str, str] = {
    "code and text of a traced module": _NET + """
gm = fx.symbolic_trace(net)
print(gm.code); print(gm.graph); print(gm); print(type(gm).__name__, isinstance(gm, fx.GraphModule), gm.training)
x = torch.ones(3, 4) * 0.3
print(gm(x)["a"], net(x)["a"], [n.name for n in gm.graph.nodes], list(gm.state_dict()))
print([(n.op, str(n.target), n.args, n.kwargs, list(n.users), n.all_input_nodes) for n in gm.graph.nodes if n.op != "call_function"])
print(repr(gm.graph.output_node()), len(gm.graph.nodes), [n.name for n in reversed(gm.graph.nodes)][:3])
print([n.meta.get("nn_module_stack") and list(n.meta["nn_module_stack"]) for n in gm.graph.nodes])
gm.graph.lint()
gm.print_readable()
""",
    "a function with every kind of argument": """
import torch.fx as fx, operator, math
F = torch.nn.functional
def f(x, y, *args, k: torch.Tensor, opt: float, **rest):
    return x * args[0] + opt + rest["z"] @ k, y
gm = fx.symbolic_trace(f)
print(gm.code); print(gm.graph)
def g(x: torch.Tensor, n: int) -> torch.Tensor:
    a = x.view(-1, n) ** 2 / 3 // 1 % 5
    b = 2 - a; c = 3 / b; d = 2 ** c; e = 1 @ d if False else ~(d > 1)
    h = (a < b) & (c != d) | (a == b) ^ (a >= 2)
    q = a << 1; r = 8 >> q
    return -a + abs(b) + +c + math.sqrt(n) + torch.where(h, e, q) + r.T + x.mT.real
gm = fx.symbolic_trace(g)
print(gm.code); print(gm.graph)
""",
    "values that programs hand around": """
import torch.fx as fx, collections, dataclasses, enum
P = collections.namedtuple("P", "a b")
def f(x):
    y = torch.cat([x, x[..., None, 1:2].squeeze(-2)], dim=-1)
    z = torch.stack((y, y)).to(dtype=torch.float64, device=torch.device("cpu"))
    return torch.einsum("ij,ij->i", y, y), z.sum(dim=(0, 1), keepdim=True), torch.zeros(2, 3, dtype=torch.int64), float("inf") * x
gm = fx.symbolic_trace(f)
print(gm.code); print(gm.graph); print(gm(torch.ones(2, 2)))
""",
    "making a graph by hand": """
import torch.fx as fx, operator
g = fx.Graph()
x = g.placeholder("x"); y = g.placeholder("y", default_value=3)
a = g.call_function(torch.add, (x, y)); b = g.call_method("relu", (a,)); c = g.call_function(operator.mul, (b, 2), name="twice")
g.output((c, {"k": [a, b]}))
print(g); g.lint()
gm = fx.GraphModule({}, g)
print(gm.code, gm(torch.tensor([-5., 1.])))
with g.inserting_before(c):
    d = g.call_function(torch.neg, (b,))
b.replace_all_uses_with(d, lambda n: n is not d)
with g.inserting_after(d): e = g.call_function(torch.sigmoid, (d,))
c.args = (e, 4); c.update_arg(1, 5); c.update_kwarg("out", None); print(c.args, c.kwargs, e.users, d.users); c.kwargs = {}
print(a.next, a.prev, a < b, b > c, sorted([c, a, b, e]))
gm.recompile(); print(gm.code)
try: g.erase_node(a)
except Exception as error: print(type(error).__name__, error)
f = g.call_function(torch.tanh, (a,)); print([n.name for n in g.nodes]); g.erase_node(f)
print(g.eliminate_dead_code(), g.find_nodes(op="call_function", target=torch.add), g.find_nodes(op="placeholder"))
try: c.args[0].args.append(1)
except Exception as error: print(type(error).__name__)
try: gm.graph.nodes.__iter__().__next__().kwargs["a"] = 1
except Exception as error: print(type(error).__name__, error)
try: fx.Node(g, "n", "call_function", "add", (), {})
except Exception as error: print(type(error).__name__)
h = fx.Graph(); val = {}; out = h.graph_copy(g, val); h.output(out); print(h)
""",
    "lint finds faults": """
import torch.fx as fx
g = fx.Graph(); x = g.placeholder("x"); y = g.call_function(torch.relu, (x,)); z = g.call_function(torch.neg, (y,)); g.output(z)
y.prepend(z)
try: g.lint()
except Exception as error: print(type(error).__name__, str(error).splitlines()[0])
g = fx.Graph(); x = g.placeholder("x"); y = g.call_module("nothing", (x,)); g.output(y)
try: fx.GraphModule(torch.nn.Module(), g)
except Exception as error: print(type(error).__name__)
try: fx.GraphModule({}, g)
except Exception as error: print(type(error).__name__, error)
try: fx.GraphModule(3, g)
except Exception as error: print(type(error).__name__, error)
""",
    "what cannot be traced": """
import torch.fx as fx
def branch(x):
    return x if x.sum() > 0 else -x
def loop(x):
    return [v for v in x]
def length(x):
    return len(x)
def unpack(x):
    a, b = x
    return a + b
def star(x):
    return torch.add(*x)
for f in (branch, loop, length, unpack, star):
    try: print(fx.symbolic_trace(f).code)
    except Exception as error: print(f.__name__, type(error).__name__, error)
class Own:
    pass
def odd(x): return x.add(Own())
try: fx.symbolic_trace(odd)
except Exception as error: print(type(error).__name__)
""",
    "wrap": """
import torch.fx as fx, math
def helper(x, n):
    return x * n if n > 1 else x
fx.wrap(helper)
fx.wrap("len")
@fx.wrap
def other(x): return x + len(x)
def f(x): return helper(x, 3) + other(x) * len(x) + math.floor(2.7)
gm = fx.symbolic_trace(f)
print(gm.code); print(gm(torch.ones(2)))
def inside():
    fx.wrap("abs")
try: inside()
except Exception as error: print(type(error).__name__, error)
try: fx.wrap(3)
except Exception as error: print(type(error).__name__, error)
""",
    "concrete arguments": """
import torch.fx as fx
def f(x, flag, mode="a"):
    if flag: x = x + 1
    return x * 2 if mode == "a" else x
gm = fx.symbolic_trace(f, concrete_args={"flag": True, "mode": "b"})
print(gm.code); print(gm(torch.ones(2), True, "b"))
try: gm(torch.ones(2), False, "b")
except Exception as error: print(type(error).__name__, error)
def g(x, y=None):
    return x if y is None else x + y
print(fx.symbolic_trace(g, concrete_args={"y": None}).code)
def h(d, t):
    return {"s": d["a"] + t[0], "u": [t[1], d["a"]]}
gm = fx.symbolic_trace(h, concrete_args={"d": {"a": fx.PH}, "t": (fx.PH, fx.PH)})
print(gm.code); out = gm({"a": torch.ones(2)}, (torch.zeros(2), torch.full((2,), 3.))); print(out)
print(fx.symbolic_trace(f, concrete_args=(fx.PH, False, "a")).code)
""",
    "tracers of one's own": _NET + """
class Leaves(fx.Tracer):
    def is_leaf_module(self, m, name): return isinstance(m, torch.nn.Sequential) or super().is_leaf_module(m, name)
print(Leaves().trace(net))
class Buffers(fx.Tracer):
    proxy_buffer_attributes = True
print(fx.GraphModule(net, Buffers().trace(net)).code)
class Constants(fx.Tracer):
    def __init__(self): super().__init__(param_shapes_constant=True)
class Shapes(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.w = torch.nn.Parameter(torch.ones(2, 3))
    def forward(self, x):
        if self.w.shape[0] == 2: return x @ self.w
        return x
print(Constants().trace(Shapes()))
class Stacks(fx.Tracer):
    record_stack_traces = True
n = list(Stacks().trace(net).nodes)[3]
print(n.name, type(n.stack_trace).__name__)
class Iter(fx.Tracer):
    def iter(self, obj): return iter([obj[0], obj[1]])
    def to_bool(self, obj): return True
def f(x):
    return [v + 1 for v in x] if x else x
print(Iter().trace(f))
""",
    "interpreter and transformer": _NET + """
gm = fx.symbolic_trace(net)
class Loud(fx.Interpreter):
    def run_node(self, n):
        out = super().run_node(n); print(n.op, n.name, type(out).__name__); return out
    def call_function(self, target, args, kwargs):
        return super().call_function(target, args, kwargs)
print(Loud(gm).run(torch.ones(3, 4))["a"] == gm(torch.ones(3, 4))["a"])
print(fx.Interpreter(gm).boxed_run([torch.ones(3, 4), 1.0])["b"][0])
class Swap(fx.Transformer):
    def call_function(self, target, args, kwargs):
        if target is torch.nn.functional.relu: return super().call_function(torch.sigmoid, args, {})
        return super().call_function(target, args, kwargs)
    def call_method(self, target, args, kwargs):
        return super().call_method("exp", args[:1], {}) if target == "clamp" else super().call_method(target, args, kwargs)
print(Swap(gm).transform().code)
try: fx.Interpreter(gm).run(torch.ones(2))
except Exception as error: print(type(error).__name__, str(error).splitlines()[2:])
try: fx.Interpreter(gm).run()
except Exception as error: print(type(error).__name__, str(error).splitlines()[0])
""",
    "replacing patterns": """
import torch.fx as fx
F = torch.nn.functional
class M(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.w = torch.nn.Parameter(torch.ones(2)); self.lin = torch.nn.Linear(2, 2)
    def forward(self, x, y):
        a = torch.cat([x, y]).sum(); b = torch.cat([y, x]).sum()
        c = F.relu(x + y); d = F.relu(c + self.w)
        return a.max(b) + d * torch.neg(c)
gm = fx.symbolic_trace(M())
def pattern(a, b): return torch.cat([a, b]).sum()
def replacement(a, b): return torch.stack([a, b]).mean() + 1
matches = fx.replace_pattern(gm, pattern, replacement)
print(len(matches), [(m.anchor, {k.name: v.name for k, v in m.nodes_map.items()}) for m in matches]); print(gm.code)
print(fx.replace_pattern(gm, lambda a, b: F.relu(a + b), lambda a, b: torch.tanh(a - b) * 2)); print(gm.code)
from torch.fx.subgraph_rewriter import replace_pattern_with_filters
print(len(replace_pattern_with_filters(gm, lambda a: torch.neg(a), lambda a: a.abs(), [lambda m, g, p: False])))
out = replace_pattern_with_filters(gm, lambda a: torch.tanh(a), lambda a: torch.sin(a).cos())
print([r.replacements for r in out]); print(gm.code); gm.graph.lint()
def two(a, b):
    s = a + b
    return s, s * 2
def f(x, y):
    s = x + y
    return (s - 1) / (s * 2)
gm = fx.symbolic_trace(f); print(len(fx.replace_pattern(gm, two, lambda a, b: (a - b, a * b))), gm.code)
""",
    "copying and pickling": _NET + """
gm = fx.symbolic_trace(net); gm.meta["about"] = [1]
next(iter(gm.graph.nodes)).meta["note"] = "kept"
x = torch.full((3, 4), 0.2)
twin = copy.deepcopy(gm); print(twin.code == gm.code, twin(x)["a"] == gm(x)["a"], twin.linear.weight is gm.linear.weight, twin.meta, next(iter(twin.graph.nodes)).meta)
shallow = copy.copy(gm); print(shallow.linear.weight is gm.linear.weight, shallow.graph is gm.graph)
g = copy.deepcopy(gm.graph); print(str(g) == str(gm.graph))
gm.extra = "attribute"
back = pickle.loads(pickle.dumps(gm)); print(type(back).__name__, back.code == gm.code, back(x)["a"] == gm(x)["a"], back.extra)
buf = io.BytesIO(); torch.save(gm, buf); buf.seek(0); print(torch.load(buf, weights_only=False)(x)["a"] == gm(x)["a"])
again = fx.symbolic_trace(gm); print(again.code == gm.code)
gm.train(False); print(copy.deepcopy(gm).training)
gm2 = fx.GraphModule(net, gm.graph, "Named"); print(type(gm2).__name__, gm2.__class__.__mro__[1].__name__)
""",
    "modules inside": _NET + """
gm = fx.symbolic_trace(net)
print(gm.add_submodule("inner.more", torch.nn.Linear(1, 1)), sorted(n for n, _ in gm.named_modules()))
print(gm.delete_submodule("inner.more"), gm.delete_submodule("absent"))
gm.delete_all_unused_submodules(); print(sorted(n for n, _ in gm.named_modules()))
import warnings
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    gm.graph.get_attr("nowhere"); print(w[-1].message)
for n in list(gm.graph.nodes):
    if n.op == "get_attr" and n.target == "nowhere": gm.graph.erase_node(n)
outer = torch.nn.Sequential(gm, torch.nn.Identity()); print(str(fx.symbolic_trace(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh())).code))
""",
    "shape propagation": _NET + """
from torch.fx.passes.shape_prop import ShapeProp
gm = fx.symbolic_trace(net)
ShapeProp(gm).propagate(torch.ones(3, 4))
for n in gm.graph.nodes:
    m = n.meta.get("tensor_meta")
    print(n.name, n.meta["type"].__name__, m if m is None or isinstance(m, dict) else (m.shape, m.dtype, m.requires_grad, m.stride, m.memory_format))
print(gm.graph.output_node().meta["tensor_meta"]["b"][1])
print(gm.print_readable(False))
""",
    "splitting": """
import torch.fx as fx
from torch.fx.passes.split_module import split_module
class M(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.param = torch.nn.Parameter(torch.rand(3, 4)); self.linear = torch.nn.Linear(4, 5)
    def forward(self, x, y):
        z = self.linear(x + self.param).clamp(min=0.0, max=1.0)
        w = self.linear(y).clamp(min=0.0, max=1.0)
        return z + w
gm = fx.symbolic_trace(M()); count = {"n": -1}
def by_count(node):
    count["n"] += 1; return count["n"] // 2
names = {}
for keep in (False, True):
    for tuples in (False, True):
        count["n"] = -1
        split = split_module(gm, M(), by_count, names, keep_original_order=keep, tuple_return=tuples)
        print(split.code); print([str(getattr(split, n).code) for n in sorted(split.meta["partition_names"])]); print(sorted(split.state_dict())); split.graph.lint()
        x, y = torch.ones(3, 4), torch.zeros(3, 4); print((split(x, y) == gm(x, y)).all())
print(names)
count["n"] = -1; print(split_module(gm, M(), by_count, partition_affix="p", keep_original_node_name=True, keep_original_input_name=False).code)
try: split_module(gm, M(), lambda n: {"add": 0, "linear": 1}.get(n.name, 0))
except Exception as error: print(type(error).__name__, error)
from torch.fx.passes.split_utils import split_by_tags
for i, n in enumerate(gm.graph.nodes):
    if n.op.startswith("call"): n.tag = "one" if n.name in ("add", "linear", "clamp") else "two"
made, where = split_by_tags(gm, ["one", "two"], return_fqn_mapping=True); print(made.code, made.one.code, made.two.code, where)
""",
    "fusing and rewriting": """
import torch.fx as fx
from torch.fx.experimental.optimization import fuse, remove_dropout
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.Dropout(0.5)).eval()
x = torch.ones(1, 1, 5, 5)
fused = fuse(net); print(fused.code); print((fused(x) - net(x)).abs().max() < 1e-6)
print(remove_dropout(net).code)
from torch.fx.passes.tools_common import legalize_graph, stable_topological_sort
def f(x):
    a = torch.sin(x); b = torch.cos(x); return a + b * a
gm = fx.symbolic_trace(f)
nodes = {n.name: n for n in gm.graph.nodes}; nodes["sin"].append(nodes["x"])
print(stable_topological_sort(gm).code, legalize_graph(gm).code)
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import OperatorSupport, create_op_support
gm = fx.symbolic_trace(lambda x: torch.relu(torch.sin(x) + torch.cos(x)).sum())
p = CapabilityBasedPartitioner(gm, create_op_support(lambda m, n: n.op == "call_function" and n.name != "relu"))
parts = p.propose_partitions(); print([sorted(n.name for n in q.nodes) for q in parts]); fused = p.fuse_partitions(parts); print(fused.code, fused.fused_0.code)
print(OperatorSupport({"torch.relu": None}).is_node_supported({}, next(iter(fused.graph.find_nodes(op="call_function", target=torch.relu)))))
from torch.fx.passes.infra.pass_manager import PassManager, pass_result_wrapper, this_before_that_pass_constraint
def one(gm): print("one")
def two(gm): print("two")
a, b = pass_result_wrapper(one), pass_result_wrapper(two)
print(PassManager([b, a], [this_before_that_pass_constraint(a, b)])(gm).modified)
""",
    "generated code can be changed": """
import torch.fx as fx
def f(x): return torch.relu(x) + 1
gm = fx.symbolic_trace(f)
def insert(body): return ["print('start')\\n", *body]
with gm.graph.on_generate_code(lambda before: insert):
    gm.recompile(); print(gm.code); gm(torch.ones(1))
gm.recompile(); gm(torch.ones(1))
class Lists(fx.graph.CodeGen):
    def gen_fn_def(self, free_vars, returns): return f"def forward(self, args_list){returns}:\\n    {', '.join(free_vars)}, = args_list"
    def additional_globals(self): return [("extra", 3)]
    def process_inputs(self, *inputs): return inputs[0]
gm.graph.set_codegen(Lists()); gm.recompile(); print(gm.code, gm([torch.ones(1)]), fx.Interpreter(gm).run([torch.ones(1)]))
print(gm.graph.python_code("root").src)
gm = fx.symbolic_trace(f); gm.graph.find_nodes(op="placeholder")[0].type = torch.Tensor; gm.graph.output_node().type = tuple[int, torch.Tensor]; gm.recompile(); print(gm.code)
from torch.fx.annotate import annotate
print(fx.symbolic_trace(lambda x: annotate(x + 1, torch.Tensor) * 2).code)
""",
    "errors show the generated line": """
import torch.fx as fx, sys, io, contextlib
gm = fx.symbolic_trace(lambda x, y: x @ y)
err = io.StringIO()
with contextlib.redirect_stderr(err):
    try: gm(torch.ones(2, 3), torch.ones(2, 3))
    except Exception as error: print(type(error).__name__)
print(err.getvalue().splitlines()[-9:] if False else "Call using an FX-traced Module, line 5" in err.getvalue())
import inspect; print(inspect.getsource(gm.forward.__func__))
""",
    "meta is copied by transformations": """
import torch.fx as fx
from torch.fx import traceback as tb
gm = fx.symbolic_trace(lambda x: torch.relu(x) + 1)
for n in gm.graph.nodes: n.meta["custom"] = {"k": n.name}; n.meta["other"] = 1
made = fx.Transformer(gm).transform(); print([(n.name, n.meta.get("custom"), n.meta.get("other")) for n in made.graph.nodes])
with tb.preserve_node_meta(), tb.annotate({"part": 1}): print(tb.get_current_meta(), fx.symbolic_trace(lambda x: x * 2).graph.find_nodes(op="call_function", target=__import__("operator").mul)[0].meta["custom"])
print(tb.get_current_meta())
""",
    "maps": """
import torch.fx as fx, collections
from torch.fx.node import map_aggregate
from torch.fx.immutable_collections import immutable_list, immutable_dict
P = collections.namedtuple("P", "a b")
out = map_aggregate({"k": [1, (2, slice(3, 4, None))], "p": P(5, [6])}, lambda v: v * 10 if isinstance(v, int) else v)
print(out, type(out).__name__, type(out["k"]).__name__, type(out["p"]).__name__, hash(immutable_list([1])) == hash((1,)))
import copy, pickle; print(copy.deepcopy(immutable_list([1, 2])), pickle.loads(pickle.dumps(immutable_dict({"a": 1}))), immutable_list([1]) + [2])
for go in (lambda: immutable_list([1]).append(2), lambda: immutable_dict(a=1).update(b=2)):
    try: go()
    except Exception as error: print(type(error).__name__, error)
""",
}  # fmt: skip
_MAKE_FX = """
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree
torch.manual_seed(0)
x, lin = torch.randn(3, 4), torch.nn.Linear(4, 2)
def grad(x):
    x = x.detach().requires_grad_(True)
    return torch.autograd.grad((x.sin() * 2).sum(), x)[0]
def write(x):
    y = x.clone(); y.add_(1); y.view(-1).mul_(2); return y
def show(f, *a, **k):
    made = make_fx(f, **k)(*a)
    print(made.code.strip(), [n.meta['tensor_meta'].shape for n in made.graph.nodes if n.op == 'placeholder' and 'tensor_meta' in n.meta])
    print([torch.allclose(p, q) for p, q in zip(pytree.tree_leaves(made(*a)), pytree.tree_leaves(f(*a))) if isinstance(p, torch.Tensor)])
"""
SNIPPETS["make_fx"] = _MAKE_FX + """
c = torch.ones(4)
for f, a in ((lambda x: x.sin() + 1, (x,)), (lambda x, y: (torch.relu(x @ y.t()), x.sum()), (x, x)), (lin, (x,)), (write, (x,)), (grad, (x,)), (lambda x: x + c + torch.ones(4), (x,)),
             (lambda d: {'o': d['a'] * 2, 'p': [d['b'].cos()]}, ({'a': x, 'b': x},)), (lambda *a: a[0] * a[1], (x, x)), (lambda x: x.max(1), (x,)), (lambda x: torch.chunk(x, 2, 1), (x,)),
             (lambda x: torch.nn.functional.layer_norm(x, (4,)), (x,)), (lambda x, n: x * n, (x, 3)), (torch.nn.functional.cross_entropy, (x, torch.tensor([0, 1, 2])))):
    show(f, *a)
show(lambda x: x.tanh(), x, decomposition_table={torch.ops.aten.tanh.default: lambda x: torch.sigmoid(2 * x) * 2 - 1})
show(lambda x: x.tanh(), x, tracing_mode='fake')
try: make_fx(lambda x: x if x.sum() > 0 else -x)(x)
except RuntimeError as e: print(e)
"""
SNIPPETS["make_fx_of_transforms"] = _MAKE_FX + """
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
F = torch.nn.functional
y, m, lstm = torch.randn(3, 4), torch.nn.Linear(4, 2), torch.nn.LSTM(4, 2, batch_first=True)
def written(r):
    q = r.clone(); q.add_(1); q.view(2, 2).mul_(r[0]); return q
fs = {
    'grad': grad(lambda x: (x.sin() * x).sum()), 'vmap': vmap(torch.sin), 'jvp': lambda x: jvp(lambda x: x.sin() * 2, (x,), (x * 0 + 1,)), 'vjp': lambda x: vjp(lambda x: x.exp() * x, x)[1](x),
    'jacrev': jacrev(lambda x: x.sin().sum(0)), 'jacfwd': jacfwd(lambda x: x.sin().sum(0)), 'hessian': hessian(lambda x: (x ** 3).sum()), 'rev of rev': jacrev(jacrev(lambda x: x.sin().sum())),
    'rows': vmap(lambda r: (r * 2).sum() + r @ x.t()), 'nested': lambda x: vmap(vmap(lambda a, b: a * b, (0, None)), (0, None))(x, x.sum(0)), 'written': vmap(written),
    'dims': vmap(lambda r: (r.cumsum(0), torch.ones(2)), in_dims=1, out_dims=(1, 0)), 'per sample': vmap(grad(lambda p, v: F.linear(v, p).relu().pow(2).sum()), (None, 0), 0),
    'softmax': vmap(grad(lambda r: F.softmax(r, 0)[0])), 'pool': vmap(grad(lambda r: F.max_pool1d(r[None, None], 2).sum())), 'svd': grad(lambda x: torch.linalg.svdvals(x).sum()),
    'types': vmap(lambda r: r.sum() + torch.ones(2, dtype=torch.float64)), 'lstm': lambda x: lstm(x[None])[0], 'through lstm': grad(lambda x: lstm(x[None])[0].sum()), 'through m': grad(lambda x: m(x).sum()),
    'drawn': vmap(lambda r: F.dropout(r, 0.0), randomness='different'),
}
for name, f in fs.items():
    more = (torch.ones(2, 4),) if name == 'per sample' else ()
    made = make_fx(f)(*more, x)
    print(name, [torch.allclose(p, q, atol=1e-5) for p, q in zip(pytree.tree_leaves(made(*more, y)), pytree.tree_leaves(f(*more, y)))])
_, pull = vjp(lambda x: torch.sin(x).sum(), x)
made = make_fx(pull)(torch.tensor(1.), True, True)
print('pull', torch.allclose(made(torch.tensor(2.), True, True)[0], pull(torch.tensor(2.))[0]))
"""
