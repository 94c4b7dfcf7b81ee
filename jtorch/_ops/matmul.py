"""Products of matrices and vectors. Operands are contracted where they lie: no transposed copies are made."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import broadcast_shape, dim_of, is_float, num
from ._linalg_lib import (
    ShapedName,
    Shapes,
    contract,
    cpp_name,
    expand_to,
    no_bool,
    plus_product,
    same_type,
    scalar_name,
    scaled,
    times,
)
from ._pointwise import is_half


def _by_matmul(shapes: Shapes) -> str:
    a, b = len(shapes[0]), len(shapes[1])
    if a == 1 and b <= 2:
        return "DotBackward0" if b == 1 else "SqueezeBackward4"
    if a == 2 and b <= 2:
        return "MvBackward0" if b == 1 else "MmBackward0"
    return "UnsafeViewBackward0"


def _check_mm(a: Any, b: Any, rows: int | None = None) -> None:
    """``a`` (..., n) by the matrix ``b`` (n, m)."""
    if a.shape[-1] != b.shape[0]:
        rows = rows if rows is not None else _rows(a)
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1]} and {b.shape[0]}x{b.shape[1]})")
    _check_types(a, b)


def _numbers_first(name: str, a: str, b: str) -> tuple[str, str]:
    """torch's deprecated overloads of a product that is added to something."""
    return f"{name}(Scalar beta, Tensor input, Scalar alpha, Tensor {a}, Tensor {b})", f"{name}(Scalar beta, Tensor input, Tensor {a}, Tensor {b}, *, Scalar alpha=1)"


def _rows(a: Any) -> int:
    rows = 1
    for n in a.shape[:-1]:
        rows *= n
    return rows


_OF_ADDMM = "mat1 and mat2 must have the same dtype, but got {a} and {b}"


def _check_types(a: Any, b: Any) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {cpp_name(a)} != {cpp_name(b)}")
    no_bool(a, "addmm_impl_cpu_")


def _check_bmm(a: Any, b: Any, kernel: str = "bmm") -> None:
    want, got = [a.shape[0], a.shape[2]], [b.shape[0], b.shape[1]]
    if want != got:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: {want} but got: {got}.")
    same_type(a, b, "expected scalar type {a} but found {b}")
    no_bool(a, kernel)


def _check_dot(a: Any, b: Any) -> None:
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    same_type(a, b, "dot : expected both vectors to have same dtype, but found {a} and {b}")
    if a.shape != b.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to have the same number of elements, "
            f"but got {a.shape[0]} and {b.shape[0]} elements respectively"
        )
    no_bool(a, "dot")


def _check_mv(mat: Any, vec: Any, size: int | None = None, dims: int = 1) -> None:
    if mat.ndim != 2 or vec.ndim != 1 or dims > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {dims}, {mat.ndim}, {vec.ndim}")
    size = mat.shape[0] if size is None else size
    if mat.shape[1] != vec.shape[0] or size not in (mat.shape[0], 1):
        raise RuntimeError(f"size mismatch, got input ({size}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]})")


@op("mm(Tensor input, Tensor mat2)", aliases="torch.dsmm torch.spmm")
def mm(input: Any, mat2: Any) -> Any:
    """(n, m) by (m, p) gives (n, p). Both of one type; RuntimeError where shapes do not fit."""
    if input.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if mat2.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    _check_mm(input, mat2)
    return contract(input, mat2, ((1,), (0,)))


@op("bmm(Tensor input, Tensor mat2)")
def bmm(input: Any, mat2: Any) -> Any:
    """(b, n, m) by (b, m, p) gives (b, n, p)."""
    if input.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if mat2.ndim != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    _check_bmm(input, mat2)
    return contract(input, mat2, ((2,), (1,)), ((0,), (0,)))


