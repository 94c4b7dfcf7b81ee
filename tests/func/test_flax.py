"""Modules of flax and of jtorch in one another, modules as pytrees, checkpoints of orbax. Expectations are flax's and optax's own results."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jtorch as torch
from jtorch.func import to_jax, to_torch
from jtorch.interop.flax import FlaxModule, LinenModule, NnxModule, flat, nested

X = np.arange(15, dtype=np.float32).reshape(5, 3) / 15


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))


def test_in_linen():
    inner = net()

    class Outer(linen.Module):
        @linen.compact
        def __call__(self, x, train=False):
            return linen.Dense(1)(LinenModule(inner)(x, train=train))

    model = Outer()
    variables = jax.jit(model.init)(jax.random.key(0), X)
    state = flax.serialization.to_state_dict(variables["params"]["LinenModule_0"])
    assert jax.tree.all(jax.tree.map(np.array_equal, state, nested(dict(inner.named_parameters()))))

    @jax.jit
    def loss(params, key):
        out, new = model.apply({**variables, "params": params}, X, train=True, rngs={"dropout": key}, mutable=["buffers"])
        return (out**2).sum(), new

    (a, new), grads = jax.value_and_grad(loss, has_aux=True)(variables["params"], jax.random.key(1))
    assert new["buffers"]["LinenModule_0"]["1"]["num_batches_tracked"] == 1 and inner[1].num_batches_tracked == 0
    assert np.abs(grads["LinenModule_0"]["0"]["weight"]).sum() > 0 and a != loss(variables["params"], jax.random.key(2))[0]
    doubled = jax.tree.map(lambda x: 2 * x, variables["params"]["LinenModule_0"])
    missing = inner.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in flat(doubled).items()}, strict=False)
    assert not missing.unexpected_keys and torch.equal(inner[0].weight, torch.from_numpy(np.array(doubled["0"]["weight"])))


@pytest.mark.slow
def test_in_nnx():
    class Outer(nnx.Module):
        def __init__(self, rngs):
            self.encoder, self.head = NnxModule(net(), rngs=rngs), nnx.Linear(2, 1, rngs=rngs)

        def __call__(self, x):
            return self.head(self.encoder(x))

    model = Outer(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(1e-1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, grads = nnx.value_and_grad(lambda m: (m(X) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    before = np.array(model.encoder.weights["0"]["weight"][...])
    for _ in range(2):
        step(model, optimizer)
    assert model.encoder.buffers["1"]["num_batches_tracked"][...] == 2 and not np.array_equal(before, model.encoder.weights["0"]["weight"][...])
    model.eval()
    run = nnx.jit(lambda m: m(X))
    assert np.array_equal(run(model), run(model))
    model.train()
    assert not np.array_equal(run(model), run(model))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(4)(x))
        return linen.Dense(1)(linen.Dropout(0.5, deterministic=not train)(x))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.a, self.norm, self.drop, self.b = nnx.Linear(3, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.b(self.drop(self.norm(self.a(x))))


@pytest.mark.parametrize("kind", ["linen", pytest.param("nnx", marks=pytest.mark.slow)])
def test_flax_as_a_module(kind):
    x = torch.from_numpy(X)
    original = Linen() if kind == "linen" else Nnx(nnx.Rngs(0))
    model = FlaxModule(original, x) if kind == "linen" else FlaxModule(original)
    mean = "batch_stats.BatchNorm_0.mean" if kind == "linen" else "norm.mean"
    model.eval()
    if kind == "linen":
        wanted = jax.jit(original.apply)(model.variables(), X)
    else:
        original.eval()
        wanted = original(X)
    np.testing.assert_allclose(model(x).detach().numpy(), wanted, rtol=1e-5, atol=1e-6)
    model.train()
    assert not torch.equal(model(x), model(x)) and model.state_dict()[mean].any()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = [p.detach().clone() for p in model.parameters()]
    model(x).square().mean().backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    if kind == "linen":
        model.load_variables(jax.tree.map(jnp.zeros_like, model.variables()))
        assert not model.eval()(x).any()


def test_a_module_is_a_tree():
    model, other = net().eval(), net().eval()
    traces = []

    @jax.jit
    def f(m, x):
        traces.append(1)
        return to_jax(m(to_torch(x)).sum()), m

    _, back = f(model, X)
    f(back, X)
    f(other, X)
    assert len(traces) == 1 and type(back) is torch.nn.Sequential and torch.equal(back[0].weight, model[0].weight)
    f(other.train(False).requires_grad_(False), X)
    assert len(traces) == 2
    linear = torch.nn.Linear(3, 2)
    grads = jax.grad(lambda m: to_jax(m(to_torch(X)).sum()))(linear)
    tx = optax.sgd(0.5)
    updates, _ = tx.update(grads, tx.init(linear), linear)
    new = optax.apply_updates(linear, updates)
    np.testing.assert_allclose(new.weight.detach().numpy(), linear.weight.detach().numpy() - 0.5 * X.sum(0), rtol=1e-5)


@pytest.mark.parametrize("leaf", [None, True, 1, "name", jax.sharding.PartitionSpec(), jnp.zeros(2, "int32")], ids=lambda x: type(x).__name__)
def test_a_tree_of_other_things_beside_a_module(leaf):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    model.tied = model[0]  # one leaf, and one place
    leaves, structure = jax.tree.flatten(model)
    assert len(leaves) == 7
    other = jax.tree.map(lambda _: leaf, model)
    found, of = jax.tree.flatten(other, is_leaf=lambda x: x is None)
    assert of == structure and len(found) == 7 and all(x is leaf for x in found)
    back = jax.tree.map(lambda _, x: x, other, model, is_leaf=lambda x: x is None)
    assert isinstance(back[0].weight, torch.nn.Parameter) and back.tied is back[0] and jax.tree.structure(back) == structure


def test_trees_that_jax_and_optax_make_of_a_module():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    assert jax.tree.structure(jax.eval_shape(lambda m: m, model)) == jax.tree.structure(model)
    grads = jax.grad(lambda m: sum(jnp.sum(x) for x in jax.tree.leaves(m)), allow_int=True)(model)
    assert jax.tree.leaves(grads)[-1].dtype == jax.dtypes.float0
    mask = jax.tree.map(lambda x: x.ndim > 1, model)
    tx = optax.masked(optax.sgd(0.5), lambda _: mask)  # a module can be called, and so can a mask: optax would call it
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, model), tx.init(model), model)
    assert (updates[0].weight == -0.5).all() and (updates[0].bias == 1).all()


@pytest.mark.slow
def test_orbax(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="the extra `orbax` is not installed")
    from jtorch.interop import orbax

    model, other = net(), net()
    optimizers = [torch.optim.Adam(m.parameters(), 1e-2) for m in (model, other)]
    model(torch.from_numpy(X)).sum().backward()
    optimizers[0].step()
    orbax.save(tmp_path / "c", model, optimizers[0])
    orbax.restore(tmp_path / "c", other, optimizers[1])
    for k, v in model.state_dict().items():
        assert torch.equal(v, other.state_dict()[k]), k
    a, b = (o.state_dict() for o in optimizers)
    assert torch.equal(a["state"][0]["exp_avg"], b["state"][0]["exp_avg"]) and a["param_groups"] == b["param_groups"]


@pytest.mark.slow
def test_a_flax_module_through_orbax_and_a_state_dict(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="the extra `orbax` is not installed")
    from jtorch.interop import orbax

    class Inner(linen.Module):
        @linen.compact
        def __call__(self, x, train: bool = False):
            return linen.Dense(2)(linen.BatchNorm(use_running_average=not train)(linen.Dense(4)(x)))

    x = torch.from_numpy(X)

    def made(seed):
        torch.manual_seed(seed)
        return torch.nn.Sequential(FlaxModule(Inner(), x), torch.nn.Linear(2, 1))

    first, second, third = made(0), made(1), made(2)
    optimizers = [torch.optim.SGD(m.parameters(), 0.1, momentum=0.9) for m in (first, second)]
    first.train()
    first(x).square().sum().backward()
    optimizers[0].step()
    orbax.save(tmp_path / "c", first, optimizers[0])
    orbax.restore(tmp_path / "c", second, optimizers[1])
    torch.save(second.state_dict(), tmp_path / "s.pt")
    missing = third.load_state_dict(torch.load(tmp_path / "s.pt"))
    assert not missing.missing_keys and not missing.unexpected_keys
    wanted = first.eval()(x)
    assert torch.equal(second.eval()(x), wanted) and torch.equal(third.eval()(x), wanted)
    # what flax itself computes of the variables that came along
    variables = third[0].variables()
    np.testing.assert_allclose(np.asarray(Inner().apply(variables, X)), to_jax(third[0](x)), rtol=1e-6)
    assert any(float(np.abs(v).sum()) > 0 for k, v in flat(variables).items() if k.endswith("mean"))
    for a, b in zip(*(o.state_dict()["state"].values() for o in optimizers), strict=True):
        assert torch.equal(a["momentum_buffer"], b["momentum_buffer"])


def test_there_and_back_again_and_names_that_modules_use(x=np.ones((2, 3), "f")) -> None:
    """A jtorch module in a flax model as a jtorch module: its collection is called ``buffers``, as a method of modules is."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x, train=True):
            half = self.param("half", linen.initializers.ones, (2,), "float32")
            return half * LinenModule(net, name="type")(x, train=train)

    back = FlaxModule(Model(), x)
    assert {"half", "type.0.weight", "type.1.weight"} < set(dict(back.named_parameters())) and "buffers.type.1.running_mean" in back.state_dict()
    assert torch.equal(back.eval()(torch.tensor(x)), net.eval()(torch.tensor(x)))
    back.load_state_dict(back.state_dict())
    back.train()(torch.tensor(x)).sum().backward()
    assert all(p.grad is not None for p in back.parameters())
