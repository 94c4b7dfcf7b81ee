"""``torch.distributed.config``: switches of torch's compiler and communication libraries; kept, and without effect under XLA."""

from __future__ import annotations

import os

from jtorch._private.settings import settings_module as _settings_module

__all__ = ["compile_on_one_rank", "use_torchcomms"]

compile_on_one_rank = bool(os.environ.get("TORCH_DISTRIBUTED_COMPILE_ON_ONE_RANK", False))
use_torchcomms = os.environ.get("TORCH_DISTRIBUTED_USE_TORCHCOMMS", "0") == "1"

_settings_module(__name__)
