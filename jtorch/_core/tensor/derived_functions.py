"""From the registry to the namespaces: ``torch.x``, ``Tensor.x``, ``Tensor.x_``, ``out=`` and the rest, each derived from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import jax

from jtorch._core.dispatch.signature_binding import _describe
from jtorch._engine.recording.call import value, arguments
from jtorch._core.storage.host_memory import put_on
from jtorch._core.dispatch.conversion import cast
from jtorch._core.tensor.resizing import resize_for_out
from jtorch._core.tensor.result_types import check_type, type_stated
from jtorch import _dtypes, _namespace
from jtorch._device import CPU
from jtorch._dtypes import complex32
from jtorch._engine.recording.call import Call, T, call_of
from jtorch._engine.recording.trace import force
from jtorch._engine.values.lanes import Level, innermost, lanes_of, within
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.thread_state import GRAD, SAVED_HOOKS, state
from jtorch._engine.values.values import Value, value_of
from jtorch._errors import no_kernel
from jtorch._ops._complex_half import refuse_complex_half
from jtorch._ops._float8 import refuse_float8
from jtorch._ops._lib import broadcast_shape
from jtorch._dtypes import C_NAMES
from jtorch._registry import OPS, Op, Signature

from jtorch._core.tensor import return_types
from jtorch._core.tensor.creation import from_jax
from jtorch._core.tensor.described_signature import described
from jtorch._core.tensor.docstrings import of_operators
from jtorch._core.tensor.expanded_writes import shared_dims, write_shared
from jtorch._core.dispatch.signature_binding import Mismatch, Unfit, _match, bind, named, no_match, numbers_first
from jtorch._core.dispatch.argument_patterns import Bound, Slots, cache_for_function, pattern, remember, sources
from jtorch._core.dispatch.record import NUMBERS, PARTS, apply_multi, call1, call2, call3, calln
from jtorch._core.dispatch.inplace import assign, check_changeable, check_writable
from jtorch._core.storage.overlap import check_apart, check_out
from jtorch._core.dispatch.torch_function import MODES, has_override, override
from jtorch._core.dispatch.short_way import short_inplace
from jtorch._core.storage.bare_tensor import PLAIN, Tensor, new_tensor
from jtorch._core.graph import saved_tensors
from jtorch._core.graph.flat import hang_flat
from jtorch._core.graph.node import forward_mode
from jtorch._core.graph.refused import NOT_DIFFERENTIABLE, refuse_backward, refusing_class
from jtorch._core.graph.view_history import edge_of, take_view
from jtorch._core.storage.view_steps import Changed, aval_of, elements, read, write

__all__ = ["attach_all", "function_for", "METHODS"]

METHODS: dict[str, Callable[..., Any]] = {}  # what the registry put on Tensor


def attach_all() -> None:
    """Give every declared operator its names. A name that is there already (a composite of the same name) is an error."""
    for public, overloads in OPS.items():
        space, _, name = public.rpartition(".")
        if space == "internal":
            continue
        if space == "Tensor":
            _set_method(name, _function(name, overloads, space))
            if any(o.inplace for o in overloads):
                _set_method(name + "_", _inplace(name, [o for o in overloads if o.inplace], space))
            continue
        module = _namespace.BY_NAME[space]
        if hasattr(module, name):
            raise RuntimeError(f"{public} is declared twice")
        fn = _function(name, overloads, space)
        fn.__module__ = module.__name__
        setattr(module, name, fn)
        if space in ("torch", "_nn") and any(o.inplace for o in overloads):
            setattr(module, name + "_", _inplace(name, [o for o in overloads if o.inplace], space))


def _set_method(name: str, fn: Callable[..., Any]) -> None:
    if name in METHODS:
        raise RuntimeError(f"Tensor.{name} is declared twice")
    METHODS[name] = fn
    setattr(Tensor, name, fn)


def _signatures(overloads: list[Op]) -> list[tuple[Op, Signature]]:
    return [(o, s) for o in overloads for s in o.signatures]


def select(name: str, overloads: list[Op], args: tuple[Any, ...], kwargs: dict[str, Any], method: bool, suffix: str = "") -> tuple[Op, Any, Any, Signature]:
    """(operator, descriptors, tensors and numbers, signature) of the first overload that takes the arguments."""
    if len(overloads) == 1:
        try:
            key, flat, sig = bind(overloads[0], args, kwargs, method)
        except TypeError as error:
            older = numbers_first(overloads, args, kwargs, method, suffix)
            if older is None:
                shown = overloads[0].signatures[0].shown
                raise TypeError(named(str(error), shown, shown + suffix)) from None
            return older
        return overloads[0], key, flat, sig
    for op, sig in _signatures(overloads):
        try:
            values = _match(sig, args, kwargs, method)
        except Unfit as error:
            raise TypeError(str(error)) from None
        except Mismatch:
            continue
        key, flat = _describe(op, sig, values)
        return op, key, flat, sig
    if (older := numbers_first(overloads, args, kwargs, method, suffix)) is not None:
        return older
    raise TypeError(no_match(name + suffix, _signatures(overloads), args, kwargs, method))


def function_for(public: str) -> Callable[..., Any]:
    """The function under a public name, for code that wants it before the namespaces are filled."""
    space, _, name = public.rpartition(".")
    return _function(name, OPS[public], space)


def _function(name: str, overloads: list[Op], space: str) -> Callable[..., Any]:
    first, method = overloads[0], space == "Tensor"
    typed = next((o.out_type for o in overloads if o.out_type), False)
    unary, binary = _plain_calls(first)
    taken = default_call(first, 1, view=True) if first.view else None
    rest = tuple([d[2] for d in taken.key[1:]]) if taken is not None else ()
    ternary = default_call(first, 3) if len(overloads) == 1 else None
    known = cache_for_function()
    slots = Slots([s for o in overloads for s in o.signatures])
    of_dims = not slots.positions  # ints after the tensor are structure: they are their own pattern

    def call(*args: Any, **kwargs: Any) -> Any:
        n = len(args)
        key: Any = None
        if not MODES:
            if not kwargs and n and args[0].__class__ in PLAIN:
                if n == 1:
                    if unary is not None:
                        return call1(unary, args[0])
                    if taken is not None:
                        return take_view(first, taken, args[0], rest, ())  # type: ignore[arg-type]  # a class of PLAIN
                elif n == 2:
                    if binary is not None and args[1].__class__ in PLAIN:
                        return call2(binary, args[0], args[1])
                elif n == 3:
                    if ternary is not None and args[1].__class__ in PLAIN and args[2].__class__ in PLAIN:
                        return call3(ternary, args[0], args[1], args[2])
                if of_dims:
                    key = args[1:]
                    for a in key:
                        if a.__class__ is not int:  # 1.0 and True are found under 1
                            key = None
                            break
            if key is None:
                key = pattern(args, kwargs, slots)
            found = known.get(key)
            if found is not None:
                flat = found.take(args, kwargs)
                if found.op.view:
                    if found.rest is not None:
                        return take_view(found.op, found.call, flat[0], found.rest, ())
                    return _view(found.op, found.call, found.descriptors, flat)
                out = calln(found.call, flat)
                return out if found.wrap is None else found.wrap(*out)
        if has_override(args, kwargs):
            return override(call, args, kwargs)
        out_arg = kwargs.pop("out", None) if "out" in kwargs else None
        stated = out_arg is not None and kwargs.get("dtype") is not None
        if out_arg is not None and typed and kwargs.get("dtype") is None and isinstance(out_arg, Tensor):
            kwargs["dtype"] = out_arg.dtype
            if typed is not True and out_arg.dtype.category < 2 and args and aval_of(args[0]).dtype.category == 2:
                no_kernel(typed, out_arg.dtype)
        try:
            op, descriptors, flat, sig = select(name, overloads, args, kwargs, method)
        except TypeError:
            if not any(map(_of_jax, (*args, *kwargs.values()))):
                raise
            if out_arg is not None:
                kwargs["out"] = out_arg
            return call(*map(_on_tensors, args), **{k: _on_tensors(v) for k, v in kwargs.items()})
        if op.data_dependent:
            result = _data_dependent(op, descriptors, flat)
        else:
            c = call_of(op, descriptors)
            wrap = return_types.namedtuple_for(op) if op.fields else None
            result = _view(op, c, descriptors, flat) if op.view else apply_multi(c, flat)
            if key is not None and out_arg is None and sig in op.signatures:
                take = sources(op, sig, args, kwargs)
                if take is not None:
                    remember(known, key, Bound(op, c, descriptors, take, wrap))
            if op.view:
                return result
            if wrap is not None:
                result = wrap(*result)
        if out_arg is not None:
            if not op.out:
                if len(overloads) > 1:
                    given = kwargs if stated or not typed else {k: v for k, v in kwargs.items() if k != "dtype"}
                    raise TypeError(no_match(name, [(o, s) for o in overloads for s in o.signatures], args, {**given, "out": out_arg}, method))
                raise TypeError(f"{name}() got an unexpected keyword argument 'out'")
            rule = type_stated(name, result, flat[0]) if stated and op.out is True else op.out
            return write_out(name, result, out_arg, rule, flat, op.apart, bool(op.expanded), op.elementwise)
        return result

    call.__name__ = call.__qualname__ = name
    call.__doc__ = of_operators(overloads, name, space)
    call.__signature__ = described(overloads, method)  # type: ignore[attr-defined]
    call.jtorch_ops = tuple(overloads)  # type: ignore[attr-defined]
    return call


def _of_jax(x: Any) -> bool:
    """Whether an argument is JAX's array (or tracer), or a list with one."""
    return isinstance(x, jax.Array) or (isinstance(x, list | tuple) and any([isinstance(e, jax.Array) for e in x]))


