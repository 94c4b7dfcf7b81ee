"""Scripted modules and functions: the Python that they are, behind the surface that torch's compiled ones have."""

from __future__ import annotations

import copy
import enum
import functools
import importlib
import inspect
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._errors import not_implemented
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter

from ._marks import FunctionModifiers, modifier_of
from ._trace import active

__all__ = ["CompilationUnit", "RecursiveScriptModule", "ScriptFunction", "ScriptModule", "script", "script_method", "freeze", "optimize_for_inference", "run_frozen_optimizations"]


def _saver() -> Any:
    """``torch.jit.save``, which knows these classes."""
    return importlib.import_module("jtorch.jit").save


class ScriptFunction:
    """A function, as ``torch.jit.script`` or ``trace`` returns it."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self.name = name or getattr(fn, "__name__", "function").replace("<lambda>", "_lambda")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        recorder = active()
        # A trace has one call of it: its branches stay branches.
        return self._fn(*args, **kwargs) if recorder is None else recorder.whole(self._fn, args, kwargs)

    @property
    def qualified_name(self) -> str:
        """``__torch__.`` and the function's path."""
        module = getattr(self._fn, "__module__", None)
        return f"__torch__.{self.name}" if module in (None, "__main__") else f"__torch__.{module}.{self.name}"

    @property
    def code(self) -> str:
        """The source that runs."""
        return _source(self._fn)

    @property
    def graph(self) -> Any:
        """What a trace recorded. NotImplementedError of a scripted function: there is no graph of it."""
        return graph_of(self._fn)

    inlined_graph = graph

    def graph_for(self, *args: Any, **kwargs: Any) -> Any:
        """As :attr:`graph`."""
        return self.graph

    def get_debug_state(self) -> Any:
        """NotImplementedError: there is no executor of scripts."""
        return not_implemented("torch.jit executors' states", "set JTORCH_LOG=trace to see what runs")

    def save(self, f: Any, **kwargs: Any) -> None:
        """As ``torch.jit.save``."""
        _saver()(self, f)

    def __get__(self, obj: Any, objtype: Any = None) -> Any:
        return self if obj is None else functools.partial(self, obj)


def _source(fn: Any) -> str:
    code = getattr(fn, "code", None)  # of a recorded program
    if isinstance(code, str):
        return code
    try:
        return inspect.getsource(fn)
    except (OSError, TypeError):
        return f"# {fn!r}: its source is not at hand\n"


def graph_of(fn: Any) -> Any:
    """The graph of a recorded program."""
    found = getattr(fn, "graph", None)
    return found if found is not None else not_implemented("torch.jit graphs of scripted code", "torch.fx.symbolic_trace gives a graph")



class ScriptModule(Module):
    """The base of scripted modules; a subclass of one's own marks methods with ``script_method``."""

    @property
    def original_name(self) -> str:
        """The name of the class that was scripted."""
        return type(self).__name__

    @property
    def code(self) -> str:
        """The source of ``forward``."""
        return _source(self._python().forward)

    @property
    def graph(self) -> Any:
        """What a trace recorded. NotImplementedError of a scripted module: there is no graph of it."""
        return graph_of(self._python())

    inlined_graph = graph

    def _python(self) -> Any:
        return self

    def save(self, f: Any, **kwargs: Any) -> None:
        """As ``torch.jit.save``."""
        _saver()(self, f, **kwargs)

    def save_to_buffer(self, *args: Any, **kwargs: Any) -> bytes:
        """The bytes of the file that :meth:`save` writes."""
        import io

        buffer = io.BytesIO()
        self.save(buffer)
        return buffer.getvalue()

    def get_debug_state(self, *args: Any, **kwargs: Any) -> Any:
        """NotImplementedError: there is no executor of scripts."""
        return not_implemented("torch.jit executors' states", "set JTORCH_LOG=trace to see what runs")


