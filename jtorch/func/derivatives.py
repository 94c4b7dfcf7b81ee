"""``torch.func``'s derivatives: passes over the tape, so that they nest, see in-place writes and custom Functions, and are recorded and compiled as everything else."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from jtorch._core.backward.levels import Input, enter, forward_mode, gradients, reaches_inputs, reaches_out, transposed
from jtorch._core.dispatch.inplace import Captured
from jtorch._core.graph.node import AccumulateGrad, next_seq
from jtorch._core.graph.saved_tensors import settings
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import alias_of, born_in
from jtorch._core.storage.write_counts import origin_of, written_since
from jtorch._engine.values.lanes import Level, newest
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._public import torch
from jtorch.autograd.forward_ad import check_tangent
from jtorch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from .vmap import vmap

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Tensor = torch.Tensor


_NO_HOOKS = "torch.func.{grad, vjp, jacrev, hessian} don't yet support saved tensor hooks. Please open an issue with your use case."


_ENTERING = threading.Lock()


class _Level:
    """A function run with some of its inputs followed. ``outer``: whether gradients are recorded around it; ``backward``: whether saved-tensor hooks are refused, as torch does there;
    ``captures``: whether anything may be written."""

    def __init__(self, backward: bool = True, captures: bool = False) -> None:
        self.backward = backward
        self.since = next_seq()
        self.outer = bool(state.mode & GRAD)
        self.inputs: list[Input] = []
        self.entered: list[Any] = []
        self.number = newest()
        self.given: dict[Any, Any] = Captured() if captures else {}  # storages of arguments that are not followed: they may be written all the same
        self.under_way = False

    def __enter__(self) -> None:
        if self.backward and settings.stack:
            raise RuntimeError(_NO_HOOKS)
        self.around, state.derivative = (state.derivative, settings.disabled, state.derivatives, state.pushing, state.changeable), self.number
        with _ENTERING:  # the numbers of all threads rise
            self.began = newest()
            born_in.append(self.began)
        state.changeable = (*state.changeable, (self.began, self.given))
        self.under_way = True
        state.pushing = not self.backward
        state.derivatives = (*state.derivatives, (self.number, self.since))
        if self.backward:
            settings.disabled = _NO_HOOKS

    def __exit__(self, *_: Any) -> None:
        state.derivative, settings.disabled, state.derivatives, state.pushing, state.changeable = self.around
        born_in.remove(self.began)
        self.under_way = False

    def enter(self, tree: Any) -> Any:
        def one(t: Any) -> Any:
            if not isinstance(t, Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(t)}")
            if not (t.is_floating_point() or t.is_complex()):
                if self.backward:
                    raise RuntimeError("only Tensors of floating point dtype can require gradients")
                raise ValueError(f"Expected primal to be floating point or complex, but got: {t.dtype}")
            inside, node = enter(t)
            node.leaf = self.backward
            self.inputs.append(node)
            self.entered.append([t, inside, 0])
            return inside

        return tree_map(one, tree)

    def give(self, tree: Any) -> None:
        """Arguments that are not followed."""
        for t in tree_flatten(tree)[0]:
            if isinstance(t, Tensor):
                self.given.setdefault(origin_of(t._s), []).append((t, int(t._s.version)))

    def differentiable(self, tensors: list[Any]) -> bool:
        """Whether what is computed from these is to be followed outside too."""
        return self.outer and any(reaches_out(t, self.since) for t in tensors)

    def leave(self, tree: Any) -> Any:
        """What is returned from the level; what was written in place inside is written outside."""
        if not self.under_way:
            self._written()

        def one(t: Any) -> Any:
            return t.detach() if isinstance(t, Tensor) and t._edge is not None and not self.differentiable([t]) else t

        return tree_map(one, tree)

    def _written(self) -> None:
        """What was written in place inside has no graph of the inside outside."""
        for entered in self.entered:
            t, inside, seen = entered
            if written_since(inside._s, seen):
                entered[2] = int(inside._s.version)
                with torch.no_grad():
                    t.copy_(inside.detach())
        for t, seen in [x for given in self.given.values() for x in given]:
            if written_since(t._s, seen):
                for x in (t, t._meta.base if t._meta is not None else None):
                    if x is not None and x._edge is not None and x._edge.__class__ is not AccumulateGrad and not self.differentiable([x]):
                        x._edge, x._nr = None, 0


def _argnums(argnums: Any, count: int) -> Any:
    def one(n: Any) -> int:
        if not isinstance(n, int):
            raise RuntimeError(f"argnum must be int, got: {type(n)}")
        if not -count <= n < count:
            raise RuntimeError(f"Got argnum={n}, but only {count} positional inputs")
        return n % count

    if isinstance(argnums, int):
        return one(argnums)
    if not isinstance(argnums, tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    found = tuple(one(n) for n in argnums)
    if not found:
        raise RuntimeError("argnums must be non-empty")
    if len(set(found)) != len(found):
        raise RuntimeError(f"argnums elements must be unique, got {found}")
    return found


def _split(args: tuple[Any, ...], argnums: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The arguments that are followed, and the function that puts others (None: nothing) in their place."""
    at = _argnums(argnums, len(args))
    if isinstance(at, int):
        return args[at], lambda new: (*args[:at], new, *args[at + 1 :])

    def put(new: Any) -> tuple[Any, ...]:
        given = dict.fromkeys(at) if new is None else dict(zip(at, new, strict=True))
        return tuple(given.get(i, a) for i, a in enumerate(args))

    return tuple(args[i] for i in at), put


