"""Types that few programs try: small integers, bool, halves and complex numbers through operators that torch makes for floats. Values, types and words are torch's."""

from __future__ import annotations

import pytest
import torch

from compat import bridge
from compat.programs_of_text import run

# Small integers wrap around in differences; bounds must fit the type; kernels that leave a type out say so.
_PROGRAM = """
F = torch.nn.functional
a, b, c = (torch.tensor(rows).to(torch.{kind}) for rows in ([[5, 1, 100], [3, 3, 3]], [[5, 6, 0], [1, 2, 120]], [[0, 0, 1], [100, 2, 3]]))
for f in (
    {calls},
):
    torch.manual_seed(0)
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).splitlines()[0])
"""
_CALLS = """
lambda: a.clone().clamp_(-1,300), lambda: a.clamp(min=300), lambda: a.clamp(max=-300), lambda: a.clamp(max=-1), lambda: a.clamp(1.5,2.5),
    lambda: a.clone().clamp_(min=1.5), lambda: a.clone().clamp_(max=1.5), lambda: a.clone().clamp_min_(1.5), lambda: a.clone().clamp_max_(1.5),
    lambda: a.clone().clamp_(torch.tensor(1.5)), lambda: a.clone().clamp_(torch.tensor([1.5,1,1])), lambda: a.clamp_min(300), lambda: a.clamp_max(300),
    lambda: a.clamp_max(-300), lambda: torch.clip(a,-1,300), lambda: torch.clamp(a,torch.tensor(300)), lambda: torch.clamp(a,min=torch.tensor([1,2,300])),
    lambda: F.threshold(a,300,7), lambda: F.threshold(a,2,300), lambda: F.hardtanh(a,-1,300), lambda: F.hardtanh(a,0,300), lambda: a.clamp(-1e10,1e10),
    lambda: a.clamp(float('-inf'),float('inf')), lambda: a.clamp(0,float('nan')), lambda: torch.clamp(a,0,2**40), lambda: a.clone().clamp_(0,2**40),
    lambda: F.avg_pool1d(a,2), lambda: F.avg_pool2d(a[None],2), lambda: F.avg_pool3d(a[None,None],(1,2,2)), lambda: F.adaptive_avg_pool1d(a,2),
    lambda: F.adaptive_avg_pool2d(a[None],(1,1)), lambda: F.lp_pool1d(a[None],2,2), lambda: F.lp_pool2d(a[None],2,2), lambda: F.local_response_norm(a[None],2),
    lambda: F.pad(a[None],(1,1),mode='reflect'), lambda: F.pad(a[None],(1,1),mode='replicate'), lambda: F.pad(a[None],(1,1),mode='circular'),
    lambda: F.pad(a[None],(1,1,1,1),mode='reflect'), lambda: F.pad(a[None],(1,1,1,1),mode='replicate'), lambda: F.pad(a[None,None],(1,1,1,1,0,0),mode='replicate'),
    lambda: F.pad(a[None,None],(1,1,1,1,0,0),mode='reflect'), lambda: F.pad(a,(1,1)), lambda: torch.tensordot(a,b.t(),1),
    lambda: torch.baddbmm(a[None,:, :2],a[None],b.t()[None]), lambda: torch.linalg.multi_dot([a,b.t(),a]), lambda: torch.chain_matmul(a,b.t()),
    lambda: torch.linalg.matrix_power(a[:, :2],2), lambda: torch.bucketize(a,torch.tensor([1,4])), lambda: torch.bucketize(torch.tensor([1,4]),a[0]),
    lambda: torch.searchsorted(torch.tensor([1,4]),a), lambda: torch.searchsorted(a,a), lambda: torch.cdist(a,b), lambda: F.pdist(a), lambda: a.bernoulli(),
    lambda: torch.bernoulli(a,.5), lambda: a.clone().bernoulli_(.5), lambda: a.clone().bernoulli_(torch.tensor(.5)), lambda: F.dropout(a), lambda: F.dropout1d(a),
    lambda: torch.native_dropout(a,.5,True), lambda: F.dropout(a,training=False), lambda: F.grid_sample(a.reshape(1,1,2,3),torch.zeros(1,1,1,2)),
    lambda: F.grid_sample(a.reshape(1,1,2,3),torch.zeros(1,1,1,2).to(a.dtype)), lambda: F.grid_sample(a.reshape(1,1,1,2,3),torch.zeros(1,1,1,1,3)),
    lambda: F.margin_ranking_loss(a,b,c), lambda: F.margin_ranking_loss(a,b,c,margin=1.5,reduction='none'), lambda: F.hinge_embedding_loss(a,b,reduction='none'),
    lambda: F.hinge_embedding_loss(a,b,margin=2.7,reduction='none'), lambda: F.hinge_embedding_loss(a,b.float(),reduction='none'), lambda: torch.dist(a,b),
    lambda: F.pairwise_distance(a,b), lambda: F.pairwise_distance(a,b.float()), lambda: F.pairwise_distance(a.float(),b), lambda: F.triplet_margin_loss(a,b,c,swap=True),
    lambda: F.triplet_margin_with_distance_loss(a,b,c), lambda: torch.unravel_index(a,(200,3)), lambda: torch.unravel_index(a,-1), lambda: torch.unravel_index(a,'a'),
    lambda: torch.unravel_index(a,(2,-1)), lambda: torch.unravel_index(a,(1.5,)), lambda: torch.unravel_index(a,()), lambda: torch.unravel_index(a,torch.Size([200,2])),
    lambda: torch.unravel_index(3,(200,3))
""".strip()


@pytest.mark.parametrize("kind", ["uint8", "int32", "bool", "float16", "complex64"])
def test_prints_what_torch_prints(kind: str) -> None:
    program = _PROGRAM.format(kind=kind, calls=_CALLS)
    assert run(bridge.jtorch(), program).splitlines() == run(torch, program).splitlines()
