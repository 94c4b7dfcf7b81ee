"""``__torch_function__`` and its modes hear of torch's own functions: the methods behind the language's operators, properties, indexing."""

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

PROGRAM = """
import copy
class P(torch.nn.Parameter): pass
p=P(torch.ones(2))
print(type(p+1), type(p.data), type(p.T), type(p.float()), type(p.clone()), type(p*p))
class Q(torch.Tensor): pass
q=torch.ones(2,2).as_subclass(Q)
print(type(q+1), type(q.data), type(q.T), type(q.float()), type(q[0]), type(q.sum()), type(q.max(0)), q.shape, type(q.real), q.grad, q.requires_grad)
q.requires_grad=True
(q*2).sum().backward()
print(type(q.grad), type(q.detach()), q.grad)
q.grad=None
del q.grad
print(q.grad)
log=[]
class M(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        log.append(torch.overrides.resolve_name(func) or getattr(func,"__name__",func)); return func(*args, **(kwargs or {}))
x=torch.ones(2,3)
plain=torch.Tensor.numel, torch.Tensor.shape.__get__
with M():
    x.shape; x.size(); x+1; x.sum().item(); x[0]; x.float(); x.numel(); torch.zeros(2); x.T; x.requires_grad; x.dim(); len(x); x.t(); x.view(-1); x.numpy(); x.add_(1); x.dtype
    print(torch.Tensor.numel is plain[0], torch.Tensor.shape.__get__==plain[1], isinstance(x, torch.Tensor), type(x))
    class In(torch.Tensor): pass
    y=x.as_subclass(In); y.numel()
print(log)
log.clear()
x.shape
x.numel()
print(log, torch.Tensor.numel is plain[0])
class H(torch.Tensor):
    HANDLED={}
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in cls.HANDLED: return cls.HANDLED[func](*args)
        return super().__torch_function__(func, types, args, kwargs or {})
H.HANDLED={torch.Tensor.add: lambda a,b: "add", torch.Tensor.shape.__get__: lambda a: "shape", torch.Tensor.size: lambda a: "size", torch.Tensor.__getitem__: lambda a,i: "item", torch.Tensor.item: lambda a: 7, torch.Tensor.data.__set__: lambda a,b: print("set", b), torch.Tensor.__len__: lambda a: 9}
h=torch.ones(2).as_subclass(H)
print(h+1, 1+h, torch.ones(2)+h, h.shape, h.size(), h[0], h.item(), len(h))
h.data=torch.zeros(2)
class W:
    def __init__(s,t): s.t=t
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        args=[a.t if isinstance(a,W) else a for a in args]; print(func.__name__, [t.__name__ for t in types]); return W(func(*args, **(kwargs or {})))
w=W(torch.ones(2))
print((torch.ones(2)+w).t, torch.add(w,1).t, torch.ones(2).add(w).t, (torch.ones(2)*w).t, (torch.ones(2)@w).t)
a=torch.ones(2)
a+=w
print(type(a))
class N:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return NotImplemented
try: torch.ones(2)+N()
except TypeError as e: print(e)
try: torch.add(torch.ones(2),N())
except TypeError as e: print(e)
try: torch.ones(2).add(N())
except TypeError as e: print(e)
print(torch.overrides.resolve_name(torch.Tensor.add), torch.overrides.resolve_name(torch.Tensor.shape.__get__), torch.overrides.is_tensor_method_or_property(torch.Tensor.shape.__get__), torch.overrides.is_tensor_method_or_property(torch.add))
try: copy.deepcopy(h)
except RuntimeError as e: print(e)
class Meta(torch.Tensor):
    @staticmethod
    def __new__(cls, d, tag): return torch.Tensor._make_subclass(cls, d)
    def __init__(self,d,tag): self.tag=tag
    def __repr__(self): return f"Meta({self.tag})"
m=Meta(torch.ones(2),"a")
print(m, type(m+1), hasattr(m+1,"tag"))
with torch._C.DisableTorchFunctionSubclass(): print(type(m+1))
"""
EXPRESSIONS = (
    "x+1",
    "1+x",
    "x-1",
    "1-x",
    "x*2",
    "2*x",
    "x/2",
    "2/x",
    "x//2",
    "2//x",
    "x%2",
    "2%x",
    "x**2",
    "2**x",
    "-x",
    "abs(x)",
    "~(x>0)",
    "x@p.T",
    "p@x.T",
    "x&x",
    "x==1",
    "x!=1",
    "x<1",
    "x<=1",
    "x>1",
    "x>=1",
    "(x>0)|(x>0)",
    "(x>0)^(x>0)",
    "p+x",
    "p*x",
    "p-x",
    "x.shape",
    "x.size()",
    "x.size(0)",
    "x.dtype",
    "x.device",
    "x.ndim",
    "x.dim()",
    "x.T",
    "x.mT",
    "x.grad",
    "x.requires_grad",
    "x.is_leaf",
    "x.data",
    "x.layout",
    "x.is_cuda",
    "x.grad_fn",
    "x.numel()",
    "x.stride()",
    "x.is_contiguous()",
    "x._version",
    "x.real",
    "x.is_sparse",
    "x.itemsize",
    "x.nbytes",
    "x.output_nr",
    "x._base",
    "x.is_meta",
    "x.H",
    "x.mH",
    "x.retains_grad",
    "x.is_quantized",
    "x.is_nested",
    "x.is_mkldnn",
    "x.is_xpu",
    "x[0]",
    "x[0,0].item()",
    "x[:,1]",
    "x[x>0]",
    "x.__setitem__(0,1.)",
    "x[0]=2.",
    "x[...]",
    "x[None]",
    "len(x)",
    "bool(x[0,0])",
    "float(x[0,0])",
    "int(x[0,0])",
    "x.tolist()",
    "x.numpy()",
    "format(x[0,0])",
    "x.__array__()",
    "1 in x",
    "x.__index__",
    "x.sum()",
    "torch.sum(x)",
    "torch.add(x,1)",
    "x.add(1)",
    "x.add_(1)",
    "x+=1",
    "x*=2",
    "x-=1",
    "x/=2",
    "x%=5",
    "torch.cat([x,x])",
    "torch.stack([x])",
    "x.view(-1)",
    "x.reshape(6)",
    "x.t()",
    "x.permute(1,0)",
    "x.to(torch.float64)",
    "x.float()",
    "x.cpu()",
    "x.clone()",
    "x.detach()",
    "x.contiguous()",
    "x.chunk(2)",
    "x.unbind()",
    "x.max()",
    "x.max(0)",
    "x.where(x>0,x)",
    "torch.where(x>0,x,x)",
    "x.type()",
    "x.type(torch.float64)",
    "x.new_zeros(2)",
    "torch.zeros_like(x)",
    "x.new_tensor([1])",
    "torch.relu(x)",
    "torch.nn.functional.linear(x,p)",
    "x.softmax(1)",
    "torch.nn.functional.gelu(x)",
    "torch.einsum('ij,ij->i',x,x)",
    "torch.matmul(x,p.T)",
    "x.register_hook",
    "x.backward",
    "x.retain_grad",
    "x.requires_grad_()",
    "x.is_floating_point()",
    "x.is_complex()",
    "torch.is_tensor(x)",
    "torch.numel(x)",
    "x.element_size()",
    "x.data_ptr()",
    "x.storage_offset()",
    "x.untyped_storage()",
    "x.storage()",
    "x.get_device()",
    "x.unsqueeze(0)",
    "x.squeeze()",
    "x.expand(2,3)",
    "x.repeat(1,1)",
    "x.flatten()",
    "x.masked_fill(x>0,1.)",
    "x.index_select(0,torch.tensor([0]))",
    "x.gather(0,torch.zeros(1,1,dtype=torch.long))",
    "torch.nn.functional.conv1d(x[None],torch.ones(1,2,1))",
    "x.equal(x)",
    "x.is_same_size(x)",
    "x.rsub(1)",
    "torch.rsub(x,1)",
    "x.true_divide(2)",
    "x.logical_not()",
    "torch.broadcast_tensors(x,p)",
    "torch.is_floating_point(x)",
    "x.requires_grad_(False)",
    "x.fill_(1)",
    "x.zero_()",
    "x.copy_(p)",
    "torch.nn.init.zeros_(x)",
    "x.ndimension()",
    "x.nelement()",
    "x.__len__()",
    "x.share_memory_()",
    "x.is_shared()",
    "x.pin_memory",
    "x.is_signed()",
    "torch.is_signed(x)",
    "torch.var_mean(x)",
    "torch.topk(x,1)",
    "x.sort()",
    "x.argmax()",
    "torch.argmax(x)",
    "x.cumsum(0)",
    "x.std()",
    "x.mean(0,keepdim=True)",
    "torch.mean(x,dim=0)",
    "x.sum(dim=0)",
    "x.grad=torch.ones(2,3)",
    "x.data=p",
    "x.requires_grad=True",
    "x.requires_grad=False",
    "x.__dict__",
    "x.__class__",
    "x.__deepcopy__({})",
    "import copy",
    "x.__rsub__(1)",
    "x.__radd__(1)",
    "x.__rmul__(1)",
    "x.__rpow__(2)",
    "x.__rdiv__(2)",
    "x.__rtruediv__(2)",
    "x.__rmatmul__(p.T)",
    "x.__matmul__(p.T)",
    "x.__add__(1)",
    "x.__and__",
    "x.__floordiv__(2)",
    "x.__rfloordiv__(2)",
    "x.__invert__",
    "x.__iadd__(1)",
    "x.__neg__()",
    "x.__pos__()",
    "+x",
    "x.__abs__()",
    "x.__eq__(1)",
    "x.__contains__(1)",
    "x.__reversed__()",
    "reversed(x)",
    "x.__bool__",
    "x.__array_wrap__",
    "x.is_neg()",
    "x.is_conj()",
    "x.conj()",
    "x.isnan()",
    "torch.isnan(x)",
    "x.nonzero()",
    "x.view_as(p)",
    "x.expand_as(p)",
    "x.type_as(p)",
    "x.reshape_as(p)",
    "x.sum_to_size(3)",
    "x.is_coalesced",
    "x.dim_order()",
    "x.long()",
    "x.int()",
    "x.half()",
    "x.bool()",
    "x.double()",
    "x.bfloat16()",
    "x.char()",
    "x.ravel()",
    "x.swapaxes(0,1)",
    "x.movedim(0,1)",
    "x.stft",
    "x.istft",
    "x.lu",
    "x.unflatten(0,(1,2))",
)
START = """
heard = []
class S(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        path = torch.overrides.resolve_name(func) or ""
        heard.append((func.__name__, path.startswith("torch.Tensor."), len(args), sorted(kwargs or {})))
        return super().__torch_function__(func, types, args, kwargs)
p = torch.ones(2, 3)
x = torch.ones(2, 3).as_subclass(S)
"""


def test_program() -> None:
    assert printed(jtorch, PROGRAM) == printed(torch, PROGRAM)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_heard(expression: str) -> None:
    program = START + "heard.clear()\n" + expression + "\nprint(heard)"
    assert printed(jtorch, program) == printed(torch, program)
