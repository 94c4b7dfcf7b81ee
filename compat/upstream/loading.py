"""Loads a test file of PyTorch, and the parts of ``torch.testing._internal`` that it uses, under either library.

Under jtorch the helpers come from the installed torch wheel, executed with ``torch`` meaning jtorch. What they import and the library
at hand does not have becomes a stand-in: it can be imported, named and used as a decorator, and :data:`touched` remembers every other use.
The same holds for what a test file wants from helpers of another release than the installed one.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

HELPERS = "torch.testing._internal"
ALSO = ("torch.testing._comparison", "torch.testing._utils", "torch.utils._import_utils", "torch._vendor")  # what the helpers are made of, in Python
WHEEL = Path(sysconfig.get_paths()["purelib"])

touched: list[str] = []
"""Uses of stand-ins by a test since the list was last emptied."""


def _helper(name: str) -> bool:
    return any(name == n or name.startswith(n + ".") for n in (*ALSO, HELPERS))


def _touch(name: str) -> None:
    if sys._getframe(2).f_globals.get("__name__", "").startswith("test_"):
        touched.append(name)


class StandIn(ModuleType):
    """For a module, class or function that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "parametrize_fn":
            raise AttributeError(name)
        _touch(f"{self.__name__}.{name}")
        made = StandIn(f"{self.__name__}.{name}")
        vars(self)[name] = made
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _touch(self.__name__)
        if len(args) == 1 and not kwargs and isinstance(args[0], (FunctionType, type)):
            return args[0]  # as a decorator: it decorates nothing
        return self

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *exc: Any) -> None:
        return None

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Any:
        return iter(())

    def __add__(self, other: Any) -> Any:
        return other

    __radd__ = __add__

    def __sub__(self, other: Any) -> int:
        return 0

    def __index__(self) -> int:
        return 0

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (object,)

    def __instancecheck__(self, value: Any) -> bool:
        return False


class _Found(Loader):
    """Executes a file with its imports made tolerant, or hands over a stand-in."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return StandIn(spec.name) if self.path is None else None

    def exec_module(self, module: ModuleType) -> None:
        if self.path is not None:
            # What an older release named as this one's helpers name what they derive gets another name.
            text = re.sub(r"def (test_\w+)_cpu\(self, device", r"def \1_on_cpu(self, device", self.path.read_text())
            # Lists of operators that are all of what is not here are empty, which is no error.
            text = text.replace('if os.environ.get("OPINFO_RESTRICT_TO_DSL"):\n                return', "if True:\n                return")
            tree = ast.fix_missing_locations(_Tolerant().visit(ast.parse(text)))
            vars(module).update(__from__=_from, __stand_in__=StandIn, __decorator__=_decorator)
            exec(compile(tree, str(self.path), "exec"), vars(module))

    def get_source(self, name: str) -> str | None:
        return self.path.read_text() if self.path else None


def _decorator(make: Any) -> Any:
    """A decorator, or one that does nothing where its expression asks for what is not there."""
    try:
        return make()
    except (AttributeError, NotImplementedError, ImportError, AssertionError):  # the last: it names an operator that this release's database hasn't got
        return lambda decorated: decorated


class _Tolerant(ast.NodeTransformer):
    """``from m import a`` gives a stand-in where it fails; a decorator that cannot be made decorates nothing; a constant that cannot be made is one too."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        for i, line in enumerate(node.body):
            target = line.targets[0] if isinstance(line, ast.Assign) else line.target if isinstance(line, ast.AnnAssign) and line.value else None
            imported = isinstance(line.value, ast.Call) and isinstance(line.value.func, ast.Name) and line.value.func.id == "__from__" if target else False
            if isinstance(line, ast.ClassDef) and any(isinstance(base, ast.Attribute) for base in line.bases):
                target = ast.Name(line.name)
            if isinstance(target, ast.Name) and not imported:
                guarded = ast.parse(f"try: pass\nexcept Exception: {target.id} = __stand_in__('{target.id}')").body[0]
                guarded.body = [line]  # type: ignore[attr-defined]
                node.body[i] = ast.copy_location(guarded, line)
        return node

    bound: frozenset[str] = frozenset()  # what the body of the class at hand assigns: a function in it does not see these

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        around, self.bound = self.bound, frozenset(t.id for line in node.body if isinstance(line, ast.Assign) for t in line.targets if isinstance(t, ast.Name)) | frozenset(
            line.name for line in node.body if isinstance(line, ast.ClassDef)
        )
        found = self._decorated(node)
        self.bound = around
        return found

    def _decorated(self, node: Any) -> Any:
        self.generic_visit(node)
        for i, d in enumerate(node.decorator_list):
            if isinstance(d, ast.Call):  # the others are names
                used = sorted({n.id for n in ast.walk(d) if isinstance(n, ast.Name)} & self.bound)
                empty = ast.arguments([], [], None, [ast.arg(n) for n in used], [ast.Name(n, ast.Load()) for n in used], None, [])
                made = ast.Call(ast.Name("__decorator__", ast.Load()), [ast.Lambda(empty, d)], [])
                node.decorator_list[i] = ast.copy_location(made, d)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _decorated

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.module in (None, "__future__") or node.level or any(a.name == "*" for a in node.names):
            return node
        made = [ast.parse(f"{a.asname or a.name} = __from__({node.module!r}, {a.name!r})").body[0] for a in node.names]
        return [ast.copy_location(m, node) for m in made]


