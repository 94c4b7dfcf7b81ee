"""Which modules are sharded by themselves. Source: https://docs.pytorch.org/docs/stable/fsdp.html"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jtorch._public import torch

__all__ = [
    "CustomPolicy", "ModuleWrapPolicy", "always_wrap_policy", "enable_wrap", "lambda_auto_wrap_policy", "size_based_auto_wrap_policy", "transformer_auto_wrap_policy", "wrap",
]  # fmt: skip


def always_wrap_policy(*args: Any, **kwargs: Any) -> bool:
    """Every module."""
    return True


class _Policy:
    """For each module of a tree the arguments that it is wrapped with, where it is."""

    def _run_policy(self, root_module: Any, ignored_modules: set[Any], root_kwargs: dict[str, Any]) -> dict[Any, dict[str, Any]]:
        raise NotImplementedError


class ModuleWrapPolicy(_Policy):
    """Modules of these classes."""

    def __init__(self, module_classes: Iterable[type]) -> None:
        self._module_classes = set(module_classes)

    def _run_policy(self, root_module: Any, ignored_modules: set[Any], root_kwargs: dict[str, Any]) -> dict[Any, dict[str, Any]]:
        return {m: copy.copy(root_kwargs) for m in root_module.modules() if m not in ignored_modules and isinstance(m, tuple(self._module_classes))}

    def __call__(self, module: Any, recurse: bool, *args: Any, **kwargs: Any) -> bool:
        """As a function of one module."""
        return recurse or isinstance(module, tuple(self._module_classes))

    def __repr__(self) -> str:
        return super().__repr__() + f"({self._module_classes})"


class CustomPolicy(_Policy):
    """Modules for which a function gives True, or arguments."""

    def __init__(self, lambda_fn: Callable[[Any], Any]) -> None:
        self._lambda_fn = lambda_fn

    def _run_policy(self, root_module: Any, ignored_modules: set[Any], root_kwargs: dict[str, Any]) -> dict[Any, dict[str, Any]]:
        found = {}
        for m in root_module.modules():
            if m in ignored_modules:
                continue
            said = self._lambda_fn(m)
            if not isinstance(said, (dict, bool)):
                raise ValueError(f"The lambda_fn passed to CustomPolicy should return False/True or a kwarg dict, but it returned {said}")
            if said is not False:
                found[m] = {**root_kwargs, **(said if isinstance(said, dict) else {})}
        return found


def lambda_auto_wrap_policy(module: Any, recurse: bool, nonwrapped_numel: int, lambda_fn: Callable[[Any], bool]) -> bool:
    """Modules for which a function gives True."""
    return recurse or lambda_fn(module)


def transformer_auto_wrap_policy(module: Any, recurse: bool, nonwrapped_numel: int, transformer_layer_cls: set[type]) -> bool:
    """Modules of these classes."""
    return recurse or isinstance(module, tuple(transformer_layer_cls))


_module_wrap_policy = transformer_auto_wrap_policy


def _or_policy(module: Any, recurse: bool, nonwrapped_numel: int, policies: Any) -> bool:
    return any(policy(module=module, recurse=recurse, nonwrapped_numel=nonwrapped_numel) for policy in policies)


def size_based_auto_wrap_policy(
    module: Any, recurse: bool, nonwrapped_numel: int, min_num_params: int = int(1e8), force_leaf_modules: Any = None, exclude_wrap_modules: Any = None
) -> bool:
    """Modules with so many parameters that are not sharded yet."""
    leaves = size_based_auto_wrap_policy.FORCE_LEAF_MODULES if force_leaf_modules is None else force_leaf_modules  # type: ignore[attr-defined]
    excluded = size_based_auto_wrap_policy.EXCLUDE_WRAP_MODULES if exclude_wrap_modules is None else exclude_wrap_modules  # type: ignore[attr-defined]
    large = nonwrapped_numel >= min_num_params
    return large and not isinstance(module, tuple(leaves)) if recurse else large and not isinstance(module, tuple(excluded))


size_based_auto_wrap_policy.EXCLUDE_WRAP_MODULES = {torch.nn.ModuleList, torch.nn.ModuleDict}  # type: ignore[attr-defined]
size_based_auto_wrap_policy.FORCE_LEAF_MODULES = {torch.nn.MultiheadAttention}  # type: ignore[attr-defined]
_context: list[tuple[Any, dict[str, Any]]] = []


@contextlib.contextmanager
def enable_wrap(*, wrapper_cls: Any, **wrapper_kwargs: Any) -> Iterator[None]:
    """Within, :func:`wrap` wraps."""
    _context.append((wrapper_cls, wrapper_kwargs))
    try:
        yield
    finally:
        _context.pop()


def wrap(module: Any, **wrap_overrides: Any) -> Any:
    """Wrap a module as :func:`enable_wrap` says; outside of it, the module as it is."""
    if not _context:
        return module
    cls, kwargs = _context[-1]
    return cls(module, **{**kwargs, **wrap_overrides})


def wrapped_children(module: Any, policy: Any, make: Callable[[Any, dict[str, Any]], Any], kwargs: dict[str, Any], ignored: set[Any]) -> None:
    """Wrap what a policy chooses below a module, from the inside out."""
    if isinstance(policy, _Policy):
        chosen = policy._run_policy(module, ignored, kwargs)
        chosen.pop(module, None)

        def below(m: Any) -> None:
            for name, child in list(m.named_children()):
                below(child)
                if child in chosen:
                    setattr(m, name, make(child, chosen[child]))

        below(module)
        return

    def by_size(m: Any, remainder: int) -> int:
        """How many parameters were wrapped below ``m``."""
        total = sum(p.numel() for p in m.parameters() if p not in ignored)
        done = 0
        if policy(module=m, recurse=True, nonwrapped_numel=total):
            for name, child in list(m.named_children()):
                if child in ignored:
                    continue
                done += by_size(child, 0)
                mine = sum(p.numel() for p in child.parameters())
                left = mine - _sharded_below(child)
                if not _is_sharded(child) and policy(module=child, recurse=False, nonwrapped_numel=left):
                    setattr(m, name, make(child, kwargs))
                    done += left
        return done

    by_size(module, 0)


def _is_sharded(m: Any) -> bool:
    return m.__dict__.get("_fsdp_sharded") is not None


def _sharded_below(m: Any) -> int:
    return sum(p.sharded.numel() for x in m.modules() if _is_sharded(x) for p in x._fsdp_sharded.parameters)


