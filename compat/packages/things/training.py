"""Training loops, optimizers, metrics, and tools that look at models."""

from __future__ import annotations

from typing import Any

from . import thing, train


def net() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def data(n: int = 8) -> Any:
    import torch

    return torch.randn(n, 4)


def labels(n: int = 8) -> Any:
    import torch

    return torch.arange(n) % 2


def by(optimizer_of: Any) -> list[float]:
    model = net()
    return train(model, data(), lambda y: y.square().mean(), steps=4, optimizer=optimizer_of(model.parameters()))


def _lit(lightning: Any) -> Any:
    import torch

    class Lit(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = net(), []

        def training_step(self, batch: Any, index: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), 0.01)

    model = Lit()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data(), labels()), 2, shuffle=True)
    lightning.Trainer(max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", devices=1).fit(model, loader)
    return model.losses


@thing
def pytorch_lightning() -> Any:
    import pytorch_lightning

    return _lit(pytorch_lightning)


@thing
def lightning() -> Any:
    import lightning

    return _lit(lightning)


@thing
def torchmetrics() -> Any:
    import torch
    from torchmetrics import classification as c
    from torchmetrics import regression as r

    p, y = torch.softmax(torch.randn(8, 3), -1), torch.randint(0, 3, (8,))
    return [m(p, y) for m in (c.MulticlassAccuracy(3), c.MulticlassF1Score(3), c.MulticlassAUROC(3), c.MulticlassConfusionMatrix(3))], r.PearsonCorrCoef()(torch.randn(8), torch.randn(8))


@thing
def skorch() -> Any:
    import numpy as np
    import torch
    from skorch import NeuralNetClassifier

    found = NeuralNetClassifier(net, max_epochs=3, lr=0.1, criterion=torch.nn.CrossEntropyLoss, verbose=0, train_split=None, iterator_train__shuffle=True)
    found.fit(data().numpy(), labels().numpy().astype(np.int64))
    return [row["train_loss"] for row in found.history]


@thing
def ignite() -> Any:
    import torch
    from ignite.engine import Events, create_supervised_trainer

    model, losses = net(), []
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), 0.1), torch.nn.functional.cross_entropy)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output))
    trainer.run([(data(), labels())] * 2, max_epochs=2)
    return losses


@thing
def fastai() -> Any:
    import torch
    from fastai.callback.core import Callback
    from fastai.callback.progress import ProgressCallback as _  # noqa: F401 - a method of Learner by this import
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner

    items = list(zip(data(), labels()))

    class Losses(Callback):  # type: ignore[misc]
        found: list[float] = []

        def after_loss(self) -> None:
            if self.training:
                self.found.append(self.loss.item())

    learner = Learner(DataLoaders(DataLoader(items, bs=4), DataLoader(items, bs=4)), net(), loss_func=torch.nn.CrossEntropyLoss(), cbs=Losses())
    with learner.no_bar(), learner.no_logging():
        learner.fit(2, 0.01)
    return Losses.found


@thing
def torchinfo() -> Any:
    from torchinfo import summary

    found = summary(net(), input_size=(2, 4), verbose=0)
    return found.total_params, found.total_mult_adds


@thing
def torchsummary() -> Any:
    import contextlib
    import io

    from torchsummary import summary

    with contextlib.redirect_stdout(io.StringIO()) as text:
        summary(net(), (4,), device="cpu")
    return [float(w.replace(",", "")) for w in text.getvalue().split() if w.replace(",", "").isdigit()]


@thing
def torchviz() -> Any:
    from torchviz import make_dot

    model = net()
    return [make_dot(model(data()).mean(), params=dict(model.named_parameters())).source.count(w) for w in ("label", "->", "AddmmBackward0", "AccumulateGrad")]


@thing
def thop() -> Any:
    from thop import profile

    return profile(net(), (data(2),), verbose=False)


@thing
def ptflops() -> Any:
    from ptflops import get_model_complexity_info

    return get_model_complexity_info(net(), (4,), as_strings=False, print_per_layer_stat=False, backend="pytorch")


@thing
def fvcore() -> Any:
    from fvcore.nn import FlopCountAnalysis, parameter_count, sigmoid_focal_loss

    return parameter_count(net()), list(FlopCountAnalysis(net(), data()).by_module().values()), sigmoid_focal_loss(data(), data().sigmoid().round(), reduction="mean")


@thing
def torch_pruning() -> Any:
    import torch
    import torch_pruning as tp

    model = net()
    pruner = tp.pruner.MagnitudePruner(model, data(1), importance=tp.importance.MagnitudeImportance(p=2), pruning_ratio=0.5, ignored_layers=[model[2]])
    pruner.step()
    return [p.shape[0] for p in model.parameters()], model(torch.ones(1, 4))


@thing
def torchview() -> Any:
    from torchview import draw_graph

    return len(draw_graph(net(), input_data=data(), device="cpu").edge_list)


