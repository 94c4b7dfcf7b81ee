"""Tracing: a function or module is run once with proxies, and what it did to them is the graph."""

from __future__ import annotations

import builtins
import collections
import contextlib
import copy
import functools
import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch
from jtorch.nn.modules.container import Sequential
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter
from jtorch.utils import _pytree as pytree

from ._compatibility import compatibility
from ._lazy_graph_module import _LazyGraphModule, _make_graph_module
from ._naming import as_torch
from ._wrap import _wrapped_fns_to_patch as _wrapped_fns_to_patch
from ._wrap import wrap as wrap
from .graph import Graph, _PyTreeCodeGen, _PyTreeInfo
from .graph_module import GraphModule, from_above
from .node import Argument, base_types, map_aggregate
from .proxy import ParameterProxy, Proxy, Scope, ScopeContextManager, TracerBase

__all__ = ["PH", "PHBase", "PHWithMeta", "ProxyableClassMeta", "Tracer", "symbolic_trace", "wrap"]

HAS_VARSTUFF = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
_orig_module_call = Module.__call__
_orig_module_getattr = Module.__getattr__
_proxyable_classes: dict[type, None] = {}
_is_fx_tracing_flag = False


def is_fx_tracing() -> bool:
    """Whether something is being traced."""
    return _is_fx_tracing_flag


is_fx_symbolic_tracing = is_fx_tracing


class ProxyableClassMeta(type):
    """The metaclass of classes whose making is recorded when proxies take part."""

    def __init__(cls, name: str, bases: Any, attrs: Any) -> None:
        _proxyable_classes.setdefault(cls)
        super().__init__(name, bases, attrs)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = cls.__new__(cls)  # type: ignore[call-overload]
        found = _find_proxy(args, kwargs) if _is_fx_tracing_flag else None
        if found is not None:
            return found.tracer.create_proxy("call_function", cls, args, kwargs)
        cls.__init__(instance, *args, **kwargs)  # type: ignore[misc]
        return instance


def _patch_function(fn: Any, nargs: int) -> FunctionType:
    """The same function, whose parameters of all kinds are ``nargs`` positional ones."""
    code = fn.__code__.replace(co_argcount=nargs, co_posonlyargcount=0, co_kwonlyargcount=0, co_flags=fn.__code__.co_flags & ~HAS_VARSTUFF)
    return FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)


def _annotation(fn: Any, name: str) -> Any:
    """The type that a function says of a parameter or its result. torch.nn's own say as much as torch's: that something is a tensor, or nothing."""
    said = getattr(fn, "__annotations__", {}).get(name)
    if not isinstance(said, str) or not as_torch(fn.__module__ or "").startswith("torch."):
        return said
    return Tensor if said == "Tensor" else None


class PHBase:
    """A leaf of ``concrete_args`` that stays an input."""

    def __repr__(self) -> str:
        return "PH"


PH = PHBase()


class PHWithMeta(PHBase):
    """A PH whose attributes go to the input's node."""

    def __init__(self, ph_key: str | None = None) -> None:
        self.ph_key = ph_key


def _transfer_attrs(fr: Any, to: Any) -> None:
    for name in dir(fr):
        value = getattr(fr, name)
        if not callable(value) and not name.startswith("__") and not hasattr(to, name):
            setattr(to, name, value)


