"""The checker's side that runs the program: a TorchFunctionMode that sends each call, its inputs and its results to real torch and reports what differs."""

from __future__ import annotations

import atexit
import io
import linecache
import os
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import jtorch as torch
from jtorch._core.storage.view_steps import is_traced
from jtorch._errors import PACKAGE
from jtorch.overrides import TorchFunctionMode, resolve_name

from .wire import Ref, receive, send

__all__ = ["Checking", "start"]

# No tensor comes of these, or what comes of them is of this process.
_LEFT_OUT = frozenset((
    "data_ptr", "storage", "untyped_storage", "numpy", "__array__", "__array_wrap__", "__dlpack__", "__dlpack_device__", "share_memory_", "is_shared", "register_hook",
    "register_post_accumulate_grad_hook", "__deepcopy__", "__reduce_ex__", "__repr__", "__str__", "__format__", "__hash__", "__dir__", "from_numpy", "frombuffer", "asarray",
    "pin_memory", "is_pinned", "resolve_conj", "resolve_neg", "__get__", "__set__", "storage_type", "__cuda_array_interface__",
))  # fmt: skip
_UNSET = ("empty", "resize", "new_empty")  # of functions that promise no values
_LANGUAGE = {"getitem": "__getitem__", "setitem": "__setitem__", "_pow": "__pow__", "backward": "backward"}
_SHOWN = 10  # differences that are printed in full


class _NotSent(Exception):
    """Something in a call that the other process cannot be given."""


