"""``torch.fx.experimental.proxy_tensor``: ``make_fx`` runs a function on tensors and gives the graph of the operators of torch's library that it came to."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jtorch import fx
from jtorch._core.storage.shells import is_shell
from jtorch._core.storage.view_steps import read
from jtorch._engine.recording.trace import flush
from jtorch._engine.values.thread_state import state
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.fx._symbolic_trace import PH, Tracer
from jtorch.fx.graph import Graph
from jtorch.fx.graph_module import GraphModule
from jtorch.fx.passes.shape_prop import _extract_tensor_metadata
from jtorch.fx.proxy import GraphAppendingTracer, Proxy
from jtorch.library.offering import MODE_STACK
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter
from jtorch.utils import _pytree as pytree
from jtorch.utils._python_dispatch import TorchDispatchMode

from ._lanes import all_lanes, every_lane, target_for
from ._unseen import Unseen

__all__ = [
    "DecompositionInterpreter", "ProxyTorchDispatchMode", "PythonKeyTracer", "decompose", "disable_proxy_modes_tracing", "dispatch_trace", "fetch_object_proxy", "get_innermost_proxy_mode",
    "get_isolated_graphmodule", "get_proxy_mode", "get_proxy_slot", "get_torch_dispatch_modes", "has_proxy_slot", "make_fx", "maybe_disable_fake_tensor_mode", "set_proxy_slot", "track_tensor",
    "track_tensor_tree", "wrapper_and_args_for_make_fx",
]  # fmt: skip

CURRENT_DECOMPOSITION_TABLE: Mapping[Any, Callable[..., Any]] = {}
_VALUE = (
    "It appears that you're trying to get value out of a tracing tensor with {} - erroring out! It's likely that this is caused by data-dependent control flow or similar.  "
    "It may be possible to trace this with dynamic shapes; try setting tracing_mode='symbolic' in your make_fx call."
)
_NONE = object()


@contextlib.contextmanager
def decompose(decomposition_table: Mapping[Any, Callable[..., Any]] | None) -> Iterator[Mapping[Any, Callable[..., Any]]]:
    """Inside, operators in the table are traced through the functions that do their work."""
    global CURRENT_DECOMPOSITION_TABLE
    before, CURRENT_DECOMPOSITION_TABLE = CURRENT_DECOMPOSITION_TABLE, decomposition_table or {}
    try:
        yield CURRENT_DECOMPOSITION_TABLE
    finally:
        CURRENT_DECOMPOSITION_TABLE = before


def _unseen_of(tracer: Any) -> Unseen:
    table = tracer.tensor_tracker

    def known(value: Any) -> Any:
        found = table.get(id(value))
        return found[1] if found is not None and found[0] is value else None

    def know(value: Any, proxy: Any) -> None:
        table[id(value)] = value, proxy

    return Unseen(tracer, known, know)


class PythonKeyTracer(Tracer):
    """Makes the nodes, and knows which tensor is which node's."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=())  # type: ignore[call-arg]
        self.tensor_tracker: dict[int, tuple[Any, Any]] = {}  # id to (the tensor, kept alive, and its proxy)
        self.unseen = _unseen_of(self)

    def call_module(self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Modules are gone through."""
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """An attribute is what it is."""
        return attr_val

    def create_arg(self, a: Any) -> Any:
        """A parameter becomes an attribute of the graph's module."""
        if isinstance(a, Parameter):
            for name, p in self.root.named_parameters():
                if a is p:
                    return self.create_node("get_attr", name, (), {})
            name = self.get_fresh_qualname("_param_constant")
            setattr(self.root, name, a)
            return self.create_node("get_attr", name, (), {})
        return super().create_arg(a)


def set_proxy_slot(obj: Any, tracer: Any, proxy: Any) -> None:
    """Say that a tensor is a node's; its value, too, which a backward pass puts into other tensors."""
    tracer.tensor_tracker[id(obj)] = obj, proxy
    if not is_shell(obj):
        value = read(obj)
        tracer.tensor_tracker[id(value)] = value, proxy
        value = every_lane(value)
        tracer.tensor_tracker[id(value)] = value, proxy


def get_proxy_slot(obj: Any, tracer: Any, default: Any = _NONE, transform: Callable[[Any], Any] = lambda x: x) -> Any:
    """The proxy of a tensor, ``default`` if it has none. RuntimeError without a default."""
    known = tracer.tensor_tracker.get(id(obj))
    if known is None or known[0] is not obj:
        value = obj if is_shell(obj) else every_lane(read(obj))
        known = tracer.tensor_tracker.get(id(value))
        if known is not None and known[0] is value:
            return transform(known[1])
        if default is _NONE:
            raise RuntimeError(f"{obj} ({type(obj)}, {id(obj)})is not tracked with proxy for {tracer}")
        return default
    return transform(known[1])


def has_proxy_slot(obj: Any, tracer: Any) -> bool:
    """Whether a tensor is a node's."""
    return bool(get_proxy_slot(obj, tracer, None) is not None)


def fetch_object_proxy(tracer: Any, t: Any) -> Any:
    """The proxy of a tensor, or the tensor, which is a constant of the graph then."""
    known = get_proxy_slot(t, tracer, None)
    if known is not None:
        return known
    t = all_lanes(t)
    if not is_shell(t):
        value = read(t)
        if value.trace is not None:  # it was computed since, by what was not shown: the graph would keep what these inputs gave
            tracer.unseen.write(value.trace, [value.pos])
            return get_proxy_slot(t, tracer)
    return t


def track_tensor(tensor: Any, proxy: Any, *, constant: Any = None, tracer: Any = None) -> None:
    """As :func:`set_proxy_slot`, with what the node's ``meta`` tells of the tensor."""
    set_proxy_slot(tensor, tracer, proxy)
    with disable_proxy_modes_tracing():
        proxy.node.meta["tensor_meta"] = _extract_tensor_metadata(all_lanes(tensor))


def track_tensor_tree(inner_res: Any, proxy_res: Any, *, constant: Any = None, tracer: Any = None) -> Any:
    """As :func:`track_tensor`, of the tensors in a result; the result."""
    if isinstance(inner_res, torch.Tensor):
        track_tensor(inner_res, proxy_res, tracer=tracer)
    elif isinstance(inner_res, (tuple, list)):
        for i, part in enumerate(inner_res):
            if isinstance(part, (torch.Tensor, tuple, list)):
                track_tensor_tree(part, proxy_res[i], tracer=tracer)
    elif isinstance(inner_res, dict):
        for key, part in inner_res.items():
            track_tensor_tree(part, proxy_res[key], tracer=tracer)
    return inner_res


def _written(func: Any) -> bool:
    schema = getattr(func, "_schema", None)
    return bool(schema is not None and schema.is_mutable)


class ProxyTorchDispatchMode(TorchDispatchMode):
    """Inside, operators become nodes of a tracer's graph."""

    def __init__(self, tracer: Any, tracing_mode: str = "real", pre_dispatch: bool = False, _allow_fake_constant: bool = False, _error_on_data_dependent_ops: bool = True) -> None:
        super().__init__()
        self.tracer, self.tracing_mode, self.enable_tracing = tracer, tracing_mode, True
        self._error_on_data_dependent_ops = _error_on_data_dependent_ops

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.enable_tracing:
            return func(*args, **kwargs)
        return proxy_call(self, func, False, args, kwargs)

    @classmethod
    def is_infra_mode(cls) -> bool:
        return True


def proxy_call(proxy_mode: ProxyTorchDispatchMode, func: Any, pre_dispatch: bool, args: Any, kwargs: Any) -> Any:
    """Run an operator and write down that it ran."""
    tracer = proxy_mode.tracer
    instead = CURRENT_DECOMPOSITION_TABLE.get(func)
    if instead is not None:
        with proxy_mode:
            found = instead(*args, **kwargs)
        if found is not NotImplemented:
            return found
    packet = func.overloadpacket
    if packet.__name__ in ("_local_scalar_dense", "item", "is_nonzero"):
        if any(has_proxy_slot(t, tracer) for t in args) and proxy_mode._error_on_data_dependent_ops:
            raise RuntimeError(_VALUE.format(func))
        return func(*args, **kwargs)
    given_args, given_kwargs = pytree.tree_map_only(torch.Tensor, lambda t: fetch_object_proxy(tracer, t), (tuple(args), dict(kwargs)))
    node = tracer.create_proxy("call_function", func, given_args, given_kwargs, name=tracer.graph._target_to_str(packet.__name__))
    result = func(*args, **kwargs)
    node.node.target = target_for(func, args, kwargs, result)
    if _written(func) and args and isinstance(args[0], torch.Tensor) and packet.__name__.endswith("_") and not packet.__name__.endswith("__"):
        set_proxy_slot(args[0], tracer, node)  # later uses are of what was written
    return track_tensor_tree(result, node, tracer=tracer)


def _named_like(fn: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The function with ``count`` parameters, whatever it says of its own."""
    names = ", ".join(f"arg{i}" for i in range(count))
    return eval(f"lambda {names}: fn({names})", {"fn": fn})  # type: ignore[no-any-return]


def wrap_key(f: Callable[..., Any], tensors: Any, tracer: Any, pre_dispatch: bool = False) -> Callable[..., Any]:
    """What the tracer calls with proxies: the function on the tensors that they stand for; proxies of its result."""
    flat, _ = pytree.tree_flatten(tensors)

    @functools.wraps(f)
    def wrapped(*proxies: Any) -> Any:
        given, _ = pytree.tree_flatten(proxies)
        for t, proxy in zip(flat, given, strict=True):
            if isinstance(t, torch.Tensor):
                track_tensor(t, proxy, tracer=tracer)
        flush("look")
        before, state.before_run = state.before_run, tracer.unseen.before_run
        try:
            result = f(*tensors)
        finally:
            state.before_run = before
        return pytree.tree_map_only(torch.Tensor, lambda t: fetch_object_proxy(tracer, t), pytree.tree_map_only(tuple, _plain, result, is_leaf=_is_structure))

    return wrapped


def _is_structure(x: Any) -> bool:
    return isinstance(x, tuple) and type(x).__module__ == "torch.return_types"


def _plain(x: Any) -> Any:
    return tuple(x) if _is_structure(x) else x


def dispatch_trace(root: Any, tracer: Any, concrete_args: tuple[Any, ...] | None = None) -> GraphModule:
    """The graph of a function over proxies. As in torch, operators whose results nobody uses stay."""
    graph = tracer.trace(root, concrete_args)
    tracer.unseen.tidied()
    return GraphModule(tracer.root, graph, root.__class__.__name__ if isinstance(root, Module) else root.__name__)


def make_fx(
    f: Callable[..., Any], decomposition_table: Mapping[Any, Callable[..., Any]] | None = None, tracing_mode: str = "real", _allow_non_fake_inputs: bool = False, *,
    pre_dispatch: bool = False, record_module_stack: bool = False, _allow_fake_constant: bool = False, _error_on_data_dependent_ops: bool = True, record_stack_traces: bool = False,
    proxy_module_inputs: bool = False, _disable_torch_fn_metadata_mode: bool = False,
) -> Callable[..., GraphModule]:  # fmt: skip
    """A function that runs ``f`` on its arguments and gives the graph of the operators of torch's library that ran, derivatives included.

    ``decomposition_table``: operators that are traced through functions. ``tracing_mode="fake"`` runs on tensors without values. AssertionError for another mode
    than ``real``, ``fake`` and ``symbolic``; the last, sizes that stay open, is not carried. RuntimeError where the function looks at a value.
    """
    if tracing_mode not in ("real", "fake", "symbolic"):
        raise AssertionError(f"tracing_mode must be one of 'real', 'fake', 'symbolic', got {tracing_mode}")
    if tracing_mode == "symbolic":
        not_implemented('make_fx(tracing_mode="symbolic")', 'use tracing_mode="fake": sizes are numbers here, never symbols')

    @functools.wraps(f)
    def wrapped(*args: Any) -> GraphModule:
        places = pytree.tree_map(lambda _: PH, args)
        code = getattr(inspect.unwrap(f), "__code__", None)
        fn = f if code is not None and not code.co_flags & inspect.CO_VARARGS else _named_like(f, len(places))
        tracer = PythonKeyTracer()
        tracer.root = Module()
        mode = ProxyTorchDispatchMode(tracer, tracing_mode, _error_on_data_dependent_ops=_error_on_data_dependent_ops)
        fakes: Any = contextlib.nullcontext()
        if tracing_mode == "fake":
            from jtorch._private.subclasses.fake_tensor import FakeTensorMode

            fakes = FakeTensorMode(allow_non_fake_inputs=True)
            args = pytree.tree_map_only(torch.Tensor, fakes.from_tensor, args)

        def run(*given: Any) -> Any:
            with fakes, mode:
                return fn(*given)

        target = wrap_key(functools.wraps(fn)(run), args, tracer)
        if isinstance(f, Module):
            tracer_root: Any = f
            tracer.trace = functools.partial(_trace_with, tracer, tracer_root)  # type: ignore[method-assign]
        with decompose(decomposition_table):
            made = dispatch_trace(target, tracer, tuple(places))
        return made

    return wrapped


def _trace_with(tracer: Any, root: Module, fn: Any, concrete_args: Any) -> Graph:
    graph: Graph = Tracer.trace(tracer, fn, concrete_args)
    return graph


def get_torch_dispatch_modes() -> list[Any]:
    """The modes of operators that are on."""
    return list(MODE_STACK)


def get_innermost_proxy_mode() -> Any:
    """The tracing that is running, None where there is none."""
    return next((mode for mode in reversed(MODE_STACK) if isinstance(mode, ProxyTorchDispatchMode)), None)


get_proxy_mode = get_innermost_proxy_mode


@contextlib.contextmanager
def disable_proxy_modes_tracing() -> Iterator[Any]:
    """Inside, nothing is traced."""
    mode = get_innermost_proxy_mode()
    if mode is None:
        yield None
        return
    before, mode.enable_tracing = mode.enable_tracing, False
    try:
        yield mode
    finally:
        mode.enable_tracing = before


@contextlib.contextmanager
def maybe_disable_fake_tensor_mode() -> Iterator[None]:
    """Inside, tensors have values."""
    from jtorch._private.subclasses.fake_tensor import unset_fake_temporarily

    with unset_fake_temporarily():
        yield


class DecompositionInterpreter(fx.Interpreter):
    """Runs a graph and writes a new one, with operators taken apart by a table."""

    def __init__(self, module: GraphModule, new_graph: Graph, decomposition_table: Any = None, **kwargs: Any) -> None:
        super().__init__(module, **kwargs)
        self.new_graph = new_graph
        tracer: Any = GraphAppendingTracer(new_graph)
        tracer.tensor_tracker, tracer.root = {}, module
        tracer.unseen = _unseen_of(tracer)
        self.tracer = tracer
        self.decomposition_table = decomposition_table or {}
        self.mode = ProxyTorchDispatchMode(self.tracer)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """An input of the new graph, too."""
        out = super().placeholder(target, args, kwargs)
        return track_tensor_tree(out, Proxy(self.new_graph.placeholder(target), self.tracer), tracer=self.tracer)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """An attribute of the new graph, too."""
        out = super().get_attr(target, args, kwargs)
        return track_tensor_tree(out, Proxy(self.new_graph.get_attr(target), self.tracer), tracer=self.tracer)

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The result of the new graph, too."""
        out = super().output(target, args, kwargs)
        self.new_graph.output(pytree.tree_map_only(torch.Tensor, lambda t: get_proxy_slot(t, self.tracer, t, lambda p: p.node), out))
        return out

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As of any interpreter."""
        with decompose(self.decomposition_table), self.mode:
            return super().run(*args, **kwargs)


def wrapper_and_args_for_make_fx(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Callable[[list[Any]], Any], list[Any]]:
    """A function of one flat list, as make_fx takes it, and the list."""
    flat, spec = pytree.tree_flatten((args, kwargs))

    def wrapped(flat_args: list[Any]) -> Any:
        a, k = pytree.tree_unflatten(flat_args, spec)
        return func(*a, **k)

    return wrapped, flat


def get_isolated_graphmodule(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], tracing_mode: str = "real", decomposition_table: Any = None) -> GraphModule:
    """The graph of one call, apart from a tracing that is running."""
    wrapped, flat = wrapper_and_args_for_make_fx(func, args, kwargs)
    with disable_proxy_modes_tracing():
        return make_fx(wrapped, decomposition_table, tracing_mode)(flat)
