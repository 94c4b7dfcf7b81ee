"""Programs over packages: models of libraries, trained as their users train them."""

from __future__ import annotations

from typing import Any

from . import losses, program, tokens

_TINY = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32}
_DECODER = {**_TINY, "num_key_value_heads": 1, "bos_token_id": 0, "eos_token_id": 1}


def _transformer(name: str) -> tuple[Any, dict[str, Any]]:
    """(model, batch)."""
    import torch
    import transformers as t

    ids = tokens(4, 8, 38) + 2
    if name == "bert":
        model = t.BertForSequenceClassification(t.BertConfig(**_TINY, num_labels=3))
        return model, {"input_ids": ids, "attention_mask": torch.ones(4, 8, dtype=torch.long), "labels": torch.randint(0, 3, (4,))}
    if name == "gpt2":
        return t.GPT2LMHeadModel(t.GPT2Config(vocab_size=40, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1)), {"input_ids": ids, "labels": ids}
    if name == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**_DECODER)), {"input_ids": ids, "labels": ids}
    if name == "mixtral":
        return t.MixtralForCausalLM(t.MixtralConfig(**_DECODER, num_local_experts=4, num_experts_per_tok=2)), {"input_ids": ids, "labels": ids}
    if name == "t5":
        config = t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
        return t.T5ForConditionalGeneration(config), {"input_ids": ids, "labels": tokens(4, 6, 38) + 2}
    if name == "vit":
        config = t.ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8, num_labels=3)
        return t.ViTForImageClassification(config), {"pixel_values": torch.rand(4, 3, 16, 16), "labels": torch.randint(0, 3, (4,))}
    config = t.WhisperConfig(
        vocab_size=40, num_mel_bins=8, encoder_layers=2, encoder_attention_heads=2, decoder_layers=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, d_model=16,
        max_source_positions=10, max_target_positions=24, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    return t.WhisperForConditionalGeneration(config), {"input_features": torch.randn(4, 8, 20), "labels": tokens(4, 6, 36) + 3}


def _trained(name: str) -> Any:
    """20 steps of AdamW, 20 of the Trainer, and what ``generate`` gives then: greedily, by beams, by sampling."""
    import tempfile

    import torch
    import transformers as t

    model, batch = _transformer(name)
    model.train()
    found: list[Any] = losses(model, lambda i: model(**batch).loss)
    rows = [{k: v[i % 4] for k, v in batch.items()} for i in range(16)]
    model, _ = _transformer(name)
    with tempfile.TemporaryDirectory() as folder:
        arguments = t.TrainingArguments(
            output_dir=folder, max_steps=20, per_device_train_batch_size=4, learning_rate=1e-3, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, seed=3,
            disable_tqdm=True, weight_decay=0.01, warmup_steps=3,
        )  # fmt: skip
        trainer = t.Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
        found += [float(row[k]) for row in trainer.state.log_history if "loss" in row for k in ("loss", "grad_norm")]
        if name not in ("bert", "vit"):
            model.eval()
            given = next(iter(batch.values()))[:2]
            for how in ({"do_sample": False}, {"num_beams": 3}, {"do_sample": True, "top_k": 10, "top_p": 0.9, "temperature": 0.8}, {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2}):
                torch.manual_seed(5)
                found.append(model.generate(given, max_new_tokens=8, pad_token_id=0, **how).flatten().tolist())
        model.save_pretrained(folder, max_shard_size="8KB")
        found.append(sum(p.double().abs().sum() for p in type(model).from_pretrained(folder).parameters()))
    return found


_READ = """
import json, sys
from pathlib import Path
from compat.packages.run import prepare
prepare()
import torch, transformers
assert hasattr(torch.version, "jtorch_version") == (sys.argv[1] == "jtorch")
found = {}
for folder in sorted(Path(sys.argv[2]).iterdir()):
    kind = json.loads((folder / "config.json").read_text())["architectures"][0]
    model, batch = getattr(transformers, kind).from_pretrained(folder).eval(), torch.load(folder / "batch.pt")
    with torch.no_grad():
        found[folder.name] = [model(**batch).logits.flatten()[:6].tolist(), sum(p.double().abs().sum().item() for p in model.parameters())]
print("\\x1e" + json.dumps(found))
"""


@program("transformers")
def transformers_exchanged() -> Any:
    """What ``save_pretrained`` wrote, in several files, is read by the other library in a process of its own: jtorch's by real torch, and real torch's by jtorch."""
    import json
    import os
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    import torch

    from compat.packages.__main__ import ROOT
    from compat.packages.run import ours

    other, found = "torch" if ours() else "jtorch", []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("bert", "gpt2", "llama", "mixtral", "t5", "vit", "whisper"):
            model, batch = _transformer(name)
            model.save_pretrained(Path(folder, name), max_shard_size="8KB")
            torch.save(batch, Path(folder, name, "batch.pt"))
            with torch.no_grad():
                found.append([model.eval()(**batch).logits.flatten()[:6].tolist(), sum(p.double().abs().sum().item() for p in model.parameters())])
        command = [sys.executable, *(["-m", "jtorch"] if other == "jtorch" else []), "-c", _READ, other, folder]
        out = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(out.stderr.strip().splitlines()[-1])
    return found, list(json.loads(out.stdout.partition("\x1e")[2]).values())


@program("transformers")
def transformers_bert() -> Any:
    return _trained("bert")


@program("transformers")
def transformers_gpt2() -> Any:
    return _trained("gpt2")


@program("transformers")
def transformers_llama() -> Any:
    return _trained("llama")


@program("transformers")
def transformers_mixtral() -> Any:
    return _trained("mixtral")


@program("transformers")
def transformers_t5() -> Any:
    return _trained("t5")


@program("transformers")
def transformers_vit() -> Any:
    return _trained("vit")


@program("transformers")
def transformers_whisper() -> Any:
    return _trained("whisper")


@program("peft")
def lora() -> Any:
    from peft import LoraConfig, get_peft_model

    model, batch = _transformer("gpt2")
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules=["c_attn"], fan_in_fan_out=True))
    return losses(model, lambda i: model(**batch).loss)


