"""Programs about modules. Each takes the library as ``torch`` and returns what it saw; both libraries must see the same."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

PROGRAMS: dict[str, Callable[[Any], list[Any]]] = {}


def program(fn: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    PROGRAMS[fn.__name__] = fn
    return fn


def attempt(fn: Callable[[], Any]) -> str:
    """What ``fn`` returns, or the error it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return f"ok {fn()!r}"
        except Exception as e:
            return f"{type(e).__name__}: {e}"


def warned(fn: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fn()
    return [f"{w.category.__name__}: {w.message}" for w in caught]


@program
def registration_errors(torch: Any) -> list[Any]:
    nn = torch.nn
    seen = []

    def on(fn: Callable[[Any], Any]) -> None:
        m = nn.Linear(2, 3)
        m.plain = 1
        m.child = nn.ReLU()
        m.register_buffer("buf", torch.zeros(2))
        seen.append(attempt(lambda: fn(m)))

    on(lambda m: setattr(m, "weight", torch.ones(2)))
    on(lambda m: setattr(m, "weight", 3))
    on(lambda m: setattr(m, "child", 3))
    on(lambda m: setattr(m, "child", torch.ones(1)))
    on(lambda m: setattr(m, "buf", 3))
    on(lambda m: setattr(m, "buf", None))
    on(lambda m: setattr(m, "weight", None))
    on(lambda m: m.register_parameter("a.b", None))
    on(lambda m: m.register_parameter("", None))
    on(lambda m: m.register_parameter(3, None))
    on(lambda m: m.register_parameter("plain", None))
    on(lambda m: m.register_parameter("new", torch.ones(2)))
    on(lambda m: m.register_parameter("weight", None))
    on(lambda m: m.register_buffer("a.b", None))
    on(lambda m: m.register_buffer("", None))
    on(lambda m: m.register_buffer(3, None))
    on(lambda m: m.register_buffer("weight", None))
    on(lambda m: m.register_buffer("new", 3))
    on(lambda m: m.add_module("a.b", None))
    on(lambda m: m.add_module("", None))
    on(lambda m: m.add_module(3, None))
    on(lambda m: m.add_module("weight", None))
    on(lambda m: m.add_module("new", 3))
    on(lambda m: m.missing)
    on(lambda m: delattr(m, "missing"))
    on(lambda m: m.get_submodule("child.x"))
    on(lambda m: m.get_submodule("weight"))
    on(lambda m: m.get_parameter("buf"))
    on(lambda m: m.get_parameter("nope"))
    on(lambda m: m.get_buffer("weight"))
    on(lambda m: m.get_buffer("child.nope"))
    on(lambda m: m.set_submodule("", nn.ReLU()))
    on(lambda m: m.set_submodule("nope.x", nn.ReLU()))
    on(lambda m: m.set_submodule("nope", nn.ReLU(), strict=True))
    on(lambda m: m.set_submodule("weight", nn.ReLU()))
    on(lambda m: m.train(3))
    on(lambda m: m.to(torch.int32))
    on(lambda m: nn.Module()(3))
    on(lambda m: nn.Module(3))
    on(lambda m: nn.Module(x=3))

    class NoInit(nn.Module):
        def __init__(self, value: Any) -> None:
            self.x = value

    for value in (nn.Parameter(torch.ones(1)), nn.ReLU()):
        seen.append(attempt(lambda v=value: NoInit(v)))
    return seen


@program
def attributes_move_between_kinds(torch: Any) -> list[Any]:
    nn = torch.nn
    m = nn.Module()
    seen = []

    def look() -> None:
        seen.append((sorted(k for k in m.__dict__ if k == "x"), list(m._parameters), list(m._buffers), list(m._modules), sorted(m._non_persistent_buffers_set)))

    m.x = 1
    look()
    m.x = nn.Parameter(torch.ones(1))
    look()
    m.x = None
    look()
    del m.x
    m.x = nn.ReLU()
    look()
    del m.x
    m.x = nn.Buffer(torch.ones(1), persistent=False)
    look()
    m.x = torch.zeros(2)
    look()
    m.x = nn.Buffer(torch.ones(1))
    look()
    m.x = nn.Parameter(torch.ones(1))
    look()
    seen.append([n for n in dir(m) if n == "x"])
    return seen


def _net(torch: Any) -> Any:
    nn = torch.nn
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.BatchNorm1d(3), c=nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU())))


