"""The structure of a container as JSON, in torch's own format (``treespec_dumps``, ``treespec_loads``)."""

from __future__ import annotations

import enum
import importlib
import json
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["NAMES", "SERIALIZED", "Serialized", "dumps", "loads", "named"]

PROTOCOL = 1


class Serialized(NamedTuple):
    """How a class of containers is written."""

    name: str | None
    dump: Callable[[Any], Any] | None
    load: Callable[[Any], Any] | None


SERIALIZED: dict[Any, Serialized] = {}
NAMES: dict[str, Any] = {}


def named(cls: Any, name: str | None, dump: Callable[[Any], Any] | None = None, load: Callable[[Any], Any] | None = None) -> None:
    """Say how a class is written. ValueError where one of the two functions is missing."""
    if (dump is None) != (load is None):
        raise ValueError(f"Both to_dumpable_context and from_dumpable_context for {cls} must be None or registered.")
    SERIALIZED[cls] = Serialized(name, dump, load)
    if name is not None:
        NAMES[name] = cls


def _dump_namedtuple(cls: Any) -> Any:
    known = SERIALIZED.get(cls)
    if known is None or known.name is None:
        raise NotImplementedError(
            f"Can't serialize TreeSpec of namedtuple class {cls} because we didn't register a serializated_type_name. Please register using `_register_namedtuple`."
        )
    return known.name


def _load_namedtuple(name: Any) -> Any:
    if name not in NAMES:
        raise NotImplementedError(f"Can't deserialize TreeSpec of namedtuple class {name} because we couldn't find a serializated name.")
    return NAMES[name]


def _dump_defaultdict(context: Any) -> Any:
    return {"default_factory_module": context[0].__module__, "default_factory_name": context[0].__qualname__, "dict_context": context[1]}


def _load_defaultdict(found: Any) -> Any:
    return [getattr(importlib.import_module(found["default_factory_module"]), found["default_factory_name"]), found["dict_context"]]


named(tuple, "builtins.tuple")
named(list, "builtins.list")
named(dict, "builtins.dict")
named(namedtuple, "collections.namedtuple", _dump_namedtuple, _load_namedtuple)
named(OrderedDict, "collections.OrderedDict")
named(defaultdict, "collections.defaultdict", _dump_defaultdict, _load_defaultdict)
named(deque, "collections.deque")


class _Encoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        if isinstance(o, enum.Enum):
            return {"__enum__": True, "fqn": f"{type(o).__module__}:{type(o).__qualname__}", "name": o.name}
        return super().default(o)


def _enum(found: dict[str, Any]) -> Any:
    if "__enum__" not in found:
        return found
    module, _, path = found["fqn"].partition(":")
    value: Any = importlib.import_module(module)
    for part in path.split("."):
        value = getattr(value, part)
    return value[found["name"]]


def _write(spec: Any) -> Any:
    if spec.is_leaf():
        return {"type": None, "context": None, "children_spec": []}
    known = SERIALIZED.get(spec.type)
    if known is None:
        raise NotImplementedError(f"Serializing {spec.type} in pytree is not registered.")
    if known.name is None:
        raise NotImplementedError(
            f"No registered serialization name for {spec.type} found. Please update your _register_pytree_node call with a `serialized_type_name` kwarg."
        )
    if known.dump is not None:
        context = known.dump(spec._context)
    else:
        try:
            context = json.dumps(spec._context, cls=_Encoder)
        except TypeError as error:
            raise TypeError(
                "Unable to serialize context. Please make the context json dump-able, or register a custom serializer using _register_pytree_node."
            ) from error
    return {"type": known.name, "context": context, "children_spec": [_write(child) for child in spec._children]}


def dumps(spec: Any, protocol: int | None = None) -> str:
    """The text of a structure. NotImplementedError for classes that were registered without a name, ValueError for another protocol."""
    if (PROTOCOL if protocol is None else protocol) != PROTOCOL:
        raise ValueError(f"Unknown protocol {protocol}. Available protocols: [{PROTOCOL}]")
    return json.dumps((PROTOCOL, _write(spec)))


def loads(text: str, make: Callable[[Any, Any, list[Any]], Any], leaf: Callable[[], Any]) -> Any:
    """The structure of a text: ``make(class, context, children)`` and ``leaf()`` give its nodes."""
    protocol, schema = json.loads(text)
    if protocol != PROTOCOL:
        raise ValueError(f"Unknown protocol {protocol}. Available protocols: [{PROTOCOL}]")

    def read(found: dict[str, Any]) -> Any:
        if found["type"] is None and found["context"] is None and not found["children_spec"]:
            return leaf()
        if found["type"] not in NAMES:
            raise NotImplementedError(f"Deserializing {found['type']} in pytree is not registered.")
        cls = NAMES[found["type"]]
        load = SERIALIZED[cls].load
        context = json.loads(found["context"], object_hook=_enum) if load is None else load(found["context"])
        return make(cls, context, [read(child) for child in found["children_spec"]])

    return read(schema)
