"""Nested containers as trees: flattened into leaves and a structure, mapped over, put together again.

What ``jax.tree_util`` does, with torch's containers: None is a leaf here, and dicts keep their order. ``register_pytree_node`` tells both of a class.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from jtorch.utils import _pytree_json as _json

__all__ = [
    "KeyEntry", "LeafSpec", "NodeDef", "PyTreeSpec", "SUPPORTED_NODES", "TreeSpec", "arg_tree_leaves", "is_namedtuple", "is_namedtuple_class",
    "is_namedtuple_instance", "keystr", "key_get", "map_only", "register_constant", "register_dataclass", "register_pytree_node", "tree_all", "tree_all_only",
    "tree_any", "tree_any_only", "tree_flatten", "tree_flatten_with_path", "tree_is_leaf", "tree_iter", "tree_leaves", "tree_leaves_with_path", "tree_map",
    "tree_map_", "tree_map_only", "tree_map_only_", "tree_map_with_path", "tree_structure", "tree_unflatten", "treespec_dumps", "treespec_leaf",
    "treespec_loads", "treespec_pprint",
    "GetAttrKey", "MappingKey", "SequenceKey",
]  # fmt: skip

SERIALIZED_TYPE_TO_PYTHON_TYPE = _json.NAMES
IsLeaf = Callable[[Any], bool] | None


class NodeDef(NamedTuple):
    """How a class is taken apart: into children and what is needed besides to make it again."""

    type: type
    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[Iterable[Any], Any], Any]
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Any]] | None


@dataclasses.dataclass(frozen=True)
class SequenceKey:
    """A position."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, of: Any) -> Any:
        return of[self.idx]


@dataclasses.dataclass(frozen=True)
class MappingKey:
    """A key of a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, of: Any) -> Any:
        return of[self.key]


@dataclasses.dataclass(frozen=True)
class GetAttrKey:
    """The name of an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, of: Any) -> Any:
        return getattr(of, self.name)


KeyEntry = SequenceKey | MappingKey | GetAttrKey
SUPPORTED_NODES: dict[type, NodeDef] = {}


def _positions(children: list[Any]) -> list[tuple[Any, Any]]:
    return [(SequenceKey(i), c) for i, c in enumerate(children)]


def _node(cls: type, flatten: Any, unflatten: Any, keys: Callable[[list[Any], Any], list[tuple[Any, Any]]] = lambda c, _: _positions(c)) -> None:
    def with_keys(x: Any) -> tuple[list[tuple[Any, Any]], Any]:
        children, context = flatten(x)
        return keys(children, context), context

    SUPPORTED_NODES[cls] = NodeDef(cls, flatten, unflatten, with_keys)


def _by_key(children: list[Any], context: Any) -> list[tuple[Any, Any]]:
    return [(MappingKey(k), c) for k, c in zip(context, children, strict=True)]


_node(list, lambda x: (list(x), None), lambda c, _: list(c))
_node(tuple, lambda x: (list(x), None), lambda c, _: tuple(c))
_node(dict, lambda x: (list(x.values()), list(x)), lambda c, keys: dict(zip(keys, c, strict=True)), _by_key)
_node(OrderedDict, lambda x: (list(x.values()), list(x)), lambda c, keys: OrderedDict(zip(keys, c, strict=True)), _by_key)
_node(
    defaultdict, lambda x: (list(x.values()), [x.default_factory, list(x)]), lambda c, at: defaultdict(at[0], zip(at[1], c, strict=True)),
    lambda c, at: _by_key(c, at[1]),
)  # fmt: skip
_node(deque, lambda x: (list(x), x.maxlen), lambda c, maxlen: deque(c, maxlen))
# All namedtuples are one kind of node, as torch.return_types' are: the class is the context.
_node(namedtuple, lambda x: (list(x), type(x)), lambda c, cls: cls(*c) if hasattr(cls, "_fields") else cls(c),  # type: ignore[arg-type]
      lambda c, cls: [(GetAttrKey(n), v) for n, v in zip(cls._fields, c, strict=True)])  # fmt: skip


def is_namedtuple_class(cls: type) -> bool:
    """Whether a class was made by ``namedtuple`` or ``NamedTuple``."""
    fields = getattr(cls, "_fields", None)
    return isinstance(cls, type) and issubclass(cls, tuple) and isinstance(fields, tuple) and all(isinstance(f, str) for f in fields)


def is_namedtuple_instance(obj: object) -> bool:
    """Whether a value's class was."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: object) -> bool:
    """Whether a value's class, or a class itself, was."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[list[Any], Any]],
    unflatten_fn: Callable[[Iterable[Any], Any], Any],
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Callable[[Any], Any] | None = None,
    from_dumpable_context: Callable[[Any], Any] | None = None,
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Make a class a container, here and in ``jax.tree_util``."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _register(cls, flatten_fn, unflatten_fn, serialized_type_name, to_dumpable_context, from_dumpable_context, flatten_with_keys_fn)