@program
def listing(torch: Any) -> list[Any]:
    m = _net(torch)
    m.d = m.a
    m.c.tied = m.a.weight
    return [
        [n for n, _ in m.named_parameters()],
        [n for n, _ in m.named_parameters(remove_duplicate=False)],
        [n for n, _ in m.named_parameters("p", recurse=True)],
        [n for n, _ in m.named_parameters(recurse=False)],
        [n for n, _ in m.named_buffers()],
        [n for n, _ in m.named_modules()],
        [n for n, _ in m.named_modules(remove_duplicate=False)],
        [n for n, _ in m.named_children()],
        len(list(m.modules())),
        list(m.state_dict()),
        list(m.state_dict(prefix="pre.")),
        [p.requires_grad for p in m.state_dict(keep_vars=True).values()],
        [p.requires_grad for p in m.state_dict().values()],
        dict(m.state_dict()._metadata),
        repr(m),
    ]


@program
def load_state_dict_text(torch: Any) -> list[Any]:
    nn = torch.nn
    seen = []
    good = _net(torch).state_dict()

    def load(change: Callable[[Any], Any], **kwargs: Any) -> None:
        state = OrderedDict(good)
        changed = change(state)
        m = _net(torch)
        seen.append(attempt(lambda: m.load_state_dict(state if changed is None else changed, **kwargs)))

    load(lambda s: None)
    load(lambda s: [s.pop("a.weight")].clear())
    load(lambda s: s.update(zzz=torch.ones(1)))
    load(lambda s: s.update({"a.x.y": torch.ones(1), "c.0.w": torch.ones(1), "q.w": torch.ones(1)}))
    load(lambda s: s.update({"a.weight": torch.ones(5, 5), "a.bias": 3}))
    load(lambda s: s.update({"a.weight": torch.ones(5, 5)}), strict=False)
    load(lambda s: {})
    load(lambda s: {}, strict=False)
    load(lambda s: [1])
    load(lambda s: s.update({"_extra_state": 1}))
    load(lambda s: s.update(zzz=torch.ones(1)), strict=False, assign=True)
    load(lambda s: s.update({"b.num_batches_tracked": torch.ones(1, dtype=torch.int64)}))
    m = _net(torch)
    state = {k: v.double() if v.is_floating_point() else v for k, v in good.items()}
    m.load_state_dict(state)
    seen.append([str(p.dtype) for p in m.parameters()])
    m.load_state_dict(state, assign=True)
    seen.append([(str(p.dtype), p.requires_grad, isinstance(p, nn.Parameter)) for p in m.parameters()])
    return seen


