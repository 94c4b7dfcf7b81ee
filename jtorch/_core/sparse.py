"""Tensors of the sparse layouts: an ordinary ``Tensor`` on a storage whose value is a :class:`SparseValue`.

The parts of a sparse value are ordinary tensors outside of any graph. An operator that meets a sparse value finds no entry for it and comes
here (``divert``), where the functions of ``_api/sparse_*.py`` are found by the operator's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch import _types
from jtorch._engine.sparse import SparseMet, SparseValue, sparse_aval
from jtorch._engine.state import GRAD, state
from jtorch._engine.values import Value

from .node import Node, _repr, next_seq
from .tensor import Tensor, new_tensor

__all__ = ["HANDLERS", "handles", "divert", "link", "make", "value_of", "nnz", "map_parts", "could_not_run"]

HANDLERS: dict[str, Callable[..., Any]] = {}
PART_NAMES = {
    "sparse_coo": ("indices", "values"),
    "sparse_csr": ("crow_indices", "col_indices", "values"),
    "sparse_bsr": ("crow_indices", "col_indices", "values"),
    "sparse_csc": ("ccol_indices", "row_indices", "values"),
    "sparse_bsc": ("ccol_indices", "row_indices", "values"),
}
# What torch's messages and type names call the layouts.
SHORT = {
    "strided": "Strided",
    "sparse_coo": "Sparse",
    "sparse_csr": "SparseCsr",
    "sparse_csc": "SparseCsc",
    "sparse_bsr": "SparseBsr",
    "sparse_bsc": "SparseBsc",
}


# --- values and their parts -------------------------------------------------------------------------------------


def value_of(t: Tensor) -> SparseValue | None:
    """The sparse value of a tensor; None if it is dense."""
    if t._view is not None or t._s.host is not None:
        return None
    v = t._s.value
    return v if v.__class__ is SparseValue else None


def make(layout: str, parts: Sequence[Tensor], size: Sequence[int], coalesced: bool = False) -> Tensor:
    """A sparse tensor outside of any graph. The parts are kept as they are."""
    values = parts[-1]
    a = values._s.value.aval if values._view is None else values._view.aval
    found = sparse_aval(tuple(int(n) for n in size), a.dtype, a.device, _types.CONSTANTS[layout])
    return new_tensor(SparseValue(found, tuple(_bare(p) for p in parts), coalesced))


def make_loose(loose: tuple[Tensor, Tensor], size: Sequence[int], exact: Callable[[], tuple[Tensor, Tensor]]) -> Tensor:
    """A COO tensor outside of any graph whose parts are computed when somebody looks at them (see :class:`SparseValue`)."""
    a = loose[1]._s.value.aval if loose[1]._view is None else loose[1]._view.aval
    found = sparse_aval(tuple(size), a.dtype, a.device, _types.CONSTANTS["sparse_coo"])
    return new_tensor(SparseValue(found, exact, False, loose))


def _bare(t: Tensor) -> Tensor:
    return t if t._edge is None else t.detach()


def nnz(v: SparseValue) -> int:
    """The number of elements (blocks) that are specified; of a batch, those of each of its matrices."""
    indices: tuple[int, ...] = tuple(v.parts[-2].shape)
    return indices[-1]


def like(t: Tensor, values: Tensor, coalesced: bool | None = None) -> Tensor:
    """Other values at the places of ``t``, outside of any graph."""
    v: Any = value_of(t)
    return make(v.aval.layout.name, (*v.parts[:-1], values), v.aval.shape, v.coalesced if coalesced is None else coalesced)


def map_parts(t: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
    """The same function of every part."""
    v: Any = value_of(t)
    out = make(v.aval.layout.name, [fn(p) for p in v.parts], v.aval.shape, v.coalesced)
    return link("ToCopyBackward0", out, (t, lambda g: g.to(v.aval.device)))


def type_name(a: Any) -> str:
    """What ``Tensor.type()`` says of a sparse aval."""
    if a.layout.name != "sparse_coo":
        raise RuntimeError(f"Unimplemented backend {SHORT[a.layout.name]}{'CUDA' if a.device.type == 'cuda' else 'CPU'}")
    return f"torch.{'cuda.' if a.device.type == 'cuda' else ''}sparse.{a.dtype.legacy}Tensor"


def strides(t: Tensor) -> tuple[int, ...]:
    v: Any = value_of(t)
    if v.aval.layout.name != "sparse_coo":
        raise RuntimeError(f"Sparse {v.aval.layout.name[-3:].upper()} tensors do not have strides")
    return (0,) * len(v.aval.shape)


def is_contiguous(t: Tensor) -> bool:
    name = value_of(t).aval.layout.name  # type: ignore[union-attr]
    if name != "sparse_coo":
        raise RuntimeError(f"Sparse {name[-3:].upper()} tensors do not have is_contiguous")
    return False


# --- operators on them ------------------------------------------------------------------------------------------


def handles(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run this function instead of the operators ``names`` where an argument is sparse; its parameters are those of the operator, by name."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            if name in HANDLERS:
                raise RuntimeError(f"{name} on sparse tensors is declared twice")
            HANDLERS[name] = fn
        return fn

    return declare


def divert(call: Any, args: Sequence[Any]) -> Any:
    """A call some of whose tensors are sparse."""
    op = call.op
    if op is None:
        raise SparseMet(f"{call.name} is not implemented for sparse tensors")
    rest = iter(args)
    named: dict[str, Any] = {}
    for d, p in zip(call.key, op.fn_params, strict=True):
        if d[0] in "TS":
            named[p.name] = next(rest)
        elif d[0] == "L":
            named[p.name] = [next(rest) if there else None for there in d[1]]
        else:
            named[p.name] = d[2]
    handler = HANDLERS.get(op.name)
    if handler is None:
        raise could_not_run(op.name, args)
    return handler(**named)


def backend(args: Sequence[Any]) -> str:
    """What torch calls the backend of these arguments: the first sparse layout among them, and the device."""
    for a in args:
        v = value_of(a) if isinstance(a, Tensor) else None
        if v is not None:
            where = "CUDA" if v.aval.device.type == "cuda" else "CPU"
            return f"Sparse{'' if v.aval.layout.name == 'sparse_coo' else 'Csr'}{where}"
    return "CPU"


def could_not_run(name: str, args: Sequence[Any]) -> NotImplementedError:
    """torch's error for an operator without a kernel for this layout."""
    return NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the '{backend(args)}' backend. This could be because the operator doesn't exist for this "
        f"backend: jtorch implements {name} for dense tensors only, to_dense() gives one."
    )