def _on_tensors(x: Any) -> Any:
    """What an operator takes in the place of JAX's arrays: tensors on them, without a copy."""
    if isinstance(x, jax.Array):
        return from_jax(x)
    return type(x)(map(_on_tensors, x)) if _of_jax(x) else x


def _plain_calls(op: Op) -> tuple[Any, Any]:
    """The calls of ``op`` on one tensor and on two, None where that is none."""
    params = op.signatures[0].params
    return default_call(op, 1), default_call(op, 2) if params[1:2] and params[1].kind in ("Tensor", "Tensor|Scalar") else None


def default_call(op: Op, tensors: int, view: bool = False) -> Any:
    """The interned call with ``tensors`` tensors and every other parameter at its default; None if that is no call."""
    sig = op.signatures[0]
    if op.view is not view or op.data_dependent or op.fields or len(sig.params) < tensors:
        return None
    key = []
    for fp in op.fn_params:
        p = sig.by_name.get(fp.name)
        at = sig.params.index(p) if p is not None else -1
        if 0 <= at < tensors:
            if sig.params[at].kind not in ("Tensor", "Tensor|Scalar"):
                return None
            key.append(T)
        elif p is None:
            key.append(value(fp.default))
        elif p.required:
            return None
        elif p.kind in ("Scalar", "Tensor|Scalar") and p.default is not None:
            key.append(value(p.default))
        else:
            key.append(value(p.default))
    return call_of(op, tuple(key))


