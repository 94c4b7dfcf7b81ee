"""``torch.utils.data.datapipes.utils.common``: names of files below a folder, and open files that close themselves."""

from __future__ import annotations

import fnmatch
import os
import warnings
from collections.abc import Iterable, Iterator
from io import IOBase
from typing import Any, NoReturn

__all__ = [
    "StreamWrapper", "get_file_binaries_from_pathnames", "get_file_pathnames_from_root", "match_masks", "validate_input_col", "validate_pathname_binary_tuple",
]  # fmt: skip


class StreamWrapper:
    """An open file, closed when nothing holds it any more; its attributes are the file's."""

    session_streams: dict[Any, int] = {}
    debug_unclosed_streams = False

    def __init__(self, file_obj: Any, parent_stream: StreamWrapper | None = None, name: str | None = None) -> None:
        if parent_stream is not None and not isinstance(parent_stream, StreamWrapper):
            raise RuntimeError(f"Parent stream should be StreamWrapper, {type(parent_stream)} was given")
        self.file_obj, self.parent_stream, self.name = file_obj, parent_stream, name
        self.child_counter, self.close_on_last_child, self.closed = 0, False, False
        if parent_stream is not None:
            parent_stream.child_counter += 1
        if StreamWrapper.debug_unclosed_streams:
            StreamWrapper.session_streams[self] = 1

    @classmethod
    def close_streams(cls, v: Any, depth: int = 0) -> None:
        """Close all streams in lists, tuples and dicts, ten deep at most."""
        if isinstance(v, StreamWrapper):
            v.close()
        elif depth < 10 and isinstance(v, (dict, list, tuple)):
            for part in v.values() if isinstance(v, dict) else v:
                cls.close_streams(part, depth + 1)

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close the file, and the stream that this one was read from if it was the last and that stream was told to (:meth:`autoclose`)."""
        if self.closed:
            return
        self.closed = True
        StreamWrapper.session_streams.pop(self, None)
        if self.parent_stream is not None:
            self.parent_stream.child_counter -= 1
            if not self.parent_stream.child_counter and self.parent_stream.close_on_last_child:
                self.parent_stream.close()
        if hasattr(self.file_obj, "close"):
            self.file_obj.close(*args, **kwargs)

    def autoclose(self) -> None:
        """Close it once all streams that are read from it are closed."""
        self.close_on_last_child = True
        if self.child_counter == 0:
            self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["file_obj"], name)

    def __dir__(self) -> list[str]:
        return list({*self.__dict__, *StreamWrapper.__dict__, *dir(self.file_obj)})

    def __del__(self) -> None:
        if not self.__dict__.get("closed", True):
            self.close()

    def __iter__(self) -> Iterator[Any]:
        yield from self.file_obj

    def __next__(self) -> Any:
        return next(self.file_obj)

    def __repr__(self) -> str:
        return f"StreamWrapper<{self.file_obj!r}>" if self.name is None else f"StreamWrapper<{self.name},{self.file_obj!r}>"


def match_masks(name: str, masks: str | list[str]) -> bool:
    """Whether a file's name is of one of these forms (``*.txt``); any is without a form."""
    return not masks or any(fnmatch.fnmatch(name, mask) for mask in ([masks] if isinstance(masks, str) else masks))


def get_file_pathnames_from_root(root: str, masks: str | list[str], recursive: bool = False, abspath: bool = False, non_deterministic: bool = False) -> Iterable[str]:
    """The files of a folder, those of the folders in it too if ``recursive``, in order of their names unless ``non_deterministic``; or ``root`` if it is a file itself."""

    def failed(error: OSError) -> NoReturn:
        warnings.warn(f"{error.filename} : {error.strerror}", stacklevel=2)
        raise error

    if os.path.isfile(root):
        if match_masks(os.path.basename(root), masks):
            yield os.path.abspath(root) if abspath else root
        return
    for path, folders, files in os.walk(root, onerror=failed):
        if not non_deterministic:
            files.sort()
            folders.sort()
        for name in files:
            if match_masks(name, masks):
                yield os.path.join(os.path.abspath(path) if abspath else path, name)
        if not recursive:
            return


def get_file_binaries_from_pathnames(pathnames: Any, mode: str, encoding: str | None = None) -> Iterable[tuple[str, StreamWrapper]]:
    """Each name and its file, opened. TypeError for what is no string."""
    for name in pathnames if isinstance(pathnames, Iterable) else [pathnames]:
        if not isinstance(name, str):
            raise TypeError(f"Expected string type for pathname, but got {type(name)}")
        yield name, StreamWrapper(open(name, f"r{mode}" if mode in ("b", "t") else mode, encoding=encoding))


def validate_pathname_binary_tuple(data: tuple[str, IOBase]) -> None:
    """TypeError for what is no pair of a name and an open file."""
    if not isinstance(data, tuple):
        raise TypeError(f"pathname binary data should be tuple type, but it is type {type(data)}")
    if len(data) != 2:
        raise TypeError(f"pathname binary stream tuple length should be 2, but got {len(data)}")
    if not isinstance(data[0], str):
        raise TypeError(f"pathname within the tuple should have string type pathname, but it is type {type(data[0])}")
    if not isinstance(data[1], (IOBase, StreamWrapper)):
        raise TypeError(f"binary stream within the tuple should have IOBase orits subclasses as type, but it is type {type(data[1])}")


def validate_input_col(fn: Any, input_col: Any) -> None:
    """ValueError if a function cannot take as many columns as ``input_col`` names."""
    import inspect

    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # of one written in C nothing is known
        return
    count = len(input_col) if isinstance(input_col, (list, tuple)) else 1
    name = getattr(fn, "__name__", repr(fn))
    needed = [p for p in signature.parameters.values() if p.default is p.empty]
    by_name = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
    if by_name:
        raise ValueError(f"The function {name} takes {len(by_name)} non-default keyword-only parameters, which is not allowed.")
    kinds = [p.kind for p in signature.parameters.values()]
    places = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = len([p for p in places if p.default is p.empty])
    if count < least:
        raise ValueError(f"The function {name} takes {least} positional parameters, but {count} are required.")
    if count > len(places) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        raise ValueError(f"The function {name} takes {len(places)} parameters, but {count} are required.")
