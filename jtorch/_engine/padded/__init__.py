"""One program for all sizes of a dim, exact: a jaxpr traced with symbolic dims is evaluated on arrays that are padded to a bucket, and the true sizes are runtime scalars.

Padding may hold anything; each primitive's rule masks it where it could reach a valid element.
"""

from . import contraction, control, indexing, layout, pointwise, reduction  # noqa: F401  they fill the table
from .dims import Frame, Room, is_symbolic, parsed, replaced, shift_of, symbol, symbols_under, value_at
from .table import RULES, NoRule, evaluate, number
from .value import Padded, arrays_of, fit, plain, single, standard, valid, whole

__all__ = ["Frame", "NoRule", "Padded", "RULES", "Room", "arrays_of", "evaluate", "fit", "is_symbolic", "number", "parsed", "plain", "replaced", "shift_of", "single", "standard", "symbol", "symbols_under", "valid", "value_at", "whole"]