@program("timm")
def timm_mixer() -> Any:
    return _timm("mixer_s32_224", img_size=32)


@program("timm")
def timm_vit() -> Any:
    return _timm("test_vit", img_size=32)


@program("timm")
def timm_efficientnet() -> Any:
    # Its last BatchNorm sees one value of each picture: of two pictures it would make +1 and -1, whatever they are, and the losses would follow the last bit of their difference.
    return _timm("test_efficientnet", n=8, size=64)


def _timm(name: str, n: int = 2, size: int = 32, **options: Any) -> Any:
    import timm
    import timm.optim
    import torch

    model = timm.create_model(name, num_classes=3, **options)
    x, y = torch.rand(n, 3, size, size), torch.tensor([0, 2] * (n // 2))
    return losses(model, lambda i: torch.nn.functional.cross_entropy(model(x), y), timm.optim.create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05))


@program("torch_geometric")
def graphs() -> Any:
    import torch
    from torch_geometric.nn import GAT, GIN, GraphSAGE, global_add_pool

    edges, x, of = torch.tensor([[0, 1, 2, 3, 4, 5, 0], [1, 2, 0, 4, 5, 3, 2]]), torch.randn(6, 4), torch.tensor([0, 0, 0, 1, 1, 1])
    found = []
    for kind in (GAT, GIN, GraphSAGE):
        model = kind(4, 8, 2, 3)
        found += losses(model, lambda i, model=model: torch.nn.functional.cross_entropy(global_add_pool(model(x, edges), of), torch.tensor([0, 2])))
    return found


@program("gpytorch")
def gaussian_process() -> Any:
    import gpytorch as g
    import torch

    class Model(g.models.ApproximateGP):  # type: ignore[misc]
        def __init__(self, points: Any) -> None:
            found = g.variational.CholeskyVariationalDistribution(len(points))
            super().__init__(g.variational.VariationalStrategy(self, points, found, learn_inducing_locations=True))
            self.mean_module, self.covar_module = g.means.ConstantMean(), g.kernels.ScaleKernel(g.kernels.MaternKernel(2.5))

        def forward(self, x: Any) -> Any:
            return g.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    x = torch.linspace(0, 1, 16)
    model, likelihood = Model(x[::4].clone()), g.likelihoods.GaussianLikelihood()
    model.train(), likelihood.train()
    bound = g.mlls.VariationalELBO(likelihood, model, num_data=16)
    return losses(model, lambda i: -bound(model(x), torch.sin(6 * x)), torch.optim.Adam([*model.parameters(), *likelihood.parameters()], 0.05))


@program("pyro-ppl")
def variational_inference() -> Any:
    import pyro
    import pyro.distributions as d
    import torch
    from pyro.infer import SVI, Trace_ELBO
    from pyro.infer.autoguide import AutoMultivariateNormal

    x, y = torch.randn(12, 2), torch.randn(12)

    def model() -> None:
        weights = pyro.sample("w", d.Normal(torch.zeros(2), 1.0).to_event(1))
        scale = pyro.sample("s", d.LogNormal(0.0, 0.5))
        with pyro.plate("data", 12):
            pyro.sample("y", d.Normal(x @ weights, scale), obs=y)

    pyro.clear_param_store()
    step = SVI(model, AutoMultivariateNormal(model), pyro.optim.ClippedAdam({"lr": 0.02}), Trace_ELBO(num_particles=2))
    return [step.step() for _ in range(20)]


@program("lightning")
def lightning_autoencoder() -> Any:
    import lightning
    import torch

    class Lit(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.found = torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.GELU(), torch.nn.Linear(3, 8)), []

        def training_step(self, batch: Any, i: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[0])
            self.log("loss", loss)
            self.found.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), 0.02)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20), "interval": "step"}}

    model = Lit()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(40, 8)), 8, shuffle=True)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "devices": 1}
    lightning.Trainer(max_epochs=4, gradient_clip_val=0.5, accumulate_grad_batches=2, **options).fit(model, loader)
    return model.found


