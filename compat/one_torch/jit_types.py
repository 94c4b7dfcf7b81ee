"""TorchScript's types, signatures and what torch shows of its library at its root."""

import torch

for name in "Any Bool Float Int Complex Number String None Tensor DeviceObj StreamObj PyObject SymInt SymBool".split():
    kind = getattr(torch, f"{name}Type")
    one = kind.get()
    print(name, str(one), repr(one), one.annotation_str, one.kind(), one is kind.get(), isinstance(one, torch.Type))
i, s = torch.IntType.get(), torch.StringType.get()
for one in (
    torch.ListType(i), torch.DictType(s, i), torch.OptionalType(i), torch.TupleType([i, torch.FloatType.get()]), torch.FutureType(i), torch.UnionType([i, s]),
    torch.RRefType(i), torch.ListType(torch.TensorType.get()), torch.ListType.ofInts(), torch.OptionalType.ofTensor(),
):  # fmt: skip
    print(str(one), repr(one), one.annotation_str, one.kind(), one == i, one.containedTypes())
none, number = torch.NoneType.get(), torch.NumberType.get()
print(torch.ListType(i) == torch.ListType(i), torch.ListType(i) == torch.ListType(s), torch.DictType(s, i).getKeyType(), torch.ListType(i).getElementType())
for a, b in (
    (i, number),
    (i, torch.AnyType.get()),
    (i, torch.OptionalType(i)),
    (none, torch.OptionalType(i)),
    (i, torch.FloatType.get()),
    (i, torch.UnionType([i, s])),
    (number, i),
):
    print(a, b, a.isSubtypeOf(b))
found = torch._C.parse_schema("foo(Tensor x, int[2] y=1, *, float? z=None) -> (Tensor a, int)")
print(found, found.name, [(a.name, str(a.type), a.N, a.default_value, a.kwarg_only) for a in found.arguments], isinstance(found, torch.FunctionSchema))
for name in ("TensorType", "Graph", "Value", "FunctionSchema", "DispatchKey", "SUM", "ScriptObject", "LoggerBase", "Module", "vmap", "nn"):
    print(name, hasattr(torch, name), name in torch.__all__)


class Plain(torch.Tensor):
    __torch_function__ = torch._C._disabled_torch_function_impl


class Kept(torch.nn.Parameter):
    pass


class Seen(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        print(func.__name__, sorted(t.__name__ for t in types))
        return super().__torch_function__(func, types, args, kwargs)


plain, kept, seen = torch.ones(2, 2).as_subclass(Plain), Kept(torch.ones(2, 2)), torch.ones(2, 2).as_subclass(Seen)
for made in (plain + 1, kept * 2, plain.view(4), kept[0], torch.cat([plain, kept]), torch.nn.functional.linear(plain, kept)):
    print(type(made).__name__)
print(type(torch.nn.functional.linear(seen, kept)).__name__, type(torch.nn.Parameter.__torch_function__(torch.add, (Seen,), (seen, 1))).__name__)


class Pair(tuple):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__, [t.__name__ for t in types], [type(a).__name__ for a in args]


print(torch.nn.functional.linear(torch.ones(1, 2), Pair((1, 2)), None), torch.add(Pair((1,)), 1))


class Asked:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__, [type(a).__name__ if isinstance(a, Asked) else a for a in args]


a = Asked()
print(torch.einsum("i,i->", a, a), torch.einsum("i,i->", (a, a)), torch.einsum("i,i->", [a, a]))
