"""Nothing public: where torch's loggers of collectives write."""

from __future__ import annotations

import logging

__all__: list[str] = []
_log_handlers: dict[str, logging.Handler] = {"default": logging.NullHandler()}