def _aux(found: Any, what: str) -> tuple[Any, Any]:
    if not (isinstance(found, tuple) and len(found) == 2):
        raise RuntimeError(f"{what}: output of function f should be a tuple: (output, aux) if has_aux is True")
    for x in tree_flatten(found[1])[0]:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(x)}")
    return found


def _zeros(found: list[Any], like: list[Any]) -> list[Any]:
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, like, strict=True)]


def grad_and_value(func: Any, argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """``f(*args) -> (gradients, value)`` of a function with a scalar result; ``(gradients, (value, aux))`` with ``has_aux``.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.func.grad_and_value.html
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = _Level()
        chosen, put = _split(args, argnums)
        with torch.enable_grad(), level:
            level.give((put(None), kwargs))
            inside = level.enter(chosen)
            out = func(*put(inside), **kwargs)
            aux = None
            if has_aux:
                out, aux = _aux(out, "grad_and_value(f)(*args)")
            if not isinstance(out, Tensor):
                raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(out)}")
            if out.dim() != 0:
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with {out.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            flat, spec = tree_flatten(chosen)
            found = gradients([out], [torch.ones_like(out)], level.inputs, level.differentiable([out]))
            result = tree_unflatten(level.leave(_zeros(found, flat)), spec)
        value = level.leave(out)
        return (result, (value, level.leave(aux))) if has_aux else (result, value)

    return wrapper


def grad(func: Any, argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """``f(*args) -> gradients`` of a function with a scalar result; ``(gradients, aux)`` with ``has_aux``. Source: torch.func.grad."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapper


def _outputs(out: Any, what: str) -> tuple[list[Any], Any]:
    flat, spec = tree_flatten(out)
    if not flat or flat == [None]:
        raise RuntimeError(f"{what}: Expected f to be a function that has non-empty output (got output = {out})")
    for t in flat:
        if not isinstance(t, Tensor):
            raise RuntimeError(f"{what}: expected f(*primals) to return only tensors, got unsupported type {type(t)}")
    return flat, spec


def _as_it_is(t: Any) -> Any:
    """The tensor with the history that it has now: an argument that was written loses it outside."""
    kept = alias_of(t._s, t._view)
    kept._edge, kept._nr = edge_of(t), t._nr
    return kept


def vjp(func: Any, *primals: Any, has_aux: bool = False) -> Any:
    """``(func(*primals), pull)``, and aux: ``pull(*cotangents)`` gives the gradients of the primals. Source: torch.func.vjp."""
    return _vjp(func, primals, has_aux, ())


def _vjp(func: Any, primals: tuple[Any, ...], has_aux: bool, others: Any) -> Any:
    """:func:`vjp`; ``others``: arguments that are not followed."""
    level = _Level()
    with torch.enable_grad(), level:
        level.give(others)
        inside = level.enter(primals)
        out = func(*inside)
        aux = None
        if has_aux:
            out, aux = _aux(out, "vjp(f, *primals)")
        flat, spec = _outputs(out, "vjp(f, *primals)")
        flat = [_as_it_is(t) if level.given and isinstance(t, Tensor) else t for t in flat]
        for t in flat:
            if not (t.is_floating_point() or t.is_complex()):
                raise RuntimeError(f"vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype {t.dtype}")
    leaves, primals_spec = tree_flatten(primals)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given, given_spec = tree_flatten(cotangents)
        if given_spec != spec:
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. cotangents: {given_spec}, primal output: {spec}"
            )
        for i, (g, t) in enumerate(zip(given, flat, strict=True)):
            if isinstance(g, Tensor) and g.shape != t.shape:
                raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {t.shape}.")
        now = _Level()
        followed = now.outer and (any(reaches_out(t, level.since) for t in flat) or any(t._edge is not None for t in given))
        with torch.set_grad_enabled(bool(followed)):
            found = _zeros(gradients(flat, given, level.inputs, followed), leaves)
        if not followed:
            found = [t.detach() for t in found]
        return tree_unflatten(found, primals_spec)

    value = level.leave(out)
    return (value, pull, level.leave(aux)) if has_aux else (value, pull)


