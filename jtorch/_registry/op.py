"""The operator record: one declaration, from which everything else is derived.

    @op("add(Tensor input, Tensor|Scalar other, *, Scalar alpha=1)", promote="default", inplace=True)
    def add(input, other, alpha):
        return input + other * alpha

gives ``torch.add``, ``Tensor.add``, ``Tensor.add_``, ``out=``, the gradient, the trace node and the comparison with torch.
The function is pure JAX: it receives arrays for tensors, Python numbers or 0-dim arrays for runtime scalars, and Python
values for structure, positionally in the order of its own parameters (which are a superset of each overload's).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from .guard import Range
from .signature import Signature, parse

__all__ = ["Op", "op", "OPS", "lookup"]

OPS: dict[str, list[Op]] = {}  # public name (with namespace, "linalg.det") -> overloads in the order torch tries them

FORMATS = ("first", "any", "all", "like", "pointwise", "columns", None)
PROMOTIONS = ("default", "int_to_float", None)
NUMBERS = ("elements", "places", "program")


# Parameters that torch's formulas do not differentiate go by these names, in every operator: places, lengths and choices, unless they are floats, and statistics and draws, whatever they are.
_CHOICES = frozenset("boundaries condition index indices input_lengths lengths mask offsets pivots repeats sorter target target_lengths targets zero_point".split())
_STATISTICS = frozenset(("noise", "running_mean", "running_var"))
_FLOATS = 2  # the category of element types from which on they have gradients


class Op:
    """One operator. ``signatures`` are tried in order; ``calls`` interns its uses by their structure."""

    __slots__ = (
        "name", "signatures", "fn", "where", "promote", "promoted", "inplace", "out", "method", "grad_name", "view",
        "host", "residuals", "data_dependent", "shapes", "elementwise", "aliases", "calls", "fn_params", "doc", "fields", "key", "strides", "runtime_scalars", "apart", "guard", "opmath", "types", "one_way", "numbers_first", "expanded", "format", "fixed", "second", "undefined", "unlinked", "unsaved", "kept", "alone",
        "view_type", "view_flips", "view_from_start", "out_type", "numbers", "fills",
    )  # fmt: skip

    def __init__(self, fn: Callable[..., Any], signatures: tuple[str, ...], **options: Any) -> None:
        self.fn = fn
        self.signatures: tuple[Signature, ...] = tuple(parse(s) for s in signatures)
        self.name = self.signatures[0].name
        self.where: tuple[str, ...] = tuple(options.pop("where", "torch Tensor").split())
        if self.where[0] in ("fft", "linalg", "special"):
            for s in self.signatures:
                object.__setattr__(s, "shown", f"{self.where[0]}_{s.name}")
        self.promote: str | None = options.pop("promote", None)
        if self.promote not in PROMOTIONS:
            raise ValueError(f"{self.name}: promote={self.promote!r} is not one of {PROMOTIONS}")
        self.promoted: tuple[str, ...] | None = options.pop("promoted", None)
        self.inplace: bool | str = options.pop("inplace", False)
        self.out: bool | str = options.pop("out", True)
        self.out_type: bool | str = options.pop("out_type", False)
        self.elementwise: bool = options.pop("elementwise", self.promote is not None)
        self.aliases: tuple[str, ...] = tuple(options.pop("aliases", "").split())
        self.grad_name: str = options.pop("grad_name", None) or _camel(self.name) + "Backward0"
        self.residuals: str = options.pop("residuals", "recompute")
        self.host: Callable[..., Any] | None = options.pop("host", None)
        self.data_dependent: bool = options.pop("data_dependent", False) or "shapes" in options
        self.shapes: Callable[..., list[tuple[tuple[int, ...], Any]]] | None = options.pop("shapes", None)
        self.view: bool = options.pop("view", False)
        self.strides: Callable[..., Any] | None = options.pop("strides", None)
        self.view_type: Callable[..., Any] | None = options.pop("view_type", None)
        self.view_flips: Callable[[int], int] | None = options.pop("view_flips", None)
        self.view_from_start: bool = options.pop("view_from_start", False)
        self.runtime_scalars: bool = options.pop("runtime_scalars", False)
        self.fills: str = options.pop("fills", "")
        self.apart: bool | str = options.pop("apart", False)
        self.opmath: bool = options.pop("opmath", False)
        self.guard: Callable[..., Sequence[Range]] | None = options.pop("guard", None)
        self.types: Callable[..., None] | None = options.pop("types", None)
        self.one_way: str | None = options.pop("one_way", None)
        self.numbers_first: tuple[Signature, ...] = tuple(parse(s) for s in options.pop("numbers_first", ()))
        self.format: str | Callable[..., Any] | None = options.pop("format", None)
        if self.format not in FORMATS and not callable(self.format):
            raise ValueError(f"{self.name}: format={self.format!r} is not one of {FORMATS}")
        self.expanded: bool | str = options.pop("expanded", False)
        self.fixed: dict[str, str] = options.pop("fixed", {})
        self.unlinked: bool = options.pop("unlinked", False)
        self.second: str | Callable[[dict[str, Any]], str] = options.pop("second", "")
        self.undefined: Callable[[dict[str, Any]], bool] | None = options.pop("undefined", None)
        unsaved = options.pop("unsaved", "")
        self.unsaved: frozenset[str] | Callable[[dict[str, Any], Any], str] = unsaved if callable(unsaved) else frozenset(unsaved.split())
        self.kept: str | Callable[[dict[str, Any], Any, Any], str] = options.pop("kept", "")
        self.alone: bool = options.pop("alone", False)
        if self.second == "zeros":
            self.second = self.grad_name if self.grad_name[-1] != "0" else self.grad_name[:-1] + "Backward0"
        places = any(p.kind in ("index", "index[]") for s in self.signatures for p in s.params)
        self.numbers: str = options.pop("numbers", "places" if places else "elements")
        if self.numbers not in NUMBERS:
            raise ValueError(f"{self.name}: numbers={self.numbers!r} is not one of {NUMBERS}")
        if options:
            raise TypeError(f"{self.name}: unknown options {sorted(options)}")
        self.fields = self.signatures[0].fields
        self.fn_params = tuple(inspect.signature(fn).parameters.values())
        known = {p.name for p in self.fn_params}
        if not callable(self.unsaved) and (strange := self.unsaved - known):
            raise ValueError(f"{self.name}: unsaved names no parameters {sorted(strange)}")
        if isinstance(self.kept, str) and (strange := frozenset(re.findall(r"(?<!\[)\b\w+", self.kept)) - known - {"result", "result0", "result1", "result2", *(self.fields or ())}):
            raise ValueError(f"{self.name}: kept names no parameters or results {sorted(strange)}")
        for s in self.signatures:
            if extra := [p.name for p in s.params if p.name not in known]:
                raise ValueError(f"{self.name}: the function has no parameters {extra}")
        self.calls: dict[Any, Any] = {}
        self.doc = inspect.getdoc(fn) or ""
        self.key = f"{fn.__module__.rpartition('.')[2]}.{fn.__qualname__}"

    def leaves_out(self, name: str, category: int = 0) -> bool:
        """Whether torch's formula has nothing for the tensor of this name, whose element type is of this category."""
        return name in self.fixed or name in _STATISTICS or (name in _CHOICES and category < _FLOATS)

    def unsaved_of(self, structure: Callable[[], dict[str, Any]], inputs: Any) -> frozenset[str]:
        """Which tensors torch's formula does not keep though this engine's backward reads them, for a call of this structure with inputs of these avals."""
        return frozenset(self.unsaved(structure(), inputs).split()) if callable(self.unsaved) else self.unsaved

    def __repr__(self) -> str:
        return f"<Op {self.name}>"


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def op(*signatures: str, **options: Any) -> Callable[[Callable[..., Any]], Op]:
    """Declare an operator (see the module's text). Options, all keyword:

    where:      namespaces that carry it: ``"torch Tensor"`` (default), ``"torch"``, ``"Tensor"``, ``"nn.functional"``,
                ``"linalg"``, ``"fft"``, ``"special"``, ``"internal"`` (none: a building block, reached by ``lookup``), or several.
    promote:    how inputs are brought to one type before the function sees them: ``"default"`` (torch's promotion),
                ``"int_to_float"`` (and then integers and bools to the default float), None (the function sees the arrays as
                they are). Comparisons use "default" and return bool.
    promoted:   names of the parameters that take part; default: every ``Tensor``, ``Tensor?``, ``Tensor|Scalar`` and ``Tensor[]``.
    inplace:    also give ``name_`` (the method, and ``torch.name_`` where ``where`` has "torch"). A text: the same, and that
                RuntimeError for a complex target.
    out:        the function takes ``out=`` (default True for namespaces other than nn.functional). ``"exact"``: the out tensor must have the result's
                type; a text with {0} and {1} (the types' names): the same, with that message.
    out_type:   what it writes decides in which type it computes: ``dtype`` is the ``out=`` tensor's unless given, and in place only ``dtype``s of the
                target's own kind are taken. A text: the same, and of real inputs an ``out=`` of integers is refused, by the kernel of this name.
    view:       the result shares memory with the first input; ``strides`` is the layout's arithmetic (``_ops/views.py`` has all of it).
    view_type:  the element type of the view: a function of the input's and of the view's arguments, which raises torch's error if there is none (default: the input's).
    view_flips: what the view makes of the bits that say how elements differ from what is in memory (1: conjugated, 2: of the other sign); raises torch's error
                for those that it refuses (default: they stay).
    view_from_start: the offset among its arguments counts from the storage's first element, not from the input's.
    elementwise: the result is laid out as its inputs are (default: promote is given).
    format:     how the result lies in memory where it is not elementwise: in channels_last if the ``"first"`` tensor does, if the first or second does
                (``"any"``, images only), if ``"all"`` do; ``"like"`` the first tensor; as of an elementwise operator if the shapes are the same (``"pointwise"``);
                matrices column by column, as LAPACK writes them and nonzero does (``"columns"``). Or a function of (the result's shape, the inputs' strides and shapes, and the
                structure by name) that gives strides, None for contiguous, or one of these words.
    aliases:    further public names, ``"absolute special.foo"``; a bare name goes to the same namespaces.
    grad_name:  ``grad_fn``'s class name where it is not ``<Camel>Backward0``.
    residuals:  ``"recompute"`` (default: backward recomputes cheap intermediates from the inputs) or ``"save"`` (the forward
                keeps jax.vjp's residuals as hidden outputs: scans, decompositions, expensive transcendental functions).
    host:       a numpy function with the same parameters, used when all inputs are still host arrays (data loading).
    runtime_scalars: the scalars are expected to change from call to call (an optimizer's step count): never constants.
    numbers:    what a runtime scalar is that has not changed yet, and so stands in the program: ``"elements"`` (default: computed with, so XLA must not
                take it apart from what it would do with an input), ``"places"`` (default where a parameter is an ``index``: XLA may know them), or
                ``"program"`` (XLA is to see the number: it has another way for each).
    fills:      the result is one number everywhere, which numpy writes as torch does for element types of these kinds (numpy's letters).
    guard:      the ranges that values must be in (``guard.py``), as a function of the same parameters. It sees shapes and structure alone, once
                for each; the values are checked where they are on the host, and by a node of the trace where they are not.
    opmath:     beside a half tensor, a number or 0-dim tensor on the right is not rounded to half first: the function sees float32, its result is rounded.
    unsaved:    names of tensors that torch's formula does not keep (it has the result, places or sizes) where this engine's backward reads them:
                writing them in place before going backward is no error. Or a function of (structure by name, the inputs' avals) that gives that.
    kept:       names of tensors that torch's formula keeps (``result``, ``result1`` or a result's name, too) where this engine's backward does not read them: writing
                them in place before going backward is an error. ``a:b`` is kept for the gradient of ``b`` alone, ``a[0]`` is the first of a list.
                Or a function of (structure by name, the inputs' avals, the results') that gives that.
    alone:      where not all results have a gradient, only those that have one are differentiated: the others' derivative may be infinite, and nothing times that nan.
    one_way:    the error of a backward through the in-place form, where the second argument is a negative number (the result does not tell the input then).
    types:      a function of the operands' element types before they are brought to one, to refuse some.
    fixed:      the tensors that must not require grad, each with the kernel that torch's error names.
    unlinked:   in place, it leaves the history of what it writes as it was (torch's logical operators), and takes a leaf.
    second:     where torch's derivative is an operator of its own that takes the inputs though it is flat in them: ``"zeros"`` (or the name of its node),
                the gradient's gradients with respect to them are zeros, not None; ``"of nothing"``: so it is where an input has no elements, of which JAX computes nothing; a sentence: going back through the gradient is that error.
    undefined:  a function of the structure by name: whether torch's formula gives no gradient at all then, so that a leaf's ``.grad`` stays None.
    apart:      ``out=`` must share no memory with the inputs (elementwise operators may write into the very tensor that they read). ``"resized"``: that is looked at when an ``out=`` of another
                shape has got its size, not before.
    numbers_first: torch's deprecated overloads, whose numbers stand among the tensors and are positional; the errors never show them.
    expanded:   in place and as ``out=``, it may write a tensor whose elements share places in memory (what it writes last stays); "numbers": given numbers alone.
    data_dependent: the result's shape depends on values: the inputs are computed first and the function, given numpy
                arrays, returns numpy arrays; never recorded, never differentiated.
    shapes:     such a function, where the results' shapes and numpy types do not depend on values; this gives them: inside JAX's transformations the host is called back.
    """

    def declare(fn: Callable[..., Any]) -> Op:
        record = Op(fn, signatures, **options)
        names = [record.name, *record.aliases]
        for name in names:
            for space in ("",) if "." in name else record.where:
                public = name if not space else f"{space}.{name}"
                OPS.setdefault(public, []).append(record)
        return record

    return declare


def lookup(name: str) -> Op:
    """The first operator declared under a public name: ``lookup("torch.add")``. KeyError if there is none."""
    return OPS[name][0]
