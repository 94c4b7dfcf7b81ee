"""``torch.compile`` and ``torch.compiler``: calls that are watched once and replayed without their Python (``_compile/``).

Where a call cannot be replayed (a value is looked at, code that cannot be followed), the Python runs as it always does, and what it records is compiled as everywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from jtorch._compile.errors import BackendCompilerFailed
from jtorch._compile.functions import CompiledFunction, stance
from jtorch._compile.options import check_mode, check_options
from jtorch._core.dispatch import sizes
from jtorch._engine.keeping import store
from jtorch._engine.recording.trace import flush
from jtorch._engine.recording.undo import Mark
from jtorch._engine.values.thread_state import state
from jtorch._errors import not_implemented
from jtorch._install import loaded_late
from jtorch._public import torch

__all__ = [
    "compile", "is_compiling", "is_dynamo_compiling", "is_exporting", "disable", "reset", "allow_in_graph", "assume_constant_result", "list_backends",
    "cudagraph_mark_step_begin", "set_stance", "substitute_in_graph", "wrap_numpy", "nonstrict_trace", "config", "keep_portable_guards_unsafe", "keep_tensor_guards_unsafe",
    "nested_compile_region", "set_enable_guard_collectives", "skip_all_guards_unsafe", "skip_guard_on_all_nn_modules_unsafe", "skip_guard_on_globals_unsafe", "skip_guard_on_inbuilt_nn_modules_unsafe",
]  # fmt: skip


class OptimizedModule(torch.nn.Module):  # type: ignore[name-defined,misc]
    """What ``torch.compile(module)`` returns: a module around ``_orig_mod``, which it shows the attributes of."""

    def __init__(self, mod: Any, run: Any = None) -> None:
        super().__init__()
        self._orig_mod = mod
        self.__dict__["_run_compiled"] = mod if run is None else run
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_run_compiled"](*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_run_compiled"](*args, **kwargs)

    def __reduce__(self) -> Any:
        return OptimizedModule, (self._orig_mod,)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_orig_mod", "training") or "_modules" not in self.__dict__ or "_orig_mod" not in self._modules:
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __len__(self) -> int:
        return len(self._orig_mod)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        return self


_every: list[weakref.ref[CompiledFunction]] = []
_EAGER = frozenset(("eager", "eager_noexcept", "eager_debug", "pre_dispatch_eager"))  # capture alone in torch: Python runs


def compile(
    model: Callable[..., Any] | None = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = None, mode: str | None = None,
    options: dict[str, Any] | None = None, name: str | None = None, disable: bool = False, recompile_limit: int | None = None,
    isolate_recompiles: bool = False, shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """A function or module that replays calls of ``model`` without running its Python, as long as all that they depended on is as it was.

    ``dynamic``: one program for all sizes from the second on, or (False) one for each. ``fullgraph``: raise torch._dynamo.exc.Unsupported where a value is looked at or
    something cannot be followed, instead of running the Python. ``backend``: a callable gets an fx GraphModule and example inputs, and what it returns is called; an unknown name
    raises. Without a ``model``, a decorator. ``mode`` and ``options`` change nothing where XLA compiles, and are handed to other backends. RuntimeError for both together,
    and for what torch's own compiler does not have.
    """
    if model is None:

        def decorate(model: Callable[..., Any]) -> Any:
            if model is None:
                raise RuntimeError("Model can't be None")
            return compile(
                model, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable, recompile_limit=recompile_limit
            )  # fmt: skip

        return decorate
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if options and isinstance(options, dict):
        options = {k: v for k, v in options.items() if k not in ("guard_filter_fn", "use_aoti")}  # torch.compile's own
    if backend is None:
        backend = _default[0]
    chosen = _backend(backend)
    if backend == "inductor":
        check_mode(mode)
        check_options(options)
    asked = {**({"mode": mode} if mode and mode != "default" else {}), **({"options": options} if options else {})}
    if disable or getattr(model, "_torchdynamo_disable", False):
        return model
    if isinstance(model, OptimizedModule):
        model = model._orig_mod
    model = getattr(model, "_torchdynamo_orig_callable", model)
    run = _through(model, chosen, asked, recompile_limit) if chosen is not None else _replaying(model, fullgraph, dynamic, recompile_limit, backend in _EAGER)
    if isinstance(model, torch.nn.Module):
        return OptimizedModule(model, run)
    if isinstance(model, type):
        return model
    wrapped = functools.wraps(model)(run) if hasattr(model, "__name__") else run
    wrapped._torchdynamo_orig_callable = model
    return wrapped


def _replaying(model: Any, fullgraph: bool, dynamic: bool | None, limit: int | None, eager: bool) -> Any:
    compiled = CompiledFunction(model, fullgraph, limit)
    call = compiled.__call__
    compiled.exact = dynamic is False
    _every.append(weakref.ref(compiled, _every.remove))
    if dynamic is None:

        def run(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs)
    else:

        def run(*args: Any, **kwargs: Any) -> Any:
            out = model(*args, **kwargs) if stance.value == "force_eager" or not compiled.has(args, kwargs) and dynamic else compiled(*args, **kwargs)
            sizes.pending(dynamic)
            return out

    run._compiled = compiled  # type: ignore[attr-defined]
    return run


def _through(model: Any, backend: Any, asked: dict[str, Any], limit: int | None) -> Any:
    """Calls go through what a backend makes of the graph, as long as all that the graph depended on is as it was: the replay's guards say that. A call that cannot be replayed, or that
    changes what a graph does not (an attribute), or follows values, is made as without a backend."""
    watched = CompiledFunction(model, False, limit)
    watched.exact = True
    made: dict[int, tuple[Any, Any]] = {}  # by the id of a replay, which is kept alive: what the backend gave and what builds the result; None where it is not asked
    _every.append(weakref.ref(watched, _every.remove))

    def run(*args: Any, **kwargs: Any) -> Any:
        found = watched.replay_for(args, kwargs)
        out, first = None, found is None
        if found is None:
            out = watched(*args, **kwargs)
            found = watched.replay_for(args, kwargs)
            if found is None:
                return out
        replay, tensors = found
        known = made.get(id(replay))
        if known is None:
            known = made[id(replay)] = replay, None if replay.does_more() else _graph_for(model, backend, asked, args, kwargs, tensors)
        if known[1] is None:
            return out if first else watched(*args, **kwargs)
        if first and replay.does():
            return out
        fn, build = known[1]
        return build(fn(*tensors))

    run._compiled = watched  # type: ignore[attr-defined]
    return run


def _graph_for(model: Any, backend: Any, asked: dict[str, Any], args: Any, kwargs: Any, tensors: list[Any]) -> Any:
    """What a backend makes of a call's graph, and what builds the call's result. What the call writes and draws while it is traced is undone."""
    from jtorch.jit._trace import graph_of

    flush("asked")
    mark = Mark(False)
    marks, state.undo[:] = list(state.undo), [mark]
    mark.marks = state.undo
    state.trace.marked = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the call has given them
            graph, build = graph_of(model, args, kwargs)
        flush("asked")
    finally:
        state.undo[:] = marks
        mark.undone()
    return _compiled_by(backend, graph, tensors, asked), build


def _compiled_by(backend: Any, graph: Any, tensors: list[Any], asked: dict[str, Any]) -> Any:
    """What a backend makes of a graph; the graph itself where it does nothing, which no backend is asked about. BackendCompilerFailed with what the backend raises."""
    if all(node.op in ("placeholder", "output") for node in graph.graph.nodes):
        return graph.forward
    try:
        return backend(graph, tensors, **asked)
    except Exception as error:
        raise BackendCompilerFailed(f"backend={str(getattr(backend, '__name__', backend))!r} raised:\n{type(error).__name__}: {error}") from error


class InvalidBackend(RuntimeError):
    """A compiler that nobody registered was asked for by name."""

    __module__ = "torch._dynamo.exc"

    def __init__(self, name: str) -> None:
        super().__init__(f"Invalid backend: {name!r}, see `torch._dynamo.list_backends()` for available backends.")


# The names that torch knows without anything installed beside it. XLA compiles for all of them.
_BACKENDS = frozenset((
    "inductor", "cudagraphs", "openxla", "tvm", "eager", "eager_noexcept", "eager_debug", "pre_dispatch_eager", "aot_eager", "aot_eager_decomp_partition",
    "aot_eager_decomp_partition_with_mode", "aot_eager_decomp_partition_crossref", "aot_eager_default_partitioner", "invoke_subgraph", "ts", "dynamo_accuracy_minifier_backend",
    "dynamo_minifier_backend", "relu_compile_error_TESTING_ONLY", "relu_runtime_error_TESTING_ONLY", "relu_accuracy_error_TESTING_ONLY", "non_leaf_compile_error_TESTING_ONLY",
    "test_subclasses", "xla",
))  # fmt: skip
registered: dict[str, Any] = {}  # backends that programs have registered (torch._dynamo.register_backend)
_default: list[Any] = ["inductor"]


def _backend(backend: Any) -> Any:
    """The function behind a backend; None where XLA compiles."""
    if isinstance(backend, str):
        if backend in registered:
            return registered[backend]
        if backend not in _BACKENDS:
            raise InvalidBackend(backend)
        return None
    return backend  # what cannot be called says so where a graph is handed to it, as in torch


def get_default_backend() -> Any:
    """The backend of ``torch.compile`` calls that name none."""
    return _default[0]


def set_default_backend(backend: Any) -> None:
    """Take another backend where none is named; None for torch's own."""
    if backend is not None:
        _backend(backend)
    _default[0] = "inductor" if backend is None else backend


