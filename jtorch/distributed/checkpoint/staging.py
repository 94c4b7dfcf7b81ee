"""What is to be saved, put aside, so that training goes on while it is written."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jtorch._public import torch
from jtorch.distributed.tensor._api import DTensor

__all__ = ["AsyncStager", "BlockingAsyncStager", "DefaultStager", "StagingOptions"]


def apart(x: Any, to_host: bool = False) -> Any:
    """The same containers with tensors that nobody else writes, on the host if ``to_host`` (DTensors stay where they are)."""
    if isinstance(x, torch.Tensor):
        t = x.detach().clone()
        return t.cpu() if to_host and not isinstance(x, DTensor) else t
    if isinstance(x, dict):
        return {k: apart(v, to_host) for k, v in x.items()}
    return type(x)(apart(v, to_host) for v in x) if isinstance(x, (list, tuple)) and not hasattr(x, "_fields") else x


@runtime_checkable
class AsyncStager(Protocol):
    """``stage(state_dict)`` gives what is written, or a future of it: what nobody changes any more."""

    _synchronize_after_execute: bool = True

    @property
    def should_synchronize_after_execute(self) -> bool:
        """Whether :func:`async_save` calls ``synchronize_staging``."""
        return self._synchronize_after_execute

    def stage(self, state_dict: Any) -> Any:
        """Put it aside."""
        raise NotImplementedError(f"{self.__class__.__name__} must implement stage method")

    def synchronize_staging(self) -> None:
        """Wait until it is put aside."""

    def close(self) -> None:
        """Let go of all that is held."""


@dataclass
class StagingOptions:
    """``use_async_staging``: in a thread. ``use_non_blocking_copy`` needs an accelerator; the others change nothing here."""

    use_pinned_memory: bool = True
    use_shared_memory: bool = True
    use_async_staging: bool = True
    use_non_blocking_copy: bool = True


class DefaultStager(AsyncStager):
    """Copies on the host. AssertionError for ``use_non_blocking_copy`` without an accelerator."""

    def __init__(self, config: StagingOptions = StagingOptions()) -> None:  # noqa: B008 - torch's default
        self._config = config
        self._executor = ThreadPoolExecutor(max_workers=1) if config.use_async_staging else None
        if config.use_non_blocking_copy and not torch.accelerator.is_available():
            raise AssertionError("Non-blocking copy requires that the current accelerator is available.")
        self._future: Future[Any] | None = None

    def stage(self, state_dict: Any, **kwargs: Any) -> Any:
        """The copy, or a future of it."""
        if self._executor is None:
            return apart(state_dict, True)
        self._future = self._executor.submit(apart, state_dict, True)
        return self._future

    def synchronize_staging(self) -> None:
        """Wait for the copy."""
        if self._future is not None:
            self._future.result()

    def close(self) -> None:
        """End the thread."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)


class BlockingAsyncStager(AsyncStager):
    """Copies on the host, before it returns. The arguments change nothing here."""

    _synchronize_after_execute = False

    def __init__(self, cache_staged_state_dict: bool = False, type_check: bool = False) -> None:
        self.cache_staged_state_dict, self.type_check = cache_staged_state_dict, type_check
        self.state_dict_cache: Any = None

    def stage(self, state_dict: Any) -> Any:
        """The copy."""
        return apart(state_dict, True)

    def synchronize_staging(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
