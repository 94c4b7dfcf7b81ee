"""Memory as elements of another type, and shapes that no memory has: torch's words for what is refused."""

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

START = "b = torch.zeros(4, 4, 3, dtype=torch.int8)\nf = torch.zeros(4, 5)\nh = torch.empty((), dtype=torch.float64)\ncl = torch.channels_last\n"
CALLS = (
    "b.view(torch.int16)", "b[:, :, 1:].view(torch.int16)", "torch.zeros(4, 4, 2, dtype=torch.int8).as_strided((4, 4, 2), (2, 1, 1)).view(torch.int16)",
    "f[:, ::2].view(torch.int8)", "f.t().view(torch.float64)", "torch.tensor(1.).view(torch.int8)", "torch.zeros(3, 3).view(torch.complex64)",
    "f[:, :4].view(torch.float64)", "f.requires_grad_().view(torch.float16).requires_grad", "f.requires_grad_().view(torch.float32).requires_grad",
    "f.requires_grad_().view(torch.int32).sum()", "torch.zeros(2).adjoint()", "torch.zeros(()).adjoint()", "torch.zeros(2, 2, 2).H", "torch.zeros(2).mH",
    "h.resize_([2, 4, 2**29, 2**29])", "h.resize_([8, 8, 2**29, 2**29])", "h.resize_([0, 4, 2**61])", "h.resize_([2**62])", "h.resize_([2, -1])",
    "torch.empty([2, 4, 2**29, 2**29])", "torch.zeros([0, 4, 2**61])", "torch.ones([2**61])", "torch.zeros([2, -1])",
    "torch.randn(480).resize_as_(torch.randn(10, 3, 4, 4).contiguous(memory_format=cl), memory_format=torch.preserve_format).stride()",
    "torch.randn(480).resize_as_(torch.randn(10, 3, 4, 4), memory_format=torch.preserve_format).stride()",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_call(call: str) -> None:
    program = f"{START}print({call})"
    assert printed(jtorch, program) == printed(torch, program)
