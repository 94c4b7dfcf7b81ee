"""Operators on values that lie on a grid of devices, derived from their functions: which dims can be cut (``factors.py``), what the choice is (``choice.py``), what each
process then computes of its part (``parts.py``), and the entries of such calls (``entries.py``).

It may import ``recording`` and ``values``.
"""

from . import entries  # noqa: F401  (gives the recording its entries)
