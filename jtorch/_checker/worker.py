"""The checker's other process: real torch. Run as a file, with its own folder on the path for ``wire``; imports nothing of jtorch."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from typing import Any

from wire import Ref, receive, send  # type: ignore[import-not-found]  # beside this file

torch: Any = None  # imported in main(): what is missing is said to the other side

_MIRRORS: dict[int, Any] = {}
_LONG: dict[Any, float] = {}  # how far gradients of a whole pass may be apart
_state = {"broken": False}  # a tensor's history came from code that was not seen, so gradients below it cannot be compared


def _decode(x: Any) -> Any:
    if isinstance(x, Ref):
        kind, value = x
        if kind == "tensor":
            return _MIRRORS[value]
        if kind in ("dtype", "layout", "memory_format"):
            return getattr(torch, value)
        if kind == "device":
            return torch.device(value)
        if kind == "size":
            return torch.Size(value)
        if kind == "slice":
            return slice(*_decode(value))
        if kind == "ellipsis":
            return ...
        if kind == "generator":
            return torch.default_generator
        raise ValueError(kind)
    if isinstance(x, dict):
        return {k: _decode(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(_decode(v) for v in x)
    return x


def _load(data: bytes | None) -> dict[Any, Any]:
    return torch.load(io.BytesIO(data), weights_only=True) if data else {}


def _bind(message: dict[str, Any]) -> None:
    """The tensors that are new here or have been written since, as the other side holds them."""
    for key in message["dropped"]:
        _MIRRORS.pop(key, None)
    new = _load(message["tensors"])
    for key, (requires_grad, is_leaf) in message["facts"].items():
        mirror, value = _MIRRORS.get(key), new.get(key)
        if value is not None and mirror is not None and mirror.shape == value.shape and mirror.dtype is value.dtype:
            mirror.data.copy_(value)
        elif value is not None:
            _state["broken"] |= requires_grad and not is_leaf
            _MIRRORS[key] = mirror = value
        assert mirror is not None
        if mirror.is_leaf and mirror.requires_grad != requires_grad and not mirror.is_inference():
            mirror.requires_grad_(requires_grad)


@contextlib.contextmanager
def _modes(given: dict[str, Any]) -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, given["dtype"]))
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode(given["inference"]))
            stack.enter_context(torch.set_grad_enabled(given["grad"]))
            if given["autocast"]:
                stack.enter_context(torch.autocast("cpu", getattr(torch, given["autocast"])))
            yield
    finally:
        torch.set_default_dtype(before)


def _function(name: str) -> Any:
    path = name.split(".")[1:]
    found: Any = torch
    for i, part in enumerate(path):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(".".join(("torch", *path[: i + 1])))
    return found


def _differences(here: Any, there: Any, values: dict[Any, Any], where: str, only_facts: bool) -> list[str]:
    """What differs between a result of real torch (``here``) and jtorch's (``there``), in words. Tensors that agree are bound to the other side's keys."""
    if isinstance(there, Ref) and there[0] == "tensor":
        key, requires_grad, strides = there[1]
        if not isinstance(here, torch.Tensor):
            return [f"{where}: torch gives {type(here).__name__}, jtorch a tensor"]
        value = values[key]
        found = _tensor_differences(here, value, requires_grad, strides, where, only_facts)
        if here.shape == value.shape and here.dtype is value.dtype and here.layout is value.layout is torch.strided:
            if key not in _MIRRORS or _MIRRORS[key] is not here:
                _MIRRORS[key] = here
            with contextlib.suppress(RuntimeError):  # an expanded result cannot be written
                here.data.copy_(value)
        return found
    if isinstance(there, Ref):
        there = _decode(there)
    if isinstance(there, (list, tuple)) and not isinstance(there, torch.Size):
        if not isinstance(here, (list, tuple)) or len(here) != len(there):
            return [
                f"{where}: torch gives {len(here) if isinstance(here, (list, tuple)) else type(here).__name__} values, jtorch {len(there)}"
            ]
        return [
            d for i, (a, b) in enumerate(zip(here, there, strict=True)) for d in _differences(a, b, values, f"{where}[{i}]", only_facts)
        ]
    if isinstance(there, dict) and isinstance(here, dict):
        return [d for k in there for d in _differences(here.get(k), there[k], values, f"{where}[{k!r}]", only_facts)]
    if only_facts:
        return []
    if isinstance(here, (float, complex)) and isinstance(there, (float, complex)):
        return _close(
            torch.tensor(there, dtype=torch.complex64), torch.tensor(here, dtype=torch.complex64), where
        )  # numbers of float32 operands
    same = type(here) is type(there) and here == there
    return [] if same else [f"{where}: torch gives {here!r}, jtorch {there!r}"]


def _tensor_differences(here: Any, value: Any, requires_grad: bool, strides: Any, where: str, only_facts: bool) -> list[str]:
    found = []
    for what, a, b in (
        ("dtype", here.dtype, value.dtype),
        ("shape", tuple(here.shape), tuple(value.shape)),
        ("layout", here.layout, value.layout),
    ):
        if a != b:
            found.append(f"{where}: {what} is {b}, in torch {a}")
    if found:
        return found
    if here.requires_grad != requires_grad:
        found.append(f"{where}: requires_grad is {requires_grad}, in torch {here.requires_grad}")
    if here.layout is torch.strided and here.numel():
        mine = [s for s, n in zip(here.stride(), here.shape, strict=True) if n > 1]
        theirs = [s for s, n in zip(strides, here.shape, strict=True) if n > 1]
        if mine != theirs:
            found.append(f"{where}: strides are {tuple(strides)}, in torch {tuple(here.stride())}")
    return found if only_facts else found + _close(value, here.detach(), where)


def _close(found: Any, expected: Any, where: str, long: float | None = None) -> list[str]:
    """What differs by more than one operator's rounding; with ``long``, by more than that part of the value or of a tenth of the largest: a whole pass rounds in each sum."""
    loose = {} if long is None else {"rtol": long, "atol": max(1e-5, 0.1 * long * float(expected.abs().max())) if expected.numel() else 0.0}
    try:
        torch.testing.assert_close(found, expected, equal_nan=True, **loose)
    except AssertionError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return [f"{where}: values differ from torch's", *("  " + line for line in lines[1:] or lines)]
    except NotImplementedError:
        return []
    return []


