"""jtorch: PyTorch's API and semantics on JAX. ``import jtorch as torch``."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any

import jtorch._api  # noqa: F401  (fills the namespaces)
from jtorch import _public
from jtorch._namespace import torch as _torch

_public.publish()

# Modules that torch imports with itself; order matters only from the bottom up.
_EAGER = (
    "autograd", "random", "linalg", "fft", "special", "nn", "optim",
    "serialization", "utils", "overrides", "version", "backends", "cpu", "cuda", "amp", "storage", "compiler",
)  # fmt: skip
# Imported when first used.
_LAZY = frozenset((
    "__future__", "__config__", "monitor", "nested", "package", "mtia", "classes", "distributions", "distributed", "func", "functional", "masked", "signal", "return_types", "types", "testing", "export", "jit", "hub",
    "multiprocessing", "profiler", "onnx", "sparse", "fx", "quantization", "ao", "library", "futures", "accelerator", "mps", "xpu", "ops", "quasirandom",
))  # fmt: skip

for _name in _EAGER:
    globals()[_name] = _import_module(f"jtorch.{_name}")
    setattr(_torch, _name, globals()[_name])

from jtorch.torch_version import TorchVersion as _TorchVersion  # noqa: E402

__version__ = _TorchVersion("2.13.0")
from jtorch._install import install as install, installed as installed, submodule as _submodule, uninstall as uninstall  # noqa: E402
from jtorch.autograd import Variable as _Variable  # noqa: E402, F401
from jtorch.utils.dlpack import from_dlpack as from_dlpack, to_dlpack as to_dlpack  # noqa: E402
from jtorch.version import jtorch_version as _jtorch_version  # noqa: E402, F401

torch = _public.torch  # `torch.torch`, as there
_public.publish()  # what autocast and others added meanwhile


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext jtorch`` in a notebook: from here on `import torch` means jtorch, and errors show the notebook's lines."""
    from jtorch._traceback import shorten

    install()

    def show(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> None:
        shorten(error)
        shell.showtraceback((kind, error, error.__traceback__), tb_offset=tb_offset)

    ipython.set_custom_exc((Exception,), show)


# Names that torch shows at its root though they are at home in a part that is imported when first used.
_ELSEWHERE = {"vmap": "func", "ScriptModule": "jit", "Future": "futures", "Tag": "library", "cond": "_private.higher_order_ops", "while_loop": "_private.higher_order_ops"}


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        globals()[name] = found = getattr(_import_module(f"jtorch.{_ELSEWHERE[name]}"), name)
        return found
    if name in _LAZY or (name.startswith("_") and not name.startswith("__")):
        found = _submodule(f"torch.{name}")
        if found is not None:
            globals()[name] = found
            return found
        if name in _LAZY:
            raise AttributeError(f"module 'torch' has no attribute '{name}' (jtorch does not implement torch.{name})")
    found = getattr(_torch, name, None)
    if found is None:
        library = _submodule("torch._C")
        if name == "__all__":  # as torch's: what is no module and has no underscore before it
            offered = {n: v for space in (vars(_torch), globals()) for n, v in space.items() if not n.startswith("_") and not isinstance(v, type(_public))}
            return sorted({*offered, *library.published(), *_ELSEWHERE} - {"LoggerBase", "load_ipython_extension", "install", "installed", "uninstall", "annotations", "Any"})
        if name == "set_vital":
            import warnings

            warnings.warn("'set_vital' is deprecated, please do not call", stacklevel=2)
            return lambda *args: None
        if name not in library.published():
            raise AttributeError(f"module 'torch' has no attribute '{name}'")
        globals()[name] = found = getattr(library, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY} - {"annotations", "Any"})


globals().pop("_ops", None)  # jtorch's own floor of this name; as an attribute of torch it is what torch has there
