"""``torch.utils.checkpoint``: trade time for memory by running a part of the forward pass again during backward.

Source: https://docs.pytorch.org/docs/stable/checkpoint.html
"""

from __future__ import annotations

import contextlib
import enum
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from jtorch import _autocast
from jtorch._core.backward.backward_pass import put, root_of, run_backward
from jtorch._core.backward.jax_hooks import is_followed_by_jax
from jtorch._core.backward.recompute import Region, after_barrier
from jtorch._core.graph.selective_checkpoint import Kept, Run
from jtorch._core.state.generator import default_for
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._core.tensor.autograd_methods import with_grad
from jtorch._engine.values.thread_state import state as thread_state
from jtorch._engine.values.values import jax_devices
from jtorch._public import torch

__all__ = [
    "CheckpointError", "CheckpointFunction", "CheckpointPolicy", "DefaultDeviceType", "GraphExecGroup", "SelectiveCheckpointContext",
    "check_backward_validity", "checkpoint", "checkpoint_sequential", "create_selective_checkpoint_contexts", "detach_variable",
    "get_device_states", "noop_context_fn", "set_checkpoint_debug_enabled", "set_checkpoint_early_stop", "set_device_states",
]  # fmt: skip

_ADVICE = (
    "should be passed explicitly. Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception. "
    "use_reentrant=False is recommended, but if you need to preserve the current default behavior, you can pass use_reentrant=True. "
    "Refer to docs for more details on the differences between the two variants."
)


class CheckpointError(RuntimeError):
    """The second run of a function did not do what the first did."""


@contextlib.contextmanager
def _setting(table: dict[str, Any], name: str, value: Any) -> Iterator[None]:
    before, table[name] = table[name], value
    try:
        yield
    finally:
        table[name] = before


_settings: dict[str, Any] = {"early_stop": None, "debug": None}


def set_checkpoint_early_stop(enable: bool) -> AbstractContextManager[None]:
    """Whether the second run ends with the last operator whose values backward needs: hooks and counters after it do not run twice then.

    It is decided in the first run, and prevails over ``checkpoint``'s own argument.
    """
    return _setting(_settings, "early_stop", enable)


def set_checkpoint_debug_enabled(enabled: bool | None) -> AbstractContextManager[None]:
    """torch's switch for a detailed log in :class:`CheckpointError`."""
    return _setting(_settings, "debug", enabled)


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among ``inputs`` as leaves of their own, ``requires_grad`` kept."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(with_grad(x.detach(), x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)  # type: ignore[attr-defined]


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn when no input requires grad."""
    if not any(x.requires_grad for x in inputs if isinstance(x, Tensor)):  # type: ignore[attr-defined]
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


class DefaultDeviceType:
    """The device type whose generators are preserved when no argument is on an accelerator."""

    _default_device_type: str | None = None

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Set it."""
        DefaultDeviceType._default_device_type = device

    @staticmethod
    def get_device_type() -> str:
        """``"cuda"`` where there is a GPU, else ``"cpu"``, unless it was set."""
        if DefaultDeviceType._default_device_type is None:
            DefaultDeviceType._default_device_type = "cuda" if jax_devices("cuda") else "cpu"
        return DefaultDeviceType._default_device_type


def _accelerators(args: Any) -> list[Any]:
    found: list[Any] = []
    for a in args:
        where = aval_of(a).device if isinstance(a, Tensor) else None
        if where is not None and where.type not in ("cpu", "meta") and where not in found:
            found.append(where)
    return found


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The indices of the accelerators among the arguments' devices, and the states of their generators."""
    places = _accelerators(args)
    return [where.index for where in places], [default_for(where).get_state() for where in places]


def set_device_states(devices: list[int], states: list[Any], *, device_type: str | None = None) -> None:
    """Set what :func:`get_device_states` gave."""
    kind = device_type or DefaultDeviceType.get_device_type()
    for index, state in zip(devices, states, strict=False):
        default_for(torch.device(kind, index)).set_state(state)


class _Surroundings:
    """What a function may depend on besides its arguments: generators and autocast, as they are now."""

    def __init__(self, preserve_rng_state: bool, args: Any) -> None:
        self.preserve = preserve_rng_state
        self.autocast = _autocast.snapshot()
        self.places = _accelerators(args)
        if preserve_rng_state:
            self.cpu = torch.get_rng_state()
            self.indices, self.states = get_device_states(*args)

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """As they were, with gradients on; afterwards as they are found now."""
        with torch.random.fork_rng(devices=self.places, enabled=self.preserve), _autocast.as_in(self.autocast), torch.enable_grad():
            if self.preserve:
                torch.set_rng_state(self.cpu)
                if self.places:
                    set_device_states(self.indices, self.states, device_type=self.places[0].type)
            yield