def _push(what: str, func: Any, primals: Any, put: Any, has_aux: bool, captures: bool = False) -> tuple[Any, Callable[[list[Any]], list[Any]], Any, _Level]:
    """Run a function; its value, the linear map from tangents (flat) to tangents (flat) by two passes backward, and aux."""
    level = _Level(False, captures)
    with torch.enable_grad(), level:
        level.give(put(None))
        inside = level.enter(primals)
        enabled = forward_mode.enabled
        forward_mode.enable(True)
        try:
            out = func(*put(inside))
        finally:
            forward_mode.enable(enabled)
        aux = None
        if has_aux:
            out, aux = _aux(out, what)
        flat, _ = _outputs(out, what)
        outer = level.differentiable(flat)
        smooth = [t for t in flat if t.is_floating_point() or t.is_complex()]
        dummies, ends = zip(*[enter(torch.zeros_like(t.detach())) for t in smooth], strict=True) if smooth else ((), ())
        back: list[Any] = transposed(smooth, list(dummies), level.inputs) if smooth else [None] * len(level.inputs)

    def push(tangents: list[Any]) -> list[Any]:
        followed = bool(state.mode & GRAD) and (outer or any(t._edge is not None for t in tangents))
        with torch.enable_grad() if followed else torch.no_grad():
            at = [i for i, b in enumerate(back) if b is not None]
            found = iter(gradients([back[i] for i in at], [tangents[i] for i in at], list(ends), followed))
            each = [next(found) if t.is_floating_point() or t.is_complex() else None for t in flat]
            result = _zeros(each, flat)
        return result if followed else [t.detach() for t in result]

    return out, push, aux, level


