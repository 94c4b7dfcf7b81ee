"""Changing all tensors of a module: device, dtype, gradients, mode."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from jtorch.__future__ import get_overwrite_module_params_on_conversion
from jtorch._public import C_nn, torch

from ..parameter import Parameter

if TYPE_CHECKING:
    from typing import Self


@functools.cache
def _ways() -> tuple[Any, Any, Any]:
    """How modules set attributes and list their children, where nobody has said otherwise."""
    module = torch.nn.Module
    return module.__setattr__, module.children, module.named_children


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """The device, dtype, non_blocking and memory_format in the arguments of ``to``, each None where not given."""
    given = dict(kwargs)
    if args and isinstance(args[0], torch.Tensor):
        given.setdefault("device", args[0].device)
        given.setdefault("dtype", args[0].dtype)
        names: tuple[str, ...] = ("", "non_blocking", "copy")
    elif args and isinstance(args[0], torch.dtype):
        names = ("dtype", "non_blocking", "copy")
    else:
        names = ("device", "dtype", "non_blocking", "copy")
    if len(args) > len(names):
        raise TypeError("to() received an invalid combination of arguments")
    given.update((name, value) for name, value in zip(names, args) if name)
    tensor = given.pop("tensor", None)
    if tensor is not None:
        given["device"], given["dtype"] = tensor.device, tensor.dtype
    device, dtype = given.pop("device", None), given.pop("dtype", None)
    if dtype is not None and not isinstance(dtype, torch.dtype) or isinstance(device, (float, bytes, torch.dtype)):
        got = ", ".join(type(a).__name__ for a in args)
        raise TypeError(f"to() received an invalid combination of arguments - got ({got})")
    non_blocking, memory_format = given.pop("non_blocking", False), given.pop("memory_format", None)
    if given.pop("copy", None) is not None:
        raise RuntimeError(".to() does not accept copy argument")
    if given:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(given))}'")
    return (None if device is None else torch.device(device)), dtype, bool(non_blocking), memory_format


C_nn._parse_to = lambda *args, **kwargs: _parse_to(args, kwargs)  # libraries that override Module.to call it by this name


class ConvertMixin:
    """The methods of ``Module`` that change every tensor in it."""

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    children: Callable[[], Iterator[Any]]
    parameters: Callable[[], Iterator[Any]]
    _get_name: Callable[[], str]

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Replace every parameter's, gradient's and buffer's value by ``fn`` of it; parameters keep their identity."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        overwrite = get_overwrite_module_params_on_conversion()
        for name, param in self._parameters.items():
            if param is None:
                continue
            with torch.no_grad():
                applied = fn(param)
            grad = param.grad
            # Data cannot go to "meta" or another layout, or come from there, in place: a new parameter takes its place.
            if overwrite or param.is_meta != applied.is_meta or param.layout is not applied.layout:
                self._parameters[name] = kept = Parameter(applied, param.requires_grad)
            else:
                param.data = applied
                kept = param
            if grad is not None:
                with torch.no_grad():
                    grad_applied = fn(grad)
                if kept is param and not (grad.is_meta and not grad_applied.is_meta):
                    # Through None, as a gradient of the old dtype or device would not fit the new data.
                    grad.data = grad_applied
                    param.grad = grad
                else:
                    kept.grad = grad_applied.requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Any], Any]) -> Self:
        """Call ``fn`` on every submodule and then on this one; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def cuda(self, device: Any = None) -> Self:
        """Move everything to the GPU."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move everything to the host."""
        return self._apply(lambda t: t.cpu())

    def ipu(self, device: Any = None) -> Self:
        """Not a device of jtorch: the tensors' own error."""
        return self._apply(lambda t: t.ipu(device))

    def xpu(self, device: Any = None) -> Self:
        """Not a device of jtorch: the tensors' own error."""
        return self._apply(lambda t: t.xpu(device))

    def mtia(self, device: Any = None) -> Self:
        """Not a device of jtorch: the tensors' own error."""
        return self._apply(lambda t: t.mtia(device))

    def type(self, dst_type: Any) -> Self:
        """Cast everything to ``dst_type``, integers included."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Self:
        """Cast floating-point parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to ``device`` without copying: the values are whatever the new memory holds."""
        return self._apply(lambda t: torch.empty_like(t, device=device), recurse=recurse)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """``to(device, dtype, non_blocking)``, ``to(dtype)``, ``to(tensor)`` or ``to(memory_format=)``, in place; returns self.

        The dtype must be floating or complex, and is given to the floating and complex tensors only.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature under active development whose design may change, and some modules might not "
                    "work as expected when using complex tensors as parameters or buffers. Please file an issue at "
                    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml if a complex module does not work as "
                    "expected.",
                    stacklevel=2,
                )

        def convert(t: Any) -> Any:
            wanted = dtype if t.is_floating_point() or t.is_complex() else None
            try:
                if memory_format is not None and t.dim() in (4, 5):
                    return t.to(device, wanted, non_blocking, memory_format=memory_format)
                return t.to(device, wanted, non_blocking)
            except NotImplementedError as error:
                if str(error) != "Cannot copy out of meta tensor; no data!":
                    raise
                raise NotImplementedError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from meta to a "
                    "different device."
                ) from None

        return self._apply(convert)

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all submodules (dropout, batch norm); ``mode=False`` is ``eval()``."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        own, kind = self.__dict__, self.__class__
        if own.get("training").__class__ is bool and (kind.__setattr__, kind.children, kind.named_children) == _ways():  # type: ignore[attr-defined]
            # Loops do this each time, and the long way costs a small model as much as what it computes.
            own["training"] = mode
            for module in dict.fromkeys(own["_modules"].values()):
                if module is not None:
                    module.train(mode)
            return self
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and in all submodules."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or zero them in place if ``set_to_none`` is False."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. The parameters are copied (in a "
                "differentiable manner) from the original module. This means they are not leaf nodes in autograd and so don't "
                "accumulate gradients. If you need gradients in your forward method, consider using autograd.grad instead.",
                stacklevel=2,
            )
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    def share_memory(self) -> Self:
        """Move all tensors into memory that other processes can see (``Tensor.share_memory_``)."""
        return self._apply(lambda t: t.share_memory_())
