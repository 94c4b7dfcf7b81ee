"""Programs about torch.nn.init and torch.nn.utils; see ``programs``."""

from __future__ import annotations

import copy
from typing import Any

from compat.nn.programs import PROGRAMS, _net, _rounded, attempt, program, warned

__all__ = ["PROGRAMS"]


@program
def initialisers(torch: Any) -> list[Any]:
    init = torch.nn.init
    seen: list[Any] = []

    def fill(fn: Any, *shape: int, **kwargs: Any) -> None:
        torch.manual_seed(0)
        t = torch.empty(*shape)
        seen.append(attempt(lambda: _rounded(fn(t, **kwargs))))

    for fn in (init.uniform_, init.normal_, init.trunc_normal_, init.ones_, init.zeros_, init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_, init.orthogonal_):
        fill(fn, 3, 4)
        fill(fn, 5, 2, 2)
        fill(fn, 3)
    fill(init.trunc_normal_, 20, mean=1.0, std=2.0, a=-1.0, b=1.5)
    fill(init.kaiming_normal_, 4, 4, mode="fan_out", nonlinearity="relu")
    fill(init.kaiming_normal_, 4, 4, mode="nope")
    fill(init.kaiming_normal_, 4, 4, nonlinearity="nope")
    fill(init.constant_, 2, 2, val=3.0)
    fill(init.eye_, 2, 3)
    fill(init.eye_, 2)
    fill(init.dirac_, 4, 2, 3)
    fill(init.dirac_, 4, 2, 3, 3, groups=2)
    fill(init.dirac_, 3, 2, 3, groups=2)
    fill(init.dirac_, 3, 2)
    fill(init.sparse_, 6, 3, sparsity=0.4)
    fill(init.sparse_, 6, sparsity=0.4)
    fill(init.orthogonal_, 2, 5, gain=2.0)
    fill(init.kaiming_uniform_, 0, 3)
    for name in ("linear", "conv2d", "tanh", "relu", "leaky_relu", "selu", "sigmoid", "nope"):
        seen.append(attempt(lambda n=name: init.calculate_gain(n)))
    seen.append(attempt(lambda: init.calculate_gain("leaky_relu", "x")))
    seen.append(warned(lambda: init.uniform(torch.empty(2))))
    seen.append(warned(lambda: init.trunc_normal_(torch.empty(2), mean=9.0)))
    w = torch.nn.Parameter(torch.empty(2, 2))
    seen.append((init.ones_(w) is w, w.requires_grad, w.grad_fn))
    return seen


def _with_grads(torch: Any) -> list[Any]:
    params = [torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor([[3.0]])), torch.nn.Parameter(torch.ones(1))]
    params[0].grad = torch.tensor([3.0, -4.0])
    params[1].grad = torch.tensor([[12.0]])
    return params


@program
def clipping_and_vectors(torch: Any) -> list[Any]:
    utils = torch.nn.utils
    seen: list[Any] = []
    for norm_type in (2, 1, float("inf"), 0.5):
        params = _with_grads(torch)
        total = utils.clip_grad_norm_(params, 1.0, norm_type)
        seen.append((_rounded(total), [_rounded(p.grad) for p in params]))
    params = _with_grads(torch)
    seen.append(_rounded(utils.clip_grad_norm_((p for p in params), 100.0)))
    seen.append([_rounded(p.grad) for p in params])
    utils.clip_grad_value_(params, 3.5)
    seen.append([_rounded(p.grad) for p in params])
    seen.append(_rounded(utils.get_total_norm([p.grad for p in params[:2]])))
    utils.clip_grads_with_norm_(params, 1.0, torch.tensor(2.0))
    seen.append([_rounded(p.grad) for p in params])
    params[0].grad = torch.tensor([float("nan"), 1.0])
    seen.append(attempt(lambda: utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)))
    seen.append(_rounded(utils.clip_grad_norm_([], 1.0)))
    seen.append(warned(lambda: utils.clip_grad_norm_((p for p in []), 1.0)))
    seen.append(warned(lambda: utils.clip_grad_norm(_with_grads(torch), 1.0)))
    vec = utils.parameters_to_vector(params)
    seen.append(_rounded(vec))
    utils.vector_to_parameters(vec * 2, params)
    seen.append([_rounded(p) for p in params])
    seen.append(attempt(lambda: utils.vector_to_parameters(3, params)))
    return seen