def is_compiling() -> bool:
    """Whether this call is being watched, to be replayed (or exported) from then on. In what is not to be compiled (:func:`disable`) it is not."""
    return (state.observed is not None and not stance.off) or _exporting[0] > 0


def is_dynamo_compiling() -> bool:
    """The same, for ``torch.compile`` alone."""
    return state.observed is not None and not stance.off


_exporting = [0]


def is_exporting() -> bool:
    """Whether ``torch.export`` is at work."""
    return _exporting[0] > 0


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """``fn``, run by Python: a compiled function that calls it runs in Python too. Without ``fn``, a decorator. Not ``recursive``: what it calls may be replayed."""
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    if isinstance(fn, torch.nn.Module):
        fn.forward = disable(fn.forward, recursive, reason=reason)
        return fn
    if isinstance(fn, type):
        return fn
    original = getattr(fn, "_torchdynamo_orig_callable", fn)

    def run(*args: Any, **kwargs: Any) -> Any:
        if state.observed is not None:
            state.observed.stop(f"{getattr(original, '__qualname__', original)} is not to be compiled" + (f": {reason}" if reason else ""), True)
        if not recursive:
            return original(*args, **kwargs)
        stance.off += 1
        try:
            return original(*args, **kwargs)
        finally:
            stance.off -= 1

    wrapped = functools.wraps(original)(run) if hasattr(original, "__name__") else run
    wrapped._torchdynamo_disable = True  # type: ignore[attr-defined]
    return wrapped


