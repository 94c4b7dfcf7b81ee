"""As ``torch.autograd.anomaly_mode``: the names of ``anomaly.py`` where torch has them."""

from __future__ import annotations

from .anomaly import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
