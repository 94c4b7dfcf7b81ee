"""``torch.cuda``: JAX's GPUs under torch's names. Source: https://docs.pytorch.org/docs/stable/cuda.html

Without a GPU every name is there and does what it does in torch's build for the cpu: questions are answered, the rest raises torch's exceptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from jtorch import _device
from jtorch._core.tensor.legacy_constructors import cuda_classes
from jtorch._engine.recording import guards
from jtorch._engine.recording.trace import flush
from jtorch._engine.values.values import jax_device, jax_devices
from jtorch._errors import not_implemented
from jtorch._public import torch

globals().update(cuda_classes())

has_half = True
has_magma = False
default_generators: tuple[Any, ...] = ()
AcceleratorError, OutOfMemoryError = torch.AcceleratorError, torch.OutOfMemoryError  # type: ignore[attr-defined]


class CudaError(RuntimeError):
    """An error of the driver, by its number."""


class DeferredCudaCallError(Exception):
    """A call that waited for the first use of a GPU, and failed then."""


def is_available() -> bool:
    """Whether JAX found a GPU."""
    return bool(jax_devices("cuda"))


def device_count() -> int:
    """How many GPUs JAX found."""
    return len(jax_devices("cuda"))


def is_initialized() -> bool:
    """Whether there is a GPU: JAX starts it when it is first asked."""
    return is_available()


_queued_calls: list[Callable[[], Any]] = []


def _lazy_call(callable: Callable[[], Any], **kwargs: Any) -> None:  # noqa: A002 - torch's name
    """To be called when the first GPU is looked for by :func:`init`; asking for one now would start JAX's backends."""
    _queued_calls.append(callable)


def _index(device: Any = None) -> int:
    """The index that an argument names; the current GPU's where it names none."""
    if device is None:
        return _current[-1]
    found = device if isinstance(device, int) else _device.device(device).index
    return _current[-1] if found is None else found


def _gpu(device: Any = None) -> Any:
    """JAX's device. AssertionError if there is no GPU, AssertionError if there are not so many."""
    index = _index(device)
    if is_available() and not 0 <= index < device_count():
        raise AssertionError("Invalid device id")
    return jax_device(_device.device("cuda", index))


def _is_compiled() -> bool:
    return is_available()


def _is_in_bad_fork() -> bool:
    return False  # JAX warns of forks by itself


def __getattr__(name: str) -> Any:
    if name == "_initialized":
        return is_initialized()
    raise AttributeError(f"module 'torch.cuda' has no attribute {name!r}")


def init() -> None:
    """Make the calls that waited for a GPU. AssertionError where there is none."""
    _gpu(0)
    while _queued_calls:
        _queued_calls.pop(0)()


_lazy_init = init


def current_device() -> int:
    """The index of the GPU that ``cuda`` means. AssertionError if there is none."""
    _gpu(0)
    return _current[-1]


_current = [0]


def set_device(device: Any) -> None:
    """Make a GPU the current one; a negative index changes nothing."""
    index = _index(device)
    if index < 0:
        return
    if not is_available():
        raise AttributeError("module 'torch._C' has no attribute '_cuda_setDevice'")  # as torch's build for the cpu says it
    _gpu(index)
    _current[-1] = index


class device:  # noqa: N801 - torch's name
    """Inside, this GPU is the current one; with a negative index nothing changes."""

    def __init__(self, device: Any) -> None:
        self.index = _index(device)

    def __enter__(self) -> None:
        if self.index >= 0 and not is_available():
            raise RuntimeError("PyTorch was compiled without CUDA support")
        _current.append(self.index if self.index >= 0 else _current[-1])

    def __exit__(self, *_: object) -> None:
        _current.pop()


class device_of(device):  # noqa: N801 - torch's name
    """Inside, the GPU of a tensor is the current one; a tensor of the cpu changes nothing."""

    def __init__(self, obj: Any) -> None:
        self.index = obj.get_device() if obj.is_cuda else -1


@dataclass(frozen=True)
class _Properties:
    """What a GPU is; zeros where JAX does not say."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int = 32
    is_integrated: bool = False
    is_multi_gpu_board: bool = False


def get_device_properties(device: Any = None) -> _Properties:
    """Name, compute capability, memory and processors of a GPU."""
    found = _gpu(device)
    return _Properties(str(found.device_kind), *get_device_capability(device), memory.capacity(device), int(getattr(found, "core_count", 0)))


def get_device_name(device: Any = None) -> str:
    """The product's name."""
    return str(_gpu(device).device_kind)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """NVIDIA's number of the architecture, (major, minor)."""
    major, _, minor = str(_gpu(device).compute_capability).partition(".")
    return int(major), int(minor or 0)


def get_arch_list() -> list[str]:
    """The architectures that this library carries code for: those of the GPUs that are there, since XLA compiles for them."""
    return sorted({f"sm_{major}{minor}" for major, minor in (get_device_capability(i) for i in range(device_count()))})


def get_gencode_flags() -> str:
    """What nvcc would be told for these architectures."""
    return " ".join(f"-gencode compute=compute_{a[3:]},code={a}" for a in get_arch_list())


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether one GPU may read another's memory; JAX moves arrays between any two."""
    return bool(_gpu(device) is not _gpu(peer_device))


def synchronize(device: Any = None) -> None:
    """Run what is recorded and wait for it. AssertionError if there is no GPU."""
    _gpu(device)
    flush("synchronize")
    for d in jax_devices("cuda"):
        jax.device_put(0, d).block_until_ready()
    guards.look()


def ipc_collect() -> None:
    """Nothing is shared between processes."""
    _gpu()


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a GPU: XLA emulates what it has no instructions for."""
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def is_tf32_supported() -> bool:
    """Whether the GPU multiplies in TF32."""
    return is_available() and get_device_capability()[0] >= 8


def get_sync_debug_mode() -> int:
    """0: nothing warns of synchronisation."""
    _gpu()
    return 0


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Kept for programs that set it; ``JTORCH_LOG=trace`` shows what waits."""
    _gpu()


def cudart() -> Any:
    """The CUDA runtime. jtorch has no binding of it."""
    _gpu()
    not_implemented("torch.cuda.cudart", "XLA drives the GPU; use a binding such as cuda-python")


def current_blas_handle() -> int:
    """A handle of cuBLAS. XLA keeps its own."""
    _gpu()
    not_implemented("torch.cuda.current_blas_handle", "XLA keeps its libraries' handles itself")


from . import graphs, memory, nvtx as nvtx, random, streams, watching  # noqa: E402 - they ask this module for the GPU

for _module in (memory, random, streams, graphs, watching):
    globals().update({_name: getattr(_module, _name) for _name in _module.__all__})
