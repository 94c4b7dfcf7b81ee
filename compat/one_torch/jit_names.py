# ruff: noqa: F401
"""Private names of torch.jit that libraries import."""

import torch
import torch.fx
import torch.jit
import torch.library
import torch.profiler
from torch._jit_internal import BroadcastingList2, Final, _overload, boolean_dispatch, export, ignore, is_scripting, unused
from torch.jit.annotations import BroadcastingList2 as again

print(torch.jit.annotations.__name__, is_scripting(), torch.ops.aten.add.Tensor, again is BroadcastingList2)
