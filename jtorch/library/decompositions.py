"""What public functions come to in torch's library where that is not one operator of their own name: ``linear`` is ``t`` and ``addmm``.

Asked while somebody listens to operators only (``dispatching.py``); the functions themselves stay one recorded operator each.
"""

from __future__ import annotations

from . import rules_of_layers, rules_of_numbers, rules_of_views  # noqa: F401 - they declare
from .rules import HIDDEN, RULES
from .rules_of_views import reshape

__all__ = ["HIDDEN", "RULES", "reshape"]
