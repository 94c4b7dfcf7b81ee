"""``torch.compile`` and ``torch.compiler``: loops are compiled as they run, so these keep what they are given.

A function marked for compilation is called as it is: what it records is one program with what surrounds it, whose executable is found again by its
structure. So there are no graph breaks, and nothing to reset.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jtorch._core.dispatch import sizes
from jtorch._public import torch

__all__ = [
    "compile", "is_compiling", "is_dynamo_compiling", "is_exporting", "disable", "reset", "allow_in_graph", "assume_constant_result", "list_backends",
    "cudagraph_mark_step_begin", "set_stance", "substitute_in_graph", "wrap_numpy",
]  # fmt: skip


class OptimizedModule(torch.nn.Module):  # type: ignore[name-defined,misc]
    """What ``torch.compile(module)`` returns: a module around ``_orig_mod``, which it shows the attributes of."""

    def __init__(self, mod: Any, dynamic: bool | None = None) -> None:
        super().__init__()
        self._orig_mod = mod
        self._dynamic = dynamic
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        out = self._orig_mod(*args, **kwargs)
        sizes.pending(self._dynamic)
        return out

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __len__(self) -> int:
        return len(self._orig_mod)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        return self


def compile(
    model: Callable[..., Any] | None = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "inductor", mode: str | None = None,
    options: dict[str, Any] | None = None, name: str | None = None, disable: bool = False, recompile_limit: int | None = None,
    isolate_recompiles: bool = False, shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """A function or module that calls ``model``: it is compiled already. ``dynamic``: one program for all sizes from the second on, or (False) one for each. Without a ``model``, a decorator. RuntimeError for ``mode`` and ``options`` together."""
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    _check_mode(mode)
    if model is None:

        def decorate(model: Callable[..., Any]) -> Any:
            if model is None:
                raise RuntimeError("Model can't be None")
            return compile(model, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable)

        return decorate
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    _check_backend(backend)
    if isinstance(model, torch.nn.Module):
        return OptimizedModule(model, dynamic)

    @functools.wraps(model)
    def run(*args: Any, **kwargs: Any) -> Any:
        out = model(*args, **kwargs)
        sizes.pending(dynamic)
        return out

    run._torchdynamo_orig_callable = model  # type: ignore[attr-defined]
    return run


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
_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")


def _check_backend(backend: Any) -> None:
    if isinstance(backend, str) and backend not in _BACKENDS:
        raise InvalidBackend(backend)


def _check_mode(mode: str | None) -> None:
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")


def is_compiling() -> bool:
    """False: Python runs each time, whatever is compiled beneath."""
    return False


def is_dynamo_compiling() -> bool:
    return False


def is_exporting() -> bool:
    return False


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """``fn`` itself, or a decorator."""
    return (lambda f: f) if fn is None else fn


def reset() -> None:
    pass


def allow_in_graph(fn: Any) -> Any:
    return fn


def assume_constant_result(fn: Any) -> Any:
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
    """XLA, whatever ``backend=`` says."""
    return ["xla"]


def cudagraph_mark_step_begin() -> None:
    pass


class set_stance:
    """Accepted, without effect."""

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


torch.compile = compile
