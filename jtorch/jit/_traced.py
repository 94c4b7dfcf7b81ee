"""``torch.jit.trace``: modules and functions that run what was recorded of them."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from jtorch._core.graph.grad_modes import no_grad
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch
from jtorch.fx.graph_module import GraphModule
from jtorch.nn.modules.module import Module

from ._marks import module_has_exports
from ._script import RecursiveScriptModule, ScriptFunction, ScriptModule
from ._trace import TracerWarning, map_tensors, record

__all__ = ["LoadedModule", "TopLevelTracedModule", "TracedModule", "TracingCheckError", "trace", "trace_module"]

_DEPRECATED = "`torch.jit.{}` is deprecated. Please switch to `torch.compile` or `torch.export`."


class TracingCheckError(Exception):
    """The traced program and the Python differ."""

    def __init__(self, graph_diff_error: Any, tensor_compare_error: Any, extra_msg: str | None = None) -> None:
        self.message = "Tracing failed sanity checks!\n" + (f"{extra_msg}\n" if extra_msg else "")
        super().__init__(self.message)


class TracedModule(RecursiveScriptModule):
    """A module that runs recorded programs, one for each method that was traced."""

    def __init__(self, model: Module, programs: dict[str, GraphModule] | None = None) -> None:
        super().__init__(model)
        for name, child in self._modules.items():
            if child is not None and type(child) is RecursiveScriptModule:
                self._modules[name] = (LoadedModule if type(self) is LoadedModule else TracedModule)(model._modules[name])
                self._model._modules[name] = self._modules[name]._model
        self.__dict__["_programs"] = dict(programs or {})

    def _get_name(self) -> str:
        return self.original_name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The recorded program of ``forward``."""
        program = self.__dict__["_programs"].get("forward")
        return super().forward(*args, **kwargs) if program is None else _run(program, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        program = self.__dict__.get("_programs", {}).get(name)
        if program is not None:
            return lambda *args, **kwargs: _run(program, args, kwargs)
        return super().__getattr__(name)

    @property
    def code(self) -> str:
        """The program as Python."""
        program = self.__dict__["_programs"].get("forward")
        return super().code if program is None else program.code

    @property
    def graph(self) -> Any:
        """The program's graph."""
        program = self.__dict__["_programs"].get("forward")
        return super().graph if program is None else program.graph

    inlined_graph = graph

    def __deepcopy__(self, memo: Any) -> Any:
        made = memo.get(id(self))
        if made is None:
            made = memo[id(self)] = type(self)(copy.deepcopy(self._model, memo), copy.deepcopy(self.__dict__["_programs"], memo))
        return made


class TopLevelTracedModule(TracedModule):
    """A module as ``torch.jit.trace`` returns it."""


class LoadedModule(TracedModule):
    """A traced module from a file."""

    def _get_name(self) -> str:
        return "RecursiveScriptModule"


LoadedModule.__name__ = LoadedModule.__qualname__ = "RecursiveScriptModule"
LoadedModule.__module__ = "torch.jit._script"
for _cls in (TracedModule, TopLevelTracedModule):
    _cls.__module__ = "torch.jit._trace"


def _run(program: GraphModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return program.forward(*args, **kwargs)


def _inputs(example: Any) -> tuple[Any, ...]:
    if isinstance(example, (Tensor, dict)):
        return (example,)
    return tuple(example) if not isinstance(example, tuple) else example


def _names(fn: Any, count: int) -> list[str]:
    try:
        found = [n for n, p in inspect.signature(fn).parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)]
    except (TypeError, ValueError):
        found = []
    return [*found[:count], *(f"input_{i}" for i in range(len(found), count))]


_RANDOM = frozenset(
    "rand randn randint randperm rand_like randn_like randint_like bernoulli multinomial normal poisson dropout alpha_dropout feature_dropout "
    "feature_alpha_dropout dropout1d dropout2d dropout3d rrelu gumbel_softmax bernoulli_ uniform_ normal_ random_ exponential_ cauchy_ log_normal_ geometric_".split()
)


def _random_nodes(program: GraphModule) -> list[Any]:
    def moves(node: Any) -> bool:
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return node.op.startswith("call") and name in _RANDOM and node.kwargs.get("training", True) is not False

    return [node for node in program.graph.nodes if moves(node)]


def _check(
    program: GraphModule, again: Callable[[tuple[Any, ...]], GraphModule], fn: Callable[..., Any], examples: list[tuple[Any, ...]], kwargs: dict[str, Any],
    tolerance: float,
) -> None:  # fmt: skip
    """Compare the program with the Python on examples; warn where they differ. What is random draws as often as in torch's check: a second trace, and both."""
    recorded = program
    for inputs in examples:
        clone = lambda v: map_tensors(v, lambda t: t.detach().clone() if isinstance(t, Tensor) else t)
        again(clone(inputs))
        with no_grad():
            mine, theirs = program.forward(*clone(inputs), **clone(kwargs)), fn(*clone(inputs), **clone(kwargs))
        random = _random_nodes(recorded)
        if random:
            shown = "\n".join("\t" + str(n.format_node()) for n in random[:20])
            warnings.warn(
                f"Trace had nondeterministic nodes. Did you forget call .eval() on your model? Nodes:\n{shown}\nThis may cause errors in trace checking. To "
                "disable trace checking, pass check_trace=False to torch.jit.trace()",
                category=TracerWarning, stacklevel=4,
            )  # fmt: skip
        pairs = zip(_leaves(mine), _leaves(theirs), strict=False)
        for i, (a, b) in enumerate(pairs):
            try:
                torch.testing.assert_close(a.double() if a.is_floating_point() else a, b.double() if b.is_floating_point() else b, rtol=tolerance, atol=1e-5, equal_nan=True)
            except AssertionError as error:
                warnings.warn(
                    f"Output nr {i + 1}. of the traced function does not match the corresponding output of the Python function. Detailed error:\n{error}",
                    category=TracerWarning, stacklevel=4,
                )  # fmt: skip
                break


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    map_tensors(value, lambda t: found.append(t) if isinstance(t, Tensor) else None)
    return found


def trace(
    func: Any, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True, check_inputs: Any = None, check_tolerance: float = 1e-5,
    strict: bool = True, _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None, example_kwarg_inputs: Any = None,
    _store_inputs: bool = True,
) -> Any:  # fmt: skip
    """A program of what ``func``, a module or a function of tensors, does with example inputs.

    Branches that the examples take are taken always; :class:`TracerWarning` says where that matters. RuntimeError for results that are no tensors (or, unless
    ``strict`` is off, lists and dicts of them), and without examples.
    """
    warnings.warn(_DEPRECATED.format("trace"), DeprecationWarning, stacklevel=2)
    if isinstance(func, ScriptModule):
        warnings.warn("The input to trace is already a ScriptModule, tracing it is a no-op. Returning the object as is.", stacklevel=2)
        return func
    if isinstance(func, ScriptFunction):
        warnings.warn("The input to trace is already a ScriptFunction, tracing it is a no-op. Returning the object as is.", stacklevel=2)
        return func
    if example_inputs is None and example_kwarg_inputs is None:
        raise RuntimeError("example_kwarg_inputs should be a dict") if example_inputs is None and example_kwarg_inputs is not None else RuntimeError("One of example_inputs or example_kwarg_inputs must be provided")
    if example_kwarg_inputs is not None and not isinstance(example_kwarg_inputs, dict):
        raise RuntimeError("example_kwarg_inputs should be a dict")
    if isinstance(func, Module):
        warnings.warn(_DEPRECATED.format("trace_method"), DeprecationWarning, stacklevel=2)
        given = {"forward": example_inputs if example_kwarg_inputs is None else example_kwarg_inputs}
        return _trace_module(func, given, check_trace, check_inputs, check_tolerance, strict, example_kwarg_inputs is not None)
    owner = getattr(func, "__self__", None)
    if isinstance(owner, Module):
        if func.__name__ == "forward":
            return trace(owner, example_inputs, optimize, check_trace, check_inputs, check_tolerance, strict, example_kwarg_inputs=example_kwarg_inputs)
        raise AttributeError("trace doesn't support compiling individual module's functions.\nPlease use trace_module")
    inputs = () if example_inputs is None else _inputs(example_inputs)
    kwargs = example_kwarg_inputs or {}
    make = lambda given: record(func, Module(), given, _names(func, len(given)), strict, kwargs)[0]
    program = make(inputs)
    if check_trace:
        examples = [_inputs(each) for each in check_inputs] if check_inputs is not None else [inputs]
        warnings.warn(_DEPRECATED.format("trace"), DeprecationWarning, stacklevel=2)
        _check(program, make, func, examples, kwargs, check_tolerance)
    name = getattr(func, "__name__", type(func).__name__)
    made = ScriptFunction(program.forward, name)
    made._program = program  # type: ignore[attr-defined]
    return made


def trace_module(
    mod: Any, inputs: dict[str, Any], optimize: Any = None, check_trace: bool = True, check_inputs: Any = None, check_tolerance: float = 1e-5,
    strict: bool = True, _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None, example_inputs_is_kwarg: bool = False,
    _store_inputs: bool = True,
) -> Any:  # fmt: skip
    """A module that runs programs of several methods: ``inputs`` has example inputs for each. AttributeError if ``mod`` is no module."""
    warnings.warn(_DEPRECATED.format("trace_method"), DeprecationWarning, stacklevel=2)
    if not isinstance(mod, Module):
        raise AttributeError("expected torch.nn.Module as the first argument")
    if not isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")
    return _trace_module(mod, inputs, check_trace, check_inputs, check_tolerance, strict, example_inputs_is_kwarg)


def _trace_module(mod: Any, inputs: dict[str, Any], check_trace: bool, check_inputs: Any, tolerance: float, strict: bool, is_kwarg: bool) -> Any:
    programs: dict[str, GraphModule] = {}
    for method, example in inputs.items():
        fn = mod if method == "forward" else getattr(mod, method)
        kwargs = example if is_kwarg else {}
        args = () if is_kwarg else _inputs(example)
        make = lambda given, fn=fn, method=method, kwargs=kwargs: record(fn, mod, given, _names(getattr(mod, method), len(given)), strict, kwargs)[0]
        programs[method] = make(args)
        if check_trace:
            warnings.warn(_DEPRECATED.format("trace_method"), DeprecationWarning, stacklevel=3)
            examples = [_inputs(each[method] if isinstance(each, dict) and method in each else each) for each in check_inputs] if check_inputs is not None else [args]
            _check(programs[method], make, fn, examples, kwargs, tolerance)
    made: Any = RecursiveScriptModule(mod) if module_has_exports(mod) else TopLevelTracedModule(mod, programs)
    if type(made) is RecursiveScriptModule:
        made._model.__dict__.update({name: program.forward for name, program in programs.items()})
        made._model.__dict__["_programs"] = programs
    return made
