"""Functions whose reads can be seen: the same function, with each attribute, element, call and arithmetic going through ``watching``.

Done to the source, found by the code object's file and line and checked against it: what is compiled of the text must be the code that was there.
"""

from __future__ import annotations

import ast
import copy
import functools
import linecache
import weakref
from types import CellType, CodeType, FunctionType
from typing import Any

__all__ = ["CannotRewrite", "REWRITTEN", "rewritten"]


class CannotRewrite(Exception):
    """Why a function's reads cannot be seen."""


REWRITTEN: set[CodeType] = set()
_HELPER = "__jt__"
_found: weakref.WeakKeyDictionary[FunctionType, Any] = weakref.WeakKeyDictionary()
_codes: dict[CodeType, Any] = {}


def rewritten(fn: FunctionType, helper: Any) -> FunctionType:
    """``fn`` with its reads going through ``helper``; closure, globals and defaults are its own. CannotRewrite if that cannot be done."""
    if fn.__code__ in REWRITTEN:
        return fn
    known = _found.get(fn)
    if known is not None and known.__code__ is not None and known.__defaults__ is fn.__defaults__ and known._of is fn.__code__:  # type: ignore[attr-defined]
        return known  # type: ignore[no-any-return]
    code = _codes.get(fn.__code__)
    if code is None:
        try:
            code = _rewrite(fn.__code__)
        except CannotRewrite as error:
            code = error
        _codes[fn.__code__] = code
    if isinstance(code, CannotRewrite):
        raise code
    cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
    cells[_HELPER] = CellType(helper)
    made = FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, tuple(cells[name] for name in code.co_freevars))
    made.__kwdefaults__, made.__qualname__, made.__module__ = fn.__kwdefaults__, fn.__qualname__, fn.__module__
    made.__dict__.update(fn.__dict__)
    made._of = fn.__code__  # type: ignore[attr-defined]
    _found[fn] = made
    return made


@functools.lru_cache(maxsize=256)
def _module(path: str, text: str) -> Any:
    tree = ast.parse(text, path)
    by_line: dict[int, list[Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.AsyncFunctionDef)):
            first = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", [])]])
            by_line.setdefault(first, []).append(node)
    return tree, by_line


def _rewrite(code: CodeType) -> CodeType:
    text = "".join(linecache.getlines(code.co_filename))
    if not text:
        raise CannotRewrite(f"no source for {code.co_qualname}")
    try:
        _, by_line = _module(code.co_filename, text)
    except SyntaxError as error:
        raise CannotRewrite(f"source of {code.co_qualname} does not parse") from error
    name = code.co_name
    nodes = [n for n in by_line.get(code.co_firstlineno, ()) if getattr(n, "name", "<lambda>") == name]
    outer = code.co_qualname.split(".")
    owner = outer[-2] if len(outer) > 1 and outer[-2] != "<locals>" else None
    if not any(_alike(c, code) for c in _codes_of(code.co_filename, text).get((code.co_qualname, code.co_firstlineno), ())):
        raise CannotRewrite(f"{code.co_qualname} is not the function that stands in its source")
    if len(nodes) > 1:  # several lambdas of one line: the whole of the body is the span of an instruction
        spans = set(code.co_positions())
        nodes = [n for n in nodes if isinstance(n, ast.Lambda) and (n.body.lineno, n.body.end_lineno, n.body.col_offset, n.body.end_col_offset) in spans]
    if len(nodes) != 1:
        raise CannotRewrite(f"{code.co_qualname} cannot be told from another on its line")
    changed = _Rewriter(owner).whole(copy.deepcopy(nodes[0]))
    made = _compiled(changed, code, owner, True)
    _register(made)
    return made


@functools.lru_cache(maxsize=256)
def _codes_of(path: str, text: str) -> dict[Any, list[CodeType]]:
    """What the whole text compiles to, by qualified name and line."""
    found: dict[Any, list[CodeType]] = {}
    try:
        stack = [compile(text, path, "exec", dont_inherit=True)]
    except SyntaxError:
        return found
    while stack:
        code = stack.pop()
        found.setdefault((code.co_qualname, code.co_firstlineno), []).append(code)
        stack += [c for c in code.co_consts if isinstance(c, CodeType)]
    return found


def _register(code: CodeType) -> None:
    REWRITTEN.add(code)
    for c in code.co_consts:
        if isinstance(c, CodeType):
            _register(c)


