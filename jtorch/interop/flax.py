"""Modules of flax and of jtorch in one another: parameters are shared, ``state_dict`` and flax's variables map to each other, train and eval and random numbers are handed through."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import jax
from flax import linen, nnx

from jtorch._public import torch
from jtorch.func.pure import pure_function, to_jax, to_torch, tree_of
from jtorch.interop import jax_function
from jtorch.nn.modules.module import Module

__all__ = ["FlaxModule", "LinenModule", "NnxModule", "flat", "nested"]


def nested(state: dict[str, Any]) -> dict[str, Any]:
    """``{"a.weight": x}`` as ``{"a": {"weight": x}}``: a ``state_dict`` as flax's serialisation has it. Tensors become arrays."""
    out: dict[str, Any] = {}
    for name, x in to_jax(dict(state)).items():
        *path, leaf = name.split(".")
        at = out
        for part in path:
            at = at.setdefault(part, {})
        at[leaf] = x
    return out


def flat(tree: Any) -> dict[str, Any]:
    """The inverse of :func:`nested`, over arrays."""
    out: dict[str, Any] = {}

    def walk(x: Any, path: str) -> None:
        if isinstance(x, dict) or hasattr(x, "items"):
            for k, v in x.items():
                walk(v, f"{path}.{k}" if path else str(k))
        else:
            out[path] = x

    walk(tree, "")
    return out


@contextlib.contextmanager
def _mode(module: Any, train: bool | None) -> Iterator[None]:
    """Within: the module in train or eval mode; None leaves it as it is."""
    before = [(m, m.training) for m in module.modules()]
    if train is not None:
        module.train(train)
    try:
        yield
    finally:
        for m, was in before:
            m.training = was


class LinenModule(linen.Module):
    """A jtorch module as one of linen's: ``LinenModule(net)`` inside ``setup`` or a compact ``__call__``.

    ``init`` takes the module's present values: ``params`` has its parameters and the collection ``buffers`` its buffers, nested by name. Called with ``mutable=["buffers"]`` running statistics come back.
    ``train`` (of the call, or the attribute; None: as the module is) is its mode; draws take the rng ``dropout``.
    """

    module: Any
    train: bool | None = None

    @linen.compact
    def __call__(self, *args: Any, train: bool | None = None, **kwargs: Any) -> Any:
        params, buffers = tree_of(self.module)
        mine = {k: self.param(k, lambda _, v=v: v) for k, v in nested(params).items()}
        theirs = {k: self.variable("buffers", k, lambda v=v: v) for k, v in nested(buffers).items()}
        key = self.make_rng("dropout") if self.has_rng("dropout") else None
        with _mode(self.module, self.train if train is None else train):
            out, new = pure_function(self.module)(flat(mine), flat({k: v.value for k, v in theirs.items()}), *args, rngs=key, **kwargs)
        if theirs and self.is_mutable_collection("buffers") and not self.is_initializing():
            for k, v in nested(new).items():
                theirs[k].value = v
        return out


class NnxModule(nnx.Module):
    """A jtorch module as one of nnx's: ``NnxModule(net, rngs=nnx.Rngs(0))``.

    ``weights`` holds an ``nnx.Param`` for each parameter and ``buffers`` an ``nnx.BatchStat`` for each buffer, nested by name. ``model.train()`` and ``model.eval()`` switch its mode;
    draws take the stream ``dropout`` of ``rngs``.
    """

    def __init__(self, module: Any, *, rngs: nnx.Rngs | None = None) -> None:
        params, buffers = tree_of(module)
        self.module = nnx.static(_Held(module)) if hasattr(nnx, "static") else _Held(module)
        self.weights = nnx.data(_boxed(nested(params), nnx.Param)) if hasattr(nnx, "data") else _boxed(nested(params), nnx.Param)
        self.buffers = nnx.data(_boxed(nested(buffers), nnx.BatchStat)) if hasattr(nnx, "data") else _boxed(nested(buffers), nnx.BatchStat)
        self.rngs = rngs
        self.deterministic = not module.training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key = self.rngs.dropout() if self.rngs is not None and not self.deterministic else None
        module = self.module.module
        held = flat(self.buffers)
        with _mode(module, not self.deterministic):
            out, new = pure_function(module)({k: v[...] for k, v in flat(self.weights).items()}, {k: v[...] for k, v in held.items()}, *args, rngs=key, **kwargs)
        for k, v in held.items():
            if new[k] is not v[...]:
                v[...] = new[k]
        return out