def _fresh(inputs: tuple[Any, ...], cts: Any) -> tuple[Any, ...]:
    """The inputs as leaves behind a barrier, so that the second run is not merged with the first."""
    at = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    values = after_barrier([read(inputs[i]) for i in at], cts)
    out = list(inputs)
    for i, v in zip(at, values, strict=True):
        out[i] = with_grad(new_tensor(v), inputs[i].requires_grad)  # type: ignore[attr-defined]
    return tuple(out)


class CheckpointFunction(torch.autograd.Function):  # type: ignore[misc]
    """The variant with ``use_reentrant=True``: forward runs without a graph, backward runs it again and goes backward through that."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, run_function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.surroundings = _Surroundings(preserve_rng_state, args)
        ctx.inputs = [None if isinstance(a, Tensor) else a for a in args]
        ctx.tensor_indices = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*[args[i] for i in ctx.tensor_indices])
        with torch.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *args: Any) -> Any:
        if thread_state.backward is not None and thread_state.backward.allowed is not None:  # leaves that the function closes over would get no gradient
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` parameter to .backward(). "
                "To resolve this error, you can either set use_reentrant=False, or call .backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.inputs)
        for i, t in zip(ctx.tensor_indices, ctx.saved_tensors, strict=True):
            inputs[i] = t
        leaves = _fresh(tuple(inputs), [read(g) for g in args if g is not None])
        with ctx.surroundings.restored():
            outputs = ctx.run_function(*leaves)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [(o, g) for o, g in zip(outputs, args, strict=True) if isinstance(o, Tensor) and o.requires_grad]  # type: ignore[attr-defined]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        roots, seeds = [root_of(o) for o, _ in pairs], [read(g) for _, g in pairs]
        put(run_backward(roots, seeds, retain=False, create=False, inputs=None, accumulate=True))
        return (None, None, *[x.grad if isinstance(x, Tensor) else None for x in leaves])  # type: ignore[attr-defined]


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, context_fn: Callable[[], Any] = noop_context_fn,
    determinism_check: str = "default", debug: bool = False, early_stop: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """``function(*args, **kwargs)``, without keeping what its operators save for backward: it runs again when backward comes to it.

    ``preserve_rng_state=True`` (a keyword) gives the second run the random numbers of the first. ``context_fn`` gives a context for each
    run. ``use_reentrant=True`` is torch's older variant: positional arguments only, ``.backward()`` only, one of the inputs must require
    grad. CheckpointError when the second run saves other tensors than the first (``determinism_check="none"``: only another number).
    Inside JAX's transformations it is ``function(*args, **kwargs)``, and ``jax.checkpoint`` around what is differentiated says what is computed again.
    """
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter " + _ADVICE, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if any(isinstance(a, Tensor) and is_followed_by_jax(a) for a in args):
            return function(*args)
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of {['default', 'none']}, but got {determinism_check}")
    if (_settings["debug"] if _settings["debug"] is not None else debug) and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    first_context, second_context = context_fn()
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    names = tuple(kwargs)
    inputs = (*args, *kwargs.values())
    versions = [x._version if isinstance(x, Tensor) else None for x in inputs]  # type: ignore[attr-defined]
    surroundings = _Surroundings(preserve, inputs)

    def again(cts: Any) -> Any:
        for x, version in zip(inputs, versions, strict=True):
            if isinstance(x, Tensor) and x._version != version:  # type: ignore[attr-defined]
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: an input of a "
                    f"checkpointed function is at version {x._version}; expected version {version} instead."  # type: ignore[attr-defined]
                )
        leaves = _fresh(inputs, cts)
        n = len(args)
        with surroundings.restored(), second_context:
            return function(*leaves[:n], **dict(zip(names, leaves[n:], strict=True)))

    early = early_stop if _settings["early_stop"] is None else _settings["early_stop"]
    region = Region(again, _describe if determinism_check == "default" else lambda v: None, _compare, early)
    with first_context:
        result = function(*args, **kwargs)
    region.close(result)
    return result


def _describe(value: Any) -> dict[str, Any]:
    a = value.aval
    return {"shape": torch.Size(a.shape), "dtype": a.dtype, "device": a.device}


def _compare(first: list[Any], second: list[Any]) -> None:
    if len(first) != len(second):
        raise CheckpointError(
            "torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation.\n"
            f"Number of tensors saved during forward: {len(first)}\nNumber of tensors saved during recomputation: {len(second)}."
        )
    different = [(i, a, b) for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    if different:
        lines = "".join(f"tensor at position {i}:\nsaved metadata: {a}\nrecomputed metadata: {b}\n" for i, a, b in different)
        raise CheckpointError(
            "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the forward pass.\n"
            + lines
        )


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """A sequence of modules or functions in ``segments`` parts, each but the last checkpointed; ``input`` goes through all of them."""
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter " + _ADVICE, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for layer in layers[start:end]:
                x = layer(x)
            return x

        return forward

    size, start = len(layers) // segments, 0
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(run(start, start + size), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return run(size * (segments - 1), len(layers))(input)


class CheckpointPolicy(enum.Enum):
    """What a selective checkpoint does with an operator's result."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


