"""``DTensor``: a tensor that lies on a mesh of devices. Source: https://docs.pytorch.org/docs/stable/distributed.tensor.html

It is an ordinary tensor whose storage holds a placed value (``_engine/placing``), so the tape, views, in-place writes and optimizers are the usual ones. How an operator's result lies
follows from the operator's function. Where one process sees all devices, an operator on DTensors is the operator on the whole arrays, which XLA runs on all devices; where each process has
one device, it runs on the parts, and what has to move between processes does before it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from jtorch._core.dispatch.torch_function import disabled
from jtorch._core.graph.node import AccumulateGrad
from jtorch._core.graph.sparse_history import link
from jtorch._core.storage.bare_tensor import PLAIN, Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read, strides_of
from jtorch._core.tensor import tensor_repr
from jtorch._engine.placing import entries
from jtorch._engine.values import heard
from jtorch._engine.values.placed import Grid, Place, PlacedAval, part_of, placed, placed_aval
from jtorch._engine.values.values import Aval, Value, aval
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.distributed import _collectives as collectives
from jtorch.distributed._placements import Partial, Placement, Replicate, Shard, _StridedShard
from jtorch.distributed.device_mesh import DeviceMesh, _mesh_resources, known_mesh
from jtorch.serialization._reduce import others as reductions

from . import _moving  # noqa: F401  (tells the engine how to move)
from ._local import from_part, part_for_ranks, whole_shape

__all__ = ["DTensor", "distribute_module", "distribute_tensor", "empty", "full", "linspace", "logspace", "ones", "rand", "randn", "zeros"]


# --- placements and places ----------------------------------------------------------------------------------------


def place_of(p: Any, ndim: int) -> Place:
    """What the engine calls a placement."""
    if type(p) is Shard:
        return p.dim + ndim if p.dim < 0 else p.dim
    if type(p) is Partial:
        return p.reduce_op
    if isinstance(p, Replicate):
        return None
    if isinstance(p, _StridedShard):
        return not_implemented("torch.distributed.tensor._StridedShard", "shard another dim of the tensor")  # type: ignore[no-any-return]
    raise RuntimeError(f"placement {p} is not one of Shard, Replicate and Partial")


def placement_of(p: Place) -> Placement:
    """And back."""
    return Replicate() if p is None else Shard(p) if isinstance(p, int) else Partial(p)


def places_of(placements: Any, mesh: DeviceMesh, ndim: int, name: str = "placements") -> tuple[Place, ...]:
    """One for each dim of the mesh; all ``Replicate()`` for None. ValueError for another number."""
    if placements is None:
        placements = [Replicate()] * mesh.ndim
    if isinstance(placements, Placement):
        raise TypeError(f"{name} must be a sequence of placements, not {placements!r}")
    if len(placements) != mesh.ndim:
        raise ValueError(f"`placements` must have the same length as `device_mesh.ndim`! Found placements length: {len(placements)}, and device_mesh.ndim: {mesh.ndim}.")
    out = tuple(place_of(p, ndim) for p in placements)
    for p in out:
        if isinstance(p, int) and not 0 <= p < ndim:
            raise (IndexError if ndim else RuntimeError)(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {p})")
    return out


def _aval(t: Tensor) -> PlacedAval | None:
    """How a tensor lies; None if it is an ordinary one."""
    v = t._s.value
    if v.__class__ is not Value or v.aval.__class__ is not PlacedAval:
        return None
    return read(t).aval  # type: ignore[return-value]


def _mesh(mesh: DeviceMesh | None) -> DeviceMesh:
    return mesh or _mesh_resources.get_current_mesh()


# --- the class ----------------------------------------------------------------------------------------------------


class _Meta(type(Tensor)):  # type: ignore[misc]
    """A tensor is a DTensor by what its storage holds."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance) or (cls is DTensor and isinstance(instance, Tensor) and _aval(instance) is not None)


