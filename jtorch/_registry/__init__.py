"""The operator record and torch's signatures as data."""

from .guard import Range, Says, Wrong
from .op import OPS, Op, lookup, op
from .signature import REQUIRED, Param, Signature, parse

__all__ = ["OPS", "Op", "lookup", "op", "REQUIRED", "Param", "Range", "Says", "Signature", "Wrong", "parse"]
