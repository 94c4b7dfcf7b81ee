"""Where a checkpoint's files are, as a library may implement it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

__all__ = ["FileSystem", "FileSystemBase", "SerializationFormat"]


class SerializationFormat(Enum):
    """How tensors are written."""

    TORCH_SAVE = "torch_save"
    SAFETENSORS = "safetensors"


class FileSystemBase(ABC):
    """Files and folders."""

    @contextmanager
    @abstractmethod
    def create_stream(self, path: Any, mode: str) -> Iterator[Any]:
        """An open file."""
        yield

    @abstractmethod
    def concat_path(self, path: Any, suffix: str) -> Any:
        """A path below another."""

    @abstractmethod
    def rename(self, path: Any, new_path: Any) -> None:
        """Give a file another name."""

    @abstractmethod
    def init_path(self, path: Any) -> Any:
        """A path as the others take it."""

    @abstractmethod
    def mkdir(self, path: Any) -> None:
        """Make a folder."""

    @classmethod
    @abstractmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Whether a checkpoint may be there."""

    @abstractmethod
    def exists(self, path: Any) -> bool:
        """Whether a file is there."""

    @abstractmethod
    def rm_file(self, path: Any) -> None:
        """Remove a file."""


class FileSystem(FileSystemBase):
    """This machine's."""

    @contextmanager
    def create_stream(self, path: Any, mode: str) -> Iterator[Any]:
        """An open file."""
        with open(path, mode) as stream:
            yield stream

    def concat_path(self, path: Any, suffix: str) -> Path:
        """A path below another."""
        return Path(path) / suffix

    def init_path(self, path: Any) -> Path:
        """As a Path."""
        return Path(path)

    def rename(self, path: Any, new_path: Any) -> None:
        """Give a file another name."""
        Path(path).rename(new_path)

    def mkdir(self, path: Any) -> None:
        """Make a folder, and those above."""
        Path(path).mkdir(parents=True, exist_ok=True)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Whether it is a Path, or text that names a place in a folder that may be written."""
        if isinstance(checkpoint_id, Path):
            return True
        return "://" not in str(checkpoint_id) and any(p.exists() and os.access(p, os.W_OK) for p in Path(checkpoint_id).parents)

    def exists(self, path: Any) -> bool:
        """Whether it is there."""
        return Path(path).exists()

    def rm_file(self, path: Any) -> None:
        """Remove a file."""
        Path(path).unlink()

    def ls(self, path: Any) -> list[str]:
        """What is in a folder."""
        return [str(p) for p in Path(path).iterdir()]
