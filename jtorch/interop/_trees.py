"""A module as a pytree: its parameters and buffers are leaves, the rest is structure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import jax

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.attributes import to_jax
from jtorch._core.tensor.creation import as_tensor, from_jax
from jtorch._types import Size
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter

__all__ = ["register_modules"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (tuple, list, dict, set, frozenset, OrderedDict, Size)


_STATE = frozenset(("_parameters", "_buffers", "_modules"))


class _Leaf:
    """What stands where a tensor was and is none: a mask's bool, a filter's None, an optimizer's int, a sharding, ``jax.eval_shape``'s shape.

    It is one object for each place, as the tensor was, and remembers of it what is structure: such a tree goes beside the module's own in ``jax.tree.map``.
    """

    __slots__ = ("is_parameter", "requires_grad", "value")

    def __init__(self, value: Any, old: Any) -> None:
        self.value, self.requires_grad, self.is_parameter = value, old.requires_grad, _is_parameter(old)

    def __repr__(self) -> str:
        return repr(self.value)


def _is_parameter(place: Any) -> bool:
    return place.is_parameter if isinstance(place, _Leaf) else isinstance(place, Parameter)


def _in_place_of(old: Any, x: Any) -> Any:
    """What a module holds for the leaf ``x`` where it held ``old``."""
    if isinstance(x, jax.Array) or (hasattr(x, "__array__") and x.dtype != jax.dtypes.float0):
        t: Any = from_jax(x) if isinstance(x, jax.Array) else as_tensor(x)
        if not _is_parameter(old):
            return t
        if t.is_floating_point() or t.is_complex() or not old.requires_grad:
            return Parameter(t, requires_grad=old.requires_grad)
    return _Leaf(x, old)


class _Structure:
    """A module without its tensors. Equal for modules of equal classes and attributes: then a program that was compiled for one serves the other."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = [n for n, _ in module.named_parameters()], [n for n, _ in module.named_buffers()]
        every = [(name, m) for name, m in module.named_modules(remove_duplicate=False)]
        self.plain = tuple(
            (name, m.__class__, *[(k, v.__class__, v) for k, v in sorted(m.__dict__.items()) if v.__class__ in _PLAIN], *[(k, p.requires_grad) for k, p in m._parameters.items() if p is not None])
            for name, m in every
        )
        self.others = [(k, v) for _, m in every for k, v in sorted(m.__dict__.items()) if k not in _STATE and v.__class__ not in _PLAIN and not isinstance(v, Tensor)]
        self.hash = hash(self.plain)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, _Structure) or self.plain != other.plain or len(self.others) != len(other.others):
            return False
        return all(k == n and (v is w or v.__class__ is w.__class__ and v.__class__ in _CONTAINERS and v == w) for (k, v), (n, w) in zip(self.others, other.others, strict=True))

    def filled(self, leaves: Any) -> Module:
        """A module with these in the place of its tensors."""
        known: dict[int, Any] = {}
        tensors = [t for _, t in self.module.named_parameters()] + [t for _, t in self.module.named_buffers()]
        for old, x in zip(tensors, leaves, strict=True):
            known[id(old)] = _in_place_of(old, x)
        return _copied(self.module, known)


def _copied(m: Module, known: dict[int, Any]) -> Module:
    found = known.get(id(m))
    if found is None:
        found = known[id(m)] = m.__class__.__new__(m.__class__)
        found.__dict__.update(m.__dict__)
        for kind in ("_parameters", "_buffers"):
            found.__dict__[kind] = {k: known.get(id(t), t) for k, t in m.__dict__[kind].items()}
        found.__dict__["_modules"] = {k: None if c is None else _copied(c, known) for k, c in m._modules.items()}
    return found  # type: ignore[no-any-return]


def _apart(module: Module) -> tuple[list[Any], _Structure]:
    tensors = [t for _, t in module.named_parameters()] + [t for _, t in module.named_buffers()]
    return [to_jax(t) if isinstance(t, Tensor) else t.value for t in tensors], _Structure(module)


def _with_names(module: Module) -> Any:
    leaves, structure = _apart(module)
    return [(jax.tree_util.GetAttrKey(n), x) for n, x in zip([*structure.names[0], *structure.names[1]], leaves, strict=True)], structure


_registered: set[type] = set()


def _register(cls: type) -> None:
    if cls not in _registered:
        _registered.add(cls)
        jax.tree_util.register_pytree_with_keys(cls, _with_names, lambda structure, leaves: structure.filled(leaves), _apart)


def register_modules() -> None:
    """Every class of modules that there is, and those to come."""
    classes = [Module]
    while classes:
        cls = classes.pop()
        _register(cls)
        classes += cls.__subclasses__()
    before = Module.__dict__.get("__init_subclass__")

    def init_subclass(cls: type, **kwargs: Any) -> None:
        if before is not None:
            before.__func__(cls, **kwargs)
        else:
            super(Module, cls).__init_subclass__(**kwargs)
        _register(cls)

    Module.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment]
