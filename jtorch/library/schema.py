"""Signatures of operators as torch writes them: ``ns::name.overload(Tensor(a!) self, int[2] size=0, *, Scalar? alpha=None) -> Tensor(a!)``."""

from __future__ import annotations

import re
from typing import Any

from jtorch import _dtypes

from .jit_types import DictType, ListType, OptionalType, TupleType, Type, base_type

__all__ = ["Argument", "AliasInfo", "FunctionSchema", "parse_schema"]

class AliasInfo:
    """Whether an argument is written to, and which others it may share memory with."""

    def __init__(self, is_write: bool, before_set: set[str], after_set: set[str]) -> None:
        self.is_write, self.before_set, self.after_set = is_write, before_set, after_set

    def __str__(self) -> str:
        short = lambda names: "|".join(sorted(n.rpartition("::")[2] for n in names)) or "*"
        text = short(self.before_set) + ("!" if self.is_write else "")
        return f"({text})" if self.before_set == self.after_set else f"({text} -> {short(self.after_set)})"


_NO_DEFAULT: Any = object()


class Argument:
    """A parameter or a result."""

    def __init__(self, name: str, type: Type, default: Any, kwarg_only: bool, alias_info: AliasInfo | None, size: int | None = None) -> None:  # noqa: A002
        self.name, self.type, self.kwarg_only, self.alias_info, self.N = name, type, kwarg_only, alias_info, size
        self._default = default

    @property
    def real_type(self) -> Type:
        return self.type

    @property
    def default_value(self) -> Any:
        return None if self._default is _NO_DEFAULT else self._default

    @property
    def is_out(self) -> bool:
        return self.kwarg_only and self.alias_info is not None and self.alias_info.is_write

    @property
    def is_write(self) -> bool:
        return self.alias_info is not None and self.alias_info.is_write

    def has_default_value(self) -> bool:
        """Whether it may be left out."""
        return self._default is not _NO_DEFAULT

    def __str__(self) -> str:
        text = self.type.in_schema()
        if self.alias_info is not None:  # after the innermost type
            inner = re.match(r"[A-Za-z_]\w*", text)
            at = inner.end() if inner else len(text)
            text = f"{text[:at]}{self.alias_info}{text[at:]}"
        if self.name:
            text += f" {self.name}"
        return text if self._default is _NO_DEFAULT else f"{text}={_shown_default(self._default, self.type)}"

    __repr__ = __str__


def _shown_default(value: Any, kind: Type) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.0f}." if value.is_integer() and abs(value) < 1e16 else f"{value:.17g}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        sized = kind.element if isinstance(kind, OptionalType) else kind
        if isinstance(sized, ListType) and sized.element.name == "int" and sized.size == len(value) > 1 and len(set(value)) == 1:  # said as one number
            return _shown_default(value[0], kind)
        return "[" + ", ".join(_shown_default(v, kind) for v in value) + "]"
    return str(value)


class FunctionSchema:
    """An operator's signature."""

    def __init__(self, name: str, overload_name: str, arguments: list[Argument], returns: list[Argument], is_vararg: bool = False) -> None:
        self.name, self.overload_name, self.arguments, self.returns, self.is_vararg = name, overload_name, arguments, returns, is_vararg
        self._positional = [a for a in arguments if not a.kwarg_only]
        self._by_name = {a.name: a for a in arguments}

    @property
    def is_mutable(self) -> bool:
        """Whether an argument is written to."""
        return any(a.is_write for a in self.arguments)

    def _is_view_op(self) -> bool:
        taken = {n for a in self.arguments if a.alias_info and not a.is_write for n in a.alias_info.before_set}
        return any(r.alias_info is not None and not r.is_write and r.alias_info.before_set & taken for r in self.returns)

    def __str__(self) -> str:
        parts: list[str] = []
        for a in self.arguments:
            if a.kwarg_only and "*" not in parts:
                parts.append("*")
            parts.append(str(a))
        if self.is_vararg:
            parts.append("...")
        out = ", ".join(map(str, self.returns))
        if len(self.returns) != 1 or isinstance(self.returns[0].type, TupleType):
            out = f"({out})"
        return f"{self.name}{'.' + self.overload_name if self.overload_name else ''}({', '.join(parts)}) -> {out}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionSchema) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


