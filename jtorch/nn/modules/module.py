"""``Module``: attributes that are registered when assigned, and a call that runs the hooks around ``forward``."""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from jtorch._core.backward.jax_hooks import is_followed_by_jax
from jtorch._core.dispatch.flush_points import module_called
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._errors import warn_once
from jtorch._public import torch
from jtorch.utils.hooks import BackwardHook

from ..parameter import Buffer, Parameter
from . import _hooks
from ._convert import ConvertMixin
from ._hooks import (
    HooksMixin,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from ._state import EXTRA_STATE_KEY_SUFFIX as _EXTRA_STATE_KEY_SUFFIX  # noqa: F401  # transformers looks for it here
from ._state import StateMixin, _IncompatibleKeys, _WrappedHook
from ._traverse import TraverseMixin

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

_ = (_IncompatibleKeys, _WrappedHook)  # published here too, where torch has them

# The dictionaries themselves, so that a call without any hook is a few truth tests.
_g_backward_pre, _g_backward = _hooks.backward_pre_hooks, _hooks.backward_hooks
_g_forward_pre, _g_forward = _hooks.forward_pre_hooks, _hooks.forward_hooks
# Under the names that torch keeps them by, which libraries look at.
_global_backward_pre_hooks, _global_backward_hooks = _g_backward_pre, _g_backward
_global_forward_pre_hooks, _global_forward_hooks = _g_forward_pre, _g_forward
_global_forward_hooks_always_called, _global_forward_hooks_with_kwargs = _hooks.forward_hooks_always_called, _hooks.forward_hooks_with_kwargs
_global_buffer_registration_hooks, _global_module_registration_hooks = _hooks.buffer_registration_hooks, _hooks.module_registration_hooks
_global_parameter_registration_hooks = _hooks.parameter_registration_hooks


class _Globals(ModuleType):
    """Who gives one of these names another dictionary changes what calls look at, as in torch."""

    def __setattr__(self, name: str, value: Any) -> None:
        kept = vars(self).get(name) if name.startswith("_global_") else None
        if kept is None or value is kept:
            super().__setattr__(name, value)
            return
        found = dict(value)
        kept.clear()
        kept.update(found)


sys.modules[__name__].__class__ = _Globals


def typename(value: Any) -> str:
    """The type's name as error messages spell it: torch's own for tensors, module-qualified for the rest."""
    return torch.typename(value)


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """What every call does: override it."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


def _addindent(text: str, num_spaces: int) -> str:
    """Indent all lines but the first and empty ones."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * num_spaces + line if line.strip() else "" for line in rest)])


def _forget(module: dict[str, Any], name: str, *kinds: str) -> None:
    """Drop ``name`` from the plain attributes and from the registries ``kinds``, before it becomes something else."""
    module.pop(name, None)
    for kind in kinds:
        held = module.get(kind)
        if held is None:
            continue
        if isinstance(held, set):
            held.discard(name)
        else:
            held.pop(name, None)


class Module(HooksMixin, StateMixin, TraverseMixin, ConvertMixin):
    """Base class of all networks: assigned parameters, buffers and modules are registered; calling it runs ``forward``."""

    T_destination: Any = TypeVar("T_destination", bound=dict[str, Any])  # torch's annotations name it
    dump_patches: bool = False
    _version: int = 1
    training: bool
    call_super_init: bool = False
    _compiled_call_impl: Callable[..., Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
            if args:
                raise TypeError(f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given")
        # Written past __setattr__, which would look each name up in registries that are not there yet.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _is_full_backward_hook=None,
            _forward_hooks=OrderedDict(),
            _forward_hooks_with_kwargs=OrderedDict(),
            _forward_hooks_always_called=OrderedDict(),
            _forward_pre_hooks=OrderedDict(),
            _forward_pre_hooks_with_kwargs=OrderedDict(),
            _state_dict_hooks=OrderedDict(),
            _state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_post_hooks=OrderedDict(),
            _modules={},
        )
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward: Callable[..., Any] = _forward_unimplemented

    # ---- registration

    def _check_name(self, name: Any, kind: str, registry: str) -> None:
        """The rules that names of parameters and buffers share."""
        if registry not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Hold ``tensor`` (or None) as state that is no parameter; ``persistent=False`` keeps it out of the ``state_dict``."""
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not (isinstance(tensor, torch.Tensor) or hasattr(tensor, "__torch_function__")):
            raise TypeError(f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)")
        for hook in _hooks.buffer_registration_hooks.values():
            replaced = hook(self, name, tensor)
            tensor = tensor if replaced is None else replaced
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Any) -> None:
        """Hold ``param`` (a ``Parameter`` or None) under ``name``."""
        self._check_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To express "
                    f"'{name}' as a function of another Tensor, compute the value in the forward() method."
                )
            for hook in _hooks.parameter_registration_hooks.values():
                replaced = hook(self, name, param)
                param = param if replaced is None else replaced
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Hold ``module`` (or None) as the submodule ``name``."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        for hook in _hooks.module_registration_hooks.values():
            replaced = hook(self, name, module)
            module = module if replaced is None else replaced
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    # ---- attributes

    def __getattr__(self, name: str) -> Any:
        # Only reached when ordinary lookup has failed; unrolled, since every use of a weight comes through here.
        held = self.__dict__
        if "_parameters" in held:
            members = held["_parameters"]
            if name in members:
                return members[name]
            members = held["_modules"]
            if name in members:
                return members[name]
            members = held["_buffers"]
            if name in members:
                return members[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__
        params = held.get("_parameters")
        if isinstance(value, Parameter):
            if params is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            _forget(held, name, "_buffers", "_modules", "_non_persistent_buffers_set")
            self.register_parameter(name, value)
            return
        if params is not None and name in params:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)")
            self.register_parameter(name, value)
            return
        modules = held.get("_modules")
        if isinstance(value, Module):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            _forget(held, name, "_parameters", "_buffers", "_non_persistent_buffers_set")
            self._set_module(name, value)
            return
        if modules is not None and name in modules:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as child module '{name}' (torch.nn.Module or None expected)")
            self._set_module(name, value)
            return
        buffers = held.get("_buffers")
        if buffers is not None and (name in buffers or isinstance(value, Buffer)):
            self._set_buffer(name, value)
            return
        object.__setattr__(self, name, value)

    def _set_module(self, name: str, value: Any) -> None:
        for hook in _hooks.module_registration_hooks.values():
            replaced = hook(self, name, value)
            value = value if replaced is None else replaced
        self._modules[name] = value

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not (isinstance(value, torch.Tensor) or hasattr(value, "__torch_function__")):
            raise TypeError(
                f"cannot assign '{typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)"
            )
        persistent = value.persistent if isinstance(value, Buffer) else name not in self._non_persistent_buffers_set
        if name not in self._buffers:
            _forget(self.__dict__, name, "_parameters", "_modules")
        # A subclass may override register_buffer with the signature that has no ``persistent``.
        if type(self).register_buffer is Module.register_buffer:
            self.register_buffer(name, value, persistent)
        elif persistent:
            self.register_buffer(name, value)
        else:
            try:
                self.register_buffer(name, value, persistent)
            except TypeError:
                raise RuntimeError(
                    "Registering a non-persistent buffer on a Module subclass that implements register_buffer() without the "
                    "persistent argument is not allowed."
                ) from None

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[:1].isdigit())

    # ---- the call

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return self._call_with_hooks(args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__  # looked up once: an attribute of a class with __getattr__ costs several times a dict's
        if "_compiled_call_impl" in own:
            compiled = own["_compiled_call_impl"]
            if compiled is not None:
                return compiled(*args, **kwargs)
        if not state.mode & GRAD:
            module_called(self, args if not kwargs else (kwargs,))
        if (
            own["_forward_hooks"]
            or own["_forward_pre_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
            or _g_forward
            or _g_forward_pre
            or _g_backward
            or _g_backward_pre
        ):
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    _wrapped_call_impl = __call__

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called: set[int] = set()
        try:
            return self._run(args, kwargs, called)
        except Exception:
            self._run_always_called(args, kwargs, called)
            raise

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]) -> Any:
        for hook in list(_g_forward_pre.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        for hook_id, hook in list(self._forward_pre_hooks.items()):
            if hook_id in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}.")
                args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        full, old = self._get_backward_hooks()
        pre = self._get_backward_pre_hooks()
        taps = BackwardHook(self, full, pre) if full or pre else None
        if taps is not None:
            args = taps.setup_input_hook(args)
        result = self.forward(*args, **kwargs)
        for hook_id, hook in [*_g_forward.items(), *self._forward_hooks.items()]:
            if hook_id in self._forward_hooks_always_called or hook_id in _hooks.forward_hooks_always_called:
                called.add(hook_id)
            if hook_id in self._forward_hooks_with_kwargs or hook_id in _hooks.forward_hooks_with_kwargs:
                changed = hook(self, args, kwargs, result)
            else:
                changed = hook(self, args, result)
            if changed is not None:
                result = changed
        if taps is not None:
            if not isinstance(result, (torch.Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors"
                    f" but received {type(result)}",
                    stacklevel=4,
                )
            result = taps.setup_output_hook(result)
        if old:
            self._attach_old_hooks(old, result)
        return result

    def _attach_old_hooks(self, hooks: list[Any], result: Any) -> None:
        """Old-style backward hooks hang on the node that made the first tensor of the result."""
        first = result
        while not isinstance(first, torch.Tensor):
            first = next(v for v in first.values() if isinstance(v, torch.Tensor)) if isinstance(first, dict) else first[0]
        if first.grad_fn is None:
            if is_followed_by_jax(first):
                warn_once("old-style backward hooks of modules (register_backward_hook) are not called inside JAX's transformations: use register_full_backward_hook")
            return
        for hook in hooks:
            first.grad_fn.register_hook(_WrappedHook(hook, self))
        if not (isinstance(result, torch.Tensor) or isinstance(result, tuple) and all(isinstance(r, torch.Tensor) for r in result)):
            warnings.warn(
                "Using non-full backward hooks on a Module that does not return a single Tensor or a tuple of Tensors is deprecated "
                "and will be removed in future versions. This hook will be missing some of the grad_output. Please use "
                "register_full_backward_hook to get the documented behavior.",
                FutureWarning,
                stacklevel=5,
            )

    def _run_always_called(self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]) -> None:
        """After an exception: the hooks that asked to be called all the same and have not been; their own errors are warnings."""
        for where, hooks, always, with_kwargs in (
            ("global module", _g_forward, _hooks.forward_hooks_always_called, _hooks.forward_hooks_with_kwargs),
            ("module", self._forward_hooks, self._forward_hooks_always_called, self._forward_hooks_with_kwargs),
        ):
            for hook_id, hook in hooks.items():
                if hook_id not in always or hook_id in called:
                    continue
                try:
                    hook(self, args, kwargs, None) if hook_id in with_kwargs else hook(self, args, None)
                except Exception as error:
                    warnings.warn(
                        f"{where} forward hook with ``always_call=True`` raised an exception that was silenced as another error was "
                        f"raised in forward: {error}",
                        stacklevel=4,
                    )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile this module's call with ``torch.compile``, given these arguments; the module stays the same object."""
        self._compiled_call_impl = torch.compile(self._call_impl, *args, **kwargs)

    # ---- copies and print

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Modules pickled by older versions lack some of the registries.
        for name in (
            "_forward_pre_hooks",
            "_forward_pre_hooks_with_kwargs",
            "_forward_hooks_with_kwargs",
            "_forward_hooks_always_called",
            "_state_dict_hooks",
            "_state_dict_pre_hooks",
            "_load_state_dict_pre_hooks",
            "_load_state_dict_post_hooks",
            "_backward_pre_hooks",
        ):
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Override to say more between the parentheses of ``repr``; several lines are fine."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        head = extra.split("\n") if extra else []
        tail = [f"({name}): " + _addindent(repr(module), 2) for name, module in self._modules.items()]
        lines = head + tail
        if not lines:
            return f"{self._get_name()}()"
        if not tail and len(head) == 1:
            return f"{self._get_name()}({head[0]})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"

    def _replicate_for_data_parallel(self) -> Module:
        """A copy whose registries are its own dictionaries; its parameters are to be filled in by the caller."""
        replica = self.__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        replica._parameters = {}
        replica._buffers = self._buffers.copy()
        replica._modules = self._modules.copy()
        replica._is_replica = True
        return replica
