"""``autograd.Function``: operators whose backward the user writes."""

from __future__ import annotations

import functools
import inspect
import threading
from typing import Any

import jax

from jtorch._core.backward.levels import forward_mode
from jtorch._core.backward.seeds import ones
from jtorch._core.graph.grad_modes import no_grad
from jtorch._core.graph.node import AccumulateGrad, Node, next_seq, type_in_words
from jtorch._core.graph.saved_tensors import FREED, HOOKED, INFERENCE_SAVED, SavedTensor, packed, settings, unpacked
from jtorch._core.graph.view_history import VIEWED, edge_of, rebase, refuse_creation, tell_views
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.storage.write_counts import version_of, written_since
from jtorch._core.tensor.autograd_methods import with_grad
from jtorch._engine.values.lanes import Lanes
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.values.values import Value
from jtorch._errors import warn

from . import forward_ad
from ._given_by_name import INSTANTIATED, in_their_places
from .jax_function import apply_to_tracers
from .vmap_rules import by_rule, level_of, rule_of

__all__ = ["Function", "FunctionCtx", "once_differentiable", "NestedIOFunction", "BackwardCFunction", "FunctionMeta", "InplaceFunction"]


class FunctionCtx:
    """What ``forward`` leaves for ``backward``."""

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (inputs, outputs or others); read them as ``ctx.saved_tensors``."""
        self.__dict__["_to_save"] = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        self.__dict__["_saved_forward"] = tensors

    def mark_dirty(self, *args: Any) -> None:
        """Inputs that forward changed in place."""
        self.__dict__["_dirty"] = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Outputs without a gradient."""
        self.__dict__["_non_differentiable"] = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients arrive as zeros (default) or None."""
        self.__dict__["_materialize"] = value


class _Hooked:
    """A saved tensor as a pack hook left it."""

    __slots__ = ("packed", "unpack")

    def __init__(self, packed: Any, unpack: Any) -> None:
        self.packed, self.unpack = packed, unpack


class _SavedByFunction(SavedTensor):
    """One saved tensor of a Function's node (``grad_fn._raw_saved_tensors``)."""

    def _register(self, pack_hook: Any, unpack_hook: Any) -> None:
        node, k = self._node, self._k
        if node.__dict__.get("_freed"):
            raise RuntimeError(FREED)
        t, _, is_output = node._saved[k]
        if t is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        if t.__class__ is _Hooked:
            raise RuntimeError(HOOKED)
        kept = _Hooked(packed(node.saved_tensors[k], pack_hook), unpack_hook), (t._edge, t._nr), is_output
        node.__dict__["_saved"] = (*node._saved[:k], kept, *node._saved[k + 1 :])


