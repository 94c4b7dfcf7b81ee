"""Models of public repositories that came with papers."""

from __future__ import annotations

import types
from typing import Any

from . import checkout, losses, pieces, program


@program("facebookresearch/segment-anything")
def segment_anything() -> Any:
    from functools import partial

    import torch

    checkout("facebookresearch/segment-anything")
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer

    encoder = ImageEncoderViT(
        depth=2, embed_dim=16, img_size=64, mlp_ratio=2, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), num_heads=2, patch_size=16, qkv_bias=True, use_rel_pos=True,
        global_attn_indexes=[1], window_size=3, out_chans=16,
    )  # fmt: skip
    prompts = PromptEncoder(embed_dim=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4)
    decoder = MaskDecoder(num_multimask_outputs=3, transformer=TwoWayTransformer(depth=2, embedding_dim=16, mlp_dim=32, num_heads=2), transformer_dim=16, iou_head_depth=2, iou_head_hidden_dim=16)
    image, target = torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 16, 16) > 0.5).float()
    points, boxes = (torch.tensor([[[10.0, 20.0], [40.0, 30.0]]]), torch.tensor([[1, 0]])), torch.tensor([[5.0, 5.0, 50.0, 40.0]])

    def step(i: int) -> Any:
        sparse, dense = prompts(points=points, boxes=boxes if i % 2 else None, masks=None)
        masks, quality = decoder(image_embeddings=encoder(image), image_pe=prompts.get_dense_pe(), sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=i % 3 > 0)
        return torch.nn.functional.binary_cross_entropy_with_logits(masks[:, :1], target) + quality.square().mean()

    return losses(torch.nn.ModuleList([encoder, prompts, decoder]), step)


@program("facebookresearch/DiT")
def dit() -> Any:
    import torch

    checkout("facebookresearch/DiT")
    from diffusion import create_diffusion
    from models import DiT

    model = DiT(input_size=8, patch_size=2, in_channels=2, hidden_size=24, depth=2, num_heads=2, num_classes=5)
    for p in model.parameters():  # it starts at zero where nothing would reach its layers
        if p.requires_grad and not p.any():
            torch.nn.init.normal_(p, std=0.02)
    diffusion, x, y = create_diffusion(timestep_respacing="", diffusion_steps=50), torch.randn(2, 2, 8, 8), torch.tensor([1, 4])
    found = losses(model, lambda i: diffusion.training_losses(model, x, torch.randint(0, diffusion.num_timesteps, (2,)), {"y": y})["loss"].mean())
    model.eval()
    fast = create_diffusion("5")
    torch.manual_seed(3)
    return found, fast.p_sample_loop(model.forward_with_cfg, (2, 2, 8, 8), torch.randn(2, 2, 8, 8), clip_denoised=False, model_kwargs={"y": y, "cfg_scale": 2.0}, progress=False, device="cpu")


@program("facebookresearch/detr")
def detr() -> Any:
    import torch

    checkout("facebookresearch/detr")
    from models.detr import DETR, SetCriterion
    from models.matcher import HungarianMatcher
    from models.position_encoding import PositionEmbeddingSine
    from models.transformer import Transformer
    from util.misc import NestedTensor, nested_tensor_from_tensor_list

    class Backbone(torch.nn.Module):
        num_channels = 8

        def __init__(self) -> None:
            super().__init__()
            self.body, self.position = torch.nn.Conv2d(3, 8, 8, 8), PositionEmbeddingSine(8, normalize=True)

        def forward(self, samples: Any) -> Any:
            x = self.body(samples.tensors)
            out = NestedTensor(x, torch.nn.functional.interpolate(samples.mask[None].float(), size=x.shape[-2:]).to(torch.bool)[0])
            return [out], [self.position(out).to(x.dtype)]

    model = DETR(Backbone(), Transformer(d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=2, dim_feedforward=32, dropout=0.1, return_intermediate_dec=True), 3, 5, aux_loss=True)
    weights = {f"{k}{tail}": w for k, w in (("loss_ce", 1), ("loss_bbox", 5), ("loss_giou", 2)) for tail in ("", "_0")}
    criterion = SetCriterion(3, HungarianMatcher(1, 5, 2), weights, 0.1, ["labels", "boxes", "cardinality"])
    images = nested_tensor_from_tensor_list([torch.rand(3, 40, 48), torch.rand(3, 32, 40)])
    targets = [{"labels": torch.tensor([0, 2]), "boxes": torch.rand(2, 4) * 0.3 + 0.3}, {"labels": torch.tensor([1]), "boxes": torch.rand(1, 4) * 0.3 + 0.3}]

    def step(i: int) -> Any:
        found = criterion(model(images), targets)
        return sum(found[k] * w for k, w in weights.items())

    return losses(model, step)


def _adversarial(name: str, shape: tuple[int, ...], **options: Any) -> types.ModuleType:
    import argparse

    import torch

    script: types.ModuleType = pieces("eriklindernoren/PyTorch-GAN", f"implementations/{name}/{name}.py", opt=argparse.Namespace(**options), img_shape=shape, cuda=False, Tensor=torch.FloatTensor)
    return script


@program("eriklindernoren/PyTorch-GAN")
def gan_autoencoder() -> Any:
    import torch

    script = _adversarial("aae", (1, 8, 8), latent_dim=4, img_size=8, channels=1)
    encoder, decoder, judge = script.Encoder(), script.Decoder(), script.Discriminator()
    x = torch.rand(4, 1, 8, 8)
    return losses(torch.nn.ModuleList([encoder, decoder, judge]), lambda i: (decoder(encoder(x)) - x).abs().mean() + 1e-3 * torch.nn.functional.binary_cross_entropy(judge(encoder(x)), torch.ones(4, 1)))
