"""``torch.onnx``: models as ONNX files. Nothing that is kept up turns StableHLO or jaxprs into ONNX, so export is declined; the names are for programs that ask
whether they are being exported, and libraries that say how their operators would be."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from typing import Any

from jtorch._errors import not_implemented

from . import symbolic_helper

__all__ = [
    "ExportOptions", "ONNXProgram", "OnnxExporterError", "OperatorExportTypes", "TensorProtoDataType", "TrainingMode", "dynamo_export", "export", "is_in_onnx_export",
    "register_custom_op_symbolic", "symbolic_helper", "unregister_custom_op_symbolic",
]  # fmt: skip


class OnnxExporterError(RuntimeError):
    """A model cannot be exported."""


class OperatorExportTypes(enum.IntEnum):
    """What becomes of operators that ONNX does not have."""

    ONNX, ONNX_ATEN, ONNX_ATEN_FALLBACK, RAW, ONNX_FALLTHROUGH = range(5)


class TrainingMode(enum.IntEnum):
    """In which mode a model is exported."""

    EVAL, PRESERVE, TRAINING = range(3)


class TensorProtoDataType(enum.IntEnum):
    """ONNX's element types."""

    UNDEFINED, FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, STRING, BOOL, FLOAT16, DOUBLE, UINT32, UINT64, COMPLEX64, COMPLEX128, BFLOAT16 = range(17)
    FLOAT8E4M3FN, FLOAT8E4M3FNUZ, FLOAT8E5M2, FLOAT8E5M2FNUZ = range(17, 21)


class ONNXProgram:
    """What an export gives."""


class ExportOptions:
    """How to export."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)


ONNX_ARCHIVE_MODEL_PROTO_NAME = "__MODEL_PROTO"
producer_name, producer_version = "pytorch", "2.13.0"


def is_in_onnx_export() -> bool:
    """Whether a model is being exported."""
    return False


def export(model: Any, args: Any = (), f: Any = None, **options: Any) -> Any:
    """Write a model as ONNX."""
    not_implemented("torch.onnx.export", "nothing that is kept up turns StableHLO into ONNX; jax.export writes StableHLO, which other runtimes read")


def dynamo_export(model: Any, /, *args: Any, **options: Any) -> Any:
    """Likewise."""
    return export(model, args)


_SYMBOLIC: dict[tuple[str, int], Callable[..., Any]] = {}


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Callable[..., Any], opset_version: int) -> None:
    """How an operator would be exported: kept."""
    _SYMBOLIC[symbolic_name, opset_version] = symbolic_fn


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Kept no longer."""
    _SYMBOLIC.pop((symbolic_name, opset_version), None)


def __getattr__(name: str) -> Any:
    if name.startswith("symbolic_opset") or name in ("operators", "ops", "errors", "utils", "verification"):
        globals()[name] = module = _Part(f"torch.onnx.{name}", "Parts of torch's exporter: names that libraries refer to, for when they are exported.")
        return module
    raise AttributeError(f"module 'torch.onnx' has no attribute '{name}'")


class _Part(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "OnnxExporterError":
            return OnnxExporterError

        def call(*args: Any, **kwargs: Any) -> Any:
            not_implemented("torch.onnx.symbolic_*", "there is no export to ONNX")

        call.__name__ = call.__qualname__ = name
        return call
