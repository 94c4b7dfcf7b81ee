"""TorchScript's types, ``torch.IntType.get()``, ``torch.ListType(torch.TensorType.get())``: what signatures of operators and annotations of scripted code are made of."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AnyType", "AwaitType", "BoolType", "ClassType", "ComplexType", "DeviceObjType", "DictType", "EnumType", "FloatType", "FutureType", "InferredType",
    "IntType", "InterfaceType", "ListType", "NoneType", "NumberType", "OptionalType", "PyObjectType", "RRefType", "StreamObjType", "StringType", "SymBoolType",
    "SymIntType", "TensorType", "TupleType", "Type", "UnionType", "base_type",
]  # fmt: skip


class Type:
    """A type. Types are equal where a schema writes them alike."""

    name = "?"  # as a schema writes it
    shown: Any = None  # as ``str`` does, where that is another word
    _one: dict[type, Type] = {}

    def __new__(cls, *args: Any) -> Any:
        if cls is Type:
            raise TypeError("torch._C.Type: No constructor defined!")
        return super().__new__(cls)

    @classmethod
    def get(cls) -> Any:
        """The one type of its kind, of those without parts."""
        if cls not in Type._one:
            Type._one[cls] = object.__new__(cls)
        return Type._one[cls]

    def kind(self) -> str:
        """``TensorType``, ``IntType``, ..."""
        return type(self).__name__

    def str(self) -> Any:
        """As text."""
        return self.__str__()

    @property
    def annotation_str(self) -> Any:
        return self.__str__()

    def in_schema(self) -> Any:
        """As a schema writes it."""
        return self.name

    def containedTypes(self) -> list[Type]:  # noqa: N802 - torch's name
        """Its parts."""
        return []

    def is_interface_type(self) -> bool:
        """Whether it is TorchScript's interface."""
        return False

    def __str__(self) -> Any:
        return self.shown or self.name

    def __repr__(self) -> Any:
        return self.__str__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.in_schema() == other.in_schema()

    def __hash__(self) -> int:
        return hash(self.in_schema())

    def isSubtypeOf(self, other: Type) -> bool:  # noqa: N802 - torch's name
        """Whether every value of it is one of the other too."""
        if self == other or isinstance(other, AnyType):
            return True
        if isinstance(self, UnionType):
            return all(t.isSubtypeOf(other) for t in self.containedTypes())
        if isinstance(other, OptionalType):
            return isinstance(self, NoneType) or (self.element if isinstance(self, OptionalType) else self).isSubtypeOf(other.element)
        if isinstance(other, UnionType):
            return any(self.isSubtypeOf(t) for t in other.containedTypes())
        if isinstance(other, NumberType):
            return isinstance(self, (IntType, FloatType, ComplexType))
        if isinstance(self, TupleType) and isinstance(other, TupleType):
            return len(self.parts) == len(other.parts) and all(a.isSubtypeOf(b) for a, b in zip(self.parts, other.parts, strict=True))
        return False