@program
def packing(torch: Any) -> list[Any]:
    rnn = torch.nn.utils.rnn
    seen: list[Any] = []
    x = torch.arange(24.0).reshape(4, 3, 2).requires_grad_()

    def show(p: Any) -> Any:
        return (_rounded(p.data), p.batch_sizes.tolist(), *(None if i is None else i.tolist() for i in p[2:]))

    p = rnn.pack_padded_sequence(x, [4, 2, 1])
    seen.append(show(p))
    q = rnn.pack_padded_sequence(x, torch.tensor([1, 4, 2]), enforce_sorted=False)
    seen.append(show(q))
    r = rnn.pack_padded_sequence(x, [3, 3, 1, 1], batch_first=True)
    seen.append(show(r))
    for packed, kwargs in ((p, {}), (q, {"batch_first": True}), (r, {"padding_value": -1.0, "total_length": 5})):
        padded, lengths = rnn.pad_packed_sequence(packed, **kwargs)
        seen.append((tuple(padded.shape), _rounded(padded), lengths.tolist()))
    rnn.pad_packed_sequence(q)[0].pow(2).sum().backward()
    seen.append(_rounded(x.grad))
    y = x.detach()
    for bad in ([1, 2, 1], [3, 2, 0], [3, 2]):
        seen.append(attempt(lambda b=bad: rnn.pack_padded_sequence(y, b)))
    seen.append(attempt(lambda: rnn.pack_padded_sequence(y[:0], [3, 2, 1])))
    seen.append(attempt(lambda: rnn.pad_packed_sequence(q, total_length=2)))
    parts = [torch.ones(2, 2), torch.ones(3, 2) * 2, torch.ones(1, 2) * 3]
    for kwargs in ({}, {"batch_first": True, "padding_value": 9.0}, {"padding_side": "left"}):
        seen.append(_rounded(rnn.pad_sequence(parts, **kwargs)))
    for bad in (3, [], [torch.ones(1), 3]):
        seen.append(attempt(lambda b=bad: rnn.pad_sequence(b)))
    seen.append(attempt(lambda: rnn.pad_sequence(parts, padding_side="x")))
    s = rnn.pack_sequence(parts, enforce_sorted=False)
    seen.append((show(s), [_rounded(t) for t in rnn.unpack_sequence(s)], str(s.double().data.dtype), s.is_cuda))
    seen.append([_rounded(t) for t in rnn.unpad_sequence(rnn.pad_sequence(parts), torch.tensor([2, 3, 1]))])
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(2, 3, num_layers=2, bidirectional=True)
    out, (h, c) = lstm(q)
    seen.append((show(out), _rounded(h), _rounded(c)))
    return seen


@program
def old_norms(torch: Any) -> list[Any]:
    nn, utils = torch.nn, torch.nn.utils
    seen: list[Any] = []
    x = torch.tensor([[1.0, -2.0]])
    torch.manual_seed(0)
    m = nn.Linear(2, 3)
    seen.append(warned(lambda: utils.weight_norm(m)))
    seen += [list(m.state_dict()), _rounded(m(x)), type(m.weight).__name__]
    m(x).sum().backward()
    seen.append([_rounded(p.grad) for p in m.parameters()])
    seen.append(attempt(lambda: utils.weight_norm(m)))
    utils.remove_weight_norm(m)
    seen += [list(m.state_dict()), _rounded(m(x)), attempt(lambda: utils.remove_weight_norm(m))]
    torch.manual_seed(0)
    s = utils.spectral_norm(nn.Linear(2, 3))
    state = s.state_dict()
    seen += [list(state), {k: dict(v) for k, v in state._metadata.items()}, _rounded(s(x)), _rounded(s(x)), _rounded(s.weight_u)]
    s(x).sum().backward()
    seen.append([_rounded(p.grad) for p in s.parameters()])
    seen.append(attempt(lambda: utils.spectral_norm(s)))
    s.eval()
    seen.append(_rounded(s(x)))
    utils.remove_spectral_norm(s)
    seen += [list(s.state_dict()), len(s._state_dict_hooks), len(s._forward_pre_hooks)]
    return seen


