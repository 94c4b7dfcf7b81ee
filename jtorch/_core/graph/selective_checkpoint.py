"""Checkpoints that keep some results (``create_selective_checkpoint_contexts``): each operator is asked about in the first run, and what was kept
takes the place of its results in the second, where the operator is then not computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._engine.recording.call import Call
from jtorch._engine.values.thread_state import SELECTIVE, state
from jtorch._engine.values.values import Value

from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["Kept", "Run", "exchange", "library_name"]

Kept = dict[str, list[Any]]  # by operator, in the order of its calls: the values that were kept, or None

# What torch's library calls an operator that goes by another name here.
_NAMES = {
    "softmax": "_softmax.default", "log_softmax": "_log_softmax.default", "layer_norm": "native_layer_norm.default", "group_norm": "native_group_norm.default",
    "batch_norm": "native_batch_norm.default", "nll_loss": "nll_loss_forward.default", "nll_loss2d": "nll_loss2d_forward.default",
    "masked_scale": "native_dropout.default", "_scaled_dot_product_attention": "_scaled_dot_product_flash_attention_for_cpu.default",
}  # fmt: skip


def library_name(call: Call, args: Any) -> str:
    """``mm.default``: an operator as torch's library names the call."""
    op = call.op
    name = call.name
    if name in _NAMES:
        if name == "_scaled_dot_product_attention" and args[0].device.type == "cuda":
            kind = "efficient" if args[0].dtype.itemsize > 2 else "flash"
            return f"_scaled_dot_product_{kind}_attention.default"
        return _NAMES[name]
    tensors = [a for a in args if isinstance(a, Tensor)]
    if name == "linear":
        return "addmm.default" if len(tensors) == 3 else "mm.default"
    if name == "matmul":
        dims: Any = tuple(t.dim() for t in tensors)
        return {(1, 1): "dot.default", (2, 1): "mv.default", (2, 2): "mm.default"}.get(dims, "bmm.default")
    if name.startswith(("conv1d", "conv2d", "conv3d", "conv_transpose")):
        return "convolution.default"
    if op is not None and len(op.signatures[0].params) > 1 and op.signatures[0].params[1].kind == "Tensor|Scalar":
        return f"{name}.Tensor" if len(tensors) > 1 or name != "pow" else "pow.Tensor_Scalar"
    return f"{name}.default"


class Run:
    """A context: one of the two runs. ``decide(name, args, results)`` says whether to keep what an operator gave; None in the second run."""

    def __init__(self, kept: Kept, decide: Callable[[str, Any, Any], bool] | None) -> None:
        self.kept, self.decide = kept, decide
        self.outer: Any = None
        self.before = 0

    def __enter__(self) -> None:
        self.outer, state.selective = state.selective, self
        self.before = state.mode
        state.mode |= SELECTIVE

    def __exit__(self, *args: object) -> None:
        state.selective = self.outer
        if not self.before & SELECTIVE:
            state.mode &= ~SELECTIVE


def exchange(call: Call, args: Any, values: list[Value]) -> list[Value]:
    """The values that an operator's call shall have."""
    run: Run = state.selective
    name = library_name(call, args)
    if run.decide is not None:
        mode, state.mode = state.mode, state.mode & ~SELECTIVE
        try:
            keep = run.decide(name, args, values)
        finally:
            state.mode = mode
        run.kept.setdefault(name, []).append(values if keep else None)
        return values
    there = run.kept.get(name)
    found = there.pop(0) if there else None
    if found is None or [v.aval for v in found] != [v.aval for v in values]:
        return values
    return found  # type: ignore[no-any-return]
