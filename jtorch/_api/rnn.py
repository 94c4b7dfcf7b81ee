"""torch.lstm, gru, rnn_tanh and rnn_relu, with torch's two overloads each (padded, packed)."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._namespace import C_nn, torch

Tensor = Any


def _is_packed(mode: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call is of the overload whose second argument is ``batch_sizes``."""
    second = args[1] if len(args) > 1 else kwargs.get("hx", kwargs.get("batch_sizes"))
    if "batch_sizes" in kwargs or (mode == "LSTM" and isinstance(second, torch.Tensor)):
        return True
    return mode != "LSTM" and len(args) > 2 and isinstance(args[2], torch.Tensor)


def _run(name: str, mode: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional", "batch_first")
    packed = _is_packed(mode, args, kwargs)
    if packed:
        names = ("data", "batch_sizes", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional")
    given = dict(zip(names, args, strict=False)) | kwargs
    missing = [n for n in names if n not in given]
    if missing or len(given) != len(names):
        raise TypeError(f"{name}() received an invalid combination of arguments")
    x = given["data"] if packed else given["input"]
    sizes = given["batch_sizes"] if packed else None
    hx = given["hx"]
    states = list(hx) if mode == "LSTM" else [hx]
    if mode == "LSTM" and len(states) != 2:
        raise RuntimeError("lstm expects two hidden states")
    shape = (mode, bool(given["has_biases"]))
    bidirectional, batch_first = bool(given["bidirectional"]), bool(given.get("batch_first", False))
    layers, params = given["num_layers"], list(given["params"])
    if not (given["train"] and given["dropout"] and layers > 1):
        return C_nn._rnn(x, sizes, states, params, *shape, layers, bidirectional, batch_first)
    return _with_dropout(x, sizes, states, params, shape, layers, bidirectional, batch_first, given["dropout"])


def _with_dropout(
    x: Tensor,
    sizes: Tensor | None,
    states: list[Tensor],
    params: list[Tensor],
    shape: Any,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
    p: float,
) -> Any:
    """Layer by layer, with a mask drawn between them; torch drops in time-major order."""
    if batch_first:
        x = x.transpose(0, 1)
    directions, each = (2 if bidirectional else 1), len(params) // layers
    last: list[list[Tensor]] = [[] for _ in states]
    for layer in range(layers):
        mine = [s[layer * directions : (layer + 1) * directions] for s in states]
        x, *ends = C_nn._rnn(x, sizes, mine, params[layer * each : (layer + 1) * each], *shape, 1, bidirectional, False)
        for into, end in zip(last, ends, strict=True):
            into.append(end)
        if layer < layers - 1:
            x = torch.dropout(x, p, True)
    if batch_first:
        x = x.transpose(0, 1)
    return (x, *(torch.cat(ends) for ends in last))


@compose("torch")
def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """``(output, h_n, c_n)`` of ``(input, (h, c), params, has_biases, num_layers, dropout, train, bidirectional, batch_first)``.

    The packed form is ``(data, batch_sizes, (h, c), ...)`` without ``batch_first``.
    """
    return _run("lstm", "LSTM", args, kwargs) if _is_packed("LSTM", args, kwargs) else C_nn.padded_lstm(*args, **kwargs)


@compose("_nn")
def padded_lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`lstm` of a padded input, which alone autocast on the cpu casts whole: torch has one kernel for it, and packed ones add up in float32."""
    return _run("lstm", "LSTM", args, kwargs)


@compose("torch")
def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """``(output, h_n)`` of a GRU; the arguments are those of :func:`lstm` with one state."""
    return _run("gru", "GRU", args, kwargs)


@compose("torch")
def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """``(output, h_n)`` of an Elman network with tanh."""
    return _run("rnn_tanh", "RNN_TANH", args, kwargs)


@compose("torch")
def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """``(output, h_n)`` of an Elman network with relu."""
    return _run("rnn_relu", "RNN_RELU", args, kwargs)
