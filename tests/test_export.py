"""Programs for a process that has only JAX."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import jtorch as torch
from jtorch.export import Dim, stablehlo

nn = torch.nn
b, t = Dim("b"), Dim("t", max=30)


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.layer, self.out = nn.Embedding(8, 4), nn.Embedding(32, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Linear(4, 8)

    def forward(self, x):
        h = self.words(x) + self.places(torch.arange(x.shape[1]))
        return {"logits": self.out(self.layer(h)), "mean": h.sum((0, 1)) / x.shape[1]}


MODELS = {
    "conv and flatten": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8), {0: b}, torch.float32),
    "language": (Language, (6,), {0: b, 1: t}, torch.int64),
}


@pytest.mark.parametrize("name", MODELS)
def test_one_program_for_all_sizes(name):
    make, shape, dims, kind = MODELS[name]
    model = make().eval()
    exported = stablehlo(model, (torch.ones(3, *shape, dtype=kind),), dynamic_shapes=(dims,))
    for size in (9,):
        x = torch.arange(size * int(np.prod(shape))).reshape(size, *shape).remainder(7).to(kind)
        x = x if len(dims) == 1 else x.repeat(1, 2)
        found, wanted = exported.call(x.numpy()), model(x)
        for a, w in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, w.detach().numpy(), rtol=1e-5, atol=1e-5)
    assert set(found) == {"logits", "mean"} if name == "language" else found.shape == (9, 3)


def test_weights_outside_and_other_platforms():
    model = nn.Linear(3, 2)
    exported = stablehlo(model, (torch.ones(1, 3),), dynamic_shapes=({0: b},), weights="outside", platforms=["cpu", "cuda", "tpu"])
    assert exported.platforms == ("cpu", "cuda", "tpu")
    doubled = {k: 2 * v.detach().numpy() for k, v in model.state_dict().items()}
    x = np.ones((5, 3), np.float32)
    np.testing.assert_allclose(exported.call(doubled, x), 2 * model(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)


def test_what_is_not_one_program():
    class Branches(nn.Module):
        def forward(self, x):
            return x + 1 if x.shape[0] > 6 else x * 2

    with pytest.raises(ValueError, match="something else"):
        stablehlo(Branches(), (torch.ones(3),), dynamic_shapes=({0: b},))
    with pytest.raises(RuntimeError, match="eval"):
        stablehlo(nn.BatchNorm1d(3), (torch.ones(4, 3),))
    with pytest.raises(RuntimeError, match="looked at"):
        stablehlo(nn.Sequential(nn.Identity(), type("M", (nn.Module,), {"forward": lambda self, x: x * x.sum().item()})()), (torch.ones(3),))
    with pytest.raises(ValueError, match="for some sizes|for one size"):
        stablehlo(nn.Upsample(scale_factor=2, mode="bilinear"), (torch.ones(1, 1, 4, 4),), dynamic_shapes=({2: t},))


def test_a_process_that_has_only_jax(tmp_path):
    pytest.importorskip("flatbuffers", reason="jax.export writes files with flatbuffers (the extra `export`)")
    model = MODELS["conv and flatten"][0]().eval()
    x = torch.ones(5, 1, 8, 8)
    (tmp_path / "model").write_bytes(stablehlo(model, (torch.ones(3, 1, 8, 8),), dynamic_shapes=({0: b},)).serialize())
    code = """
import sys, jax.export, numpy as np
run = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
print(np.asarray(run.call(np.ones((5, 1, 8, 8), np.float32))).tolist())
assert not any(name.split(".")[0] in ("jtorch", "torch") for name in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(np.array(eval(out.stdout)), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)