class _Held:
    """A module as a piece of structure."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.module is other.module

    def __hash__(self) -> int:
        return id(self.module)


def _boxed(tree: dict[str, Any], box: Any) -> Any:
    return nnx.Dict({k: _boxed(v, box) if isinstance(v, dict) else box(v) for k, v in tree.items()})


class FlaxModule(Module):
    """A flax module as an ``nn.Module``: ``FlaxModule(linen_module, *example, rngs=key)`` or ``FlaxModule(nnx_module)``.

    Its parameters are ``Parameter`` by flax's names (``Dense_0.kernel``), its other collections buffers (``batch_stats.BatchNorm_0.mean``): optimizers, ``state_dict`` and ``backward()`` work as with
    any module. ``variables()`` and ``load_variables()`` are flax's side of it. ``train()`` and ``eval()`` set what its call takes of ``train``, ``deterministic`` and ``use_running_average``; random
    numbers come from torch's generator. Arguments are tensors.
    """

    def __init__(self, module: Any, *args: Any, rngs: Any = None, **kwargs: Any) -> None:
        super().__init__()
        self.__dict__["flax"] = module
        self.is_nnx = isinstance(module, nnx.Module)
        self.__dict__["_runs"] = {}
        if self.is_nnx:
            self.__dict__["_split"] = _split_nnx(module)
            _, params, others, _ = self.__dict__["_split"]
            self.flags: tuple[str, ...] = ()
        else:
            accepted = inspect.signature(module.__call__).parameters
            self.flags = tuple(f for f in ("train", "training", "deterministic", "use_running_average") if f in accepted)
            key = jax.random.key(int(torch.randint(0, 1 << 31, ()))) if rngs is None else rngs
            keys = key if isinstance(key, dict) else dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
            named = {**self._flagged(False), **to_jax(kwargs)}
            found = jax.jit(lambda k, a: module.init(k, *a, **named))(keys, to_jax(list(args)))  # as one program: it is made for this alone
            params = flat(found.get("params", {}))
            others = flat({k: v for k, v in found.items() if k != "params"})
        for name, x in params.items():
            _put(self, name, torch.nn.Parameter(to_torch(x).clone()))
        for name, x in others.items():
            _put(self, name, to_torch(x).clone())
        self._names = tuple(params), tuple(others)

    def _flagged(self, training: bool) -> dict[str, bool]:
        return {f: training if f.startswith("train") else not training for f in self.flags}

    def variables(self) -> dict[str, Any]:
        """The parameters and buffers as flax's variables, with arrays."""
        state = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return {"params": nested({n: state[n] for n in self._names[0]}), **nested({n: state[n] for n in self._names[1]})}

    def load_variables(self, variables: Any) -> None:
        """Take flax's variables over."""
        state = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        given = {**flat(variables["params"]), **flat({k: v for k, v in variables.items() if k != "params"})}
        with torch.no_grad():
            for name, x in given.items():
                state[name].copy_(torch.as_tensor(x) if not isinstance(x, jax.Array) else to_torch(x))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        run = self._runs.get(self.training)
        if run is None:
            run = self._runs[self.training] = jax_function(self._nnx_call(self.training) if self.is_nnx else self._linen_call(self.training))
        params, buffers = dict(self.named_parameters()), dict(self.named_buffers())
        words = torch.randint(0, 1 << 31, (2,)) if self.training else torch.zeros(2, dtype=torch.int64)
        out, new = run({n: params[n] for n in self._names[0]}, {n: buffers[n] for n in self._names[1]}, words, args, kwargs)
        with torch.no_grad():
            for name, x in new.items():
                buffers[name].copy_(x)
        return out

    def _linen_call(self, training: bool) -> Any:
        module, flags, collections = self.flax, self._flagged(training), sorted({n.split(".")[0] for n in self._names[1]})

        def call(params: Any, buffers: Any, words: Any, args: Any, kwargs: Any) -> Any:
            variables = {"params": nested(params), **nested(buffers)}
            rngs = {"dropout": jax.random.wrap_key_data(words.astype("uint32"))} if training else None
            found = module.apply(variables, *args, rngs=rngs, mutable=collections if training and collections else False, **{**flags, **kwargs})
            return (found[0], flat(found[1])) if training and collections else (found, {})

        return call

    def _nnx_call(self, training: bool) -> Any:
        graph, _, _, put = self._split

        def call(params: Any, buffers: Any, words: Any, args: Any, kwargs: Any) -> Any:
            model = put(graph, {**params, **buffers}, words)
            model.train() if training else model.eval()
            out = model(*args, **kwargs)
            return out, _split_nnx(model)[2] if training else {}

        return call


def _put(module: Any, name: str, t: Any) -> None:
    """Hold a tensor under flax's name, which may be one that modules use (``buffers``, ``type``): then it is no attribute."""
    *path, leaf = name.split(".")
    for part in path:
        module = module._modules.setdefault(part, Module())
    (module._parameters if isinstance(t, torch.nn.Parameter) else module._buffers)[leaf] = t


def _split_nnx(model: Any) -> Any:
    """(the graph, parameters by name, other arrays by name, what puts such arrays back)."""
    graph, state = nnx.split(model)
    leaves = nnx.to_flat_state(state)
    params, others, keys = {}, {}, []
    for path, variable in leaves:
        name = ".".join(map(str, path))
        value = variable[...] if hasattr(variable, "type") or isinstance(variable, nnx.Variable) else variable
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            keys.append(path)
        elif isinstance(variable, nnx.Param) or getattr(variable, "type", None) is nnx.Param:
            params[name] = value
        else:
            others[name] = value

    def put(graph: Any, arrays: Any, words: Any) -> Any:
        key = jax.random.wrap_key_data(words.astype("uint32"))
        new = []
        for i, (path, variable) in enumerate(leaves):
            value = jax.random.fold_in(key, i) if path in keys else arrays[".".join(map(str, path))]
            new.append((path, variable.replace(value)))
        return nnx.merge(graph, nnx.from_flat_state(new))

    return graph, params, others, put