class SelectiveCheckpointContext:
    """What a policy function is told about the run it is asked in."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute = is_recompute
        self.op_output = op_output


def _policy_of(policy_fn_or_list: Any) -> Callable[..., Any]:
    """A policy as a function; a list names what must be kept."""
    from jtorch.ops import OpOverload, OpOverloadPacket

    if not isinstance(policy_fn_or_list, list):
        if not callable(policy_fn_or_list):
            raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
        return policy_fn_or_list  # type: ignore[no-any-return]
    for op in policy_fn_or_list:
        if not isinstance(op, OpOverload):
            hint = ""
            if isinstance(op, OpOverloadPacket):
                hint = f"Please update the OpOverloadPacket to a specific OpOverload.For example, if you have `torch.ops.{op}`, change it to `torch.ops.{op}.default`."
            raise ValueError(f"Expected op in `op_list` to be an OpOverload but got: {op} of type {type(op)}. {hint}")

    def policy(ctx: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        return CheckpointPolicy.MUST_SAVE if op in policy_fn_or_list else CheckpointPolicy.PREFER_RECOMPUTE

    return policy


def create_selective_checkpoint_contexts(policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False) -> tuple[Any, Any]:
    """Two contexts for ``checkpoint(..., use_reentrant=False, context_fn=...)``, between which the results of some operators are kept.

    The policy is asked as ``policy_fn(ctx, torch.ops.aten.mm.default, *args)``: a :class:`CheckpointPolicy`, or True to keep. The operators are jtorch's, by the name
    of the torch operator nearest to each (``linear`` is ``addmm`` or ``mm``); views are not asked about. Offloading to the cpu is not there: such results are kept
    where they are. Values cannot be changed in place, so ``allow_cache_entry_mutation`` has nothing to allow.
    """
    from jtorch.ops import aten

    policy = _policy_of(policy_fn_or_list)

    def decide(name: str, args: Any, values: list[Any]) -> bool:
        packet, _, overload = name.partition(".")
        op = getattr(aten, packet, None)
        if op is None:  # a building block that torch's library does not have
            return False
        made = [new_tensor(v) for v in values]
        ctx = SelectiveCheckpointContext(is_recompute=False, op_output=made[0] if len(made) == 1 else tuple(made))
        answer = policy(ctx, getattr(op, overload), *args)
        return answer if isinstance(answer, bool) else answer in _KEPT

    kept: Kept = {}
    return Run(kept, decide), Run(kept, None)


_KEPT = (CheckpointPolicy.MUST_SAVE, CheckpointPolicy.PREFER_SAVE, CheckpointPolicy.MUST_CPU_OFFLOAD, CheckpointPolicy.PREFER_CPU_OFFLOAD)


class GraphExecGroup:
    """Marks backward calls that share one second run. Here a region that was run again keeps its values until they are freed anyway."""

    _current: GraphExecGroup | None = None

    def __enter__(self) -> GraphExecGroup:
        if GraphExecGroup._current is not None:
            raise RuntimeError(f"GraphExecGroup contexts cannot be nested. Already inside group {GraphExecGroup._current}")
        GraphExecGroup._current = self
        return self

    def __exit__(self, *args: object) -> None:
        GraphExecGroup._current = None

    @classmethod
    def _get_current_group(cls) -> GraphExecGroup | None:
        return cls._current
