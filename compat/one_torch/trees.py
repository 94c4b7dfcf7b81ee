# ruff: noqa
"""torch.utils._pytree."""

import collections
import dataclasses
import typing
import warnings

import torch
import torch.utils._pytree as p

warnings.simplefilter("ignore")
N=collections.namedtuple("N","x y")
trees=[1,None,[],(),{},{'b':[1,(2,None)],'a':3},(1,[2]),[N(1,[2,3]),4],collections.OrderedDict(z=1,a=(2,)),collections.defaultdict(list,{'q':[1]}),collections.deque([1,2],maxlen=3),[1,[2,[3,[4,5]],6],{'k':(7,8)}],"str",torch.max(torch.tensor([[1.,2]]),1)]
for t in trees[:-1]:
    l,s=p.tree_flatten(t); print(l,s,s.num_leaves,s.num_nodes,s.num_children,p.tree_unflatten(l,s)==t, s==p.tree_structure(t), hash(s)==hash(p.tree_structure(t)))
    print([(p.keystr(k),v,p.key_get(t,k)) for k,v in p.tree_leaves_with_path(t)])
    print(p.tree_map(lambda x:(x,),t), p.tree_map_with_path(lambda k,x:(p.keystr(k),x),t))
l,s=p.tree_flatten(trees[-1]); print(len(l), type(p.tree_unflatten(l,s)).__name__)
print(p.tree_map(lambda a,b:(a,b),{'a':1,'b':2},{'b':3,'a':4}), p.tree_map(lambda a,b:(a,b),[1,2],[(1,2),None]))
print(p.tree_map_only(int,lambda x:x+1,[1,2.,'a']), p.tree_all(lambda x:x>0,[1,2]), p.tree_any_only(int,lambda x:x>1,[1,2.]), p.tree_all_only((int,float),lambda x:x>0,[1,'a']))
print(p.tree_map_only(lambda x: x==1, lambda x:9,[1,2]))
for f in (lambda: p.tree_map(lambda a,b:0,[1],[1,2]), lambda:p.tree_map(lambda a,b:0,[1],(1,)), lambda:p.tree_unflatten([1],p.tree_structure([1,2])), lambda:p.tree_map(lambda a,b:0,{'a':1},{'b':1}), lambda:p.tree_unflatten([1],3), lambda: p.map_only(3)):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e)[:60])
class C:
    def __init__(self,a,b): self.a,self.b=a,b
p.register_pytree_node(C,lambda c:([c.a,c.b],None),lambda ch,_:C(*ch))
print(p.tree_leaves([C(1,[2]),3])); c=p.tree_map(lambda x:x*2,C(1,2)); print(c.a,c.b)
try: p.register_pytree_node(C,lambda c:([c.a,c.b],None),lambda ch,_:C(*ch))
except Exception as e: print(type(e).__name__,str(e)[-40:])
print(p.tree_flatten([1,(2,3)],is_leaf=lambda x:isinstance(x,tuple)), p.tree_is_leaf([]), p.tree_is_leaf(3), p.arg_tree_leaves(1,[2],k={'a':3}))
print(p.LeafSpec(), p.tree_structure(3).is_leaf(), p.TreeSpec(tuple,None,[p.LeafSpec()]))
@dataclasses.dataclass
class D:
    a:int; b:typing.Any=None
p.register_dataclass(D); print(p.tree_leaves(D(1,[2])), p.tree_map(lambda x:x+1,D(1)), [p.keystr(k) for k,_ in p.tree_leaves_with_path(D(1,2))])