def jvp(func: Any, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """``(func(*primals), J @ tangents)``, and aux. Source: torch.func.jvp."""
    what = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{what}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    flat, spec = tree_flatten(primals)
    moves, moves_spec = tree_flatten(tangents)
    if spec != moves_spec:
        raise RuntimeError(
            f"{what}: Expected primals and tangents to have the same python structure. For example, if primals is a tuple of 3 tensors, "
            f"tangents also must be. Got primals with structure {spec} and tangents with structure {moves_spec}"
        )
    for name, leaves in (("primals", flat), ("tangents", moves)):
        if not leaves:
            raise RuntimeError(f"{what}: Expected {name} to contain at least one Tensor.")
        for t in leaves:
            if not isinstance(t, Tensor):
                raise RuntimeError(f"{what}: Expected {name} to only contain Tensors, got {type(t)}")
    for t, move in zip(flat, moves, strict=True):
        check_tangent(t, move)
    out, push, aux, level = _push(what, func, primals, lambda new: new, has_aux)
    if strict and not all(reaches_inputs(t, level.inputs) for t in tree_flatten(out)[0]):
        raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed with strict=True.")
    found = tree_unflatten(push(moves), tree_flatten(out)[1])
    value = level.leave(out)
    return (value, found, level.leave(aux)) if has_aux else (value, found)


def linearize(func: Any, *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """``(func(*primals), push)``: ``push(*tangents)`` is ``J @ tangents`` at the primals. Source: torch.func.linearize."""
    out, push, _, level = _push("linearize", func, primals, lambda new: new, False, True)
    flat, spec = tree_flatten(primals)
    out_spec = tree_flatten(out)[1]

    def pushed(*tangents: Any) -> Any:
        moves, given = tree_flatten(tangents)
        if given != spec:
            raise RuntimeError(f"Expected the tangents {given} to have the same tree structure as the primals {spec}")
        for i, (t, p) in enumerate(zip(moves, flat, strict=True)):
            for name in ("shape", "dtype", "device"):
                if getattr(t, name) != getattr(p, name):
                    raise RuntimeError(f"tangent:{i} with {name} {getattr(t, name)} in flattened pytree doesn't match the {name} {getattr(p, name)} of the corresponding primal.")
        return tree_unflatten(push(moves), out_spec)

    return level.leave(out), pushed


def _no_complex(what: str, tree: Any, inputs: bool) -> None:
    for t in tree_flatten(tree)[0]:
        if isinstance(t, Tensor) and t.is_complex():
            raise RuntimeError(f"{what}: Expected all {'inputs' if inputs else 'outputs'} to be real but received complex tensor at flattened {'input' if inputs else 'output'} idx: 0")


def _basis(tensors: list[Any]) -> list[Any]:
    """For each tensor the rows of an identity over all elements of all of them."""
    total = sum(t.numel() for t in tensors)
    found, at = [], 0
    for t in tensors:
        n = t.numel()
        rows = torch.zeros(total, n, dtype=t.dtype, device=t.device)
        rows[at : at + n] = torch.eye(n, dtype=t.dtype, device=t.device)
        found.append(rows.reshape(total, *t.shape))
        at += n
    return found


def jacrev(func: Any, argnums: Any = 0, *, has_aux: bool = False, chunk_size: int | None = None, _preallocate_and_copy: bool = False) -> Callable[..., Any]:
    """The Jacobian by backward passes for all outputs at once (``chunk_size`` of them at a time). Source: torch.func.jacrev."""
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        _no_complex("jacrev", args, True)
        chosen, put = _split(args, argnums)
        result = _vjp(lambda new: func(*put(new)), (chosen,), has_aux, put(None))
        out, pull = result[:2]
        flat, spec = tree_flatten(out)
        _no_complex("jacrev", flat, False)
        sizes = [t.numel() for t in flat]

        def pull_rows(*rows: Any) -> Any:
            return pull(tree_unflatten(list(rows), spec))[0]

        if chunk_size == 1:  # one after the other, without what vmap does not allow
            turns = [tree_flatten(pull_rows(*row)) for row in zip(*_basis(flat), strict=True)]
            pulled = tree_unflatten([torch.stack(column) for column in zip(*[leaves for leaves, _ in turns], strict=True)], turns[0][1])
        else:
            pulled = vmap(pull_rows, chunk_size=chunk_size)(*_basis(flat))
        leaves, in_spec = tree_flatten(pulled)
        parts = [leaf.split(sizes, 0) for leaf in leaves]
        each = [tree_unflatten([p[k].reshape(*t.shape, *p[k].shape[1:]) for p in parts], in_spec) for k, t in enumerate(flat)]
        jacobian = tree_unflatten(each, spec)
        return (jacobian, result[2]) if has_aux else jacobian

    return wrapper


def jacfwd(func: Any, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error") -> Callable[..., Any]:
    """The Jacobian by pushing a tangent for each element of the inputs, all at once. Source: torch.func.jacfwd."""

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        _no_complex("jacfwd", args, True)
        chosen, put = _split(args, argnums)
        before = state.lanes
        if randomness == "error":  # one evaluation serves all tangents: what it draws is drawn inside the vmap over these, as far as anybody can tell
            state.lanes = (*before, Level(1, randomness, (state.trace, len(state.trace.outputs))))
        try:
            out, push, aux, level = _push("jvp(f, primals, tangents)", func, chosen, put, has_aux)
        finally:
            state.lanes = before
        flat, spec = tree_flatten(out)
        _no_complex("jacfwd", flat, False)
        leaves, in_spec = tree_flatten(chosen)
        pushed = vmap(lambda *rows: tuple(push(list(rows))), randomness=randomness)(*_basis(leaves))
        sizes = [t.numel() for t in leaves]
        each = []
        for t, rows in zip(flat, pushed, strict=True):
            parts = rows.movedim(0, -1).split(sizes, -1)
            each.append(tree_unflatten([p.reshape(*t.shape, *x.shape) for p, x in zip(parts, leaves, strict=True)], in_spec))
        jacobian = tree_unflatten(each, spec)
        aux = level.leave(aux)
        return (jacobian, aux) if has_aux else jacobian

    return wrapper


def hessian(func: Any, argnums: Any = 0) -> Callable[..., Any]:
    """The second derivatives: ``jacfwd(jacrev(func))``. Source: torch.func.hessian."""
    return jacfwd(jacrev(func, argnums), argnums)
