"""Programs for a process that has only JAX."""

import contextlib
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
        for a, w in zip(jax.tree.leaves(found), jax.tree.leaves(wanted, is_leaf=lambda x: isinstance(x, torch.Tensor)), strict=True):
            np.testing.assert_allclose(a, w.detach().numpy(), rtol=1e-5, atol=1e-5)
    assert set(found) == {"logits", "mean"} if name == "language" else found.shape == (9, 3)


def test_weights_outside_and_other_platforms():
    model = nn.Linear(3, 2)
    exported = stablehlo(model, (torch.ones(1, 3),), dynamic_shapes=({0: b},), weights="outside", platforms=["cpu", "cuda", "tpu"])
    assert exported.platforms == ("cpu", "cuda", "tpu")
    doubled = {k: 2 * v.detach().numpy() for k, v in model.state_dict().items()}
    x = np.ones((5, 3), np.float32)
    np.testing.assert_allclose(exported.call(doubled, x), 2 * model(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", MODELS)  # convolution, linear layers, embeddings, attention
def test_lowered_for_a_platform_that_is_not_here(name, platform):
    make, shape, dims, kind = MODELS[name]
    exported = stablehlo(make().eval(), (torch.ones(3, *shape, dtype=kind),), dynamic_shapes=(dims,), platforms=[platform])
    assert exported.platforms == (platform,) and "stablehlo." in str(exported.mlir_module())
    assert "dot_general" in exported.mlir_module() and ("convolution" in exported.mlir_module() if shape[0] == 1 else "gather" in exported.mlir_module())


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
        stablehlo(type("M", (nn.Module,), {"forward": lambda self, x: torch.fft.rfft(x).abs()})(), (torch.ones(2, 8),), dynamic_shapes=({1: t},))


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


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.register_buffer("mask", torch.ones(32, 32).tril(), persistent=False)

    def forward(self, x, *, scale=None):
        n = x.shape[0]
        h = self.body(x)
        y = self.mask[:n, :n] @ h + torch.arange(n)[:, None]
        return {"y": y if scale is None else y * scale, "rest": [torch.cat([h[1:], h[:1]]).flatten().reshape(n, -1), 7]}


def test_exported_program(tmp_path):
    model = Blocks()
    ep = torch.export.export(model, (torch.ones(3, 4),), {"scale": torch.ones(())}, dynamic_shapes={"x": {0: Dim("n", min=2, max=32)}, "scale": None})
    assert [s.kind.name for s in ep.graph_signature.input_specs] == ["PARAMETER"] * 4 + ["BUFFER"] * 4 + ["USER_INPUT"] * 2
    assert set(ep.graph_signature.buffers_to_mutate.values()) == {f"body.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert list(ep.state_dict) == ["body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"]
    targets = [str(n.target) for n in ep.graph.nodes if n.op == "call_function"]
    assert {"aten.linear.default", "aten.relu.default", "aten.matmul.default", "aten.cat.default", "aten.sym_size.int"} <= set(targets), targets
    torch.export.save(ep, tmp_path / "p.pt2", extra_files={"note": "hello"})
    note = {"note": ""}
    program, again = ep.module(), torch.export.load(tmp_path / "p.pt2", extra_files=note).module()
    assert note["note"] == "hello"
    for n in (5, 8):
        x = torch.arange(4.0 * n).reshape(n, 4).sin()
        found, wanted = program(x, scale=torch.tensor(2.0)), model(x, scale=torch.tensor(2.0))
        assert torch.allclose(found["y"], wanted["y"]) and torch.allclose(found["rest"][0], wanted["rest"][0]) and found["rest"][1] == 7
        assert torch.allclose(again(x, scale=torch.tensor(2.0))["y"], wanted["y"])
    assert program.body._modules["1"].num_batches_tracked == 4  # the module's own buffer: two calls of each
    found["y"].sum().backward()
    assert model.body[0].weight.grad is not None
    for x in (torch.ones(1, 4), torch.ones(3, 5), torch.ones(3, 4).double()):
        with pytest.raises(AssertionError, match="Guard failed"):
            program(x, scale=torch.ones(()))


def test_export_refuses():
    with pytest.raises(ValueError, match="nn.Module"):
        torch.export.export(lambda x: x, (torch.ones(1),))
    with pytest.raises(RuntimeError, match="Constraints violated"):
        torch.export.export(nn.Linear(8, 2), (torch.ones(3, 8),), dynamic_shapes=({1: b},))
    with pytest.raises(RuntimeError, match="top-level keys"):
        torch.export.export(nn.Linear(8, 2), (torch.ones(3, 8),), dynamic_shapes={"x": {0: b}})
    with pytest.raises(RuntimeError, match="directly"):
        torch.export.export(nn.Linear(8, 2), (torch.ones(3, 8),))(torch.ones(3, 8))


def test_run_decompositions():
    relu = torch.ops.aten.relu.default
    ep = torch.export.export(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), (torch.ones(2, 3),))
    less = ep.run_decompositions({relu: lambda x: torch.clamp(x, min=0)})
    assert not any(n.target is relu for n in less.graph.nodes) and any(n.target is relu for n in ep.graph.nodes)
    x = torch.arange(6.0).reshape(2, 3) - 3
    assert torch.equal(less.module()(x), ep.module()(x))


class Returning(nn.Module):
    def __init__(self, fn) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return self.fn(x)


def test_sizes_among_the_results():
    """A size that was returned was the example's, for all calls."""
    n, m = Dim("n", max=100), Dim("m")
    model = Returning(lambda x: {"y": x * 2, "n": x.shape[0], "all": x.numel(), "rest": [7, "s", None]})
    ep = torch.export.export(model, (torch.ones(6, 4),), dynamic_shapes=({0: n, 1: m},))
    assert [type(s.arg).__name__ for s in ep.graph_signature.output_specs] == ["TensorArgument", "SymIntArgument", "SymIntArgument", "ConstantArgument", "ConstantArgument", "ConstantArgument"]
    found = ep.module()(torch.ones(3, 5))
    assert found["y"].shape == (3, 5) and (found["n"], found["all"], found["rest"]) == (3, 15, [7, "s", None])
    with pytest.raises(NotImplementedError, match="size"):
        stablehlo(model, (torch.ones(6, 4),), dynamic_shapes=({0: n, 1: m},))


@pytest.mark.parametrize("least, most, taken", [(2, 10, False), (5, 10, True), (None, None, False), (2, 4, True)])
def test_what_is_done_at_the_ends_counts(least, most, taken):
    """The example and the sizes beside it all went one way."""
    model, dims = Returning(lambda x: x * 2 if x.shape[0] > 4 else x + 1), {0: Dim("n", min=least, max=most)}
    example = (torch.ones(3 if most == 4 else 6, 4),)
    if taken:
        torch.export.export(model, example, dynamic_shapes=(dims,))
    else:
        with pytest.raises(RuntimeError, match="something else"):
            torch.export.export(model, example, dynamic_shapes=(dims,))


def test_what_is_too_small_for_a_kernel_may_stay_unsaid():
    ep = torch.export.export(Returning(lambda x: nn.functional.conv1d(x, torch.ones(2, 2, 3))), (torch.ones(3, 2, 8),), dynamic_shapes=({0: b, 2: t},))
    assert ep.module()(torch.ones(2, 2, 5)).shape == (2, 2, 3)


def test_modules_that_raise_or_are_scripted_belong_to_their_callers() -> None:
    import jtorch.jit  # noqa: F401

    class Raises(nn.Module):
        def forward(self, x):
            raise ValueError

    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right, self.scripted = nn.Sequential(Raises()), nn.Linear(2, 2), torch.jit.script(nn.Linear(2, 2))

        def forward(self, x):
            with contextlib.suppress(ValueError):
                self.wrong(x)
            return self.scripted(self.right(x))

    net, x = Catches(), torch.ones(1, 2)
    made = torch.export.unflatten(torch.export.export(net, (x,)))
    assert [str(n.target) for n in made.graph.nodes if n.op == "call_module"] == ["right"]
    assert torch.equal(made(x), net(x)) and not net.right._forward_hooks
