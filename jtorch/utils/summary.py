"""A table of a model's layers: output shapes and parameter counts, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jtorch._public import torch

__all__ = ["Summary", "summary"]

_WIDTH = 74
_MB = 1024**2


@dataclass
class Summary:
    """What :func:`summary` printed, as numbers. ``rows`` are (name, output shape with -1 for the batch, parameters)."""

    total_params: int = 0
    trainable_params: int = 0
    input_size: int = 0  # elements for one sample, as the next two
    output_size: int = 0
    rows: list[tuple[str, list[int], int]] = field(default_factory=list)

    @property
    def non_trainable_params(self) -> int:
        """Parameters with ``requires_grad=False``."""
        return self.total_params - self.trainable_params

    def __str__(self) -> str:
        def row(name: str, shape: Any, count: str) -> str:
            return f"{name:<25}{shape!s:>27}{count:>21}"

        # Four bytes an element; outputs count twice, for forward and backward.
        sizes = [self.input_size * 4 / _MB, self.output_size * 8 / _MB, self.total_params * 4 / _MB]
        labels = ("Input size", "Forward/backward pass size", "Params size", "Estimated Total Size")
        return "\n".join(
            [
                "-" * _WIDTH,
                row("Layer (type)", "Output Shape", "Param #"),
                "=" * _WIDTH,
                *(row(name, shape, f"{count:,}") for name, shape, count in self.rows),
                "=" * _WIDTH,
                f"Total params: {self.total_params:,}",
                f"Trainable params: {self.trainable_params:,}",
                f"Non-trainable params: {self.non_trainable_params:,}",
                "-" * _WIDTH,
                *(f"{label} (MB): {size:.6f}" for label, size in zip(labels, [*sizes, sum(sizes)], strict=True)),
            ]
        )


def _first_tensor(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return next((found for part in parts if (found := _first_tensor(part)) is not None), None)


def _made_inputs(shapes: Any, dtypes: Any, device: Any) -> list[Any]:
    if not isinstance(shapes, (list, tuple)) or not shapes or isinstance(shapes[0], int):
        shapes = [shapes if isinstance(shapes, (list, tuple)) else (shapes,)]
    if not isinstance(dtypes, (list, tuple)):
        dtypes = [dtypes] * len(shapes)
    # Two samples, so that layers which normalise over the batch can run; zeros are valid indices.
    return [
        torch.zeros((2, *shape), dtype=getattr(kind, "dtype", kind), device=device) for shape, kind in zip(shapes, dtypes, strict=True)
    ]


def summary(
    model: Any,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    input_dtype: Any = None,
    input_data: Any = None,
    *,
    verbose: bool = True,
) -> Summary:
    """Print a table of the layers that a forward pass calls, in order of their calls, and return its numbers.

    ``input_shape`` is the shape of one sample (a list of shapes for several inputs), ``input_dtype`` its type (float32; also ``torch.LongTensor``
    and its kin); or give ``input_data``, a tensor, or a tuple, list or dict of arguments. The model's mode, buffers and the random
    numbers stay as they were. ValueError when neither shape nor data is given.
    """
    result = Summary()
    parameters = list(model.parameters())
    device = parameters[0].device if parameters else torch.device("cpu")
    if input_data is None and input_shape is None:
        raise ValueError("summary() needs input_shape or input_data")
    keywords: dict[str, Any] = {}
    if input_data is None:
        inputs = _made_inputs(input_shape, torch.float32 if input_dtype is None else input_dtype, device)
    elif isinstance(input_data, dict):
        inputs, keywords = [], dict(input_data)
    else:
        inputs = list(input_data) if isinstance(input_data, (tuple, list)) else [input_data]
    counted: set[int] = set()

    def note(module: Any, args: Any, output: Any) -> None:
        tensor = _first_tensor(output)
        shape = [-1, *tensor.shape[1:]] if tensor is not None else []
        count = 0
        for parameter in module.parameters():
            if id(parameter) not in counted:
                counted.add(id(parameter))
                count += parameter.numel()
        if tensor is not None:
            result.output_size += tensor.numel() // max(tensor.shape[0] if tensor.dim() else 1, 1)
        result.rows.append((f"{type(module).__name__}-{len(result.rows) + 1}", shape, count))

    leaves = [module for module in model.modules() if next(iter(module.children()), None) is None]
    hooks = [module.register_forward_hook(note) for module in leaves]
    modes = [(module, module.training) for module in model.modules()]
    state = torch.get_rng_state()
    try:
        model.eval()
        with torch.no_grad():
            model(*inputs, **keywords)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
        torch.set_rng_state(state)
    for tensor in [*inputs, *keywords.values()]:
        if isinstance(tensor, torch.Tensor):
            result.input_size += tensor.numel() // max(tensor.shape[0] if tensor.dim() else 1, 1)
    result.total_params = sum(parameter.numel() for parameter in parameters)
    result.trainable_params = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    if verbose:
        print(result)
    return result
