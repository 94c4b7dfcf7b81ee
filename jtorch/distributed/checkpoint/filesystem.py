"""Checkpoints in a folder.

A file for each rank, and ``.metadata``, which says where things are. It comes last, by a rename, and files that it names are never written again: a checkpoint that is written over another one
takes new names, and the old files go when the new metadata is there. So whoever is killed, at whatever moment, the last whole checkpoint stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.futures import Future
from jtorch.serialization._pickler import make_pickler

from ._file_systems import FileSystem, FileSystemBase, SerializationFormat
from ._reading import _StorageInfo, read_metadata
from .metadata import Metadata, StorageMeta
from .planner import LoadItemType, LoadPlan, LoadPlanner, SavePlan, SavePlanner, WriteItemType
from .storage import StorageReader, StorageWriter, WriteResult

__all__ = ["FileSystem", "FileSystemBase", "FileSystemReader", "FileSystemWriter", "SerializationFormat"]


@dataclass
class _StoragePrefix:
    prefix: str


def _nothing(x: Any) -> None:
    return None


def _synced(stream: Any) -> None:
    stream.flush()
    os.fsync(stream.fileno())


@contextlib.contextmanager
def _whole(path: Path, more: Iterable[Path] = ()) -> Iterator[IO[bytes]]:
    """The file to write. If that fails (there is no room), it goes, with what is of no use without it."""
    try:
        with open(path, "wb") as f:
            yield f
    except BaseException:
        for left in (path, *more):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
        raise


def _sync_folder(path: Path) -> None:
    at = os.open(path, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


class FileSystemWriter(StorageWriter):
    """Writes into the folder ``path``. ``overwrite``: whether a checkpoint that is there may be replaced. NotImplementedError for another format than torch's own, or for extensions of streams."""

    def __init__(
        self, path: Any, single_file_per_rank: bool = True, sync_files: bool = True, thread_count: int = 1, per_thread_copy_ahead: int = 10_000_000, cache_staged_state_dict: bool = False,
        overwrite: bool = True, _extensions: Any = None, serialization_format: SerializationFormat = SerializationFormat.TORCH_SAVE,
    ) -> None:  # fmt: skip
        if serialization_format is not SerializationFormat.TORCH_SAVE:
            not_implemented("FileSystemWriter(serialization_format=...)", "jtorch.save_file writes safetensors")
        if _extensions:
            not_implemented("FileSystemWriter(_extensions=...)", "streams are written as they are")
        self.path, self.sync_files, self.overwrite = Path(path), sync_files, overwrite
        self.rank = 0

    def reset(self, checkpoint_id: Any = None) -> None:
        """A new checkpoint begins."""
        if checkpoint_id:
            self.path = Path(checkpoint_id)

    @property
    def checkpoint_id(self) -> Any:
        """The folder."""
        return self.path

    def storage_meta(self) -> StorageMeta | None:
        """The folder."""
        return StorageMeta(checkpoint_id=str(self.path))

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Who this is."""
        self.is_coordinator, self.rank = is_coordinator, kwargs.get("rank") or 0

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Make the folder. RuntimeError if there is a checkpoint and it must not be replaced."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / ".metadata").exists() and not self.overwrite:
            raise RuntimeError(f"Checkpoint already exists and self.overwrite={self.overwrite}.")
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """A prefix for each rank's files."""
        return [dataclasses.replace(plan, storage_data=_StoragePrefix(f"__{i}_")) for i, plan in enumerate(plans)]

    def _free(self, prefix: str) -> str:
        """A name that nothing has had in this folder."""
        k = 0
        while (self.path / f"{prefix}{k}.distcp").exists():
            k += 1
        return f"{prefix}{k}.distcp"

    def serialized(self, plan: SavePlan, planner: SavePlanner) -> tuple[str, bytes, list[WriteResult]]:
        """(name of the file, what goes into it, where each item lies in it)."""
        name = self._free(plan.storage_data.prefix if plan.storage_data is not None else f"__{self.rank}_")
        out, results = io.BytesIO(), []
        for item in plan.items:
            start, data = out.tell(), planner.resolve_data(item)
            if item.type is WriteItemType.BYTE_IO:
                out.write(data.getbuffer())
            else:
                torch.save(data, out)
                out.seek(0, io.SEEK_END)
            results.append(WriteResult(item.index, out.tell() - start, _StorageInfo(name, start, out.tell() - start)))
        return name, out.getvalue(), results

    def store(self, name: str, content: bytes) -> None:
        """Write a rank's file, down to the disk."""
        with _whole(self.path / name) as f:
            f.write(content)
            if self.sync_files:
                _synced(f)

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write this rank's file."""
        name, content, results = self.serialized(plan, planner)
        if results:
            self.store(name, content)
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """The checkpoint is there once ``.metadata`` has its name; then what it does not name goes."""
        metadata = dataclasses.replace(metadata, version="1.0.0", storage_meta=self.storage_meta())
        metadata.storage_data = {r.index: r.storage_data for rank in results for r in rank}
        fresh = self.path / ".metadata.tmp"
        named = {r.storage_data.relative_path for rank in results for r in rank}
        with _whole(fresh, [self.path / name for name in named]) as f:
            make_pickler(pickle, f, 4, _nothing).dump(metadata)  # type: ignore[arg-type]
            if self.sync_files:
                _synced(f)
        os.replace(fresh, self.path / ".metadata")
        if self.sync_files:
            _sync_folder(self.path)
        for old in self.path.glob("__*.distcp"):
            if old.name not in named:
                old.unlink(missing_ok=True)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Whether it names a folder."""
        return isinstance(checkpoint_id, Path) or "://" not in str(checkpoint_id)


class FileSystemReader(StorageReader):
    """Reads from the folder ``path``."""

    def __init__(self, path: Any, _extension_registry: Any = None) -> None:
        self.path = Path(path)
        self.storage_data: dict[Any, _StorageInfo] = {}

    def reset(self, checkpoint_id: Any = None) -> None:
        """Another checkpoint."""
        self.storage_data = {}
        if checkpoint_id:
            self.path = Path(checkpoint_id)

    @property
    def checkpoint_id(self) -> Any:
        """The folder."""
        return self.path

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """What there is. FileNotFoundError where there is no whole checkpoint, UnpicklingError for a file that is no metadata, or does not fit the folder."""
        with open(self.path / ".metadata", "rb") as f:
            found = read_metadata(f, self.path)
        if getattr(found, "storage_meta", None) is None:
            found.storage_meta = StorageMeta()
        found.storage_meta.load_id = ""  # type: ignore[union-attr]
        return found

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Where things are."""
        self.storage_data = metadata.storage_data

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """As it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """As they are."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Read it all, file by file."""
        by_file: dict[str, list[Any]] = {}
        for item in plan.items:
            by_file.setdefault(self.storage_data[item.storage_index].relative_path, []).append(item)
        for name, items in by_file.items():
            with open(self.path / name, "rb") as f:
                for item in sorted(items, key=lambda i: self.storage_data[i.storage_index].offset):
                    where = self.storage_data[item.storage_index]
                    f.seek(where.offset)
                    content = io.BytesIO(f.read(where.length))
                    if item.type is LoadItemType.BYTE_IO:
                        planner.load_bytes(item, content)
                        continue
                    t = torch.load(content, map_location="cpu", weights_only=True)
                    if not isinstance(t, torch.Tensor) or t.dim() != len(item.lengths):
                        raise RuntimeError(f"{name} has something else than the box {item.storage_index} at {where.offset}")
                    for d, (start, n) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                        if (start, n) != (0, t.shape[d]):
                            t = t.narrow(d, start, n)
                    target = planner.resolve_tensor(item).detach()
                    if target.size() != t.size():
                        raise AssertionError(f"req {item.storage_index} mismatch sizes {target.size()} vs {t.size()}")
                    target.copy_(t)
                    planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Whether it names a folder."""
        return FileSystemWriter.validate_checkpoint_id(checkpoint_id)