# --- the graph --------------------------------------------------------------------------------------------------


class SparseNode(Node):
    """A node whose derivative is written as functions of tensors, because gradients of sparse tensors may be sparse or dense."""

    __slots__ = ("fns", "aval")
    fns: Any  # one for each edge; None once freed
    aval: Any

    @property
    def outs(self) -> Any:
        return (self.aval,)

    def check(self) -> None:
        if self.fns is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
                "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
            )

    def release(self) -> None:
        self.fns = None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        self.check()
        g = run.wrap(buffer[0])
        out = [run.unwrap(fn(g)) for fn in self.fns]
        if not run.retain:
            self.release()
        return out

    def __repr__(self) -> str:
        return _repr(self)


_classes: dict[str, type] = {}


def link(name: str, out: Tensor, *inputs: tuple[Any, Callable[[Tensor], Tensor]]) -> Tensor:
    """Give ``out`` a node: for each (tensor, function), the gradient of the tensor from the gradient of ``out``. Gives ``out``."""
    from .dispatch import edge_of
    from .views import aval_of

    if not state.mode & GRAD or aval_of(out).dtype.category < 2:
        return out
    edges: list[Any] = []
    fns = []
    for t, fn in inputs:
        if isinstance(t, Tensor) and t._edge is not None:
            edges += (edge_of(t), t._nr)
            fns.append(fn)
    if not edges:
        return out
    cls = _classes.get(name)
    if cls is None:
        cls = _classes[name] = type(name, (SparseNode,), {"__slots__": (), "__module__": "torch.autograd.graph"})
    node = cls.__new__(cls)
    node.fns, node.aval = tuple(fns), aval_of(out)
    node.edges, node.seq, node.hooks, node.extra = tuple(edges), next_seq(), None, None
    out._edge, out._nr = node, 0
    return out


def renamed(name: str, out: Tensor) -> Tensor:
    """``out``, made of several operators, shows as the result of one."""
    if out._edge is None or not state.mode & GRAD:
        return out
    from .views import read

    result = new_tensor(read(out))
    return link(name, result, (out, lambda g: g))


def dense_gradient(g: Any) -> Any:
    """A gradient (value or tensor) for a node that knows dense ones only."""
    if isinstance(g, Tensor):
        return g.to_dense() if value_of(g) is not None else g  # type: ignore[operator]
    if g.__class__ is not SparseValue:
        return g
    from .views import read

    return read(new_tensor(g).to_dense())  # type: ignore[operator]


def add_gradients(a: Value, b: Value) -> Value:
    """The sum of two gradients, one of them sparse at least: sparse if both are."""
    from .views import read

    x, y = new_tensor(a), new_tensor(b)
    if a.__class__ is SparseValue and b.__class__ is not SparseValue:
        x, y = y, x
    out: Tensor = HANDLERS["accumulate"](x, y)
    return read(out)