def _from(module: str, name: str) -> Any:
    """``from module import name``; a stand-in where there is none, or where its module cannot be executed. What compares must be there: it is of the wheel."""
    try:
        home = importlib.import_module(module)
    except (ImportError, AttributeError, NotImplementedError):
        if module in ALSO:
            raise
        return StandIn(f"{module}.{name}")
    try:
        return getattr(home, name)
    except (AttributeError, NotImplementedError):
        if _helper(module) and callable(maker := vars(home).get(f"get_{name}")):  # a list that this release's helpers make when they are asked to
            return maker()
        try:
            return importlib.import_module(f"{module}.{name}")
        except ImportError:
            if module in ALSO:
                raise
            return StandIn(f"{module}.{name}")


class _Helpers(MetaPathFinder):
    """``torch.testing._internal`` out of the wheel."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not _helper(name):
            return None
        base = WHEEL.joinpath(*name.split("."))
        package = base.is_dir()
        file = base / "__init__.py" if package else base.with_suffix(".py")
        if not file.exists():
            return None
        return importlib.util.spec_from_file_location(name, file, loader=_Found(file), submodule_search_locations=[str(base)] if package else None)


class _Rest(MetaPathFinder):
    """Stand-ins for modules of torch, and of builds of it for other hardware, that are not there."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in ("torch", "torch_npu", "functorch"):
            return None
        return ModuleSpec(name, _Found(None), is_package=True)


def _lenient(module: ModuleType) -> None:
    """Names that jtorch's ``torch._C`` lacks are stand-ins, for the helpers and the tests alone."""
    own = vars(module).get("__getattr__")
    made: dict[str, StandIn] = {}

    def lookup(name: str) -> Any:
        try:
            if own is None:
                raise AttributeError(f"module 'torch._C' has no attribute '{name}'")
            return own(name)
        except AttributeError:
            asking = sys._getframe(1).f_globals.get("__name__", "")
            if name.startswith("__") or not asking.startswith(("torch.testing.", "test_")):
                raise
            if asking.startswith("test_"):
                touched.append(f"torch._C.{name}")
            return made.setdefault(name, StandIn(f"torch._C.{name}"))

    vars(module)["__getattr__"] = lookup


def _not_here(code: str, **others: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("there is no CUDA here")

    return call


def prepare(library: str) -> None:
    """Make ``import torch`` mean the library, and the helpers and stand-ins importable."""
    if library == "jtorch":
        from jtorch import _install

        _install.install()
        finder = type(_install._finder)
        theirs = finder.find_spec

        def find_spec(self: Any, name: str, path: Any = None, target: Any = None) -> Any:
            with contextlib.suppress(ModuleNotFoundError):  # others come after it here
                return theirs(self, name, path, target)
            return None

        finder.find_spec = find_spec  # type: ignore[method-assign]
        for name in ALSO:
            importlib.import_module(name.rpartition(".")[0])
        for name in filter(_helper, [*sys.modules]):  # jtorch's own of these names
            del sys.modules[name]
            _install._aliases.pop(name, None)
    sys.meta_path.insert(0, _Helpers())
    sys.meta_path.append(_Rest())
    if library != "torch":
        _lenient(importlib.import_module("torch._C"))
        kernels = ModuleType("torch.cuda.jiterator")  # makes functions of CUDA's source: the database lists some
        vars(kernels).update(_create_jit_fn=_not_here, _create_multi_output_jit_fn=_not_here)
        importlib.import_module("torch.cuda").jiterator = kernels  # type: ignore[attr-defined]
    for name in ("torch.backends.python_native", "torch._dynamo.config", "torch.testing._utils", "torch.utils._mode_utils"):  # asked for as attributes of torch
        importlib.import_module(name)
    utils = importlib.import_module(HELPERS + ".common_utils")
    if library != "torch":
        utils._unwrap_dtensor_for_comparison = lambda x, y: (x, y)


def load(path: Path) -> ModuleType:
    """The test file as a module."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path, loader=_Found(path))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
