"""Checkpoints of orbax: a module, with its optimizer, as a tree of arrays that JAX programs read too.

``model`` is the ``state_dict``, nested by name as flax has it; ``optimizer`` the tensors of each parameter's state; ``settings`` what is no array, as JSON.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from jtorch._public import torch
from jtorch.func.pure import to_jax, to_torch
from jtorch.interop.flax import flat, nested

__all__ = ["restore", "save"]


def save(path: Any, module: Any, optimizer: Any = None, *, force: bool = False) -> None:
    """Write a checkpoint to a folder, which must not be there (or is replaced, with ``force``)."""
    tree: dict[str, Any] = {"model": nested(module.state_dict())}
    if optimizer is not None:
        tree["optimizer"], tree["settings"] = _apart(optimizer.state_dict())
    with ocp.StandardCheckpointer() as writer:
        writer.save(os.path.abspath(path), tree, force=force)


def _apart(state: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    arrays: dict[str, Any] = {}
    plain: dict[str, Any] = {"param_groups": state["param_groups"], "state": {}}
    for which, values in state["state"].items():
        for name, x in values.items():
            if isinstance(x, torch.Tensor):
                arrays.setdefault(json.dumps(which), {})[json.dumps(name)] = to_jax(x)
            else:
                plain["state"].setdefault(json.dumps(which), {})[name] = x
    if not arrays:
        arrays = {"-": {"-": np.zeros(1)}}  # orbax writes no empty trees
    return arrays, np.frombuffer(json.dumps(plain).encode(), np.uint8).copy()


def restore(path: Any, module: Any, optimizer: Any = None) -> None:
    """Read a checkpoint that :func:`save` wrote into a module and its optimizer. RuntimeError if it is of another model, KeyError if it has no optimizer's state that is asked for."""
    with ocp.StandardCheckpointer() as reader:
        tree = reader.restore(os.path.abspath(path))
    module.load_state_dict({name: to_torch(x).clone() for name, x in flat(tree["model"]).items()})
    if optimizer is None:
        return
    plain = json.loads(np.asarray(tree["settings"]).tobytes())
    state: dict[Any, dict[str, Any]] = {json.loads(which): dict(values) for which, values in plain["state"].items()}
    for which, values in tree["optimizer"].items():
        if which != "-":
            state.setdefault(json.loads(which), {}).update({json.loads(name): to_torch(x).clone() for name, x in values.items()})
    groups = [{k: tuple(v) if isinstance(v, list) and k == "betas" else v for k, v in g.items()} for g in plain["param_groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
