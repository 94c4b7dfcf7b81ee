"""Modules that learn the shape of their parameters from the first input."""

from __future__ import annotations

import itertools
from typing import Any

from jtorch._public import torch

from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Put before a ``Module`` in the bases: parameters are ``UninitializedParameter`` until the first call.

    The subclass defines ``initialize_parameters(*inputs)`` and, optionally, ``cls_to_become``, the class that the
    module turns into once all its parameters are there.
    """

    cls_to_become: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        this: Any = self
        this._load_hook = this._register_load_state_dict_pre_hook(this._lazy_load_hook)
        this._initialize_hook = this.register_forward_pre_hook(this._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        this: Any = self
        kept = (item for item in this._buffers.items() if item[0] not in this._non_persistent_buffers_set)
        for name, tensor in itertools.chain(this._parameters.items(), kept):
            if tensor is not None:
                # What has no shape yet has no values to detach either.
                destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()

    def _lazy_load_hook(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take the shapes of the tensors that are about to be loaded."""
        this: Any = self
        for name, tensor in itertools.chain(this._parameters.items(), this._buffers.items()):
            given = state_dict.get(prefix + name)
            if tensor is not None and given is not None and is_lazy(tensor) and not is_lazy(given):
                with torch.no_grad():
                    tensor.materialize(given.shape)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Override: give the parameters their shapes and values, from forward's arguments."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether any parameter or buffer still waits for its shape."""
        this: Any = self
        return any(is_lazy(t) for t in itertools.chain(this._parameters.values(), this._buffers.values()))

    def _infer_parameters(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        """The forward pre-hook that initialises, then removes itself and turns the module into its final class."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _replicate_for_data_parallel(self) -> Any:
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass to correctly "
            "initialize the modules"
        )
