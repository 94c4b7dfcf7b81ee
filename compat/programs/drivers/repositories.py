"""Programs of public repositories."""

from __future__ import annotations

import types
from typing import Any

from . import checkout, losses, pieces, program, tokens


@program("karpathy/minGPT")
def mingpt() -> Any:
    checkout("karpathy/minGPT")
    from mingpt.model import GPT

    config = GPT.get_default_config()
    config.model_type, config.vocab_size, config.block_size, config.n_layer, config.n_head, config.n_embd = None, 30, 12, 2, 2, 16
    model = GPT(config)
    optimizer = model.configure_optimizers(types.SimpleNamespace(learning_rate=1e-3, weight_decay=0.1, betas=(0.9, 0.95)))
    x = tokens(4, 12, 30)
    return losses(model, lambda i: model(x, x.roll(-1, 1))[1], optimizer)


@program("karpathy/nanoGPT")
def nanogpt() -> Any:
    import torch

    checkout("karpathy/nanoGPT")
    from model import GPT, GPTConfig

    model = GPT(GPTConfig(block_size=12, vocab_size=32, n_layer=2, n_head=2, n_embd=16, dropout=0.1, bias=False))
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")
    x = tokens(4, 12, 32)
    found = losses(model, lambda i: model(x, x.roll(-1, 1))[1], optimizer)
    torch.manual_seed(7)
    return found, model.eval().generate(x[:1, :3], 6, top_k=5)


@program("johnma2006/mamba-minimal")
def mamba() -> Any:
    checkout("johnma2006/mamba-minimal")
    from model import Mamba, ModelArgs

    model, x = Mamba(ModelArgs(d_model=16, n_layer=2, vocab_size=32, d_state=4)), tokens(2, 8, 32)
    from torch.nn.functional import cross_entropy

    return losses(model, lambda i: cross_entropy(model(x).flatten(0, 1), x.roll(-1, 1).flatten()))


@program("jadore801120/attention-is-all-you-need-pytorch")
def attention_is_all_you_need() -> Any:
    checkout("jadore801120/attention-is-all-you-need-pytorch")
    import torch
    from torch.nn.functional import cross_entropy
    from transformer.Models import Transformer
    from transformer.Optim import ScheduledOptim

    model = Transformer(20, 20, 0, 0, d_word_vec=16, d_model=16, d_inner=32, n_layers=2, n_head=2, d_k=8, d_v=8, n_position=20)
    optimizer = ScheduledOptim(torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9), 2.0, 16, 8)
    source, target, found = tokens(3, 7, 19) + 1, tokens(3, 6, 19) + 1, []
    for _ in range(20):
        optimizer.zero_grad()
        loss = cross_entropy(model(source, target[:, :-1]), target[:, 1:].flatten(), ignore_index=0)
        loss.backward()
        optimizer.step_and_update_lr()
        found.append(loss.item())
    return found


def _cifar(name: str, make: Any, size: int = 32) -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    checkout("kuangliu/pytorch-cifar")
    module = __import__(f"models.{name}", fromlist=["_"])
    model = make(module)
    x, y = torch.randn(2, 3, size, size), torch.tensor([1, 7])
    return losses(model, lambda i: cross_entropy(model(x), y), torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4), 20)


@program("kuangliu/pytorch-cifar")
def cifar_lenet() -> Any:
    return _cifar("lenet", lambda m: m.LeNet())


@program("kuangliu/pytorch-cifar")
def cifar_shufflenet() -> Any:
    return _cifar("shufflenetv2", lambda m: m.ShuffleNetV2(0.5))


@program("kuangliu/pytorch-cifar")
def cifar_resnext() -> Any:
    return _cifar("resnext", lambda m: m.ResNeXt(num_blocks=[1, 1, 1], cardinality=2, bottleneck_width=4))


@program("kuangliu/pytorch-cifar")
def cifar_senet() -> Any:
    return _cifar("senet", lambda m: m.SENet(m.PreActBlock, [1, 1, 1, 1]))


@program("milesial/Pytorch-UNet")
def unet() -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    checkout("milesial/Pytorch-UNet")
    from unet.unet_model import UNet
    from utils.dice_score import dice_loss

    model = UNet(1, 2, bilinear=True)
    x, y = torch.randn(1, 1, 32, 32), torch.randint(0, 2, (1, 32, 32))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.999, foreach=True)

    def step(i: int) -> Any:
        out = model(x)
        return cross_entropy(out, y) + dice_loss(out.softmax(1).float(), torch.nn.functional.one_hot(y, 2).permute(0, 3, 1, 2).float(), multiclass=True)

    return losses(model, step, optimizer, 20)