def _view(op: Op, call: Call, descriptors: Any, flat: Any) -> Tensor:
    rest = iter(flat[1:])
    args = tuple([next(rest) if d[0] == "S" else d[2] for d in descriptors[1:]])
    return take_view(op, call, flat[0], args, tuple(flat[1:]))


def _data_dependent(op: Op, descriptors: Any, flat: list[Any]) -> Any:
    level = innermost([read(a) for a in flat if isinstance(a, Tensor)]) if state.lanes else None
    if level is not None:
        if op.name in _UNBATCHED:
            raise RuntimeError(
                f"vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over aten::{_UNBATCHED[op.name]}. "
                "Please file an issue at https://github.com/pytorch/pytorch/issues if you need this feature."
            )
        return _each_lane(op, descriptors, flat, level)
    where = next((aval_of(a).device for a in flat if isinstance(a, Tensor)), None)
    kinds = [aval_of(a).dtype for a in flat if isinstance(a, Tensor)]
    result: Any
    if op.shapes is not None and any([isinstance(a, Tensor) and isinstance(force(read(a)), jax.core.Tracer) for a in flat]):
        result = _called_back(op, descriptors, [force(read(a)) if isinstance(a, Tensor) else a for a in flat])
    else:
        flat_values = [elements(a) if isinstance(a, Tensor) else a for a in flat]
        refuse_float8(op, flat_values)
        refuse_complex_half(op, kinds)
        result = op.fn(*_bound(descriptors, flat_values))
    several = isinstance(result, (tuple, list))
    out = tuple(_from_host(r, where, kinds) for r in (result if several else (result,)))
    if op.format == "columns":
        for t in out:
            if len(aval_of(t).shape) == 2:
                t._s.strides = (1, aval_of(t).shape[0])
    if all(isinstance(t, Tensor) for t in out):
        refuse_backward(out, flat, op.grad_name, op.name)
    return out[0] if not several else return_types.namedtuple_for(op)(*out) if op.fields else out