_TOKEN = re.compile(r"\s*(->|\.\.\.|::|\"[^\"]*\"|'[^']*'|[A-Za-z_][\w]*|-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|-?\.\d+(?:[eE][-+]?\d+)?|[()\[\],?=!*|.:])")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise RuntimeError(f"unexpected character in schema: {text!r} at {at}")
            self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token != wanted):
            raise RuntimeError(f"\nexpected {wanted or 'something'} but found {token or 'the end'!r} here:\n{self.text}\n")
        self.at += 1
        return token

    def skip(self, token: str) -> bool:
        if self.peek() == token:
            self.at += 1
            return True
        return False

    def schema(self) -> FunctionSchema:
        name = self.take()
        if self.skip("::"):
            name += "::" + self.take()
        overload = self.take() if self.skip(".") else ""
        arguments: list[Argument] = []
        kwarg_only = vararg = False
        self.take("(")
        while not self.skip(")"):
            if self.skip("*"):
                kwarg_only = True
            elif self.skip("..."):
                vararg = True
            else:
                arguments.append(self.argument(kwarg_only))
            if self.peek() != ")":
                self.take(",")
        self.take("->")
        return FunctionSchema(name, overload, arguments, self.returns(), vararg)

    def returns(self) -> list[Argument]:
        if not self.skip("("):
            return [self.result()]
        out = []
        while not self.skip(")"):
            out.append(self.result())
            if self.peek() != ")":
                self.take(",")
        return out

    def result(self) -> Argument:
        kind, alias, size = self.type()
        name = self.take() if self.peek() not in (",", ")", "") else ""
        return Argument(name, kind, _NO_DEFAULT, False, alias, size)

    def argument(self, kwarg_only: bool) -> Argument:
        kind, alias, size = self.type()
        name = self.take()
        default = self.default(kind, size) if self.skip("=") else _NO_DEFAULT
        return Argument(name, kind, default, kwarg_only, alias, size)

    def type(self) -> tuple[Type, AliasInfo | None, int | None]:
        alias, size = None, None
        kind: Type
        if self.skip("("):
            parts = [self.type()[0]]
            while self.skip(","):
                parts.append(self.type()[0])
            self.take(")")
            kind = TupleType(parts)
        else:
            name = self.take()
            if name == "Dict":
                self.take("(")
                key = self.type()[0]
                self.take(",")
                kind = DictType(key, self.type()[0])
                self.take(")")
            else:
                while self.skip("."):  # a class: __torch__.torch.classes.ns.Name
                    name += "." + self.take()
                found = base_type(name)
                if found is None:
                    raise RuntimeError(f"\nUnknown type specifier:\n{self.text}\n{name} <--- HERE\n")
                kind = found
                if self.peek() == "(":
                    alias = self.alias()
        while True:
            if self.skip("?"):
                kind = OptionalType(kind)
            elif self.skip("["):
                size = None if self.peek() == "]" else int(self.take())
                self.take("]")
                kind = ListType(kind, size)
            elif alias is None and self.peek() == "(":  # of the list itself
                alias = self.alias()
            else:
                return kind, alias, size

    def alias(self) -> AliasInfo:
        self.take("(")
        names = lambda: {"alias::" + n for n in self.names()}
        before = names()
        write = self.skip("!")
        after = names() if self.skip("->") else before
        self.take(")")
        return AliasInfo(write, before, after)

    def names(self) -> list[str]:
        out = [self.take()]
        while self.skip("|"):
            out.append(self.take())
        return out

    def default(self, kind: Type, size: int | None) -> Any:
        base = kind.element if isinstance(kind, OptionalType) else kind
        if self.skip("["):
            out = []
            while not self.skip("]"):
                out.append(self.default(base.getElementType() if isinstance(base, ListType) else base, None))
                self.skip(",")
            return out
        token = self.take()
        if token == "None":
            return None
        if token in ("True", "False"):
            return token == "True"
        if token[0] in "\"'":
            return token[1:-1]
        if isinstance(base, ListType):
            one = self.number(token, base.getElementType())
            return [one] * size if size is not None else one
        return self.number(token, base)

    def number(self, token: str, kind: Type) -> Any:
        while self.peek() == ".":  # torch.float32
            self.take(".")
            token = self.take()
        if kind.name == "ScalarType":
            named = getattr(_dtypes, token, None)
            return int(token) if token.isdigit() else token if named is None else named
        if re.fullmatch(r"-?\d+", token):
            return float(token) if str(kind) == "float" else int(token)
        if re.match(r"-?[\d.]", token):
            return float(token)
        return {"Mean": 1, "Sum": 2, "contiguous_format": 0}.get(token, token)


def parse_schema(text: str) -> FunctionSchema:
    """The signature that a text says. RuntimeError if it is none."""
    parser = _Parser(text)
    found = parser.schema()
    if parser.at != len(parser.tokens):
        raise RuntimeError(f"\nexpected the end but found {parser.peek()!r} here:\n{text}\n")
    return found