@op("mm(Tensor input, Tensor mat2, dtype out_dtype)", aliases="torch.dsmm torch.spmm", grad_name="MmBackward1")
def mm_as(input: Any, mat2: Any, out_dtype: Any) -> Any:
    """As ``mm``, the sums kept in ``out_dtype`` (float32 of half operands) instead of being rounded to the operands' type."""
    if input.ndim != 2 or mat2.ndim != 2:
        raise RuntimeError("self must be a matrix" if input.ndim != 2 else "mat2 must be a matrix")
    _check_mm(input, mat2)
    _check_wider(input, out_dtype)
    return contract(input.astype(out_dtype.np), mat2.astype(out_dtype.np), ((1,), (0,)))


@op("bmm(Tensor input, Tensor mat2, dtype out_dtype)", grad_name="BmmBackward1")
def bmm_as(input: Any, mat2: Any, out_dtype: Any) -> Any:
    """As ``bmm``, the sums kept in ``out_dtype``."""
    if input.ndim != 3 or mat2.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if input.ndim != 3 else "batch2 must be a 3D tensor")
    _check_bmm(input, mat2)
    _check_wider(input, out_dtype)
    return contract(input.astype(out_dtype.np), mat2.astype(out_dtype.np), ((2,), (1,)), ((0,), (0,)))


def _check_wider(x: Any, out_dtype: Any) -> None:
    if out_dtype.np != x.dtype and not (out_dtype.np == np.float32 and is_float(x) and x.dtype.itemsize == 2):
        raise RuntimeError("out_dtype must be the same as input dtype or fp32 for fp16/bf16 inputs")


@op("dot(Tensor input, Tensor tensor)")
def dot(input: Any, tensor: Any) -> Any:
    """The sum of products of two vectors."""
    _check_dot(input, tensor)
    return contract(input, tensor, ((0,), (0,)))


@op("vdot(Tensor input, Tensor other)")
def vdot(input: Any, other: Any) -> Any:
    """The sum of products of two vectors, the first one conjugated."""
    _check_dot(input, other)
    return contract(jnp.conj(input) if jnp.iscomplexobj(input) else input, other, ((0,), (0,)))


@op("mv(Tensor input, Tensor vec)")
def mv(input: Any, vec: Any) -> Any:
    """(n, m) by (m) gives (n)."""
    _check_mv(input, vec)
    if input.dtype != vec.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {scalar_name(vec)}, {scalar_name(input)}, and {scalar_name(vec)}"
        )
    no_bool(input, "addmv_impl_cpu")
    return contract(input, vec, ((1,), (0,)))


@op("matmul(Tensor input, Tensor other)", aliases="linalg.matmul", grad_name=ShapedName("MmBackward0", _by_matmul))
def matmul(input: Any, other: Any) -> Any:
    """The matrix product over the last two dims, the others broadcast; a vector counts as a row on the left and a column on the right."""
    a, b = input, other
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    if a.ndim == 1 and b.ndim == 1:
        return dot.fn(a, b)
    if b.ndim == 1:
        return _by_vector(a, b)
    if b.ndim == 2:
        _check_mm(a, b)
        return contract(a, b, ((a.ndim - 1,), (0,)))
    if a.ndim <= 2:
        return _into_batch(a, b)
    batch = broadcast_shape(a.shape[:-2], b.shape[:-2])
    _check_bmm(_flat_batch(a, batch), _flat_batch(b, batch))
    if a.shape[:-2] != b.shape[:-2]:
        return jnp.matmul(a, b)
    lead = tuple(range(a.ndim - 2))
    return contract(a, b, ((a.ndim - 1,), (a.ndim - 2,)), (lead, lead))


class _flat_batch:  # noqa: N801 - stands for an array in a check
    """The shape and type that an operand has once its batch dims are one."""

    def __init__(self, x: Any, batch: tuple[int, ...]) -> None:
        n = 1
        for size in batch:
            n *= size
        self.shape, self.dtype = (n, *x.shape[-2:]), x.dtype


def _by_vector(a: Any, v: Any) -> Any:
    rows, n = _rows(a), a.shape[-1]
    if n != v.shape[0]:
        raise RuntimeError(f"size mismatch, got input ({rows}), mat ({rows}x{n}), vec ({v.shape[0]})")
    if a.dtype != v.dtype:
        raise RuntimeError(f"addmv input tensors must have the same dtype, but got {scalar_name(v)}, {scalar_name(a)}, and {scalar_name(v)}")
    no_bool(a, "addmv_impl_cpu")
    return contract(a, v, ((a.ndim - 1,), (0,)))


