"""Packages that bring their own loop: the training is theirs, the driver notes losses."""

from __future__ import annotations

from typing import Any

from . import program


@program("opacus")
def private_training() -> Any:
    import torch
    from opacus import PrivacyEngine

    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.GroupNorm(2, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(32, 1, 8, 8), torch.arange(32) % 3), 8)
    engine = PrivacyEngine(accountant="rdp")
    model, optimizer, loader = engine.make_private(module=model, optimizer=torch.optim.SGD(model.parameters(), 0.1), data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0)
    found = []
    for _ in range(5):
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return found, engine.get_epsilon(1e-3)


@program("fastai")
def fastai_one_cycle() -> Any:
    import torch
    from fastai.callback.core import Callback
    from fastai.callback.progress import ProgressCallback as _  # noqa: F401 - a method of Learner by this import
    from fastai.callback.schedule import Learner
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.metrics import accuracy

    items = [(torch.rand(4), torch.tensor(i % 3)) for i in range(40)]

    class Losses(Callback):  # type: ignore[misc]
        found: list[float] = []

        def after_loss(self) -> None:
            self.found.append(self.loss.item())

    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    learner = Learner(DataLoaders(DataLoader(items, bs=8, shuffle=True, drop_last=True), DataLoader(items, bs=8)), net, loss_func=torch.nn.CrossEntropyLoss(), cbs=Losses(), metrics=accuracy)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(4, 0.01)
    return Losses.found