def _bound(descriptors: Any, flat: list[Any]) -> list[Any]:
    arrays = iter(flat)
    args: list[Any] = []
    for d in descriptors:
        if d[0] in "TS":
            args.append(next(arrays))
        elif d[0] == "L":
            args.append([next(arrays) if there else None for there in d[1]])
        else:
            args.append(d[2])
    return args


def _called_back(op: Op, descriptors: Any, flat: list[Any]) -> Any:
    """What the host computes, inside a program of JAX's."""
    import numpy as np

    def run(*arrays: Any) -> Any:
        out = op.fn(*_bound(descriptors, [np.asarray(a) for a in arrays]))
        return tuple(out) if isinstance(out, (tuple, list)) else (out,)

    forms = [jax.ShapeDtypeStruct(*form) for form in op.shapes(*_bound(descriptors, flat))]  # type: ignore[misc]
    out = tuple([new_tensor(value_of(r)) for r in jax.pure_callback(run, tuple(forms), *flat, vmap_method="sequential")])
    return out if op.fields or len(out) > 1 else out[0]


_UNBATCHED = {"nonzero": "nonzero", "where": "where", "unique": "_unique2", "unique_dim": "unique_dim", "unique_consecutive": "unique_consecutive"}


def _each_lane(op: Op, descriptors: Any, flat: list[Any], level: Level) -> Any:
    """All lanes of a vmap, one after the other. RuntimeError where their results have not one shape."""
    lanes = [lanes_of(read(a), level) if isinstance(a, Tensor) else None for a in flat]
    found = [_data_dependent(op, descriptors, [a if v is None else new_tensor(v)[i] for a, v in zip(flat, lanes, strict=True)]) for i in range(level.size)]  # type: ignore[index]
    together = [_namespace.torch.stack(list(each)) for each in (zip(*found, strict=True) if isinstance(found[0], tuple) else (found,))]
    out = tuple([new_tensor(within(read(t), level)) for t in together])
    refuse_backward(out, flat, op.grad_name, op.name)
    return out[0] if not isinstance(found[0], tuple) else return_types.namedtuple_for(op)(*out) if op.fields else out