@thing
def captum() -> Any:
    from captum.attr import DeepLift, IntegratedGradients, Saliency

    model, x = net(), data(2)
    return IntegratedGradients(model).attribute(x, target=1, n_steps=8), Saliency(model).attribute(x, target=0), DeepLift(model).attribute(x, target=0)


@thing
def opacus() -> Any:
    import torch
    from opacus import GradSampleModule

    model = GradSampleModule(net())
    torch.nn.functional.cross_entropy(model(data()), labels()).backward()
    return [p.grad_sample for p in model.parameters()]


@thing
def webdataset() -> Any:
    import io
    import tarfile
    import tempfile

    import torch
    import webdataset as wds

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(f"{folder}/a.tar", "w") as tar:
            for i in range(4):
                buffer = io.BytesIO()
                torch.save(torch.full((2,), float(i)), buffer)
                info = tarfile.TarInfo(f"{i:03d}.pth")
                info.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(info, buffer)
        return [x[0] for x in wds.WebDataset(f"{folder}/a.tar", shardshuffle=False).decode().to_tuple("pth").batched(2)]


@thing
def torchdata() -> Any:
    from torchdata.stateful_dataloader import StatefulDataLoader

    loader = StatefulDataLoader(list(range(6)), batch_size=2, shuffle=True)
    batches = iter(loader)
    first = next(batches)
    state = loader.state_dict()
    again = StatefulDataLoader(list(range(6)), batch_size=2, shuffle=True)
    again.load_state_dict(state)
    return first, list(again)


@thing
def ema_pytorch() -> Any:
    from ema_pytorch import EMA

    model = net()
    ema = EMA(model, beta=0.9, update_after_step=0, update_every=1)
    for p in model.parameters():
        p.data.add_(1.0)
    ema.update(), ema.update()
    return ema(data())


@thing
def lion_pytorch() -> Any:
    from lion_pytorch import Lion

    return by(lambda p: Lion(p, lr=1e-2, weight_decay=1e-2))


@thing
def pytorch_optimizer() -> Any:
    import pytorch_optimizer as o

    return [by(lambda p, kind=kind: kind(p, lr=1e-2)) for kind in (o.AdaBelief, o.Lamb, o.Adan, o.Lion, o.Ranger21 if False else o.AdamP)]


@thing
def torch_optimizer() -> Any:
    import torch_optimizer as o

    return [by(lambda p, kind=kind: kind(p, lr=1e-2)) for kind in (o.RAdam, o.DiffGrad, o.Yogi, o.NovoGrad)]


@thing
def prodigyopt() -> Any:
    from prodigyopt import Prodigy

    return by(lambda p: Prodigy(p, lr=1.0))


@thing
def schedulefree() -> Any:
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    def of(kind: Any) -> Any:
        def make(p: Any) -> Any:
            optimizer = kind(p, lr=1e-2)
            optimizer.train()
            return optimizer

        return make

    return by(of(AdamWScheduleFree)), by(of(SGDScheduleFree))


@thing
def madgrad() -> Any:
    from madgrad import MADGRAD

    return by(lambda p: MADGRAD(p, lr=1e-2))


@thing
def adabelief_pytorch() -> Any:
    from adabelief_pytorch import AdaBelief

    return by(lambda p: AdaBelief(p, lr=1e-2, print_change_log=False))


@thing
def pytorch_warmup() -> Any:
    import pytorch_warmup as warmup
    import torch

    optimizer = torch.optim.AdamW(net().parameters(), lr=0.1)
    found = []
    scheduler = warmup.LinearWarmup(optimizer, 4)
    for _ in range(5):
        optimizer.step()
        with scheduler.dampening():
            found.append(optimizer.param_groups[0]["lr"])
    return found


@thing
def pytorch_metric_learning() -> Any:
    from pytorch_metric_learning import losses, miners

    x, y = data(), labels()
    return losses.TripletMarginLoss()(x, y, miners.MultiSimilarityMiner()(x, y)), losses.NTXentLoss()(x, y)


@thing
def jaxtyping() -> Any:
    import torch
    from jaxtyping import Float

    return isinstance(torch.ones(2, 3), Float[torch.Tensor, "a b"]), isinstance(torch.ones(2), Float[torch.Tensor, "a b"])


@thing
def torchjd() -> Any:
    from torchjd.aggregation import UPGrad

    return UPGrad()(data(2))


@thing
def torchopt() -> Any:
    import torchopt

    return by(lambda p: torchopt.Adam(p, lr=1e-2))


@thing
def fairscale() -> Any:
    from fairscale.nn import checkpoint_wrapper
    from torch import nn

    model = nn.Sequential(checkpoint_wrapper(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 1))
    return train(model, data().requires_grad_(), lambda y: y.square().mean())


@thing
def brevitas() -> Any:
    from brevitas.nn import QuantLinear

    return QuantLinear(4, 2, bias=True, weight_bit_width=4)(data(2))