class _FunctionNode(Node, FunctionCtx):
    """The node of one application; it is also the ctx."""

    # Not slotted: users put attributes on ctx.
    _forward_cls: Any = None
    takes_undefined = True

    @property
    def outs(self) -> Any:
        return self._out_avals  # type: ignore[attr-defined]

    def name(self) -> str:
        return type(self).__name__

    def _mask(self) -> tuple[bool, ...]:
        return tuple(self.needs_input_grad[i] for i in self._tensor_positions)  # type: ignore[attr-defined]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The saved tensors. RuntimeError once freed, or if one was changed in place since."""
        if self.__dict__.get("_freed"):
            raise RuntimeError(FREED)
        out: list[Any] = []
        for t, version, is_output in self.__dict__.get("_saved", ()):
            if t is None:
                out.append(None)
                continue
            if t.__class__ is _Hooked:
                t = unpacked(t.packed, t.unpack)
                if is_output is not None or t._edge is not None:
                    t = t.detach()
                edge, nr = (self, is_output) if is_output is not None else version
                t._edge, t._nr = edge, nr
                out.append(t)
                continue
            if count := written_since(t._s, version):
                a, now = aval_of(t), version_of(t._s)
                made = f", which is output {is_output} of {type(self).__name__.removesuffix('Backward')}," if is_output is not None else ""
                raise RuntimeError(
                    f"one of the variables needed for gradient computation has been modified by an inplace operation: [{type_in_words(a)} {list(a.shape)}]{made} is at version {now}; expected version {now - count} instead. "
                    "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
                )
            if is_output is not None:
                t = t.detach()
                t._edge, t._nr = self, is_output
            out.append(t)
        return tuple(out)

    @property
    def saved_variables(self) -> tuple[Tensor, ...]:
        warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning)
        return self.saved_tensors

    @property
    def _raw_saved_tensors(self) -> tuple[SavedTensor, ...]:
        if self.__dict__.get("_freed"):
            raise RuntimeError(FREED)
        return tuple([_SavedByFunction.of(self, k) for k in range(len(self.__dict__.get("_saved", ())))])

    def check(self) -> None:
        return None

    def release(self) -> None:
        self.__dict__["_freed"] = True
        self.__dict__["_saved"] = ()

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        if forward_mode.on:
            return [None] * sum(self.needs_input_grad) if "_has_tangents" in self.__dict__ else self._transposed(buffer)  # type: ignore[attr-defined]
        cls = self._forward_cls
        avals = self._out_avals  # type: ignore[attr-defined]
        cts: list[Any] = []
        for i, a in enumerate(avals):
            if i in buffer:
                cts.append(run.wrap(buffer[i]))
            elif a is None or not self.__dict__.get("_materialize", True):
                cts.append(None)
            else:
                from jtorch._public import torch

                cts.append(torch.zeros(a.shape, dtype=a.dtype, device=a.device))
        if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
            raise RuntimeError("Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one of them.")
        backward = cls.backward if cls.backward is not Function.backward else cls.vjp
        if run.create:
            results = backward(self, *cts)
        else:
            with no_grad():
                results = backward(self, *cts)
        results = results if isinstance(results, tuple) else (results,)
        if isinstance(results, tuple) and len(results) == 1 and isinstance(results[0], list):
            results = tuple(results[0])
        n = len(self.needs_input_grad)  # type: ignore[attr-defined]
        if len(results) > n and all(r is None for r in results[n:]):
            results = results[:n]
        if len(results) != n:
            raise RuntimeError(f"function {type(self).__name__} returned an incorrect number of gradients (expected {n}, got {len(results)})")
        if not run.retain:
            self.release()
        out: list[Any] = []
        for i, g in enumerate(results):
            want = self._in_avals[i]  # type: ignore[attr-defined]
            if g is not None and not isinstance(g, Tensor) and want is not None:
                raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
            if g is not None and want is None:
                raise RuntimeError(f"function {type(self).__name__} returned a gradient different than None at position {i + 1}, but the corresponding forward input was not a Variable")
            if self.needs_input_grad[i]:  # type: ignore[attr-defined]
                out.append(None if g is None else run.unwrap(_fit(g, want, type(self).__name__, i)))
        return out

    def _transposed(self, buffer: dict[int, Any]) -> list[Any]:
        """In the first pass of forward mode only what is linear in the cotangents counts: the transposed of it is the user's ``jvp``."""
        node = _Jvp(self, buffer)
        made: list[Any] = []
        for n, a in zip(self.needs_input_grad, self._in_avals, strict=True):  # type: ignore[attr-defined]
            if n:
                t = new_tensor(ones(a))
                t._edge, t._nr = node, len(made)
                made.append(t)
        return made


