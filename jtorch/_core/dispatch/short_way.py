"""The short way through dispatch, for a few plain tensors (and a number) in and one tensor out, as source text written from one template.

What a small operator costs is what Python does for it, so nothing here loops, packs or calls what it need not: the text for one tensor, two, three, and a
tensor with a number, differs only in what is said once for each operand; that of an operator of the language and of writing in place, in how it begins and
ends. ``inspect.getsource`` and tracebacks show the text as usual.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

__all__ = ["short_way", "short_operator", "short_inplace"]

_OPERAND = """
    s{x} = {x}._s
    if {x}._view is None:
        v{x}, l{x} = s{x}.value, s{x}.strides
    else:
        v{x}, l{x} = read_view({x}._view, s{x}), {x}._view.strides"""

_PLACE = """
    if v{x}.trace is tr:
        p{x} = v{x}.pos
    else:
        p{x} = tr.input_pos.get(v{x})
        if p{x} is None:
            p{x} = add_input(tr, v{x})
            if p{x} is None or tr.lock is not None:
                return {general}"""

_NUMBER = """
    k = tr.scalar_count
    try:
        tr.scalars[k] = {x}
    except IndexError:
        grow(tr)
        return again({given}{operands})
    tr.scalar_count = k + 1
    p{x} = SCALAR - k"""

# The thread's own attributes are asked for once, and the entry of the last call is the next one's more often than not.
_ENTRY = """
    entry = call.last
    if {other_inputs}:
        entry = call.last = call.entries.get({key}, NO_ENTRY)
    tr = mine["trace"]"""

# From the test to the call of ``append`` nothing can come in between, because nothing is called (see ``_engine``'s ``unbroken``): a handler that came before may have run the trace.
_PENDING = """
    v = Value()
    v.aval = entry.out
    v.array = None
    v.trace = tr
    node = (entry, {refs})
    if tr.lock is not None{unless}:
        return {general}
    v.pos = n = tr.count
    try:
        tr.count = n + 1
        tr.outputs[n] = v{write}
        tr.nodes.append(node)
    except IndexError:
        tr.count = n
        grow(tr)
        return again({given}{operands})
    except BaseException:
        undo(tr, n, node){restore}
        raise"""

_WHOLE = '''def {name}({given}{operands}):
    """{doc}"""{begin}
    mine = state.__dict__
    mode = mine["mode"]
    if mode > GRAD:
        return {general}{read}{entry}
    if entry.simple_on is not tr.device and entry.guarded_on is not tr.device:
        return {general}{places}
    plan = None
    if mode and ({any_edge}) and entry.differentiable[0]:
        mask = {mask}
        plan = entry.plans.get(mask) or plan_of(entry, only_inexact(entry, mask))
        if plan.forward is not None:
            return {general}
    if entry.guard is not None:  # after what leaves it to the general way, which looks by itself
        watch(entry, ({vals})){numbers}{pending}
    s = Storage()
    s.value = v
    s.version = s.ptr = 0
    s.strides = s.host = s.extra = None
    if born_in:
        s.born = born_in[-1]
    if ({any_layout}) and call.elementwise:
        s.strides = layout_of(entry, ({layouts}))
    t = new(Tensor)
    t._s = s
    t._nr = 0
    t._view = t._grad = t._meta = t._edge = None
    if plan is not None:
        node = (entry.node_class or class_of(entry))()
        node.entry = entry
        node.plan = plan
        node.mask = mask
        if ({any_meta}) and plan.saved_in:
            check_saved(plan, ({operands},))
        if plan.saved_out:
            if plan.saved_in:
                node.saved, node.versions = saved_of(plan, ({vals}), (v,), ({storages}), (s,))
            else:
                node.saved, node.versions = (v,), (s, 0)
        elif plan.saved_in:{saved}
        else:
            node.saved = node.versions = ()
        if plan.kept:
            node.versions += watched(plan, ({operands},), (t,))
        {edges}
        node.seq = next_seq()
        node.hooks = node.extra = None
        t._edge = node
    return t
'''

_PLAIN_OPERANDS = """
    if {tests}:
        return {general}"""

_INPLACE = '''def {name}({given}{operands}):
    """{doc}"""
    sa = a._s
    if a._view is not None or a._meta is not None or a._edge is not None or sa.host is not None or born_in:
        return {general}
    mine = state.__dict__
    mode = mine["mode"]
    if mode > GRAD:
        return {general}{read}{entry}
    if entry.simple_on is not tr.device or entry.out is not va.aval or tr.marked{other_edge}{one_memory}:
        return {general}{places}{numbers}{pending}
    return a
'''

_SAVED_OF_TWO = """
            if len(plan.saved_in) == 2:
                node.saved, node.versions = (va, vb), (a._view or sa, sa.version, b._view or sb, sb.version)
            elif plan.saved_in[0] == 0:
                node.saved, node.versions = (va,), (a._view or sa, sa.version)
            else:
                node.saved, node.versions = (vb,), (b._view or sb, sb.version)"""

_EDGES_OF_TWO = """if b._edge is None:
            node.edges = (a._edge if a._view is None else edge_of(a), a._nr)
        elif a._edge is None:
            node.edges = (b._edge if b._view is None else edge_of(b), b._nr)
        else:
            node.edges = (a._edge if a._view is None else edge_of(a), a._nr, b._edge if b._view is None else edge_of(b), b._nr)"""

_MASKS = {"t": "ONLY", "ts": "FIRST", "tt": "FIRST if b._edge is None else SECOND if a._edge is None else BOTH"}
_CONSTANTS = {"ONLY": (True,), "FIRST": (True, False), "SECOND": (False, True), "BOTH": (True, True)}


_BEGIN = {  # form: (parameters before the operands, where else to go, text)
    "call": ("call, ", "apply(call, ({operands},))", _WHOLE),
    "operator": ("", "other({operands})", _WHOLE),
    "inplace": ("call, ", "other(call, ({operands},))", _INPLACE),
}


_COMMIT = {
    False: {"unless": "", "write": "", "restore": ""},
    True: {
        "unless": " or sa.value is not va", "write": "\n        sa.value = v\n        sa.version += 1",
        "restore": "\n        if not tr.nodes or tr.nodes[-1] is not node:\n            sa.value = va",
    },
}  # fmt: skip


def _text(name: str, kinds: str, form: str) -> str:
    """``kinds``: a letter for each operand, t(ensor) or s(calar)."""
    names = "abc"[: len(kinds)]
    every = list(zip(names, kinds, strict=True))
    tensors = [x for x, k in every if k == "t"]
    given, elsewhere, text = _BEGIN[form]
    operands = ", ".join(names)
    general = elsewhere.format(operands=operands)
    key = [f"v{x}.aval" if k == "t" else f"{x}.__class__" for x, k in every]
    one = len(tensors) == 1
    if one:
        saved = f"\n            node.saved, node.versions = (v{tensors[0]},), ({tensors[0]}._view or s{tensors[0]}, s{tensors[0]}.version)"
        if "s" in kinds:
            saved = "\n            node.saved, node.versions = saved_of(plan, ({vals}), (v,), ({storages}), (s,))"
        edges = "node.edges = ({x}._edge if {x}._view is None else edge_of({x}), {x}._nr)".format(x=tensors[0])
    elif len(tensors) == 2:  # the commonest by far
        saved = _SAVED_OF_TWO
        edges = _EDGES_OF_TWO
    else:
        saved = "\n            saved = []\n            versions = []"
        for i, x in enumerate(names):
            saved += f"\n            if {i} in plan.saved_in:\n                saved.append(v{x})\n                versions += ({x}._view or s{x}, s{x}.version)"
        saved += "\n            node.saved, node.versions = tuple(saved), tuple(versions)"
        edges = "edges = []"
        for x in tensors:
            edges += f"\n        if {x}._edge is not None:\n            edges += ({x}._edge if {x}._view is None else edge_of({x}), {x}._nr)"
        edges += "\n        node.edges = tuple(edges)"
    vals = "".join(f"v{x}, " if k == "t" else f"{x}, " for x, k in every)
    storages = "".join(f"{x}._view or s{x}, " if k == "t" else "None, " for x, k in every)
    refs = ", ".join(f"p{x}" for x in names)
    other_inputs = " or ".join(f"entry.{at} is not {k}" for at, k in zip(("first", "second", "third"), key, strict=False))
    tests = " or ".join(f"({x}.__class__ is not Tensor and {x}.__class__ not in PLAIN)" for x in reversed(tensors))
    others = " or ".join(f"{x}._edge is not None" for x in tensors[1:])
    return text.format(
        name=name, given=given, operands=operands, general=general, begin=_PLAIN_OPERANDS.format(tests=tests, general=general) if form == "operator" else "",
        doc=f"{len(tensors)} tensor{'s' * (len(tensors) > 1)}{' and a Python number' * ('s' in kinds)} in, {'written to the first' if form == 'inplace' else 'one tensor out'}.",
        entry=_ENTRY.format(other_inputs=other_inputs, key=key[0] if len(key) == 1 else f"({', '.join(key)})"),
        read="".join(_OPERAND.format(x=x) for x in tensors), places="".join(_PLACE.format(x=x, general=general) for x in tensors),
        numbers="".join(_NUMBER.format(x=x, given=given, operands=operands) for x, k in every if k == "s"), pending=_PENDING.format(refs=refs, general=general, given=given, operands=operands, **_COMMIT[form == "inplace"]),
        any_edge=" or ".join(f"{x}._edge is not None" for x in tensors), any_meta=" or ".join(f"{x}._meta is not None" for x in tensors), any_layout=" or ".join(f"l{x} is not None" for x in tensors),
        mask=_MASKS.get(kinds) or "(" + "".join(f"{x}._edge is not None, " for x in names) + ")", other_edge=f" or (mode and ({others}))" if others else "",
        one_memory="".join(f" or s{x} is sa" for x in tensors[1:]),
        layouts="".join(f"l{x}, " for x in tensors), vals=vals, storages=storages,
        saved=saved.format(vals=vals, storages=storages) if one else saved, edges=edges,
    )  # fmt: skip


_codes: dict[tuple[str, str], CodeType] = {}


def _function(kinds: str, form: str, name: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    code = _codes.get((kinds, form))
    if code is None:
        plain = f"{form}_{kinds}"
        text = _text(plain, kinds, form)
        file = f"<jtorch short way {plain}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        made: dict[str, Any] = {}
        exec(compile(text, file, "exec"), made)  # noqa: S102 - our own text
        code = _codes[kinds, form] = made[plain].__code__
    around = {**namespace, **_CONSTANTS, "__name__": __name__}
    made_here = around["again"] = FunctionType(code.replace(co_name=name, co_qualname=name), around, name)
    return made_here


def short_way(kinds: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    """``call_<kinds>(call, a, ...)``: record ``call`` on operands of these kinds, or leave it to ``apply``. ``namespace`` has what the text uses."""
    return _function(kinds, "call", f"call_{kinds}", namespace)


def short_operator(name: str, call: Any, other: Callable[..., Any], namespace: dict[str, Any]) -> Callable[..., Any]:
    """``name(a, b)``: record ``call`` if both are plain tensors, or leave them to ``other``."""
    return _function("tt", "operator", name, {**namespace, "call": call, "other": other})


def short_inplace(kinds: str, other: Callable[..., Any], namespace: dict[str, Any]) -> Callable[..., Any]:
    """``inplace_<kinds>(call, a, ...)``: write the result of ``call`` to ``a``, a tensor of its own and outside of any graph, or leave it to ``other(call, operands)``."""
    return _function(kinds, "inplace", f"inplace_{kinds}", {**namespace, "other": other})