@program
def parametrisation(torch: Any) -> list[Any]:
    nn = torch.nn
    P = torch.nn.utils.parametrize  # noqa: N806
    Q = torch.nn.utils.parametrizations  # noqa: N806
    seen: list[Any] = []
    x = torch.tensor([[1.0, -2.0, 0.5]])

    class Symmetric(nn.Module):
        def forward(self, w: Any) -> Any:
            return w.triu() + w.triu(1).mT

        def right_inverse(self, w: Any) -> Any:
            return w.triu()

    class Wrong(nn.Module):
        def forward(self, w: Any) -> Any:
            return w[:1]

    torch.manual_seed(0)
    m = nn.Linear(3, 3)
    P.register_parametrization(m, "weight", Symmetric())
    seen += [repr(m), list(m.state_dict()), type(m).__name__, _rounded(m(x)), P.is_parametrized(m), P.is_parametrized(m, "bias")]
    m.weight = torch.arange(9.0).reshape(3, 3)
    seen.append(_rounded(m.weight))
    m(x).sum().backward()
    seen.append([_rounded(p.grad) for p in m.parameters()])
    seen.append(attempt(lambda: P.register_parametrization(m, "weight", Wrong())))
    seen.append(attempt(lambda: P.register_parametrization(m, "bias", Wrong())))
    seen.append(attempt(lambda: P.register_parametrization(m, "nope", Wrong())).split("Module")[0])
    seen.append(attempt(lambda: m.__getstate__()))
    c = copy.deepcopy(m)
    seen.append((repr(c), _rounded(c.weight)))
    with P.cached():
        seen.append(m.weight is m.weight)
    P.remove_parametrizations(m, "weight")
    seen += [repr(m), list(m.state_dict()), type(m).__name__, _rounded(m.weight), type(m.weight).__name__]
    for kind in ("orthogonal", "weight_norm", "spectral_norm"):
        for shape in ((3, 4), (3, 3)) if kind == "orthogonal" else ((3, 4),):
            torch.manual_seed(0)
            layer = nn.Linear(*shape)
            layer = getattr(Q, kind)(layer)
            seen += [list(layer.state_dict()), _rounded(layer.weight)]
            y = torch.linspace(-1, 1, 3).reshape(1, 3)
            layer(y).pow(2).sum().backward()
            seen.append([_rounded(p.grad) for p in layer.parameters()])
    for how in ("cayley", "matrix_exp", "householder"):
        torch.manual_seed(0)
        layer = Q.orthogonal(nn.Linear(3, 3), orthogonal_map=how)
        seen.append(_rounded(layer.weight))
    seen.append(attempt(lambda: Q.orthogonal(nn.Linear(2, 2), orthogonal_map="nope")))
    seen.append(attempt(lambda: Q.orthogonal(nn.Linear(2, 2), "bias")))
    seen.append(attempt(lambda: Q.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)))
    return seen


