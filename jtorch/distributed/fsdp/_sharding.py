"""The parameters of a module as DTensors, and as ordinary tensors while it computes.

What torch does by hooks of the backward pass is the derivative of gathering here: the gradient of the whole is averaged over the ranks, and each keeps its part.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jtorch._core.graph.node import next_seq
from jtorch._core.graph.sparse_history import SparseNode, link
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.placing import entries
from jtorch._engine.values import heard
from jtorch._engine.values.placed import PlacedAval, part_of, placed, placed_aval
from jtorch._engine.values.shards import on_one_device
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.values.values import Value, aval
from jtorch._public import torch
from jtorch.distributed._placements import Replicate, Shard
from jtorch.distributed.device_mesh import DeviceMesh
from jtorch.distributed.tensor import _moving
from jtorch.distributed.tensor._api import DTensor, distribute_tensor, grid_of
from jtorch.distributed.tensor._local import from_part

from ._resharding import forget_wholes

__all__ = ["Sharded", "each_tensor", "spread_batch"]


class _Parameter:
    """One parameter: where modules have it (shared ones at several places), sharded and, while it is gathered, whole."""

    def __init__(self, places: list[tuple[Any, str]], p: Any, mesh: DeviceMesh, dim: int, cuts: bool) -> None:
        self.places = places
        self.whole: Any = None
        self.mesh = mesh
        self.here = mesh._here and p.device.type != "meta"  # whether this process sees all devices: XLA gathers
        self.inner = p.device_mesh if isinstance(p, DTensor) else None
        if self.inner is None:
            outer: list[Any] = [Replicate()] * (mesh.ndim - 1) + [Shard(dim) if cuts else Replicate()]
            made = distribute_tensor(p.detach(), mesh, outer)
        else:
            made = self._on_both(p, dim, cuts)
        self.sharded = torch.nn.Parameter(made, requires_grad=p.requires_grad)
        for name, x in vars(p).items():
            setattr(self.sharded, name, x)
        self.set(self.sharded)

    def set(self, p: Any) -> None:
        for module, name in self.places:
            module._parameters[name] = p

    def _on_both(self, p: Any, dim: int, cuts: bool) -> Any:
        """Of a DTensor on another mesh: one on both, which have a mesh in common."""
        inner = p.device_mesh
        root = self.mesh._root or self.mesh
        both = root[(*(self.mesh.mesh_dim_names or ()), *(inner.mesh_dim_names or ()))]
        v = read(p.detach())
        theirs = v.aval.places  # type: ignore[attr-defined]
        free = [d for d in range(p.dim()) if d not in theirs]  # a dim that is cut already stays as it is
        cut = dim if dim in free else free[0] if free else None
        whole = aval(tuple(p.shape), p.dtype, v.aval.device)
        grid = grid_of(both)
        outer = (None,) * self.mesh.ndim
        laid = placed(placed_aval(whole, grid, (*outer, *theirs)), part_of(v))
        return new_tensor(_moving.move(laid, (*outer[:-1], cut if cuts else None, *theirs)))

    def _kind(self, policy: Any) -> Any:
        source = self.sharded.dtype
        return policy.param_dtype if policy.param_dtype is not None and source.is_floating_point else source

    def whole_of(self, v: Value) -> Value:
        """What the sharded parameter (in the type in which the module computes) is as a whole."""
        home: Any = v.aval
        n = self.mesh.ndim
        whole = part_of(_moving.move(v, (*(None,) * n, *home.places[n:])))
        if self.inner is None:
            return whole
        return placed(placed_aval(aval(home.shape, home.dtype, home.device), grid_of(self.inner), home.places[n:]), whole)

    def part(self, policy: Any) -> Value:
        """The part, in the type in which the module computes: of the parameter as it is now, for backward too, as in torch."""
        if policy.param_dtype is None:
            return read(self.sharded)
        kind = self._kind(policy)
        if kind is self.sharded.dtype:
            return read(self.sharded)
        with torch.no_grad():
            return read(self.sharded.to(kind))

    def part_of_gradient(self, g: Any, how: str) -> Any:
        """The gradient's part, of a parameter that lies on another mesh besides."""
        home: PlacedAval = read(self.sharded).aval  # type: ignore[assignment]
        n = self.mesh.ndim
        inside = home.places[n:]
        assert self.inner is not None
        part = part_of(entries.fitted(read(g), placed_aval(aval(home.shape, g.dtype, home.device), grid_of(self.inner), inside)))
        return _moving.move(placed(placed_aval(aval(home.shape, g.dtype, home.device), home.grid, ((how,) * n + inside)), part), home.places)


@functools.cache  # avals are kept for good
def _whole_avals(parts: tuple[PlacedAval, ...]) -> tuple[PlacedAval, ...]:
    return tuple([placed_aval(a.whole, a.grid, (None,) * len(a.places)) for a in parts])


def _on_one_mesh_here(parameters: list[_Parameter]) -> bool:
    """Whether XLA gathers all of them (some, at least), which lie on this mesh alone."""
    return bool(parameters) and all([p.here and p.inner is None for p in parameters])


