"""``DeviceMesh``: the processes as a grid, with a process group for each row in each direction. Source: https://docs.pytorch.org/docs/stable/distributed.html#devicemesh"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from jtorch._engine.values.values import jax_devices
from jtorch._public import torch

from . import _groups
from ._groups import ProcessGroup

__all__ = ["DeviceMesh", "init_device_mesh"]


class _Current:
    def __init__(self) -> None:
        self.stack: list[DeviceMesh] = []

    def get_current_mesh(self) -> DeviceMesh:
        """The innermost mesh that is used as a context. RuntimeError if there is none."""
        if not self.stack:
            raise RuntimeError("No device mesh is currently active!")
        return self.stack[-1]


_mesh_resources = _Current()


class DeviceMesh:
    """``mesh`` has the ranks of processes, in any shape; each process has one device. All processes must make it.

    RuntimeError for what does not fit the processes that there are, KeyError for names of dims that are not there.
    """

    def __init__(
        self, device_type: str, mesh: Any = None, *, mesh_dim_names: Sequence[str] | None = None, backend_override: Any = None, _init_backend: bool = True, _rank: int | None = None,
        _groups: dict[int, ProcessGroup] | None = None, _root: Any = None,
    ) -> None:  # fmt: skip
        self._type = device_type
        with torch.no_grad():
            self._mesh = mesh.detach().to("cpu", torch.int32) if isinstance(mesh, torch.Tensor) else torch.tensor(mesh, dtype=torch.int32)
        self._dim_names = tuple(mesh_dim_names) if mesh_dim_names else None
        self._what = tuple(self._mesh.flatten().tolist()), tuple(self._mesh.shape), self._type, self._dim_names  # here and now: to ask a tensor for its numbers is to look at it
        self._root = _root
        self._flat: dict[str, DeviceMesh] = {}
        self._engine_grid: Any = None
        self._here = _root._here if isinstance(_root, DeviceMesh) else _groups is None and _alone(device_type, int(self._mesh.numel()))
        if self._here:  # one process sees all devices
            _init_backend, _rank = False, 0 if _rank is None else _rank
        if _init_backend and _groups is None and not _is_initialized():
            _join()
        rank = _rank if _rank is not None else _get_rank()
        places = (self._mesh == rank).nonzero().tolist()
        if len(places) > 1:
            raise AssertionError(f"rank {rank} is in the mesh more than once")
        self._coordinate: list[int] | None = places[0] if places else None
        self._rank = rank
        if _groups is not None:
            self._groups: dict[int, Any] = _groups
        elif _init_backend:
            if self._mesh.numel() > _get_world_size():
                raise RuntimeError(f"Mesh should not be bigger than default world size {_get_world_size()}, but found {self._mesh.numel()} ranks!")
            self._groups = {d: self._group_along(d) for d in range(self._mesh.dim())}
        else:
            self._groups = {}

    def _grid(self) -> Any:
        """What the engine knows of it. Equal meshes have one."""
        if self._engine_grid is None:
            from jtorch._engine.placing.entries import grid_of_devices, part_of_grid
            from jtorch._engine.values.placed import Grid

            if self._coordinate is None:
                raise RuntimeError("This rank is not part of the mesh")
            root = self._root if self._here and isinstance(self._root, DeviceMesh) and self._root is not self else None
            key = (self, self._here, root)
            known = _grids.get(key)
            if known is None:
                names = list(self._dim_names or [f"dim_{d}" for d in range(self.ndim)])
                if not self._here:
                    known = Grid(self.shape, tuple(self._coordinate), None, self)
                elif root is not None and set(names) <= set(root._dim_names or ()):
                    known = part_of_grid(root._grid(), names, self)
                else:
                    known = grid_of_devices(self._type, self._mesh.flatten().tolist(), self.shape, names, self)
                _grids[key] = known
            self._engine_grid = known
        return self._engine_grid

    def _group_along(self, d: int) -> Any:
        """This process's group along a dim. (All groups along it are made by all processes.)"""
        if self._mesh.dim() == 1 and self._mesh.numel() == _get_world_size():
            return _groups.resolve()
        mine = None
        for row in self._mesh.swapdims(-1, d).reshape(-1, self._mesh.size(d)).tolist():
            made = _groups.new_group(row, group_desc=f"mesh_{self._dim_names[d] if self._dim_names else f'dim_{d}'}")
            if isinstance(made, ProcessGroup):
                mine = made
        return mine

    @property
    def device_type(self) -> str:
        """The type of the devices."""
        return self._type

    @property
    def mesh(self) -> Any:
        """The ranks, int32."""
        return self._mesh

    @property
    def mesh_dim_names(self) -> tuple[str, ...] | None:
        """The dims' names."""
        return self._dim_names

    @property
    def ndim(self) -> int:
        """How many dims it has."""
        return int(self._mesh.dim())

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in each dim."""
        return tuple(self._mesh.shape)

    def size(self, mesh_dim: int | None = None) -> int:
        """How many processes it has, in all or along a dim."""
        return int(self._mesh.numel() if mesh_dim is None else self._mesh.size(mesh_dim))

    def get_rank(self) -> int:
        """This process's rank in the world."""
        return self._rank

    def get_coordinate(self) -> tuple[int, ...] | None:
        """This process's place; None if it is not in the mesh."""
        return tuple(self._coordinate) if self._coordinate is not None else None

    def _is_current_rank_part_of_mesh(self) -> bool:
        return self._coordinate is not None

    def _dim_of(self, dim: int | str | None) -> int:
        if isinstance(dim, str):
            if self._dim_names is None or dim not in self._dim_names:
                raise KeyError(f"Mesh dimension '{dim}' does not exist. Available mesh dimensions are: mesh_dim_names={self._dim_names}")
            return self._dim_names.index(dim)
        if dim is None:
            return 0
        return dim

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """This process's place along a dim. RuntimeError for a mesh of several dims if none is named."""
        if self.ndim > 1 and mesh_dim is None:
            raise RuntimeError(f"Found the DeviceMesh have {self.ndim} dimensions", "Optional kwarg `mesh_dim` needs to be specified when device_mesh.ndim > 1.")
        if self._here:
            return self._coordinate[self._dim_of(mesh_dim)] if self._coordinate else 0
        return self.get_group(self._dim_of(mesh_dim)).rank()

    def get_group(self, mesh_dim: int | str | None = None) -> ProcessGroup:
        """This process's group along a dim."""
        if self.ndim > 1 and mesh_dim is None:
            raise RuntimeError(
                f"Found the DeviceMesh have {self.ndim} dimensions", "Optional kwarg `mesh_dim` needs to be specified when device_mesh.ndim > 1.",
                "If you want to get the list of all the ProcessGroups in the DeviceMesh,please use `get_all_groups()` instead.",
            )  # fmt: skip
        if isinstance(mesh_dim, str) and mesh_dim in self._flat:
            return self._flat[mesh_dim].get_group(0)
        d = self._dim_of(mesh_dim)
        found = self._groups.get(d)
        if found is None:
            raise RuntimeError("DeviceMesh process groups not initialized!")
        return found  # type: ignore[no-any-return]

    def get_all_groups(self) -> list[ProcessGroup]:
        """This process's group along each dim."""
        return [self.get_group(d) for d in range(self.ndim)]

    def __getitem__(self, names: str | tuple[str, ...]) -> DeviceMesh:
        """The part of the mesh along these dims that this process is in."""
        if self._dim_names is None:
            raise RuntimeError("Cannot slice a DeviceMesh without mesh_dim_names!")
        chosen = (names,) if isinstance(names, str) else tuple(names)
        if len(chosen) == 1 and chosen[0] in self._flat:
            return self._flat[chosen[0]]
        for name in chosen:
            if name not in self._dim_names:
                raise KeyError(f"Invalid mesh_dim_names {chosen} specified. Valid mesh_dim_names are {[*self._dim_names, *self._flat]}.")
        if chosen == self._dim_names:
            return self
        if self._coordinate is None:
            raise RuntimeError("This rank is not part of the mesh")
        dims = [self._dim_names.index(n) for n in chosen]
        at = [slice(None) if d in dims else self._coordinate[d] for d in range(self.ndim)]
        part = self._mesh[tuple(at)]
        order = sorted(dims)
        part = part.permute([order.index(d) for d in dims])
        return DeviceMesh(self._type, part, mesh_dim_names=chosen, _rank=self._rank, _groups={i: self._groups[d] for i, d in enumerate(dims) if d in self._groups}, _root=self._root or self)

    def _flatten(self, mesh_dim_name: str | None = None, backend_override: Any = None) -> DeviceMesh:
        name = mesh_dim_name or "_".join(self._dim_names or ())
        root = self._root or self
        if name not in root._flat:
            if self is root:
                made = DeviceMesh(self._type, self._mesh.flatten(), mesh_dim_names=(name,))
            else:
                made = self._flat_rows(root, name)
            root._flat[name] = made
        return root._flat[name]  # type: ignore[no-any-return]

    def _flat_rows(self, root: Any, name: str) -> DeviceMesh:
        dims = [root._dim_names.index(n) for n in self._dim_names or ()]
        others = [d for d in range(root.ndim) if d not in dims]
        mine = None
        for row in root._mesh.permute([*others, *dims]).reshape(-1, self.size()).tolist():
            group = _groups.new_group(row, group_desc=f"mesh_{name}")
            if isinstance(group, ProcessGroup):
                mine = DeviceMesh(self._type, row, mesh_dim_names=(name,), _groups={0: group}, _root=root)
        if mine is None:
            raise RuntimeError("This rank is not part of the mesh")
        return mine

    @staticmethod
    def from_group(group: Any, device_type: str, mesh: Any = None, *, mesh_dim_names: Sequence[str] | None = None) -> DeviceMesh:
        """A mesh of groups that are there: one group, or one for each dim of ``mesh``."""
        if isinstance(group, ProcessGroup):
            return DeviceMesh(device_type, list(group.ranks) if mesh is None else mesh, mesh_dim_names=mesh_dim_names, _groups={0: group})
        every = list(group)
        if not every:
            raise ValueError("Expects at least one ProcessGroup to be passed")
        if mesh is None:
            raise ValueError("Must pass mesh if passing multiple ProcessGroups")
        return DeviceMesh(device_type, mesh, mesh_dim_names=mesh_dim_names, _groups=dict(enumerate(every)))

    def __enter__(self) -> DeviceMesh:
        _mesh_resources.stack.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _mesh_resources.stack.pop()

    def __repr__(self) -> str:
        shown = f"({', '.join(f'{n}={s}' for n, s in zip(self._dim_names, self.shape, strict=True))})" if self._dim_names else str(self.shape)
        stride = [math.prod(self.shape[i + 1 :]) if self.shape[i] > 1 else () for i in range(self.ndim)]  # torch shows dims of size 1 so
        return f"DeviceMesh({shown}, '{self._type}', stride={tuple(stride)})"

    def __hash__(self) -> int:
        return hash(self._what)

    def __eq__(self, other: Any) -> bool:
        return self is other or (isinstance(other, DeviceMesh) and self._what == other._what)