@program("fxia22/pointnet.pytorch")
def pointnet() -> Any:
    import torch
    from torch.nn.functional import nll_loss

    checkout("fxia22/pointnet.pytorch")
    from pointnet.model import PointNetCls, feature_transform_regularizer

    model, x, y = PointNetCls(k=4, feature_transform=True), torch.randn(32, 3, 16), torch.arange(32) % 4  # batch norm over few examples would amplify rounding

    def step(i: int) -> Any:
        out, _, between = model(x)
        return nll_loss(out, y) + feature_transform_regularizer(between) * 0.001

    return losses(model, step, torch.optim.Adam(model.parameters(), lr=1e-5, betas=(0.9, 0.999)))


@program("vsitzmann/siren")
def siren() -> Any:
    import torch

    checkout("vsitzmann/siren")
    import modules

    model = modules.SingleBVPNet(type="sine", in_features=2, hidden_features=16, num_hidden_layers=2)
    coordinates, values = torch.rand(1, 32, 2) * 2 - 1, torch.rand(1, 32, 1)

    def step(i: int) -> Any:
        out = model({"coords": coordinates})
        slope = torch.autograd.grad(out["model_out"].sum(), out["model_in"], create_graph=True)[0]
        return (out["model_out"] - values).square().mean() + 1e-3 * slope.square().mean()

    return losses(model, step, torch.optim.Adam(model.parameters(), lr=1e-4))


@program("locuslab/TCN")
def tcn() -> Any:
    import torch

    checkout("locuslab/TCN")
    from TCN.tcn import TemporalConvNet

    model, x = TemporalConvNet(2, [8, 8, 8], kernel_size=3, dropout=0.1), torch.randn(4, 2, 20)
    return losses(model, lambda i: (model(x)[:, :2] - x.roll(3, 2)).square().mean())


def _forecast(name: str) -> Any:
    import torch

    checkout("cure-lab/LTSF-Linear")
    config = types.SimpleNamespace(
        seq_len=16, label_len=8, pred_len=4, enc_in=3, dec_in=3, c_out=3, d_model=8, n_heads=2, e_layers=1, d_layers=1, d_ff=16, dropout=0.05, embed="timeF", freq="h",
        activation="gelu", output_attention=False, moving_avg=5, factor=1, distil=True, individual=False, embed_type=0,
    )  # fmt: skip
    model = __import__(f"models.{name}", fromlist=["Model"]).Model(config)
    x, mark, y, ymark = torch.randn(2, 16, 3), torch.randn(2, 16, 4), torch.randn(2, 12, 3), torch.randn(2, 12, 4)
    few = name in ("DLinear", "NLinear", "Linear")
    return losses(model, lambda i: ((model(x) if few else model(x, mark, y, ymark)) - y[:, -4:]).square().mean())


@program("cure-lab/LTSF-Linear")
def dlinear() -> Any:
    return _forecast("DLinear")


@program("cure-lab/LTSF-Linear")
def autoformer() -> Any:
    return _forecast("Autoformer")


@program("cure-lab/LTSF-Linear")
def informer() -> Any:
    return _forecast("Informer")


@program("KindXiaoming/pykan")
def kan() -> Any:
    import torch

    checkout("KindXiaoming/pykan")
    from kan.MultKAN import MultKAN

    model = MultKAN(width=[2, 3, 1], grid=3, k=3, seed=0, auto_save=False)
    x = torch.rand(20, 2) * 2 - 1
    y = torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)
    return losses(model, lambda i: (model(x) - y).square().mean(), torch.optim.Adam(model.parameters(), 1e-2))


@program("facebookresearch/ConvNeXt")
def convnext() -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    checkout("facebookresearch/ConvNeXt")
    from models.convnext import ConvNeXt

    model, x = ConvNeXt(num_classes=5, depths=[1, 1, 1, 1], dims=[8, 8, 16, 16], drop_path_rate=0.1), torch.randn(2, 3, 64, 64)
    return losses(model, lambda i: cross_entropy(model(x), torch.tensor([0, 3])))


