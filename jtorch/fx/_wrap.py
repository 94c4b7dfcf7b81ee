"""``torch.fx.wrap``: functions whose calls are recorded as one node each."""

from __future__ import annotations

import inspect
from typing import Any

from ._compatibility import compatibility

__all__ = ["wrap"]

_wrapped_fns_to_patch: dict[tuple[int, str], dict[str, Any]] = {}


@compatibility(is_backward_compatible=True)
def wrap(fn_or_name: Any) -> Any:
    """Record calls of a function of this module (or of a builtin, by name) as one node.

    Called at the top level of a module, or as a decorator there; NotImplementedError elsewhere.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = inspect.currentframe().f_back  # type: ignore[union-attr]
    if frame is None or frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped_fns_to_patch[(id(frame.f_globals), name)] = frame.f_globals
    return fn_or_name


wrap.__module__ = "jtorch.fx._symbolic_trace"  # where torch has it, and generated code names it