def _into_batch(a: Any, b: Any) -> Any:
    """A vector or one matrix by a batch of matrices."""
    if a.shape[-1] != b.shape[-2]:
        batch = 1
        for size in b.shape[:-2]:
            batch *= size
        got = [batch, b.shape[-2]]
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: {[batch, a.shape[-1]]} but got: {got}.")
    _check_types(a, b)
    if a.ndim == 1:
        return contract(b, a, ((b.ndim - 2,), (0,)))
    return jnp.moveaxis(contract(a, b, ((1,), (b.ndim - 2,))), 0, -2)


@op("inner(Tensor input, Tensor other)", grad_name=ShapedName("ViewBackward0", lambda s: "ViewBackward0" if s[0] and s[1] else "MulBackward0"))
def inner(input: Any, other: Any) -> Any:
    """Products summed over the last dim of both; a 0-dim operand just multiplies."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and {list(other.shape)}"
        )
    if input.dtype != other.dtype:
        raise RuntimeError("both inputs should have same dtype")
    no_bool(input, "dot" if input.ndim == other.ndim == 1 else "addmm_impl_cpu_")
    return contract(input, other, ((input.ndim - 1,), (other.ndim - 1,)))


@op("outer(Tensor input, Tensor vec2)", aliases="ger", promote="default", elementwise=False, grad_name="MulBackward0")
def outer(input: Any, vec2: Any) -> Any:
    """(n) and (m) give (n, m): every product. Types are promoted."""
    for x, name in ((input, "self"), (vec2, "vec2")):
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.ndim}-D")
    return input[:, None] & vec2[None] if input.dtype == bool else input[:, None] * vec2[None]


@op("addmm(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1)", numbers_first=_numbers_first("addmm", "mat1", "mat2"), inplace=True)
def addmm(input: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``; ``input`` is expanded to the product's shape."""
    for x, name in ((mat1, "mat1"), (mat2, "mat2")):
        if x.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {x.ndim}-D tensor")
    same_type(input, mat2, "self and mat2 must have the same dtype, but got {a} and {b}")
    input = expand_to(input, (mat1.shape[0], mat2.shape[1]))
    if mat1.shape[1] == mat2.shape[0]:
        same_type(mat1, mat2, _OF_ADDMM)
    _check_mm(mat1, mat2)
    return plus_product(input, mat1, mat2, ((1,), (0,)), beta=beta, alpha=alpha)


@op("addmv(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1)", numbers_first=_numbers_first("addmv", "mat", "vec"), inplace=True)
def addmv(input: Any, mat: Any, vec: Any, beta: Any, alpha: Any) -> Any:
    """``beta * input + alpha * (mat @ vec)``."""
    _check_mv(mat, vec, input.shape[0] if input.ndim else 1, max(input.ndim, 1))
    if not input.dtype == mat.dtype == vec.dtype:
        names = f"{scalar_name(input)}, {scalar_name(mat)}, and {scalar_name(vec)}"
        raise RuntimeError(f"addmv input tensors must have the same dtype, but got {names}")
    no_bool(mat, "addmv_impl_cpu")
    # unlike in products of matrices, half types round alpha, beta and what beta scales first
    kept = scaled(expand_to(input, (mat.shape[0],)), _rounded(beta, mat))
    return plus_product(kept, mat, vec, ((1,), (0,)), alpha=_rounded(alpha, mat))


def _rounded(factor: Any, like: Any) -> Any:
    """A factor as a half type holds it; other types leave it."""
    return num(factor, like) if is_half(like) and not (isinstance(factor, int) and factor in (0, 1)) else factor


