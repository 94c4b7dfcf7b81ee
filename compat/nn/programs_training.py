"""Whole training loops, as people write them: losses over several steps; see ``programs``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from compat.nn.programs import program
from compat.nn.programs_utils import PROGRAMS

__all__ = ["PROGRAMS"]


def _block(torch: Any, width: int) -> Any:
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(width)
            self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
            self.rest = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))

        def forward(self, x: Any) -> Any:
            h = self.norm(x)
            x = x + self.attention(h, h, h, need_weights=False)[0]
            return x + self.rest(x)

    return Block()


def _language_model(torch: Any, through: Callable[[Any, Any], Any]) -> list[Any]:
    nn, functional = torch.nn, torch.nn.functional
    torch.manual_seed(0)
    table, head = nn.Embedding(11, 8), nn.Linear(8, 11)
    blocks = nn.ModuleList([_block(torch, 8) for _ in range(2)])
    head.weight = table.weight
    params = [*table.parameters(), *blocks.parameters(), head.bias]
    optimizer = torch.optim.AdamW(params, 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=8)
    losses = []
    for _ in range(4):
        tokens = torch.randint(0, 11, (2, 5))
        x = table(tokens)
        for block in blocks:
            x = through(block, x)
        loss = functional.cross_entropy(head(x).reshape(-1, 11), ((tokens + 1) % 11).reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@program
def language_model(torch: Any) -> list[Any]:
    return _language_model(torch, lambda block, x: block(x))


@program
def language_model_checkpointed(torch: Any) -> list[Any]:
    checkpoint = torch.utils.checkpoint.checkpoint
    return _language_model(torch, lambda block, x: checkpoint(block, x, use_reentrant=False))


@program
def language_model_checkpointed_selectively(torch: Any) -> list[Any]:
    tools = torch.utils.checkpoint
    contexts = functools.partial(tools.create_selective_checkpoint_contexts, [torch.ops.aten.addmm.default, torch.ops.aten.bmm.default])
    return _language_model(torch, lambda block, x: tools.checkpoint(block, x, use_reentrant=False, context_fn=contexts))


@program
def language_model_saved_on_the_cpu(torch: Any) -> list[Any]:
    def through(block: Any, x: Any) -> Any:
        with torch.autograd.graph.save_on_cpu():
            return block(x)

    return _language_model(torch, through)


@program
def packed_lstm(torch: Any) -> list[Any]:
    nn, functional = torch.nn, torch.nn.functional
    torch.manual_seed(0)
    table = nn.Embedding(9, 4, padding_idx=0)
    lstm = nn.LSTM(4, 5, 2, bidirectional=True, dropout=0.2, batch_first=True)
    head = nn.Linear(10, 3)
    optimizer = torch.optim.RMSprop([*table.parameters(), *lstm.parameters(), *head.parameters()], 0.01)
    losses = []
    for _ in range(3):
        x, lengths = torch.randint(1, 9, (3, 5)), torch.tensor([5, 3, 2])
        packed = nn.utils.rnn.pack_padded_sequence(table(x), lengths, batch_first=True)
        y, _ = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)
        loss = functional.cross_entropy(head(y[torch.arange(3), lengths - 1]), torch.tensor([0, 1, 2]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@program
def two_networks_against_each_other(torch: Any) -> list[Any]:
    nn, bce = torch.nn, torch.nn.functional.binary_cross_entropy_with_logits
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2))
    critic = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 8)), nn.ReLU(), nn.Linear(8, 1))
    first = torch.optim.Adam(maker.parameters(), 0.01, betas=(0.5, 0.9))
    second = torch.optim.Adam(critic.parameters(), 0.01)
    losses = []
    for _ in range(3):
        made = maker(torch.randn(4, 2))
        loss = bce(critic(torch.randn(4, 2)), torch.ones(4, 1)) + bce(critic(made.detach()), torch.zeros(4, 1))
        second.zero_grad()
        loss.backward()
        second.step()
        other = bce(critic(made), torch.ones(4, 1))
        first.zero_grad()
        other.backward()
        first.step()
        losses += [loss.item(), other.item()]
    return losses


@program
def variational_autoencoder(torch: Any) -> list[Any]:
    nn, distributions = torch.nn, torch.distributions
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(4, 4), nn.Linear(2, 4)
    optimizer = torch.optim.Adagrad([*encoder.parameters(), *decoder.parameters()], 0.1)
    losses = []
    for _ in range(3):
        x = torch.rand(5, 4)
        mean, log_variance = encoder(x).chunk(2, 1)
        code = distributions.Normal(mean, (log_variance * 0.5).exp())
        seen = distributions.Bernoulli(logits=decoder(code.rsample()), validate_args=False)
        loss = distributions.kl_divergence(code, distributions.Normal(0.0, 1.0)).sum() - seen.log_prob(x).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