class _Jvp(Node):
    """Tangents of a Function's inputs come in, those of its results go out."""

    def __init__(self, ctx: Any, buffer: dict[int, Any]) -> None:
        self.ctx, self.at = ctx, sorted(buffer)
        edges: list[Any] = []
        self.at = [i for i in self.at if buffer[i]._edge is not None]
        for i in self.at:
            edges += (edge_of(buffer[i]), buffer[i]._nr)
        self.edges, self.seq, self.hooks, self.extra = tuple(edges), next_seq(), None, None

    @property
    def outs(self) -> Any:
        return [a for n, a in zip(self.ctx.needs_input_grad, self.ctx._in_avals, strict=True) if n]

    def check(self) -> None: ...

    def release(self) -> None: ...

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        ctx = self.ctx
        there = iter(range(len(ctx.needs_input_grad)))
        tangents: list[Any] = []
        for n, a in zip(ctx.needs_input_grad, ctx._in_avals, strict=True):
            i = next(there) if n else None
            tangents.append(None if i is None else run.wrap(buffer[i]) if i in buffer else None)
            if i is not None and tangents[-1] is None and ctx.__dict__.get("_materialize", True):
                tangents[-1] = new_tensor(ones(a)) * 0
        was, forward_mode.on = forward_mode.on, False
        try:
            saved = ctx.__dict__.get("_saved_forward")
            if saved is not None and not ctx.__dict__.get("_saved"):
                ctx.__dict__["_saved"] = tuple((t, t._s.version, None) for t in saved)
            found = ctx._forward_cls.jvp(ctx, *tangents)
        finally:
            forward_mode.on = was
        found = found if isinstance(found, tuple) else (found,)
        return [None if i >= len(found) or found[i] is None else run.unwrap(found[i]) for i in self.at]


def _fit(g: Tensor, want: Any, name: str, i: int) -> Tensor:
    a = aval_of(g)
    if a.shape != want.shape:
        try:
            g = g.sum_to_size(want.shape)
        except RuntimeError:
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {i} - got {list(a.shape)} but expected shape compatible with {list(want.shape)}"
            ) from None
    return g if a.dtype is want.dtype else g.to(want.dtype)


class _FunctionMeta(type):
    """Each Function has a node class of its own, named as torch names it."""

    def __init__(cls, name: str, bases: Any, attrs: Any) -> None:
        super().__init__(name, bases, attrs)
        for attr, end in (("_backward_cls", "Backward"), ("_generated_cls", "GeneratedBackward")):
            setattr(cls, attr, type(name + end, (_FunctionNode,), {"_forward_cls": cls, "__module__": "torch.autograd.function"}))


class _Batches(threading.local):
    by_operators = False  # whether a batch may go through a Function without rules for transformations, operator by operator


batches = _Batches()


