"""``torch.utils.cpp_extension``: builds operators against torch's C++ library. There is none here to build against: what asks for a build is told so, and a
library that brings such an extension takes the way that it has without one."""

from __future__ import annotations

import os
import shutil
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["CUDAExtension", "CUDA_HOME", "CppExtension", "ROCM_HOME", "include_paths", "is_ninja_available", "library_paths", "load", "load_inline", "verify_ninja_availability"]

_HERE = "jtorch's operators are Python functions of jax arrays: torch.library.custom_op declares one"
CUDA_HOME = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or (lambda nvcc: nvcc and os.path.dirname(os.path.dirname(nvcc)))(shutil.which("nvcc"))
ROCM_HOME = CUDNN_HOME = SYCL_HOME = None
IS_HIP_EXTENSION = False
TORCH_LIB_PATH = ""


def load(name: str, sources: Any, *args: Any, **kwargs: Any) -> Any:
    """Compile C++ sources and import them."""
    not_implemented("torch.utils.cpp_extension.load", _HERE)


def load_inline(name: str, cpp_sources: Any, *args: Any, **kwargs: Any) -> Any:
    """Compile a text of C++ and import it."""
    not_implemented("torch.utils.cpp_extension.load_inline", _HERE)


def CppExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 - torch's name
    """A setuptools extension of C++."""
    not_implemented("torch.utils.cpp_extension.CppExtension", _HERE)


def CUDAExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 - torch's name
    """A setuptools extension of CUDA."""
    not_implemented("torch.utils.cpp_extension.CUDAExtension", _HERE)


def include_paths(device_type: str = "cpu", torch_include_dirs: bool = True) -> list[str]:
    """Folders of headers: none."""
    return []


def library_paths(device_type: str = "cpu", torch_include_dirs: bool = True, cross_target_platform: Any = None) -> list[str]:
    """Folders of libraries: none."""
    return []


def is_ninja_available() -> bool:
    """Whether the ``ninja`` build tool can be run."""
    return shutil.which("ninja") is not None


def verify_ninja_availability() -> None:
    """RuntimeError if it cannot."""
    if not is_ninja_available():
        raise RuntimeError("Ninja is required to load C++ extensions (pip install ninja to get it)")


def __getattr__(name: str) -> Any:
    if name == "BuildExtension":  # setuptools is imported when somebody builds
        from setuptools.command.build_ext import build_ext

        class BuildExtension(build_ext):
            """A build command for such extensions: of anything else, as setuptools' own."""

            @classmethod
            def with_options(cls, **options: Any) -> Any:
                """The command with these options."""
                return type(cls.__name__, (cls,), {"_options": options})

        globals()[name] = BuildExtension
        return BuildExtension
    raise AttributeError(f"module 'torch.utils.cpp_extension' has no attribute '{name}'")