def _from_host(array: Any, where: Any, kinds: list[Any]) -> Any:
    import numpy as np

    if not isinstance(array, (np.ndarray, np.generic)):
        return array
    from jtorch import _device

    array = np.asarray(array)
    half = next((k for k in kinds if k.is_complex), None) is complex32 and array.dtype == complex32.np
    v: Value = value_of(array, CPU, complex32 if half else None)
    return new_tensor(v if where is None or where is _device.CPU else put_on(v, where))


# --- in place and out= ------------------------------------------------------------------------------------------


def _inplace(name: str, overloads: list[Op], space: str) -> Callable[..., Any]:
    unary, binary = _plain_calls(overloads[0]) if overloads[0].inplace.__class__ is not str else (None, None)
    known = cache_for_function()
    slots = Slots([s for o in overloads for s in o.signatures])
    run = run_inplace if overloads[0].one_way is None else _run_one_way
    method = space == "Tensor"

    def call(*args: Any, **kwargs: Any) -> Any:
        n = len(args)
        key = None
        if not MODES:
            if not kwargs and n and args[0].__class__ in PLAIN:
                if n == 1:
                    if unary is not None:
                        return inplace1(unary, args[0])
                elif n == 2 and binary is not None and args[1].__class__ in PLAIN:
                    return inplace2(binary, args[0], args[1])
            key = pattern(args, kwargs, slots)
            found = known.get(key)
            if found is not None:
                return run(found.call, found.take(args, kwargs))
        if has_override(args, kwargs):
            return override(call, args, kwargs)
        op, descriptors, flat, sig = select(name, overloads, args, kwargs, method, "_")
        c = call_of(op, descriptors)
        if op.inplace.__class__ is str:
            if aval_of(flat[0]).dtype.is_complex:
                raise RuntimeError(op.inplace)
        elif key is not None and sig in op.signatures and (take := sources(op, sig, args, kwargs)) is not None:
            remember(known, key, Bound(op, c, descriptors, take, None))
        return run(c, flat)

    call.__name__ = call.__qualname__ = name + "_"
    call.__doc__ = of_operators(overloads, name, space, inplace=True)
    call.__signature__ = described(overloads, method, inplace=True)  # type: ignore[attr-defined]
    call.jtorch_ops = tuple(overloads)  # type: ignore[attr-defined]
    return call


def run_inplace(call: Any, flat: Any) -> Tensor:
    """Compute ``call`` and write its result into the first argument."""
    n = len(flat)
    if n == 2:
        return (inplace2s if flat[1].__class__ in NUMBERS else inplace2)(call, flat[0], flat[1])  # type: ignore[no-any-return]
    return inplace1(call, flat[0]) if n == 1 else _run_inplace(call, flat)


def _run_one_way(call: Any, flat: Any) -> Tensor:
    """As :func:`run_inplace`; going back through it is an error where the operator's second argument is a negative number."""
    out = run_inplace(call, flat)
    slope = arguments(call.key, flat)[1]
    if out._edge is not None and state.mode & GRAD and isinstance(slope, (int, float)) and slope < 0:
        m = out._meta
        node = out._edge if m is None or m.base is None else m.base._edge.edges[-2]  # of a view: the node of the part that was written

        def refuse(grads: Any) -> NoReturn:
            raise RuntimeError(call.op.one_way)

        node.register_prehook(refuse)
    return out


def _run_inplace(call: Any, flat: Any) -> Tensor:
    for _ in range(_TRIES):
        try:
            return _read_and_write(call, flat, flat[0]._s.version)
        except Changed:  # by another thread, or a handler: what was computed is of the old elements
            pass
    return _read_and_write(call, flat, None)


_TRIES = 1000
_BY_MASK = ("masked_scatter", "masked_fill")
_BY_NUMBER = ("index_fill", "masked_fill")  # their last tensor is read as a number first