@program("tkipf/pygcn")
def pygcn() -> Any:
    import torch
    from torch.nn.functional import nll_loss

    checkout("tkipf/pygcn")
    from pygcn.models import GCN

    edges = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2], [1, 2, 3, 4, 5, 0, 3, 5]])
    adjacency, x, y = torch.sparse_coo_tensor(edges, torch.full((8,), 0.5), (6, 6)), torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    model = GCN(4, 8, 3, 0.5)
    return losses(model, lambda i: nll_loss(model(x, adjacency), y), torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4))


@program("ntrang086/image_captioning")
def captions() -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    model = pieces("ntrang086/image_captioning", "model.py").DecoderRNN(8, 16, 20)
    features, words = torch.randn(2, 8), tokens(2, 6, 20)
    return losses(model, lambda i: cross_entropy(model(features, words).flatten(0, 1), words.flatten()))


@program("pytorch/examples")
def examples_vae() -> Any:
    import torch

    script = pieces("pytorch/examples", "vae/main.py")
    model, x = script.VAE(), torch.rand(4, 1, 28, 28)
    return losses(model, lambda i: script.loss_function(*[(r, x, m, v) for r, m, v in [model(x)]][0]), torch.optim.Adam(model.parameters(), lr=1e-3))


@program("pytorch/examples")
def examples_mnist() -> Any:
    import torch

    script = pieces("pytorch/examples", "mnist/main.py")
    model, x = script.Net(), torch.rand(4, 1, 28, 28)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = script.StepLR(optimizer, step_size=5, gamma=0.7)

    def step(i: int) -> Any:
        if i % 4 == 3:
            schedule.step()
        return torch.nn.functional.nll_loss(model(x), torch.arange(4))

    return losses(model, step, optimizer)


@program("pytorch/examples")
def examples_mnist_rnn() -> Any:
    import torch

    model, x = pieces("pytorch/examples", "mnist_rnn/main.py").Net(), torch.rand(4, 28, 28)
    return losses(model, lambda i: torch.nn.functional.nll_loss(model(x), torch.arange(4)))


@program("pytorch/examples")
def examples_siamese() -> Any:
    import torch

    checkout("pytorch/examples", "siamese_network")
    model, x, z = pieces("pytorch/examples", "siamese_network/main.py").SiameseNetwork(), torch.rand(16, 1, 56, 56), torch.rand(16, 1, 56, 56)  # batch norm over few examples would amplify rounding
    return losses(model, lambda i: torch.nn.functional.binary_cross_entropy(model(x, z).squeeze(1), torch.arange(16.0) % 2), torch.optim.SGD(model.parameters(), lr=1e-4))


@program("pytorch/examples")
def examples_super_resolution() -> Any:
    import torch

    model, x, y = pieces("pytorch/examples", "super_resolution/model.py").Net(3), torch.rand(1, 1, 12, 12), torch.rand(1, 1, 36, 36)
    return losses(model, lambda i: torch.nn.functional.mse_loss(model(x), y))


@program("pytorch/examples")
def examples_time_sequence() -> Any:
    import torch

    model = pieces("pytorch/examples", "time_sequence_prediction/train.py").Sequence().double()
    x = torch.sin(torch.arange(2 * 12, dtype=torch.float64).view(2, 12) / 3)
    optimizer, found = torch.optim.LBFGS(model.parameters(), lr=0.8, max_iter=4), []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x[:, :-1]), x[:, 1:])
        loss.backward()
        found.append(loss.item())
        return loss

    for _ in range(4):
        optimizer.step(closure)
    return found[:20]


def _words(kind: str) -> Any:
    import torch

    script = pieces("pytorch/examples", "word_language_model/model.py")
    model, x = script.RNNModel(kind, 20, 8, 8, 2, 0.2, True), tokens(6, 3, 20)
    hidden = model.init_hidden(3)

    def step(i: int) -> Any:
        out, after = model(x, hidden)
        return torch.nn.functional.nll_loss(out, x.roll(-1, 0).flatten())

    return losses(model, step, torch.optim.SGD(model.parameters(), 0.5))


@program("pytorch/examples")
def examples_words_lstm() -> Any:
    return _words("LSTM")


@program("pytorch/examples")
def examples_words_gru() -> Any:
    return _words("GRU")


@program("pytorch/examples")
def examples_words_transformer() -> Any:
    import torch

    model, x = pieces("pytorch/examples", "word_language_model/model.py").TransformerModel(20, 8, 2, 16, 2, 0.2), tokens(6, 3, 20)
    return losses(model, lambda i: torch.nn.functional.nll_loss(model(x).flatten(0, 1), x.roll(-1, 0).flatten()))


