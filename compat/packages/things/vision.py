"""Images."""

from __future__ import annotations

from typing import Any

from . import thing, train


def image(n: int = 1, channels: int = 3, size: int = 32) -> Any:
    import torch

    return torch.rand(n, channels, size, size)


@thing
def torchvision() -> Any:
    from torchvision import models, ops
    from torchvision.transforms import v2

    net = models.squeezenet1_1(num_classes=4).eval()
    picture = v2.Compose([v2.Resize(24), v2.CenterCrop(20), v2.Normalize([0.5] * 3, [0.25] * 3)])(image()[0])
    boxes = image(1, 1, 2).view(1, 4).cumsum(1)
    return train(net, image(2), lambda y: y.square().mean()), picture, ops.box_iou(boxes, boxes * 1.1), ops.sigmoid_focal_loss(image(), image(), reduction="mean")


@thing
def timm() -> Any:
    import timm
    import timm.optim

    net = timm.create_model("test_vit", num_classes=3, img_size=32)
    optimizer = timm.optim.create_optimizer_v2(net, opt="lamb", lr=1e-3)
    return train(net, image(2), lambda y: y.square().mean(), optimizer=optimizer), timm.create_model("test_resnet", num_classes=3).eval()(image())


@thing
def kornia() -> Any:
    import kornia
    import torch

    x = image(1, 3, 12)
    return kornia.geometry.rotate(x, torch.tensor([30.0])), kornia.filters.gaussian_blur2d(x, (3, 3), (1.0, 1.0)), kornia.color.rgb_to_hsv(x), kornia.losses.ssim_loss(x, x * 0.9, 5)


@thing
def segmentation_models_pytorch() -> Any:
    import segmentation_models_pytorch as smp

    net = smp.Unet("resnet18", encoder_weights=None, encoder_depth=3, decoder_channels=(16, 8, 8), classes=1).eval()
    return train(net, image(1), lambda y: smp.losses.DiceLoss("binary")(y, image(1, 1).round()), steps=2)


@thing
def open_clip() -> Any:
    import open_clip
    import torch

    net = open_clip.CLIP(8, {"layers": 1, "width": 16, "head_width": 8, "patch_size": 8, "image_size": 16}, {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1})
    a, b, scale = net(image(2, 3, 16), torch.randint(0, 20, (2, 8)))
    return a, b, open_clip.ClipLoss()(a, b, scale)


@thing
def lpips() -> Any:
    import lpips

    return lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)(image(1, 3, 32), image(1, 3, 32))


@thing
def pytorch_msssim() -> Any:
    import pytorch_msssim as m

    return m.ssim(image(), image(), data_range=1), m.ms_ssim(image(1, 1, 176), image(1, 1, 176), data_range=1)


@thing
def piq() -> Any:
    import piq

    x, y = image(), image()
    return piq.psnr(x, y), piq.ssim(x, y), piq.total_variation(x), piq.gmsd(x, y)


@thing
def facenet_pytorch() -> Any:
    from facenet_pytorch import fixed_image_standardization
    from facenet_pytorch.models.mtcnn import PNet

    return PNet()(fixed_image_standardization(image(1, 3, 24) * 255))


@thing
def efficientnet_pytorch() -> Any:
    from efficientnet_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-b0", override_params={"num_classes": 3}).eval()
    return net(image())


@thing
def torchattacks() -> Any:
    import torch
    import torchattacks
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    net(image(2, 3, 8))
    labels = torch.tensor([0, 2])
    return torchattacks.FGSM(net)(image(2, 3, 8), labels), torchattacks.PGD(net, steps=3)(image(2, 3, 8), labels)


@thing
def foolbox() -> Any:
    import eagerpy as ep
    import foolbox
    import torch
    from torch import nn

    net = foolbox.PyTorchModel(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval(), bounds=(0, 1), device="cpu")
    _, clipped, success = foolbox.attacks.LinfPGD(steps=4, random_start=False)(net, ep.astensor(image(2, 3, 8)), criterion=foolbox.criteria.Misclassification(ep.astensor(torch.tensor([0, 1]))), epsilons=[0.05])
    return clipped[0].raw, success.raw


@thing
def torchio() -> Any:
    import torch
    import torchio as tio

    subject = tio.Subject(t=tio.ScalarImage(tensor=torch.rand(1, 6, 6, 6)))
    return tio.Compose([tio.RescaleIntensity((0, 1)), tio.CropOrPad(4)])(subject).t.data


@thing
def monai() -> Any:
    from monai.losses import DiceLoss
    from monai.networks.nets import UNet

    net = UNet(spatial_dims=2, in_channels=1, out_channels=1, channels=(4, 8), strides=(2,))
    return train(net, image(1, 1, 16), lambda y: DiceLoss(sigmoid=True)(y, image(1, 1, 16).round()))


@thing
def ultralytics() -> Any:
    from torch import nn
    from ultralytics.nn.modules import C2f, Conv
    from ultralytics.utils import ops

    return train(nn.Sequential(Conv(3, 4, 3, 2), C2f(4, 4)), image(2), lambda y: y.square().mean()), ops.xywh2xyxy(image(1, 1, 4)[0, 0])


@thing
def vit_pytorch() -> Any:
    from vit_pytorch import SimpleViT, ViT

    kind = {"image_size": 16, "patch_size": 8, "num_classes": 3, "dim": 16, "depth": 2, "heads": 2, "mlp_dim": 16}
    return train(ViT(**kind, dropout=0.1), image(2, 3, 16), lambda y: y.square().mean()), SimpleViT(**kind)(image(1, 3, 16))


@thing
def denoising_diffusion_pytorch() -> Any:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    diffusion = GaussianDiffusion(Unet(dim=8, dim_mults=(1, 2), flash_attn=False), image_size=8, timesteps=4)
    return train(diffusion, image(1, 3, 8), lambda loss: loss, steps=2)


@thing
def mmengine() -> Any:
    import torch
    from mmengine.model import BaseModule, xavier_init
    from mmengine.optim import build_optim_wrapper

    class Net(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    net = Net()
    xavier_init(net.layer)
    wrapper = build_optim_wrapper(net, {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}})
    losses = []
    for _ in range(3):
        loss = net(torch.ones(2, 4)).square().mean()
        wrapper.update_params(loss)
        losses.append(loss.item())
    return losses


@thing
def pytorch_wavelets() -> Any:
    from pytorch_wavelets import DWTForward, DWTInverse

    low, high = DWTForward(J=2, wave="db2")(image(1, 1, 16))
    return low, high, DWTInverse(wave="db2")((low, high))


@thing
def lightly() -> Any:
    import torch
    from lightly.loss import BarlowTwinsLoss, NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    return NTXentLoss()(torch.randn(4, 8), torch.randn(4, 8)), BarlowTwinsLoss()(torch.randn(4, 8), torch.randn(4, 8)), SimCLRProjectionHead(8, 8, 4)(torch.randn(4, 8))


@thing
def pytorch_toolbelt() -> Any:
    from pytorch_toolbelt import losses

    return losses.DiceLoss("binary")(image(1, 1, 8), image(1, 1, 8).round()), losses.BinaryFocalLoss()(image(1, 1, 8), image(1, 1, 8).round())
