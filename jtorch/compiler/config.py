"""``torch.compiler.config``: settings of the compiler as a whole. Those that it shares with ``torch._dynamo.config`` are that module's; none changes anything under XLA."""

from __future__ import annotations

import os
from typing import Any

import jtorch._private.dynamo.config as _dynamo
from jtorch._private.settings import Settings as _Settings
from jtorch._private.settings import settings_module as _settings_module

_SHARED = frozenset((
    "accumulated_recompile_limit", "allow_unspec_int_on_nn_module", "assume_static_by_default", "automatic_dynamic_shapes", "capture_dynamic_output_shape_ops", "capture_scalar_outputs",
    "dynamic_shapes", "enable_cpp_symbolic_shape_guards", "fail_on_recompile_limit_hit", "log_file_name", "recompile_limit", "reorderable_logging_functions",
    "skip_tensor_guards_with_matching_dict_tags", "verbose", "wrap_top_frame",
))  # fmt: skip
__all__ = ["force_disable_caches", "job_id"]
__all__ += sorted(_SHARED)

job_id: str | None = os.environ.get("TORCH_COMPILE_JOB_ID", os.environ.get("TORCH_COMPILE_STICKY_PGO_KEY"))
pgo_extra_read_key: str | None = os.environ.get("TORCH_COMPILE_STICKY_PGO_READ")
pgo_extra_write_key: str | None = os.environ.get("TORCH_COMPILE_STICKY_PGO_WRITE")
cache_key_tag = os.environ.get("TORCH_COMPILE_CACHE_KEY_TAG", "")
force_disable_caches = False
dynamic_sources = os.environ.get("TORCH_COMPILE_DYNAMIC_SOURCES", "")
dynamic_values = os.environ.get("TORCH_COMPILE_DYNAMIC_VALUES", "")
unbacked_sources = os.environ.get("TORCH_COMPILE_UNBACKED_SOURCES", "")
force_cudagraph_gc = False


def __getattr__(name: str) -> Any:
    if name in _SHARED:
        return getattr(_dynamo, name)
    raise AttributeError(f"torch.compiler.config.{name} does not exist")


class _Shared(_Settings):
    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SHARED:
            setattr(_dynamo, name, value)
        else:
            super().__setattr__(name, value)


_settings_module(__name__, _Shared)
