"""The pair of taps behind a module's backward hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from jtorch._core.backward.jax_hooks import is_followed_by_jax, traced_by
from jtorch._core.graph.hook_handles import RemovableHandle
from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = ["BackwardHook", "RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark ``f`` as a hook that is knowingly left out when its tensor is pickled."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn for each backward hook on ``tensor`` that pickling would lose, unless it is marked as such."""
    for hook in (getattr(tensor, "_backward_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized. If this is expected, you can decorate the function with "
                "@torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )


_tap: Any = None


def _tap_function() -> Any:
    """The identity whose backward passes the gradients through a Python function (made late: it needs the tape)."""
    global _tap
    if _tap is None:

        class BackwardHookFunction(torch.autograd.Function):  # type: ignore[misc, name-defined]
            generate_vmap_rule = True

            @staticmethod
            def forward(ctx: Any, through: Callable[..., Any], materialize: bool, *tensors: Any) -> Any:
                ctx.through = through
                ctx.set_materialize_grads(materialize)
                outs = tuple(t.view_as(t) for t in tensors)
                ctx.mark_non_differentiable(*[out for t, out in zip(tensors, outs) if not t.requires_grad])
                return outs

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                return (None, None, *ctx.through(grads))

        _tap = BackwardHookFunction
    return _tap


def _check_of_one_trace(grads: Any, before: Any) -> None:
    """NotImplementedError where JAX maps both ends of a module by themselves, so that one cannot be seen at the other."""
    known = {id(trace) for g in grads if (trace := traced_by(g)) is not None}
    if any((trace := traced_by(g)) is not None and id(trace) not in known for g in before):
        not_implemented("full backward hooks of modules under jax.grad of jax.vmap", "use jax.vmap of jax.grad, or register_full_backward_pre_hook")


class BackwardHook:
    """Runs a module's full backward hooks: one tap on its inputs, one on its outputs.

    The outputs' tap sees ``grad_output`` first (and runs ``user_pre_hooks``), the inputs' tap sees ``grad_input`` and
    runs ``user_hooks``. Where no input needs a gradient the hooks run in the outputs' tap.
    """

    def __init__(self, module: Any, user_hooks: Any, user_pre_hooks: Any) -> None:
        self.module = module
        self.user_hooks = list(user_hooks)
        self.user_pre_hooks = list(user_pre_hooks)
        self.grad_outputs: Any = None
        self.n_outputs = -1
        self.n_inputs = -1
        self.output_tensors_index: list[int] | None = None
        self.input_tensors_index: list[int] | None = None

    def setup_input_hook(self, args: Any) -> Any:
        """Tap the tensors among ``args``; returns the arguments to call ``forward`` with."""
        new_args, self.input_tensors_index = self._tapped(args, self._at_inputs, True)
        self.n_inputs = len(args)
        return new_args

    def setup_output_hook(self, args: Any) -> Any:
        """Tap a module's result (a tensor or a tuple); returns the result to hand out."""
        single = not isinstance(args, tuple)
        args = (args,) if single else args
        new_args, self.output_tensors_index = self._tapped(args, self._at_outputs, False)
        self.n_outputs = len(args)
        return new_args[0] if single else new_args

    def _tapped(self, args: Any, through: Callable[..., Any], materialize: bool) -> tuple[Any, list[int] | None]:
        where = [i for i, a in enumerate(args) if isinstance(a, torch.Tensor)]
        if not torch.is_grad_enabled() or not any(args[i].requires_grad or is_followed_by_jax(args[i]) for i in where):
            return args, None
        # JAX goes through a tap if it differentiates one of its inputs. Of a first layer that is none: what is linked to it then is no element of a parameter.
        links = [p.flatten()[:0] for p in self.module.parameters() if is_followed_by_jax(p)][:1] if materialize else []
        outs = _tap_function().apply(through, materialize, *[args[i] for i in where], *links)
        new_args = list(args)
        for i, out in zip(where, outs):
            new_args[i] = out
        is_named = isinstance(args, tuple) and type(args) is not tuple
        return (type(args)(*new_args) if is_named else tuple(new_args)), where

    @staticmethod
    def _spread(indices: Any, values: Any, size: int) -> tuple[Any, ...]:
        full = [None] * size
        for i, value in zip(indices, values):
            full[i] = value
        return tuple(full)

    def _at_outputs(self, grads: Any) -> Any:
        assert self.output_tensors_index is not None
        outputs = self._spread(self.output_tensors_index, grads, self.n_outputs)
        for hook in self.user_pre_hooks:
            changed = hook(self.module, outputs)
            if changed is None:
                continue
            if not isinstance(changed, tuple):
                changed = (changed,)
            if len(changed) != len(outputs):
                raise RuntimeError(
                    f"Backward pre hook returned an invalid number of grad_output, got {len(changed)}, but expected {len(outputs)}"
                )
            outputs = changed
        self.grad_outputs = outputs
        if self.input_tensors_index is None:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require "
                "gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.register_full_backward_hook for more details.",
                stacklevel=5,
            )
            nothing = (None,) * self.n_inputs
            for hook in self.user_hooks:
                result = hook(self.module, nothing, outputs)
                if result is not None and not (isinstance(result, tuple) and all(g is None for g in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(outputs[i] for i in self.output_tensors_index)

    def _at_inputs(self, grads: Any) -> Any:
        if self.grad_outputs is None:
            # The outputs' tap has not run: the gradient got here past the module's outputs, so this is not the module's backward.
            return grads
        inputs = self._spread(self.input_tensors_index, grads, self.n_inputs)
        _check_of_one_trace(grads, self.grad_outputs)
        for hook in self.user_hooks:
            changed = hook(self.module, inputs, self.grad_outputs)
            if changed is None:
                continue
            if not isinstance(changed, tuple):
                changed = (changed,)
            if len(changed) != len(inputs):
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(changed)}, but expected {len(inputs)}"
                )
            inputs = changed
        self.grad_outputs = None
        return (*[inputs[i] for i in self.input_tensors_index or ()], *grads[len(self.input_tensors_index or ()) :])
