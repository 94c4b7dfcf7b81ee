"""``torch.ao.quantization.qconfig_mapping``: which configuration goes to which modules and functions."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

__all__ = ["QConfigMapping"]

_KEYS = {
    "object_type": "object_type_qconfigs", "module_name_regex": "module_name_regex_qconfigs", "module_name": "module_name_qconfigs",
    "module_name_object_type_order": "module_name_object_type_order_qconfigs",
}  # fmt: skip


class QConfigMapping:
    """From operators and modules to configurations; what stands later here goes before: global, by type, by a pattern of names, by name, by place."""

    def __init__(self) -> None:
        self.global_qconfig: Any = None
        self.object_type_qconfigs: OrderedDict[Any, Any] = OrderedDict()
        self.module_name_regex_qconfigs: OrderedDict[str, Any] = OrderedDict()
        self.module_name_qconfigs: OrderedDict[str, Any] = OrderedDict()
        self.module_name_object_type_order_qconfigs: OrderedDict[tuple[str, Any, int], Any] = OrderedDict()

    def set_global(self, global_qconfig: Any) -> QConfigMapping:
        """The configuration of what nothing else is said of."""
        self.global_qconfig = global_qconfig
        return self

    def set_object_type(self, object_type: Any, qconfig: Any) -> QConfigMapping:
        """That of a class of modules, a function or a method's name."""
        self.object_type_qconfigs[object_type] = qconfig
        return self

    def set_module_name_regex(self, module_name_regex: str, qconfig: Any) -> QConfigMapping:
        """That of modules whose names match."""
        self.module_name_regex_qconfigs[module_name_regex] = qconfig
        return self

    def set_module_name(self, module_name: str, qconfig: Any) -> QConfigMapping:
        """That of one module."""
        self.module_name_qconfigs[module_name] = qconfig
        return self

    def set_module_name_object_type_order(self, module_name: str, object_type: Any, index: int, qconfig: Any) -> QConfigMapping:
        """That of the ``index``-th use of a type in a module."""
        self.module_name_object_type_order_qconfigs[(module_name, object_type, index)] = qconfig
        return self

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for name in ("global_qconfig", *_KEYS.values()):
            found = getattr(self, name)
            lines.append(f" {name}" + ("\n" + "\n".join(f"  {k}: {v}" for k, v in found.items()) if isinstance(found, OrderedDict) and found else f"\n  {found}"))
        return "\n".join(lines) + "\n)"

    def to_dict(self) -> dict[str, Any]:
        """As torch's dictionary of configurations."""
        found: dict[str, Any] = {"": self.global_qconfig}
        for key, name in _KEYS.items():
            found[key] = [(*(k if isinstance(k, tuple) else (k,)), v) for k, v in getattr(self, name).items()]
        return found

    @classmethod
    def from_dict(cls, qconfig_dict: dict[str, Any]) -> QConfigMapping:
        """From such a dictionary."""
        made = cls()
        if "" in qconfig_dict:
            made.set_global(qconfig_dict[""])
        for key, name in _KEYS.items():
            for *what, qconfig in qconfig_dict.get(key, []):
                getattr(made, name)[what[0] if len(what) == 1 else tuple(what)] = qconfig
        return made