class DTensorSpec:
    """``mesh``, ``placements``, ``shape`` and so on of a DTensor."""

    def __init__(self, mesh: DeviceMesh, placements: tuple[Placement, ...], tensor_meta: Any = None) -> None:
        self.mesh, self.placements, self.tensor_meta = mesh, tuple(placements), tensor_meta

    device_mesh = property(lambda self: self.mesh)
    shape = property(lambda self: self.tensor_meta.shape)
    ndim = property(lambda self: len(self.tensor_meta.shape))
    stride = property(lambda self: self.tensor_meta.stride)
    num_shards = property(lambda self: _product(n for n, p in zip(self.mesh.shape, self.placements, strict=True) if p.is_shard()))

    def is_replicated(self) -> bool:
        """Whether every device has all."""
        return all(p.is_replicate() for p in self.placements)

    def is_sharded(self) -> bool:
        """Whether it is cut along some dim of the mesh."""
        return any(p.is_shard() for p in self.placements)

    @property
    def dim_map(self) -> list[int]:
        """For each dim the dim of the mesh that cuts it, -1 if none does."""
        out = [-1] * self.ndim
        for m, p in enumerate(self.placements):
            if isinstance(p, Shard):
                out[p.dim] = m
        return out

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTensorSpec) and (self.mesh, self.placements, self.tensor_meta) == (other.mesh, other.placements, other.tensor_meta)

    def __hash__(self) -> int:
        return hash((self.mesh, self.placements))

    def __repr__(self) -> str:
        return f"DTensorSpec(mesh={self.mesh}, placements={self.placements}, tensor_meta={self.tensor_meta})"

    def __str__(self) -> str:
        return f"Spec({''.join(str(p) for p in self.placements)} on {tuple(self.shape)})"


def _product(numbers: Any) -> int:
    out = 1
    for n in numbers:
        out *= n
    return out


class TensorMeta:
    """``shape``, ``stride`` and ``dtype`` of the whole."""

    def __init__(self, shape: Any, stride: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.stride, self.dtype = shape, stride, dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorMeta) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TensorMeta(shape={self.shape}, stride={self.stride}, dtype={self.dtype})"


class DTensor(Tensor, metaclass=_Meta):
    """A tensor on a mesh of devices: the shape is that of the whole. Made by :func:`distribute_tensor`, :meth:`from_local` and the functions beside them.

    ``isinstance(t, DTensor)`` holds for what operators make of DTensors too. Operators on DTensors and ordinary tensors together (of more than one element) raise RuntimeError, as in torch.
    """

    device_mesh: DeviceMesh
    placements: tuple[Placement, ...]
    to_local: Callable[..., Tensor]
    full_tensor: Callable[..., Tensor]
    redistribute: Callable[..., Any]

    __torch_function__ = staticmethod(disabled)  # type: ignore[assignment]

    def __new__(cls, local_tensor: Any, spec: Any, *, requires_grad: bool = False) -> Any:
        """From a part and what :attr:`_spec` says. Prefer :meth:`from_local`."""
        out = new_tensor(from_part(read(local_tensor), grid_of(spec.mesh), places_of(spec.placements, spec.mesh, len(spec.shape)), tuple(spec.shape)))
        return out.requires_grad_(requires_grad)

    @staticmethod
    def from_local(
        local_tensor: Any, device_mesh: DeviceMesh | None = None, placements: Sequence[Placement] | None = None, *, run_check: bool = False, shape: Any = None, stride: Any = None,
        grad_placements: Any = None,
    ) -> Any:  # fmt: skip
        """The DTensor whose parts are the ranks' ``local_tensor``. Differentiable. ``shape`` is needed where the parts are not equal; ``run_check`` sends rank 0's replicated parts to all."""
        if (shape is None) != (stride is None):
            raise RuntimeError("Please pass both shape and stride at the same time!" if shape is None else "Please pass both shape and stride at the same time.")
        if _aval(local_tensor) is not None:
            raise RuntimeError(f"the local_tensor argument only accepts torch.Tensor but got {DTensor} value.")
        mesh = _mesh(device_mesh)
        grid, places = grid_of(mesh), places_of(placements, mesh, local_tensor.dim())
        v = read(local_tensor)
        if run_check and grid.coordinate is not None:
            with torch.no_grad():
                sent = new_tensor(v).contiguous().clone()
                for m, p in enumerate(places):
                    if p is None:
                        collectives.broadcast(sent, group=mesh.get_group(m), group_src=0)
                v = read(sent)
        whole = tuple(shape) if shape is not None else whole_shape(v.aval.shape, grid, places)
        out = new_tensor(from_part(v, grid, places, whole))
        back = tuple(None if isinstance(p, str) else p for p in (places if grad_placements is None else places_of(grad_placements, mesh, local_tensor.dim())))

        def gradient(g: Tensor) -> Tensor:
            return new_tensor(_part(entries.fitted(read(g), placed_aval(aval_like(g), grid, back))))

        return link("_FromTorchTensorBackward", out, (local_tensor, gradient))

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return tensor_repr.show(self)


