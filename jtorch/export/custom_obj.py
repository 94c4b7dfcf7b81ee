"""``torch.export.custom_obj``."""

from __future__ import annotations

import dataclasses

__all__ = ["ScriptObjectMeta"]


@dataclasses.dataclass
class ScriptObjectMeta:
    """Which constant of an exported program an object of a class of its own is."""

    constant_name: str
    class_fqn: str
