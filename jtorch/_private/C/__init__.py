"""``torch._C``: torch's C++ library as Python sees it. Here: the operators below the Python functions, and what programs ask of the library itself."""

from __future__ import annotations

import enum
import importlib
import itertools
from typing import Any

from jtorch import _device, _dtypes, _namespace, _types
from jtorch._api.runtime import DisableTorchFunction as DisableTorchFunction
from jtorch._core.dispatch.torch_function import DisableTorchFunctionSubclass as DisableTorchFunctionSubclass, disabled as _disabled, disabled_dispatch as _disabled_dispatch
from jtorch._core.state.generator import Generator as Generator
from jtorch._core.storage.bare_tensor import Tensor as _Tensor
from jtorch._engine.values.thread_state import state as _state
from jtorch._errors import LinAlgError as _LinAlgError  # noqa: F401
from jtorch._public import torch as _torch

from . import _autograd as _autograd
from . import _functorch as _functorch
from . import _profiler as _profiler

_nn = _namespace.C_nn
_VariableFunctions = _VariableFunctionsClass = _namespace.torch  # pickles of torch.relu and its like are attributes of the second
_linalg, _fft, _special = _namespace.linalg, _namespace.fft, _namespace.special
TensorBase = _TensorBase = _Tensor
_TensorMeta = type(_Tensor)
dtype, device, Size, memory_format, layout, qscheme = _dtypes.dtype, _device.device, _types.Size, _types.memory_format, _types.layout, _types.qscheme
_has_mkldnn = has_mkl = has_openmp = has_lapack = has_spectral = True
_has_cuda = _has_cudnn = _has_magma = _has_mps = _has_xpu = False
_numbers = itertools.count()


def _not_made_here(name: str) -> Any:
    """A class of TorchScript's compiler: to ask ``isinstance``, never made."""

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"torch._C.{name}: No constructor defined!")

    return type(name, (), {"__new__": new, "__module__": __name__, "__doc__": f"``torch._C.{name}``: part of TorchScript's compiler, which is not there."})


# Classes of TorchScript's compiler, interpreter and files.
_CLASSES = (
    "AliasDb ArgumentSpec BenchmarkConfig BenchmarkExecutionStats Block BufferDict CallStack Capsule Code CompilationUnit CompleteArgumentSpec ConcreteModuleType "
    "ConcreteModuleTypeBuilder DeepCopyMemoTable DeserializationStorageContext ErrorReport ExcludeDispatchKeyGuard ExecutionPlan Gradient Graph "
    "GraphExecutorState IODescriptor LiteScriptModule LockingLogger LoggerBase ModuleDict Node NoopLogger OperatorInfo ParameterDict PyTorchFileWriter "
    "ScriptClass ScriptClassFunction ScriptDict ScriptDictIterator ScriptDictKeyIterator ScriptList ScriptListIterator ScriptMethod ScriptModuleSerializer "
    "ScriptObject ScriptObjectProperty SerializationStorageContext StaticModule ThroughputBenchmark TracingState Use Value"
).split()
globals().update({_name: _not_made_here(_name) for _name in _CLASSES})
# What is at home in the parts that work with signatures, which are imported when first used.
_SIGNATURES = {"Tag": "tags", **dict.fromkeys(("Argument", "FunctionSchema", "parse_schema"), "schema"), **dict.fromkeys((
    "AnyType", "AwaitType", "BoolType", "ClassType", "ComplexType", "DeviceObjType", "DictType", "EnumType", "FloatType", "FutureType", "InferredType",
    "IntType", "InterfaceType", "ListType", "NoneType", "NumberType", "OptionalType", "PyObjectType", "RRefType", "StreamObjType", "StringType", "SymBoolType",
    "SymIntType", "TensorType", "TupleType", "Type", "UnionType",
), "jit_types")}  # fmt: skip


class AggregationType(enum.Enum):
    """How a logger of numbers puts them together."""

    SUM, AVG = range(2)


SUM, AVG = AggregationType


def published() -> frozenset[str]:
    """The names that torch shows at its root because its library has them."""
    return frozenset((*_CLASSES, *_SIGNATURES, "AggregationType", "SUM", "AVG", "DispatchKey", "DispatchKeySet"))