class TensorType(Type):
    """A tensor; one that was traced also says of what size and type."""

    name = "Tensor"

    def __init__(self, dtype: Any = None, sizes: tuple[int, ...] | None = None, strides: tuple[int, ...] | None = None, device: Any = None, requires_grad: bool = False) -> None:
        self._of = (dtype, sizes, strides, device, requires_grad)

    def __new__(cls, *args: Any) -> Any:
        return object.__new__(cls)

    def _told(self, at: int) -> Any:
        return self.__dict__.get("_of", (None,) * 5)[at]

    @classmethod
    def create_from_tensor(cls, tensor: Any) -> TensorType:
        """The type of a tensor as it is."""
        return cls(tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()), tensor.device, tensor.requires_grad)

    def sizes(self) -> list[int] | None:
        """The shape, if it is known."""
        return None if self._told(1) is None else list(self._told(1))

    varyingSizes = symbolic_sizes = sizes  # noqa: N815 - torch's names

    def strides(self) -> list[int] | None:
        """The strides, if they are known."""
        return None if self._told(2) is None else list(self._told(2))

    def dim(self) -> int | None:
        """How many dims, if it is known."""
        return None if self._told(1) is None else len(self._told(1))

    def dtype(self) -> Any:
        """The elements' type, if it is known."""
        return self._told(0)

    def scalarType(self) -> Any:  # noqa: N802 - torch's name
        """The elements' type as C++ calls it, if it is known."""
        return None if self._told(0) is None else self._told(0).legacy

    def device(self) -> Any:
        """Where it is, if that is known."""
        return self._told(3)

    def requires_grad(self) -> bool:
        """Whether a gradient is asked for."""
        return bool(self._told(4))

    def with_sizes(self, sizes: Any) -> TensorType:
        """The same of another shape."""
        of = self.__dict__.get("_of", (None,) * 5)
        return TensorType(of[0], tuple(sizes), None, of[3], bool(of[4]))

    def with_dtype(self, dtype: Any) -> TensorType:
        """The same of another element type."""
        return TensorType(dtype, *self.__dict__.get("_of", (None,) * 5)[1:])

    def with_device(self, device: Any) -> TensorType:
        """The same elsewhere."""
        of = self.__dict__.get("_of", (None,) * 5)
        return TensorType(of[0], of[1], of[2], device, bool(of[4]))


def _plain(cls_name: str, name: str, shown: str | None = None) -> type[Type]:
    return type(cls_name, (Type,), {"name": name, "shown": shown, "__doc__": f"``{shown or name}``.", "__module__": __name__})


AnyType, BoolType, FloatType, IntType = _plain("AnyType", "Any"), _plain("BoolType", "bool"), _plain("FloatType", "float"), _plain("IntType", "int")
ComplexType, StringType, NoneType = _plain("ComplexType", "complex"), _plain("StringType", "str"), _plain("NoneType", "NoneType")
NumberType, SymIntType, SymBoolType = _plain("NumberType", "Scalar", "number"), _plain("SymIntType", "SymInt", "int"), _plain("SymBoolType", "SymBool", "bool")
DeviceObjType, StreamObjType, PyObjectType = _plain("DeviceObjType", "Device"), _plain("StreamObjType", "Stream"), _plain("PyObjectType", "PyObject")
SymFloatType, GeneratorType = _plain("SymFloatType", "SymFloat", "float"), _plain("GeneratorType", "Generator")


class _Of(Type):
    """A type of one other."""

    word = "?"

    def __init__(self, element: Type) -> None:
        self.element = element

    def getElementType(self) -> Type:  # noqa: N802 - torch's name
        """What it is of."""
        return self.element

    def containedTypes(self) -> list[Type]:  # noqa: N802 - torch's name
        """Likewise, as a list."""
        return [self.element]

    def in_schema(self) -> Any:
        """As a schema writes it."""
        return f"{self.word}({self.element.in_schema()})"

    def __str__(self) -> Any:
        return f"{self.word}[{self.element}]"


class OptionalType(_Of):
    """Or None."""

    word = "Optional"

    @staticmethod
    def ofTensor() -> OptionalType:  # noqa: N802 - torch's name
        """A tensor or None."""
        return OptionalType(TensorType.get())

    def in_schema(self) -> Any:
        """With a question mark."""
        return f"{self.element.in_schema()}?"


class ListType(_Of):
    """A list, perhaps of a size: one number then stands for that many."""

    word = "List"

    def __init__(self, element: Type, size: int | None = None) -> None:
        super().__init__(element)
        self.size = size

    def in_schema(self) -> Any:
        """With brackets."""
        return f"{self.element.in_schema()}[{'' if self.size is None else self.size}]"


for _name, _element in (("Tensors", TensorType), ("Ints", IntType), ("Floats", FloatType), ("Bools", BoolType), ("Strings", StringType), ("ComplexDoubles", ComplexType)):
    setattr(ListType, f"of{_name}", staticmethod(lambda element=_element: ListType(element.get())))


