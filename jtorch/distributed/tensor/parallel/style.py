"""How modules share their work: what a plan of :func:`parallelize_module` says of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from jtorch._public import torch
from jtorch.distributed._placements import Placement, Replicate, Shard
from jtorch.distributed.device_mesh import DeviceMesh
from jtorch.distributed.tensor._api import DTensor, distribute_module, distribute_tensor

__all__ = ["ColwiseParallel", "ParallelStyle", "PrepareModuleInput", "PrepareModuleInputOutput", "PrepareModuleOutput", "RowwiseParallel", "SequenceParallel"]


class ParallelStyle(ABC):
    """How a module shares its work. ``src_data_rank``: whose parameters all get a part of."""

    src_data_rank: int | None = 0

    @abstractmethod
    def _apply(self, module: Any, device_mesh: DeviceMesh) -> Any: ...


def _laid(x: Any, mesh: DeviceMesh, layouts: Any, wanted: Any) -> Any:
    """A DTensor that lies as ``wanted``, from one, or from a rank's part of one that lies as ``layouts``."""
    if not isinstance(x, DTensor):
        x = DTensor.from_local(x, mesh, layouts, run_check=False)
    return x.redistribute(placements=wanted) if tuple(layouts) != tuple(wanted) or tuple(x.placements) != _plain(wanted, x) else x


def _plain(layouts: Any, x: Any) -> tuple[Placement, ...]:
    return tuple(Shard(p.dim % x.dim()) if isinstance(p, Shard) else p for p in layouts)


class _Layer(ParallelStyle):
    """A layer whose parameters lie on the mesh. ``input_layouts``: how its first argument lies if it is a rank's part; ``desired_input_layouts``: how the layer takes it."""

    input_layouts: tuple[Placement, ...]
    output_layouts: tuple[Placement, ...]
    desired_input_layouts: tuple[Placement, ...]
    use_local_output: bool

    def _parameters(self, module: Any) -> dict[str, Placement]:
        raise NotImplementedError

    def _partition(self, name: str, module: Any, mesh: DeviceMesh) -> None:
        for key, how in self._parameters(module).items():
            p = module._parameters.get(key)
            if p is not None:
                module.register_parameter(key, torch.nn.Parameter(distribute_tensor(p, mesh, [how], src_data_rank=self.src_data_rank), requires_grad=p.requires_grad))

    def _takes(self, module: Any, inputs: Any, mesh: DeviceMesh) -> Any:
        return (_laid(inputs[0], mesh, self.input_layouts, self.desired_input_layouts), *inputs[1:])

    def _gives(self, module: Any, outputs: Any, mesh: DeviceMesh) -> Any:
        if tuple(outputs.placements) != _plain(self.output_layouts, outputs):
            outputs = outputs.redistribute(placements=self.output_layouts)
        return outputs.to_local() if self.use_local_output else outputs

    def _apply(self, module: Any, device_mesh: DeviceMesh) -> Any:
        self._check(module)
        return distribute_module(module, device_mesh, self._partition, self._takes, self._gives)

    def _check(self, module: Any) -> None:
        self._parameters(module)


def _shown(name: str, self: Any) -> str:
    return f"{name}(input_layouts={self.input_layouts}, output_layouts={self.output_layouts}, use_local_output={self.use_local_output})"


class ColwiseParallel(_Layer):
    """A linear layer or an embedding by its outputs. NotImplementedError for other modules."""

    def __init__(self, *, input_layouts: Placement | None = None, output_layouts: Placement | None = None, use_local_output: bool = True) -> None:
        super().__init__()
        self.input_layouts, self.output_layouts = (input_layouts or Replicate(),), (output_layouts or Shard(-1),)
        self.desired_input_layouts, self.use_local_output = (Replicate(),), use_local_output

    def _parameters(self, module: Any) -> dict[str, Placement]:
        if isinstance(module, torch.nn.Linear):
            return {name: Shard(0) for name in module._parameters}
        if isinstance(module, torch.nn.Embedding):
            return {name: Shard(1) for name in module._parameters}
        raise NotImplementedError("ColwiseParallel currently only support nn.Linear and nn.Embedding!")

    def __repr__(self) -> str:
        return _shown("ColwiseParallel", self)


