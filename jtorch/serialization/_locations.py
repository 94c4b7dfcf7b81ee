"""Where a storage was and where it goes: tags in the file, ``map_location``, and packages that register devices of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jtorch._public import torch

from ._storage import HostStorage

Tagger = Callable[[Any], str | None]
Restorer = Callable[[Any, str], Any]
_CPU = "cpu"  # one object, so that the pickle writes it once

_registry: list[tuple[int, Tagger, Restorer]] = []


def register_package(priority: int, tagger: Tagger, deserializer: Restorer) -> None:
    """Register how storages of a device are tagged and restored; lower priorities are asked first.

    ``tagger(storage)`` gives a location or None, ``deserializer(storage, location)`` a storage or None.
    """
    _registry.append((priority, tagger, deserializer))
    _registry.sort(key=lambda entry: entry[0])


def _cpu_tag(storage: Any) -> str | None:
    return _CPU if storage.device.type == "cpu" else None


def _cpu_restore(storage: Any, location: str) -> Any:
    return storage.cpu() if location == "cpu" else None


def _device_tag(storage: Any) -> str | None:
    device = storage.device
    return None if device.type in ("cpu", "meta") else f"{device.type}:{device.index or 0}"


def _meta_restore(storage: Any, location: str) -> Any:
    return HostStorage(storage.data, storage.dtype_name, "meta") if location == "meta" else None


def _validate(location: str, backend: str) -> Any:
    module = getattr(torch, backend, None)
    if module is None:
        raise RuntimeError(
            f"The {backend.upper()} device module is not registered. If you are running on a CPU-only machine, "
            "please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU."
        )
    if not module.is_available():
        raise RuntimeError(
            f"Attempting to deserialize object on a {backend.upper()} device but torch.{backend}.is_available() is False. "
            "If you are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') "
            "to map your storages to the CPU."
        )
    device = torch.device(location)
    index = device.index or 0
    if index >= module.device_count():
        raise RuntimeError(
            f"Attempting to deserialize object on {backend.upper()} device {index} but torch.{backend}.device_count() is "
            f"{module.device_count()}. Please use torch.load with map_location to map your storages to an existing device."
        )
    return torch.device(backend, index)


def validate_cuda_device(location: str) -> int:
    """The index of a CUDA location that exists here. RuntimeError (torch's text) otherwise."""
    return _validate(location, "cuda").index


def _restore_on(backend: str) -> Restorer:
    def restore(storage: Any, location: str) -> Any:
        if location == backend or re.match(f"{backend}(:|[0-9]+)", location):
            return storage.to(device=_validate(location, backend) if backend in ("cuda", "xpu", "mps") else torch.device(location))
        return None

    return restore


register_package(10, _cpu_tag, _cpu_restore)
register_package(20, _device_tag, _restore_on("cuda"))
register_package(22, lambda storage: "meta" if storage.device.type == "meta" else None, _meta_restore)
for _priority, _backend in ((25, "xpu"), (27, "tpu"), (28, "xla")):
    register_package(_priority, lambda storage: None, _restore_on(_backend))


def location_tag(storage: Any) -> str:
    """The location to write for a storage. RuntimeError when no package knows its device."""
    for _, tagger, _ in _registry:
        location = tagger(storage)
        if location:
            return location
    raise RuntimeError("don't know how to determine data location of " + type(storage).__name__)


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage at its location. RuntimeError when no package knows the location, or the device is not there."""
    for _, _, restorer in _registry:
        result = restorer(storage, location)
        if result is not None:
            return result
    raise RuntimeError(f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {location})")


def restorer_of(map_location: Any) -> Restorer:
    """The function that ``torch.load``'s map_location stands for."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(storage, map_location.get(location, location))
    if isinstance(map_location, bytes):
        map_location = map_location.decode()
    if isinstance(map_location, (str, torch.device)):
        return lambda storage, location: default_restore_location(storage, str(map_location))

    def restore(storage: Any, location: str) -> Any:
        result = map_location(storage, location)
        return default_restore_location(storage, location) if result is None else result

    return restore