@op("addbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1)", numbers_first=_numbers_first("addbmm", "batch1", "batch2"), inplace=True)
def addbmm(input: Any, batch1: Any, batch2: Any, beta: Any, alpha: Any) -> Any:
    """``beta * input + alpha * sum_b(batch1[b] @ batch2[b])``: one product that contracts the batch as well."""
    for x in (batch1, batch2):
        if x.ndim < 3:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but got 2)")
    (n, r, k), (n2, k2, c) = batch1.shape, batch2.shape
    input = expand_to(input, (r, c))
    if n != n2:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {n} and {n2}")
    if k != k2:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({r}x{k} and {k2}x{c})")
    same_type(input, batch2, "self and mat2 must have the same dtype, but got {a} and {b}")
    same_type(batch1, batch2, "mat1 and mat2 must have the same dtype, but got {a} and {b}")
    no_bool(batch1, "addmm_impl_cpu_")
    return plus_product(input, batch1, batch2, ((0, 2), (0, 1)), beta=beta, alpha=alpha)


@op("baddbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1)", numbers_first=_numbers_first("baddbmm", "batch1", "batch2"), inplace=True)
def baddbmm(input: Any, batch1: Any, batch2: Any, beta: Any, alpha: Any) -> Any:
    """``beta * input + alpha * (batch1 @ batch2)`` over a batch of matrices."""
    for x, name in ((batch1, "batch1"), (batch2, "batch2")):
        if x.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    if input.dtype == batch2.dtype != batch1.dtype or batch1.dtype == batch2.dtype != input.dtype:
        names = ", ".join(f"{name}: {cpp_name(x)}" for name, x in (("batch1", batch1), ("batch2", batch2)))
        raise RuntimeError(f"Input dtypes must be the same, got: input {cpp_name(input)}, {names}")
    _check_bmm(batch1, batch2, "baddbmm")
    input = expand_to(input, (batch1.shape[0], batch1.shape[1], batch2.shape[2]))
    return plus_product(input, batch1, batch2, ((2,), (1,)), ((0,), (0,)), beta, alpha)


@op("addr(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1)", numbers_first=_numbers_first("addr", "vec1", "vec2"), inplace=True, promote="default", elementwise=False)
def addr(input: Any, vec1: Any, vec2: Any, beta: Any, alpha: Any) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``. Types are promoted."""
    for x, name in ((vec1, "vec1"), (vec2, "vec2")):
        if x.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {x.ndim}-D")
    for name, s in (("beta", beta), ("alpha", alpha)):
        if isinstance(s, (float, complex)) or (hasattr(s, "dtype") and s.dtype.kind in "fc"):
            if not is_float(input) and not jnp.iscomplexobj(input):
                raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")
    input = expand_to(input, (vec1.shape[0], vec2.shape[0]))
    if input.dtype == bool:
        on, kept = num(alpha, input), num(beta, input)
        return (input & kept) | (vec1[:, None] & vec2[None] & on)
    return scaled(input, _rounded(beta, input)) + times(vec1, _rounded(alpha, vec1))[:, None] * vec2[None]  # half types round at each step


def _by_linear(shapes: Shapes) -> str:
    x, w, bias = len(shapes[0]), len(shapes[1]), len(shapes) > 2
    if bias:
        return "AddmmBackward0" if x == 2 else "ViewBackward0"
    return _by_matmul(((1,) * x, (1,) * w))


def _linear_chain(edges: Any, shapes: Shapes, step: Any) -> Any:
    """torch's linear is ``addmm(bias, input, weight.t())``, on a view with two dims where the input has more; without a bias ``input @ weight.t()``."""
    if len(shapes[1]) != 2:
        return edges
    x, weight, *bias = edges
    wide = len(shapes[0]) != 2
    x = step("ViewBackward0", (x,)) if wide and x[0] is not None else x
    weight = step("TBackward0", (weight,)) if weight[0] is not None else weight
    inner = (*bias, x, weight)
    return (step(("AddmmBackward0" if bias else "MmBackward0"), inner),) if wide else inner