class RowwiseParallel(_Layer):
    """A linear layer or an embedding by its inputs. NotImplementedError for other modules."""

    def __init__(self, *, input_layouts: Placement | None = None, output_layouts: Placement | None = None, use_local_output: bool = True) -> None:
        super().__init__()
        self.input_layouts, self.output_layouts, self.use_local_output = (input_layouts or Shard(-1),), (output_layouts or Replicate(),), use_local_output

    def _parameters(self, module: Any) -> dict[str, Placement]:
        if isinstance(module, torch.nn.Linear):
            self.desired_input_layouts = (Shard(-1),)
            return {"weight": Shard(1), "bias": Replicate()}
        if isinstance(module, torch.nn.Embedding):
            self.desired_input_layouts = (Replicate(),)
            return {name: Shard(0) for name in module._parameters}
        raise NotImplementedError("RowwiseParallel currently only support nn.Linear and nn.Embedding!")

    def __repr__(self) -> str:
        return _shown("RowwiseParallel", self)


class SequenceParallel(_Layer):
    """A layer that works on each element of a sequence: its parameters are replicated, its input is cut along ``sequence_dim``."""

    def __init__(self, *, sequence_dim: int = 1, use_local_output: bool = False) -> None:
        super().__init__()
        self.sequence_sharding, self.use_local_output = (Shard(sequence_dim),), use_local_output

    def _parameters(self, module: Any) -> dict[str, Placement]:
        return {name: Replicate() for name in module._parameters}

    def _takes(self, module: Any, inputs: Any, mesh: DeviceMesh) -> Any:
        (x,) = inputs[:1]
        if not isinstance(x, torch.Tensor):
            raise ValueError(f"expecting input of {module} to be a torch.Tensor or DTensor, but got {x}")
        return (_laid(x, mesh, self.sequence_sharding, self.sequence_sharding), *inputs[1:])

    def _gives(self, module: Any, outputs: Any, mesh: DeviceMesh) -> Any:
        return outputs.to_local() if self.use_local_output else outputs

    def __repr__(self) -> str:
        return f"SequenceParallel(sequence_dim={self.sequence_sharding[0].dim}, use_local_output={self.use_local_output})"


def _several(layouts: Any) -> Any:
    return (layouts,) if isinstance(layouts, Placement) else layouts


def _one(x: Any, mesh: DeviceMesh, layout: Any, wanted: Any, local: bool) -> Any:
    if layout is None:
        return x
    out = _laid(x, mesh, (layout,), (wanted,))
    return out.to_local() if local else out


def _prepares(style: Any, **parts: Any) -> str:
    return f"{type(style).__name__}({', '.join(f'{k}={v}' for k, v in parts.items())})"


_INPUT = ("input_layouts", "desired_input_layouts", "input_kwarg_layouts", "desired_input_kwarg_layouts")
_OUTPUT = ("output_layouts", "desired_output_layouts", "use_local_output")


