"""``Parameter``, ``Buffer`` and their uninitialised forms: tensors that a module finds and owns."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.torch_function import disabled
from jtorch._core.storage.bare_tensor import PLAIN
from jtorch._core.tensor.tensor_repr import parameters
from jtorch._public import torch

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "UninitializedTensorMixin", "is_lazy"]

Tensor = torch.Tensor


class _ParameterMeta(type(Tensor)):  # type: ignore[misc]
    """Makes ``isinstance(t, Parameter)`` true also for tensor subclasses that were wrapped by ``Parameter(t)``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):  # type: ignore[misc]
    """A tensor that becomes a parameter of the module it is assigned to; shares the storage of ``data``.

    ``requires_grad`` is True unless said otherwise; ``data=None`` makes an empty float tensor.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = torch.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        # A tensor subclass keeps its own type and is only marked.
        wrapped = data.detach().requires_grad_(requires_grad)
        if type(wrapped) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns an instance "
                f"of the same type, but return type {type(wrapped).__name__} was found instead. To use the type as a Parameter, "
                "please correct the detach() semantics defined by its __torch_dispatch__() implementation."
            )
        wrapped._is_param = True
        return wrapped

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        key = id(self)
        if key not in memo:
            memo[key] = type(self)(self.data.clone(memory_format=torch.preserve_format), self.requires_grad)
        return memo[key]

    def __repr__(self) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()

    __torch_function__ = staticmethod(disabled)  # type: ignore[assignment]


PLAIN.add(Parameter)
parameters.append(Parameter)


class UninitializedTensorMixin:
    """What tensors share that wait for a first forward to learn their shape."""

    cls_to_become: Any = Tensor

    # The operations that need no shape: everything else tells the user to run a forward first.
    _allowed_names = frozenset(
        "__hash__ size copy_ is_complex is_floating_point half float double bfloat16 char short int long cuda cpu to to_ get_device "
        "__get__ __set__ __deepcopy__ __reduce_ex__ requires_grad_ detach data_ptr".split()
    )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Allocate memory of ``shape`` and become an ordinary parameter or tensor."""
        self.data = torch.empty(shape, device=self.data.device if device is None else device, dtype=dtype or self.data.dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        """Not known yet: raises ``RuntimeError``."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` when "
            "trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the parameters "
            "before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        """Not possible yet: raises ``RuntimeError``."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, proto: Any) -> tuple[Any, ...]:
        return type(self), (self.requires_grad,)  # type: ignore[attr-defined]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in cls._allowed_names or type(func).__name__ == "method-wrapper":
            return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[misc]
        raise ValueError(_too_early(func, cls))


def _too_early(func: Any, cls: type) -> str:
    return (
        f"Attempted to use an uninitialized parameter in {func}. This error happens when you are using a `LazyModule` or "
        f"explicitly manipulating `torch.nn.parameter.{cls.__name__}` objects. When using LazyModules Call `forward` with a "
        "dummy batch to initialize the parameters before calling torch functions"
    )


def _refusing(name: str) -> Any:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(_too_early(f"<method '{name}' of 'torch._C.TensorBase' objects>", type(self)))

    refuse.__name__ = name
    return refuse


# Questions about the shape and the elements that are answered without asking __torch_function__.
for _name in ("numel", "nelement", "dim", "stride", "element_size", "item", "tolist", "__len__", "__getitem__", "__bool__"):
    setattr(UninitializedTensorMixin, _name, _refusing("numel" if _name == "nelement" else _name))


def is_lazy(param: Any) -> bool:
    """Whether ``param`` still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is found in the first forward; see :meth:`materialize`."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return Tensor._make_subclass(cls, torch.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        key = id(self)
        if key not in memo:
            memo[key] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[key]


class _BufferMeta(type(Tensor)):  # type: ignore[misc]
    """Buffers stay plain tensors, marked by an attribute, so ``isinstance`` asks the attribute."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):  # type: ignore[misc]
    """A tensor that becomes a buffer of the module it is assigned to; ``persistent`` ones are in the ``state_dict``."""

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        tensor = (torch.empty(0) if data is None else data).detach().requires_grad_(False if data is None else data.requires_grad)
        tensor.persistent = persistent
        tensor._is_buffer = True
        return tensor

    __torch_function__ = staticmethod(disabled)  # type: ignore[assignment]


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose shape is found in the first forward; see :meth:`materialize`."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> Any:
        tensor = Tensor._make_subclass(cls, torch.empty(0, device=device, dtype=dtype), requires_grad)
        tensor.persistent = persistent
        tensor._is_buffer = True
        return tensor
