"""What NVIDIA's management library says of a GPU. ModuleNotFoundError where its binding (nvidia-ml-py) is not installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._public import torch

__all__ = ["clock_rate", "device_memory_used", "list_gpu_processes", "memory_usage", "power_draw", "temperature", "utilization"]


def _asked(question: Callable[[Any, Any], Any], device: Any) -> Any:
    """The answer of the library about a GPU."""
    try:
        import pynvml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed or it can't be imported.") from error
    torch.cuda._gpu(device)  # type: ignore[attr-defined]
    pynvml.nvmlInit()
    return question(pynvml, pynvml.nvmlDeviceGetHandleByIndex(torch.cuda._index(device)))  # type: ignore[attr-defined]


def utilization(device: Any = None) -> int:
    """Percent of the last moments in which a kernel ran."""
    return int(_asked(lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu, device))


def memory_usage(device: Any = None) -> int:
    """Percent of the last moments in which memory was read or written."""
    return int(_asked(lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).memory, device))


def device_memory_used(device: Any = None) -> int:
    """Bytes in use, of all processes."""
    return int(_asked(lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used, device))


def temperature(device: Any = None) -> int:
    """Degrees Celsius."""
    return int(_asked(lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, 0), device))


def power_draw(device: Any = None) -> int:
    """Milliwatts."""
    return int(_asked(lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu), device))


def clock_rate(device: Any = None) -> int:
    """Megahertz of the processors."""
    return int(_asked(lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, 1), device))


def list_gpu_processes(device: Any = None) -> str:
    """The processes that use a GPU and their memory, as text."""
    try:
        found = _asked(lambda nvml, gpu: nvml.nvmlDeviceGetComputeRunningProcesses(gpu), device)
    except ModuleNotFoundError:
        return "pynvml module not found, please install nvidia-ml-py"
    lines = [f"GPU:{torch.cuda._index(device)}"]  # type: ignore[attr-defined]
    return "\n".join(lines + ([f"process {p.pid:>10d} uses {(p.usedGpuMemory or 0) / 2**20:>12.3f} MB GPU memory" for p in found] or ["no processes are running"]))
