"""Ordinary pieces of programs whose inputs change their sizes with each call.

Each is declared by what it is given, ``"f b n 8"`` (floats of shape (b, n, 8)), ``"i5 b n"`` (integers below 5), ``"i:n b"`` (below the size n), ``"l:n b"`` (lengths 1 to n, n among them), ``"? b n"`` (booleans),
and a function of torch, the module or other state if there is one, and these. It returns results; those that can be differentiated are, by all floats and the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["PROGRAMS", "Program"]


@dataclass(frozen=True)
class Program:
    name: str
    kind: str
    inputs: tuple[str, ...]
    run: Callable[..., Any]
    state: Callable[[Any], Any] | None = None
    within: float = 1e-4
    wanders: bool = False  # sizes come out of values, so they may leave their buckets
    exact: str = ""  # why it has a program for each size

    @property
    def sizes(self) -> list[str]:
        """The names of what may change."""
        return sorted({w for text in self.inputs for w in text.split()[1:] if w.isalpha()})


PROGRAMS: dict[str, Program] = {}
_kind = ""


def kind(name: str) -> None:
    global _kind
    _kind = name


def case(name: str, inputs: str, run: Callable[..., Any], state: Callable[[Any], Any] | None = None, within: float = 1e-4, exact: str = "", wanders: bool = False) -> None:
    assert name not in PROGRAMS
    PROGRAMS[name] = Program(name, _kind, tuple(map(str.strip, inputs.split(","))), run, state, within, wanders or _kind == "masks", exact)


def F(t: Any) -> Any:
    return t.nn.functional


# ---- elementwise, comparisons, reductions -----------------------------------------------------------------------------------------
kind("elementwise")
case("arithmetic", "f b n, f b n", lambda t, x, y: [x * 2 + y, x / (y.abs() + 1), (x - y) ** 2, t.addcmul(x, x, y, value=0.5), x.abs().sqrt() + x.exp().log1p()])
case("activations", "f b n", lambda t, x: [F(t).gelu(x), F(t).silu(x), F(t).elu(x), F(t).leaky_relu(x), F(t).softplus(x), F(t).hardswish(x), F(t).mish(x), t.tanh(x), x.sigmoid(), F(t).relu6(x)])
case("special functions", "f b n", lambda t, x: [t.erf(x), t.lgamma(x.abs() + 1), t.digamma(x.abs() + 1), t.special.i0(x), t.atan2(x, x + 3), t.sinc(x)])
case("glu and prelu", "f b n 6", lambda t, s, x: [F(t).glu(x), s(x.transpose(1, 2))], lambda t: t.nn.PReLU(6))
case("clamp, where, lerp", "f b n, f b n", lambda t, x, y: [x.clamp(-0.5, 0.5), t.where(x > y, x, y), t.lerp(x, y, 0.3), t.maximum(x, y), t.minimum(x, y), x.clamp(min=y), t.nan_to_num(x / 0 * 0)])
case("in place", "f b n", lambda t, x: [(x * 1).add_(1).mul_(2).clamp_(min=0), (x * 1).masked_fill_(x > 0, 0.0), (x * 1).fill_(3) + x, (x * 1).zero_() + x])
case("writes through views", "f b n", lambda t, x: _written(t, x))
case("comparisons", "f b n, f b n", lambda t, x, y: [x > y, x == y, (x <= y) & (x > 0), t.isclose(x, y), t.isnan(x), (x > 0).logical_xor(y > 0), x.sign(), t.equal(x, y)])
case("integers", "i9 b n, i5 b n", lambda t, x, y: [x + y, x // (y + 1), x % (y + 1), x & y, x << 1, (x * y).float() / 3, x.bitwise_xor(y), t.gcd(x, y)])
case("types", "f b n", lambda t, x: [x.double() * 2, x.to(t.bfloat16).float(), x.long(), x.bool(), x.half() + 1, t.complex(x, x).abs()])
case("outer and broadcasts", "f b, f n", lambda t, x, y: [x[:, None] * y, t.outer(x, y), x.unsqueeze(1).expand(-1, y.shape[0]) + y, t.stack(t.meshgrid(x, y, indexing="ij")), t.cartesian_prod(x, y), t.cdist(x[:, None], y[:, None])])
case("made of sizes", "f b n", lambda t, x: [x + t.arange(x.shape[1]), x * t.linspace(0, 1, x.shape[1]), t.ones(x.shape[0], 1) * x, t.full_like(x, 2) + x, t.eye(x.shape[1]) * x[0], x + t.zeros(x.size(0), x.size(1)), t.tril(t.ones(x.shape[1], x.shape[1])) * x[0]])


def _written(t: Any, x: Any) -> list[Any]:
    a, b, c, d = x * 1, x * 1, x * 1, x * 1
    a[:, 0] = 5
    a[1:, 1:] += 1
    b[:, ::2] = 0
    b[-1] = 2 * b[0]
    c.t()[1] = 7
    c[2:4].mul_(3)
    d.view(-1)[::3] = 1
    d.narrow(1, 1, 3).copy_(x[:, :3])
    return [a, b, c, d]


kind("reductions")
case("sums", "f b n", lambda t, x: [x.sum(), x.sum(0), x.mean(1), x.var(1), x.std(0, unbiased=False), x.prod(1), t.logsumexp(x, 1), x.nansum(1), x.norm(), x.norm(dim=1), t.linalg.vector_norm(x, 1, 0), t.var_mean(x, 1)[1]])
case("extremes", "f b n", lambda t, x: [x.max(), x.min(1).values, x.max(0).indices, x.argmax(1), x.argmin(), x.amax(0), x.aminmax().max, (x > 0).any(1), (x > -5).all(), t.count_nonzero(x > 0, 1)])
case("means of the valid", "f b n 4, l:n b", lambda t, x, k: [_mean_of(t, x, k)])
case("quantiles", "f b n", lambda t, x: [t.quantile(x, 0.3, 1), x.median(), x.median(1).values, x.median(1).indices, x.kthvalue(3, 1).values, t.nanmedian(x), x.mode(1).values.sum() * 0 + x.sum()])
case("histograms", "i5 n", lambda t, x: [t.bincount(x, minlength=5), t.histc(x.float(), 5, 0, 5)])
case("covariance", "f b n", lambda t, x: [t.cov(x), t.corrcoef(x)])


def _mean_of(t: Any, x: Any, k: Any) -> Any:
    mask = t.arange(x.shape[1])[None] < k[:, None]
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


kind("cumulative")
case("cumsum", "f b n", lambda t, x: [x.cumsum(1), x.cumsum(0), x.flip(1).cumsum(1).flip(1), t.diff(x, dim=1), t.trapezoid(x, dim=1)])
case("cumprod", "f b n", lambda t, x: [x.cumprod(1), x.cumprod(0)])
case("cummax", "f b n", lambda t, x: [x.cummax(1).values, x.cummax(1).indices, x.cummin(0).values, x.cummin(0).indices])
case("logcumsumexp", "f b n", lambda t, x: [t.logcumsumexp(x, 1), t.logcumsumexp(x, 0)])

# ---- products -----------------------------------------------------------------------------------------------------------------
kind("products")
case("matmul", "f b n 4, f b n 4, f 4 5", lambda t, x, y, w: [x @ w, x @ y.transpose(1, 2), x.transpose(1, 2) @ y, t.bmm(x, y.mT), x.reshape(-1, 4) @ w, t.matmul(x[0], w[:, 0])])
case("einsum", "f b n 4, f b n 4", lambda t, x, y: [t.einsum("bnd,bmd->bnm", x, y), t.einsum("bnd,bnd->b", x, y), t.einsum("bnd,bne->de", x, y), t.einsum("bnd->d", x), t.tensordot(x, y, 3)])
case("linear", "f b n 4", lambda t, s, x: [s(x), F(t).linear(x.flatten(0, 1), s.weight)], lambda t: t.nn.Linear(4, 5))
case("bilinear", "f b 4, f b 3", lambda t, s, x, y: [s(x, y)], lambda t: t.nn.Bilinear(4, 3, 2))
case("addmm and baddbmm", "f b n 4, f 4 5, f 5", lambda t, x, w, c: [t.addmm(c, x[0], w), t.baddbmm(c, x, w.expand(x.shape[0], 4, 5)), t.addmv(x[0, :, 0], x[0], w[:, 0]), t.mv(x[0], w[:, 1]), t.kron(x[0, :, :2], w[:2, :2])])
case("weights of changing size", "f n 4, f n", lambda t, x, y: [x.T @ y, x.t() @ x, x @ x.T, t.dot(y, y), t.linalg.multi_dot([x.T, x, x.T])])
case("merged heads", "f b n 12", lambda t, x: [x.view(x.shape[0], x.shape[1], 3, 4).transpose(1, 2).reshape(-1, x.shape[1], 4) @ x.view(x.shape[0], x.shape[1], 3, 4).permute(0, 2, 3, 1).flatten(0, 1)])

# ---- softmax and losses ---------------------------------------------------------------------------------------------------------
kind("losses")
case("softmax", "f b n", lambda t, x: [t.softmax(x, 1), t.softmax(x, 0), t.log_softmax(x, 1), F(t).softmin(x, 1), F(t).gumbel_softmax(x * 0 + 1, hard=True).sum() + x.sum()])
case("masked softmax", "f b n, l:n b", lambda t, x, k: [t.softmax(x.masked_fill(t.arange(x.shape[1])[None] >= k[:, None], float("-inf")), 1)])
case("cross_entropy", "f b n 5, i5 b n", lambda t, x, y: [F(t).cross_entropy(x.view(-1, 5), y.view(-1)), F(t).cross_entropy(x.transpose(1, 2), y, label_smoothing=0.1), F(t).cross_entropy(x.flatten(0, 1), y.flatten(), ignore_index=2), F(t).cross_entropy(x.flatten(0, 1), y.flatten(), reduction="none"), F(t).cross_entropy(x.flatten(0, 1), y.flatten(), weight=t.arange(1.0, 6.0))])
case("nll and kl", "f b n, i:n b", lambda t, x, y: [F(t).nll_loss(x.log_softmax(1), y), F(t).kl_div(x.log_softmax(1), x.flip(1).softmax(1), reduction="batchmean"), F(t).multi_margin_loss(x, y), F(t).cross_entropy(x, y)])
case("losses of pairs", "f b n, f b n", lambda t, x, y: [F(t).mse_loss(x, y), F(t).l1_loss(x, y), F(t).smooth_l1_loss(x, y), F(t).huber_loss(x, y, reduction="sum"), F(t).binary_cross_entropy_with_logits(x, (y > 0).float()), F(t).binary_cross_entropy(x.sigmoid(), y.sigmoid()), F(t).poisson_nll_loss(x, y.abs()), F(t).gaussian_nll_loss(x, y, y.exp())])
case("losses of embeddings", "f b n, f b n, f b n", lambda t, x, y, z: [F(t).triplet_margin_loss(x, y, z), F(t).cosine_embedding_loss(x, y, t.ones(x.shape[0])), F(t).margin_ranking_loss(x[:, 0], y[:, 0], t.ones(x.shape[0])), F(t).soft_margin_loss(x, y.detach().sign()), F(t).multilabel_soft_margin_loss(x, (y > 0).float()), F(t).hinge_embedding_loss(x, y.detach().sign()), F(t).cosine_similarity(x, y), F(t).pairwise_distance(x, y)])
case("contrastive", "f b 4, f b 4", lambda t, x, y: [F(t).cross_entropy(F(t).normalize(x, dim=1) @ F(t).normalize(y, dim=1).T * 10, t.arange(x.shape[0]))])
case("ctc_loss", "f n b 5, i4 b 3", lambda t, x, y: [F(t).ctc_loss(x.log_softmax(2), y + 1, t.full((x.shape[1],), x.shape[0]), t.full((x.shape[1],), 3))])

kind("norms")
case("layer_norm", "f b n 6", lambda t, s, x: [s(x)], lambda t: t.nn.LayerNorm(6))
case("layer_norm over what changes", "f b n", lambda t, x: [F(t).layer_norm(x, x.shape[1:]), F(t).normalize(x, dim=1)])
case("rms_norm", "f b n 6", lambda t, s, x: [s(x)], lambda t: t.nn.RMSNorm(6))
case("group_norm", "f b 6 n", lambda t, s, x: [s(x)], lambda t: t.nn.GroupNorm(3, 6))
case("instance_norm", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.InstanceNorm1d(3, affine=True))
case("batch_norm", "f b 6", lambda t, s, x: [s(x), s.running_mean * 1, s.running_var * 1], lambda t: t.nn.BatchNorm1d(6))
case("batch_norm of sequences", "f b 6 n", lambda t, s, x: [s(x), s.running_mean * 1, s.running_var * 1], lambda t: t.nn.BatchNorm1d(6))
case("batch_norm2d", "f b 3 h w", lambda t, s, x: [s(x), s.running_var * 1], lambda t: t.nn.BatchNorm2d(3))
case("batch_norm that is not trained", "f b 6 n", lambda t, s, x: [s(x)], lambda t: t.nn.BatchNorm1d(6).eval())
case("local_response_norm", "f b 4 n", lambda t, x: [F(t).local_response_norm(x, 2)])
case("weight_norm", "f b 4", lambda t, s, x: [s(x)], lambda t: t.nn.utils.parametrizations.weight_norm(t.nn.Linear(4, 5)))

# ---- attention, embeddings, recurrent layers ---------------------------------------------------------------------------------------
kind("attention")
case("scaled_dot_product_attention", "f b 2 n 4, f b 2 n 4, f b 2 n 4", lambda t, q, k, v: [F(t).scaled_dot_product_attention(q, k, v)])
case("causal attention", "f b 2 n 4, f b 2 n 4, f b 2 n 4", lambda t, q, k, v: [F(t).scaled_dot_product_attention(q, k, v, is_causal=True)])
case("cross attention", "f b 2 n 4, f b 2 m 4, f b 2 m 4", lambda t, q, k, v: [F(t).scaled_dot_product_attention(q, k, v)])
case("attention with a mask", "f b 2 n 4, f b 2 n 4, f b 2 n 4, l:n b", lambda t, q, k, v, m: [F(t).scaled_dot_product_attention(q, k, v, attn_mask=(t.arange(q.shape[2]) < m[:, None])[:, None, None]), F(t).scaled_dot_product_attention(q, k, v, attn_mask=t.zeros(q.shape[2], q.shape[2]).masked_fill(t.ones(q.shape[2], q.shape[2]).triu(1).bool(), float("-inf")))])
case("grouped attention", "f b 4 n 4, f b 2 n 4, f b 2 n 4", lambda t, q, k, v: [F(t).scaled_dot_product_attention(q, k, v, enable_gqa=True)])
case("attention by hand", "f b n 8", lambda t, x: [_attention(t, x)])
case("MultiheadAttention", "f b n 8, l:n b", lambda t, s, x, k: [s(x, x, x, key_padding_mask=t.arange(x.shape[1])[None] >= k[:, None])[0], s(x, x, x, attn_mask=t.nn.Transformer.generate_square_subsequent_mask(x.shape[1]), is_causal=True, need_weights=False)[0]], lambda t: t.nn.MultiheadAttention(8, 2, batch_first=True))
case("TransformerEncoderLayer", "f b n 8, l:n b", lambda t, s, x, k: [s(x, src_key_padding_mask=t.arange(x.shape[1])[None] >= k[:, None])], lambda t: t.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True))
case("TransformerDecoderLayer", "f b n 8, f b m 8", lambda t, s, x, y: [s(x, y, tgt_mask=t.nn.Transformer.generate_square_subsequent_mask(x.shape[1]), tgt_is_causal=True)], lambda t: t.nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True))
case("rotary positions", "f b 2 n 4", lambda t, x: [_rotary(t, x)])
case("relative positions", "f 2 n 4", lambda t, s, x: [(x @ x.mT + s((t.arange(x.shape[1])[:, None] - t.arange(x.shape[1])).clamp(-3, 3) + 3).permute(2, 0, 1)).softmax(-1)], lambda t: t.nn.Embedding(7, 2))
case("sinusoids", "f b n 8", lambda t, x: [x + _sinusoids(t, x.shape[1])])
case("alibi", "f b 2 n 4", lambda t, x: [F(t).scaled_dot_product_attention(x, x, x, attn_mask=-(t.arange(x.shape[2])[None] - t.arange(x.shape[2])[:, None]).abs() * t.tensor([0.5, 0.25])[:, None, None])])


def _attention(t: Any, x: Any) -> Any:
    b, n, d = x.shape
    scores = x @ x.transpose(-2, -1) / d**0.5
    scores = scores.masked_fill(t.tril(t.ones(n, n)) == 0, float("-inf"))
    return scores.softmax(-1) @ x


def _rotary(t: Any, x: Any) -> Any:
    angle = t.outer(t.arange(x.shape[2]).float(), 1 / 100 ** (t.arange(0, 4, 2).float() / 4))
    turn = t.cat([angle, angle], -1)
    a, b = x.chunk(2, -1)
    return x * turn.cos() + t.cat([-b, a], -1) * turn.sin()


def _sinusoids(t: Any, n: int) -> Any:
    angle = t.arange(n)[:, None] * t.exp(t.arange(0, 8, 2) * -0.5)
    out = t.zeros(n, 8)
    out[:, 0::2], out[:, 1::2] = angle.sin(), angle.cos()
    return out


kind("embedding")
case("embedding", "i9 b n", lambda t, s, i: [s(i), s(i.view(-1)), s(i).mean(1)], lambda t: t.nn.Embedding(9, 4, padding_idx=0))
case("embedding_bag", "i9 b n", lambda t, s, i: [s(i)], lambda t: t.nn.EmbeddingBag(9, 4, mode="mean"))
case("embedding_bag with offsets", "i9 n", lambda t, s, i: [s(i, t.tensor([0, 3, 5])), F(t).embedding_bag(i, s.weight, t.tensor([0, 2]), mode="max")], lambda t: t.nn.EmbeddingBag(9, 4, mode="sum"))
case("embedding_bag with changing offsets", "i9 n 4, f b", lambda t, s, i, x: [s(i.flatten(), t.arange(x.shape[0]))], lambda t: t.nn.EmbeddingBag(9, 4, mode="sum"))
case("one_hot", "i5 b n", lambda t, i: [F(t).one_hot(i, 5), F(t).one_hot(i, 5).float().sum(1)])

kind("recurrent")
case("RNN", "f b n 4", lambda t, s, x: list(s(x)), lambda t: t.nn.RNN(4, 5, batch_first=True))
case("LSTM", "f n b 4", lambda t, s, x: [s(x)[0], *s(x)[1]], lambda t: t.nn.LSTM(4, 5, 2))
case("GRU", "f b n 4", lambda t, s, x: list(s(x)), lambda t: t.nn.GRU(4, 5, batch_first=True, bidirectional=True))
case("LSTM with a state", "f b n 4, f 1 b 5", lambda t, s, x, h: [s(x, (h, h))[0]], lambda t: t.nn.LSTM(4, 5, batch_first=True))
case("packed LSTM", "f b n 4, l:n b", lambda t, s, x, k: _packed(t, s, x, k), lambda t: t.nn.LSTM(4, 5, batch_first=True), wanders=True)
case("packed GRU both ways", "f b n 4, l:n b", lambda t, s, x, k: _packed(t, s, x, k), lambda t: t.nn.GRU(4, 5, batch_first=True, bidirectional=True), wanders=True)
case("cells", "f b 4, f b 5", lambda t, s, x, h: [s[0](x, h), s[1](x, (h, h))[1], s[2](x, h)], lambda t: t.nn.ModuleList([t.nn.GRUCell(4, 5), t.nn.LSTMCell(4, 5), t.nn.RNNCell(4, 5)]))


def _packed(t: Any, s: Any, x: Any, k: Any) -> list[Any]:
    pack, pad = t.nn.utils.rnn.pack_padded_sequence, t.nn.utils.rnn.pad_packed_sequence
    out, state = s(pack(x, k, batch_first=True, enforce_sorted=False))
    state = state[0] if isinstance(state, tuple) else state
    whole, lengths = pad(out, batch_first=True)
    return [whole, lengths, state]


# ---- indexing -----------------------------------------------------------------------------------------------------------------
kind("indexing")
case("read by index", "f b n 3, i:b m, i:n m", lambda t, x, i, j: [x[i], x[i, j], x[:, j], x[i, :, 1], x[i[:, None], j], t.index_select(x, 1, j), x[-1], x[..., -1], x[:, None], t.take(x, i)])
case("written by index", "f b n, f m n, i:b m", lambda t, x, y, i: _put(t, x, y, i))
case("gather", "f b n, i:n b m", lambda t, x, i: [x.gather(1, i[:, :3] * 1), t.take_along_dim(x, i, 1)])
case("gather rows", "f b n 3, l:n b", lambda t, x, k: [x[t.arange(x.shape[0]), k - 1], x.gather(1, (k - 1)[:, None, None].expand(-1, 1, 3))[:, 0]])
case("scatter", "f b n, i4 b n", lambda t, x, i: [t.zeros(x.shape[0], 4).scatter_add(1, i, x), t.zeros(x.shape[0], 4).scatter_reduce(1, i, x, "amax"), t.zeros(x.shape[0], 4).scatter_reduce(1, i, x, "mean", include_self=False), t.zeros(x.shape[0], x.shape[1], 4).scatter(2, i[..., None], x[..., None])])
case("scatter into what changes", "f m, i:n m, f n", lambda t, x, i, y: [t.zeros(y.shape[0]).scatter_add(0, i, x), y.index_add(0, i, x), t.zeros_like(y).scatter_reduce(0, i, x, "sum"), y.index_reduce(0, i, x, "amax"), y.index_fill(0, i, 2.0)])
case("message passing", "f n 4, i:n m, i:n m", lambda t, s, x, i, j: [_messages(t, s, x, i, j)], lambda t: t.nn.Linear(4, 4))
case("segments", "f m 3, i:n m, f n", lambda t, x, i, y: [_segment_softmax(t, x, i, y.shape[0])])
case("slices", "f b n", lambda t, x: [x[1:], x[:-1], x[:, ::2], x[:, 1:-1], x[:, -3:], x[:, x.shape[1] // 2 :], x.narrow(1, 1, 4), x[:, :5], x[-2:], x.select(1, 2), x[:, 1::2], x[:, : x.shape[1] - 2]])
case("cat, stack, pad", "f b n, f m n", lambda t, x, y: [t.cat([x, y]), t.cat([x, x], 1), t.stack([x, x]), F(t).pad(x, (1, 2)), F(t).pad(x, (-1, 1), value=3.0), t.vstack([x, y]), t.cat([x, x[:, :1]], 1), t.hstack([x, x])])
case("pad by more", "f b 3 n", lambda t, x: [F(t).pad(x, (2, 1), "reflect"), F(t).pad(x, (1, 2), "replicate"), F(t).pad(x, (2, 2), "circular")])
case("pad to a length", "f b n", lambda t, x: [F(t).pad(x, (0, 40 - x.shape[1]))])
case("flip, roll, permute", "f b n 3", lambda t, x: [x.flip(0), x.flip(1, 2), x.roll(1, 1), x.roll((1, -1), (0, 1)), x.permute(2, 0, 1), x.transpose(0, 1).reshape(-1, 3), t.rot90(x), x.movedim(0, 1), x.swapaxes(0, 2).contiguous()])
case("repeat", "f b n", lambda t, x: [x.repeat(2, 1), x.repeat_interleave(2, 1), t.tile(x, (1, 2)), x.repeat_interleave(3, 0), x[:, None].expand(-1, 2, -1).reshape(-1, x.shape[1])])
case("repeat by counts", "f b 3, l:n b, f n", lambda t, x, k, y: [x.repeat_interleave(k, 0).sum(0)])
case("shapes", "f b n 6", lambda t, x: [x.view(-1, 6), x.flatten(), x.reshape(x.shape[0], -1), x.unflatten(2, (2, 3)), x.view(x.shape[0], -1, 3), x.flatten(1).t(), x.reshape(x.shape[0] * 2, -1), x.unsqueeze(0).squeeze(0)])
case("split and chunk", "f b n 6", lambda t, x: [*x.split([2, 4], 2), *x.chunk(3, 2), *x.split(4, 2), *x.unbind(2)[:2], *t.tensor_split(x, 2, 2)])
case("split what changes", "f b n", lambda t, x: [*x.split([3, x.shape[1] - 3], 1), x[:, :4], x[:, 4:]])
case("diagonals", "f b n n", lambda t, x: [x.diagonal(dim1=1, dim2=2), t.diag_embed(x[0]), t.tril(x), t.triu(x, 1), x[0].diag(), x[0].trace(), t.block_diag(x[0], x[1])])
case("unfold", "f b n", lambda t, x: [x.unfold(1, 3, 1), x.unfold(1, 4, 2).mean(2)])
case("unfold images", "f b 2 h w", lambda t, x: [F(t).unfold(x, 3, padding=1), F(t).unfold(x, (2, 3), stride=2)])
case("fold", "f b 8 n", lambda t, x: [F(t).fold(x, (1, x.shape[2] + 3), (1, 4))])


def _put(t: Any, x: Any, y: Any, i: Any) -> list[Any]:
    a, b, c = x * 1, x * 1, x * 1
    a[i[0]] = y[0]
    b[i] += 1
    c.index_put_((i,), y, accumulate=True)
    return [a, b, c, x.index_copy(0, i[:1], y[:1]), x.index_add(0, i, y, alpha=2)]


def _messages(t: Any, s: Any, x: Any, i: Any, j: Any) -> Any:
    n = x.shape[0]
    degree = t.zeros(n).index_add_(0, j, t.ones(j.shape[0])).clamp(min=1)
    return x + t.zeros_like(x).index_add_(0, j, s(x)[i]) / degree[:, None]


def _segment_softmax(t: Any, x: Any, i: Any, n: int) -> Any:
    wide = i[:, None].expand_as(x)
    most = t.full((n, 3), float("-inf")).scatter_reduce(0, wide, x, "amax")
    e = (x - most[i]).exp()
    return e / t.zeros(n, 3).scatter_add(0, wide, e)[i]


kind("sorting")
case("sort", "f b n", lambda t, x: [x.sort(1).values, x.sort(0, descending=True).indices, x.argsort(1), t.msort(x), x.sort(dim=1, stable=True).values, t.sort(x.flatten()).values])
case("topk", "f b n", lambda t, x: [*x.topk(3, 1), *x.topk(4, 1, largest=False), x.topk(2, 0).values])
case("topk of a share", "f b n", lambda t, x: [x.topk(x.shape[1] // 2, 1).values])
case("searchsorted", "f n, f b", lambda t, x, y: [t.searchsorted(x.sort().values, y), t.bucketize(y, x.sort().values, right=True), t.bucketize(y, t.tensor([-1.0, 0.0, 1.0]))])
case("ranks", "f b n", lambda t, x: [x.argsort(1).argsort(1), t.isin(x, x[0]), x.sort(1).values.cumsum(1)])
case("pdist", "f b 4", lambda t, x: [F(t).pdist(x), F(t).pdist(x, 1)])
case("cdist", "f b 4, f n 4", lambda t, x, y: [t.cdist(x, y), t.cdist(x, y, p=1), t.cdist(x, y).min(1).values])
case("combinations", "f b", lambda t, x: [t.combinations(x), t.triu_indices(x.shape[0], x.shape[0])])

# ---- convolution, pooling, images ---------------------------------------------------------------------------------------------------
kind("convolution")
case("conv1d", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.Conv1d(3, 4, 3, padding=1))
case("conv1d strided", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.Conv1d(3, 4, 4, stride=2, padding=1))
case("conv1d by three", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.Conv1d(3, 4, 5, stride=3))
case("conv1d dilated", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.Conv1d(3, 4, 3, dilation=2, padding=2))
case("conv1d causal", "f b 3 n", lambda t, s, x: [s(F(t).pad(x, (4, 0)))], lambda t: t.nn.Conv1d(3, 4, 3, dilation=2))
case("conv1d grouped", "f b 4 n", lambda t, s, x: [s(x)], lambda t: t.nn.Conv1d(4, 8, 3, groups=2))
case("conv1d same, padded by reflection", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.Conv1d(3, 4, 3, padding="same", padding_mode="reflect"))
case("conv2d", "f b 3 h w", lambda t, s, x: [s(x)], lambda t: t.nn.Conv2d(3, 4, 3, padding=1))
case("conv2d strided", "f b 3 h w", lambda t, s, x: [s(x)], lambda t: t.nn.Conv2d(3, 4, 3, stride=2, padding=1))
case("conv2d dilated and strided", "f b 3 h w", lambda t, s, x: [s(x)], lambda t: t.nn.Conv2d(3, 4, 3, stride=(1, 2), dilation=2, padding=2, bias=False))
case("conv2d depthwise", "f b 4 h w", lambda t, s, x: [s(x)], lambda t: t.nn.Conv2d(4, 4, 3, groups=4, padding=1))
case("conv2d of patches", "f b 3 h w", lambda t, s, x: [s(x).flatten(2).transpose(1, 2)], lambda t: t.nn.Conv2d(3, 6, 4, stride=4))
case("conv3d", "f b 2 h w 6", lambda t, s, x: [s(x)], lambda t: t.nn.Conv3d(2, 3, 3, padding=1))
case("conv_transpose1d", "f b 3 n", lambda t, s, x: [s(x)], lambda t: t.nn.ConvTranspose1d(3, 4, 4, stride=2, padding=1))
case("conv_transpose2d", "f b 3 h w", lambda t, s, x: [s(x)], lambda t: t.nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1))
case("conv_transpose1d grouped", "f b 4 n", lambda t, s, x: [s(x)], lambda t: t.nn.ConvTranspose1d(4, 6, 3, stride=3, groups=2, dilation=2))
case("kernels of changing size", "f b 3 n, f 4 3 m", lambda t, x, w: [F(t).conv1d(x, w[:, :, :5])])

kind("pooling")
case("max_pool1d", "f b 3 n", lambda t, x: [F(t).max_pool1d(x, 2), F(t).max_pool1d(x, 3, 1, 1), F(t).max_pool1d(x, 3, 2, ceil_mode=True)])
case("max_pool2d", "f b 3 h w", lambda t, x: [F(t).max_pool2d(x, 2), F(t).max_pool2d(x, 3, 2, 1), F(t).max_pool2d(x, 2, 1, dilation=2)])
case("max_pool with indices", "f b 3 h w", lambda t, x: list(F(t).max_pool2d(x, 2, return_indices=True)))
case("avg_pool", "f b 3 h w", lambda t, x: [F(t).avg_pool2d(x, 2), F(t).avg_pool2d(x, 3, 2, 1), F(t).avg_pool2d(x, 3, 2, 1, count_include_pad=False), F(t).avg_pool2d(x, 3, 2, ceil_mode=True), F(t).lp_pool2d(x, 2, 2)])
case("avg_pool1d", "f b 3 n", lambda t, x: [F(t).avg_pool1d(x, 2), F(t).avg_pool1d(x, 3, 2, 1)])
case("pooled to one", "f b 3 h w", lambda t, x: [F(t).adaptive_avg_pool2d(x, 1), F(t).adaptive_max_pool2d(x, 1), x.mean((2, 3)), x.amax((2, 3))])
case("pooled to a grid", "f b 3 h w", lambda t, x: [F(t).adaptive_avg_pool2d(x, (3, 4))])
case("pooled to a line", "f b 3 n", lambda t, x: [F(t).adaptive_avg_pool1d(x, 4), F(t).adaptive_max_pool1d(x, 3)])
case("unpooled", "f b 3 n", lambda t, x: [F(t).max_unpool1d(*F(t).max_pool1d(x[:, :, :8], 2, return_indices=True), 2)])

kind("images")
case("interpolate by two", "f b 3 h w", lambda t, x: [F(t).interpolate(x, scale_factor=2), F(t).interpolate(x, scale_factor=2, mode="bilinear"), F(t).interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)])
case("interpolate by half", "f b 3 h w", lambda t, x: [F(t).interpolate(x, scale_factor=0.5), F(t).interpolate(x, scale_factor=0.5, mode="bilinear"), F(t).interpolate(x, scale_factor=0.5, mode="area")])
case("interpolate to a size", "f b 3 h w", lambda t, x: [F(t).interpolate(x, size=(7, 5)), F(t).interpolate(x, size=(7, 5), mode="bilinear")])
case("interpolate to another's size", "f b 3 h w, f b 3 n m", lambda t, x, y: [F(t).interpolate(x, size=y.shape[2:]) + y, F(t).interpolate(x, size=y.shape[2:], mode="bilinear") * y])
case("interpolate lines", "f b 3 n", lambda t, x: [F(t).interpolate(x, scale_factor=2, mode="linear"), F(t).interpolate(x, scale_factor=3)])
case("interpolate bicubic", "f b 2 h w", lambda t, x: [F(t).interpolate(x, scale_factor=2, mode="bicubic")])
case("pixel_shuffle", "f b 4 h w", lambda t, x: [F(t).pixel_shuffle(x, 2), F(t).pixel_unshuffle(F(t).pixel_shuffle(x, 2), 2), F(t).channel_shuffle(x, 2)])
case("grid_sample", "f b 2 h w, f b n m 2", lambda t, x, g: [F(t).grid_sample(x, g.tanh(), align_corners=False), F(t).grid_sample(x, g.tanh(), mode="nearest", padding_mode="border", align_corners=True)])
case("affine_grid", "f b 2 h w, f b 2 3", lambda t, x, a: [F(t).grid_sample(x, F(t).affine_grid(a, list(x.shape), align_corners=False), align_corners=False)])
case("crops and flips", "f b 3 h w", lambda t, x: [x[:, :, 1:-1, 2:-2], x.flip(3), x[:, :, ::2, ::2], F(t).pad(x, (1, 1, 1, 1), "reflect"), x[:, [2, 1, 0]]])
case("squeezed channels", "f b 4 h w", lambda t, s, x: [x * s(x.mean((2, 3))).sigmoid()[:, :, None, None]], lambda t: t.nn.Linear(4, 4))

# ---- masks, matrices, sizes that come out of values -----------------------------------------------------------------------------------
kind("masks")
case("boolean masks", "f b n, ? b n", lambda t, x, m: [x.masked_fill(m, -1.0), x.where(m, t.zeros_like(x)), (x * m).sum(1), x.masked_fill(~m, float("-inf")).amax(1), m.sum(1), x.masked_scatter(m, x * 2)])
case("picked by a mask", "f b n 3, ? b n", lambda t, x, m: [x[m], x[m].mean(0), t.masked_select(x[..., 0], m).sum()])
case("a loss where a mask is", "f b n 5, i5 b n, ? b n", lambda t, x, y, m: [F(t).cross_entropy(x[m], y[m])])
case("written by a mask", "f b n, ? b n", lambda t, x, m: _masked(t, x, m))
case("nonzero", "f b n, ? b n", lambda t, x, m: [m.nonzero(), x[m.nonzero(as_tuple=True)].exp(), t.argwhere(m)[:, 0], x.flatten()[m.flatten().nonzero()[:, 0]] * 2])
case("unique", "i9 n, f 9 3", lambda t, i, w: [_unique(t, i, w)])
case("unique_consecutive", "i4 n", lambda t, i: [*t.unique_consecutive(i, return_counts=True), *t.unique(i, return_counts=True)])
case("nonzero feeds a layer", "f n 4, ? n", lambda t, s, x, m: [x.index_add(0, m.nonzero()[:, 0], s(x[m]))], lambda t: t.nn.Linear(4, 4))

kind("matrices")
case("cholesky", "f n n", lambda t, x: [t.linalg.cholesky(_positive(t, x)), t.cholesky_solve(x[:, :2], t.linalg.cholesky(_positive(t, x))), t.linalg.cholesky(_positive(t, x)).diagonal().log().sum()])
case("triangular solves", "f n n, f n 3", lambda t, x, y: [t.linalg.solve_triangular(x.tril() + 9 * t.eye(x.shape[0]), y, upper=False), t.triangular_solve(y, x.triu() + 9 * t.eye(x.shape[0])).solution])
case("batches of matrices", "f b 3 3", lambda t, x: [t.linalg.inv(x + 9 * t.eye(3)), t.linalg.det(x), t.linalg.solve(x + 9 * t.eye(3), x), t.linalg.eigvalsh(x + x.mT), t.linalg.qr(x + 5 * t.eye(3))[1].abs(), t.matrix_exp(x * 0.1), t.linalg.svdvals(x)])
case("solve", "f n n, f n 2", lambda t, x, y: [t.linalg.solve(_positive(t, x), y), t.linalg.inv(_positive(t, x)), t.logdet(_positive(t, x))])
case("gaussian process", "f n 2, f n", lambda t, x, y: [_gaussian_process(t, x, y)])
case("matrix powers", "f n n", lambda t, x: [t.linalg.matrix_power(x * 0.1, 3), t.linalg.matrix_norm(x), x.mT @ x])
case("fft over what stays", "f b 8", lambda t, x: [t.fft.rfft(x).abs(), t.fft.irfft(t.fft.rfft(x) * 2)])


def _masked(t: Any, x: Any, m: Any) -> list[Any]:
    a, b = x * 1, x * 1
    a[m] = 0
    b[m] = b[m] * 2
    return [a, b]


def _unique(t: Any, i: Any, w: Any) -> Any:
    values, inverse = t.unique(i, return_inverse=True)
    return w[values][inverse].sum(0) + w[values].mean(0)


def _positive(t: Any, x: Any) -> Any:
    return x @ x.mT / x.shape[0] + 2 * t.eye(x.shape[0])


def _gaussian_process(t: Any, x: Any, y: Any) -> Any:
    k = (-0.5 * t.cdist(x, x) ** 2).exp() + 0.1 * t.eye(x.shape[0])
    low = t.linalg.cholesky(k)
    z = t.linalg.solve_triangular(low, y[:, None], upper=False)
    return 0.5 * (z * z).sum() + low.diagonal().log().sum()