def _read_and_write(call: Any, flat: Any, read_at: int | None) -> Tensor:
    target = flat[0]
    if target._view is not None and call.op is not None and call.op.expanded and (dims := shared_dims(target)) and (call.op.expanded is True or not any(isinstance(x, Tensor) for x in flat[1:])):
        return write_shared(target, calln(call, flat), dims)
    check_writable(target, call.op is None or not call.op.unlinked, call.name + "_")
    before = aval_of(target)
    by_places = call.guard is not None and call.elementwise is not True and call.name not in _BY_MASK
    for x in flat[1:-1] if call.name in _BY_NUMBER else flat[1:]:
        if isinstance(x, Tensor) and x._s is target._s and (by_places or (call.elementwise and x is not target)):
            check_out(target, (x,), by_places)  # by places: not even the very memory. Matrix products and masks take what they are given
    try:
        new = calln(call, flat) if not state.mode & SAVED_HOOKS else saved_tensors.written(target, calln, call, flat)
    except (NotImplementedError, RuntimeError) as error:
        # torch looks first whether the result could be stored at all.
        if error.__class__ is not NotImplementedError and str(error) != "ZeroDivisionError":
            raise
        if call.elementwise is True:
            wide = broadcast_shape(*[aval_of(x).shape for x in flat if isinstance(x, Tensor)])
            if wide != before.shape:
                raise _misfit(before.shape, wide) from None
        if len(flat) == 2 and call.op is not None and call.op.promote == "default":
            kinds = [aval_of(x).dtype if isinstance(x, Tensor) else _dtypes.of_python(x.__class__) for x in flat]
            check_cast(max(kinds, key=lambda k: k.category), before.dtype, call.op.key)
        raise
    if call.grad_name == NOT_DIFFERENTIABLE and new._edge is not None:
        new._edge.__class__ = refusing_class(call.name + "_")  # whose error names this form
    after = new._s.value.aval
    if after is before:
        return assign(target, new, read_at)
    if after.__class__ is SparseAval and before.__class__ is not SparseAval:
        new = new.to_dense()
        after = aval_of(new)
    if after.shape != before.shape:
        if not call.elementwise and call.op is not None and not call.op.expanded:  # a product of matrices
            raise RuntimeError(f"Bad in-place call: input tensor size {list(before.shape)} and output tensor size {list(after.shape)} should match")
        raise _misfit(before.shape, after.shape)
    if after.dtype is not before.dtype:
        if call.op is not None and call.op.out_type:
            _check_out_type(call.op.name, after.dtype, before.dtype)
        check_cast(after.dtype, before.dtype, "" if call.op is None else call.op.key)
        if after.dtype is _dtypes.bool_ and state.mode & GRAD:
            return _write_truth(call, flat, cast(new, before.dtype), read_at)
        return assign(target, cast(new, before.dtype), read_at, new)
    return assign(target, new, read_at)


def _misfit(shape: tuple[int, ...], wide: tuple[int, ...]) -> RuntimeError:
    """What is said where a result of shape ``wide`` is to be written to a tensor of ``shape``."""
    return RuntimeError(f"output with shape {list(shape)} doesn't match the broadcast shape {list(wide)}")


def _write_truth(call: Any, flat: Any, new: Tensor, read_at: int | None) -> Tensor:
    """A comparison's result into its first operand: the operands' gradients are zeros. A logical operator leaves the history as it was."""
    target = flat[0]
    if call.op is not None and call.op.unlinked:
        write(target, read(new), read_at)
        return target  # type: ignore[no-any-return]
    given = [x for x in flat if isinstance(x, Tensor) and x._edge is not None and aval_of(x).dtype.category >= 2]
    if given:
        name = call.grad_name[:-1] + "01"[isinstance(flat[1], Tensor)]  # of a number, or of a tensor
        hang_flat(new, name, [e for x in given for e in (edge_of(x), x._nr)], [aval_of(x) for x in given])
    return assign(target, new, read_at)