@program
def extra_state_and_hooks_of_state_dicts(torch: Any) -> list[Any]:
    nn = torch.nn
    log: list[Any] = []

    class Extra(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(1, 1)
            self.word = "first"

        def get_extra_state(self) -> Any:
            return {"word": self.word}

        def set_extra_state(self, state: Any) -> None:
            self.word = state["word"]

    m = Extra()
    m.word = "second"
    m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
    m.register_state_dict_post_hook(lambda mod, sd, prefix, meta: log.append(("post", list(sd), prefix, meta)))
    m._register_state_dict_hook(lambda mod, sd, prefix, meta: log.append(("old", prefix)))
    state = m.state_dict()
    n = Extra()
    n.register_load_state_dict_pre_hook(lambda mod, sd, prefix, meta, strict, *lists: log.append(("load", list(sd), prefix, meta, strict, lists)))
    n._register_load_state_dict_pre_hook(lambda sd, prefix, *rest: log.append(("load0", prefix)))
    n.register_load_state_dict_post_hook(lambda mod, keys: log.append(("after", keys.missing_keys, keys.unexpected_keys)))
    n.inner.register_load_state_dict_post_hook(lambda mod, keys: log.append("inner after"))
    log.append(repr(n.load_state_dict(state)))
    log.append(n.word)
    log.append(attempt(lambda: n.load_state_dict({})))
    n.register_load_state_dict_post_hook(lambda mod, keys: keys.missing_keys.clear())
    log.append(attempt(lambda: n.load_state_dict({})))
    n.register_load_state_dict_post_hook(lambda mod, keys: 3)
    log.append(attempt(lambda: n.load_state_dict({})))
    m.register_state_dict_post_hook(lambda mod, sd, prefix, meta: 3)
    log.append(attempt(m.state_dict))
    log.append(warned(lambda: nn.Linear(1, 1).state_dict(OrderedDict(), "p.")))
    return log


@program
def forward_hooks(torch: Any) -> list[Any]:
    nn = torch.nn
    log: list[Any] = []
    m = nn.Identity()
    x = torch.tensor([1.0, 2.0])
    m.register_forward_pre_hook(lambda mod, args: log.append(("pre1", len(args))))
    m.register_forward_pre_hook(lambda mod, args: log.append("pre2") or args[0] + 1, prepend=True)
    h = m.register_forward_hook(lambda mod, args, out: log.append(("post1", out.tolist())) or out * 2)
    m.register_forward_hook(lambda mod, args, out: log.append(("post0", out.tolist())), prepend=True)
    log.append(m(x).tolist())
    h.remove()
    log.append(m(x).tolist())

    class Kw(nn.Module):
        def forward(self, a: Any, *, b: float = 0.0) -> Any:
            if b > 5:
                raise ValueError("too much")
            return a + b

    k = Kw()
    k.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"b": kwargs["b"] + 1}), with_kwargs=True)
    k.register_forward_hook(lambda mod, args, kwargs, out: log.append((sorted(kwargs.items()), out.tolist())), with_kwargs=True)
    k.register_forward_hook(lambda mod, args, out: log.append(("always", out is None)), always_call=True)
    log.append(k(x, b=1.0).tolist())
    log.append(attempt(lambda: k(x, b=9.0)))
    k.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
    log.append(attempt(lambda: k(x, b=1.0)))
    g = torch.nn.modules.module.register_module_forward_hook(lambda mod, args, out: log.append(("global", type(mod).__name__)))
    p = torch.nn.modules.module.register_module_forward_pre_hook(lambda mod, args: log.append(("global pre", type(mod).__name__)))
    nn.Sequential(nn.ReLU(), nn.Tanh())(x)
    g.remove()
    p.remove()
    with m.register_forward_hook(lambda mod, args, out: log.append("inside")):
        m(x)
    m(x)
    b = torch.nn.modules.module.register_module_buffer_registration_hook(lambda mod, name, buf: log.append(("buffer", name)))
    q = torch.nn.modules.module.register_module_parameter_registration_hook(lambda mod, name, prm: log.append(("parameter", name)))
    s = torch.nn.modules.module.register_module_module_registration_hook(lambda mod, name, sub: log.append(("module", name)))
    nn.Sequential(nn.BatchNorm1d(1))
    for handle in (b, q, s):
        handle.remove()
    return log


