"""A tensor's part in the graph: requires_grad, grad, hooks, backward, detach."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from jtorch._core.dispatch.checked_arguments import checked_number
from jtorch._core.tensor.storage_objects import TypedStorage, UntypedStorage, tensor_on
from jtorch import _dtypes
from jtorch._registry.signature import REQUIRED
from jtorch._core.dispatch.signature_binding import no_overload
from jtorch._engine.values.thread_state import GRAD, state

from jtorch._core.backward import backward_pass as _backward
from jtorch._core.backward.jax_hooks import hooked_by_jax, is_followed_by_jax
from jtorch._core.backward.levels import Input, reaches_out
from jtorch._core.graph.view_history import edge_of
from jtorch._core.graph.hook_handles import RemovableHandle
from jtorch._core.tensor.method_decorators import method, prop
from jtorch._core.graph.node import AccumulateGrad, forward_mode, hooks_of, leaf_edge
from jtorch._core.dispatch.inplace import check_not_captured
from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.storage.bare_tensor import Storage, Tensor, alias_of, meta_of, new_tensor
from jtorch._core.storage.view_steps import Stopped, aval_of, copied, read, stopped, with_history
from jtorch._core.storage.write_counts import Alias, detached, origin_of, own_version, uncounted, version_of
from jtorch._engine.values.lanes import Lanes
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.values import value_of


def require_grad(t: Tensor, yes: bool = True) -> Tensor:
    """Make a leaf require grad. RuntimeError for integer types."""
    if yes and t._edge is None:
        kind = aval_of(t).dtype
        if kind.category < 2:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        t._edge = leaf_edge(t)
        t._nr = 0
    return t


def _get_requires_grad(self: Tensor) -> bool:
    return self._edge is not None and (forward_mode.since is None or reaches_out(self, forward_mode.since))  # what carries a tangent alone requires none


def _given_requires_grad(self: Tensor, yes: Any) -> None:
    if not isinstance(yes, bool):
        raise RuntimeError("requires_grad must be a bool")
    set_requires_grad(self, yes)


def set_requires_grad(self: Tensor, yes: bool) -> None:
    if yes and self._edge.__class__ is Input:
        self._edge.required = True
    if self._edge is not None and self._edge.__class__ is not AccumulateGrad:
        if not yes:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        return
    if yes:
        if aval_of(self).dtype.category < 2:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if self._meta is not None and self._meta.inference and not state.mode & 2:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        require_grad(self)
    else:
        self._edge = None


def _keep(text: str) -> Any:
    """What ``del`` says of an attribute that stays."""

    def refuse(self: Tensor) -> None:
        raise RuntimeError(text)

    return refuse


Tensor.requires_grad = property(_get_requires_grad, _given_requires_grad, _keep("requires_grad must be a bool"))  # type: ignore[method-assign,assignment]


_TRANSFORMED = (
    "You are attempting to call {} inside of a function being transformed by a functorch transform. This is unsupported, please attempt to use the functorch transforms "
    "(e.g. grad, vjp, jacrev, jacfwd, hessian) or call {} outside of a function being transformed instead."
)


def with_grad(self: Tensor, yes: bool = True) -> Tensor:
    """This leaf, which requires grad from now on or no longer."""
    if bool(yes) != self.requires_grad:
        set_requires_grad(self, yes)
    return self


@method
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Change whether this leaf requires grad, in place."""
    if (state.lanes or state.derivative) and (requires_grad or self._edge is not None):
        raise RuntimeError(_TRANSFORMED.format("Tensor.requires_grad_() (or perhaps using torch.autograd.functional.* APIs)", "requires_grad_()"))
    return with_grad(self, checked_number("requires_grad_", "requires_grad", bool, requires_grad, " (position 1)"))


@prop
def is_leaf(self: Tensor) -> bool:
    return self._edge is None or edge_of(self).__class__ is AccumulateGrad or not self.requires_grad


