"""``torch._inductor``: torch's own compiler. XLA stands in its place: settings are kept, what hands over its parts is declined."""

from __future__ import annotations

from typing import Any

from jtorch._compile.options import known_options
from jtorch._errors import not_implemented
from jtorch.compiler import cudagraph_mark_step_begin

from . import config

__all__ = ["aot_compile", "aoti_compile_and_package", "aoti_load_package", "compile", "config", "cudagraph_mark_step_begin", "list_mode_options", "list_options"]


def compile(gm: Any, example_inputs: Any, options: dict[str, Any] | None = None) -> Any:
    """A graph module that is compiled as it runs: itself."""
    return gm


def aot_compile(gm: Any, args: Any, kwargs: Any = None, *, options: Any = None) -> str:
    """A shared library: XLA makes none."""
    not_implemented("torch._inductor.aot_compile", "jax.export writes a program that another process can run")


def aoti_compile_and_package(exported_program: Any, *args: Any, **kwargs: Any) -> str:
    """A package with a shared library: XLA makes none."""
    not_implemented("torch._inductor.aoti_compile_and_package", "jax.export writes a program that another process can run")


def aoti_load_package(path: Any, *args: Any, **kwargs: Any) -> Any:
    """A package with a shared library of torch's: it cannot run here."""
    not_implemented("torch._inductor.aoti_load_package", "jax.export writes a program that another process can run")


def list_mode_options(mode: str | None = None, dynamic: bool | None = None) -> dict[str, Any]:
    """The settings that a mode of ``torch.compile`` changes."""
    modes: dict[str, dict[str, Any]] = {
        "default": {}, "lite": {"fallback_by_default": True}, "reduce-overhead": {"triton.cudagraphs": True},
        "max-autotune-no-cudagraphs": {"max_autotune": True, "coordinate_descent_tuning": True},
        "max-autotune": {"max_autotune": True, "triton.cudagraphs": True, "coordinate_descent_tuning": True},
    }  # fmt: skip
    return modes if mode is None else modes[mode]


def list_options() -> list[str]:
    """The names of the settings."""
    return list(known_options())