class PrepareModuleInput(ParallelStyle):
    """What lies how before a module is called: how arguments lie if they are a rank's parts (None: they are no such thing), and how the module takes them."""

    def __init__(
        self, *, input_layouts: Any = None, desired_input_layouts: Any = None, input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None, use_local_output: bool = False,
    ) -> None:  # fmt: skip
        self.input_layouts, self.desired_input_layouts = _several(input_layouts), _several(desired_input_layouts)
        self.use_local_output, self.with_kwargs = use_local_output, input_kwarg_layouts is not None
        self.input_kwarg_layouts, self.desired_input_kwarg_layouts = input_kwarg_layouts or {}, desired_input_kwarg_layouts or {}
        if self.with_kwargs and len(self.input_kwarg_layouts) != len(self.desired_input_kwarg_layouts):
            raise AssertionError("input_kwarg_layouts and desired_input_kwarg_layouts should have same length!")
        if self.input_layouts is not None:
            if self.desired_input_layouts is None:
                raise AssertionError("desired module inputs should not be None!")
            if len(self.input_layouts) != len(self.desired_input_layouts):
                raise AssertionError("input_layouts and desired_input_layouts should have same length!")

    def _inputs(self, inputs: Any, mesh: DeviceMesh) -> Any:
        if self.input_layouts is None:
            return inputs
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        if len(inputs) != len(self.input_layouts):
            raise ValueError("module inputs and input_layouts should have same length!")
        return tuple(_one(x, mesh, a, b, self.use_local_output) for x, a, b in zip(inputs, self.input_layouts, self.desired_input_layouts, strict=True))

    def _apply(self, module: Any, device_mesh: DeviceMesh) -> Any:
        def before(m: Any, inputs: Any, kwargs: Any) -> Any:
            given = dict(kwargs)
            for name in kwargs:
                a = self.input_kwarg_layouts.get(name)
                given[name] = _one(kwargs[name], device_mesh, a, self.desired_input_kwarg_layouts.get(name), self.use_local_output)
            return self._inputs(inputs, device_mesh), given

        if self.with_kwargs:
            module.register_forward_pre_hook(before, with_kwargs=True)
        else:
            module.register_forward_pre_hook(lambda m, inputs: self._inputs(inputs, device_mesh))
        return module

    def __repr__(self) -> str:
        return _prepares(self, **{k: getattr(self, k) for k in (*_INPUT, "use_local_output")})


class PrepareModuleOutput(ParallelStyle):
    """What lies how after a module was called."""

    def __init__(self, *, output_layouts: Any, desired_output_layouts: Any, use_local_output: bool = True) -> None:
        self.output_layouts, self.desired_output_layouts, self.use_local_output = _several(output_layouts), _several(desired_output_layouts), use_local_output
        if len(self.output_layouts) != len(self.desired_output_layouts):
            raise AssertionError("output_layouts and desired_output_layouts should have same length!")

    def _apply(self, module: Any, device_mesh: DeviceMesh) -> Any:
        def after(m: Any, inputs: Any, outputs: Any) -> Any:
            single = not isinstance(outputs, tuple)
            outs = (outputs,) if single else outputs
            if len(outs) != len(self.output_layouts):
                raise ValueError("module outputs and output_layouts should have same length!")
            found = tuple(_one(x, device_mesh, a, b, self.use_local_output) for x, a, b in zip(outs, self.output_layouts, self.desired_output_layouts, strict=True))
            return found[0] if single else found

        module.register_forward_hook(after)
        return module

    def __repr__(self) -> str:
        return _prepares(self, **{k: getattr(self, k) for k in _OUTPUT})


class PrepareModuleInputOutput(ParallelStyle):
    """Both."""

    def __init__(
        self, *, input_layouts: Any = None, desired_input_layouts: Any = None, input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None, use_local_input: bool = False, output_layouts: Any, desired_output_layouts: Any,
        use_local_output: bool = True,
    ) -> None:  # fmt: skip
        self.prepare_module_input = PrepareModuleInput(
            input_layouts=input_layouts, desired_input_layouts=desired_input_layouts, input_kwarg_layouts=input_kwarg_layouts,
            desired_input_kwarg_layouts=desired_input_kwarg_layouts, use_local_output=use_local_input,
        )  # fmt: skip
        self.prepare_module_output = PrepareModuleOutput(output_layouts=output_layouts, desired_output_layouts=desired_output_layouts, use_local_output=use_local_output)

    def _apply(self, module: Any, device_mesh: DeviceMesh) -> Any:
        self.prepare_module_input._apply(module, device_mesh)
        self.prepare_module_output._apply(module, device_mesh)
        return module

    def __repr__(self) -> str:
        given, out = self.prepare_module_input, self.prepare_module_output
        return _prepares(self, **{k: getattr(given, k) for k in _INPUT}, use_local_input=given.use_local_output, **{k: getattr(out, k) for k in _OUTPUT})


for _cls in (ColwiseParallel, RowwiseParallel, SequenceParallel, ParallelStyle, PrepareModuleInput, PrepareModuleInputOutput, PrepareModuleOutput):
    _cls.__module__ = "torch.distributed.tensor.parallel.style"
