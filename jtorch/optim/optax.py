"""Any optax gradient transformation as a torch-style optimizer."""

from __future__ import annotations

from typing import Any

import jax

from jtorch._core.tensor.attributes import to_jax
from jtorch._core.tensor.creation import from_jax
from jtorch._errors import not_implemented
from jtorch._ops.optax_update import OptaxProgram
from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim.optimizer import Closure, Optimizer, ParamsT

__all__ = ["Optax"]

_KEY = "optax"


class Optax(Optimizer):
    """``Optax(model.parameters(), optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule)))``.

    The transformation sees all parameters that require gradients as one tree: a dict by name where ``params`` are
    ``named_parameters()`` (so that masks and ``multi_transform`` labels can go by name), else a list. Schedules, masks, clipping,
    accumulation work as in optax; a step is one recorded operator. A parameter without gradient keeps its value, and the
    transformation is shown a zero gradient for it.

    Where the transformation was made by ``optax.inject_hyperparams`` with a ``learning_rate``, ``param_groups[0]["lr"]`` is that
    rate, and torch's schedulers drive it. The state is ``state["optax"]``, a dict of tensors by their path in optax's state;
    ``state_dict`` and ``load_state_dict`` carry it.
    """

    def __init__(self, params: ParamsT, tx: Any) -> None:
        if not (hasattr(tx, "init") and hasattr(tx, "update")):
            raise TypeError(f"tx should be an optax.GradientTransformation, but got {type(tx).__name__}")
        self.tx = tx
        super().__init__(params, {"differentiable": False})
        self._start()

    def _start(self) -> None:
        self._program: OptaxProgram | None = None
        self._rate: str | None = None
        program, tensors = self._plan()
        scheduled = any("hyperparams_states['learning_rate']" in p for p in program.paths)  # its own schedule sets the rate
        self._rate = None if scheduled else next((p for p in program.paths if ".hyperparams['learning_rate']" in p), None)
        if _KEY not in self.state:
            with torch.no_grad():
                leaves = _apply.call("optax_init", (len(tensors),), tuple(tensors), (program,))
            leaves = leaves if isinstance(leaves, (tuple, list)) else (leaves,)
            self.state[_KEY] = dict(zip(program.paths, leaves, strict=True))
        if self._rate is not None:
            for group in self.param_groups:
                group.setdefault("lr", float(self.state[_KEY][self._rate]))

    def _plan(self) -> tuple[OptaxProgram, list[Any]]:
        """The transformation on the parameters of the moment, which are planned anew when a group has been added."""
        tensors, names = [], []
        for group in self.param_groups:
            own = group.get("param_names") or [None] * len(group["params"])
            for name, p in zip(own, group["params"], strict=True):
                if p.requires_grad:
                    tensors.append(p)
                    names.append(name)
        if self._program is None:
            named = None not in names and bool(names)
            tree: Any = {name: i for i, name in enumerate(names)} if named else list(range(len(tensors)))
            self._program = OptaxProgram(self.tx, tree)
            self._program.plan([(tuple(p.shape), _apply.numpy_dtype(p)) for p in tensors])
        return self._program, tensors

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Only while the optimizer is made: a transformation's state belongs to one tree of parameters."""
        if _KEY in getattr(self, "state", {}):
            not_implemented("Optax.add_param_group", "a transformation's state belongs to its parameters; make a new optimizer")
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "tx": self.tx}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start()

    def step(self, closure: Closure = None, **extra: Any) -> Any:
        """One step of the transformation. ``extra`` (tensors or numbers) goes to ``tx.update`` by keyword, as ``value=loss``.

        A transformation that asks for the loss (``polyak_sgd``, ``reduce_on_plateau``) gets that of ``closure``; one that searches along a line (``lbfgs``) calls the closure, which computes the loss and its
        gradients, as often as it likes. RuntimeError without one.
        """
        with torch.no_grad():
            loss = self._evaluate(closure)
            program, params = self._plan()
            kept = self.state[_KEY]
            if self._rate is not None:
                rate = kept[self._rate]
                lr = self.param_groups[0]["lr"]
                rate.copy_(lr) if isinstance(lr, torch.Tensor) else rate.fill_(lr)
            grads = [_apply.zeros_like(p) if p.grad is None else p.grad for p in params]
            if "value" in program.wanted and "value" not in extra:
                if loss is None:
                    raise RuntimeError("this transformation asks for the loss: call step(closure), or step(value=loss)")
                extra["value"] = torch.as_tensor(loss).detach()
            if "value_fn" in program.wanted:
                if closure is None:
                    raise RuntimeError("this transformation searches along a line, and calls step's closure for that: call step(closure)")
                self._search(closure, program, params, grads, extra)
                return loss
            others = [v if isinstance(v, torch.Tensor) else torch.tensor(v) for v in extra.values()]
            state = [kept[path] for path in program.paths]
            targets = [None if p.grad is None else p for p in params]
            counts = (len(params), len(grads), len(state), len(others))
            update = _apply.prepare("optax_update", counts, (program, tuple(extra)))
            _apply.in_a_step(_apply.update, (update,), ((*params, *grads, *state, *others),), ((*targets, *state),))
        return loss

    def _search(self, closure: Any, program: OptaxProgram, params: list[Any], grads: list[Any], extra: dict[str, Any]) -> None:
        """A step that calls the closure: it runs operator by operator, as the closure may do anything."""
        kept = self.state[_KEY]

        def at(tree: Any) -> Any:
            with jax.disable_jit(False):
                for i, x in zip(program.order, program.params_def.flatten_up_to(tree), strict=True):
                    params[i].copy_(from_jax(x))
                with torch.enable_grad():
                    loss = closure()
                return to_jax(loss), program.params_def.unflatten([to_jax(_apply.zeros_like(params[i]) if params[i].grad is None else params[i].grad) for i in program.order])

        value_fn = jax.custom_vjp(lambda tree: at(tree)[0])
        value_fn.defvjp(at, lambda found, g: (jax.tree.map(lambda x: x * g, found),))
        before = [to_jax(p) for p in params]
        values = [to_jax(torch.as_tensor(v)) for v in extra.values()]
        with jax.disable_jit():
            found = program.update(before, [to_jax(g) for g in grads], [to_jax(kept[path]) for path in program.paths], tuple(extra), values, value_fn)
        for t, x in zip((*params, *[kept[path] for path in program.paths]), found, strict=True):
            t.copy_(from_jax(x))