class Checking(TorchFunctionMode):
    """Inside, each torch function is also called in real torch. ``report`` gives what was found."""

    def __init__(self) -> None:
        path = os.path.join(os.path.dirname(__file__), "worker.py")
        self._process = subprocess.Popen([sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.path.dirname(path))
        self._to, self._from = self._process.stdin, self._process.stdout
        assert self._to is not None and self._from is not None
        kind, said = receive(self._from)  # type: ignore[arg-type]
        if kind == "missing":
            raise ModuleNotFoundError(
                f"--check runs the program's operators under real torch too, which is not installed here ({said}): pip install torch"
            )
        self.version = said
        self._known: dict[int, tuple[weakref.ref[Any], int, int]] = {}  # id of a tensor -> itself, its key, the version that was sent
        self._next = 0
        self._dropped: list[int] = []
        self._rng: bytes | None = None  # the state of the generator there
        self._step: bytes | None = None
        self.compared: Counter[str] = Counter()
        self.differing: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _name(func)
        if name is None or name.rpartition(".")[2] in _LEFT_OUT:
            return func(*args, **kwargs)
        try:
            message = self._before(name, args, kwargs)
        except _NotSent as why:
            self.skipped[f"{name} ({why})"] += 1
            return func(*args, **kwargs)
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            message["raised"] = (type(error).__name__, str(error).split("\n")[0])
            self._ask(name, message, args, kwargs)
            raise
        try:
            self._after(message, result)
        except _NotSent as why:
            self.skipped[f"{name} ({why})"] += 1
            self._known = {k: v for k, v in self._known.items() if v[1] in message["used"] or v[1] < message["next"]}  # its results were not sent
            message.update(kind="tell", result=None, written=[])
            del message["now"], message["used"], message["next"]
            self._answer(message)
            return result
        self._ask(name, message, args, kwargs)
        return result

    # What goes to the other side

    def _before(self, name: str, args: Any, kwargs: Any) -> dict[str, Any]:
        tensors: dict[int, Any] = {}
        facts: dict[int, Any] = {}
        used: dict[int, Any] = {}

        def tensor(t: Any) -> Ref:
            key, fresh = self._key(t)
            used[key] = t
            if fresh or self._known[id(t)][2] != t._version:
                tensors[key] = _value(t)
            facts[key] = (t.requires_grad, t.is_leaf)
            return Ref(("tensor", key))

        sent_args, sent_kwargs = _encode(args, tensor), _encode(kwargs, tensor)
        for key, t in used.items():
            self._known[id(t)] = (self._known[id(t)][0], key, t._version)
        grads = None
        if name.endswith(".backward"):
            grads = {"before": _pack({k: _grad(t) for k, t in self._leaves()})}
        rng = bytes(torch.get_rng_state().tolist())
        sent_rng = None if rng == self._rng else rng
        dropped, self._dropped = self._dropped, []
        autocast = str(torch.get_autocast_dtype("cpu")).split(".")[1] if torch.is_autocast_enabled("cpu") else None
        return {
            "kind": "call", "name": name, "args": sent_args, "kwargs": sent_kwargs, "tensors": _pack(tensors), "facts": facts, "dropped": dropped, "rng": sent_rng, "now": rng,
            "modes": {"grad": torch.is_grad_enabled(), "inference": torch.is_inference_mode_enabled(), "dtype": str(torch.get_default_dtype()).split(".")[1], "autocast": autocast},
            "grads": grads, "raised": None, "result": None, "results": None, "written": [], "used": used, "next": self._next + 1, "only_facts": any(part in name for part in _UNSET),
        }  # fmt: skip

    def _after(self, message: dict[str, Any], result: Any) -> None:
        values: dict[int, Any] = {}

        def described(t: Any) -> Any:
            key, _ = self._key(t)
            values[key] = _value(t)
            self._known[id(t)] = (self._known[id(t)][0], key, t._version)
            return key, t.requires_grad, tuple(t.stride()) if t.layout is torch.strided else ()

        message["result"] = _encode(result, lambda t: Ref(("tensor", described(t))))
        for key, t in message["used"].items():
            if self._known[id(t)][2] != t._version:
                message["written"].append((key, described(t)))
        message["results"] = _pack(values)
        if message["grads"] is not None:
            message["grads"]["after"] = _pack({k: _grad(t) for k, t in self._leaves()})

    def _leaves(self) -> list[tuple[int, Any]]:
        alive = [(key, t) for ref, key, _ in self._known.values() if (t := ref()) is not None]
        return [(key, t) for key, t in alive if t.is_leaf and t.requires_grad and not (t.grad is not None and is_traced(t.grad))]

    def _key(self, t: Any) -> tuple[int, bool]:
        known = self._known.get(id(t))
        if known is not None and known[0]() is t:
            return known[1], False
        if is_traced(t):
            raise _NotSent("inside a JAX transformation")
        self._next += 1
        key, place = self._next, id(t)

        def gone(_: Any) -> None:
            self._dropped.append(key)
            if self._known.get(place, (None, 0, 0))[1] == key:
                del self._known[place]

        self._known[place] = (weakref.ref(t, gone), key, -1)
        return key, True

    def _ask(self, name: str, message: dict[str, Any], args: Any, kwargs: Any) -> None:
        self._rng = bytes(torch.get_rng_state().tolist()) if message["raised"] is None else None
        now = message.pop("now")
        del message["used"], message["next"]
        if message["rng"] is None and self._rng != now:
            message["rng"] = now
        kind, found = self._answer(message)
        self._count(kind, name, found, lambda: f"{name}({_shown(args, kwargs)})")

    def _answer(self, message: dict[str, Any]) -> tuple[str, list[str]]:
        assert self._to is not None and self._from is not None
        try:
            send(self._to, message)  # type: ignore[arg-type]
            return receive(self._from)  # type: ignore[arg-type, no-any-return]
        except (OSError, EOFError):
            raise RuntimeError("--check: the process that runs real torch has ended") from None

    def _count(self, kind: str, name: str, found: list[str], call: Callable[[], str]) -> None:
        if kind == "skipped":
            self.skipped[f"{name} ({found[0]})"] += 1
            return
        self.compared[name] += 1
        if kind != "differs":
            return
        if not self.differing:
            print("jtorch --check: the first difference", file=sys.stderr)
        self.differing[name] += 1
        if self.differing.total() <= _SHOWN:
            print("\n".join((*_place(), f"  {call()}", *(f"    {line}" for line in found))), file=sys.stderr, flush=True)

    # Optimizers, which no function mode sees

    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        params = [[p for p in group["params"]] for group in optimizer.param_groups]
        flat = [p for group in params for p in group]
        self._step = None
        if args or kwargs or type(optimizer).__module__.split(".")[1:2] != ["optim"] or any(is_traced(p) for p in flat):
            return
        self._step = _pack(
            {"state": optimizer.state_dict(), "params": [[_value(p) for p in g] for g in params], "grads": [_grad(p) for p in flat]}
        )

    def after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._step is None:
            return
        params = [[_value(p) for p in group["params"]] for group in optimizer.param_groups]
        name = type(optimizer).__name__
        kind, found = self._answer({"kind": "step", "name": name, "before": self._step, "after": _pack({"params": params})})
        self._count(kind, f"torch.optim.{name}.step", found, lambda: f"torch.optim.{name}.step()")

    def report(self) -> str:
        """What was compared and found, in lines."""
        total, bad = self.compared.total(), self.differing.total()
        lines = [
            f"jtorch --check: {total} calls of {len(self.compared)} functions compared with torch {self.version}, {bad or 'none'} differ{'s' if bad == 1 else ''}"
        ]
        lines += [f"  {n} x {name}" for name, n in self.differing.most_common()]
        if self.skipped:
            lines.append(f"{self.skipped.total()} calls could not be compared:")
            lines += [f"  {n} x {name}" for name, n in self.skipped.most_common(20)]
        return "\n".join(lines)


def _name(func: Any) -> str | None:
    name = resolve_name(func)
    if name is not None:
        return name
    bare = getattr(func, "__name__", "")
    bare = _LANGUAGE.get(bare, bare)
    return f"torch.Tensor.{bare}" if bare in _LANGUAGE.values() or bare.startswith("__") and hasattr(torch.Tensor, bare) else None


def _encode(x: Any, tensor: Callable[[Any], Any]) -> Any:
    if isinstance(x, torch.Tensor):
        return tensor(x)
    if x is None or isinstance(x, (bool, int, float, complex, str)):
        return x
    if isinstance(x, torch.dtype):
        return Ref(("dtype", str(x).split(".")[1]))
    if isinstance(x, torch.device):
        return Ref(("device", str(x)))
    if isinstance(x, (torch.layout, torch.memory_format)):
        return Ref(("layout" if isinstance(x, torch.layout) else "memory_format", str(x).split(".")[1]))
    if isinstance(x, torch.Size):
        return Ref(("size", tuple(x)))
    if isinstance(x, slice):
        return Ref(("slice", _encode((x.start, x.stop, x.step), tensor)))
    if x is ...:
        return Ref(("ellipsis", None))
    if isinstance(x, torch.Generator) and x is torch.random.default_generator:
        return Ref(("generator", None))
    if isinstance(x, (list, tuple)):
        return [_encode(v, tensor) for v in x] if isinstance(x, list) else tuple(_encode(v, tensor) for v in x)
    if isinstance(x, dict) and all(isinstance(k, str) for k in x):
        return {k: _encode(v, tensor) for k, v in x.items()}
    raise _NotSent(f"a value of {type(x).__name__}")


def _value(t: Any) -> Any:
    if t.device.type == "meta":
        raise _NotSent("a tensor without values")
    with torch.no_grad():
        return t.detach().as_subclass(torch.Tensor)


def _grad(t: Any) -> Any:
    return None if t.grad is None else _value(t.grad)


def _pack(tensors: dict[Any, Any]) -> bytes | None:
    if not tensors:
        return None
    out = io.BytesIO()
    torch.save(tensors, out)
    return out.getvalue()


def _shown(args: Any, kwargs: Any) -> str:
    def one(x: Any) -> str:
        if isinstance(x, torch.Tensor):
            return f"{str(x.dtype).split('.')[1]}{list(x.shape)}"
        if isinstance(x, (list, tuple)):
            inside = ", ".join(one(v) for v in x)
            return f"[{inside}]" if isinstance(x, list) else f"({inside})"
        return repr(x)

    return ", ".join([*(one(x) for x in args), *(f"{k}={one(v)}" for k, v in kwargs.items())])


def _place() -> list[str]:
    """The program's line that made the call, as tracebacks show it."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return []
    file, line = frame.f_code.co_filename, frame.f_lineno
    return [
        f'  File "{file}", line {line}, in {frame.f_code.co_name}',
        *(f"    {text}" for text in [linecache.getline(file, line).strip()] if text),
    ]


def start() -> Checking:
    """Check everything from now on, and say what was found when the process ends: with exit status 1 if something differs."""
    from jtorch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    checking = Checking()
    checking.__enter__()

    def quietly(hook: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any) -> None:
            checking.__exit__()
            try:
                hook(*args)
            finally:
                checking.__enter__()

        return run

    register_optimizer_step_pre_hook(quietly(checking.before_step))
    register_optimizer_step_post_hook(quietly(checking.after_step))

    def end() -> None:
        checking.__exit__()
        print(checking.report(), file=sys.stderr, flush=True)
        if checking.differing:
            sys.stdout.flush()
            os._exit(1)

    atexit.register(end)
    return checking
