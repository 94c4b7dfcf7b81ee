"""jtorch: PyTorch's API and semantics on JAX. ``import jtorch as torch``."""

from __future__ import annotations

import sys as _sys

if _sys.version_info < (3, 11):  # noqa: UP036 - of a checkout; installers look at what the wheel says
    raise ImportError("jtorch needs Python 3.11 or newer, and this is Python " + ".".join(map(str, _sys.version_info[:2])))

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import Any

from jtorch._install import install as install, installed as installed, submodule as _submodule, uninstall as uninstall
from jtorch._namespace import torch as _torch

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


def _fill() -> None:
    """Import what belongs to torch's root, and show it here."""
    names = globals()
    for part in [path for path in _sys.modules if path.startswith("jtorch.") and path.count(".") == 1]:
        names[part[7:]] = _sys.modules[part]  # imported before this package was imported once more
    _import_module("jtorch._api")  # fills the namespaces
    public = _import_module("jtorch._public")
    public.publish()
    for name in _EAGER:
        names[name] = _import_module(f"jtorch.{name}")
        setattr(_torch, name, names[name])
    from jtorch.autograd import Variable
    from jtorch.torch_version import TorchVersion
    from jtorch.utils.dlpack import from_dlpack, to_dlpack
    from jtorch.version import jtorch_version

    names.update(__version__=TorchVersion("2.13.0"), _Variable=Variable, _jtorch_version=jtorch_version, from_dlpack=from_dlpack, to_dlpack=to_dlpack)
    names["torch"] = public.torch  # `torch.torch`, as there
    public.publish()  # what autocast and others added meanwhile
    public.cite()
    names.pop("_ops", None)  # jtorch's own floor of this name; as an attribute of torch it is what torch has there


def _begin() -> None:
    """:func:`_fill`, which makes hundreds of thousands of objects that stay. The collector does not go through them meanwhile, nor ever again: a full round took a fifth of a second, in the middle of
    a program's first steps."""
    import gc

    collects = gc.isenabled()
    gc.disable()
    try:
        _fill()
    finally:
        if collects:
            gc.enable()
    if collects:
        gc.freeze()


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

_OWN = frozenset(("cache", "interop"))  # modules that torch does not have, imported when first used


def __getattr__(name: str) -> Any:
    if name in _OWN:
        return _import_module(f"jtorch.{name}")
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
    if name == "Storage":  # that of the default type, whatever it is now
        return _import_module("jtorch.storage").LEGACY[_torch.get_default_dtype().name]
    found = getattr(_torch, name, None)
    if found is None:
        library = _submodule("torch._C")
        if name == "__all__":  # as torch's: what is no module and has no underscore before it
            offered = {n: v for space in (vars(_torch), globals()) for n, v in space.items() if not n.startswith("_") and not isinstance(v, _ModuleType)}
            return sorted({*offered, *library.published(), *_ELSEWHERE} - {"LoggerBase", "load_ipython_extension", "install", "installed", "uninstall", "annotations", "Any"})
        if name == "set_vital":
            import warnings

            warnings.warn("'set_vital' is deprecated, please do not call", stacklevel=2)
            return lambda *args: None
        if name.startswith("_") and not name.startswith("__") and "__version__" in globals():  # an operator of torch's library that is none here: it is refused when it is called
            refused = _import_module("jtorch.library.aten").refused(name, root=True)
            if refused is not None:
                return refused
        if name not in library.published():
            raise AttributeError(f"module 'torch' has no attribute '{name}'")
        globals()[name] = found = getattr(library, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY} - {"annotations", "Any"})


# `python -m jtorch` comes by here on its way to `__main__`, before it is known whether the program will ask for torch at all: the package is then imported once more.
if not (_sys.argv[:1] == ["-m"] and _sys.orig_argv[-len(_sys.argv)] in ("jtorch", "-mjtorch")):
    _begin()
