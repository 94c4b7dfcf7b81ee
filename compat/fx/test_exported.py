"""torch.export: arguments of one's own classes, what says which sizes change, programs as modules again, passes. Both libraries print the same."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.programs_of_text import run

_HEAD = """
import warnings; warnings.simplefilter("ignore")
import torch.export, dataclasses, typing, sys
from torch import nn
def said(name, f):
    try: print(name, f())
    except Exception as e: print(name, type(e).__name__, str(e)[:700])
"""

SNIPPETS = {
    "dataclasses as arguments and results": """
@dataclasses.dataclass
class In:
    feature: torch.Tensor
    bias: int
@dataclasses.dataclass
class Out:
    res: torch.Tensor
    none: typing.Any = None
for kind in (In, Out, Out, int, 3): said(kind, lambda: torch.export.register_dataclass(kind))
class Mod(nn.Module):
    def forward(self, x: In, more): return Out(res=x.feature + x.bias + more["A b"][1])
args = (In(torch.ones(2, 2), 1), {"A b": [torch.ones(2), torch.zeros(2)]})
ep = torch.export.export(Mod(), args)
print([n.name for n in ep.graph.nodes], ep.graph_signature, ep.call_spec, ep.module()(*args))
said("another structure", lambda: ep.module()(In(torch.ones(2, 2), 1), {"A b": [torch.ones(2)]}))
""",
    "inputs that say which sizes change": """
class Two(nn.Module):
    def forward(self, x, y): return x * 2, y + 1
args = (torch.ones(3, 2), torch.ones(3))
more = torch.export.AdditionalInputs()
more.add((torch.ones(4, 2), torch.ones(3)))
said("shapes", lambda: more.dynamic_shapes(Two(), args))
ep = torch.export.export(Two(), args, dynamic_shapes=more)
print(ep.module()(torch.ones(7, 2), torch.ones(3))[0].shape)
said("static", lambda: ep.module()(torch.ones(7, 2), torch.ones(4)))
said("no tuple", lambda: more.add([1])); said("no dict", lambda: more.add((1,), [2]))
more.add((torch.ones(4, 2), 3)); said("types", lambda: more.dynamic_shapes(Two(), args))
for first, then in (((True, 1), (False, 1)), ((2, {"k": args[1]}), (3, {"k": torch.ones(2)}))):
    other = torch.export.AdditionalInputs(); other.add(then); said("values", lambda: other.dynamic_shapes(Two(), first))
""",
    "suggested fixes": """
from torch.export.dynamic_shapes import refine_dynamic_shapes_from_suggested_fixes as refine, Dim
dx, dy, dz = Dim("dx"), Dim("dy"), Dim("dz", min=3)
print(dx, Dim("a", min=2), Dim("b", max=7), dz + 1, 2 * dx)
for msg in ("dx = Dim('dx', min=3, max=6)\\n  dy = 4", "dy = dx + 1", "dz = 2*dx\\n  dx = Dim('dx', max=10)", "dy = dx", "q = 4", "_dx = Dim('_dx', min=2)\\n  dx = 2*_dx", "dx = 2*_dx"):
    for shapes in ({"x": {0: dx, 1: dz}, "y": (dy, None)}, (dx, [dy, 3], {0: dz + 1})):
        said(repr(msg), lambda: refine("Suggested fixes:\\n  " + msg, shapes))
said("nothing", lambda: refine("nothing", {}))
""",
    "tables, drafts, other devices": """
ep = torch.export.export(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), (torch.ones(3, 2),))
table = torch.export.default_decompositions()
del table[torch.ops.aten.linear.default]
print(type(table).__name__, [n.name for n in ep.run_decompositions(table).graph.nodes])
print(torch.export.ModuleCallSignature([], [], None, None), torch.export.ModuleCallEntry("a"))
draft = torch.export.draft_export(nn.Linear(2, 2), (torch.ones(3, 2),))
print([n.name for n in draft.graph.nodes], draft._report.successful(), draft._report, repr(draft._report))
from torch.export.passes import move_to_device_pass
moved = move_to_device_pass(ep, "meta")
print(moved is ep, {k: (type(v).__name__, v.device) for k, v in ep.state_dict.items()}, ep.example_inputs[0][0].device)
from torch.export.custom_obj import ScriptObjectMeta
print(ScriptObjectMeta("a", "b"))
""",
    "modules called twice, and sizes": """