def _rounded(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return tuple(_rounded(v) for v in value)
    return [round(v, 4) for v in value.reshape(-1).tolist()]


@program
def backward_hooks(torch: Any) -> list[Any]:
    nn = torch.nn
    log: list[Any] = []
    m = _net(torch).eval()
    m.a.register_full_backward_pre_hook(lambda mod, g: log.append(("pre a", _rounded(g))))
    m.a.register_full_backward_hook(lambda mod, gi, go: log.append(("a", _rounded(gi), _rounded(go))))
    m.c[0].register_full_backward_hook(lambda mod, gi, go: log.append("c0") or (gi[0] * 2,))
    m.register_full_backward_hook(lambda mod, gi, go: log.append(("net", _rounded(gi), _rounded(go))))
    m.c.register_full_backward_pre_hook(lambda mod, g: log.append("pre c") or (g[0] * 3,))
    x = torch.tensor([[0.5, -1.0], [1.5, 2.0]], requires_grad=True)
    m(x).sum().backward()
    log.append(_rounded(x.grad))
    log.append([_rounded(p.grad) for p in m.parameters()])
    log.append(attempt(lambda: m.a.register_backward_hook(lambda *a: None)))

    class Two(nn.Module):
        def forward(self, a: Any, b: Any, c: Any) -> Any:
            return a * b, b + 1, "text"

    t = Two()
    t.register_full_backward_hook(lambda mod, gi, go: log.append((_rounded(gi), _rounded(go))))
    a = torch.tensor([2.0], requires_grad=True)
    b = torch.tensor([3.0])
    out = t(a, b, 5)
    (out[0] * 4).sum().backward()
    log.append((_rounded(a.grad), out[2]))
    g = torch.nn.modules.module.register_module_full_backward_hook(lambda mod, gi, go: log.append(("global", type(mod).__name__)))
    y = torch.tensor([1.0], requires_grad=True)
    nn.Sequential(nn.Tanh(), nn.Sigmoid())(y).sum().backward()
    g.remove()
    f = nn.Linear(2, 1)
    f.register_full_backward_hook(lambda mod, gi, go: log.append(("no input grad", gi, _rounded(go))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f(torch.ones(1, 2)).sum().backward()
    with torch.no_grad():
        f(torch.ones(1, 2))
    return log


@program
def conversion(torch: Any) -> list[Any]:
    seen = []
    m = _net(torch)
    kept = m.a.weight
    for change in (
        lambda: m.double(),
        lambda: m.half(),
        lambda: m.bfloat16(),
        lambda: m.float(),
        lambda: m.to(torch.float64),
        lambda: m.to("cpu", torch.float32),
        lambda: m.to(torch.ones(1, dtype=torch.float64)),
        lambda: m.to(dtype=torch.float32),
        lambda: m.to(device="cpu"),
        lambda: m.type(torch.float64),
    ):
        change()
        seen.append(([str(t.dtype) for t in m.state_dict().values()], m.a.weight is kept))
    m.float()
    m(torch.randn(4, 2)).sum().backward()
    m.double()
    seen.append([str(p.grad.dtype) for p in m.parameters()])
    m.zero_grad(set_to_none=False)
    seen.append([_rounded(p.grad) for p in m.parameters()])
    m.zero_grad()
    seen.append([p.grad for p in m.parameters()])
    m.requires_grad_(False)
    seen.append([p.requires_grad for p in m.parameters()])
    m.eval()
    seen.append([x.training for x in m.modules()])
    meta = _net(torch).to("meta")
    seen.append([p.is_meta for p in meta.parameters()])
    seen.append(attempt(lambda: meta.to("cpu")))
    meta.to_empty(device="cpu")
    seen.append([(p.is_meta, tuple(p.shape)) for p in meta.parameters()])
    with torch.device("meta"):
        seen.append(torch.nn.Linear(2, 2).weight.is_meta)
    names: list[str] = []
    m.apply(lambda x: names.append(type(x).__name__))
    return [*seen, names]


@program
def copies(torch: Any) -> list[Any]:
    nn = torch.nn
    m = _net(torch)
    m.c.tied = m.a.weight
    m.note = {"x": 1}
    c = copy.deepcopy(m)
    p = pickle.loads(pickle.dumps(m))
    seen = []
    for n in (c, p):
        same = all(bool((x == y).all()) for x, y in zip(m.state_dict().values(), n.state_dict().values(), strict=True))
        seen.append((repr(n) == repr(m), same, n.c.tied is n.a.weight, n.a.weight is m.a.weight, type(n.a.weight).__name__, n.note))
    w = nn.Parameter(torch.ones(2), requires_grad=False)
    w.label = "kept"
    again = pickle.loads(pickle.dumps(w))
    seen.append((type(again).__name__, again.requires_grad, again.label))
    seen.append((isinstance(w, nn.Parameter), isinstance(torch.ones(1), nn.Parameter), isinstance(nn.Buffer(torch.ones(1)), nn.Buffer)))
    seen.append((repr(w), repr(nn.Buffer(torch.ones(2))), type(w * 2).__name__, type(w.data).__name__, type(w.detach()).__name__))
    u = nn.UninitializedParameter()
    seen += [repr(u), attempt(lambda: u.shape), attempt(lambda: u + 1).split(" in ")[0], nn.parameter.is_lazy(u)]
    u.materialize((2, 3))
    seen += [type(u).__name__, tuple(u.shape), nn.parameter.is_lazy(u)]
    return seen


@program
def containers(torch: Any) -> list[Any]:
    nn = torch.nn
    seen: list[Any] = []

    def seq() -> Any:
        return nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())

    s = seq()
    add = seen.append
    add(repr(s[1:]))
    add(repr(s[-1]))
    add(attempt(lambda: s[7]))
    add(attempt(lambda: s + 3))
    add(attempt(lambda: s * 0))
    add(attempt(lambda: s * 1.5))
    add(attempt(lambda: s.insert(9, nn.ReLU())))
    add(attempt(lambda: s.insert(0, 3)))
    add(attempt(lambda: s.append(3)))
    add(attempt(lambda: nn.Sequential(3)))
    add(repr(seq() + seq()))
    add(repr(seq() * 2))
    add(repr(2 * seq()))
    t = seq()
    t += seq()
    t *= 2
    add(repr(t))
    del t[1]
    del t[2:5]
    add(repr(t))
    add(repr(seq().insert(1, nn.GELU())))
    add(repr(seq().insert(-1, nn.GELU())))
    add((repr(t.pop(0)), repr(t)))
    t[0] = nn.ELU()
    add((repr(t), len(t), len(list(t))))
    ml = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(1, 1), nn.Linear(1, 1)])
    add(repr(ml))
    add(repr(ml[1:3]))
    add(repr(ml + [nn.Tanh()]))
    ml.insert(1, nn.Tanh())
    ml.append(nn.GELU()).extend([nn.SiLU()])
    del ml[0]
    add((repr(ml), list(ml.state_dict()), len(ml)))
    add(attempt(lambda: ml[99]))
    add(attempt(lambda: ml.extend(3)))
    add(attempt(lambda: ml(1)))
    md = nn.ModuleDict({"b": nn.ReLU(), "a": nn.Tanh()})
    md["c"] = nn.GELU()
    md.update([("d", nn.ELU())])
    add((repr(md), list(md), "a" in md, len(md), repr(md.pop("a")), list(md.keys())))
    for bad in (3, [3], [(1,)], [(1, 2)]):
        add(attempt(lambda b=bad: nn.ModuleDict(b)))
        add(attempt(lambda b=bad: nn.ParameterDict(b)))
    pl = nn.ParameterList([torch.ones(2, 3), 5, nn.Parameter(torch.ones(1, dtype=torch.float64))])
    pl.append(torch.zeros(3))
    pl += [torch.ones(1)]
    pl[0] = torch.zeros(4)
    add((repr(pl), len(pl), [n for n, _ in pl.named_parameters()], repr(pl[1:3])))
    add(attempt(lambda: pl[99]))
    add(attempt(lambda: pl()))
    add(attempt(lambda: pl.extend(torch.ones(2))))
    pd = nn.ParameterDict({"b": torch.ones(2, 3), "a": 5})
    pd["z"] = torch.ones(1)
    add((repr(pd), list(pd), list(reversed(pd)), pd.get("q", 7), "a" in pd, pd.setdefault("a"), list(pd.copy()), [n for n, _ in pd.named_parameters()]))
    add((repr(pd | nn.ParameterDict({"y": torch.ones(1)})), pd.popitem()[0], pd.pop("a"), list(pd.fromkeys(["k"]))))
    add(attempt(lambda: pd["nope"]))
    add(attempt(lambda: pd[3]))
    return seen


