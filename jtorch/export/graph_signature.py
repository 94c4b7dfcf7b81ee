"""What the inputs and outputs of an exported graph are."""

from __future__ import annotations

import dataclasses
from enum import Enum, auto
from typing import Any

__all__ = [
    "ConstantArgument", "CustomObjArgument", "ExportBackwardSignature", "ExportGraphSignature", "InputKind", "InputSpec", "OutputKind", "OutputSpec", "SymBoolArgument",
    "SymFloatArgument", "SymIntArgument", "TensorArgument", "TokenArgument",
]  # fmt: skip


@dataclasses.dataclass
class TensorArgument:
    """A tensor, by its name in the graph."""

    name: str


class TokenArgument(TensorArgument): ...


class SymIntArgument(TensorArgument): ...


class SymFloatArgument(TensorArgument): ...


class SymBoolArgument(TensorArgument): ...


@dataclasses.dataclass
class CustomObjArgument:
    """An object of a class of its own."""

    name: str
    class_fqn: str
    fake_val: Any = None


@dataclasses.dataclass
class ConstantArgument:
    """A Python value that is the same in each call."""

    name: str
    value: Any


class InputKind(Enum):
    USER_INPUT = auto()
    PARAMETER = auto()
    BUFFER = auto()
    CONSTANT_TENSOR = auto()
    CUSTOM_OBJ = auto()
    TOKEN = auto()


@dataclasses.dataclass
class InputSpec:
    """An input: its kind, its name in the graph, and where it is in the module."""

    kind: InputKind
    arg: Any
    target: str | None
    persistent: bool | None = None

    def __post_init__(self) -> None:
        if self.kind is InputKind.BUFFER and self.persistent is None:
            raise AssertionError("Failed to specify persistent flag on BUFFER.")

    def __str__(self) -> str:
        target = "" if self.target is None else f" target='{self.target}'"
        persistent = "" if self.persistent is None else f" persistent={self.persistent}"
        return f"{self.arg.name}: {self.kind.name}{target}{persistent}"


class OutputKind(Enum):
    USER_OUTPUT = auto()
    LOSS_OUTPUT = auto()
    BUFFER_MUTATION = auto()
    PARAMETER_MUTATION = auto()
    GRADIENT_TO_PARAMETER = auto()
    GRADIENT_TO_USER_INPUT = auto()
    USER_INPUT_MUTATION = auto()
    TOKEN = auto()


@dataclasses.dataclass
class OutputSpec:
    """An output: its kind, its name in the graph, and what it is the new value of."""

    kind: OutputKind
    arg: Any
    target: str | None

    def __str__(self) -> str:
        return f"{self.arg.name}: {self.kind.name}" + ("" if self.target is None else f" target='{self.target}'")


@dataclasses.dataclass
class ExportBackwardSignature:
    """Which outputs are gradients."""

    gradients_to_parameters: dict[str, str]
    gradients_to_user_inputs: dict[str, str]
    loss_output: str


@dataclasses.dataclass
class ExportGraphSignature:
    """Inputs are parameters, buffers and constants, then what the user gives; outputs are new values of buffers, then what the user gets."""

    input_specs: list[InputSpec]
    output_specs: list[OutputSpec]

    def _inputs(self, *kinds: InputKind) -> list[InputSpec]:
        return [s for s in self.input_specs if s.kind in kinds]

    @property
    def parameters(self) -> tuple[Any, ...]:
        return tuple(s.target for s in self._inputs(InputKind.PARAMETER))

    @property
    def buffers(self) -> tuple[Any, ...]:
        return tuple(s.target for s in self._inputs(InputKind.BUFFER))

    @property
    def non_persistent_buffers(self) -> tuple[Any, ...]:
        return tuple(s.target for s in self._inputs(InputKind.BUFFER) if s.persistent is False)

    @property
    def lifted_tensor_constants(self) -> tuple[Any, ...]:
        return tuple(s.target for s in self._inputs(InputKind.CONSTANT_TENSOR))

    @property
    def lifted_custom_objs(self) -> tuple[Any, ...]:
        return ()

    @property
    def user_inputs(self) -> tuple[Any, ...]:
        return tuple(s.arg.value if isinstance(s.arg, ConstantArgument) else s.arg.name for s in self._inputs(InputKind.USER_INPUT))

    @property
    def user_outputs(self) -> tuple[Any, ...]:
        return tuple(s.arg.value if isinstance(s.arg, ConstantArgument) else s.arg.name for s in self.output_specs if s.kind is OutputKind.USER_OUTPUT)

    @property
    def inputs_to_parameters(self) -> dict[str, Any]:
        return {s.arg.name: s.target for s in self._inputs(InputKind.PARAMETER)}

    @property
    def inputs_to_buffers(self) -> dict[str, Any]:
        return {s.arg.name: s.target for s in self._inputs(InputKind.BUFFER)}

    @property
    def inputs_to_lifted_tensor_constants(self) -> dict[str, Any]:
        return {s.arg.name: s.target for s in self._inputs(InputKind.CONSTANT_TENSOR)}

    @property
    def inputs_to_lifted_custom_objs(self) -> dict[str, Any]:
        return {}

    @property
    def buffers_to_mutate(self) -> dict[str, Any]:
        return {s.arg.name: s.target for s in self.output_specs if s.kind is OutputKind.BUFFER_MUTATION}

    @property
    def parameters_to_mutate(self) -> dict[str, Any]:
        return {s.arg.name: s.target for s in self.output_specs if s.kind is OutputKind.PARAMETER_MUTATION}

    @property
    def user_inputs_to_mutate(self) -> dict[str, Any]:
        return {}

    @property
    def assertion_dep_token(self) -> None:
        return None

    @property
    def backward_signature(self) -> None:
        return None

    def replace_all_uses(self, old: str, new: str) -> None:
        """Another name in the graph."""
        every: list[Any] = [*self.input_specs, *self.output_specs]
        for s in every:
            if getattr(s.arg, "name", None) == old:
                s.arg.name = new

    def get_replace_hook(self, replace_inputs: bool = False) -> Any:
        """For ``GraphModule._set_replace_hook``: names follow nodes that are replaced."""
        return lambda old, new, user: self.replace_all_uses(old.name, new) if user.op == "output" or replace_inputs and old.op == "placeholder" else None

    def __str__(self) -> str:
        return "\n".join(["", "# inputs", *map(str, self.input_specs), "", "# outputs", *map(str, self.output_specs), ""])
