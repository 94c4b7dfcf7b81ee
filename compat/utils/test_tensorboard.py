"""The same calls of SummaryWriter over both libraries; the events that TensorBoard would read must be equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.tensorboard
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import jtorch
import jtorch.utils.tensorboard


def events(lib: Any, folder: Path, calls: Any) -> list[bytes]:
    with lib.utils.tensorboard.SummaryWriter(str(folder), purge_step=2) as writer:
        calls(lib, writer)
    found = []
    for path in sorted(folder.rglob("events.*")):
        for event in EventFileLoader(str(path)).Load():
            event.wall_time = 0
            event.source_metadata.Clear()
            found.append((str(path.parent.relative_to(folder)), event.SerializeToString(deterministic=True)))
    return found


RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=1000).astype(np.float32)
IMAGES = RNG.random((5, 3, 8, 6)).astype(np.float32)
POINTS = RNG.random((1, 4, 3)).astype(np.float32)

CALLS = {
    "scalar": lambda lib, w: [w.add_scalar("a", v, i) for i, v in enumerate((1, 2.5, np.float64(3), lib.tensor(4.0), lib.ones(1, 1)))],
    "new_style": lambda lib, w: (w.add_scalar("a", 1.1, 3, new_style=True), w.add_scalar("b", 1.1, new_style=True, double_precision=True)),
    "scalars": lambda lib, w: w.add_scalars("x/y", {"a": 1, "b": lib.tensor(2)}, 5),
    "histogram": lambda lib, w: (w.add_histogram("a", lib.from_numpy(VALUES), 1), w.add_histogram("b", VALUES, bins="auto"),
                                 w.add_histogram("c", lib.arange(10), max_bins=7), w.add_histogram("d", lib.zeros(3)),
                                 w.add_histogram("e", lib.ones(3).to(lib.bfloat16), bins=np.linspace(0, 2, 11), max_bins=4)),
    "histogram_raw": lambda lib, w: w.add_histogram_raw("a", 0, 3, 4, 6, 14, [1, 2, 3], [1, 1, 2], 7),
    "image": lambda lib, w: (w.add_image("a", lib.from_numpy(IMAGES[0])), w.add_image("b", IMAGES[0, 0], dataformats="HW"),
                             w.add_image("c", (IMAGES[0].transpose(1, 2, 0) * 255).astype(np.uint8), dataformats="HWC"),
                             w.add_image("d", IMAGES[0, :1])),
    "images": lambda lib, w: (w.add_images("a", IMAGES), w.add_images("b", IMAGES.transpose(0, 2, 3, 1), dataformats="NHWC"),
                              w.add_images("c", IMAGES[:, :1])),
    "boxes": lambda lib, w: w.add_image_with_boxes("a", IMAGES[0], np.array([[1, 1, 4, 5]])),
    "audio": lambda lib, w: w.add_audio("a", lib.from_numpy(VALUES / 5), 3),
    "text": lambda lib, w: w.add_text("a", "some *text*", 3),
    "tensor": lambda lib, w: [w.add_tensor(t, lib.ones(2, 3).to(getattr(lib, t)), 1) for t in ("float32", "float16", "float64", "int64", "complex64")],
    "pr_curve": lambda lib, w: (w.add_pr_curve("a", RNG2().integers(2, size=100), RNG2().random(100), 1),
                                w.add_pr_curve("b", lib.tensor([0, 1, 1]), lib.tensor([0.1, 0.6, 0.9]), num_thresholds=10),
                                w.add_pr_curve_raw("c", *np.arange(18.0).reshape(6, 3), num_thresholds=3)),
    "custom": lambda lib, w: (w.add_custom_scalars_multilinechart(["a", "b"]), w.add_custom_scalars_marginchart(["a", "b", "c"]),
                              w.add_custom_scalars({"k": {"t": ["Multiline", ["a"]], "u": ["Margin", ["a", "b", "c"]]}})),
    "mesh": lambda lib, w: w.add_mesh("a", lib.from_numpy(POINTS), colors=lib.from_numpy(POINTS), config_dict={"x": 1}, global_step=1),
    "hparams": lambda lib, w: w.add_hparams({"lr": 0.1, "n": 3, "s": "x", "b": True, "none": None}, {"acc": lib.tensor(0.5)},
                                            hparam_domain_discrete={"lr": [0.1, 0.2], "s": ["x", "y"]}, run_name="run"),
}  # fmt: skip


def RNG2() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("name", CALLS)
def test_events(name: str, tmp_path: Path) -> None:
    theirs, ours = (events(lib, tmp_path / lib.__name__, CALLS[name]) for lib in (torch, jtorch))
    assert len(theirs) > 3 and theirs == ours


def test_embedding(tmp_path: Path) -> None:
    for lib in (torch, jtorch):
        with lib.utils.tensorboard.SummaryWriter(str(tmp_path / lib.__name__)) as writer:
            matrix = lib.from_numpy(VALUES[:20].reshape(5, 4))
            writer.add_embedding(matrix, ["a", "b", "c", "d", "e"], lib.from_numpy(IMAGES), 3, "t/x")
            writer.add_embedding(matrix, [["a", 1]] * 5, metadata_header=["x", "y"])
    files = {p.relative_to(tmp_path / "torch") for p in (tmp_path / "torch").rglob("*") if p.is_file() and "events" not in p.name}
    assert len(files) == 6
    for path in files:
        assert (tmp_path / "torch" / path).read_bytes() == (tmp_path / "jtorch" / path).read_bytes(), path


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, w: w.add_scalar("a", lib.ones(2)),
        lambda lib, w: w.add_scalar("a", "text"),
        lambda lib, w: w.add_histogram("a", lib.ones(0)),
        lambda lib, w: w.add_image("a", lib.ones(2, 3)),
        lambda lib, w: w.add_image("a", lib.ones(2, 3, 4), dataformats="CCH"),
        lambda lib, w: w.add_histogram_raw("a", 0, 0, 0, 0, 0, [1], [1, 2]),
        lambda lib, w: w.add_hparams([], {}),
        lambda lib, w: w.add_hparams({"a": [1]}, {}),
        lambda lib, w: w.add_custom_scalars_marginchart(["a"]),
        lambda lib, w: w.add_embedding(lib.ones(2, 2), ["a"]),
    ],
)
def test_errors(call: Any, tmp_path: Path) -> None:
    found = []
    for lib in (torch, jtorch):
        with lib.utils.tensorboard.SummaryWriter(str(tmp_path)) as writer, pytest.raises(Exception) as caught:  # noqa: PT011
            call(lib, writer)
        found.append((caught.type, str(caught.value)))
    assert found[0][0] is found[1][0]
    assert found[0][1].replace("'torch.Tensor'", "T") == found[1][1].replace("'jtorch.Tensor'", "T")


def nodes(lib: Any, folder: Path) -> dict[str, Any]:
    class Net(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = lib.nn.Parameter(lib.ones(2, 1))
            self.b = lib.nn.Parameter(lib.zeros(1, 1))
            self.layers = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.ReLU())

        def forward(self, x: Any) -> Any:
            return x @ self.w + self.b + self.layers(x).sum()

    with lib.utils.tensorboard.SummaryWriter(str(folder / lib.__name__)) as writer:
        writer.add_graph(Net(), lib.ones(10, 2))
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    for path in (folder / lib.__name__).glob("events.*"):
        for event in EventFileLoader(str(path)).Load():
            if event.graph_def:
                return {n.name: n for n in GraphDef.FromString(event.graph_def).node}
    raise AssertionError("no graph")


def test_graph(tmp_path: Path) -> None:
    theirs, ours = (nodes(lib, tmp_path) for lib in (torch, jtorch))

    def shape(node: Any) -> Any:
        return [[d.size for d in s.dim] for s in node.attr["_output_shapes"].list.shape]

    def kinds(found: dict[str, Any]) -> Any:
        return sorted((name.rpartition("/")[0], n.op, shape(n)) for name, n in found.items() if n.op.startswith("aten"))

    assert kinds(theirs) == kinds(ours)
    for name in ("input/x", "output/output.1", "Net/w/w", "Net/layers/weight/weight".replace("layers", "Sequential[layers]/Linear[0]")):
        assert name in theirs and name in ours and theirs[name].op == ours[name].op
    for node in ours.values():
        assert all(source in ours for source in node.input)