@prop
def grad_fn(self: Tensor) -> Any:
    if self._edge is None and (self._meta is None or self._meta.base is None):
        return None
    edge = edge_of(self)
    return None if edge.__class__ is AccumulateGrad or not self.requires_grad and self._edge is not None else edge


def _detached_from(self: Tensor, edge: Any) -> None:
    if edge is not None:
        raise TypeError("_grad_fn can be only set to None")
    self.detach_()


def _backward_hooks(self: Tensor) -> Any:
    """The hooks on its gradient by number, or None."""
    if self._edge is None:
        return None if self._meta is None else self._meta.hooks
    hooks = edge_of(self).hooks
    return (hooks.tensor.get(self._nr) or None) if hooks is not None else None


def _set_backward_hooks(self: Tensor, hooks: Any) -> None:
    if self._edge is None:
        meta_of(self).hooks = hooks
    elif hooks is None:
        hooks_of(edge_of(self)).tensor.pop(self._nr, None)
    else:
        hooks_of(edge_of(self)).tensor[self._nr] = hooks


def _post_accumulate_grad_hooks(self: Tensor) -> Any:
    """The hooks that are called when its gradient was added to, by number, or None."""
    hooks = None if self._edge is None else edge_of(self).hooks
    return (hooks.acc or None) if hooks is not None else None


Tensor._grad_fn = property(grad_fn, _detached_from, _keep("Deletion of _grad_fn not allowed. Detach tensor instead!"))  # type: ignore[attr-defined]
Tensor._backward_hooks = property(_backward_hooks, _set_backward_hooks, _keep("Deletion of _backwards_hooks not allowed!"))  # type: ignore[attr-defined]
Tensor._post_accumulate_grad_hooks = property(_post_accumulate_grad_hooks, None, _keep("Deletion of _post_accumulate_grad_hooks not allowed!"))  # type: ignore[attr-defined]


def _get_grad(self: Tensor) -> Any:
    if self._grad is None and self._edge is not None and not self.is_leaf and not (self._meta is not None and self._meta.retains):
        import warnings

        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). "
            "If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. "
            "If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information.",
            stacklevel=2,
        )
    g = self._grad
    if g is not None and g._s.__class__ is not Storage:
        g._s.shown()
    return g


def _set_grad(self: Tensor, g: Any) -> None:
    if g is None:
        self._grad = None
        return
    if not isinstance(g, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(g).__name__}")
    if g is self:
        raise RuntimeError("can't assign Variable as its own grad")
    a, b = aval_of(self), aval_of(g)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{_ctype(b.dtype)}' to a tensor with grad_dtype '{a.dtype.legacy}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). "
            "You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may break downstream systems that assume they match."
        )
    if a.device is not b.device:
        raise RuntimeError(f"attempting to assign a gradient with device type '{b.device}' to a tensor with device type '{a.device}'. Please ensure that the gradient and the tensor are on the same device")
    if a.shape != b.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(b.shape)}' to a tensor of size '{list(a.shape)}'. Please ensure that the gradient and the tensor are the same size"
        )
    self._grad = g


def _ctype(kind: _dtypes.dtype) -> str:
    return _dtypes.C_NAMES.get(kind.name, kind.name)


def _del_grad(self: Tensor) -> None:
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad)  # type: ignore[method-assign,assignment]


@prop
def output_nr(self: Tensor) -> int:
    return self._nr


@prop
def _version(self: Tensor) -> int:
    if self._meta is not None and self._meta.inference:
        raise RuntimeError("Inference tensors do not track version counter.")
    return version_of(self._s)


@prop
def retains_grad(self: Tensor) -> bool:
    return bool(self._meta is not None and self._meta.retains)


@method
def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return bool(self._meta is not None and self._meta.inference)


@prop
def _base(self: Tensor) -> Any:
    return self._meta.base if self._meta is not None and self._view is not None else None


