"""Images for TensorBoard: layouts, grids, figures, boxes, PNG and GIF."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary


def make_grid(images: np.ndarray, ncols: int = 8) -> np.ndarray:
    """Images (N, C, H, W) with 1 or 3 channels beside and below each other: (3, rows * H, columns * W). AssertionError otherwise."""
    if not isinstance(images, np.ndarray):
        raise AssertionError("plugin error, should pass numpy array here")
    if images.shape[1] == 1:
        images = np.repeat(images, 3, axis=1)
    if images.ndim != 4 or images.shape[1] != 3:
        raise AssertionError("Input should be a 4D numpy array with 3 channels")
    count, _, height, width = images.shape
    columns = min(count, ncols)
    rows = math.ceil(count / columns)
    full = np.zeros((rows * columns, 3, height, width), images.dtype)
    full[:count] = images
    return full.reshape(rows, columns, 3, height, width).transpose(2, 0, 3, 1, 4).reshape(3, rows * height, columns * width)


def to_hwc(array: np.ndarray, layout: str) -> np.ndarray:
    """An image (or a batch, as a grid) with dims named by ``layout`` as (H, W, 3). AssertionError when layout and array do not fit."""
    if len(set(layout)) != len(layout):
        raise AssertionError(f"You can not use the same dimension shorthand twice.             input_format: {layout}")
    if array.ndim != len(layout):
        raise AssertionError(
            f"size of input tensor and input format are different.         tensor shape: {array.shape}, input_format: {layout}"
        )
    layout = layout.upper()
    wanted = {4: "NCHW", 3: "HWC", 2: "HW"}[len(layout)]
    array = array.transpose([layout.find(dim) for dim in wanted])
    if wanted == "NCHW":
        return make_grid(array).transpose(1, 2, 0)
    if wanted == "HW":
        array = array[:, :, None]
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def to_bytes(array: np.ndarray) -> np.ndarray:
    """Pixels as uint8: uint8 as it is, anything else as values between 0 and 1."""
    scale = 1 if array.dtype == np.uint8 else 255
    return (array.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)


def png(pixels: np.ndarray, rescale: float = 1, boxes: np.ndarray | None = None, labels: list[str] | None = None) -> Summary.Image:
    """An image summary of (H, W, C) bytes, with boxes (xmin, ymin, xmax, ymax) drawn into it."""
    from PIL import Image

    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels)
    for i in range(0 if boxes is None else len(boxes)):
        _draw_box(picture, boxes[i], labels[i] if labels is not None else None)  # type: ignore[index]
    picture = picture.resize((int(width * rescale), int(height * rescale)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=stream.getvalue())


def _draw_box(picture: Any, box: Any, label: str | None) -> None:
    from PIL import ImageDraw, ImageFont

    left, top, right, bottom = (float(v) for v in box[:4])
    draw = ImageDraw.Draw(picture)
    draw.line([(left, top), (left, bottom), (right, bottom), (right, top), (left, top)], width=2, fill="Red")
    if label:
        font = ImageFont.load_default()
        x0, y0, x1, y1 = font.getbbox(label)
        margin = math.ceil(0.05 * (y1 - y0))
        draw.rectangle([(left, bottom - (y1 - y0) - 2 * margin), (left + x1 - x0, bottom)], fill="Red")
        draw.text((left + margin, bottom - (y1 - y0) - margin), label, fill="black", font=font)


def figure_to_image(figures: Any, close: bool = True) -> np.ndarray:
    """A matplotlib figure as bytes (3, H, W), or a list of them as (N, 3, H, W)."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def render(figure: Any) -> np.ndarray:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba(), np.uint8)[:, :, :3].transpose(2, 0, 1)
        if close:
            plt.close(figure)
        return pixels

    return np.stack([render(figure) for figure in figures]) if isinstance(figures, list) else render(figures)


def gif(frames: np.ndarray, fps: float) -> Summary.Image:
    """An image summary of (T, H, W, C) bytes as an animated GIF."""
    from PIL import Image

    _, height, width, channels = frames.shape
    pictures = [Image.fromarray(frame if channels == 3 else np.repeat(frame, 3, axis=2)) for frame in frames]
    stream = io.BytesIO()
    pictures[0].save(stream, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 / fps, loop=0)
    return Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=stream.getvalue())


def tile_videos(videos: np.ndarray) -> np.ndarray:
    """Videos (N, T, C, H, W) in one grid of a power of two: (T, rows * H, columns * W, C)."""
    count, length, channels, height, width = videos.shape
    if videos.dtype == np.uint8:
        videos = videos.astype(np.float32) / 255
    whole = 1 << (count - 1).bit_length()
    videos = np.concatenate([videos, np.zeros((whole - count, length, channels, height, width), videos.dtype)])
    rows = 2 ** ((count.bit_length() - 1) // 2)
    columns = whole // rows
    tiled = videos.reshape(rows, columns, length, channels, height, width).transpose(2, 0, 4, 1, 5, 3)
    return tiled.reshape(length, rows * height, columns * width, channels)