class Function(metaclass=_FunctionMeta):
    """Subclass with static ``forward(ctx, ...)`` (or ``forward(...)`` and ``setup_context(ctx, inputs, output)``) and ``backward(ctx, *grads)``; call ``apply``.

    Source: https://docs.pytorch.org/docs/stable/autograd.html#function
    """

    _backward_cls: Any
    _generated_cls: Any  # torch's name of the node that a derivative of torch.func makes
    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD.")

    vjp = backward

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn(f"{self.__class__} {INSTANTIATED}", DeprecationWarning)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """The Function on a batch: ``(result, out_dims)`` from arguments that have all lanes along ``in_dims`` (None for those without). ``info`` has ``batch_size`` and ``randomness``."""
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True.")

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with forward mode AD.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What torch took before it had static functions: RuntimeError."""
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with static forward method. "
            "(Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward outside of the graph and put one node for it into the graph.

        Inside ``torch.func``'s transformations RuntimeError without ``setup_context``, and under ``vmap`` without a rule for batches.
        """
        if state.lanes or state.derivative or any(isinstance(a, Tensor) and _array(a).__class__ is Lanes for a in args):
            return cls._transformed(args, kwargs)
        tensors = [a for a in args if isinstance(a, Tensor)]
        if any(isinstance(_array(t), jax.core.Tracer) for t in tensors) and not (state.mode & GRAD and any(t._edge is not None for t in tensors)):
            return apply_to_tracers(cls, args)
        return cls._apply(*args, **kwargs)

    @classmethod
    def _transformed(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call as the transformation entered last sees it: a derivative follows it by a node, ``vmap`` asks for its rule."""
        if cls.setup_context is Function.setup_context and not cls.generate_vmap_rule:
            if batches.by_operators:
                return cls._apply(*args, **kwargs)
            raise RuntimeError(
                "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must override the setup_context "
                "staticmethod. For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"
            )
        level = level_of(args)
        rule = None if level is None else rule_of(cls, Function)
        if level is None or rule is None:
            return cls._apply(*args, **kwargs)
        bound = inspect.signature(cls.forward).bind(*args, **kwargs)
        bound.apply_defaults()
        if state.derivative > level.depth:
            return cls._apply(*bound.args, _forward=lambda *given: by_rule(rule, level, given, {}), **bound.kwargs)
        return by_rule(rule, level, bound.args, bound.kwargs)

    @classmethod
    def _apply(cls, *args: Any, _forward: Any = None, **kwargs: Any) -> Any:
        separate = cls.setup_context is not Function.setup_context
        if separate:  # setup_context sees every input
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        elif kwargs:
            args, kwargs = (*args, *in_their_places(cls.forward, args, kwargs)), {}
        made: Any = cls._generated_cls if state.derivative else cls._backward_cls
        ctx = made.__new__(made)
        ctx.hooks, ctx.extra, ctx.edges, ctx.seq = None, None, (), 0
        grad_on = bool(state.mode & GRAD)
        needs = tuple(isinstance(a, Tensor) and a._edge is not None for a in args)
        ctx.needs_input_grad = needs if grad_on else (False,) * len(args)
        ctx._tensor_positions = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx._in_avals = [aval_of(a) if isinstance(a, Tensor) else None for a in args]
        record = grad_on and any(needs)
        edges: list[Any] = []
        tangents: list[Any] = []
        if record:  # before forward, which may write what it is given
            if forward_ad.current() is not None:
                tangents = [forward_ad.unpack_dual(a).tangent if isinstance(a, Tensor) else None for a in args]
            for a, n in zip(args, needs, strict=True):
                if n:
                    edges += (edge_of(a), a._nr)
        inside, forward_mode.inside = forward_mode.inside, True
        try:
            with no_grad():
                if separate:
                    output = (_forward or cls.forward)(*args, **kwargs)
                    cls.setup_context(ctx, args, output)
                else:
                    output = cls.forward(ctx, *args, **kwargs)
        finally:
            forward_mode.inside = inside
        single = not isinstance(output, tuple)  # a list is handed out as it is, like all that is no tensor
        outs = [output] if single else list(output)
        ctx._out_avals = [aval_of(o) if isinstance(o, Tensor) else None for o in outs]
        ctx.seq = next_seq()
        inputs = {id(a) for a in args if isinstance(a, Tensor)}
        if separate:
            _refuse_handed_through(ctx, outs, inputs)
        result, saved_ids = _handed_out(ctx, outs, inputs, record)
        if any(t is not None for t in tangents):
            _give_tangents(ctx, args, tangents, outs, result)
        saved: list[Any] = []
        hooks = settings.stack[-1] if settings.stack else None
        for t in ctx.__dict__.pop("_to_save", ()):
            if t is None:
                saved.append((None, 0, None))
            elif not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {len(saved)} is of type {type(t).__name__}")
            elif record and t._meta is not None and t._meta.inference:
                raise RuntimeError(INFERENCE_SAVED)
            elif hooks is not None and record:
                kept = _Hooked(packed(t, hooks[0]), hooks[1])
                saved.append((kept, (t._edge, t._nr), saved_ids[id(t)] if id(t) in saved_ids and id(t) not in inputs else None))
            elif id(t) in saved_ids and id(t) not in inputs:
                keep = t.detach()  # the output itself would be a cycle
                saved.append((keep, t._s.version, saved_ids[id(t)]))
            else:
                saved.append((t, t._s.version, None))
        ctx._saved = tuple(saved)
        ctx.edges = tuple(edges)
        if single:
            return result[0]
        return tuple(result)


def _refuse_handed_through(ctx: Any, outs: list[Any], inputs: set[int]) -> None:
    """What ``setup_context`` would save is the input, of which the caller gets a view."""
    kept = {id(t) for name in ("_to_save", "_saved_forward") for t in ctx.__dict__.get(name, ())}
    dirty = {id(t) for t in ctx.__dict__.get("_dirty", ())}
    if any(id(o) in inputs and id(o) in kept and id(o) not in dirty for o in outs):
        raise RuntimeError(
            "An input that has been returned as-is as output is being saved for backward. This is not supported if you override setup_context. You should return and save a view "
            "of the input instead, e.g. with x.view_as(x) or setup ctx inside the forward function itself."
        )


def _handed_out(ctx: Any, outs: list[Any], inputs: set[int], record: bool) -> tuple[list[Any], dict[int, int]]:
    """What ``apply`` returns for forward's outputs, each with its history; and which output of the node each of forward's tensors is."""
    dirty = ctx.__dict__.get("_dirty", ())
    written, fixed = {id(t) for t in dirty}, {id(t) for t in ctx.__dict__.get("_non_differentiable", ())}
    if not written <= {id(o) for o in outs}:
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified inplace must all be outputs of the Function."
        )
    for t in dirty:
        t._s.version += 1  # torch counts the mark itself
    result: list[Any] = []
    places: dict[int, int] = {}
    views: list[Tensor] = []
    for i, o in enumerate(outs):
        if not isinstance(o, Tensor):
            result.append(o)
            continue
        given, marked = id(o) in inputs, id(o) in written
        if record and id(o) not in fixed and aval_of(o).dtype.category >= 2:
            places[id(o)] = i
            if marked:
                _rewritten(o, ctx, i, given, len(outs))
            else:
                o = _through(o) if given else o
                o._edge, o._nr = ctx, i
        elif given and not marked:
            o = _through(o)  # an input handed through is a view of it: the caller's tensor keeps its own history
        elif not given and (o._meta is None or o._meta.base is None):
            o._edge = None
        if o._meta is not None and o._meta.base is not None and not (given and marked):
            o._meta.creation, o._meta.attr_version = "function", o._s.version
            views.append(o)
        result.append(o)
    if len(places) > 1:
        for o in views:
            o._meta.creation = "multi"
    return result, places


def _give_tangents(ctx: Any, args: tuple[Any, ...], tangents: list[Any], outs: list[Any], result: list[Any]) -> None:
    """Give the results of dual inputs the tangents that the user's ``jvp`` makes of theirs."""
    if ctx.__dict__.get("_materialize", True):
        smooth = [isinstance(a, Tensor) and aval_of(a).dtype.category >= 2 for a in args]
        tangents = [new_tensor(ones(aval_of(a))) * 0 if t is None and s else t for a, t, s in zip(args, tangents, smooth, strict=True)]
    primals = [forward_ad.unpack_dual(t).primal if isinstance(t, Tensor) else t for t in ctx.__dict__.get("_saved_forward", ())]
    ctx.__dict__["_saved"] = tuple((t, 0 if t is None else t._s.version, None) for t in primals)
    versions = [0 if t is None else version_of(t._s) for t in tangents]
    found = ctx._forward_cls.jvp(ctx, *tangents)
    found = list(found) if isinstance(found, (tuple, list)) else [found]
    if len(found) != len(outs):
        raise RuntimeError(f"Function's jvp returned an invalid number of forward gradients (expected {len(outs)} but got {len(found)})")
    ctx.__dict__["_has_tangents"] = True
    dirty, fixed = {id(t) for t in ctx.__dict__.get("_dirty", ())}, {id(t) for t in ctx.__dict__.get("_non_differentiable", ())}
    level = forward_ad.current()
    for i, (o, g) in enumerate(zip(outs, found, strict=True)):
        if not isinstance(o, Tensor) or id(o) in fixed or aval_of(o).dtype.category < 2:
            if g is not None:
                raise RuntimeError(
                    f"Function's jvp returned a gradient at position {i}, but  the corresponding forward output is not a differentiable Tensor.You should return None at that position instead."
                )
            continue
        at: Any
        at, of, version = next(((a, t, v) for a, t, v in zip(args, tangents, versions, strict=True) if isinstance(a, Tensor) and _same_memory(a, o)), (None, None, 0))
        if id(o) in dirty:
            if of is not g or (of is not None and version_of(of._s) == version):
                raise RuntimeError(
                    "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is modifying an input inplace, then the jvp function must "
                    "modify the corresponding gradient inplace."
                )
        elif at is not None and of is not None and not (g is of and at._base is not None):  # (the tangent of a view is one)
            if g is None or g._base is None:
                raise RuntimeError("A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view.")
            if g._base is not (of if of._base is None else of._base):
                which = "the given grad input" if at._base is None else "the same base as the given grad input"
                raise RuntimeError(f"A custom Function is returning a view but the jvp is not returning a view of {which}.")
        if g is not None:
            dual = level.add(result[i], g)  # type: ignore[union-attr]
            result[i]._edge, result[i]._nr = dual._edge, dual._nr


def _array(t: Tensor) -> Any:
    v = t._s.value
    return v.array if v.__class__ is Value else None  # a sparse one has several


def _same_memory(given: Any, out: Any) -> bool:
    """Whether an output is the input, or a view of what the input is or views."""
    return out is given or (out._base is not None and out._base is (given if given._base is None else given._base))


def _through(t: Tensor) -> Tensor:
    with no_grad():
        return t.view_as(t)


def _rewritten(t: Tensor, ctx: Any, nr: int, given: bool, count: int) -> None:
    """``t``, which forward has written in place, is the node's output from now on; where it is a view, so is this part of its base."""
    if t._edge.__class__ is AccumulateGrad:
        raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
    m = t._meta
    if m is None or m.base is None or not given:
        late = t._edge is None and getattr(t._s, "wrote", None) is VIEWED
        t._edge, t._nr = ctx, nr
        if late:
            tell_views(t)
        return
    if count > 1:
        raise RuntimeError(
            "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return more than one Tensor. This is not supported by the "
            "current autograd engine. You should either make sure the input is not a view (using .clone() for example) or make your Function only return one Tensor "
            "(potentially splitting it into two Functions: one doing the inplace that returns a single Tensor and a second one that does the other operations). "
            "You can ask on the forum https://discuss.pytorch.org/ if you need help to do this change."
        )
    if m.creation:
        refuse_creation(t, "is being")
    if m.base._edge.__class__ is AccumulateGrad:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    rebase(t, ctx, nr)


def once_differentiable(fn: Any) -> Any:
    """For a ``backward`` that cannot itself be differentiated: differentiating its result raises."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            out = fn(ctx, *args)
        if not state.mode & GRAD or not any(isinstance(a, Tensor) and a._edge is not None for a in args):
            return out
        many = out if isinstance(out, tuple) else (out,)
        made = tuple(_DelayedError.apply(o) if isinstance(o, Tensor) else o for o in [_needing(o) for o in many])
        return made if isinstance(out, tuple) else made[0]

    return wrapper


def _needing(o: Any) -> Any:
    if isinstance(o, Tensor) and aval_of(o).dtype.category >= 2:
        o = o.detach()
        return with_grad(o)
    return o


class _DelayedError(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


class InplaceFunction(Function):
    """torch's older base of functions that may write to their input."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


FunctionMeta = _FunctionMeta
BackwardCFunction = _FunctionNode
NestedIOFunction = Function
