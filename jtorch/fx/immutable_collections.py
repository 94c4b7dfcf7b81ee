"""Lists and dicts that stand in a node's arguments: a change would go by the node's books of who uses what, so it is refused."""

from __future__ import annotations

from typing import Any, NoReturn

from jtorch.utils import _pytree

__all__ = ["immutable_list", "immutable_dict"]

_HELP = """
If you are attempting to modify the kwargs or args of a torch.fx.Node object,
instead create a new copy of it and assign the copy to the node:

    new_args = ...  # copy and mutate args
    node.args = new_args
""".strip()


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(f"{type(self).__name__!r} object does not support mutation. {_HELP}")


class immutable_list(list):  # type: ignore[type-arg]
    """A list that cannot be changed, and can be hashed. TypeError on any attempt."""

    __delitem__ = __iadd__ = __imul__ = __setitem__ = _refuse  # type: ignore[assignment]
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self),)


class immutable_dict(dict):  # type: ignore[type-arg]
    """A dict that cannot be changed, and can be hashed. TypeError on any attempt."""

    __delitem__ = __ior__ = __setitem__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self.items()),)


def _register(cls: type, plain: type) -> None:
    known = _pytree.SUPPORTED_NODES[plain]
    _pytree.register_pytree_node(
        cls, known.flatten_fn, lambda children, context: cls(known.unflatten_fn(children, context)),
        serialized_type_name=f"torch.fx.immutable_collections.{cls.__name__}", flatten_with_keys_fn=known.flatten_with_keys_fn,
    )  # fmt: skip


_register(immutable_list, list)
_register(immutable_dict, dict)
