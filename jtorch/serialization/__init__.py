"""torch.serialization: torch's checkpoint files, written and read without torch."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import IO, Any

from jtorch._public import torch

from . import _bytes as _bytes
from ._allowed import NAMES
from ._legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from ._load import is_zip, load, opened
from ._locations import default_restore_location, location_tag, register_package, validate_cuda_device
from ._reader import PyTorchFileReader
from ._rebuild import _get_layout as _get_layout
from ._reduce import reduce_ex
from ._save import DEFAULT_PROTOCOL, save
from ._state import (
    UNSAFE_MESSAGE,
    LoadEndianness,
    add_safe_globals,
    allowed_by_user,
    clear_safe_globals,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    get_safe_globals,
    safe_globals,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)
from ._state import local as _serialization_tls
from ._storage import StorageType
from ._weights_only import globals_in_pickle
from ._zip import ZipReader

MAP_LOCATION = Callable[[Any, str], Any] | torch.device | str | dict[str, str] | None  # what map_location may be

torch.Tensor.__reduce_ex__ = reduce_ex
torch.save, torch.load = save, load
torch.PyTorchFileReader = PyTorchFileReader


class SourceChangeWarning(Warning):
    """The source of a class differs from the one saved with it. (Only files before torch 1.6 hold sources; they are not compared.)"""


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike[str] | IO[bytes]) -> list[str]:
    """Names in the file that ``torch.load(weights_only=True)`` would refuse. ValueError for files of the formats before 1.6."""
    with opened(f) as stream:
        if not is_zip(stream):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        reader = ZipReader(stream)
        if reader.has("constants.pkl"):
            raise ValueError("Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint")
        user = allowed_by_user()
        return [name for name in globals_in_pickle(io.BytesIO(reader.read("data.pkl"))) if name not in NAMES and name not in user]


def check_module_version_greater_or_equal(module: Any, req_version_tuple: tuple[int, ...], error_if_malformed: bool = True) -> bool:
    """Whether ``module.__version__`` is at least the version given."""
    try:
        parts = module.__version__.split(".")
        version = tuple(type(want)(part) for want, part in zip(req_version_tuple, parts, strict=False))
    except Exception as error:
        if error_if_malformed:
            raise RuntimeError(f"'{module.__name__}' module version string is malformed '{module.__version__}'") from error
        return True
    return version >= req_version_tuple


__all__ = [
    "DEFAULT_PROTOCOL", "MAGIC_NUMBER", "PROTOCOL_VERSION", "UNSAFE_MESSAGE", "LoadEndianness", "SourceChangeWarning", "StorageType",
    "_serialization_tls", "add_safe_globals", "check_module_version_greater_or_equal", "clear_safe_globals", "default_restore_location",
    "get_crc32_options", "get_default_load_endianness", "get_default_mmap_options", "get_safe_globals",
    "get_unsafe_globals_in_checkpoint", "load", "location_tag", "register_package", "safe_globals", "save", "set_crc32_options",
    "set_default_load_endianness", "set_default_mmap_options", "skip_data", "validate_cuda_device",
]  # fmt: skip