class FutureType(_Of):
    """What will be one."""

    word = "Future"


class RRefType(_Of):
    """One that is elsewhere."""

    word = "RRef"


class AwaitType(_Of):
    """What is computed when it is asked for."""

    word = "Await"


class TupleType(Type):
    """Several types."""

    def __init__(self, parts: list[Type]) -> None:
        self.parts = parts

    def elements(self) -> list[Type]:
        """Its parts."""
        return self.parts

    containedTypes = elements  # noqa: N815 - torch's name

    def in_schema(self) -> Any:
        """In parentheses."""
        return f"({', '.join(p.in_schema() for p in self.parts)})"

    def __str__(self) -> Any:
        return f"Tuple[{', '.join(map(str, self.parts))}]"


class UnionType(TupleType):
    """One of several."""

    containedTypes = TupleType.elements  # noqa: N815 - torch's name

    def in_schema(self) -> Any:
        """As Python writes it, in any order."""
        return f"Union[{', '.join(sorted(p.in_schema() for p in self.parts))}]"

    def __str__(self) -> Any:
        return f"Union[{', '.join(map(str, self.parts))}]"


class DictType(Type):
    """Keys to values."""

    def __init__(self, key: Type, value: Type) -> None:
        self.key, self.value = key, value

    def getKeyType(self) -> Type:  # noqa: N802 - torch's name
        """Of the keys."""
        return self.key

    def getValueType(self) -> Type:  # noqa: N802 - torch's name
        """Of the values."""
        return self.value

    def containedTypes(self) -> list[Type]:  # noqa: N802 - torch's name
        """Both."""
        return [self.key, self.value]

    def in_schema(self) -> Any:
        """As a schema writes it."""
        return f"Dict({self.key.in_schema()}, {self.value.in_schema()})"

    def __str__(self) -> Any:
        return f"Dict[{self.key}, {self.value}]"


class _Named(Type):
    """A type that a program has made."""

    def __init__(self, name: str) -> None:
        self.name = name

    def qualified_name(self) -> str:
        """Its full name."""
        return self.name


class ClassType(_Named):
    """TorchScript's class."""


class EnumType(_Named):
    """An enumeration."""


class InterfaceType(_Named):
    """TorchScript's interface."""

    def is_interface_type(self) -> bool:
        """It is one."""
        return True


class InferredType:
    """A type that was found for a value, or why none was."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def success(self) -> bool:
        """Whether there is one."""
        return isinstance(self._found, Type)

    def type(self) -> Any:
        """The type."""
        return self._found

    def reason(self) -> Any:
        """Why there is none."""
        return "" if self.success() else self._found


_SHOWN = {"ScalarType": "int", "Layout": "int", "MemoryFormat": "int"}
_BASE = {t.name: t for t in (
    TensorType, AnyType, BoolType, FloatType, IntType, ComplexType, StringType, NoneType, NumberType, SymIntType, SymBoolType, SymFloatType, DeviceObjType,
    StreamObjType, PyObjectType, GeneratorType,
)}  # fmt: skip
_OTHERS = {
    "ScalarType", "Layout", "MemoryFormat", "Storage", "Dimname", "QScheme", "ConstQuantizerPtr", "AnyEnumType", "Future", "DeviceIndex", "number", "t", "t1",
    "t2", "tVal", "T",
}  # fmt: skip


class _Word(Type):
    """A type that only schemas name."""

    def __init__(self, name: str) -> None:
        self.name, self.shown = name, _SHOWN.get(name)

    def kind(self) -> str:
        """After the word."""
        shown = str(self)
        return shown[:1].upper() + shown[1:] + "Type"


def base_type(name: str) -> Type | None:
    """The type without parts that a schema calls so; None if there is none."""
    if name in _BASE:
        return _BASE[name].get()  # type: ignore[no-any-return]
    return ClassType(name) if name.startswith("__torch__") else _Word(name) if name in _OTHERS else None
