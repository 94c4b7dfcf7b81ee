"""Sequences of different lengths: packed together without padding, or padded to one length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from jtorch._public import torch

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The four fields of a packed batch."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(PackedSequence_):
    """Sequences of different lengths as one tensor: first all first elements, then all second ones, and so on.

    ``batch_sizes`` (on the host) says how many sequences reach each time; the indices sort them by length, and back.
    Made by ``pack_padded_sequence`` and ``pack_sequence``.
    """

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> Any:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. They should be "
                "instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """As ``Tensor.to``, for the data; the indices follow to its device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *indices)

    def pin_memory(self) -> PackedSequence:
        """With all tensors in pinned memory."""
        indices = [None if i is None else i.pin_memory() for i in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(self.data.pin_memory(), self.batch_sizes, *indices)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the GPU."""
        if not args and "device" not in kwargs:
            kwargs["device"] = "cuda"
        return self.to(*args, **kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the host."""
        return self.to(*args, device="cpu", **kwargs)

    def double(self) -> PackedSequence:
        """As float64."""
        return self.to(dtype=torch.double)

    def float(self) -> PackedSequence:
        """As float32."""
        return self.to(dtype=torch.float)

    def half(self) -> PackedSequence:
        """As float16."""
        return self.to(dtype=torch.half)

    def long(self) -> PackedSequence:
        """As int64."""
        return self.to(dtype=torch.long)

    def int(self) -> PackedSequence:
        """As int32."""
        return self.to(dtype=torch.int)

    def short(self) -> PackedSequence:
        """As int16."""
        return self.to(dtype=torch.short)

    def char(self) -> PackedSequence:
        """As int8."""
        return self.to(dtype=torch.int8)

    def byte(self) -> PackedSequence:
        """As uint8."""
        return self.to(dtype=torch.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes this one (None for None)."""
    if permutation is None:
        return None
    output = torch.empty_like(permutation)
    return output.scatter_(0, permutation, torch.arange(0, permutation.numel(), device=permutation.device))


def _lengths_to_batch_sizes(lengths: list[int]) -> list[int]:
    """How many of the (descending) lengths exceed 0, 1, 2, ..."""
    sizes = []
    alive = len(lengths)
    for time in range(lengths[0]):
        while lengths[alive - 1] <= time:
            alive -= 1
        sizes.append(alive)
    return sizes


def _checked_lengths(input: Any, lengths: Any, batch: int) -> list[int]:
    if not input.numel():
        raise RuntimeError("Cannot pack empty tensors.")
    if lengths.dim() != 1 or lengths.device.type != "cpu" or lengths.dtype != torch.int64:
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device.type} "
            f"{str(lengths.dtype).removeprefix('torch.').capitalize()} tensor"
        )
    values: list[int] = lengths.tolist()
    if len(values) != batch:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {len(values)} (batch_size={batch})")
    if values[-1] <= 0:
        raise RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0")
    if any(a < b for a, b in zip(values, values[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted=False` to "
            "pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need ONNX exportability."
        )
    return values


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack (T, B, *), or (B, T, *) with ``batch_first``, leaving out what lies beyond ``lengths``.

    The sequences must be sorted by length, longest first, unless ``enforce_sorted`` is False.
    """
    if not isinstance(lengths, torch.Tensor):
        lengths = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
    elif lengths.dtype != torch.int64:
        lengths = lengths.to(dtype=torch.int64)
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = torch.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if input.dim() < 2:
        raise IndexError(f"Dimension out of range (expected to be in range of [-{input.dim()}, {input.dim() - 1}], but got 1)")
    batch, steps = (input.size(0), input.size(1)) if batch_first else (input.size(1), input.size(0))
    values = _checked_lengths(input, lengths, batch)
    sizes = _lengths_to_batch_sizes(values)
    # Rows of the input, seen as one list of (batch, time) pairs, in the order of the packed data. torch reads past a
    # too great length into memory that is not there; here the last step is repeated.
    if batch_first:
        rows = [b * steps + min(t, steps - 1) for t, n in enumerate(sizes) for b in range(n)]
    else:
        rows = [min(t, steps - 1) * batch + b for t, n in enumerate(sizes) for b in range(n)]
    flat = input.reshape(batch * steps, *input.shape[2:])
    data = flat.index_select(0, torch.tensor(rows, dtype=torch.int64, device=input.device))
    return PackedSequence(data, torch.tensor(sizes, dtype=torch.int64), sorted_indices, None)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """Undo the packing: (T, B, *), or (B, T, *) with ``batch_first``, padded with ``padding_value``, and the lengths (B)."""
    sizes: list[int] = sequence.batch_sizes.tolist()
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    data = sequence.data
    batch = sizes[0]
    starts = [0]
    for n in sizes:
        starts.append(starts[-1] + n)
    missing = starts[-1]

    def row(t: int, b: int) -> int:
        return starts[t] + b if t < len(sizes) and b < sizes[t] else missing

    if batch_first:
        rows = [row(t, b) for b in range(batch) for t in range(steps)]
        shape = (batch, steps)
    else:
        rows = [row(t, b) for t in range(steps) for b in range(batch)]
        shape = (steps, batch)
    filler = torch.full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    source = torch.cat([data, filler])
    padded = source.index_select(0, torch.tensor(rows, dtype=torch.int64, device=data.device))
    padded = padded.reshape(*shape, *data.shape[1:])
    lengths = torch.tensor([sum(n > b for n in sizes) for b in range(batch)], dtype=torch.int64)
    order = sequence.unsorted_indices
    if order is not None:
        return padded.index_select(0 if batch_first else 1, order), lengths[order.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Stack tensors (L_i, *) to (max L, B, *), or (B, max L, *), padded on the ``padding_side``."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}")
    parts = list(sequences.unbind(0)) if isinstance(sequences, torch.Tensor) else list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    for i, part in enumerate(parts):
        if not isinstance(part, torch.Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(part).__name__}")
    longest = max(part.size(0) for part in parts)
    padded = []
    for part in parts:
        if part.shape[1:] != parts[0].shape[1:]:  # as torch, which copies it into the batch
            part = parts[0].new_zeros((part.size(0), *parts[0].shape[1:])).copy_(part)
        missing = longest - part.size(0)
        if missing:
            filler = torch.full((missing, *part.shape[1:]), padding_value, dtype=parts[0].dtype, device=parts[0].device)
            part = torch.cat([part, filler] if padding_side == "right" else [filler, part])
        padded.append(part.to(parts[0].dtype))
    return torch.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch, each cut to its length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, torch.Tensor) else list(lengths)
    return [sequence[:length] for sequence, length in zip(padded_sequences, sizes)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of tensors (L_i, *)."""
    lengths = torch.as_tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The list of tensors (L_i, *) that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