def reset() -> None:
    """Forget every replay: functions are watched again when they are called."""
    for ref in list(_every):
        found = ref()
        if found is not None:
            found.reset()


def allow_in_graph(fn: Any) -> Any:
    """``fn`` itself: what it records is in the program in any case."""
    if isinstance(fn, (list, tuple)):
        return [allow_in_graph(f) for f in fn]
    if not callable(fn):
        raise AssertionError("allow_in_graph expects a callable")
    return fn


def nonstrict_trace(traceable_fn: Callable[..., Any]) -> Callable[..., Any]:
    """``traceable_fn`` itself: a program is captured by running Python, inside of it as elsewhere (in torch since 2.15)."""
    return allow_in_graph(traceable_fn)  # type: ignore[no-any-return]


def assume_constant_result(fn: Any) -> Any:
    """``fn`` itself, marked as torch marks it."""
    fn._dynamo_marked_constant = True
    return fn


def substitute_in_graph(original_fn: Any, *, can_constant_fold_through: bool = False, skip_signature_check: bool = False) -> Any:
    return lambda traceable: traceable


def wrap_numpy(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numpy arrays as one of tensors."""

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        def plain(x: Any) -> Any:
            return x.numpy() if isinstance(x, torch.Tensor) else x

        out = fn(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
        return tuple(torch.as_tensor(x) for x in out) if isinstance(out, tuple) else torch.as_tensor(out)

    return run


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """XLA, and what programs have registered."""
    return sorted(["xla", *registered])


def cudagraph_mark_step_begin() -> None:
    """A new step begins: results of the last one may be overwritten. Here they never are, as long as somebody holds them."""


_STANCES = ("default", "force_eager", "eager_on_recompile", "fail_on_recompile", "eager_then_compile", "aot_eager_then_compile")


class set_stance:
    """What compiled functions do from now on, or within a ``with`` or a decorated function: "default", "force_eager", "eager_on_recompile", "fail_on_recompile", "eager_then_compile", "aot_eager_then_compile"."""

    def __init__(self, stance_: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None, **named: Any) -> None:
        wanted = named.pop("stance", stance_)
        if named:
            raise TypeError(f"unexpected keyword argument {next(iter(named))!r}")
        if wanted not in _STANCES:
            raise RuntimeError(f"invalid torch.compile stance 'DynamoStance(stance={wanted!r}, skip_guard_eval_unsafe={skip_guard_eval_unsafe}, backend={force_backend!r})'")
        if wanted != "default" and force_backend is not None:
            raise RuntimeError("non-default stance cannot have force_backend set")
        self.wanted, self.before = wanted, stance.value
        stance.value = wanted

    def __call__(self, fn: Any) -> Any:
        stance.value = self.before
        wanted = self.wanted

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with set_stance(wanted):
                return fn(*args, **kwargs)

        return run

    def __enter__(self) -> None:
        stance.value = self.wanted

    def __exit__(self, *_: object) -> None:
        stance.value = self.before


@contextlib.contextmanager
def _under_export() -> Iterator[None]:
    """Within: ``is_exporting()``."""
    _exporting[0] += 1
    try:
        yield
    finally:
        _exporting[0] -= 1


@dataclasses.dataclass
class CacheInfo:
    """What was saved or loaded: names by kind. All are programs and what was found out about them; the kinds of torch's own compiler are empty."""

    artifacts: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    inductor_artifacts = autotune_artifacts = aot_autograd_artifacts = pgo_artifacts = precompile_artifacts = property(lambda self: [])

    def empty(self) -> bool:
        """Whether there is nothing."""
        return not self.artifacts


def save_cache_artifacts() -> tuple[bytes, CacheInfo] | None:
    """The compiled programs that this process has used, as bytes for :func:`load_cache_artifacts` in another, and what they are. None if there are none, or nothing is kept (``JTORCH_CACHE_DIR``)."""
    taken, keys = store.taken_out()
    return (taken, CacheInfo({"program": [key.hex() for key in keys]})) if keys else None


def load_cache_artifacts(serialized_artifacts: bytes) -> CacheInfo | None:
    """Keep programs that :func:`save_cache_artifacts` gave, so that they are not compiled again. None if it is not that, or nothing is kept. They are machine code: load only what you trust."""
    try:
        keys = store.put_in(serialized_artifacts)
    except ValueError as error:
        warnings.warn(f"cache artifacts are not loaded: {error}", stacklevel=2)
        return None
    return CacheInfo({"program": [key.hex() for key in keys]}) if keys and store.folder() is not None else None


def load_compiled_function(file: Any, *, f_globals: Any = None, external_data: Any = None) -> Any:
    """A compiled function from a file: NotImplementedError."""
    not_implemented("torch.compiler.load_compiled_function", "torch.export.save keeps a program in a file")


def nested_compile_region(fn: Any = None, *, options: Any = None, max_reuse_entries: int = 8, reuse_hash_fn: Any = None) -> Any:
    """``fn``, marked as a part that a compiled function repeats. Equal parts of a trace share one program here whether they are marked or not; ``max_reuse_entries`` and ``reuse_hash_fn`` change
    nothing. Without ``fn``, a decorator. RuntimeError with ``options``, which are an experiment of torch's."""
    if options is not None:
        raise RuntimeError("nested_compile_region config is an experimental feature for testing only.")

    def wrap(func: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        return inner

    return wrap(fn) if fn else wrap


_collectives = [False]


def set_enable_guard_collectives(enabled: bool) -> bool:
    """Whether ranks agree on guards, as it was before. No rank waits for another where programs are compiled here, so that nothing has to be agreed on."""
    before, _collectives[0] = _collectives[0], bool(enabled)
    return before


# What torch.compile(options={"guard_filter_fn": ...}) takes: which guards are kept. All are kept here (the replay's guards cost no more together); the functions tell what torch would keep.


def keep_portable_guards_unsafe(guard_entries: Any) -> list[bool]:
    """Guards of tensors, sizes and the global state alone."""
    return [g.guard_type in ("GLOBAL_STATE", "SHAPE_ENV") or (g.guard_type == "TENSOR_MATCH" and not g.is_global) for g in guard_entries]


def skip_guard_on_inbuilt_nn_modules_unsafe(guard_entries: Any) -> list[bool]:
    """No guards of torch's own modules."""
    return [not g.orig_guard.source.is_unspecialized_builtin_nn_module() for g in guard_entries]


def skip_guard_on_all_nn_modules_unsafe(guard_entries: Any) -> list[bool]:
    """No guards of modules."""
    return [not g.orig_guard.source.is_unspecialized_nn_module() for g in guard_entries]


def keep_tensor_guards_unsafe(guard_entries: Any, keep_parameters: bool = False) -> list[bool]:
    """Guards of tensors alone; of parameters if ``keep_parameters`` is set."""
    return [g.guard_type == "TENSOR_MATCH" and (keep_parameters or not isinstance(g.value, torch.nn.Parameter)) for g in guard_entries]


def skip_guard_on_globals_unsafe(guard_entries: Any) -> list[bool]:
    """No guards of globals."""
    return [not g.is_global for g in guard_entries]


def skip_all_guards_unsafe(guard_entries: Any) -> list[bool]:
    """No guards."""
    return [False for _ in guard_entries]


def __getattr__(name: str) -> Any:
    if name == "config":
        found = importlib.import_module("jtorch.compiler.config")
        loaded_late()
        return found
    raise AttributeError(f"module 'torch.compiler' has no attribute {name!r}")


torch.compile = compile