class Sub(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 2); self.register_buffer("b", torch.ones(2))
    def forward(self, x, y=None): return self.l(x) + self.b
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.s = Sub(); self.t = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    def forward(self, x, d):
        a = self.s(x)
        return self.t(self.s(a * 2)) + d["k"], a
torch.manual_seed(0)
net, args = Net(), (torch.ones(3, 2), {"k": torch.ones(2)})
ep = torch.export.export(net, args)
print(ep.module_call_graph, [list(n.meta.get("nn_module_stack") or ()) for n in ep.graph.nodes])
u = torch.export.unflatten(ep)
print([(n, type(x).__name__) for n, x in u.named_modules()], list(u.state_dict()), u.s.graph, u.graph)
torch.testing.assert_close(u(*args), net(*args))
said("size", lambda: u(torch.ones(4, 2), args[1])); said("structure", lambda: u(torch.ones(3, 2), [args[1]]))
u = torch.export.unflatten(torch.export.export(net, args, preserve_module_call_signature=("s",)))
print(u.module_call_graph[1], u.module_call_graph[-1], [(n, type(x).__name__) for n, x in u.named_modules()])
torch.testing.assert_close(u(*args), net(*args))
u.s = net.t
torch.testing.assert_close(u(*args)[1], net.t(args[0]))
d = torch.export.Dim("b", min=3, max=10)
u = torch.export.unflatten(torch.export.export(nn.Linear(2, 2), args[:1], dynamic_shapes={"input": {0: d}}))
for n in (4, 2, 11): said(n, lambda: u(torch.ones(n, 2)).shape)
said("a number", lambda: u(3))
class First(torch.export.FlatArgsAdapter):
    def adapt(self, target_spec, input_spec, input_args, metadata=None, obj=None): return input_args[:1]
u = torch.export.unflatten(torch.export.export(nn.Linear(2, 2), args[:1]), First())
said("adapted", lambda: u(torch.ones(3, 2), 3).shape); said("adapted", lambda: u(torch.ones(1, 2), 3))
""",
    "state that is shared, changed, or not used": """
class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(2)])
        self.head = nn.Linear(4, 4); self.head.weight = self.blocks[0][0].weight; self.unused = nn.Linear(1, 1)
    def forward(self, x, *, scale=2):
        for b in self.blocks: x = x + b(x)
        return {"out": self.head(x) * scale, "n": scale}
torch.manual_seed(0)
net, x = Blocks(), torch.randn(2, 4)
u = torch.export.unflatten(torch.export.export(net, (x,), {"scale": 3}))
print([(n, type(m).__name__) for n, m in u.named_modules()], sorted(u.state_dict()), [n for n, _ in u.named_parameters()], [n.op for n in u.head.graph.nodes])
torch.testing.assert_close(u(x, scale=3), net(x, scale=3)); torch.testing.assert_close(dict(u.state_dict()), dict(net.state_dict()))
for kwargs in ({"scale": 4}, {}, {"other": 4}): said(kwargs, lambda: u(x, **kwargs))
class Inner(nn.Module):
    def __init__(self): super().__init__(); self.q = nn.Linear(4, 4)
    def forward(self, x, t): return self.q(x).relu() if t else self.q(x).sin() * 2
class Differs(nn.Module):
    def __init__(self): super().__init__(); self.p = Inner()
    def forward(self, x): return self.p(x, True) + self.p(x, False)
net = Differs()
u = torch.export.unflatten(torch.export.export(net, (x,)))
print([(n, type(m).__name__) for n, m in u.named_modules()], sorted(u.state_dict()), u.graph)
torch.testing.assert_close(u(x), net(x))
""",
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + SNIPPETS[name]
    assert run(jtorch, program) == run(torch, program)