def _wholes(parameters: list[_Parameter], parts: list[Value]) -> list[Value]:
    """The parameters as wholes, those that lie on this mesh alone together."""
    if _on_one_mesh_here(parameters):
        if heard.listeners and any([isinstance(p, int) for v in parts for p in v.aval.places]):  # type: ignore[attr-defined]
            heard.tell("c10d._allgather_base_")
        return entries.lay_all([v.array.value for v in parts], _whole_avals(tuple([v.aval for v in parts])))  # type: ignore[misc]
    plain = [k for k, p in enumerate(parameters) if p.inner is None]
    found = dict(zip(plain, _moving.move_all([parts[k] for k in plain], _whole_avals(tuple([parts[k].aval for k in plain]))), strict=True))  # type: ignore[misc]
    return [part_of(found[k]) if k in found else p.whole_of(v) for k, (p, v) in enumerate(zip(parameters, parts, strict=True))]


@functools.cache
def _part_avals(homes: tuple[PlacedAval, ...], kinds: tuple[Any, ...]) -> tuple[PlacedAval, ...]:
    return tuple([placed_aval(aval(a.shape, kind, a.device), a.grid, a.places) for a, kind in zip(homes, kinds, strict=True)])


def _in_parts(parameters: list[_Parameter], gradients: list[Any], how: str) -> list[Value]:
    """The gradients of wholes, averaged or added up over the ranks, as the parameters lie."""
    if how == "avg" and _on_one_mesh_here(parameters):  # as below
        values = [read(g) for g in gradients]
        if heard.listeners:
            heard.tell("c10d._reduce_scatter_base_")
        lies = _part_avals(tuple([read(p.sharded).aval for p in parameters]), tuple([v.aval.dtype for v in values]))  # type: ignore[misc]
        return list(map(placed, lies, entries.lay_all(values, lies)))
    out: list[Any] = [None if p.inner is None else p.part_of_gradient(g, how) for p, g in zip(parameters, gradients, strict=True)]
    plain = [k for k, v in enumerate(out) if v is None]
    homes: list[Any] = [read(parameters[k].sharded).aval for k in plain]
    if not plain:
        return out
    grid, n = homes[0].grid, len(homes[0].places)
    to = [placed_aval(aval(a.shape, gradients[k].dtype, a.device), grid, a.places) for k, a in zip(plain, homes, strict=True)]
    if grid.coordinate is None and how == "avg":  # what all see is the average already; that it is to lie in parts is all that XLA is told
        values = _moving.move_all([placed(a, read(gradients[k])) for k, a in zip(plain, to, strict=True)], tuple(to))
    else:
        values = [from_part(read(gradients[k]), grid, (how,) * n, a.shape) for k, a in zip(plain, homes, strict=True)]
        for m in reversed(range(n)):
            values = _moving.move_all(values, tuple([placed_aval(a.whole, grid, (*(how,) * m, *a.places[m:])) for a in to]))
    for k, v in zip(plain, values, strict=True):
        out[k] = v
    return out


class FSDPUnshardBackward(SparseNode):
    """The way back of all wholes of a module: ``fns`` makes of {number: gradient} the gradients of their parts; ``aval``: of all wholes."""

    __slots__ = ("numbers",)
    numbers: list[int]  # which whole each edge is of

    @property
    def outs(self) -> Any:
        return self.aval

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        self.check()
        found = self.fns({k: run.wrap(g) for k, g in buffer.items() if k in self.numbers})
        if not run.retain:
            self.release()
        return [run.unwrap(found.get(k)) for k in self.numbers]


def _gather(parameters: list[_Parameter], policy: Any, factor: float | None, sums: bool) -> list[Any]:
    """The wholes, of which the gradients go to the parts."""
    outs = [new_tensor(v) for v in _wholes(parameters, [p.part(policy) for p in parameters])]
    sources = [p.sharded for p in parameters]
    avals = [t._s.value.aval for t in outs]
    numbers = [k for k, t in enumerate(sources) if t._edge is not None and avals[k].dtype.category >= 2] if state.mode & GRAD else ()
    if not numbers:
        return outs
    how = "sum" if factor is not None or sums else "avg"

    def gradients(given: dict[int, Any]) -> dict[int, Any]:
        kind = policy.reduce_dtype
        reduced = [g if aval_of(g).dtype is (kind or avals[k].dtype) else g.to(kind or avals[k].dtype) for k, g in given.items()]
        if factor is not None:
            reduced = [g / factor for g in reduced]
        parts = map(new_tensor, _in_parts([parameters[k] for k in given], reduced, how))
        return {k: t if aval_of(t).dtype is aval_of(sources[k]).dtype else t.to(sources[k].dtype) for k, t in zip(given, parts, strict=True)}

    node = FSDPUnshardBackward()
    node.fns, node.aval, node.numbers = gradients, tuple(avals), numbers
    node.edges, node.seq, node.hooks, node.extra = tuple([x for k in numbers for x in (edge_of(sources[k]), sources[k]._nr)]), next_seq(), None, None
    for k in numbers:
        outs[k]._edge, outs[k]._nr = node, k
    return outs


