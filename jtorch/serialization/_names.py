"""torch's names in a file and jtorch's objects, both ways."""

from __future__ import annotations

import sys
from typing import Any

from jtorch import _dtypes
from jtorch._install import submodule
from jtorch._public import C_nn, F, fft, linalg, special, torch

from ._rebuild import BY_HOME, HOMES
from ._storage import STORAGE_TYPES

_MOVED = {"torch.tensor": "torch._tensor"}

# Modules and classes of torch's C++ part, which files name because functions such as torch.relu and F.gelu have their home there.
_IN_C: dict[str, tuple[Any, str]] = {  # module: (where its functions are here, what their names begin with)
    "torch._C._nn": (F, ""),
    "torch._C._linalg": (linalg, "linalg_"),
    "torch._C._fft": (fft, "fft_"),
    "torch._C._special": (special, "special_"),
    "torch._VF": (torch, ""),
}


def _from_c(module: str, name: str) -> Any:
    if module == "torch._C":
        if name in ("_VariableFunctionsClass", "_VariableFunctions"):
            return torch
        if name in ("TensorBase", "_TensorBase"):
            return torch.Tensor
        return getattr(torch, name)
    space, start = _IN_C[module]
    found = getattr(space, name.removeprefix(start), None)
    return getattr(C_nn, name) if found is None else found


def resolve(module: str, name: str) -> Any:
    """The object of jtorch for a name in a file. AttributeError or ModuleNotFoundError (with torch's path) where there is none."""
    module = _MOVED.get(module, module)
    if (found := BY_HOME.get((module, name))) is not None:
        return found
    if module == "torch" and name in _dtypes.ALL:
        return getattr(torch, name)
    if module in ("torch", "torch.storage", "torch.cuda") and name in STORAGE_TYPES:
        return STORAGE_TYPES[name]
    if module == "torch._C" or module in _IN_C:
        return _from_c(module, name)
    owner = torch if module == "torch" else torch.nn if module == "torch.nn.parameter" else submodule(module)
    if owner is None:
        raise ModuleNotFoundError(f"No module named {module!r} in jtorch; the file refers to {module}.{name}", name=module)
    for part in name.split("."):
        owner = getattr(owner, part)
    return owner


def is_torch_name(module: str) -> bool:
    """Whether the module is torch's."""
    return module == "torch" or module.startswith("torch.")


def is_ours(module: str) -> bool:
    """Whether the module is jtorch's, by its own name or by torch's."""
    return module == "jtorch" or module.startswith("jtorch.") or is_torch_name(module)


def home_of(obj: Any, module: str, name: str) -> tuple[str, str] | None:
    """The module and name by which torch finds what ``obj`` of jtorch stands for; None if it has no name there."""
    try:
        if (known := HOMES.get(obj)) is not None:
            return known
    except TypeError:  # not hashable
        return None
    torchs = module[1:] if module.startswith("jtorch") else module
    public = not _is_private(torchs)
    for place in (torchs,) if public else ("torch", "torch.nn.functional", _public_neighbour(obj, module, name)):
        try:
            if place and resolve(place, name) is obj:
                return place, name
        except (AttributeError, ModuleNotFoundError):
            continue
    return None


def _is_private(module: str) -> bool:
    return any(part.startswith("_") for part in module.split("."))


def _public_neighbour(obj: Any, module: str, name: str) -> str | None:
    """The public module beside or below the private one's package that has the object, the deepest: torch has it there."""
    above = module.split("._", 1)[0] + "."
    found = [path for path, loaded in sys.modules.copy().items() if path.startswith(above) and vars(loaded).get(name) is obj and not _is_private(path)]
    return "t" + max(found, key=lambda path: (path.count("."), path))[2:] if found else None
