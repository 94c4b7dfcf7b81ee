"""Files of the embedding projector."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorboard.compat import tf
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo

from ._convert_np import make_np
from ._images import make_grid


def join(folder: str, name: str) -> str:
    """A path below a folder, local or of any file system that TensorBoard reads."""
    files = tf.io.gfile
    return files.join(folder, name) if hasattr(files, "join") else files.get_filesystem(folder).join(folder, name)


def write(path: str, data: bytes) -> None:
    """A whole file."""
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(data)


def write_metadata(metadata: Sequence[Any], folder: str, header: Sequence[str] | None) -> None:
    """Labels, one a line; with a header, columns. AssertionError when their numbers differ."""
    if header:
        if len(header) != len(metadata[0]):
            raise AssertionError("len of header must be equal to the number of columns in metadata")
        lines = ["\t".join(str(cell) for cell in row) for row in [header, *metadata]]
    else:
        lines = [str(label) for label in metadata]
    write(join(folder, "metadata.tsv"), ("\n".join(lines) + "\n").encode())


def write_sprite(images: Any, folder: str) -> None:
    """All images (N, C, H, W) in one square picture."""
    from PIL import Image

    grid = make_grid(make_np(images), ncols=math.ceil(images.shape[0] ** 0.5)).transpose(1, 2, 0)
    square = np.zeros((grid.shape[1], grid.shape[1], 3))
    square[: grid.shape[0]] = grid
    stream = io.BytesIO()
    Image.fromarray((square * 255).clip(0, 255).astype(np.uint8)).save(stream, format="PNG")
    write(join(folder, "sprite.png"), stream.getvalue())


def write_vectors(matrix: np.ndarray, folder: str) -> None:
    """One point a line."""
    write(join(folder, "tensors.tsv"), "".join("\t".join(str(x.item()) for x in row) + "\n" for row in matrix).encode())


def info(metadata: Any, images: Any, folder: str, step: int, tag: str) -> EmbeddingInfo:
    """The entry of the projector's configuration."""
    made = EmbeddingInfo(tensor_name=f"{tag}:{str(step).zfill(5)}", tensor_path=join(folder, "tensors.tsv"))
    if metadata is not None:
        made.metadata_path = join(folder, "metadata.tsv")
    if images is not None:
        made.sprite.image_path = join(folder, "sprite.png")
        made.sprite.single_image_dim.extend([images.shape[3], images.shape[2]])
    return made