def _compiled(node: Any, like: CodeType, owner: str | None, helped: bool = False) -> CodeType:
    """The code object of a function's node, compiled where its free names are those of an outer function."""
    free = [n for n in like.co_freevars if n != _HELPER] + ([_HELPER] if helped else [])
    node = copy.deepcopy(node)
    if isinstance(node, ast.Lambda):
        inner: Any = ast.Return(node)
    else:
        node.decorator_list = []
        node.returns = None
        for a in ast.walk(node.args):
            if isinstance(a, ast.arg):
                a.annotation = None
        node.args.defaults = [ast.Constant(None) for _ in node.args.defaults]
        node.args.kw_defaults = [None if d is None else ast.Constant(None) for d in node.args.kw_defaults]
        inner = node
    arguments = ast.arguments(posonlyargs=[], args=[ast.arg(n) for n in free], kwonlyargs=[], kw_defaults=[], defaults=[])
    outer: Any = ast.FunctionDef(name="__outer__", args=arguments, body=[inner], decorator_list=[])
    if owner is not None:  # private names
        outer = ast.ClassDef(name=owner, bases=[], keywords=[], body=[outer], decorator_list=[])
    for n in (outer, *getattr(outer, "body", ())):
        if "type_params" in n._fields and not hasattr(n, "type_params"):  # since Python 3.12
            n.type_params = []
    module = ast.Module(body=[outer], type_ignores=[])
    for n in ast.walk(module):
        if not hasattr(n, "lineno") and isinstance(n, (ast.stmt, ast.expr, ast.arg)):
            n.lineno, n.col_offset, n.end_lineno, n.end_col_offset = like.co_firstlineno, 0, like.co_firstlineno, 0
    ast.fix_missing_locations(module)
    flags = like.co_flags & _FUTURE
    found = compile(module, like.co_filename, "exec", flags=flags, dont_inherit=True)
    if owner is not None:
        found = next(c for c in found.co_consts if isinstance(c, CodeType))
    found = next(c for c in found.co_consts if isinstance(c, CodeType))
    return next(c for c in found.co_consts if isinstance(c, CodeType))


_FUTURE = 0x1FE0000  # the bits of code flags that say which __future__ statements hold


def _alike(a: CodeType, b: CodeType) -> bool:
    if a.co_code != b.co_code or a.co_names != b.co_names or a.co_varnames != b.co_varnames or len(a.co_consts) != len(b.co_consts):
        return False
    return all(_alike(x, y) if isinstance(x, CodeType) and isinstance(y, CodeType) else x.__class__ is y.__class__ and repr(x) == repr(y) for x, y in zip(a.co_consts, b.co_consts, strict=True))


_OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow", ast.MatMult: "matmul",
    ast.LShift: "lshift", ast.RShift: "rshift", ast.BitOr: "or_", ast.BitXor: "xor", ast.BitAnd: "and_",
}  # fmt: skip
_INPLACE = {k: "i" + v.rstrip("_") for k, v in _OPERATORS.items()}
_COMPARISONS = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
_SEEING = frozenset(("locals", "globals", "vars", "eval", "exec", "dir", "__import__"))


