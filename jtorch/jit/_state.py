"""``torch.jit._state``: whether scripting is on (``PYTORCH_JIT=0`` turns it off), and which of Python's classes were scripted."""

from __future__ import annotations

import os
import weakref
from typing import Any


class EnabledProxy:
    """True or false, by the environment and by :func:`disable` and :func:`enable`."""

    def __init__(self) -> None:
        self.enabled = self.parse_env("PYTORCH_JIT", True, "> Using PyTorch JIT", "> PyTorch JIT DISABLED")

    def parse_env(self, name: str, default: bool, true_message: str, false_message: str) -> bool:
        """What a variable says. ValueError if it is neither yes nor no."""
        value = os.environ.get(name)
        if value is None:
            return default
        if value.lower() in {"1", "true", "yes"}:
            return True
        if value.lower() in {"0", "false", "no"}:
            return False
        if value == "1v":
            print(true_message)
            return True
        if value == "0v":
            print(false_message)
            return False
        raise ValueError(f"Unknown setting of {name}. Try using 0 or 1.")

    def __bool__(self) -> bool:
        return self.enabled


_enabled = EnabledProxy()
_script_classes: dict[type[Any], type[Any]] = {}
_name_to_pyclass: dict[str, type[Any]] = {}
_jit_caching_layer: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def disable() -> None:
    """Turn scripting off."""
    _enabled.enabled = False


def enable() -> None:
    """Turn it on."""
    _enabled.enabled = True


def _get_script_class(python_class: type[Any]) -> Any:
    return _script_classes.get(python_class)


def _get_python_class(qualified_name: str) -> Any:
    return _name_to_pyclass.get(qualified_name)


def _add_script_class(python_class: type[Any], script_class: Any) -> None:
    _script_classes[python_class] = script_class
    _name_to_pyclass[f"{python_class.__module__}.{python_class.__qualname__}"] = python_class


def _clear_class_state() -> None:
    _script_classes.clear()
    _name_to_pyclass.clear()


def _try_get_jit_cached_function(key: Any) -> Any:
    return _jit_caching_layer.get(key)


def _set_jit_function_cache(key: Any, value: Any) -> None:
    _jit_caching_layer[key] = value
