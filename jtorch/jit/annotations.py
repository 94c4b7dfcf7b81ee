"""``torch.jit.annotations``: types that scripted code is annotated with."""

from __future__ import annotations

from typing import Any, Optional, Union

__all__ = ["Any", "List", "Optional", "Tuple", "Union", *[f"BroadcastingList{n}" for n in range(1, 7)]]  # noqa: PLE0605

List, Tuple, Dict = list, tuple, dict


class BroadcastingListCls:
    """``BroadcastingList2[int]``: a number that stands for a list of them, or the list."""

    def __getitem__(self, types: Any) -> None:
        return None


globals().update({f"BroadcastingList{n}": BroadcastingListCls() for n in range(1, 7)})


def try_ann_to_type(ann: Any, loc: Any = None, rcb: Any = None) -> Any:
    """The annotation itself: Python's types are the types."""
    return ann


ann_to_type = try_ann_to_type