class DispatchKey(enum.Enum):
    """Where an operator of torch's library can be sent. Here there is one place; the names stand for what libraries register kernels for."""

    Undefined, CPU, CUDA, XLA, MPS, XPU, HPU, Meta, PrivateUse1, QuantizedCPU, SparseCPU, SparseCUDA, NestedTensorCPU, NestedTensorCUDA, BackendSelect, Python = range(16)
    Functionalize, Negative, Conjugate, ADInplaceOrView, Autograd, AutogradOther, AutogradFunctionality, AutogradCPU, AutogradCUDA, AutogradXLA, AutogradMeta = range(16, 27)
    Autocast, AutocastCPU, AutocastCUDA, AutocastXPU, FuncTorchBatched, FuncTorchVmapMode, Batched, VmapMode, PythonTLSSnapshot, PythonDispatcher = range(27, 37)
    CompositeImplicitAutograd, CompositeExplicitAutograd, CompositeExplicitAutogradNonFunctional, Dense, FuncTorchDynamicLayerFrontMode = range(37, 42)


class DispatchKeySet:
    """A set of them."""

    def __init__(self, *keys: Any) -> None:
        self._keys = frozenset(k for key in keys for k in (key._keys if isinstance(key, DispatchKeySet) else (key,)))

    def has(self, k: DispatchKey) -> bool:
        """Whether the key is one of them."""
        return k in self._keys

    def add(self, k: DispatchKey) -> DispatchKeySet:
        """With one more."""
        return DispatchKeySet(self, k)

    def remove(self, k: DispatchKey) -> DispatchKeySet:
        """With one less."""
        return DispatchKeySet(*(self._keys - {k}))

    def __or__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(self, other)

    def __and__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*(self._keys & other._keys))

    def __sub__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*(self._keys - other._keys))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DispatchKeySet) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def __repr__(self) -> str:
        return f"DispatchKeySet({', '.join(k.name for k in sorted(self._keys, key=lambda k: k.value))})"


class _Guard:
    """A context in which torch's library leaves out some of its layers: there are none here."""

    def __init__(self, *keys: Any) -> None:
        pass

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class _ExcludeDispatchKeyGuard(_Guard): ...


class _IncludeDispatchKeyGuard(_Guard): ...


class _ForceDispatchKeyGuard(_Guard): ...


class _DisableTorchDispatch(_Guard): ...


class _AutoDispatchBelowAutograd(_Guard): ...


_disabled_torch_function_impl, _disabled_torch_dispatch_impl = _disabled, _disabled_dispatch


def _get_tracing_state() -> Any:
    """The state of ``torch.jit.trace`` while it runs: scopes can be pushed onto it. None outside of it."""
    jit = vars(_torch).get("jit")
    return None if jit is None else jit._trace.tracing_state()


def _is_tracing() -> bool:
    """Whether ``torch.jit.trace`` is recording."""
    jit = vars(_torch).get("jit")
    return bool(jit is not None and jit.is_tracing())


def _log_api_usage_once(event: str) -> None:
    """Tells a listener inside torch's library, if one was built in, that something is used."""


_log_api_usage_metadata = _log_api_usage_once


def _current_graph_task_id() -> int:
    """A number for the backward pass that this thread is in, -1 outside of one."""
    running = _state.backward
    if running is None:
        return -1
    if not hasattr(running, "number"):
        running.number = next(_numbers)
    return int(running.number)


def _current_autograd_node() -> Any:
    """The node of the graph whose function or hook is running in this thread's backward pass, None outside of one."""
    return getattr(_state.backward, "node", None)


def _get_schema(name: str, overload: str = "") -> Any:
    """The signature of an operator of torch's library. RuntimeError if there is none."""
    packet = _packet(name)
    if packet is None or overload not in packet._overloads:
        raise RuntimeError("Found no matching schema")
    return packet._overloads[overload].schema


def _packet(name: str) -> Any:
    space, _, leaf = name.partition("::")
    return getattr(getattr(_torch.ops, space), leaf, None) if leaf else None


def _jit_get_schemas_for_operator(name: str) -> list[Any]:
    """The signatures of all overloads of an operator; none if there is no such operator."""
    packet = _packet(name)
    return [] if packet is None else [op.schema for op in packet._overloads.values()]


def _jit_get_operation(name: str) -> Any:
    """(an operator as a function, the names of its overloads); (None, None) if there is no such operator."""
    packet = _packet(name)
    return (None, None) if packet is None else (packet, list(packet._overloads))


def _get_operation_overload(name: str, overload: str = "") -> Any:
    """(one overload as a function, the same for a dispatch key, its tags), None if there is none."""
    packet = _packet(name)
    if packet is None or overload not in packet._overloads:
        return None
    found = getattr(packet, overload or "default")
    return found, lambda keys, *args, **kwargs: found(*args, **kwargs), getattr(found, "tags", [])