@op("linear(Tensor input, Tensor weight, Tensor? bias=None)", where="nn.functional", grad_name=ShapedName("AddmmBackward0", _by_linear, _linear_chain))
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias`` over the last dim: (..., n) with weight (m, n) gives (..., m). The weight is contracted untransposed."""
    if input.ndim == 0 or weight.ndim == 0:
        raise RuntimeError(f"both arguments to linear need to be at least 1D, but they are {input.ndim}D and {weight.ndim}D")
    if weight.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {weight.ndim}D")
    if weight.ndim == 1:
        if bias is not None:
            raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
        return _by_vector(input, weight) if input.ndim > 1 else dot.fn(input, weight)
    rows = _rows(input)
    if bias is not None:
        same_type(bias, weight, "self and mat2 must have the same dtype, but got {a} and {b}")
        if bias.ndim <= 1 and bias.shape not in ((), (1,), (weight.shape[0],)):
            expand_to(bias, (rows, weight.shape[0]))  # raises
    if input.shape[-1] != weight.shape[1]:
        shapes = f"{rows}x{input.shape[-1]} and {weight.shape[1]}x{weight.shape[0]}"
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({shapes})")
    if bias is not None:
        same_type(input, weight, _OF_ADDMM)
    _check_types(input, weight)
    axes, shape = ((input.ndim - 1,), (1,)), input.shape[:-1] + weight.shape[:1]
    if bias is None:
        return contract(input, weight, axes)
    if bias.ndim == 2 and len(shape) != 2 and bias.shape[0] == rows and rows > 1:
        bias = bias.reshape(shape[:-1] + bias.shape[1:])
    return plus_product(expand_to(bias, shape), input, weight, axes)


@op("bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None)", where="torch nn.functional", out=False,
    grad_name=ShapedName("ViewBackward0", lambda s: "ViewBackward0" if len(s) == 3 else "AddBackward0"))  # fmt: skip
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``input1 @ weight[k] @ input2`` for each output k: (..., n), (..., m), weight (o, n, m) give (..., o)."""
    if input1.ndim != input2.ndim:
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}")
    for i in range(input1.ndim - 1):
        if input1.shape[i] != input2.shape[i]:
            sizes = f"{input1.shape[i]} and {input2.shape[i]}"
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {i}: got {sizes}")
    for name, x, at in (("input1", input1, 1), ("input2", input2, 2)):
        if x.shape[-1] != weight.shape[dim_of(at, weight.ndim)]:
            raise RuntimeError(f"bilinear(): {name} size does not match weight size: got {x.shape[-1]} but expected {weight.shape[at]}")
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}")
    given = {"input1": input1, "input2": input2, "weight": weight} | ({} if bias is None else {"bias": bias})
    if len({x.dtype for x in given.values()}) > 1:
        names = ", ".join(f"{name}: {cpp_name(x)}" for name, x in given.items())
        raise RuntimeError(f"All tensors must have the same dtype, got {names}")
    no_bool(input1, "bmm")
    left = contract(input1, weight, ((input1.ndim - 1,), (1,)))  # (..., o, m)
    batch = tuple(range(input1.ndim - 1))
    out = contract(left, input2, ((left.ndim - 1,), (input2.ndim - 1,)), (batch, batch))
    return out if bias is None else out + bias


@op("kron(Tensor input, Tensor other)", promote="default", elementwise=False, grad_name="UnsafeViewBackward0", unsaved="input other")
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product over all dims, the shorter shape filled with ones in front. Types are promoted."""
    n = max(input.ndim, other.ndim)
    a = input.reshape((1,) * (n - input.ndim) + input.shape)
    b = other.reshape((1,) * (n - other.ndim) + other.shape)
    shape = tuple(p * q for p, q in zip(a.shape, b.shape, strict=True))
    a = a.reshape(tuple(s for d in a.shape for s in (d, 1)))
    b = b.reshape(tuple(s for d in b.shape for s in (1, d)))
    return (a & b if a.dtype == bool else a * b).reshape(shape)


@op("trace(Tensor input)", out=False)
def trace(input: Any) -> Any:
    """The sum of a matrix' diagonal; integers in int64."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    no_bool(input, "trace")
    wide = input.astype("int64") if input.dtype.kind in "iu" else input
    return jnp.trace(wide, dtype=wide.dtype)