@program
def pruning(torch: Any) -> list[Any]:
    nn = torch.nn
    if torch.__name__ == "jtorch":
        import jtorch.nn.utils.prune as prune
    else:
        import torch.nn.utils.prune as prune
    seen: list[Any] = []

    def on(fn: Any, cls: Any = nn.Linear, size: Any = (3, 4)) -> Any:
        torch.manual_seed(0)
        m = cls(*size)
        seen.append(attempt(lambda: type(fn(m)).__name__))
        seen.append((list(m.state_dict()), [_rounded(v) for v in m.state_dict().values()], prune.is_pruned(m)))
        return m

    on(lambda m: prune.l1_unstructured(m, "weight", 0.5))
    on(lambda m: prune.l1_unstructured(m, "weight", 3))
    on(lambda m: prune.random_unstructured(m, "weight", 0.3))
    on(lambda m: prune.random_structured(m, "weight", 0.5, 0))
    on(lambda m: prune.ln_structured(m, "weight", 0.5, 2, 0))
    on(lambda m: prune.ln_structured(m, "weight", 1, 1, 1))
    on(lambda m: prune.identity(m, "bias"))
    on(lambda m: prune.custom_from_mask(m, "bias", torch.tensor([1.0, 0.0, 1.0, 0.0])))
    on(lambda m: prune.l1_unstructured(m, "weight", 99))
    on(lambda m: prune.l1_unstructured(m, "weight", 1.5))
    on(lambda m: prune.l1_unstructured(m, "weight", -1))
    on(lambda m: prune.l1_unstructured(m, "weight", "x"))
    on(lambda m: prune.ln_structured(m, "bias", 1, 2, 0))
    on(lambda m: prune.ln_structured(m, "weight", 1, 2, 5))
    m = on(lambda m: prune.l1_unstructured(prune.ln_structured(m, "weight", 1, 2, 0), "weight", 0.3))
    seen.append((type(next(iter(m._forward_pre_hooks.values()))).__name__, _rounded(m(torch.ones(1, 3)))))
    m(torch.ones(1, 3)).sum().backward()
    seen.append(_rounded(m.weight_orig.grad))
    prune.remove(m, "weight")
    seen.append((list(m.state_dict()), prune.is_pruned(m), attempt(lambda: prune.remove(nn.ReLU(), "weight"))))
    torch.manual_seed(0)
    n = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    prune.global_unstructured([(n[0], "weight"), (n[1], "weight")], prune.L1Unstructured, amount=0.5)
    seen.append([_rounded(v) for v in n.state_dict().values()])
    return seen


@program
def fusion_and_stateless(torch: Any) -> list[Any]:
    nn, utils = torch.nn, torch.nn.utils
    seen: list[Any] = []
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 5)
    conv, bn = nn.Conv2d(3, 4, 2, bias=False), nn.BatchNorm2d(4)
    bn(conv(x))
    conv.eval()
    bn.eval()
    fused = utils.fuse_conv_bn_eval(conv, bn)
    seen.append((bool((fused(x) - bn(conv(x))).abs().max() < 1e-4), repr(fused), _rounded(fused.bias)))
    seen.append(attempt(lambda: utils.fuse_conv_bn_eval(conv.train(), bn)))
    lin, bn1 = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval()
    seen.append(_rounded(utils.fuse_linear_bn_eval(lin, bn1).weight))
    seen.append(attempt(lambda: utils.fuse_linear_bn_eval(lin, nn.BatchNorm1d(3).eval())))
    skipped = utils.skip_init(nn.Linear, 3, 4)
    seen.append((tuple(skipped.weight.shape), skipped.weight.is_meta, attempt(lambda: utils.skip_init(3)), attempt(lambda: utils.skip_init(nn.ReLU))))
    m = _net(torch)
    call = torch.nn.utils.stateless._functional_call
    y = torch.ones(2, 2)
    given = {k: torch.zeros_like(v) for k, v in m.state_dict().items()}
    before = [_rounded(p) for p in m.parameters()]
    seen.append(_rounded(call(m, given, (y,))))
    seen.append(before == [_rounded(p) for p in m.parameters()])
    seen.append(given["b.num_batches_tracked"].tolist())
    seen.append(attempt(lambda: call(m, {"a.weight": torch.zeros(3, 2)}, y, strict=True)))
    seen.append(attempt(lambda: _rounded(call(m, {"nope": torch.zeros(3, 2)}, y))))
    seen.append(attempt(lambda: call(m, {"nope.x": torch.zeros(3, 2)}, y)))
    m.a.tied = m.a.weight
    seen.append(attempt(lambda: call(m, {"a.weight": torch.zeros(3, 2), "a.tied": torch.ones(3, 2)}, y)))
    return seen
