"""State dicts of models and optimizers, however they are wrapped and sharded. Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Union

from jtorch._public import torch
from jtorch.distributed import _collectives as collectives
from jtorch.distributed import _groups
from jtorch.distributed._objects import broadcast_object_list
from jtorch.distributed.tensor._api import DTensor, distribute_tensor

__all__ = [
    "OptimizerStateType", "StateDictOptions", "get_model_state_dict", "get_optimizer_state_dict", "get_state_dict", "set_model_state_dict", "set_optimizer_state_dict", "set_state_dict",
]  # fmt: skip

FQNS_T = set[str]
PrimitiveType = DTensor | torch.Tensor | int | float | str  # type: ignore[name-defined]
ValueType = Union[PrimitiveType, list[PrimitiveType], tuple[PrimitiveType], dict[str, "ValueType"]]  # noqa: UP007 - a name in quotes
DictValueType = dict[str, ValueType]
ListDictValueType = list[DictValueType]
OptimizerStateType = dict[str, DictValueType | ListDictValueType]


@dataclass
class StateDictOptions:
    """``full_state_dict``: whole tensors; ``cpu_offload``: on the host (whole ones on rank 0 alone); ``ignore_frozen_params``; ``strict``: names must be the same; ``broadcast_from_rank0``: rank 0 has
    whole tensors, the others get theirs from it; ``flatten_optimizer_state_dict``: one level of names."""

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False
    dsd_fqn_modifiers: str = "_fqn_modifiers"


_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_fsdp_wrapped_module|_checkpoint_wrapped_module|_orig_mod)\.")


def _clean(model: Any, name: str) -> str:
    """A parameter's name without those of wrappers."""
    out, module = [], model
    parts = name.split(".")
    for i, part in enumerate(parts):
        if isinstance(module, (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)) and part == "module" and i < len(parts) - 1:
            module = module.module
            continue
        out.append(part)
        module = getattr(module, part, None) if isinstance(module, torch.nn.Module) else None
    return _WRAPPERS.sub("", ".".join(out))


def _checked(options: StateDictOptions | None) -> StateDictOptions:
    options = options or StateDictOptions()
    if options.broadcast_from_rank0 and not options.full_state_dict:
        raise ValueError("full_state_dict must be True when broadcast_from_rank0 is True.")
    return options


def _first() -> bool:
    return not _groups.is_initialized() or _groups.get_rank() == 0


def _given(x: Any, options: StateDictOptions) -> Any:
    """What is given of a state: whole, on the host, as the options say. (Every rank takes part in what is gathered.)"""
    if isinstance(x, torch.Tensor):
        if options.full_state_dict and isinstance(x, DTensor):
            x = x.full_tensor()
        return x.detach().cpu() if options.cpu_offload and not isinstance(x, DTensor) else x
    if isinstance(x, dict):
        return {k: _given(v, options) for k, v in x.items()}
    return [_given(v, options) for v in x] if isinstance(x, list) else x


def _offered(found: dict[str, Any], options: StateDictOptions) -> dict[str, Any]:
    out = _given(found, options)
    return out if not (options.full_state_dict and options.cpu_offload) or _first() else {}  # type: ignore[no-any-return]


def get_model_state_dict(model: Any, *, submodules: Any = None, options: StateDictOptions | None = None) -> dict[str, Any]:
    """The state dict of a model, by names without those of wrappers."""
    options = _checked(options)
    state = model.state_dict()
    frozen = {_clean(model, n) for n, p in model.named_parameters() if not p.requires_grad} if options.ignore_frozen_params else ()
    found = {name: x for n, x in state.items() if (name := _clean(model, n)) not in frozen}
    if submodules:
        prefixes = [_clean(model, n + ".x")[:-1] for n, m in model.named_modules() if m in submodules]
        found = {n if options.keep_submodule_prefixes else n[len(p) :]: x for n, x in found.items() for p in prefixes if n.startswith(p)}
    return _offered(found, options)