def _dispatch_has_kernel_for_dispatch_key(name: str, key: Any) -> bool:
    """Whether an operator has code of its own for a key: one declared here has it for every device; what a program registered, for the keys it said."""
    from jtorch.library.operators import REGISTRY

    space, _, full = name.partition("::")
    leaf, _, overload = full.partition(".")
    packet, key = _packet(f"{space}::{leaf}"), getattr(key, "name", key)
    if packet is None or overload not in packet._overloads:
        return False
    registered = REGISTRY.get(f"{space}::{leaf}", {}).get(overload)
    kernels = getattr(registered, "kernels", None) or {}
    return key in kernels or (space == "aten" and key in ("CPU", "CUDA", "Meta"))


def _get_accelerator(check: bool = False) -> Any:
    """The accelerator's device, cpu where there is none."""
    found = _torch.accelerator.current_accelerator(check)
    return _torch.device("cpu") if found is None else found


def _get_default_device() -> str:
    """The device of tensors made without one."""
    return str(_torch.get_default_device())


def _get_privateuse1_backend_name() -> str:
    """The name of a third party's device."""
    return "privateuseone"


def _get_cudnn_enabled() -> bool:
    """``torch.backends.cudnn.enabled``."""
    return bool(_torch.backends.cudnn.enabled)


def _is_torch_function_enabled() -> bool:
    """Whether ``__torch_function__`` is asked."""
    return bool(_torch.overrides.is_torch_function_enabled()) if hasattr(_torch.overrides, "is_torch_function_enabled") else True


def _storage_Use_Count(pointer: int) -> int:  # noqa: N802 - torch's name
    """How many tensors share a storage: Python's own counting frees memory here, so nobody has to ask."""
    return 1


_SWITCHES: dict[str, bool] = {}


def _switch(name: str, default: bool) -> Any:
    def set_to(enabled: bool = True) -> bool:
        before, _SWITCHES[name] = _SWITCHES.get(name, default), bool(enabled)
        return before

    set_to.__name__ = set_to.__qualname__ = name
    set_to.__doc__ = "A switch of TorchScript's optimizer, which is not there: kept. Gives what it was."
    return set_to


_jit_set_profiling_executor, _jit_set_profiling_mode = _switch("_jit_set_profiling_executor", True), _switch("_jit_set_profiling_mode", True)
_jit_set_texpr_fuser_enabled, _jit_set_nvfuser_enabled = _switch("_jit_set_texpr_fuser_enabled", True), _switch("_jit_set_nvfuser_enabled", False)
_jit_override_can_fuse_on_cpu, _jit_override_can_fuse_on_gpu = _switch("_jit_override_can_fuse_on_cpu", False), _switch("_jit_override_can_fuse_on_gpu", True)
_jit_override_can_fuse_on_cpu_legacy = _switch("_jit_override_can_fuse_on_cpu_legacy", False)
_jit_set_nvfuser_guard_mode = _switch("_jit_set_nvfuser_guard_mode", True)
_set_math_sdp_allow_fp16_bf16_reduction = _switch("_set_math_sdp_allow_fp16_bf16_reduction", False)
_set_graph_executor_optimize = _switch("_set_graph_executor_optimize", True)


def _jit_can_fuse_on_cpu() -> bool:
    """Whether TorchScript's fuser works on the cpu: there is none."""
    return False


def _jit_can_fuse_on_gpu() -> bool:
    """Likewise."""
    return False


def _jit_clear_class_registry() -> None:
    """Forget TorchScript's classes: there are none."""


def _are_functorch_transforms_active() -> bool:
    """Whether a transformation of torch.func is running."""
    asked = getattr(_torch.func, "transforms_active", None)
    return bool(asked is not None and asked())


def _set_print_stack_traces_on_fatal_signal(enabled: bool) -> None:
    """Python's own ``faulthandler``."""
    import faulthandler

    faulthandler.enable() if enabled else faulthandler.disable()


def __getattr__(name: str) -> Any:
    """The operators that torch's library shows under its own name, and the generic settings that ``torch`` shows too."""
    if name in _SIGNATURES:
        globals()[name] = found = getattr(importlib.import_module(f"jtorch.library.{_SIGNATURES[name]}"), name)
        return found
    if not name.startswith("__"):
        for space in (_namespace.torch, _torch):
            found = vars(space).get(name)
            if found is not None and callable(found):
                return found
    raise AttributeError(f"module 'torch._C' has no attribute '{name}'")