@program("accelerate")
def accelerate_loop() -> Any:
    import torch
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    set_seed(1)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(net.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=20)
    net, optimizer, loader, schedule = accelerator.prepare(net, optimizer, torch.utils.data.DataLoader(torch.randn(40, 4), 4, shuffle=True), schedule)
    found = []
    for _ in range(2):
        for x in loader:
            with accelerator.accumulate(net):
                loss = net(x).square().mean()
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(net.parameters(), 0.5)
                optimizer.step(), schedule.step(), optimizer.zero_grad()
            found.append(loss.item())
    return found


@program("diffusers")
def diffusion() -> Any:
    import torch
    from diffusers import DDIMScheduler, UNet2DConditionModel

    net = UNet2DConditionModel(
        sample_size=8, in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=8, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    schedule, image, text = DDIMScheduler(num_train_timesteps=10), torch.randn(2, 2, 8, 8), torch.randn(2, 4, 8)

    def step(i: int) -> Any:
        noise, when = torch.randn_like(image), torch.randint(0, 10, (2,))
        return torch.nn.functional.mse_loss(net(schedule.add_noise(image, noise, when), when, text).sample, noise)

    return losses(net, step)


@program("x-transformers")
def encoder_decoder() -> Any:
    from x_transformers import XTransformer

    model = XTransformer(dim=16, enc_num_tokens=20, enc_depth=1, enc_heads=2, enc_max_seq_len=8, dec_num_tokens=20, dec_depth=1, dec_heads=2, dec_max_seq_len=8)
    source, target = tokens(2, 6, 20), tokens(2, 7, 20)
    return losses(model, lambda i: model(source, target))


@program("torchvision")
def segmentation() -> Any:
    import torch
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    model, x, y = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3), torch.rand(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64))
    return losses(model, lambda i: torch.nn.functional.cross_entropy(model(x)["out"], y), None, 20)


@program("stable-baselines3")
def reinforcement() -> Any:
    from stable_baselines3 import A2C

    model = A2C("MlpPolicy", "CartPole-v1", n_steps=8, seed=0, device="cpu").learn(160)
    return [p.abs().mean() for p in model.policy.parameters()]


@program("kornia")
def registration() -> Any:
    import kornia
    import torch

    image = torch.nn.functional.interpolate(torch.rand(1, 1, 4, 4), (16, 16), mode="bicubic")
    angle = torch.nn.Parameter(torch.tensor([5.0]))
    target = kornia.geometry.rotate(image, torch.tensor([20.0]))
    holder = torch.nn.ParameterList([angle])
    return losses(holder, lambda i: (kornia.geometry.rotate(image, angle) - target).abs().mean(), torch.optim.Adam(holder.parameters(), 0.5))


@program("captum")
def attributions() -> Any:
    import torch
    from captum.attr import GradientShap, IntegratedGradients, LayerGradCam, Occlusion

    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 3))
    x = torch.rand(2, 1, 8, 8)
    found = [IntegratedGradients(net).attribute(x, target=1, n_steps=8), Occlusion(net).attribute(x, target=0, sliding_window_shapes=(1, 4, 4), strides=(1, 4, 4))]
    return [*found, GradientShap(net).attribute(x, baselines=torch.zeros(4, 1, 8, 8), target=2, n_samples=3), LayerGradCam(net, net[0]).attribute(x, target=1)]