def _taken(now: Any, x: Any, options: StateDictOptions) -> Any:
    """What a state becomes: the tensor for this rank."""
    if not isinstance(now, torch.Tensor):
        return x
    if options.broadcast_from_rank0 and _groups.is_initialized():
        whole = x.to(_place(now), now.dtype) if _first() and isinstance(x, torch.Tensor) else torch.empty(tuple(now.shape), dtype=now.dtype, device=_place(now))
        whole = whole.detach().clone()
        if _groups.get_world_size() > 1:
            collectives.broadcast(whole, 0)
        x = whole
    if isinstance(now, DTensor) and not isinstance(x, DTensor):
        return distribute_tensor(x.detach().to(_place(now)), now.device_mesh, now.placements, src_data_rank=None)
    return x


def _place(t: Any) -> Any:
    return "cpu" if t.device.type == "meta" else t.device


def set_model_state_dict(model: Any, model_state_dict: dict[str, Any], *, options: StateDictOptions | None = None) -> Any:
    """Load what :func:`get_model_state_dict` gave, with any number of ranks then and now. What ``load_state_dict`` gives."""
    options = _checked(options)
    if not model_state_dict and not options.broadcast_from_rank0:
        return torch.nn.modules.module._IncompatibleKeys({}, {})
    own = {_clean(model, n): (n, x) for n, x in model.state_dict().items()}
    names = _names_of_first(list(model_state_dict), options)
    found = {}
    with torch.no_grad():
        for name in names:
            if name in own:
                at, now = own[name]
                found[at] = _taken(now, model_state_dict.get(name), options) if options.full_state_dict else model_state_dict[name]
            else:
                found[name] = model_state_dict.get(name)
    meta = any(isinstance(x, torch.Tensor) and x.device.type == "meta" for _, x in own.values())
    return model.load_state_dict(found, strict=options.strict, assign=meta)


def _names_of_first(names: Any, options: StateDictOptions) -> Any:
    if options.broadcast_from_rank0 and _groups.is_initialized() and _groups.get_world_size() > 1:
        sent = [names]
        broadcast_object_list(sent, 0)
        return sent[0]
    return names


def _init_optim_state(optim: Any) -> None:
    """Give an optimizer its state, without changing anything else."""
    if optim.state:
        return
    for group in optim.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                return
    for group in optim.param_groups:
        for p in group["params"]:
            if p.requires_grad:
                p.grad = torch.zeros_like(p)
    rates = []
    for group in optim.param_groups:
        rates.append(group.get("lr"))
        if "lr" in group:
            group["lr"] = torch.tensor(0.0) if isinstance(group["lr"], torch.Tensor) else 0.0
    optim.step(closure=None)
    for group, rate in zip(optim.param_groups, rates, strict=True):
        if "lr" in group:
            group["lr"] = rate
    optim.zero_grad(set_to_none=True)


def _named(model: Any, optimizers: Any) -> tuple[list[Any], dict[Any, str]]:
    names = {p: _clean(model, n) for n, p in model.named_parameters()}
    return list(optimizers) if isinstance(optimizers, (list, tuple)) else [optimizers], names


def get_optimizer_state_dict(model: Any, optimizers: Any, *, submodules: Any = None, options: StateDictOptions | None = None) -> dict[str, Any]:
    """The states of optimizers, by names of parameters in the place of numbers."""
    options = _checked(options)
    every, names = _named(model, optimizers)
    state: dict[str, Any] = {}
    groups: list[Any] = []
    for optim in every:
        _init_optim_state(optim)
        known = optim.state_dict()
        by_number = {}
        for group, shown in zip(optim.param_groups, known["param_groups"], strict=True):
            for p, number in zip(group["params"], shown["params"], strict=True):
                by_number[number] = names[p]
            groups.append({**shown, "params": [names[p] for p in group["params"]]})
        state |= {by_number[k]: v for k, v in known["state"].items()}
    if not options.flatten_optimizer_state_dict:
        return _offered({"state": state, "param_groups": groups}, options)
    flat: dict[str, Any] = {f"state.{name}.{k}": v for name, x in state.items() for k, v in x.items()}
    for group in groups:
        flat |= {f"param_groups.{name}.{k}": v for name in group["params"] for k, v in group.items() if k != "params"}
    return _offered(flat, options)


