"""The namespaces that the layers fill and read: ``torch``, ``torch.nn.functional``, ``torch.linalg``, ``torch.fft``, ``torch.special``.

Code above ``_core`` is written in torch's own words: ``from jtorch._namespace import torch`` and then ``torch.cat(...)``.
They are real modules, so that ``jtorch/__init__.py`` can publish them as they are.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

torch: Any = ModuleType("torch")
F: Any = ModuleType("torch.nn.functional")
linalg: Any = ModuleType("torch.linalg")
fft: Any = ModuleType("torch.fft")
special: Any = ModuleType("torch.special")
aten: Any = ModuleType("torch.ops.aten")  # operators that torch publishes nowhere else
C_nn: Any = ModuleType("torch._C._nn")  # the operators under torch.nn.functional's Python functions, as torch has them

BY_NAME: dict[str, Any] = {"torch": torch, "nn.functional": F, "linalg": linalg, "fft": fft, "special": special, "_nn": C_nn, "aten": aten}
