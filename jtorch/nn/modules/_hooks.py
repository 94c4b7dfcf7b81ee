"""The hooks of modules: global ones, and the methods that register hooks on one module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from jtorch.utils.hooks import RemovableHandle

__all__ = [
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Hook = Callable[..., Any]

backward_pre_hooks: OrderedDict[int, Hook] = OrderedDict()
backward_hooks: OrderedDict[int, Hook] = OrderedDict()
forward_pre_hooks: OrderedDict[int, Hook] = OrderedDict()
forward_hooks: OrderedDict[int, Hook] = OrderedDict()
forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
buffer_registration_hooks: OrderedDict[int, Hook] = OrderedDict()
module_registration_hooks: OrderedDict[int, Hook] = OrderedDict()
parameter_registration_hooks: OrderedDict[int, Hook] = OrderedDict()

# None until the first global backward hook says which of the two kinds is in use.
is_full_backward_hook: bool | None = None


def _put(hooks: OrderedDict[int, Hook], hook: Hook, extra: Any = None) -> RemovableHandle:
    handle = RemovableHandle(hooks, extra_dict=extra)
    hooks[handle.id] = hook
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` at each registration of a buffer; what it returns, unless None, is registered."""
    return _put(buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` at each registration of a submodule; it may return another one."""
    return _put(module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, param)`` at each registration of a parameter; it may return another one."""
    return _put(parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before every module's forward; it may return new positional arguments."""
    return _put(forward_pre_hooks, hook)


def register_module_forward_hook(hook: Hook, *, with_kwargs: bool = False, always_call: bool = False) -> RemovableHandle:
    """Call ``hook(module, args, output)``, or ``hook(module, args, kwargs, output)``, after every module's forward."""
    handle = _put(forward_hooks, hook, [forward_hooks_with_kwargs, forward_hooks_always_called])
    if with_kwargs:
        forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        forward_hooks_always_called[handle.id] = True
    return handle


_MIXED_GLOBAL = (
    "Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use only one of them."
)
_MIXED = "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only one of them."


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Register an old-style backward hook for every module (prefer the full one)."""
    global is_full_backward_hook
    if is_full_backward_hook is True:
        raise RuntimeError(_MIXED_GLOBAL)
    is_full_backward_hook = False
    return _put(backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before every module's backward; it may return a new ``grad_output``."""
    return _put(backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after every module's backward; it may return a new ``grad_input``."""
    global is_full_backward_hook
    if is_full_backward_hook is False:
        raise RuntimeError(_MIXED_GLOBAL)
    is_full_backward_hook = True
    return _put(backward_hooks, hook)


class HooksMixin:
    """The methods of ``Module`` that register hooks on it."""

    _backward_pre_hooks: OrderedDict[int, Hook]
    _backward_hooks: OrderedDict[int, Hook]
    _is_full_backward_hook: bool | None
    _forward_hooks: OrderedDict[int, Hook]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Hook]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]

    def register_forward_pre_hook(self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Call ``hook(module, args)`` before forward, or ``hook(module, args, kwargs)`` if ``with_kwargs``.

        It may return new arguments (a tuple, or ``(args, kwargs)``). ``prepend`` puts it before those already there.
        """
        handle = _put(self._forward_pre_hooks, hook, self._forward_pre_hooks_with_kwargs)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        if prepend:
            self._forward_pre_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after forward (``hook(module, args, kwargs, output)`` if ``with_kwargs``).

        What it returns, unless None, replaces the output. With ``always_call`` it also runs when forward raised.
        """
        handle = _put(self._forward_hooks, hook, [self._forward_hooks_with_kwargs, self._forward_hooks_always_called])
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        if prepend:
            self._forward_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before this module's backward; it may return a new ``grad_output``."""
        handle = _put(self._backward_pre_hooks, hook)
        if prepend:
            self._backward_pre_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` after this module's backward; it may return a new ``grad_input``."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED)
        self._is_full_backward_hook = True
        handle = _put(self._backward_hooks, hook)
        if prepend:
            self._backward_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Register an old-style backward hook, which sees the last operator's gradients only (prefer the full one)."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED)
        self._is_full_backward_hook = False
        return _put(self._backward_hooks, hook)

    def _get_backward_hooks(self) -> tuple[list[Hook], list[Hook]]:
        """The full and the old-style backward hooks that are in force, global ones first."""
        full: list[Hook] = []
        old: list[Hook] = []
        (full if is_full_backward_hook is True else old).extend(backward_hooks.values())
        (full if self._is_full_backward_hook is True else old).extend(self._backward_hooks.values())
        return full, old

    def _get_backward_pre_hooks(self) -> list[Hook]:
        """The backward pre-hooks that are in force, global ones first."""
        return [*backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
