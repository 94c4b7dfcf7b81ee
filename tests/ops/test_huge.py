"""Beyond 2^31 elements: positions are 64 bits wide. (On machines with the memory for it.)"""

from __future__ import annotations

import os

import pytest

import jtorch as torch
from jtorch._ops._lib import place_type

N = 2_200_000_000


def _free() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def test_the_type_of_positions() -> None:
    import numpy as np

    assert place_type(5, 2**31 - 1) is np.int32
    assert place_type(5, 2**31) is np.int64


def test_sums_of_many_integers() -> None:
    x = torch.zeros(1 << 26, dtype=torch.uint8)
    x[5], x[-1] = 200, 100
    assert (x.sum().item(), torch.count_nonzero(x).item(), x.sum(dtype=torch.int32).item()) == (300, 2, 300)


@pytest.mark.slow
@pytest.mark.skipif(_free() < 16 << 30, reason="takes 10 GiB of memory")
def test_reads_and_writes_beyond_two_to_the_31() -> None:
    x = torch.zeros(N, dtype=torch.uint8)
    x[N - 1] = 7
    assert x[-1].item() == 7
    x[N - 10 : N - 5] = 3
    assert x[N - 12 :].tolist() == [0, 0, 3, 3, 3, 3, 3, 0, 0, 0, 0, 7]
    x[torch.tensor([N - 2, 1])] = torch.tensor([9, 8], dtype=torch.uint8)
    assert x[torch.tensor([N - 1, N - 2, 1])].tolist() == [7, 9, 8]
    assert x[:: N - 1].tolist() == [0, 7]
    assert x.view(-1, 11)[-1].tolist() == [0, 3, 3, 3, 3, 3, 0, 0, 0, 9, 7]
    assert (x.argmax().item(), x.max().item(), torch.count_nonzero(x).item()) == (N - 2, 9, 8)
    x.scatter_(0, torch.tensor([N - 4]), torch.tensor([5], dtype=torch.uint8))
    assert torch.gather(x, 0, torch.tensor([N - 4, N - 2])).tolist() == [5, 9]
    assert torch.index_select(x, 0, torch.tensor([N - 4])).tolist() == [5]
    x[N - 3 :].fill_(2)
    assert x.narrow(0, N - 4, 4).tolist() == [5, 2, 2, 2]
