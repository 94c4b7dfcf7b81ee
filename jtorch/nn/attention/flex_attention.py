"""Attention whose scores and mask are Python functions of the positions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "create_nested_block_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

Tensor = Any
ModFunction = Callable[..., Any]
_DEFAULT_SPARSE_BLOCK_SIZE = 128


class AuxRequest(NamedTuple):
    """What to return besides the output."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for in an ``AuxRequest``, None for the rest; both are (B, H, queries)."""

    lse: Any = None
    max_scores: Any = None


class _ModificationType(Enum):
    SCORE_MOD = 1
    MASK_MOD = 2
    UNKNOWN = 3


def _get_mod_type(fn: ModFunction) -> _ModificationType:
    """A function of (score, b, h, q, kv) changes scores, one of (b, h, q, kv) masks."""
    required = sum(p.default is inspect.Parameter.empty for p in inspect.signature(fn).parameters.values())
    return {5: _ModificationType.SCORE_MOD, 4: _ModificationType.MASK_MOD}.get(required, _ModificationType.UNKNOWN)


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """True everywhere."""
    return batch.new_ones(size=(), dtype=torch.bool, device=batch.device)


def _identity(score: Tensor, batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    return score


def _positions(b: int, h: int, q: int, kv: int, device: Any) -> tuple[Any, ...]:
    """The four indices, shaped to broadcast against (b, h, q, kv): one call does what torch does by vmap."""
    shapes = ((b, 1, 1, 1), (1, h, 1, 1), (1, 1, q, 1), (1, 1, 1, kv))
    return tuple(torch.arange(max(s), device=device).reshape(s) for s in shapes)


def create_mask(mod_fn: ModFunction, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Tensor:  # noqa: N803
    """The function's values as a tensor (B, H, Q_LEN, KV_LEN): booleans of a mask, scores (of zeros) otherwise."""
    b, h = B or 1, H or 1
    where = _positions(b, h, Q_LEN, KV_LEN, device)
    kind = _get_mod_type(mod_fn)
    if kind == _ModificationType.SCORE_MOD:
        out = mod_fn(torch.zeros(b, h, Q_LEN, KV_LEN, device=device), *where)
        return torch.where(torch.isneginf(out), False, True).expand(b, h, Q_LEN, KV_LEN)
    if kind == _ModificationType.MASK_MOD:
        return mod_fn(*where).expand(b, h, Q_LEN, KV_LEN)
    raise AssertionError


def and_masks(*mask_mods: ModFunction) -> ModFunction:
    """The mask that is true where all are."""
    return _combined(mask_mods, lambda a, b: a & b, True)


def or_masks(*mask_mods: ModFunction) -> ModFunction:
    """The mask that is true where any is."""
    return _combined(mask_mods, lambda a, b: a | b, False)


def _combined(mask_mods: tuple[ModFunction, ...], join: Callable[[Any, Any], Any], start: bool) -> ModFunction:
    if not all(callable(mod) for mod in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = b.new_full((), start, dtype=torch.bool)
        for mod in mask_mods:
            result = join(result, mod(b, h, q_idx, kv_idx))
        return result

    return mask


def _ordered(dense: Tensor) -> tuple[Tensor, Tensor]:
    """Per row of blocks: how many are there, and the column numbers with those first."""
    dense = dense.to(torch.int32)
    counts = dense.sum(-1).to(torch.int32)
    return counts, torch.argsort(dense, dim=-1, descending=True, stable=True).to(torch.int32)


def _dense_of(counts: Tensor, indices: Tensor) -> Tensor:
    """The other way: (..., rows, columns) of 0 and 1."""
    columns = indices.shape[-1]
    valid = torch.arange(columns, device=counts.device) < counts.unsqueeze(-1)
    return torch.zeros(indices.shape, dtype=torch.int32, device=counts.device).scatter(-1, indices.long(), valid.to(torch.int32))


@dataclass(eq=False, repr=False)
class BlockMask:
    """A mask as blocks of positions: those partly and those fully attended to, and the function for the former."""

    seq_lengths: tuple[int, int]
    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor | None
    full_kv_indices: Tensor | None
    BLOCK_SIZE: tuple[int, int]
    mask_mod: ModFunction

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,  # noqa: N803
        mask_mod: ModFunction | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """From the counts and numbers of the key blocks that each query block looks at."""
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        return cls(
            seq_lengths, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, size, mask_mod or noop_mask
        )

    @property
    def q_num_blocks(self) -> Tensor:
        """How many query blocks look at each key block, in part."""
        return _ordered(_dense_of(self.kv_num_blocks, self.kv_indices).mT)[0]

    @property
    def q_indices(self) -> Tensor:
        """Which query blocks look at each key block, in part."""
        return _ordered(_dense_of(self.kv_num_blocks, self.kv_indices).mT)[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """How many elements the whole mask has."""
        return math.prod(self.shape)

    def to_dense(self) -> Tensor:
        """(B, H, query blocks, key blocks): 1 where anything is attended to."""
        partial = _dense_of(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is None:
            return partial
        return partial | _dense_of(self.full_kv_num_blocks, self.full_kv_indices)

    def sparsity(self) -> float:
        """The percentage of blocks that are left out."""
        total = self.kv_num_blocks.sum()
        if self.full_kv_num_blocks is not None:
            total = total + self.full_kv_num_blocks.sum()
        block = self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1]
        return 100 * (1 - int(total) * block / self.numel())

    def to(self, device: Any) -> BlockMask:
        """On another device."""

        def moved(t: Any) -> Any:
            return None if t is None else t.to(device)

        return BlockMask(
            self.seq_lengths,
            moved(self.kv_num_blocks),
            moved(self.kv_indices),
            moved(self.full_kv_num_blocks),
            moved(self.full_kv_indices),
            self.BLOCK_SIZE,
            self.mask_mod,
        )

    def __getitem__(self, index: Any) -> BlockMask:
        """The mask of some batches, heads or query blocks; what counts from the start is the function's own."""

        def part(t: Any) -> Any:
            return None if t is None else t[index]

        chosen = part(self.kv_indices)
        lengths = (chosen.shape[-2] * self.BLOCK_SIZE[0], self.seq_lengths[1])
        if chosen.shape[-2] == self.kv_indices.shape[-2]:
            lengths = self.seq_lengths
        return BlockMask(
            lengths,
            part(self.kv_num_blocks),
            chosen,
            part(self.full_kv_num_blocks),
            part(self.full_kv_indices),
            self.BLOCK_SIZE,
            self.mask_mod,
        )

    def __repr__(self) -> str:
        shape = ", ".join(str(n) for n in self.shape)
        return f"BlockMask(shape=({shape}), sparsity={self.sparsity():.2f}%)"

    def _matrix(self, b: int, h: int, q: int, kv: int, device: Any) -> Tensor:
        """True where a query may look at a key: by block, and by the function within partial blocks."""
        rows, columns = self.BLOCK_SIZE

        def spread(counts: Any, indices: Any) -> Any:
            blocks = _dense_of(counts, indices).to(torch.bool)
            return blocks.repeat_interleave(rows, -2).repeat_interleave(columns, -1)[..., :q, :kv]

        allowed = spread(self.kv_num_blocks, self.kv_indices) & self.mask_mod(*_positions(b, h, q, kv, device))
        if self.full_kv_num_blocks is not None:
            allowed = allowed | spread(self.full_kv_num_blocks, self.full_kv_indices)
        return allowed


def create_block_mask(
    mask_mod: ModFunction,
    B: int | None,  # noqa: N803
    H: int | None,  # noqa: N803
    Q_LEN: int,  # noqa: N803
    KV_LEN: int,  # noqa: N803
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,  # noqa: N803
    _compile: bool = False,
) -> BlockMask:
    """The blocks of ``mask_mod(b, h, q_idx, kv_idx)``; None for B or H: the same for all."""
    if _get_mod_type(mask_mod) != _ModificationType.MASK_MOD:
        raise AssertionError(f"create-block_mask requires a mask_mod function! Got {mask_mod}")
    rows, columns = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    padded = torch.nn.functional.pad(mask, (0, -KV_LEN % columns, 0, -Q_LEN % rows))
    b, h, q, kv = padded.shape
    count = padded.reshape(b, h, q // rows, rows, kv // columns, columns).sum((3, 5))
    full = count == rows * columns
    partial = (count > 0) & ~full
    return BlockMask((Q_LEN, KV_LEN), *_ordered(partial), *_ordered(full), (rows, columns), mask_mod)


def create_nested_block_mask(*args: Any, **kwargs: Any) -> BlockMask:
    """Not there: jtorch has no nested tensors."""
    not_implemented("torch.nn.attention.flex_attention.create_nested_block_mask", "use a mask_mod over document numbers")


def _check(query: Tensor, key: Tensor, value: Tensor, block_mask: Any, enable_gqa: bool) -> None:
    for t in (query, key, value):
        if t.dim() != 4:
            raise ValueError("NYI: query, key, and value must be 4D tensors")
    if query.size(-1) != key.size(-1):
        raise ValueError(
            f"Expect query and key/value to have the same embedding dimension but got E={query.size(-1)} and E={key.size(-1)}."
        )
    if not enable_gqa and query.size(-3) != key.size(-3):
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={query.size(-3)} and Hkv={key.size(-3)}. "
            "Try setting enable_gqa=True for GQA."
        )
    if enable_gqa and query.size(1) % key.size(1):
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={query.size(1)} and Hkv={key.size(1)}."
        )
    if block_mask is not None and (query.size(-2) > block_mask.shape[-2] or key.size(-2) > block_mask.shape[-1]):
        raise ValueError(
            f"block_mask was created for block_mask.shape={block_mask.shape} but got q_len={query.size(-2)} and kv_len={key.size(-2)}. "
            "As the block mask was created for a smaller length than you're using it for, you likely need to create a new block mask."
        )


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ModFunction | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention (B, H, queries, E) over (B, H, keys, E) with ``score_mod(score, b, h, q_idx, kv_idx)`` and a block mask.

    The functions get tensors of indices that broadcast, so they must be made of pointwise operators and indexing. The
    scores are computed whole: XLA fuses, but the memory is that of the full matrix. Rows without any key give 0.
    """
    _check(query, key, value, block_mask, enable_gqa)
    scale = 1.0 / math.sqrt(query.size(-1)) if scale is None else scale
    if enable_gqa:
        groups = query.size(1) // key.size(1)
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    b, h, q = query.shape[:3]
    kv = key.size(-2)
    precision = torch.float64 if query.dtype == torch.float64 else torch.float32
    scores = (query @ key.transpose(-2, -1)).to(precision) * scale
    if score_mod is not None:
        scores = score_mod(scores, *_positions(b, h, q, kv, query.device)).to(precision).expand(b, h, q, kv)
    if block_mask is not None:
        scores = torch.where(block_mask._matrix(b, h, q, kv, query.device), scores, -float("inf"))
    lse = torch.logsumexp(scores, -1)
    # Weights through the row's logarithmic sum, which is kept finite for rows that see nothing.
    weights = torch.exp(scores - torch.where(torch.isneginf(lse), 0.0, lse).unsqueeze(-1))
    out = weights.to(query.dtype) @ value.to(query.dtype)
    if return_aux is not None:
        highest = scores.amax(-1) if return_aux.max_scores else None
        return out, AuxOutput(lse if return_aux.lse else None, highest)
    return (out, lse) if return_lse else out