def _call(message: dict[str, Any]) -> tuple[str, list[str]]:
    """Bind what the call takes, compare it, and bind what it gave there, whatever came of it here: later calls name it."""
    _bind(message)
    values = _load(message["results"])
    try:
        return _compared(message, values) if message["kind"] == "call" else ("same", [])
    finally:
        for key, requires_grad in _given(message["result"]):
            if key not in _MIRRORS:
                _MIRRORS[key] = values[key]
                _state["broken"] |= requires_grad


def _given(x: Any) -> Any:
    """(key, requires_grad) of the tensors in a result of the other side."""
    if isinstance(x, Ref):
        if x[0] == "tensor":
            yield x[1][:2]
    elif isinstance(x, (list, tuple, dict)):
        for v in x.values() if isinstance(x, dict) else x:
            yield from _given(v)


def _compared(message: dict[str, Any], values: dict[Any, Any]) -> tuple[str, list[str]]:
    try:
        function = _function(message["name"])
    except (AttributeError, ImportError):
        return "skipped", ["real torch has no function of this name"]
    grads = message["grads"]
    for key, grad in _load(grads["before"]).items() if grads else ():
        _MIRRORS[key].grad = grad
    if message["rng"] is not None:
        torch.set_rng_state(torch.frombuffer(bytearray(message["rng"]), dtype=torch.uint8).clone())
    args, kwargs = _decode(message["args"]), _decode(message["kwargs"])
    raised = message["raised"]
    try:
        with _modes(message["modes"]):
            result = function(*args, **kwargs)
    except Exception as error:
        if raised is None:
            return "differs", [f"torch raises {type(error).__name__}: {error}", "jtorch does not"]
        names = [c.__name__ for c in type(error).__mro__]
        return (
            ("same", [])
            if raised[0] in names
            else ("differs", [f"torch raises {type(error).__name__}: {error}", f"jtorch raises {raised[0]}: {raised[1]}"])
        )
    if raised is not None:
        return "differs", [f"jtorch raises {raised[0]}: {raised[1]}", "torch does not"]
    found = _differences(result, message["result"], values, "result", message["only_facts"])
    for key, place in message["written"]:
        found += _differences(_MIRRORS[key], Ref(("tensor", place)), values, "what it wrote", message["only_facts"])
    if grads:
        if _state["broken"]:
            _state["broken"] = False
            return "skipped", ["part of the history was made by code that is not torch's functions"]
        for key, grad in _load(grads["after"]).items():
            mirror = _MIRRORS[key]
            where = f"gradient of a tensor of shape {tuple(mirror.shape)}"
            if (mirror.grad is None) != (grad is None):
                found.append(f"{where}: {'there is none in torch' if mirror.grad is None else 'there is none in jtorch'}")
            elif grad is not None:
                found += _close(grad, mirror.grad.detach(), where, _LONG.get(grad.dtype, 0.03))
    return ("differs", found) if found else ("same", [])


def _step(message: dict[str, Any]) -> tuple[str, list[str]]:
    cls = getattr(torch.optim, message["name"], None)
    if cls is None:
        return "skipped", ["real torch has no optimizer of this name"]
    before, after = _load(message["before"]), _load(message["after"])
    params = [[torch.nn.Parameter(v) for v in group] for group in before["params"]]
    for p, g in zip((p for group in params for p in group), before["grads"], strict=True):
        p.grad = g
    optimizer = cls([{"params": group} for group in params])
    optimizer.load_state_dict(before["state"])
    optimizer.step()
    found = []
    for i, (p, value) in enumerate(zip((p for group in params for p in group), after["params"], strict=True)):
        found += _close(value, p.detach(), f"parameter {i} of shape {tuple(p.shape)} after the step")
    return ("differs", found) if found else ("same", [])


def main() -> None:
    """Answer until the other side goes."""
    global torch
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        send(answers, ("missing", str(error)))
        return
    _LONG.update({torch.float64: 1e-6, torch.complex128: 1e-6, torch.float32: 1e-3, torch.complex64: 1e-3})
    warnings.simplefilter("ignore")  # the program sees jtorch's
    send(answers, ("ready", torch.__version__))
    while True:
        try:
            message = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = _step(message) if message["kind"] == "step" else _call(message)
        except Exception as error:
            answer = "skipped", [f"the checker failed: {type(error).__name__}: {error}"]
        send(answers, answer)


if __name__ == "__main__":
    main()
