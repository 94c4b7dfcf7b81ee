"""Language models and their parts."""

from __future__ import annotations

from typing import Any

from . import thing, train


def tokens(vocabulary: int = 30, n: int = 2, length: int = 6) -> Any:
    import torch

    return torch.randint(1, vocabulary, (n, length))


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))


@thing
def transformers() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    net = BertForSequenceClassification(BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16))
    text = gpt2().eval()
    return train(net, tokens(), lambda y: y.logits.square().mean()), text.generate(tokens(), max_new_tokens=4, do_sample=False, pad_token_id=0)


@thing
def peft() -> Any:
    from peft import LoraConfig, get_peft_model

    net = get_peft_model(gpt2(), LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    ids = tokens()
    return train(net, (), lambda y: y, steps=0) or [sum(p.numel() for p in net.parameters() if p.requires_grad), net(input_ids=ids, labels=ids).loss]


@thing
def accelerate() -> Any:
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    net = torch.nn.Linear(4, 1)
    net, optimizer, data = accelerator.prepare(net, torch.optim.AdamW(net.parameters(), 0.1), torch.utils.data.DataLoader(torch.randn(8, 4), 4))
    losses = []
    for x in data:
        loss = net(x).square().mean()
        accelerator.backward(loss)
        optimizer.step(), optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@thing
def sentence_transformers() -> Any:
    import torch
    from sentence_transformers import util
    from sentence_transformers.models import Dense, Pooling

    features = {"token_embeddings": torch.randn(2, 5, 8), "attention_mask": torch.ones(2, 5)}
    found = Dense(8, 4)(Pooling(8, "mean")(features))["sentence_embedding"]
    return found, util.cos_sim(found, found)


@thing
def trl() -> Any:
    import torch
    from trl.trainer.utils import entropy_from_logits, selective_log_softmax

    return selective_log_softmax(torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))), entropy_from_logits(torch.randn(2, 3, 5))


@thing
def diffusers() -> Any:
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

    net = UNet2DModel(sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4, down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"))
    noise, steps = torch.randn(1, 3, 8, 8), DDPMScheduler(num_train_timesteps=10)
    noisy = steps.add_noise(torch.rand(1, 3, 8, 8), noise, torch.tensor([3]))
    return train(net, (noisy, torch.tensor([3])), lambda y: (y.sample - noise).square().mean(), steps=2)


@thing
def einops() -> Any:
    import torch
    from einops import rearrange, reduce, repeat
    from einops.layers.torch import Rearrange

    x = torch.randn(2, 4, 6)
    return rearrange(x, "b (h c) w -> b h (c w)", h=2), reduce(x, "b h w -> b w", "max"), repeat(x, "b h w -> b h w 2"), Rearrange("b h w -> b (h w)")(x)


@thing
def x_transformers() -> Any:
    from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

    net = AutoregressiveWrapper(TransformerWrapper(num_tokens=30, max_seq_len=16, attn_layers=Decoder(dim=16, depth=2, heads=2, attn_dim_head=8, rotary_pos_emb=True)))
    return train(net, tokens(), lambda loss: loss)


@thing
def rotary_embedding_torch() -> Any:
    import torch
    from rotary_embedding_torch import RotaryEmbedding

    return RotaryEmbedding(dim=8).rotate_queries_or_keys(torch.randn(1, 2, 4, 16))


@thing
def local_attention() -> Any:
    import torch
    from local_attention import LocalAttention

    return LocalAttention(dim=8, window_size=4, causal=True)(*[torch.randn(1, 2, 8, 8) for _ in range(3)])


@thing
def vector_quantize_pytorch() -> Any:
    import torch
    from vector_quantize_pytorch import FSQ, VectorQuantize

    out, codes, loss = VectorQuantize(dim=4, codebook_size=8)(torch.randn(1, 6, 4))
    return out, codes, loss, FSQ([3, 3])(torch.randn(1, 4, 2))


@thing
def optimum() -> Any:
    from optimum.utils import DummyTextInputGenerator, NormalizedTextConfig
    from transformers import BertConfig

    return DummyTextInputGenerator("text-classification", NormalizedTextConfig(BertConfig(vocab_size=30)), batch_size=1, sequence_length=4).generate("attention_mask")


@thing
def torchcrf() -> Any:
    import torch
    from torchcrf import CRF

    crf = CRF(3, batch_first=True)
    scores = torch.randn(2, 4, 3)
    return crf(scores, torch.randint(0, 3, (2, 4))), crf.decode(scores)


@thing
def stanza() -> Any:
    import torch
    from stanza.models.common.biaffine import DeepBiaffineScorer

    return DeepBiaffineScorer(4, 4, 8, 2, dropout=0)(torch.randn(1, 3, 4), torch.randn(1, 3, 4))


@thing
def clip() -> Any:
    import torch
    from clip.model import CLIP

    net = CLIP(8, 16, 1, 64, 8, 8, 20, 64, 1, 1).float()
    return net(torch.rand(2, 3, 16, 16), torch.randint(0, 20, (2, 8)))