@program("pytorch/examples")
def examples_style() -> Any:
    import torch

    model, x = pieces("pytorch/examples", "fast_neural_style/neural_style/transformer_net.py").TransformerNet(), torch.rand(1, 3, 16, 16)
    return losses(model, lambda i: torch.nn.functional.mse_loss(model(x), x), None, 20)


@program("pytorch/examples")
def examples_forward_forward() -> Any:
    import argparse

    import torch

    args = argparse.Namespace(lr=0.03, threshold=2, epochs=4, log_interval=100)
    script = pieces("pytorch/examples", "mnist_forward_forward/main.py", args=args, device=torch.device("cpu"))
    layer = script.Layer(12, 8)
    positive, negative, found = torch.rand(8, 12), torch.rand(8, 12), []
    for _ in range(20):
        up, down = layer(positive).pow(2).mean(1), layer(negative).pow(2).mean(1)
        loss = torch.log(1 + torch.exp(torch.cat([-up + 2, down - 2]))).mean()
        layer.opt.zero_grad()
        loss.backward()
        layer.opt.step()
        found.append(loss.item())
    return found


@program("pytorch/examples")
def examples_gat() -> Any:
    import torch

    model = pieces("pytorch/examples", "gat/main.py").GAT(in_features=4, n_hidden=8, n_heads=2, num_classes=3, concat=True, dropout=0.2, leaky_relu_slope=0.2)
    x, adjacency, y = torch.randn(6, 4), (torch.rand(6, 6) > 0.5).float() + torch.eye(6), torch.tensor([0, 1, 2, 0, 1, 2])
    return losses(model, lambda i: torch.nn.functional.nll_loss(model(x, adjacency), y))


def _gan(name: str, shape: tuple[int, ...], options: dict[str, Any], made: Any = None) -> Any:
    import argparse

    import torch

    script = pieces("eriklindernoren/PyTorch-GAN", f"implementations/{name}/{name}.py", opt=argparse.Namespace(**options), img_shape=shape, cuda=False, Tensor=torch.FloatTensor)
    maker, judge = script.Generator(), script.Discriminator()
    if hasattr(script, "weights_init_normal"):
        maker.apply(script.weights_init_normal), judge.apply(script.weights_init_normal)
    a, b = torch.optim.Adam(maker.parameters(), lr=2e-4, betas=(0.5, 0.999)), torch.optim.Adam(judge.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real, found = torch.rand(4, *shape), []
    for _ in range(10):
        z = torch.randn(4, options["latent_dim"])
        fake = maker(z)
        a.zero_grad()
        loss = torch.nn.functional.softplus(-judge(fake)).mean()
        loss.backward()
        a.step()
        b.zero_grad()
        other = torch.nn.functional.softplus(-judge(real)).mean() + torch.nn.functional.softplus(judge(fake.detach())).mean()
        if hasattr(script, "compute_gradient_penalty"):
            other = other + 10 * script.compute_gradient_penalty(judge, real.data, fake.data)
        other.backward()
        b.step()
        found += [loss.item(), other.item()]
    return found


@program("eriklindernoren/PyTorch-GAN")
def gan_dcgan() -> Any:
    return _gan("dcgan", (1, 32, 32), {"latent_dim": 8, "img_size": 32, "channels": 1})


@program("eriklindernoren/PyTorch-GAN")
def gan_wgan_gp() -> Any:
    return _gan("wgan_gp", (1, 8, 8), {"latent_dim": 8, "img_size": 8, "channels": 1})


@program("yunjey/pytorch-tutorial")
def tutorial_birnn() -> Any:
    import torch

    script = pieces("yunjey/pytorch-tutorial", "tutorials/02-intermediate/bidirectional_recurrent_neural_network/main.py", device=torch.device("cpu"))
    model, x = script.BiRNN(4, 8, 2, 3), torch.randn(4, 5, 4)
    return losses(model, lambda i: torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 0])))


@program("yunjey/pytorch-tutorial")
def tutorial_resnet() -> Any:
    import torch

    script = pieces("yunjey/pytorch-tutorial", "tutorials/02-intermediate/deep_residual_network/main.py", device=torch.device("cpu"))
    model, x = script.ResNet(script.ResidualBlock, [1, 1, 1]), torch.randn(2, 3, 32, 32)
    return losses(model, lambda i: torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1])))
