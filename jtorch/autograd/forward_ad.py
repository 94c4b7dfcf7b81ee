"""Forward-mode AD by dual tensors. A tangent is found when it is asked for: two passes over the tape that the computation left, so gradients must be recorded meanwhile."""

from __future__ import annotations

from typing import Any, NamedTuple

from jtorch._core.backward.levels import Input, enter, gradients, reaches_out, transposed
from jtorch._core.graph.grad_modes import _Context
from jtorch._core.graph.node import forward_mode, next_seq
from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._core.tensor.tensor_repr import tangent_of
from jtorch._engine.values.lanes import unknown
from jtorch._public import torch

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """What :func:`unpack_dual` returns; ``tangent`` is None if there is none."""

    primal: Any
    tangent: Any


class _Level:
    """A level that was entered: where its dual tensors begin, and their tangents."""

    def __init__(self) -> None:
        self.since = next_seq()
        self.duals: list[tuple[Input, Any, Any]] = []  # where a tangent goes in, the tensor that was given, and a tensor of what it held then

    def add(self, dual: Any, tangent: Any) -> Any:
        """``dual`` has this tangent from now on; a tensor of the same value."""
        inside, node = enter(dual, dual.layout is torch.strided)
        held = new_tensor(read(tangent))
        held._edge, held._nr = tangent._edge, tangent._nr
        self.duals.append((node, tangent, held))
        return inside


_levels: list[_Level] = []
_current_level = -1


def current() -> _Level | None:
    """The level that was entered, if one was."""
    return _levels[-1] if _levels else None


def enter_dual_level() -> int:
    """Begin a level; its number. RuntimeError inside another one."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    global _current_level
    _levels.append(_Level())
    forward_mode.since = _levels[-1].since
    _current_level = 0
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level. RuntimeError if it is not the current one."""
    if not _levels or level not in (None, 0):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created. This is not supported.")
    global _current_level
    _levels.pop()
    forward_mode.since = None
    _current_level = -1


class dual_level:
    """``with dual_level():`` a level of forward-mode AD."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: object) -> None:
        exit_dual_level()


def _is_fwd_grad_enabled() -> bool:
    return forward_mode.enabled and not forward_mode.inside


class _set_fwd_grad_enabled(_Context):
    """What is computed while it is off carries no tangent. As torch's, it counts from where it is made."""

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = mode, forward_mode.enabled
        forward_mode.enable(mode)

    def clone(self) -> Any:
        return self.__class__(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        forward_mode.enable(self.before)


def _smooth(t: Any, what: str) -> None:
    if not (t.is_floating_point() or t.is_complex()):
        raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")


def check_tangent(tensor: Any, tangent: Any) -> None:
    """RuntimeError for a tangent of another shape."""
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. "
            f"Tensor is of size {list(tensor.shape)} while the given forward gradient is of size {list(tangent.shape)}."
        )


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """A tensor of the same value that carries ``tangent``. RuntimeError outside of a level or for another size. Source: torch.autograd.forward_ad.make_dual."""
    if not _levels or (level is not None and level < 0):
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.")
    _smooth(tensor, "primal")
    _smooth(tangent, "tangent")
    check_tangent(tensor, tangent)
    if unpack_dual(tangent).tangent is not None:
        raise RuntimeError("Setting a forward grad that itself has a forward gradient at the same level0 is not supported.")
    if unpack_dual(tensor).tangent is not None:
        raise RuntimeError("Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not supported.")
    if not _laid_alike(tensor, tangent):
        laid = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tangent.dtype, device=tangent.device) if tensor.layout is torch.strided else torch.zeros_like(tangent)
        tangent = laid.copy_(tangent)
    return _levels[-1].add(tensor, tangent)


def _laid_alike(a: Any, b: Any) -> bool:
    """Whether a tangent lies in memory as its primal does, so that views of the one are views of the other; else torch keeps a copy of it."""
    if a.layout is not torch.strided or b.layout is not torch.strided or unknown(a._s.value.array) or unknown(b._s.value.array):
        return True
    if a.is_conj() != b.is_conj() or a.is_neg() != b.is_neg():
        return False
    if not a.numel():
        return True
    whole = [t.untyped_storage().nbytes() // t.element_size() for t in (a, b)]
    strides = [[st for st, n in zip(t.stride(), t.shape, strict=True) if n > 1] for t in (a, b)]
    return whole[0] == whole[1] and a.storage_offset() == b.storage_offset() and strides[0] == strides[1]


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent) of a tensor in the current level. Source: torch.autograd.forward_ad.unpack_dual."""
    if not _levels or (level is not None and level < 0) or tensor._edge is None:
        return UnpackedDualTensor(tensor, None)
    level_now = _levels[-1]
    outer = torch.is_grad_enabled() and (reaches_out(tensor, level_now.since) or any(t.requires_grad for _, _, t in level_now.duals))
    primal = tensor.view_as(tensor) if outer else tensor.detach()
    for node, tangent, held in level_now.duals:
        if tensor._edge is node and read(tangent) is read(held):
            return UnpackedDualTensor(primal, tangent)
    with torch.enable_grad():
        seed, end = enter(torch.zeros_like(tensor.detach()))
        back = transposed([tensor], [seed], [node for node, _, _ in level_now.duals])
        pairs = [(b, t) for b, (_, _, t) in zip(back, level_now.duals, strict=True) if b is not None]
        if not pairs:
            return UnpackedDualTensor(primal, None)
        (found,) = gradients([b for b, _ in pairs], [t for _, t in pairs], [end], outer)
    return UnpackedDualTensor(primal, torch.zeros_like(primal) if found is None else found if outer else found.detach())


def _shown(tensor: Any) -> tuple[Any, bool] | None:
    """A tensor's tangent, and whether it has a history besides."""
    if not _levels or not isinstance(tensor, torch.Tensor):
        return None
    tangent = unpack_dual(tensor).tangent
    return None if tangent is None else (tangent, reaches_out(tensor, _levels[-1].since))


tangent_of.append(_shown)
