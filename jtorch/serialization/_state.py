"""Settings of torch.save and torch.load: what is allowed, byte order, mmap flags, alignment, and the registry of locations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from enum import Enum
from mmap import MAP_PRIVATE, MAP_SHARED
from types import TracebackType
from typing import Any

UNSAFE_MESSAGE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` "
    "from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, "
    "but it can result in arbitrary code execution. Do it only if you got the file from a "
    "trusted source."
)
SafeGlobal = Callable[..., Any] | tuple[Callable[..., Any], str]


class LoadEndianness(Enum):
    """Byte order assumed for files that do not state theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Settings:
    endianness: LoadEndianness | None = None
    crc32 = True
    mmap_flags = MAP_PRIVATE
    alignment = 64


class _Local(threading.local):
    map_location: Any = None
    work = 0  # bytes that may still be computed while a restricted file is read
    publish = True  # whether storages that are part of what is loaded become those that users know
    skip_data = False
    materialize_fake_tensors = False


settings = _Settings()
local = _Local()
_safe: list[SafeGlobal] = []


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order set with :func:`set_default_load_endianness`, or None."""
    return settings.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Set the byte order assumed for files without a byte order mark. TypeError for anything but a LoadEndianness or None."""
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    settings.endianness = endianness


def get_crc32_options() -> bool:
    """Whether torch.save writes checksums."""
    return settings.crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Choose whether torch.save writes checksums."""
    settings.crc32 = bool(compute_crc32)


def get_default_mmap_options() -> int:
    """The flag that ``torch.load(mmap=True)`` maps files with."""
    return settings.mmap_flags


class set_default_mmap_options:
    """Set the flag of ``torch.load(mmap=True)`` to ``MAP_PRIVATE`` or ``MAP_SHARED``; also a context manager that restores it."""

    def __init__(self, flags: int) -> None:
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError(
                f"Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or mmap.MAP_SHARED, but got {flags}"
            )
        self.prev, settings.mmap_flags = settings.mmap_flags, flags

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        settings.mmap_flags = self.prev


def add_safe_globals(safe_globals: Iterable[SafeGlobal]) -> None:
    """Let ``torch.load(weights_only=True)`` use these classes and functions, each given as itself or as ``(object, "full.path")``."""
    _safe.extend(item for item in safe_globals if item not in _safe)


def clear_safe_globals() -> None:
    """Forget everything given to :func:`add_safe_globals`."""
    _safe.clear()


def get_safe_globals() -> list[SafeGlobal]:
    """A list of what was given to :func:`add_safe_globals`."""
    return list(_safe)


class safe_globals:
    """Context manager: :func:`add_safe_globals` inside the block only."""

    def __init__(self, safe_globals: list[SafeGlobal]) -> None:
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        _safe[:] = [item for item in _safe if item not in self.safe_globals]


def allowed_by_user() -> dict[str, Any]:
    """Full path in torch's names -> object, from what the user allowed."""
    found: dict[str, Any] = {}
    for item in _safe:
        if isinstance(item, tuple):
            if len(item) != 2:
                raise ValueError(f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(item)}")
            if type(item[1]) is not str:
                raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(item[1])}")
            found[item[1]] = item[0]
        else:
            found[torch_path(item.__module__, item.__qualname__)] = item
    return found


def torch_path(module: str, name: str) -> str:
    """The path that a file uses for an object: modules of jtorch go by torch's name."""
    if module == "jtorch" or module.startswith("jtorch."):
        module = module[1:]
    return f"{module}.{name}"


class skip_data:
    """Context manager: torch.save leaves room for the storages' bytes without writing them, torch.load does not read them."""

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self) -> None:
        self._before = local.skip_data, local.materialize_fake_tensors
        local.skip_data, local.materialize_fake_tensors = True, self.materialize_fake_tensors

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        local.skip_data, local.materialize_fake_tensors = self._before