PLAIN.add(DTensor)
DTensor.__module__ = "torch.distributed.tensor"


def aval_like(t: Tensor) -> Aval:
    """Shape, type and device of the whole."""
    a = aval_of(t)
    return aval(a.shape, a.dtype, a.device)


def _part(v: Value) -> Value:
    """What a rank has of a placed value."""
    a: Any = v.aval
    return part_of(v) if a.grid.coordinate is not None else part_for_ranks(v)


# --- what only DTensors have --------------------------------------------------------------------------------------


class _Own:
    """An attribute of DTensors: ordinary tensors, whose class it stands on, do not have it."""

    def __init__(self, fn: Callable[..., Any], called: bool) -> None:
        self.fn, self.called, self.name = fn, called, fn.__name__
        self.__doc__ = fn.__doc__

    def __get__(self, t: Any, cls: Any) -> Any:
        if t is None:
            if cls is Tensor or not issubclass(cls, DTensor):
                raise AttributeError(f"type object '{cls.__name__}' has no attribute '{self.name}'")
            return self.fn
        if _aval(t) is None:
            raise AttributeError(f"'{type(t).__name__}' object has no attribute '{self.name}'")
        return self.fn.__get__(t) if self.called else self.fn(t)


def _method(fn: Callable[..., Any]) -> Callable[..., Any]:
    setattr(Tensor, fn.__name__, _Own(fn, True))
    return fn


def _attribute(fn: Callable[..., Any]) -> Callable[..., Any]:
    setattr(Tensor, fn.__name__, _Own(fn, False))
    return fn


@_attribute
def device_mesh(self: Tensor) -> DeviceMesh:
    """The mesh that it lies on."""
    return _aval(self).grid.owner  # type: ignore[union-attr,no-any-return]


@_attribute
def placements(self: Tensor) -> tuple[Placement, ...]:
    """How it lies along each dim of the mesh."""
    return tuple(placement_of(p) for p in _aval(self).places)  # type: ignore[union-attr]


@_attribute
def _spec(self: Any) -> DTensorSpec:
    return DTensorSpec(self.device_mesh, self.placements, TensorMeta(self.shape, strides_of(self), self.dtype))


@_attribute
def _local_tensor(self: Tensor) -> Tensor:
    return new_tensor(_part(read(self)))


@_method
def to_local(self: Tensor, *, grad_placements: Any = None) -> Tensor:
    """What this rank has of it. Differentiable: the gradient lies as the tensor does (a Partial one is whole), or as ``grad_placements`` says."""
    a: Any = _aval(self)
    grid, mesh = a.grid, a.grid.owner
    back = tuple(None if isinstance(p, str) else p for p in a.places) if grad_placements is None else places_of(grad_placements, mesh, self.dim())
    shape = tuple(a.shape)

    def gradient(g: Tensor) -> Tensor:
        return new_tensor(from_part(read(g), grid, back, shape))

    return link("_ToTorchTensorBackward", new_tensor(_part(read(self))), (self, gradient))


@_method
def redistribute(
    self: Tensor, device_mesh: DeviceMesh | None = None, placements: Sequence[Placement] | None = None, *, async_op: bool = False, forward_dtype: Any = None, backward_dtype: Any = None
) -> Tensor:
    """The same tensor in other places. Differentiable. RuntimeError for another mesh, or where it would become Partial."""
    a: Any = _aval(self)
    mesh = a.grid.owner
    if device_mesh is not None and device_mesh != mesh:
        raise NotImplementedError("Cross device mesh comm not supported yet!")
    if placements is None:
        raise RuntimeError("placements is needed for redistribute!")
    to = places_of(placements, mesh, self.dim())
    for before, after in zip(a.places, to, strict=True):
        if isinstance(after, str) and before != after:
            raise RuntimeError(f"Can not redistribute from {placement_of(before)} to {placement_of(after)}, redistributing to Partial is for internal use only!")
    source = self if forward_dtype is None else self.to(forward_dtype)
    home = tuple(None if isinstance(p, str) else p for p in a.places)
    grid, shape_kind = a.grid, a.dtype

    def gradient(g: Tensor) -> Tensor:
        g = g if backward_dtype is None else g.to(backward_dtype)
        v = entries.fitted(read(g), placed_aval(aval_like(g), grid, home))
        return new_tensor(v).to(shape_kind)

    return link("RedistributeBackward", new_tensor(_moving.move(read(source), to)), (self, gradient))