@method
def _is_view(self: Tensor) -> bool:
    return self._meta is not None and self._meta.base is not None


@method
def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this non-leaf in ``.grad`` too."""
    if state.lanes or state.derivative:
        raise RuntimeError(_TRANSFORMED.format("Tensor.retain_grad()", "retain_grad()"))
    if self._edge is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self.is_leaf:
        return
    import weakref

    meta_of(self).retains = True
    hooks_of(edge_of(self)).retain[self._nr] = weakref.ref(self)


@method
def register_hook(self: Tensor, hook: Any) -> Any:
    """Call ``hook(grad)`` when the gradient of this tensor is there; what it returns goes on instead.

    Inside JAX's transformations JAX's gradients go through it, on the way to where the tensor was read from here on. RuntimeError if nothing could bring a gradient.
    """
    if self._edge is None:
        if is_followed_by_jax(self):
            hooks: OrderedDict[int, Any] = OrderedDict()
            handle = RemovableHandle(hooks)
            hooks[handle.id] = hook
            hooked_by_jax(self, hooks)
            return handle
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    table = hooks_of(edge_of(self)).tensor.setdefault(self._nr, OrderedDict())
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


@method
def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> Any:
    """Call ``hook(leaf)`` after its gradient was accumulated."""
    if self._edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self._edge.__class__ is not AccumulateGrad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    table = hooks_of(self._edge).acc
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


@method
def backward(self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None) -> None:
    """Accumulate the gradients of this tensor into the leaves of its graph. Source: torch.Tensor.backward."""
    if has_override((self,), {}):
        return override(Tensor.backward, (self,), {"gradient": gradient, "retain_graph": retain_graph, "create_graph": create_graph, "inputs": inputs})  # type: ignore[no-any-return]
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if gradient is not None and not isinstance(gradient, Tensor):
        (gradient,) = tuple(gradient)[:1] or (None,)  # torch takes a sequence, too
    _backward.backward([self], [gradient], retain_graph, create_graph, inputs)
    return None


@method
def detach(self: Tensor) -> Tensor:
    """The same memory outside of the graph."""
    s = stopped(self._s)
    t = alias_of(s, self._view if s is self._s or self._view is None else copied(self._view, s))
    if self._meta is not None and self._meta.inference:
        meta_of(t).inference = True
    return t


@method
def detach_(self: Tensor) -> Tensor:
    """Take this tensor out of the graph: it becomes a leaf that needs no gradient. RuntimeError for views."""
    check_not_captured(self, "detach_")
    if self._meta is not None and self._meta.base is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be called on these gradients. "
            "To fix this error, please refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
        )
    if self._edge is not None and self._edge.__class__ is not AccumulateGrad:
        detached(self._s)
    self._edge, self._nr = None, 0
    return self


def _is_lane(t: Tensor) -> bool:
    return t._s.__class__ is Storage and t._s.value.array.__class__ is Lanes


def _set_data(self: Tensor, new: Tensor) -> None:
    if state.lanes and _is_lane(self):
        raise RuntimeError("mutating directly with `.data` under vmap transform is not allowed.")
    if not isinstance(new, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
    a, b = aval_of(self), aval_of(new)
    if self._edge is not None and b.dtype.category < 2:
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    if a.device.type != b.device.type and "meta" in (a.device.type, b.device.type) or a.layout is not b.layout:
        raise RuntimeError("Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have incompatible tensor type.")
    own, old = version_of(self._s), origin_of(self._s)
    s = origin_of(new._s)
    if s is old:  # the same memory again
        self._view = copied(new._view, self._s)
        return
    if self._edge.__class__ is AccumulateGrad:
        uncounted(old)  # who saved this leaf saved the tensor, whatever data it has: see OpNode._look_again
    if is_followed_by_jax(self) and a.shape == b.shape and b.dtype.category >= 2:  # the derivative is of the tensor, whatever data it has
        new = new_tensor(with_history(old, read(self), read(new)))
        s = new._s
    if new._s is s:  # the memory becomes that of ``self``; where ``new`` lives on, it counts apart from now on
        count = version_of(s)
        self._s, self._view = s, new._view
        own_version(s, own)
        new._s = Alias.of(s, count)
        new._view = copied(new._view, new._s)
    else:
        self._s = Alias.of(s, own)
        self._view = copied(new._view, self._s)


def _get_data(self: Tensor) -> Tensor:
    """The same memory outside of the graph, with a version counter of its own."""
    if state.lanes and _is_lane(self):
        raise RuntimeError("accessing `data` under vmap transform is not allowed")
    t: Tensor = detach(self)
    if aval_of(self).__class__ is not SparseAval and t._s.__class__ is not Stopped:
        t._s = Alias.of(self._s)
        t._view = copied(self._view, t._s)
    return t


def _del_data(self: Tensor) -> None:
    raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")


Tensor.data = property(_get_data, _set_data, _del_data)  # type: ignore[method-assign,assignment]


_SET_FORMS = (
    "()", "(torch.Storage source)", "(torch.Storage source, int storage_offset, tuple of ints size, tuple of ints stride = None)", "(Tensor source)",
    "(Tensor source, int storage_offset, tuple of ints size, tuple of ints stride = None)",
)  # fmt: skip


def set_(self: Tensor, source: Any = REQUIRED, storage_offset: Any = REQUIRED, size: Any = None, stride: Any = None) -> Tensor:
    """Make this tensor use the memory of ``source`` (a tensor or a storage; nothing: none), from an offset on, by sizes and strides; it counts as a write."""
    a = aval_of(self)
    given = [x for x in (source, storage_offset) if x is not REQUIRED] + [x for x in (size, stride) if x is not None]
    if len(given) > 1 and (not isinstance(size, (tuple, list)) or not isinstance(storage_offset, int)):
        no_overload("set_", given, *_SET_FORMS)
    storage_offset = 0 if storage_offset is REQUIRED else storage_offset
    if source is REQUIRED:
        s = new_tensor(value_of(np.zeros(0, a.dtype.np), a.device, a.dtype))._s
    elif isinstance(source, Tensor):
        b = aval_of(source)
        if b.__class__ is SparseAval:
            raise NotImplementedError("Could not run 'aten::set_.source_Tensor' with arguments from the 'SparseCPU' backend.")
        if b.dtype is not a.dtype:
            raise RuntimeError(f"Could not set tensor of type {_dtypes.C_NAMES[b.dtype.name]} to a tensor of type {_dtypes.C_NAMES[a.dtype.name]}")
        s = source._s
    elif isinstance(source, TypedStorage):
        s = source._untyped_storage._s
        if source.dtype is not a.dtype:
            raise RuntimeError(f"Expected a Storage of type {_dtypes.C_NAMES[a.dtype.name]} or an UntypedStorage, but got type {source.dtype.legacy} for argument 1 'storage'")
    elif isinstance(source, UntypedStorage):
        s = source._s
    else:
        no_overload("set_", given, *_SET_FORMS)
    if (there := aval_of(alias_of(s, None)).device) is not a.device:
        raise RuntimeError(f'Attempted to set the storage of a tensor on device "{a.device}" to a storage on different device "{there}".  This is no longer allowed; the devices must match.')
    if storage_offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
    if state.mode & GRAD and self._edge.__class__ is AccumulateGrad:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    if isinstance(source, Tensor) and size is None:
        other = source
    else:
        other = tensor_on(origin_of(s), a.dtype, storage_offset, (0,) if source is REQUIRED else size, stride)
    count = version_of(self._s) + 1
    self._s.version += 1  # for whoever saved it
    self._s = Alias.of(other._s, count)
    self._view = copied(other._view, self._s)
    return self


Tensor.set_ = set_  # type: ignore[method-assign]