def _unflattened(flat: dict[str, Any], every: list[Any], names: dict[Any, str]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    groups = []
    for optim in every:
        for group in optim.param_groups:
            mine = [names[p] for p in group["params"]]
            for name in mine:
                here = {k[len(f"state.{name}.") :]: v for k, v in flat.items() if k.startswith(f"state.{name}.")}
                if here:
                    state[name] = here
            start = f"param_groups.{mine[0]}." if mine else ""
            groups.append({**{k[len(start) :]: v for k, v in flat.items() if start and k.startswith(start)}, "params": mine})
    return {"state": state, "param_groups": groups}


def set_optimizer_state_dict(model: Any, optimizers: Any, optim_state_dict: dict[str, Any], *, options: StateDictOptions | None = None) -> None:
    """Load what :func:`get_optimizer_state_dict` gave, with any number of ranks then and now."""
    options = _checked(options)
    every, names = _named(model, optimizers)
    given = optim_state_dict
    if given and "state" not in given and any(k.startswith(("state.", "param_groups.")) for k in given):
        given = _unflattened(given, every, names)
    spread = options.broadcast_from_rank0 and _groups.is_initialized() and _groups.get_world_size() > 1
    if spread:  # everybody knows what there is, and what is no tensor
        sent: list[Any] = [_outline(given)]
        broadcast_object_list(sent, 0)
        outline = sent[0]
    else:
        outline = given
    if not outline:
        return
    for optim in every:
        _init_optim_state(optim)
        known = optim.state_dict()
        state, groups = {}, []
        with torch.no_grad():
            for group, shown in zip(optim.param_groups, known["param_groups"], strict=True):
                mine = [names[p] for p in group["params"]]
                theirs = next((g for g in outline["param_groups"] if set(mine) <= set(g["params"])), None)
                groups.append({**shown, **{k: v for k, v in (theirs or {}).items() if k not in ("params", "param_names")}})
                for name, number in zip(mine, shown["params"], strict=True):
                    if name not in outline["state"]:
                        continue
                    now = known["state"].get(number, {})
                    state[number] = {}
                    for k, v in outline["state"][name].items():
                        x = given.get("state", {}).get(name, {}).get(k, v)
                        state[number][k] = _taken(now.get(k), x, options) if options.full_state_dict and isinstance(now.get(k), DTensor) else (v if spread and not isinstance(v, str) else x)
        optim.load_state_dict({"state": state, "param_groups": groups})


def _outline(given: dict[str, Any]) -> Any:
    """A state dict of an optimizer with a word for each tensor that is not small."""

    def one(x: Any) -> Any:
        return x if not isinstance(x, torch.Tensor) or x.dim() == 0 else "tensor"

    return {"state": {n: {k: one(v) for k, v in x.items()} for n, x in given["state"].items()}, "param_groups": given["param_groups"]} if given else {}


def get_state_dict(model: Any, optimizers: Any, *, submodules: Any = None, options: StateDictOptions | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(:func:`get_model_state_dict`, :func:`get_optimizer_state_dict`)."""
    return get_model_state_dict(model, submodules=submodules, options=options), get_optimizer_state_dict(model, optimizers, submodules=submodules, options=options)


def set_state_dict(model: Any, optimizers: Any, *, model_state_dict: dict[str, Any], optim_state_dict: dict[str, Any], options: StateDictOptions | None = None) -> Any:
    """Both. What ``load_state_dict`` of the model gives."""
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return set_model_state_dict(model, model_state_dict, options=options)
