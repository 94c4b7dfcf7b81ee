"""``summary``: the table, and that the model stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

import jtorch as torch
from jtorch import nn
from jtorch.utils.summary import summary

TABLE = """\
--------------------------------------------------------------------------
Layer (type)                            Output Shape              Param #
==========================================================================
Embedding-1                             [-1, 200, 3]               30,000
Conv1d-2                               [-1, 16, 196]                  256
MaxPool1d-3                             [-1, 16, 98]                    0
ReLU-4                                  [-1, 16, 98]                    0
Conv1d-5                               [-1, 128, 97]                4,224
MaxPool1d-6                            [-1, 128, 48]                    0
ReLU-7                                 [-1, 128, 48]                    0
Flatten-8                                 [-1, 6144]                    0
Linear-9                                     [-1, 1]                6,145
==========================================================================
Total params: 40,625
Trainable params: 10,625
Non-trainable params: 30,000
--------------------------------------------------------------------------
Input size (MB): 0.000763
Forward/backward pass size (MB): 0.287788
Params size (MB): 0.154972
Estimated Total Size (MB): 0.443523
"""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10000, 3, padding_idx=1)
        self.conv = nn.Sequential(nn.Conv1d(3, 16, 5), nn.MaxPool1d(2), nn.ReLU(), nn.Conv1d(16, 128, 2), nn.MaxPool1d(2), nn.ReLU())
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(6144, 1))

    def forward(self, x: Any) -> Any:
        return self.dense(self.conv(self.embedding(x).transpose(1, 2)))


@pytest.mark.parametrize("dtype", [torch.LongTensor, torch.int64])
def test_table(dtype: Any, capsys: pytest.CaptureFixture[str]) -> None:
    net = Net()
    net.embedding.requires_grad_(False)
    result = summary(net, input_shape=(200,), input_dtype=dtype)
    assert capsys.readouterr().out == TABLE
    assert (result.total_params, result.trainable_params, result.non_trainable_params) == (40625, 10625, 30000)


def test_nothing_changes() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    summary(model, (3,), verbose=False)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items()) and torch.equal(random, torch.get_rng_state())
    assert model.training and model[1].training and not any(m._forward_hooks for m in model.modules())


def test_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = self.b = nn.Linear(2, 2)

        def forward(self, x: Any, y: Any = None) -> Any:
            return self.a(x) + self.b(x if y is None else y)

    for result in (
        summary(Two(), [(2,), (2,)], verbose=False),
        summary(Two(), input_data=(torch.ones(5, 2), torch.ones(5, 2)), verbose=False),
        summary(Two(), input_data={"x": torch.ones(5, 2), "y": torch.ones(5, 2)}, verbose=False),
    ):
        assert result.rows == [("Linear-1", [-1, 2], 6), ("Linear-2", [-1, 2], 0)] and result.input_size == 4 and result.total_params == 6
    with pytest.raises(ValueError, match="input_shape or input_data"):
        summary(Two())