_grids: dict[Any, Any] = {}


def known_mesh(kind: str, ranks: Any, names: Any) -> DeviceMesh:
    """The mesh of these ranks that something lies on already, or a new one."""
    for mesh, *_ in _grids:
        if mesh.mesh.tolist() == ranks and mesh.mesh_dim_names == (tuple(names) if names else None) and mesh.device_type == kind:
            return mesh  # type: ignore[no-any-return]
    return DeviceMesh(kind, ranks, mesh_dim_names=names)


def _alone(kind: str, count: int) -> bool:
    """Whether the devices of a mesh are this process's own: it is the only one, and has as many."""
    if _is_initialized():
        return _get_world_size() == 1 < count <= len(jax_devices(kind))
    return "RANK" not in os.environ and count <= len(jax_devices(kind))  # (a number of ranks without a rank joins nothing)


_is_initialized, _get_rank, _get_world_size = _groups.is_initialized, _groups.get_rank, _groups.get_world_size


def _join() -> None:
    _groups.init_process_group()


def init_device_mesh(
    device_type: str, mesh_shape: Sequence[int], *, mesh_dim_names: Sequence[str] | None = None, backend_override: Any = None
) -> DeviceMesh:
    """All processes as a grid of this shape; the process group is joined (by the environment) if it is not yet. RuntimeError if the shape does not fit."""
    if mesh_dim_names is not None:
        if len(set(mesh_dim_names)) != len(mesh_dim_names):
            raise RuntimeError(f"Each mesh_dim_name must be unique. Found repeated mesh_dim_name in mesh_dim_names {mesh_dim_names}")
        if len(mesh_shape) != len(mesh_dim_names):
            raise RuntimeError(f"mesh_shape and mesh_dim_names should have same length! Found len(mesh_dim_names): {len(mesh_dim_names)} and len(mesh_shape):{len(mesh_shape)}.")
    if device_type and not device_type.isalpha():
        raise RuntimeError(f"Device type with index is not supported but got {device_type}. ", "If you maintained a 'torch.device' object, it's recommended to pass in 'device.type'.")
    ranks = torch.arange(math.prod(mesh_shape), dtype=torch.int32).reshape(tuple(mesh_shape))
    return DeviceMesh(device_type, ranks, mesh_dim_names=tuple(mesh_dim_names) if mesh_dim_names else None)