def _register(cls: type, flatten: Any, unflatten: Any, name: str | None, dump: Any = None, load: Any = None, flatten_with_keys: Any = None, for_jax: Any = None) -> None:
    _json.named(cls, name, dump, load)
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten, unflatten, flatten_with_keys)
    try:
        jax.tree_util.register_pytree_node(cls, for_jax or flatten, lambda context, children: unflatten(children, context))
    except ValueError:  # JAX knows it already
        pass


def register_dataclass(
    cls: type, *, field_names: list[str] | None = None, drop_field_names: list[str] | None = None, serialized_type_name: str | None = None
) -> None:
    """Make a dataclass a container of its fields; once more for one that is a container already, with a warning. ValueError for another class without ``field_names``, and for names that are not the
    fields that are to be given to make one."""
    dropped = drop_field_names or []
    if not dataclasses.is_dataclass(cls):
        if field_names is None:
            raise ValueError(f"field_names must be specified with a list of all fields used to initialize {cls}, as it is not a dataclass.")
        names = field_names
    else:
        needed = [f.name for f in dataclasses.fields(cls) if f.init]
        names = needed if field_names is None else field_names
        if field_names is not None and set(needed) - set(dropped) != set(field_names):
            _refuse_fields(set(needed) - set(dropped), set(field_names))

    def flatten(x: Any) -> tuple[list[Any], Any]:
        there = [n for n in names if getattr(x, n) is not None]
        return [getattr(x, n) for n in there], [there, [n for n in names if n not in there]]

    def unflatten(children: Iterable[Any], context: Any) -> Any:
        return cls(**dict(zip(context[0], children, strict=True)), **dict.fromkeys(context[1]))

    def with_keys(x: Any) -> tuple[list[tuple[Any, Any]], Any]:
        children, context = flatten(x)
        return [(GetAttrKey(n), c) for n, c in zip(context[0], children, strict=True)], context

    def hashable(x: Any) -> tuple[list[Any], Any]:
        children, context = flatten(x)
        return children, tuple(map(tuple, context))

    if cls in SUPPORTED_NODES:
        warnings.warn(f"{cls} is already registered as pytree node. Overwriting the previous registration.", stacklevel=3)
    _register(cls, flatten, unflatten, serialized_type_name, flatten_with_keys=with_keys, for_jax=hashable)


def _refuse_fields(needed: set[str], given: set[str]) -> None:
    text = "field_names does not include all dataclass fields.\n"
    if missing := needed - given:
        text += f"Missing fields in `field_names`: {missing}. If you want to include these fields in the pytree, please add them to `field_names`, otherwise please add them to `drop_field_names`.\n"
    if unexpected := given - needed:
        text += f"Unexpected fields in `field_names`: {unexpected}. Please remove these fields, or add them to `drop_field_names`.\n"
    raise ValueError(text)


def register_constant(cls: type) -> None:
    """Make a class a container of nothing: its values belong to the structure."""
    register_pytree_node(cls, lambda x: ([], x), lambda _, x: x, flatten_with_keys_fn=lambda x: ([], x))


