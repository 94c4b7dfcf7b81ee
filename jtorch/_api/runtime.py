"""Questions about the machine, files as tensors, streams and events by torch's device-neutral names, errors of devices."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from jtorch import _device, _dtypes
from jtorch._core.dispatch.torch_function import DisableTorchFunctionSubclass
from jtorch._core.graph import grad_modes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.thread_state import ANOMALY, state
from jtorch._errors import warn
from jtorch._namespace import torch

torch.has_lapack = torch.has_mkl = torch.has_openmp = torch.has_spectral = True  # what they promise is there; XLA does it
torch.DisableTorchFunctionSubclass = DisableTorchFunctionSubclass


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Inside, nobody's ``__torch_function__`` is called, modes included."""

    def __enter__(self) -> None:
        from jtorch._core.dispatch.torch_function import MODES
        from jtorch._engine.values.thread_state import FUNCTION_MODE

        super().__enter__()
        self._modes = list(MODES)
        MODES.clear()
        self._bit = state.mode & FUNCTION_MODE
        state.mode &= ~FUNCTION_MODE

    def __exit__(self, *args: object) -> None:
        from jtorch._core.dispatch.torch_function import MODES

        MODES.extend(self._modes)
        state.mode |= self._bit
        super().__exit__(*args)


class FatalError(Exception):
    pass


class AcceleratorError(RuntimeError):
    pass


# XLA's own error for memory that ran out is a RuntimeError as well: ``except torch.OutOfMemoryError`` catches what is raised under this name.
class OutOfMemoryError(RuntimeError):
    pass


class JITException(Exception):
    """What TorchScript raises: nothing here does."""


for _error in (FatalError, AcceleratorError, OutOfMemoryError):
    _error.__module__ = "torch"


class Stream:
    """XLA orders its own work; a stream is a name without effect. ``synchronize`` waits for all of it."""

    def __init__(self, device: Any = None, *, priority: int = 0, **_: Any) -> None:
        self.device = _device.device("cpu" if device is None else device)
        self.device_type, self.device_index, self.stream_id = self.device.type, -1 if self.device.index is None else self.device.index, 0

    def synchronize(self) -> None:
        torch._synchronize()

    def query(self) -> bool:
        return True

    def wait_stream(self, stream: Any) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass

    def record_event(self, event: Any = None) -> Any:
        made = Event(self.device) if event is None else event
        made.record(self)
        return made

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"torch.Stream device_type={self.device_type}, device_index={self.device_index}, stream_id={self.stream_id}"


class Event:
    """A moment on the host, after all work recorded before it."""

    def __init__(self, device: Any = None, *, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.device = _device.device("cpu" if device is None else device)
        self.event_id, self.at = 0, 0.0

    def record(self, stream: Any = None) -> None:
        import time

        torch._synchronize()
        self.at = time.perf_counter()

    def wait(self, stream: Any = None) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds between two events."""
        return float(end_event.at - self.at) * 1e3

    def __repr__(self) -> str:
        index = -1 if self.device.index is None else self.device.index
        return f"torch.Event device_type={self.device.type}, device_index={index}, event_flag=0, event_id={self.event_id}"


def _synchronize() -> None:
    """Run what is recorded and wait for it."""
    from jtorch._engine.recording.trace import flush

    flush("synchronize")
    jax.effects_barrier()


def is_anomaly_enabled() -> bool:
    """Whether ``torch.autograd.set_detect_anomaly`` is on."""
    return bool(state.mode & ANOMALY)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for nan."""
    return grad_modes.anomaly_check_nan[0]


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Stop at a NaN in a backward, and show the forward line that it belongs to."""
    state.mode = state.mode | ANOMALY if enabled else state.mode & ~ANOMALY
    grad_modes.anomaly_check_nan[0] = check_nan


def is_vulkan_available() -> bool:
    """False: XLA has no Vulkan backend."""
    return False


def cudnn_is_acceptable(input: Tensor) -> bool:
    """False: XLA calls cuDNN itself where it wants to."""
    return False


def init_num_threads() -> None:
    """Nothing to do: XLA starts its own threads."""
    pass


def thread_safe_generator() -> Any:
    """The generator of a DataLoader's worker thread; None: workers here are processes."""
    return None


def get_device_module(device: Any = None) -> ModuleType:
    """``torch.cpu``, ``torch.cuda``: the module of a device; of the accelerator if there is one."""
    kind = _device.device(device).type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return importlib.import_module(f"jtorch.{kind}")
    except ModuleNotFoundError:
        raise RuntimeError(f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'.") from None


def set_default_tensor_type(t: Any) -> None:
    """Deprecated: ``set_default_dtype`` and ``set_default_device``."""
    if isinstance(t, str):
        owner: Any = torch
        for part in t.removeprefix("torch.").split("."):
            if not hasattr(owner, part):
                raise AttributeError(f"module 'torch' has no attribute '{part}'")
            owner = getattr(owner, part)
        t = owner
    warn(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and torch.set_default_device() as alternatives.",
    )
    kind = getattr(t, "dtype", None)
    if not isinstance(kind, _dtypes.dtype):
        raise TypeError(f"invalid type object: {t!r} is no tensor type")
    if not kind.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    torch.set_default_dtype(kind)
    torch.set_default_device("cuda" if getattr(t, "where", "cpu") == "cuda" else "cpu")


def from_file(
    filename: Any, shared: bool | None = None, size: int | None = 0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool | None = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The first ``size`` elements of a file, mapped into memory. ``shared`` writes go to the file, which grows to the size."""
    kind = _dtypes.default if dtype is None else dtype
    n = size or 0
    path, wanted = Path(filename), n * kind.itemsize
    if not path.exists() and not shared:
        raise RuntimeError(f"unable to open file <{path}> in read-only mode: No such file or directory (2)")
    if (path.stat().st_size if path.exists() else -1) < wanted:
        if not shared:
            raise RuntimeError(f"file <{path}> size <{path.stat().st_size}> is smaller than the required mapping size <{wanted}>")
        with path.open("ab") as f:
            f.truncate(wanted)
    mapped = np.memmap(path, kind.memory, "r+" if shared else "c", shape=(n,)) if n else np.zeros(0, kind.memory)
    made = torch.from_numpy(np.asarray(mapped))
    if device is not None:
        made = made.to(device)
    return made.requires_grad_() if requires_grad else made  # type: ignore[no-any-return]


for _fn in (
    _synchronize, is_anomaly_enabled, is_anomaly_check_nan_enabled, set_anomaly_enabled, is_vulkan_available, cudnn_is_acceptable, init_num_threads,
    thread_safe_generator, get_device_module, set_default_tensor_type, from_file, DisableTorchFunction, FatalError, AcceleratorError, OutOfMemoryError,
    JITException, Stream, Event,
):  # fmt: skip
    setattr(torch, _fn.__name__, _fn)