def _check_out_type(name: str, source: Any, target: Any) -> None:
    """What torch asks of a running sum's ``dtype`` where it is written in place."""
    if target is _dtypes.bool_:
        raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for 'Bool'")
    if source.category != target.category:
        raise RuntimeError(f"Bad in-place call: input tensor dtype {C_NAMES[target.name]} and output tensor dtype {C_NAMES[source.name]} should match")


inplace1, inplace2, inplace2s = (short_inplace(kinds, _run_inplace, PARTS) for kinds in ("t", "tt", "ts"))


_BOUNDS = frozenset(("extrema.clamp_numbers", "extrema.clamp_min_number", "extrema.clamp_max_number"))  # they have a check of their own, which has C++'s names of types


def check_cast(source: Any, target: Any, name: str = "") -> None:
    """RuntimeError if torch does not store results of type ``source`` in a tensor of type ``target``."""
    if source.category > target.category:
        into = C_NAMES[target.name] if name in _BOUNDS else target.legacy
        raise RuntimeError(f"result type {source.legacy} can't be cast to the desired output type {into}")


def write_out(name: str, result: Any, out: Any, rule: Any = True, inputs: Any = (), apart: bool | str = False, expanded: bool = False, elementwise: bool = False, quiet: bool = False) -> Any:
    """Put results into the tensors given as ``out=``, resizing them as torch does. ``rule`` and what follows ``inputs``: the operator's options; ``inputs``: what it read; ``quiet``: that is not warned of."""
    if isinstance(result, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{name}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}")
        for i, (r, o) in enumerate(zip(result, out, strict=True)):
            _write_one(name, r, o, rule, inputs, apart, i, elementwise)
        kind = type(result)
        return return_types.return_type(f"{kind.__name__}_out", kind._fields)(*out) if hasattr(kind, "_fields") else tuple(out)
    if isinstance(out, (tuple, list)) and len(out) == 1:
        out = out[0]
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if expanded and aval_of(out).shape == aval_of(result).shape and (dims := shared_dims(out)):
        return write_shared(out, result, dims)
    return _write_one(name, result, out, rule, inputs, apart, 0, elementwise, quiet)


def _wrong_out(rule: str, wanted: Any, got: Any) -> str:
    if rule != "exact":
        return rule.format(wanted.legacy, got.legacy)
    a, b = (C_NAMES.get(d.name, d.name) for d in (wanted, got))
    return f"Expected out tensor to have dtype {a}, but got {b} instead"


def _write_one(name: str, result: Tensor, out: Tensor, rule: Any, inputs: Any, apart: bool | str, at: int, elementwise: bool, quiet: bool = False) -> Tensor:
    if forward_mode.since is not None and not result.requires_grad and not out.requires_grad and (result._edge is not None or out._edge is not None):
        raise NotImplementedError(f"Trying to use forward AD with {name}_out that does not support it because it is an out= function")
    if state.mode & GRAD and (result._edge is not None or out._edge is not None):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad."
        )
    if out._meta is not None and out._meta.inference:
        check_changeable(out)
    a, b = aval_of(result), aval_of(out)
    if a.layout is not b.layout:
        raise RuntimeError(f"Expected out tensor to have layout {a.layout}, but got {b.layout} instead")
    if a.dtype is not b.dtype:
        if rule.__class__ is str:
            raise RuntimeError(_wrong_out(rule, a.dtype, b.dtype))
        check_type(name, at, a, b.dtype, inputs)
        check_cast(a.dtype, b.dtype)
    if a.device is not b.device:
        raise RuntimeError(f"Expected out tensor to have device {a.device}, but got {b.device} instead")
    if a.shape != b.shape:
        if elementwise and any(x is out for x in inputs):
            raise _misfit(b.shape, a.shape)
        if elementwise or apart is True:
            check_out(out, inputs, bool(apart))
        elif apart:
            check_apart(out, inputs, True)
        resize_for_out(out, a.shape, quiet)
    if a.shape == b.shape or apart == "resized":
        check_out(out, inputs, bool(apart))
    return assign(out, cast(result, b.dtype))