class TreeSpec:
    """The structure of a tree: the class of a node, what it needs besides its children, and their structures."""

    __slots__ = ("type", "_context", "_children", "num_nodes", "num_leaves", "num_children")

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:  # noqa: A002 - torch's name
        self.type, self._context, self._children = type, context, children_specs
        self.num_nodes = 1 + sum(c.num_nodes for c in children_specs)
        self.num_leaves = sum(c.num_leaves for c in children_specs) if type is not None else 1
        self.num_children = len(children_specs)

    @property
    def context(self) -> Any:
        return self._context

    @property
    def children_specs(self) -> list[TreeSpec]:
        return self._children

    def children(self) -> list[TreeSpec]:
        """The structures of the children."""
        return list(self._children)

    def child(self, index: int) -> TreeSpec:
        """The structure of one child."""
        return self._children[index]

    def is_leaf(self) -> bool:
        """Whether this is a leaf."""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves."""
        given = list(leaves)
        if len(given) != self.num_leaves:
            raise ValueError(f"treespec.unflatten(leaves): `leaves` has length {len(given)} but the spec refers to a pytree that holds {self.num_leaves} items ({self}).")
        return self._build(iter(given))

    def _build(self, leaves: Any) -> Any:
        if self.type is None:
            return next(leaves)
        return SUPPORTED_NODES[self.type].unflatten_fn([c._build(leaves) for c in self._children], self._context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of a tree that begins with this structure, where this one has its leaves."""
        found: list[Any] = []
        self._up_to(tree, found)
        return found

    def _up_to(self, tree: Any, found: list[Any]) -> None:
        if self.type is None:
            found.append(tree)
            return
        kind = _kind(tree)
        both_dicts = kind in _DICTS and self.type in _DICTS
        if kind is not self.type and not both_dicts:
            raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        if both_dicts:
            keys = self._context[1] if self.type is defaultdict else self._context
            if set(keys) != set(tree):
                raise ValueError(f"Node keys mismatch; missing key(s): {set(keys) - set(tree)}; extra key(s): {set(tree) - set(keys)}.")
            children = [tree[k] for k in keys]
        else:
            children, context = SUPPORTED_NODES[kind].flatten_fn(tree)  # type: ignore[index]
            if len(children) != self.num_children:
                raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got {len(children)}.")
            if context != self._context and kind is not deque:
                raise ValueError(f"Node context mismatch for custom node type {self.type!r}.")
        for spec, child in zip(self._children, children, strict=True):
            spec._up_to(child, found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return self.type is other.type and self._context == other._context and self._children == other._children

    def __hash__(self) -> int:
        context = tuple(self._context) if isinstance(self._context, list) else self._context
        return hash((self.type, repr(context), tuple(self._children)))

    def __repr__(self, indent: int = 0) -> str:
        if self.type is None:
            return "*"
        children = (",\n" + " " * (indent + 2)).join(c.__repr__(indent + 2) for c in self._children)
        return f"TreeSpec({self.type.__name__}, {self._context}, [{children}])"


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


PyTreeSpec = TreeSpec
_LEAF = LeafSpec()
_DICTS = (dict, OrderedDict, defaultdict)


def treespec_leaf() -> LeafSpec:
    """The structure of a leaf."""
    return _LEAF


def treespec_pprint(treespec: TreeSpec) -> str:
    """The structure as text, with stars for leaves."""
    return repr(treespec)


def _kind(tree: Any) -> Any:
    cls = type(tree)
    if cls in SUPPORTED_NODES:
        return cls
    return namedtuple if is_namedtuple_class(cls) else None


def tree_is_leaf(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether a value is a leaf: no container, or one that ``is_leaf`` takes for one."""
    return (is_leaf is not None and is_leaf(tree)) or _kind(tree) is None


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """(leaves, structure)."""
    leaves: list[Any] = []

    def walk(x: Any) -> TreeSpec:
        kind = None if is_leaf is not None and is_leaf(x) else _kind(x)
        if kind is None:
            leaves.append(x)
            return _LEAF
        children, context = SUPPORTED_NODES[kind].flatten_fn(x)
        return TreeSpec(kind, context, [walk(c) for c in children])

    return leaves, walk(tree)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of this structure with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"Expected `treespec` to be an instance of PyTreeSpec but got item of type {type(treespec)}.")
    return treespec.unflatten(leaves)


def tree_iter(tree: Any, is_leaf: IsLeaf = None) -> Iterable[Any]:
    """The leaves, one after the other."""
    yield from tree_leaves(tree, is_leaf)


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> TreeSpec:
    """The structure."""
    return tree_flatten(tree, is_leaf)[1]


def arg_tree_leaves(*args: Any, **kwargs: Any) -> list[Any]:
    """The leaves of a call's arguments."""
    return [leaf for tree in (*args, *kwargs.values()) for leaf in tree_leaves(tree)]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """The tree with ``func`` of each leaf (and of what stands there in ``rests``) in its place."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return spec.unflatten([func(*given) for given in zip(leaves, *others, strict=True)])


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """Call ``func`` with each leaf, and return the tree as it is."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    for given in zip(leaves, *others, strict=True):
        func(*given)
    return tree


def map_only(type_or_types_or_pred: Any, /) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """A decorator: the function for values of these types (or for which the predicate holds), others come back as they are."""
    takes = _predicate(type_or_types_or_pred)
    return lambda func: lambda x: func(x) if takes(x) else x


def _predicate(wanted: Any) -> Callable[[Any], bool]:
    if isinstance(wanted, (type, tuple)) or type(wanted).__name__ == "UnionType":
        return lambda x: isinstance(x, wanted)
    if callable(wanted):
        return wanted  # type: ignore[no-any-return]
    raise TypeError("Argument must be a type, a tuple of types, or a callable.")


def tree_map_only(type_or_types_or_pred: Any, /, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf = None) -> Any:
    """``tree_map`` over the leaves of these types alone."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred: Any, /, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf = None) -> Any:
    """``tree_map_`` over the leaves of these types alone."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether ``pred`` holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether ``pred`` holds for any leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether ``pred`` holds for all leaves of these types."""
    return all(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, type_or_types))


def tree_any_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether ``pred`` holds for any leaf of these types."""
    return any(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, type_or_types))


def tree_flatten_with_path(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeSpec]:
    """((path, leaf) for each leaf, structure)."""
    found: list[tuple[tuple[Any, ...], Any]] = []

    def walk(x: Any, path: tuple[Any, ...]) -> None:
        kind = None if is_leaf is not None and is_leaf(x) else _kind(x)
        if kind is None:
            found.append((path, x))
            return
        with_keys = SUPPORTED_NODES[kind].flatten_with_keys_fn
        if with_keys is None:
            raise ValueError(f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a flatten_with_keys_fn argument to register_pytree_node.")
        for key, child in with_keys(x)[0]:
            walk(child, (*path, key))

    walk(tree, ())
    return found, tree_structure(tree, is_leaf)


def tree_leaves_with_path(tree: Any, is_leaf: IsLeaf = None) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) for each leaf."""
    return tree_flatten_with_path(tree, is_leaf)[0]


def tree_map_with_path(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """``tree_map`` with a function of (path, leaf, ...)."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return spec.unflatten([func(path, *given) for (path, leaf), *more in zip(found, *others, strict=True) for given in [(leaf, *more)]])


def keystr(kp: tuple[Any, ...]) -> str:
    """A path as Python would write it."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for key in kp:
        obj = key.get(obj)
    return obj


# --- names that libraries use though torch keeps them private ---------------------------------------------------------------

PyTree = Context = DumpableContext = Any
FlattenFunc = UnflattenFunc = FlattenWithKeysFunc = ToDumpableContextFn = FromDumpableContextFn = Callable[..., Any]
KeyPath = tuple[Any, ...]
BUILTIN_TYPES = frozenset(SUPPORTED_NODES)

_list_flatten, _list_unflatten, _list_flatten_with_keys = SUPPORTED_NODES[list][1:]
_tuple_flatten, _tuple_unflatten, _tuple_flatten_with_keys = SUPPORTED_NODES[tuple][1:]
_dict_flatten, _dict_unflatten, _dict_flatten_with_keys = SUPPORTED_NODES[dict][1:]
_ordereddict_flatten, _ordereddict_unflatten, _ordereddict_flatten_with_keys = SUPPORTED_NODES[OrderedDict][1:]
_namedtuple_flatten, _namedtuple_unflatten, _namedtuple_flatten_with_keys = SUPPORTED_NODES[namedtuple][1:]  # type: ignore[index]
_get_node_type, _is_leaf, _is_namedtuple_instance = _kind, tree_is_leaf, is_namedtuple_instance


def _register_pytree_node(cls: type, flatten_fn: Any, unflatten_fn: Any, to_str_fn: Any = None, maybe_from_str_fn: Any = None, **named: Any) -> None:
    """The older name of :func:`register_pytree_node`."""
    warnings.warn(
        "`torch.utils._pytree._register_pytree_node` is deprecated. Please use `torch.utils._pytree.register_pytree_node` instead.", FutureWarning, stacklevel=2
    )
    register_pytree_node(cls, flatten_fn, unflatten_fn, **named)


_private_register_pytree_node = register_pytree_node


def _deregister_pytree_node(cls: type) -> None:
    """A leaf again, here."""
    del SUPPORTED_NODES[cls]
    known = _json.SERIALIZED.pop(cls, None)
    if known is not None and known.name is not None:
        del _json.NAMES[known.name]


def _register_namedtuple(cls: type, *, serialized_type_name: str) -> None:
    """Give a class of named tuples a name in the text of :func:`treespec_dumps`."""
    _json.named(cls, serialized_type_name)


def treespec_dumps(treespec: TreeSpec, protocol: int | None = None) -> str:
    """A structure as JSON. NotImplementedError for classes that were registered without ``serialized_type_name``, ValueError for another protocol than 1."""
    return _json.dumps(treespec, protocol)


def treespec_loads(serialized: str) -> TreeSpec:
    """The structure of a text of :func:`treespec_dumps`, torch's too."""
    return _json.loads(serialized, TreeSpec, treespec_leaf)  # type: ignore[no-any-return]


def _broadcast_to_and_flatten(tree: Any, treespec: TreeSpec, is_leaf: IsLeaf = None) -> list[Any] | None:
    """The leaves of ``tree``, one repeated for each below it in ``treespec``; None if it cannot be laid over it."""
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.is_leaf() or treespec.type is not _kind(tree):
        return None
    children, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    found: list[Any] = []
    for child, below in zip(children, treespec.children()):
        part = _broadcast_to_and_flatten(child, below, is_leaf)
        if part is None:
            return None
        found += part
    return found