class _Rewriter(ast.NodeTransformer):
    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        self.count = 0

    def whole(self, node: Any) -> Any:
        """The function itself: only its body."""
        if isinstance(node, ast.AsyncFunctionDef):
            raise CannotRewrite("asynchronous functions")
        if isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
        else:
            node.body = self._body(node.body)
        return node

    def _body(self, statements: list[Any]) -> list[Any]:
        out: list[Any] = []
        for s in statements:
            found = self.visit(s)
            out += found if isinstance(found, list) else [found]
        return out

    def _call(self, name: str, *args: Any, at: Any) -> Any:
        node = ast.Call(func=ast.Attribute(value=ast.Name(_HELPER, ast.Load()), attr=name, ctx=ast.Load()), args=list(args), keywords=[])
        return ast.fix_missing_locations(ast.copy_location(node, at)) if at is not None else node

    def _private(self, name: str) -> str:
        if self.owner and name.startswith("__") and not name.endswith("__") and "." not in name:
            stripped = self.owner.lstrip("_")
            return f"_{stripped}{name}" if stripped else name
        return name

    # ---- what cannot be

    def _refuse(self, node: Any) -> Any:
        raise CannotRewrite(f"{type(node).__name__} statements")

    visit_Global = visit_Nonlocal = visit_ClassDef = visit_AsyncFunctionDef = visit_Await = visit_AsyncFor = visit_AsyncWith = _refuse

    # ---- reads

    def visit_Attribute(self, node: Any) -> Any:
        if not isinstance(node.ctx, ast.Load):
            return node
        return self._call("attr", self.visit(node.value), ast.Constant(self._private(node.attr)), at=node)

    def visit_Subscript(self, node: Any) -> Any:
        if not isinstance(node.ctx, ast.Load):
            return node
        return self._call("item", self.visit(node.value), self._index(node.slice), at=node)

    def _index(self, node: Any) -> Any:
        if isinstance(node, ast.Slice):
            parts = [ast.Constant(None) if p is None else self.visit(p) for p in (node.lower, node.upper, node.step)]
            return self._call("slice", *parts, at=node)
        if isinstance(node, ast.Tuple):
            return ast.copy_location(ast.Tuple([self._index(e) for e in node.elts], ast.Load()), node)
        return self.visit(node)

    def visit_Call(self, node: Any) -> Any:
        if isinstance(node.func, ast.Name):
            if node.func.id == "super":
                return self.generic_visit(node)
            if node.func.id in _SEEING:
                raise CannotRewrite(f"{node.func.id}()")
        made = self._call("call", self.visit(node.func), *[self.visit(a) for a in node.args], at=node)
        made.keywords = [ast.copy_location(ast.keyword(k.arg, self.visit(k.value)), node) for k in node.keywords]
        return ast.fix_missing_locations(made)

    def visit_BinOp(self, node: Any) -> Any:
        return self._call("binary", ast.Constant(_OPERATORS[type(node.op)]), self.visit(node.left), self.visit(node.right), at=node)

    def visit_Compare(self, node: Any) -> Any:
        if len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            return self._call("binary", ast.Constant(_COMPARISONS[type(node.ops[0])]), self.visit(node.left), self.visit(node.comparators[0]), at=node)
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            found = self._call("contains", self.visit(node.comparators[0]), self.visit(node.left), at=node)
            return found if isinstance(node.ops[0], ast.In) else ast.copy_location(ast.UnaryOp(ast.Not(), found), node)
        if len(node.ops) > 1 and not all(isinstance(o, (ast.Is, ast.IsNot)) for o in node.ops):
            operands = [node.left, *node.comparators]
            if not all(type(o) in _COMPARISONS for o in node.ops) or not all(isinstance(n, (ast.Name, ast.Constant, ast.Attribute, ast.expr_context, ast.UnaryOp, ast.USub)) for x in operands for n in ast.walk(x)):
                raise CannotRewrite("chained comparisons of calls")
            return self._call("chain", ast.Constant(tuple(_COMPARISONS[type(o)] for o in node.ops)), *[self.visit(x) for x in operands], at=node)
        return self.generic_visit(node)

    def visit_comprehension(self, node: Any) -> Any:
        if node.is_async:
            raise CannotRewrite("asynchronous comprehensions")
        node.target = self._plain_target(node.target)
        node.iter = self._call("iter", self.visit(node.iter), at=node.iter)
        node.ifs = [self.visit(i) for i in node.ifs]
        return node

    def _plain_target(self, target: Any) -> Any:
        for n in ast.walk(target):
            if isinstance(n, (ast.Attribute, ast.Subscript)):
                raise CannotRewrite("assignments to attributes by a loop")
        return target

    def visit_For(self, node: Any) -> Any:
        node.target = self._plain_target(node.target)
        node.iter = self._call("iter", self.visit(node.iter), at=node.iter)
        node.body, node.orelse = self._body(node.body), self._body(node.orelse)
        return node

    def visit_With(self, node: Any) -> Any:
        for item in node.items:
            item.context_expr = self._call("manager", self.visit(item.context_expr), at=item.context_expr)
            if item.optional_vars is not None:
                self._plain_target(item.optional_vars)
        node.body = self._body(node.body)
        return node

    def visit_YieldFrom(self, node: Any) -> Any:
        node.value = self._call("iter", self.visit(node.value), at=node.value)
        return node

    # ---- writes

    def _temporary(self) -> str:
        self.count += 1
        return f"__jt_{self.count}__"

    def visit_Assign(self, node: Any) -> Any:
        value = self.visit(node.value)
        if len(node.targets) == 1 and isinstance(node.targets[0], (ast.Attribute, ast.Subscript)):
            return self._store(value, node.targets[0], node)
        after: list[Any] = []
        node.targets = [self._target(t, after, node) for t in node.targets]
        node.value = value
        return [node, *after]

    def _target(self, target: Any, after: list[Any], at: Any) -> Any:
        if isinstance(target, (ast.Attribute, ast.Subscript)):
            name = self._temporary()
            after.append(self._store(ast.Name(name, ast.Load()), target, at))
            return ast.copy_location(ast.Name(name, ast.Store()), target)
        if isinstance(target, (ast.Tuple, ast.List)):
            target.elts = [self._target(t, after, at) for t in target.elts]
        elif isinstance(target, ast.Starred):
            target.value = self._target(target.value, after, at)
        return target

    def _store(self, value: Any, target: Any, at: Any) -> Any:
        if isinstance(target, ast.Attribute):
            call = self._call("store_attr", value, self.visit(target.value), ast.Constant(self._private(target.attr)), at=at)
        else:
            call = self._call("store_item", value, self.visit(target.value), self._index(target.slice), at=at)
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), at))

    def visit_AnnAssign(self, node: Any) -> Any:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit_Assign(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_AugAssign(self, node: Any) -> Any:
        op = ast.Constant(_INPLACE[type(node.op)])
        if isinstance(node.target, ast.Name):
            read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            value = self._call("binary", op, read, self.visit(node.value), at=node)
            return ast.fix_missing_locations(ast.copy_location(ast.Assign([node.target], value), node))
        owner, old = self._temporary(), self._temporary()
        lines: list[Any] = [ast.Assign([ast.Name(owner, ast.Store())], self.visit(node.target.value))]
        held = ast.Name(owner, ast.Load())
        if isinstance(node.target, ast.Attribute):
            name = ast.Constant(self._private(node.target.attr))
            lines.append(ast.Assign([ast.Name(old, ast.Store())], self._call("attr", held, name, at=None)))
            value = self._call("binary", op, ast.Name(old, ast.Load()), self.visit(node.value), at=None)
            lines.append(ast.Expr(self._call("store_attr", value, held, name, at=None)))
        else:
            index = self._temporary()
            lines.append(ast.Assign([ast.Name(index, ast.Store())], self._index(node.target.slice)))
            lines.append(ast.Assign([ast.Name(old, ast.Store())], self._call("item", held, ast.Name(index, ast.Load()), at=None)))
            value = self._call("binary", op, ast.Name(old, ast.Load()), self.visit(node.value), at=None)
            lines.append(ast.Expr(self._call("store_item", value, held, ast.Name(index, ast.Load()), at=None)))
        return [ast.fix_missing_locations(ast.copy_location(line, node)) for line in lines]

    def visit_Delete(self, node: Any) -> Any:
        lines = []
        for t in node.targets:
            if isinstance(t, ast.Attribute):
                lines.append(ast.Expr(self._call("delete_attr", self.visit(t.value), ast.Constant(self._private(t.attr)), at=node)))
            elif isinstance(t, ast.Subscript):
                lines.append(ast.Expr(self._call("delete_item", self.visit(t.value), self._index(t.slice), at=node)))
            else:
                lines.append(ast.Delete([t]))
        return [ast.fix_missing_locations(ast.copy_location(line, node)) for line in lines]

    # ---- functions inside

    def visit_Lambda(self, node: Any) -> Any:
        node.args = self._defaults(node.args)
        node.body = self.visit(node.body)
        return self._call("made", node, at=node)

    def visit_FunctionDef(self, node: Any) -> Any:
        node.args = self._defaults(node.args)
        node.decorator_list = [self.visit(d) for d in node.decorator_list] + [self._bare("made", node)]
        node.returns = None
        node.body = self._body(node.body)
        return node

    def _bare(self, name: str, at: Any) -> Any:
        return ast.fix_missing_locations(ast.copy_location(ast.Attribute(ast.Name(_HELPER, ast.Load()), name, ast.Load()), at))

    def _defaults(self, args: Any) -> Any:
        args.defaults = [self.visit(d) for d in args.defaults]
        args.kw_defaults = [None if d is None else self.visit(d) for d in args.kw_defaults]
        for a in ast.walk(args):
            if isinstance(a, ast.arg):
                a.annotation = None
        return args