@compatibility(is_backward_compatible=True)
class Tracer(TracerBase):
    """Traces modules and functions. Subclasses say which modules stay whole (``is_leaf_module``), and what else they do otherwise."""

    _qualname_counter: dict[str, int] = collections.defaultdict(int)

    @compatibility(is_backward_compatible=True)
    def __init__(
        self, autowrap_modules: tuple[ModuleType, ...] = (math,), autowrap_functions: tuple[Callable[..., Any], ...] = (), param_shapes_constant: bool = False
    ) -> None:
        self._autowrap_function_ids = {
            id(value) for module in autowrap_modules for name, value in vars(module).items() if not name.startswith("_") and callable(value)
        } | {id(f) for f in autowrap_functions}
        self._autowrap_search = list(autowrap_modules)
        self.param_shapes_constant = param_shapes_constant
        self.submodule_paths: dict[Any, str] | None = None
        self.root_module_name = ""
        self.scope = Scope("", None)
        self.module_stack = collections.OrderedDict()
        self.num_calls: dict[str, int] = {}
        self.node_name_to_scope = {}

    @compatibility(is_backward_compatible=True)
    def get_fresh_qualname(self, prefix: str) -> str:
        """A name with this beginning that the root has no attribute of."""
        if not hasattr(self.root, f"{prefix}0"):
            self._qualname_counter[prefix] = 0
            return f"{prefix}0"
        for i in itertools.count(self._qualname_counter[prefix]):
            if not hasattr(self.root, f"{prefix}{i}"):
                self._qualname_counter[prefix] = i + 1
                return f"{prefix}{i}"
        raise AssertionError

    @compatibility(is_backward_compatible=True)
    def create_arg(self, a: Any) -> Argument:
        """As the base's; parameters, buffers, modules and other tensors become attributes of the root. NameError for a parameter of somebody else."""
        members: Any = None
        if isinstance(a, Parameter):
            members = self.root.named_parameters()
        elif isinstance(a, Tensor):
            members = self.root.named_buffers()
        elif isinstance(a, Module):
            members = self.root.named_modules()
        for name, member in members or ():
            if member is a:
                return self.create_node("get_attr", name, (), {})
        if isinstance(a, Parameter):
            raise NameError("parameter is not a member of this module")
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return self.create_node("call_function", a.__class__, tuple(self.create_arg(x) for x in a), {})
        if isinstance(a, (Tensor, pytree.TreeSpec)):
            name = self.tensor_attrs.get(a)
            if not name:
                name = self.get_fresh_qualname("_tensor_constant" if isinstance(a, Tensor) else "_tree_spec_constant")
                self.tensor_attrs[a] = name
                setattr(self.root, name, a)
            return self.create_node("get_attr", name, (), {})
        if type(a) in _proxyable_classes:
            name = self.get_fresh_qualname(f"_{a.__class__.__name__}_constant_")
            setattr(self.root, name, a)
            return self.create_node("get_attr", name, (), {})
        return super().create_arg(a)

    @compatibility(is_backward_compatible=True)
    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        """Whether a module's call is one node: those of torch.nn but Sequential."""
        return as_torch(m.__module__).startswith(("torch.nn", "torch.ao.nn")) and not isinstance(m, Sequential)

    @compatibility(is_backward_compatible=True)
    def path_of_module(self, mod: Any) -> str:
        """Where a module is below the root. NameError if it isn't."""
        if self.submodule_paths:
            path = self.submodule_paths.get(mod)
        else:
            path = next((name for name, module in self.root.named_modules() if module is mod), None)
        if path is None:
            raise NameError("module is not installed as a submodule")
        return path

    @compatibility(is_backward_compatible=True)
    def call_module(self, m: Any, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A module's call: a node if it is a leaf, else what ``forward`` records."""
        path = self.path_of_module(m)
        with ScopeContextManager(self.scope, Scope(path, type(m))) as scope:
            calls = self.num_calls.get(path, 0)
            key = f"{scope.module_path}@{calls}" if calls > 0 else scope.module_path
            self.module_stack[key] = (path, scope.module_type)
            self.num_calls[path] = calls + 1
            result = forward(*args, **kwargs) if not self.is_leaf_module(m, path) else self.create_proxy("call_module", path, args, kwargs)
            left, _ = self.module_stack.popitem(last=True)
            assert left == key, f"Unexpected key {left}, expected {key}"
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Proxy]) -> Any:
        """What reading an attribute of a module gives: for parameters a proxy, one for each."""
        wanted: Any = ()
        if isinstance(attr_val, Parameter):
            wanted = self.root.named_parameters()
        elif self.proxy_buffer_attributes and isinstance(attr_val, Tensor):
            wanted = self.root.named_buffers()
        for name, member in wanted:
            if member is attr_val:
                if name not in parameter_proxy_cache:
                    extra: dict[str, Any] = {}
                    if self.param_shapes_constant and "proxy_factory_fn" in inspect.signature(self.create_proxy).parameters:
                        extra["proxy_factory_fn"] = lambda node: ParameterProxy(self, node, name, attr_val)
                    parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {}, **extra)
                return parameter_proxy_cache[name]
        return attr_val

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """The function to call and the proxies to call it with."""
        analysed = inspect.unwrap(root_fn)
        code = analysed.__code__
        total = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames)
        args: list[Any] = []
        if is_module:
            if total == 0:
                raise RuntimeError("``self`` argument cannot be part of *args expansion!")
            args.append(self.root)
        first = len(args)
        if isinstance(concrete_args, tuple) and concrete_args and code.co_flags & HAS_VARSTUFF and total == 1:
            for i, given in enumerate(concrete_args):
                made = self.create_proxy("placeholder", f"input_{i}", (), {})
                if isinstance(given, PHBase) and given is not PH:
                    _transfer_attrs(given, made.node)
                args.append(made)
            return root_fn, args
        signature = inspect.signature(analysed)
        asked = names[first:total]
        if isinstance(concrete_args, tuple):
            if len(asked) != len(concrete_args):
                raise RuntimeError(f"Tracing expected {len(asked)} arguments but got {len(concrete_args)} concrete arguments")
            concrete_args = dict(zip(asked, concrete_args, strict=True))
        placeholder = lambda name: self._proxy_placeholder(name, concrete_args, signature, analysed)
        args += [placeholder(name) for name in asked]
        if code.co_kwonlyargcount > 0 or code.co_flags & HAS_VARSTUFF:
            rest = iter(names[total:])
            if code.co_flags & inspect.CO_VARARGS:
                args.append(placeholder("*" + next(rest)))
            if code.co_flags & inspect.CO_VARKEYWORDS:
                args.append(placeholder("**" + next(rest)))
            root_fn = _patch_function(root_fn, len(args))
        flat, in_spec = pytree.tree_flatten(tuple(args))
        if all(child.is_leaf() for child in in_spec.children()):
            return root_fn, args
        self.graph._codegen = _PyTreeCodeGen(_PyTreeInfo(names[:total], in_spec, None))

        def flatten_fn(*leaves: Any) -> Any:
            result, out_spec = pytree.tree_flatten(root_fn(*pytree.tree_unflatten(list(leaves), in_spec)))
            self.graph._codegen.pytree_info = self.graph._codegen.pytree_info._replace(out_spec=out_spec)  # type: ignore[attr-defined]
            return result

        return flatten_fn, flat

    @compatibility(is_backward_compatible=True)
    def trace(self, root: Any, concrete_args: Any = None) -> Graph:
        """The graph of a module's forward or of a function. ``concrete_args`` fixes arguments by name; :data:`PH` in them stays an input."""
        global _is_fx_tracing_flag
        before, _is_fx_tracing_flag = _is_fx_tracing_flag, True
        try:
            return self._trace(root, concrete_args)
        finally:
            _is_fx_tracing_flag = before

    def _trace(self, root: Any, concrete_args: Any) -> Graph:
        if isinstance(root, Module):
            _LazyGraphModule.force_recompile(root)  # type: ignore[arg-type]
            self.root = root
            assert hasattr(type(root), self.traced_func_name), f"traced_func_name={self.traced_func_name} doesn't exist in {type(root).__name__}"
            fn = getattr(type(root), self.traced_func_name)
            self.root_module_name = root._get_name()
            self.submodule_paths = {mod: name for name, mod in root.named_modules()}
        else:
            self.root, fn = Module(), root
        self.graph = Graph(tracer_cls=getattr(self, "__class__", None))
        if hasattr(fn, "__code__"):
            self.graph._co_fields = {name: getattr(fn.__code__, name) for name in ("co_name", "co_filename", "co_firstlineno")}
        self.tensor_attrs: dict[Any, str] = {}
        self._collect(self.root, [])
        assert isinstance(fn, FunctionType), f"Expected FunctionType, got {type(fn)}"
        fn_globals = fn.__globals__
        call, args = self.create_args_for_root(fn, isinstance(root, Module), concrete_args)
        cache: dict[str, Proxy] = {}

        @functools.wraps(_orig_module_getattr)
        def module_getattr(mod: Any, attr: str) -> Any:
            return self.getattr(attr, _orig_module_getattr(mod, attr), cache)

        @functools.wraps(_orig_module_call)
        def module_call(mod: Any, *args: Any, **kwargs: Any) -> Any:
            _autowrap_check(patcher, getattr(getattr(mod, "forward", mod), "__globals__", {}), self._autowrap_function_ids)
            return self.call_module(mod, lambda *a, **k: _orig_module_call(mod, *a, **k), args, kwargs)

        with _new_patcher() as patcher:
            patcher.patch_method(Module, "__getattr__", module_getattr, deduplicate=False)
            patcher.patch_method(Module, "__call__", module_call, deduplicate=False)
            _patch_wrapped_functions(patcher)
            _autowrap_check(patcher, fn_globals, self._autowrap_function_ids)
            for module in self._autowrap_search:
                _autowrap_check(patcher, vars(module), self._autowrap_function_ids)
            self.create_node("output", "output", (self.create_arg(call(*args)),), {}, type_expr=_annotation(inspect.unwrap(fn), "return"))
        self.submodule_paths = None
        return self.graph

    def _collect(self, module: Any, path: list[str]) -> None:
        for name, value in vars(module).items():
            if isinstance(value, (Tensor, pytree.TreeSpec)):
                self.tensor_attrs[value] = ".".join([*path, name])
        for name, child in module.named_children():
            self._collect(child, [*path, name])

    def __deepcopy__(self, memo: dict[int, Any]) -> Tracer:
        twin = Tracer.__new__(Tracer)
        for key, value in self.__dict__.items():
            twin.__dict__[key] = copy.copy(value) if key == "_autowrap_search" else copy.deepcopy(value, memo)  # modules can't be copied
        return twin

    def _proxy_placeholder(self, name: str, concrete_args: dict[str, Any] | None, sig: inspect.Signature, fn_for_analysis: Any) -> Any:
        default: tuple[Any, ...] = ()
        if name[0] != "*" and sig.parameters[name].default is not inspect.Parameter.empty:
            default = (sig.parameters[name].default,)
        if concrete_args is None or name not in concrete_args:
            return self.create_proxy("placeholder", name, default, {}, type_expr=_annotation(fn_for_analysis, name))
        count = itertools.count(1)

        def fixed(x: Any) -> Any:
            made = self.create_proxy("placeholder", f"{name}_{next(count)}", default, {})
            if isinstance(x, PHBase):
                if x is not PH:
                    _transfer_attrs(x, made.node)
                return made
            if type(x) is bool or (type(x) in base_types and type(x) is not Tensor):
                message = f"{name} has been specialized to have value {x} but got another value"
                self.create_proxy("call_function", torch._assert, (made == x, message), {})
            elif x is None:
                self.create_proxy("call_function", _assert_is_none, (made, f"{name} has been specialized to have value None but got another value"), {})
            else:
                warnings.warn(
                    f"Was not able to add assertion to guarantee correct input {name} to specialized function. It is up to the user to make sure that your "
                    "inputs match the inputs you specialized the function with."
                )
            return x

        return pytree.tree_map(fixed, concrete_args[name])