def _gathered_again(parameters: list[_Parameter], policy: Any, numbers: list[int], barrier: Callable[[list[Value]], list[Value]]) -> list[Value]:
    """Those with these numbers as wholes once more, for backward."""
    some = [parameters[k] for k in numbers]
    parts = [p.part(policy) for p in some]
    behind = barrier([part_of(v) for v in parts])
    return _wholes(some, [placed(v.aval, b) for v, b in zip(parts, behind, strict=True)])  # type: ignore[arg-type]


class Sharded:
    """What :func:`fully_shard` keeps of a module."""

    def __init__(self, modules: list[Any], mesh: DeviceMesh, policy: Any, dim_of: Callable[[Any], Any] | None, ignored: set[Any], cuts: bool = True) -> None:
        self.modules, self.mesh, self.policy = modules, mesh, policy
        self.factor: float | None = None
        self.sums = False
        self.held = False  # by a call of unshard()
        self.depth = 0
        self.reshard_after_forward: bool | None = None  # None: unless it is the outermost, which backward begins with
        self.began = 0
        found: dict[int, tuple[Any, list[tuple[Any, str]]]] = {}
        for module in modules:
            for owner in _own_modules(module, module):
                for name, p in owner._parameters.items():
                    if p is not None and p not in ignored:
                        places = found.setdefault(id(p), (p, []))[1]
                        if (owner, name) not in places:
                            places.append((owner, name))
        self.parameters = []
        for p, places in found.values():
            chosen = dim_of(p) if dim_of is not None else None
            dim = chosen.dim % p.dim() if isinstance(chosen, Shard) else 0
            self.parameters.append(_Parameter(places, p, mesh, dim, cuts and p.dim() > 0))

    def refresh(self) -> None:
        """Parameters that were replaced since (to_empty, load_state_dict with assign) are the ones from now on."""
        for p in self.parameters:
            module, name = p.places[0]
            now = module._parameters[name]
            if now is not p.whole and now is not p.sharded:
                p.sharded = now

    def unshard(self) -> None:
        """Modules have the whole parameters."""
        self.refresh()
        self.depth += 1
        if self.depth == 1:
            self.began = next_seq()
            watch = state.observed
            if watch is not None:
                for p in self.parameters:
                    for module, name in p.places:
                        watch.lends(module._parameters, name, self, "policy", "factor", "sums", "held", "reshard_after_forward")
            for p, whole in zip(self.parameters, _gather(self.parameters, self.policy, self.factor, self.sums), strict=True):
                p.whole = whole
                p.set(whole)

    def reshard(self, result: Any = None) -> None:
        """Modules have the sharded parameters. What ``result``, of their forward, hangs on does not keep the wholes."""
        self.depth = max(0, self.depth - 1)
        if self.depth == 0:
            if result is not None and torch.is_grad_enabled():
                forget_wholes(result, self.began, [read(p.whole) for p in self.parameters], partial(_gathered_again, list(self.parameters), self.policy))
            for p in self.parameters:
                p.whole = None
                p.set(p.sharded)


def _own_modules(root: Any, module: Any) -> Iterator[Any]:
    """A module and those below it that are not sharded by themselves."""
    yield module
    for child in module._modules.values():
        if child is not None and getattr(child, "_fsdp_sharded", None) is None:
            yield from _own_modules(root, child)


def each_tensor(x: Any, fn: Callable[[Any], Any]) -> Any:
    """The same structure, with ``fn`` of each tensor."""
    if isinstance(x, torch.Tensor):
        return fn(x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*[each_tensor(y, fn) for y in x])
    if isinstance(x, (tuple, list)):
        return type(x)([each_tensor(y, fn) for y in x])
    if isinstance(x, dict):
        return type(x)({k: each_tensor(y, fn) for k, y in x.items()})
    return x


@functools.cache
def _by_rows(grid: Any) -> NamedSharding:
    return NamedSharding(grid.devices, PartitionSpec(grid.names))


def spread_batch(t: Any, mesh: DeviceMesh) -> Any:
    """Where one process sees all devices: the batch, cut along its first dim by XLA. (Its values are what they are.)"""
    if not mesh._here or isinstance(t, DTensor) or t.dim() == 0 or t.device.type == "meta":
        return t
    v = read(t)
    if t.shape[0] % mesh.size():
        return t
    where = _by_rows(grid_of(mesh))
    if v.trace is None:
        if v.array.__class__ is np.ndarray or (isinstance(v.array, jax.Array) and not isinstance(v.array, jax.core.Tracer) and on_one_device(v.array)):
            v.lies = where  # its parts go to the devices, and nothing is recorded
            return t
        if not hasattr(v.array, "devices"):
            return t
    out = new_tensor(entries.constrained(v, where, v.aval.device))
    return link("ToCopyBackward0", out, (t, lambda g: g))
