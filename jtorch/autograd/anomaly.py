"""``detect_anomaly``: remember where each node was made, and stop at a NaN in a backward."""

from __future__ import annotations

import warnings

from jtorch._core.graph import grad_modes
from jtorch._engine.values.thread_state import ANOMALY, state

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switch anomaly detection at once, until the end of the block as a context manager."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev, self.prev_check = bool(state.mode & ANOMALY), grad_modes.anomaly_check_nan[0]
        state.mode = state.mode | ANOMALY if mode else state.mode & ~ANOMALY
        grad_modes.anomaly_check_nan[0] = check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        state.mode = state.mode | ANOMALY if self.prev else state.mode & ~ANOMALY
        grad_modes.anomaly_check_nan[0] = self.prev_check


class detect_anomaly:
    """As a context: a backward that makes a NaN raises, and shows the forward line that it belongs to."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.", stacklevel=2
        )

    def __enter__(self) -> None:
        self.switch = set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *args: object) -> None:
        self.switch.__exit__(*args)


for _mode in (set_detect_anomaly, detect_anomaly):
    _mode.__module__ = "jtorch.autograd.anomaly_mode"  # as torch shows them