_wrapped_methods_to_patch: list[tuple[type, str]] = []


def _find_proxy(*objects_to_search: Any) -> Any:
    found = None

    def look(x: Any) -> None:
        nonlocal found
        if isinstance(x, Proxy):
            found = x

    map_aggregate(objects_to_search, look)
    return found


def _create_wrapped_func(orig_fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(orig_fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        proxy = _find_proxy(args, kwargs)
        if proxy is None:
            return orig_fn(*args, **kwargs)
        made = proxy.tracer.create_proxy("call_function", orig_fn, args, kwargs)
        made.node.meta["is_wrapped"] = True
        return made

    return wrapped


def _create_wrapped_method(cls: type, name: str) -> Callable[..., Any]:
    orig_fn = getattr(cls, name)

    @functools.wraps(orig_fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        proxy = _find_proxy(args, kwargs)
        return orig_fn(*args, **kwargs) if proxy is None else proxy.tracer.create_proxy("call_method", name, args, kwargs)

    return wrapped


_MISSING = object()


class _Patcher:
    """Replaces functions for a while: entries of globals, and methods of classes."""

    def __init__(self) -> None:
        self.patches_made: list[tuple[Any, str, Any, Any]] = []
        self.visited: set[int] = set()

    @staticmethod
    def _put(where: Any, name: str, value: Any) -> None:
        if isinstance(where, type):
            setattr(where, name, value)
        elif value is _MISSING:
            del where[name]
        else:
            where[name] = value

    def _add(self, where: Any, name: str, old: Any, new: Any, deduplicate: bool) -> None:
        new.__fx_already_patched = deduplicate
        if getattr(old, "__fx_already_patched", False):
            return
        self.patches_made.append((where, name, old, new))
        self._put(where, name, new)

    def patch(self, frame_dict: dict[str, Any], name: str, new_fn: Any, deduplicate: bool = True) -> None:
        """Put a function into globals; a builtin's name is added to them."""
        missing = name not in frame_dict and hasattr(builtins, name)
        self._add(frame_dict, name, _MISSING if missing else frame_dict[name], new_fn, deduplicate)

    def patch_method(self, cls: type, name: str, new_fn: Any, deduplicate: bool = True) -> None:
        """Put a method into a class."""
        self._add(cls, name, getattr(cls, name), new_fn, deduplicate)

    def visit_once(self, thing: Any) -> bool:
        """True the first time."""
        seen = id(thing) in self.visited
        self.visited.add(id(thing))
        return not seen

    def revert_all_patches(self) -> list[Any]:
        """Put the originals back, and keep in mind what was done."""
        for where, name, old, _ in reversed(self.patches_made):
            self._put(where, name, old)
        return self.patches_made

    def reapply_all_patches(self) -> list[Any]:
        """Do again what :meth:`revert_all_patches` undid."""
        for where, name, _, new in self.patches_made:
            self._put(where, name, new)
        return self.patches_made


CURRENT_PATCHER: _Patcher | None = None


@contextlib.contextmanager
def _new_patcher() -> Iterator[_Patcher]:
    global CURRENT_PATCHER
    prior, CURRENT_PATCHER = CURRENT_PATCHER, _Patcher()
    mine = CURRENT_PATCHER
    try:
        yield mine
    finally:
        mine.revert_all_patches()
        CURRENT_PATCHER = prior


@contextlib.contextmanager
def _maybe_revert_all_patches() -> Iterator[None]:
    """Inside, nothing is replaced."""
    current = CURRENT_PATCHER
    if current is not None:
        current.revert_all_patches()
    try:
        yield
    finally:
        if current is not None:
            current.reapply_all_patches()


def _patch_wrapped_functions(patcher: _Patcher) -> None:
    for (_, name), frame_dict in list(_wrapped_fns_to_patch.items()):
        original = getattr(builtins, name) if name not in frame_dict and hasattr(builtins, name) else frame_dict[name]
        patcher.patch(frame_dict, name, _create_wrapped_func(original))
    for cls, name in _wrapped_methods_to_patch:
        patcher.patch_method(cls, name, _create_wrapped_method(cls, name))


def _autowrap_check(patcher: _Patcher, frame_dict: dict[str, Any], function_ids: set[int]) -> None:
    if patcher.visit_once(frame_dict):
        for name, value in list(frame_dict.items()):
            if not name.startswith("_") and callable(value) and id(value) in function_ids:
                patcher.patch(frame_dict, name, _create_wrapped_func(value))


@compatibility(is_backward_compatible=True)
def symbolic_trace(root: Any, concrete_args: Any = None) -> GraphModule:
    """A GraphModule that does what ``root``, a module or a function, does. ``concrete_args`` fixes arguments by name."""
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    return _make_graph_module(tracer.root, graph, root.__class__.__name__ if isinstance(root, Module) else root.__name__)


@wrap
def _assert_is_none(value: Any, msg: str) -> None:
    assert value is None, msg


from_above.tracer = Tracer