@_method
def full_tensor(self: Any, *, grad_placements: Any = None) -> Tensor:
    """The whole, an ordinary tensor."""
    whole = self.redistribute(placements=[Replicate()] * self.device_mesh.ndim)
    return whole.to_local(grad_placements=grad_placements)  # type: ignore[no-any-return]


@_method
def __create_chunk_list__(self: Any) -> Any:
    """What this rank has, for checkpoints."""
    from jtorch.distributed.checkpoint.metadata import ChunkStorageMetadata

    shape, offset = local_shape_and_offset(self.shape, self.device_mesh, self.placements)
    return [ChunkStorageMetadata(offsets=torch.Size(offset), sizes=torch.Size(shape))]


def local_shape_and_offset(shape: Any, mesh: DeviceMesh, placements: Sequence[Placement]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of this rank's part, and where it begins."""
    from jtorch._engine.placing.parts import part

    sizes, offsets = list(shape), [0] * len(shape)
    at = mesh.get_coordinate()
    for p, n, k in zip(placements, mesh.shape, at or (), strict=False):
        if isinstance(p, Shard):
            d = p.dim % len(sizes)
            start, sizes[d] = part(sizes[d], n, k)
            offsets[d] += start
    return tuple(sizes), tuple(offsets)


def _shown(t: Any) -> str | None:
    a = _aval(t) if t._s.host is None else None
    if a is None:
        return None
    return f"DTensor(local_tensor={t._local_tensor}, device_mesh={t.device_mesh}, placements={t.placements})"


tensor_repr.others.append(_shown)


def _reduced(t: Any) -> Any:
    """What is written of a DTensor: this rank's part (the whole, where one process sees all devices) and how it lies."""
    a = _aval(t) if t._s.host is None else None
    if a is None:
        return None
    mesh = a.grid.owner
    return rebuild, (new_tensor(part_of(read(t))), mesh.device_type, mesh.mesh.tolist(), mesh.mesh_dim_names, a.places, tuple(a.shape), t.requires_grad)


def rebuild(behind: Tensor, kind: str, ranks: Any, names: Any, places: tuple[Place, ...], shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    """A DTensor from what was written of it, on an equal mesh."""
    mesh = known_mesh(kind, ranks, names)
    grid, v = grid_of(mesh), read(behind)
    whole = aval(shape, v.aval.dtype, v.aval.device)
    a = placed_aval(whole, grid, tuple(places))
    return new_tensor(entries.spread_out(v, a) if grid.coordinate is None else placed(a, v)).requires_grad_(requires_grad)


reductions.append(_reduced)


# --- operands of both kinds ---------------------------------------------------------------------------------------

_implicit = [0]


@contextmanager
def implicit_replication() -> Any:
    """Within, ordinary tensors beside DTensors are taken as replicated."""
    _implicit[0] += 1
    try:
        yield
    finally:
        _implicit[0] -= 1


_OVERLOADED = frozenset("add sub mul div eq ne lt le gt ge".split())
_STRICT = frozenset("add sub mul div matmul mm bmm addmm linear embedding layer_norm conv2d pow maximum minimum cat stack lerp addcmul addcdiv eq ne lt le gt ge".split())


def _mixed(call: Any, inputs: Any) -> None:
    if call.op is None or _implicit[0] or call.op.name not in _STRICT:
        return
    if any(isinstance(a, Aval) and a.__class__ is not PlacedAval and _product(a.shape) != 1 for a in inputs):
        raise RuntimeError(
            f"aten.{call.op.name}{'.Tensor' if call.op.name in _OVERLOADED else '.default'} got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to DTensor before calling distributed operators! "
            "Please see https://docs.pytorch.org/docs/main/distributed.tensor.html#mixed-tensor-and-dtensor-operations for more details."
        )


entries.mixed = _mixed


# --- grids --------------------------------------------------------------------------------------------------------


def grid_of(mesh: DeviceMesh) -> Grid:
    """The engine's side of a mesh. RuntimeError if this process is not in it."""
    return mesh._grid()


# --- making them --------------------------------------------------------------------------------------------------


def distribute_tensor(tensor: Any, device_mesh: DeviceMesh | None = None, placements: Sequence[Placement] | None = None, *, src_data_rank: int | None = 0) -> Any:
    """A leaf laid out on a mesh: every rank has its part of what rank ``src_data_rank`` of the mesh has (None: of its own). A Parameter gives a Parameter's like: it requires grad."""
    mesh = _mesh(device_mesh)
    grid, places = grid_of(mesh), places_of(placements, mesh, tensor.dim())
    if tensor._edge is not None and tensor._edge.__class__ is not AccumulateGrad:
        raise RuntimeError("`distribute_tensor` should be used to distribute leaf tensors! but found non-leaf tensor!")
    known = _aval(tensor)
    if known is not None:
        if known.grid is not grid:
            raise ValueError(f"Cannot distribute a DTensor with device mesh {known.grid.owner} to a different device mesh {mesh}.")
        if known.places != places:
            raise ValueError(f"Cannot distribute a DTensor with placements {tuple(placement_of(p) for p in known.places)} to a different placements {tuple(placement_of(p) for p in places)}. do you want to call `redistribute` instead?")
        return tensor
    for p in places:
        if isinstance(p, str) and p not in ("sum", "avg", "max", "min"):
            raise ValueError(f"Replicate to Partial({p}) conversion is not supported.")
    with torch.no_grad(), _heard_handing_out(grid.shape, places, src_data_rank):
        t = tensor.detach()
        if t.device.type == "meta":
            out = new_tensor(_moving.without_elements(placed_aval(aval_like(t), grid, places)))
        elif grid.coordinate is None:
            out = new_tensor(entries.spread_out(read(t), placed_aval(aval_like(t), grid, places)))
        else:
            if src_data_rank is not None:
                t = t.contiguous().clone()
                for m, n in enumerate(grid.shape):
                    if n > 1:
                        collectives.broadcast(t, group=mesh.get_group(m), group_src=src_data_rank)
            added = [n for n, p in zip(grid.shape, places, strict=True) if p == "sum"] if t.is_floating_point() or t.is_complex() else []
            a = placed_aval(aval_like(t), grid, (None,) * len(places))
            if added:  # each has as much of it as the others
                moved = _moving.move(placed(a, read(t / _product(added))), tuple([None if p == "sum" else p for p in places]))
                out = new_tensor(placed(placed_aval(aval_like(t), grid, places), part_of(moved)))
            else:
                out = new_tensor(_moving.move(placed(a, read(t)), places))
    return out.requires_grad_(tensor.requires_grad)


def _heard_handing_out(shape: Sequence[int], places: Sequence[Any], source: int | None) -> AbstractContextManager[None]:
    if not heard.listeners:
        return nullcontext()
    return heard.as_one(*["c10d.scatter_" if isinstance(p, int) else "c10d.broadcast_" for n, p in zip(shape, places, strict=True) if n > 1 and source is not None])


def distribute_module(module: Any, device_mesh: DeviceMesh | None = None, partition_fn: Any = None, input_fn: Any = None, output_fn: Any = None) -> Any:
    """Make a module's parameters and buffers DTensors: ``partition_fn(name, submodule, mesh)`` may lay them out, the rest is replicated. ``input_fn(module, inputs, mesh)`` and
    ``output_fn(module, outputs, mesh)`` run around its forward."""
    mesh = _mesh(device_mesh)
    if getattr(module, "_distribute_module_applied", False):
        raise RuntimeError("distribute_module should only be called once on a module, but it has already been called on this module!")

    def replicate(m: Any) -> None:
        for name, p in list(m._parameters.items()):
            if p is not None and _aval(p) is None:
                m.register_parameter(name, torch.nn.Parameter(distribute_tensor(p.data, mesh, [Replicate()] * mesh.ndim), requires_grad=p.requires_grad))
        for name, b in list(m._buffers.items()):
            if b is not None and _aval(b) is None:
                m._buffers[name] = distribute_tensor(b, mesh, [Replicate()] * mesh.ndim)

    for name, sub in module.named_modules():
        if partition_fn is not None:
            partition_fn(name, sub, mesh)
        replicate(sub)
    if input_fn is not None:
        count = _arguments(input_fn)
        if count == 2:
            warnings.warn("Deprecating input_fn that takes two arguments (inputs, device_mesh), please use input_fn that takes in (module, inputs, device_mesh) instead!", FutureWarning, stacklevel=2)
            module.register_forward_pre_hook(lambda _, inputs: input_fn(inputs, mesh))
        elif count == 3:
            module.register_forward_pre_hook(lambda m, inputs: input_fn(m, inputs, mesh))
        else:
            raise ValueError(f"input_fn should take in 3 arguments, but got {count} arguments!")
    if output_fn is not None:
        count = _arguments(output_fn)
        if count == 2:
            warnings.warn("Deprecating output_fn that takes two arguments (inputs, device_mesh), please use output_fn that takes in (module, inputs, device_mesh) instead!", FutureWarning, stacklevel=2)
            module.register_forward_hook(lambda m, inputs, outputs: output_fn(outputs, mesh))
        elif count == 3:
            module.register_forward_hook(lambda m, inputs, outputs: output_fn(m, outputs, mesh))
        else:
            raise ValueError(f"output_fn should take in 3 arguments, but got {count} arguments!")
    module._distribute_module_applied = True
    return module


def _arguments(fn: Any) -> int:
    import inspect

    return len(inspect.signature(fn).parameters)


def _factory(make: Callable[..., Any], size: Any, requires_grad: bool, mesh: DeviceMesh | None, placements: Any) -> Any:
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    with torch.no_grad():
        t = make(shape)
    return distribute_tensor(t, _mesh(mesh), placements, src_data_rank=0 if make.__name__ == "drawn" else None).requires_grad_(requires_grad)


def ones(*size: Any, dtype: Any = None, layout: Any = None, requires_grad: bool = False, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor of ones."""
    return _factory(lambda shape: torch.ones(shape, dtype=dtype), size, requires_grad, device_mesh, placements)


def zeros(*size: Any, requires_grad: bool = False, dtype: Any = None, layout: Any = None, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor of zeros."""
    return _factory(lambda shape: torch.zeros(shape, dtype=dtype), size, requires_grad, device_mesh, placements)


def empty(*size: Any, dtype: Any = None, layout: Any = None, requires_grad: bool = False, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor whose elements are not said."""
    return _factory(lambda shape: torch.empty(shape, dtype=dtype), size, requires_grad, device_mesh, placements)


def full(size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, requires_grad: bool = False, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor of this number."""
    return _factory(lambda shape: torch.full(shape, fill_value, dtype=dtype), (size,), requires_grad, device_mesh, placements)


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, layout: Any = None, requires_grad: bool = False, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor of ``steps`` numbers, evenly spaced from ``start`` to ``end`` (since torch 2.15)."""
    return _factory(lambda shape: torch.linspace(start, end, steps, dtype=dtype), (steps,), requires_grad, device_mesh, placements)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, layout: Any = None, requires_grad: bool = False,
    device_mesh: DeviceMesh | None = None, placements: Any = None,
) -> Any:  # fmt: skip
    """A DTensor of ``base`` to the powers of :func:`linspace` (since torch 2.15)."""
    return _factory(lambda shape: torch.logspace(start, end, steps, base, dtype=dtype), (steps,), requires_grad, device_mesh, placements)


def rand(*size: Any, requires_grad: bool = False, dtype: Any = None, layout: Any = None, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor of the numbers that ``torch.rand`` draws for the whole."""

    def drawn(shape: Any) -> Any:
        return torch.rand(shape, dtype=dtype)

    return _factory(drawn, size, requires_grad, device_mesh, placements)


def randn(*size: Any, requires_grad: bool = False, dtype: Any = None, layout: Any = None, device_mesh: DeviceMesh | None = None, placements: Any = None) -> Any:
    """A DTensor of the numbers that ``torch.randn`` draws for the whole."""

    def drawn(shape: Any) -> Any:
        return torch.randn(shape, dtype=dtype)

    return _factory(drawn, size, requires_grad, device_mesh, placements)


