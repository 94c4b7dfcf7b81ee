"""References to tensors that do not keep them: compared by identity, because ``==`` of tensors compares their elements."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["TensorWeakRef", "WeakIdKeyDictionary", "WeakIdRef", "WeakTensorKeyDictionary"]


class WeakIdRef(weakref.ref):  # type: ignore[type-arg]
    """A weak reference that is equal to another of the same object alone."""

    __slots__ = ["_id"]

    def __init__(self, key: Any, callback: Any = None) -> None:
        super().__init__(key, callback)  # type: ignore[call-arg]
        self._id = id(key)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeakIdRef):
            return False
        mine, theirs = self(), other()
        return mine is theirs if mine is not None and theirs is not None else self is other


class TensorWeakRef:
    """A tensor as long as somebody else holds it."""

    def __init__(self, tensor: Any) -> None:
        self.ref = weakref.ref(tensor)

    def __call__(self) -> Any:
        return self.ref()


class WeakIdKeyDictionary(MutableMapping[Any, Any]):
    """A dict whose keys are compared by identity, and go when nobody else holds them."""

    def __init__(self, dict: Any = None, ref_type: Any = WeakIdRef) -> None:  # noqa: A002 - torch's name
        self.data: dict[WeakIdRef, Any] = {}  # type: ignore[valid-type]
        self.ref_type = ref_type
        here = weakref.ref(self)

        def gone(ref: WeakIdRef) -> None:
            mapping = here()
            if mapping is not None:
                mapping.data.pop(ref, None)  # type: ignore[attr-defined]

        self._gone = gone
        self.update(dict or {})

    def __getitem__(self, key: Any) -> Any:
        return self.data[self.ref_type(key)]  # type: ignore[index]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.data[self.ref_type(key, self._gone)] = value  # type: ignore[index]

    def __delitem__(self, key: Any) -> None:
        del self.data[self.ref_type(key)]  # type: ignore[attr-defined]

    def __contains__(self, key: object) -> bool:
        try:
            return self.ref_type(key) in self.data  # type: ignore[operator]
        except TypeError:
            return False

    def __iter__(self) -> Iterator[Any]:
        for ref in list(self.data):  # type: ignore[call-overload]
            key = ref()
            if key is not None:
                yield key

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]


WeakTensorKeyDictionary = WeakIdKeyDictionary