@program
def lazy_modules(torch: Any) -> list[Any]:
    nn = torch.nn
    torch.manual_seed(0)
    m = nn.Sequential(nn.LazyConv2d(3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    seen: list[Any] = [repr(m), {k: repr(v) for k, v in m.state_dict().items()}]
    other = copy.deepcopy(m)
    m.half().float()
    out = m(torch.ones(1, 2, 3, 3))
    seen += [repr(m), tuple(out.shape), [type(x).__name__ for x in m], [_rounded(p) for p in m.parameters()]]
    other.load_state_dict(m.state_dict())
    seen += [repr(other), [tuple(p.shape) for p in other.parameters()]]
    other(torch.ones(1, 2, 3, 3))
    seen.append(repr(other))
    seen.append(attempt(lambda: m.load_state_dict(nn.Sequential(nn.LazyConv2d(3, 2)).state_dict())))
    seen.append(attempt(lambda: nn.LazyLinear(2).weight.shape))
    seen.append(attempt(lambda: nn.LazyConv1d(2, 2)(torch.ones(1, 1, 1, 1))))
    b = nn.LazyBatchNorm1d()
    b(torch.ones(3, 4))
    seen.append((repr(b), type(b).__name__, {k: tuple(v.shape) for k, v in b.state_dict().items()}))
    return seen
