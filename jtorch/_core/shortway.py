"""The short way through dispatch, for a few plain tensors (and a number) in and one tensor out, as source text written from one template.

What a small operator costs is what Python does for it, so nothing here loops, packs or calls what it need not: the text for one tensor, two, three, and a
tensor with a number, differs only in what is said once for each operand. ``inspect.getsource`` and tracebacks show the text as usual.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

__all__ = ["short_way"]

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
        p{x} = tr.input_pos.get(id(v{x}))
        if p{x} is None:
            p{x} = add_input(tr, v{x})
            if p{x} is None or state.trace is not tr:
                return {general}"""

_NUMBER = """
    p{x} = SCALAR - len(tr.scalars)
    tr.scalars.append({x})"""

_WHOLE = '''def {name}(call, {operands}):
    """{doc}"""
    mode = state.mode
    if mode > GRAD:
        return {general}{read}
    entry = call.entries.get({key}, NO_ENTRY)
    tr = state.trace
    if entry.simple_on is not tr.device:
        return {general}{places}
    plan = None
    if mode and ({any_edge}) and entry.differentiable[0]:
        mask = {mask}
        plan = entry.plans.get(mask) or plan_of(entry, only_inexact(entry, mask))
        if plan.forward is not None:
            return {general}{numbers}
    outputs = tr.outputs
    v = Value()
    v.aval = entry.out
    v.array = None
    v.trace = tr
    v.pos = n = len(outputs)
    outputs.append(v)
    tr.nodes.append((entry, {refs}))
    s = Storage()
    s.value = v
    s.version = s.ptr = 0
    s.strides = s.host = s.extra = None
    if call.elementwise and ({any_layout}):
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
        if plan.saved_out:
            node.saved, node.versions = saved_of(plan, ({vals}), (v,), ({storages}), (s,))
        elif plan.saved_in:{saved}
        else:
            node.saved = node.versions = ()
        {edges}
        node.seq = next_seq()
        node.hooks = node.extra = None
        t._edge = node
    if n > LIMIT:
        at_limit()
    return t
'''


_SAVED_OF_TWO = """
            if len(plan.saved_in) == 2:
                node.saved, node.versions = (va, vb), (sa, sa.version, sb, sb.version)
            elif plan.saved_in[0] == 0:
                node.saved, node.versions = (va,), (sa, sa.version)
            else:
                node.saved, node.versions = (vb,), (sb, sb.version)"""

_EDGES_OF_TWO = """if b._edge is None:
            node.edges = (a._edge if a._view is None else edge_of(a), a._nr)
        elif a._edge is None:
            node.edges = (b._edge if b._view is None else edge_of(b), b._nr)
        else:
            node.edges = (a._edge if a._view is None else edge_of(a), a._nr, b._edge if b._view is None else edge_of(b), b._nr)"""

_MASKS = {"t": "ONLY", "ts": "FIRST", "tt": "FIRST if b._edge is None else SECOND if a._edge is None else BOTH"}
_CONSTANTS = {"ONLY": (True,), "FIRST": (True, False), "SECOND": (False, True), "BOTH": (True, True)}


def _text(name: str, kinds: str) -> str:
    """``kinds``: a letter for each operand, t(ensor) or s(calar)."""
    names = "abc"[: len(kinds)]
    tensors = [x for x, k in zip(names, kinds, strict=True) if k == "t"]
    every = list(zip(names, kinds, strict=True))
    general = f"apply(call, ({', '.join(names)},))"
    key = [f"v{x}.aval" if k == "t" else f"{x}.__class__" for x, k in every]
    one = len(tensors) == 1
    if one:
        saved = f"\n            node.saved, node.versions = (v{tensors[0]},), (s{tensors[0]}, s{tensors[0]}.version)"
        if "s" in kinds:
            saved = "\n            node.saved, node.versions = saved_of(plan, ({vals}), (v,), ({storages}), (s,))"
        edges = "node.edges = ({x}._edge if {x}._view is None else edge_of({x}), {x}._nr)".format(x=tensors[0])
    elif len(tensors) == 2:  # the commonest by far
        saved = _SAVED_OF_TWO
        edges = _EDGES_OF_TWO
    else:
        saved = "\n            saved = []\n            versions = []"
        for i, x in enumerate(names):
            saved += f"\n            if {i} in plan.saved_in:\n                saved.append(v{x})\n                versions += (s{x}, s{x}.version)"
        saved += "\n            node.saved, node.versions = tuple(saved), tuple(versions)"
        edges = "edges = []"
        for x in tensors:
            edges += f"\n        if {x}._edge is not None:\n            edges += ({x}._edge if {x}._view is None else edge_of({x}), {x}._nr)"
        edges += "\n        node.edges = tuple(edges)"
    vals = "".join(f"v{x}, " if k == "t" else f"{x}, " for x, k in every)
    storages = "".join(f"s{x}, " if k == "t" else "None, " for x, k in every)
    return _WHOLE.format(
        name=name, operands=", ".join(names), general=general, key=key[0] if len(key) == 1 else f"({', '.join(key)})",
        doc=f"{len(tensors)} tensor{'s' * (len(tensors) > 1)}{' and a Python number' * ('s' in kinds)} in, one tensor out.",
        read="".join(_OPERAND.format(x=x) for x in tensors), places="".join(_PLACE.format(x=x, general=general) for x in tensors),
        numbers="".join(_NUMBER.format(x=x) for x, k in every if k == "s"), refs=", ".join(f"p{x}" for x in names),
        any_edge=" or ".join(f"{x}._edge is not None" for x in tensors), any_layout=" or ".join(f"l{x} is not None" for x in tensors),
        mask=_MASKS.get(kinds) or "(" + "".join(f"{x}._edge is not None, " for x in names) + ")",
        layouts="".join(f"l{x}, " for x in tensors), vals=vals, storages=storages,
        saved=saved.format(vals=vals, storages=storages) if one else saved, edges=edges,
    )  # fmt: skip


def short_way(kinds: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    """``call_<kinds>(call, a, ...)``: record ``call`` on operands of these kinds, or leave it to ``apply``. ``namespace`` has what the text uses."""
    name = f"call_{kinds}"
    text = _text(name, kinds)
    file = f"<jtorch short way {kinds}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    made: dict[str, Any] = {}
    exec(compile(text, file, "exec"), {**namespace, **_CONSTANTS}, made)  # noqa: S102 - our own text
    return made[name]  # type: ignore[no-any-return]
