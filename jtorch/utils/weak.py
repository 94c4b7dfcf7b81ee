"""References to tensors that do not keep them: compared by identity, because ``==`` of tensors compares their elements."""

from __future__ import annotations

import copy as _copying
import weakref
from collections.abc import Iterator, Mapping, MutableMapping
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

        self._remove = gone
        if dict is not None:
            self.update(dict)

    def __getitem__(self, key: Any) -> Any:
        return self.data[self.ref_type(key)]  # type: ignore[index]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.data[self.ref_type(key, self._remove)] = value  # type: ignore[index]

    def __delitem__(self, key: Any) -> None:
        del self.data[self.ref_type(key)]  # type: ignore[attr-defined]

    def __contains__(self, key: object) -> bool:
        try:
            return self.ref_type(key) in self.data  # type: ignore[operator]
        except TypeError:
            return False

    def __iter__(self) -> Iterator[Any]:
        for ref in self.keyrefs():
            key = ref()
            if key is not None:
                yield key

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}>"

    def keyrefs(self) -> list[Any]:
        """References to the keys, of which some may be gone already."""
        return list(self.data)  # type: ignore[call-overload]

    def copy(self) -> WeakIdKeyDictionary:
        """Another of the same keys and values."""
        return type(self)(self, self.ref_type)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> WeakIdKeyDictionary:
        made = type(self)(ref_type=self.ref_type)
        for key, value in self.items():
            made[key] = _copying.deepcopy(value, memo)  # the keys are those that somebody holds
        return made

    def popitem(self) -> tuple[Any, Any]:
        """The newest pair, taken out. KeyError if there is none."""
        while True:
            ref, value = self.data.popitem()  # type: ignore[attr-defined]
            key = ref()
            if key is not None:
                return key, value

    def __ior__(self, other: Any) -> WeakIdKeyDictionary:
        self.update(other)
        return self

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = type(self)(other, self.ref_type)
        made.update(self)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {id(k): v for k, v in self.items()} == {id(k): v for k, v in other.items()}

    __hash__ = None  # type: ignore[assignment]


WeakTensorKeyDictionary = WeakIdKeyDictionary