# What a scripted module keeps as its own; everything else is the Python module's.
_OWN = frozenset(("_model", "_parameters", "_buffers", "_modules"))
_CONSTANTS = (int, float, bool, str, complex, type(None), list, tuple, dict, Tensor, enum.Enum)


class RecursiveScriptModule(ScriptModule):
    """A module that was scripted. It shares parameters and buffers with the original, and has flags, hooks and children of its own.

    ``_model`` is the Python module that runs: a copy of the original whose registries are this object's.
    """

    def __init__(self, model: Module) -> None:
        twin = _twin(model)
        held = self.__dict__
        for name, value in twin.__dict__.items():  # hooks and the like are the same objects
            if name.startswith("_") and isinstance(value, (dict, set)):
                held[name] = value
        for name in ("training", "_is_full_backward_hook"):
            held[name] = twin.__dict__.get(name)
        held["_model"] = twin
        held["_modules"] = OrderedDict((name, None if child is None else _wrap(child)) for name, child in model._modules.items())
        for name, child in held["_modules"].items():
            twin._modules[name] = None if child is None else child._model
        held["_methods"] = _reachable(type(model))  # type: ignore[arg-type]

    def _python(self) -> Any:
        return self._model

    @property
    def original_name(self) -> str:
        """The name of the class that was scripted."""
        model = self.__dict__["_model"]
        return getattr(model, "_original_name", None) or type(model).__name__  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"original_name={self.original_name}"

    def _get_name(self) -> str:
        return "RecursiveScriptModule"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The Python module's, whose hooks this object's call has run."""
        return self.__dict__["_model"].forward(*args, **kwargs)

    def forward_magic_method(self, method_name: str, *args: Any, **kwargs: Any) -> Any:
        """A special method of the Python module. NotImplementedError if it has none."""
        found = getattr(type(self._model), method_name, None)
        if found is None or found is getattr(Module, method_name, None):
            raise NotImplementedError
        return found(self._model, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in held.get(kind, ()):
                return held[kind][name]
        model = held.get("_model")
        if model is not None:
            plain = model.__dict__
            if name in plain and (isinstance(plain[name], _CONSTANTS) or callable(plain[name])):
                return plain[name]
            found = inspect.getattr_static(type(model), name, None)
            if found is not None:
                if isinstance(found, property) or not callable(getattr(found, "__func__", found)):
                    return getattr(model, name)
                if name in held.get("_methods", ()) or modifier_of(found) in _SEEN:
                    return getattr(model, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        model = self.__dict__.get("_model")
        if model is not None and name not in _OWN:
            constants = getattr(type(model), "__constants__", ())
            if name in constants or name in _finals(type(model)):
                if name in model.__dict__ and name not in self._parameters:
                    raise RuntimeError(f"Can't set constant '{name}' which has value:{model.__dict__[name]}")
            if name == "training":
                self.__dict__["training"] = model.__dict__["training"] = value
                return
            if name in model.__dict__ and not isinstance(value, (Module, Tensor)):
                setattr(model, name, value)
                return
        super().__setattr__(name, value)

    def __copy__(self) -> RecursiveScriptModule:
        return type(self)(self._model)

    def __deepcopy__(self, memo: Any) -> RecursiveScriptModule:
        made = memo.get(id(self))
        if made is None:
            made = memo[id(self)] = type(self)(copy.deepcopy(self._model, memo))
        return made  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError(f"Tried to serialize object __torch__.{self.original_name} which does not have a __getstate__ method defined!")

    def train(self, mode: bool = True) -> Any:
        """As a module's, for the modules that run too."""
        super().train(mode)
        self._model.__dict__["training"] = mode
        return self


_SEEN = (FunctionModifiers.EXPORT, FunctionModifiers.IGNORE, FunctionModifiers.COPY_TO_SCRIPT_WRAPPER)


