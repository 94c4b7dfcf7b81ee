"""``help()`` of every public function and method says what it takes and what it does."""

import inspect

import pytest

import jtorch as torch

# Replaced as a whole by torch.jit.
DECLINED = {"ScriptFunction"}
SPACES = {"torch": torch, "Tensor": torch.Tensor, "nn.functional": torch.nn.functional, "linalg": torch.linalg, "fft": torch.fft, "special": torch.special}


def functions(space):
    for name in sorted(dir(space)):
        found = getattr(space, name, None)
        if not name.startswith("_") and callable(found) and not inspect.isclass(found) and not inspect.ismodule(found):
            yield name, found


@pytest.mark.parametrize("space", SPACES)
def test_documented(space):
    silent = [name for name, fn in functions(SPACES[space]) if not (fn.__doc__ or "").strip()]
    assert not silent, f"no docstring: {silent}"


@pytest.mark.parametrize("space", SPACES)
def test_signature(space):
    # What torch itself publishes so, and what is declined whatever it is given.
    loose = {"einsum", "new", "random_", "uniform_", "type", "load", "eig", "lstsq", "solve", "symeig", "sparse_coo_tensor"} | DECLINED
    vague = [name for name, fn in functions(SPACES[space]) if name not in loose and "autocast" not in name and not {"*args", "**kwargs"}.isdisjoint(map(_name, inspect.signature(fn).parameters.values()))]
    assert not vague, f"says *args or **kwargs: {vague}"


def _name(p):
    return {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name


@pytest.mark.parametrize("space", SPACES)
def test_torchs_page_is_named(space):
    own = {"install", "installed", "uninstall", "load_ipython_extension"}
    without = [name for name, fn in functions(SPACES[space]) if name not in own | DECLINED and "Source:" not in fn.__doc__]
    assert not without, f"no word on where torch describes it: {without}"


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (torch.clamp, ["clamp(Tensor input, Number min = None", "broadcast to one shape", "one type", "``out``: written", "In place: ``clamp_``", "RuntimeError for shapes", "torch.clamp.html"]),
        (torch.Tensor.sqrt, ["the result's is the input's", "integers and bools give the default float type", "torch.Tensor.sqrt.html"]),
        (torch.Tensor.add_, ["written into the first tensor", "a result that this tensor cannot hold", "torch.Tensor.add_.html"]),
        (torch.sort, ["(a tuple)", "fit none of these", "IndexError for a dim that is not there"]),
        (torch.gather, ["values out of range"]),
        (torch.transpose, ["is a view"]),
        (torch.bincount, ["No gradient."]),
        (torch.special.erf, ["special.html#torch.special.erf"]),
        (torch.nn.Linear, ["generated/torch.nn.Linear.html"]),
        (torch.einsum, ["generated/torch.einsum.html"]),
    ],
)
def test_what_a_declaration_says_is_told(fn, said):
    text = " ".join(fn.__doc__.split())
    assert not [words for words in said if words not in text]


def test_what_is_shown():
    assert str(inspect.signature(torch.Tensor.clamp)).startswith("(self, min: 'Tensor | None | Number' = None, max:")
    assert list(inspect.signature(torch.add).parameters) == ["input", "other", "alpha", "out"]
    assert inspect.signature(torch.topk).return_annotation == "torch.return_types.topk"
    assert "dim" in inspect.signature(torch.sum).parameters
