"""What ``histogram`` and ``histogramdd`` ask of edges, weights and ranges, in torch's order and words; and halves."""

from __future__ import annotations

import torch

import jtorch
from compat.core.test_snippets import printed

_CALLS = """
torch.histogram(o(dtype=i32),1)
torch.histogram(o(),o(dtype=d))
torch.histogram(o(3),o(2,dtype=d))
torch.histogram(o(3),o(2,2))
torch.histogram(o(3),o())
torch.histogram(o(3),o(0))
torch.histogram(o(0),o(0,dtype=d))
torch.histogram(o(3),torch.tensor([1.]))
torch.histogram(o(3),torch.tensor([1.]),density=True)
torch.histogram(o(3,dtype=i32),o(2,dtype=i32))
torch.histogram(o(3,dtype=h),2)
torch.histogram(o(3,dtype=h),o(2,dtype=h))
torch.histogram(o(),1,weight=o(dtype=d))
torch.histogram(o(3),1,weight=o(3,dtype=d))
torch.histogram(o(3),1,weight=o(2))
torch.histogram(o(2,2),1,weight=o(1))
torch.histogram(o(2,2),1,weight=o(4))
torch.histogram(o(2,2),1,weight=o(2,2))
torch.histogram(o(2,2),o(1,1),weight=o(2,2,dtype=d))
torch.histogram(o(2,2),torch.tensor([0.,1]),weight=o(2,dtype=d))
torch.histogram(o(2,2),torch.tensor([0.,1]),weight=o(2))
torch.histogram(o(2,2),0)
torch.histogram(o(2,2),1,range=(1,0))
torch.histogram(o(2,2),1,range=(1,))
torch.histogram(o(2,2),1,range=(1,2,3))
torch.histogram(o(),1,out=(o(dtype=d),o()))
torch.histogram(o(),torch.tensor([0.,1]),out=(o(dtype=d),o(dtype=d)))
torch.histogram(o(),torch.tensor([0.,1]),out=(o(0),o(0)))
torch.histogramdd(o(3),[2])
torch.histogramdd(o(3,2),[2])
torch.histogramdd(o(3,2),[2,0])
torch.histogramdd(o(3,2),[o(2)])
torch.histogramdd(o(3,2),[o(2),o(2,dtype=d)])
torch.histogramdd(o(3,2),[o(2,2),o(2,dtype=d)])
torch.histogramdd(o(3,2),[o(2),o(2,2)])
torch.histogramdd(o(3,2),[o(2),o(0)])
torch.histogramdd(o(3,2),[o(2),torch.tensor([0.,1,2])],weight=o(3,dtype=d))
torch.histogramdd(o(3,2),[o(2),torch.tensor([0.,1,2])],weight=o(2))
torch.histogramdd(o(3,2),[o(2),torch.tensor([0.,1,2])],weight=o(3,2))
torch.histogramdd(o(3,2),[2,2],weight=o(3,2))
torch.histogramdd(o(3,2),[2,2],weight=o(3,dtype=d))
torch.histogramdd(o(3,2,dtype=i32),[2,2])
torch.histogramdd(o(3,2,dtype=i32),[o(2,dtype=i32),o(2,dtype=i32)])
torch.histogramdd(o(3,2),[2,2],range=[0.,1])
torch.histogramdd(o(3,2),[2,2],range=[0.,1,1,0])
torch.histogramdd(o(3,2),[2,2],range=[0.,1,1,0,2])
torch.histogramdd(o(3,2),[2,-2],range=[0.,1,1,0,2])
torch.histogramdd(o(3,2),[2,-2],weight=o(2))
torch.histogramdd(o(3,2),2,range=[0.,1,float('inf'),0])
torch.histogramdd(o(3,2),[o(1),o(1)])
torch.histogramdd(o(3),[o(2)])
torch.histogramdd(o(3),2)
torch.histogramdd(o(3,2),[2,-2],range=[0.,1,1,0])
torch.histogramdd(o(3,2),[2,0],range=[0.,1,1,0])
torch.histogramdd(o(3,2),[0,2],range=[0.,1,1,0])
torch.histogramdd(o(3,2),[0,-3],range=[0.,1,0,1])
torch.histogramdd(o(3,2),[0,2],weight=o(2))
torch.histogramdd(o(3,2),[o(1),o(2)],weight=o(2))
torch.histogramdd(o(3,2,dtype=i32),[o(1),o(2)])
torch.histogramdd(o(3,2,dtype=i32),[0,1])
torch.histogramdd(o(3,2,dtype=i32),[1,1],range=[1,1])
torch.histogramdd(o(3,2,dtype=i32),[1,1],range=[1,2,1,2])
torch.histogramdd(o(3,2,dtype=h),[1,1],range=[1,2,1,2])
torch.histogramdd(o(3,2,dtype=h),[1,1],range=[1,2,1,2],weight=o(3))
torch.histogramdd(o(3,2,dtype=torch.complex64),[o(2,dtype=torch.complex64)]*2)
torch.histogramdd(o(3,2,dtype=torch.bool),[o(2,dtype=torch.bool)]*2)
torch.histogramdd(o(3,2,dtype=torch.bfloat16),[o(2,dtype=torch.bfloat16)]*2)
torch.histogramdd(o(3,2,dtype=h),[torch.arange(4,dtype=h)]*2,density=True)
torch.histogram(o(3,2,dtype=h),torch.arange(4,dtype=h),density=True)
torch.histogram(o(), torch.tensor([0., 1]), out=(o(1), o(2, dtype=d)))
"""
_PROGRAM = f"""
d, i32, h = torch.float64, torch.int32, torch.float16
def o(*shape, dtype=torch.float32): return torch.ones(shape, dtype=dtype)
for call in {_CALLS.strip().splitlines()!r}:
    try: print(call, eval(call))
    except Exception as e: print(call, type(e).__name__, e)
"""


def test_histograms_check_as_torch_does() -> None:
    assert printed(jtorch, _PROGRAM) == printed(torch, _PROGRAM)
