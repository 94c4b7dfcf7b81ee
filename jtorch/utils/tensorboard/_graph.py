"""A model as a graph that TensorBoard draws: the operators of one forward pass, in boxes by module."""

from __future__ import annotations

from typing import Any

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.config_pb2 import RunMetadata
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.step_stats_pb2 import DeviceStepStats, StepStats
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

from jtorch._public import torch
from jtorch.overrides import TorchFunctionMode

_PRODUCER = 22  # the version of the graph format


def _leaves(value: Any) -> list[Any]:
    """The tensors in nested containers."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [tensor for part in value for tensor in _leaves(part)]


class _Recorder(TorchFunctionMode):
    """Notes every torch function that the model calls, by the module that calls it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.nodes: list[NodeDef] = []
        self.source: dict[int, str] = {}  # id of a tensor -> name of the node that gave it
        self.kept: list[Any] = []  # so that no id is used twice
        self.scopes = [type(model).__name__]
        self.count = 0
        self.modules = dict(_named(model))
        self.parameters = {id(p): (name, leaf) for module in model.modules() for leaf, p in _own(module) for name in [self.modules.get(id(module))]}

    def add(self, name: str, op: str, inputs: list[str], tensor: Any = None, attributes: str = "{}") -> str:
        """One node."""
        attr = {"attr": AttrValue(s=attributes.encode())}
        if tensor is not None:
            shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in tensor.shape])
            attr["_output_shapes"] = AttrValue(list=AttrValue.ListValue(shape=[shape]))
        self.nodes.append(NodeDef(name=name, op=op, input=inputs, attr=attr))
        return name

    def number(self) -> int:
        """A number for a node that has no name of its own."""
        self.count += 1
        return self.count

    def name_of(self, tensor: Any) -> str:
        """The node that a tensor comes from: a parameter's or a constant's is made when it is first read."""
        name = self.source.get(id(tensor))
        if name is None:
            if id(tensor) in self.parameters:
                scope, leaf = self.parameters[id(tensor)]
                name = self.add(f"{scope}/{leaf}/{leaf}", "prim::GetAttr", [], tensor, f"{{ name :  {leaf} }}")
            else:
                name = self.add(f"{self.scopes[-1]}/{self.number()}", "prim::Constant", [], tensor)
            self.give(tensor, name)
        return name

    def give(self, tensor: Any, name: str) -> None:
        """Note that a tensor comes from a node."""
        self.source[id(tensor)] = name
        self.kept.append(tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = _leaves(args) + _leaves(kwargs)
        result = func(*args, **kwargs)
        outputs = _leaves(result)
        op = getattr(func, "__name__", "function")
        if not outputs or op in ("__get__", "__set__"):
            return result
        if op.startswith("__") and op.endswith("__"):
            op = op.strip("_")
        reads = [self.name_of(tensor) for tensor in inputs]
        name = self.add(f"{self.scopes[-1]}/{self.number()}", f"aten::{op}", reads, outputs[0])
        for tensor in outputs:
            self.give(tensor, name)
        return result

    def enter(self, module: Any, inputs: Any) -> None:
        """A module's forward begins."""
        self.scopes.append(self.modules.get(id(module), type(module).__name__))

    def leave(self, module: Any, inputs: Any, output: Any) -> None:
        """A module's forward ends."""
        self.scopes.pop()


def _named(model: Any) -> list[tuple[int, str]]:
    """id of each module and its scope, as ``Net/Sequential[layers]/Linear[0]``."""
    scopes = {"": type(model).__name__}
    found = []
    for path, module in model.named_modules():
        if path:
            parent, _, leaf = path.rpartition(".")
            scopes[path] = f"{scopes[parent]}/{type(module).__name__}[{leaf}]"
        found.append((id(module), scopes[path]))
    return found


def _own(module: Any) -> list[tuple[str, Any]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def graph(model: Any, args: Any, verbose: bool = False, use_strict_trace: bool = True) -> tuple[GraphDef, RunMetadata]:
    """The graph of one forward pass in evaluation mode. What the pass raises is printed and raised."""
    inputs = list(args) if isinstance(args, (tuple, list)) else [] if args is None else [args]
    recorder = _Recorder(model)
    for i, tensor in enumerate(_leaves(inputs)):
        recorder.give(tensor, recorder.add("input/x" if i == 0 else f"input/input.{i}", "IO Node", [], tensor, ""))
    modes = [(module, module.training) for module in model.modules()]
    hooks = []
    for module in model.modules():
        if module is not model:
            hooks += [module.register_forward_pre_hook(recorder.enter), module.register_forward_hook(recorder.leave)]
    try:
        model.eval()
        with recorder:
            outputs = model(*inputs)
    except RuntimeError as error:
        print(error)
        print("Error occurs, No graph saved")
        raise
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    for i, tensor in enumerate(_leaves(outputs)):
        recorder.add(f"output/output.{i + 1}", "IO Node", [recorder.name_of(tensor)], tensor, "")
    made = GraphDef(node=recorder.nodes, versions=VersionDef(producer=_PRODUCER))
    if verbose:
        print(made)
    return made, RunMetadata(step_stats=StepStats(dev_stats=[DeviceStepStats(device="/device:CPU:0")]))