def _magic(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.forward_magic_method(name, *args, **kwargs)

    return method


for _name in ("__iter__", "__len__", "__neg__", "__mul__", "__contains__", "__add__", "__sub__", "__pow__", "__truediv__", "__mod__", "__ne__", "__lt__",
              "__gt__", "__le__", "__ge__", "__and__", "__or__", "__xor__", "__getitem__", "__setitem__", "__int__", "__float__"):  # fmt: skip
    setattr(RecursiveScriptModule, _name, _magic(_name))


def _no_hooks(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{name} is not supported on ScriptModules")

    return method


for _name in ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook", "register_full_backward_pre_hook", "register_backward_hook"):
    setattr(RecursiveScriptModule, _name, _no_hooks(_name))


def _bool(self: Any) -> bool:
    return True


RecursiveScriptModule.__bool__ = _bool  # type: ignore[attr-defined]
RecursiveScriptModule.__module__ = "torch.jit._script"
RecursiveScriptModule.__eq__ = object.__eq__  # type: ignore[method-assign,assignment]
RecursiveScriptModule.__hash__ = object.__hash__  # type: ignore[method-assign,assignment]


def _twin(model: Module) -> Module:
    """A module of the same class, with the same parameters and buffers in registries of its own."""
    twin = object.__new__(type(model))
    held: dict[str, Any] = {}
    for name, value in model.__dict__.items():
        held[name] = value.copy() if name.startswith("_") and type(value) in (dict, OrderedDict, set) else value
    object.__setattr__(twin, "__dict__", held)
    return twin


def _finals(cls: type) -> set[str]:
    return {name for c in cls.__mro__ for name, kind in inspect.get_annotations(c).items() if "Final" in str(kind)}


@functools.cache
def _reachable(cls: type) -> frozenset[str]:
    """The methods that forward and the exported ones call."""
    todo = ["forward", *(n for n in dir(cls) if modifier_of(inspect.getattr_static(cls, n)) == FunctionModifiers.EXPORT)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        fn = inspect.getattr_static(cls, name, None)
        code = getattr(getattr(fn, "__func__", fn), "__code__", None)
        if name in found or code is None:
            continue
        found.add(name)
        todo += [n for n in code.co_names if n not in found and not n.startswith("__")]
    own = set(dir(Module)) - {"forward"}
    return frozenset(found - own)


def _wrap(model: Any) -> Any:
    return model if isinstance(model, RecursiveScriptModule) else RecursiveScriptModule(model) if not isinstance(model, ScriptModule) else _wrap_own(model)


def _wrap_own(model: ScriptModule) -> Any:
    return model


_WARNED = "`torch.jit.script` is deprecated. Please switch to `torch.compile` or `torch.export`."


def script(obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> Any:
    """``obj`` as a scripted module or function: it runs as the Python it is. Classes and ScriptModules come back as they are.

    TypeError for what is no module, function or class.
    """
    if optimize is not None:
        warnings.warn("`optimize` is deprecated and has no effect. Use `with torch.jit.optimized_execution()` instead", FutureWarning, stacklevel=2)
    if isinstance(obj, (ScriptModule, ScriptFunction)):
        return obj
    if isinstance(obj, Module):
        if hasattr(obj, "__prepare_scriptable__"):
            obj = obj.__prepare_scriptable__()
        return _wrap(obj)
    if isinstance(obj, (list, dict)):
        return obj
    if inspect.isclass(obj):
        if issubclass(obj, Module):
            raise RuntimeError(f"Type '{obj}' cannot be compiled since it inherits from nn.Module, consider passing an instance instead")
        return obj
    if inspect.isfunction(obj) or inspect.ismethod(obj):
        return ScriptFunction(obj)
    if callable(obj):
        return ScriptFunction(obj.__call__, type(obj).__name__)
    raise TypeError(f"{type(obj)} is a built-in class" if type(obj).__module__ == "builtins" else f"Could not get source of {obj!r}")


def script_method(fn: Any) -> Any:
    """A method of a ScriptModule of one's own."""
    return fn


def create_script_module(nn_module: Any, stubs_fn: Any = None, share_types: bool = True, is_tracing: bool = False) -> Any:
    """``script`` of a module."""
    return script(nn_module)


class CompilationUnit:
    """Functions given as source."""

    def __init__(self, lang: str | None = None, _frames_up: int = 0) -> None:
        self._functions: dict[str, ScriptFunction] = {}
        if lang is not None:
            self.define(lang)

    def define(self, lang: str, rcb: Any = None, _frames_up: int = 0) -> None:
        """Add the functions of a source."""
        import textwrap
        import typing

        from jtorch._public import torch

        space: dict[str, Any] = {"torch": torch, "Tensor": Tensor, **{n: getattr(typing, n) for n in ("List", "Dict", "Optional", "Tuple", "Union", "Any")}}
        before = set(space)
        exec(compile(textwrap.dedent(lang), "<torch.jit.CompilationUnit>", "exec"), space)
        self._functions.update({n: ScriptFunction(f) for n, f in space.items() if n not in before and inspect.isfunction(f)})

    def __getattr__(self, attr: str) -> Any:
        found = self.__dict__.get("_functions", {}).get(attr)
        if found is None:
            raise AttributeError(f"'CompilationUnit' has no attribute '{attr}'")
        return found

    def get_functions(self) -> list[ScriptFunction]:
        return list(self._functions.values())


def freeze(mod: Any, preserved_attrs: list[str] | None = None, optimize_numerics: bool = True) -> Any:
    """A scripted module in eval mode whose parameters are constants: no parameters, no state. RuntimeError for other modules."""
    if not isinstance(mod, ScriptModule):
        raise RuntimeError("Freezing expects a ScriptModule as input. Please use torch.jit.script or torch.jit.trace to script your 'nn.Module'.")
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before freezing.")
    return _Frozen(mod, preserved_attrs or [])


def _constant(mod: Any) -> Any:
    """The same module on the same memory, whose parameters take no gradients."""
    if type(mod) is not RecursiveScriptModule:
        made = copy.deepcopy(mod)
        for p in made.parameters():
            p.requires_grad_(False)
        return made
    made = RecursiveScriptModule(mod._model)
    for module in made.modules():
        for name, value in list(module._parameters.items()):
            if value is not None:
                module._parameters[name] = Parameter(value.detach(), requires_grad=False)
    return made


class _Frozen(RecursiveScriptModule):
    """A module that shows nothing of its state."""

    def __init__(self, mod: Any, preserved: list[str]) -> None:
        Module.__init__(self)
        inner = _constant(mod)
        self.__dict__.update(_inner=inner, _preserved=preserved, training=False, _model=inner._python(), _methods=frozenset())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_inner"](*args, **kwargs)

    def train(self, mode: bool = True) -> Any:
        self.__dict__["training"] = mode
        return self

    def __getattr__(self, name: str) -> Any:
        model = self.__dict__.get("_model")
        if name in self.__dict__.get("_preserved", ()) or (model is not None and name in getattr(type(model), "__constants__", ())):
            return getattr(self.__dict__["_inner"], name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __deepcopy__(self, memo: Any) -> _Frozen:
        return _Frozen(self.__dict__["_inner"], self._preserved)


_Frozen.__name__ = _Frozen.__qualname__ = "RecursiveScriptModule"
_Frozen.__module__ = "torch.jit._script"


def run_frozen_optimizations(mod: Any, optimize_numerics: bool = True, preserved_methods: list[str] | None = None) -> None:
    """Nothing: XLA does it when the program is compiled."""


def optimize_for_inference(mod: Any, other_methods: list[str] | None = None) -> Any:
    """A frozen module; XLA does the rest. RuntimeError for a module that isn't scripted."""
    if not isinstance(mod, ScriptModule):
        raise RuntimeError("optimize_for_inference expects a ScriptModule as input. Please use torch.jit.script or torch.jit.trace to script your 'nn.Module'.")
    return mod if isinstance(mod, _Frozen) or not hasattr(mod, "training") else freeze(mod.eval(), other_methods)


