"""Summary protocol buffers of each kind that TensorBoard's plugins read."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from jtorch._public import torch

from . import _images
from ._convert_np import make_np

_MAX_THRESHOLDS = 127  # what the plugin can show


def _shape(sizes: Any) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def _metadata(plugin: str, content: bytes = b"") -> SummaryMetadata:
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content))


def _one(tag: str, **value: Any) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, **value)])


def scalar(name: str, tensor: Any, collections: Any = None, new_style: bool = False, double_precision: bool = False) -> Summary:
    """One number. AssertionError when there are several."""
    array = make_np(tensor).squeeze()
    if array.ndim != 0:
        raise AssertionError(
            f"Tensor should contain one element (0 dimensions).             Was given size: {array.size} and {array.ndim} dimensions."
        )
    number = float(array)
    if not new_style:
        return _one(name, simple_value=number)
    if double_precision:
        proto = TensorProto(double_val=[number], dtype="DT_DOUBLE")
    else:
        proto = TensorProto(float_val=[number], dtype="DT_FLOAT")
    return _one(name, tensor=proto, metadata=_metadata("scalars"))


def _elements(tensor: Any) -> list[Any]:
    return tensor.flatten().tolist()


def _bits(tensor: Any) -> list[int]:
    # The form that torch writes: halves as the bits of the same number in float32.
    return np.asarray(_elements(tensor), np.float32).view(np.int32).tolist()


def _parts(tensor: Any) -> list[float]:
    return torch.view_as_real(tensor).flatten().tolist()


_FIELDS: dict[str, tuple[str, str, Callable[[Any], list[Any]]]] = {
    "float16": ("DT_HALF", "half_val", _bits), "bfloat16": ("DT_BFLOAT16", "half_val", _bits), "float32": ("DT_FLOAT", "float_val", _elements),
    "float64": ("DT_DOUBLE", "double_val", _elements), "int8": ("DT_INT8", "int_val", _elements), "int16": ("DT_INT16", "int_val", _elements),
    "int32": ("DT_INT32", "int_val", _elements), "int64": ("DT_INT64", "int64_val", _elements), "uint8": ("DT_UINT8", "uint32_val", _elements),
    "bool": ("DT_BOOL", "bool_val", _elements), "complex64": ("DT_COMPLEX64", "scomplex_val", _parts),
    "complex128": ("DT_COMPLEX128", "dcomplex_val", _parts),
}  # fmt: skip


def tensor_proto(tag: str, tensor: Any) -> Summary:
    """A tensor of any shape. ValueError above two gigabytes or for types that the format has not."""
    if tensor.numel() * tensor.element_size() >= 1 << 31:
        raise ValueError("tensor is bigger than protocol buffer's hard limit of 2GB in size")
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _FIELDS:
        raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
    kind, field, convert = _FIELDS[name]
    proto = TensorProto(dtype=kind, tensor_shape=_shape(tensor.shape), **{field: convert(tensor)})
    return _one(tag, metadata=_metadata("tensor"), tensor=proto)


def histogram_raw(
    name: str, min: float, max: float, num: float, sum: float, sum_squares: float, bucket_limits: Any, bucket_counts: Any
) -> Summary:
    """A histogram of given counts; ``bucket_limits`` are the buckets' right ends."""
    proto = HistogramProto(min=min, max=max, num=num, sum=sum, sum_squares=sum_squares, bucket_limit=bucket_limits, bucket=bucket_counts)
    return _one(name, histo=proto)


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Summary:
    """The distribution of values."""
    return _one(name, histo=make_histogram(make_np(values).astype(float), bins, max_bins))


def make_histogram(values: np.ndarray, bins: Any, max_bins: int | None = None) -> HistogramProto:
    """Counts in bins, without the empty ones at both ends. ValueError when there are no values, or none in the bins."""
    if values.size == 0:
        raise ValueError("The input has no element.")
    values = values.reshape(-1)
    counts, edges = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        if rest := len(counts) % step:
            counts = np.concatenate([counts, np.zeros(step - rest, counts.dtype)])
        counts = counts.reshape(-1, step).sum(axis=1)
        edges = np.append(edges[:-1:step], edges[-1])
    filled = np.flatnonzero(counts)
    if not len(filled):
        raise ValueError("The histogram is empty, please file a bug report.")
    first, last = filled[0], filled[-1]
    # TensorBoard draws a bucket from the limit before it, so an empty one stands to the left of the first.
    return HistogramProto(
        min=values.min(), max=values.max(), num=len(values), sum=values.sum(), sum_squares=values.dot(values),
        bucket_limit=edges[first : last + 2].tolist(), bucket=[0, *counts[first : last + 1].tolist()],
    )  # fmt: skip


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Summary:
    """An image, or a batch of them as a grid."""
    return _one(tag, image=_images.png(_images.to_bytes(_images.to_hwc(make_np(tensor), dataformats)), rescale))


def image_boxes(
    tag: str, tensor_image: Any, tensor_boxes: Any, rescale: float = 1, dataformats: str = "CHW", labels: list[str] | None = None
) -> Summary:
    """An image with boxes drawn into it."""
    pixels = _images.to_bytes(_images.to_hwc(make_np(tensor_image), dataformats))
    return _one(tag, image=_images.png(pixels, rescale, make_np(tensor_boxes), labels))


def video(tag: str, tensor: Any, fps: float = 4) -> Summary:
    """Videos (N, T, C, H, W) as one animated GIF."""
    return _one(tag, image=_images.gif(_images.to_bytes(_images.tile_videos(make_np(tensor))), fps))


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Summary:
    """A sound of one channel with values in [-1, 1], as a WAV file. AssertionError when it has more dims."""
    array = make_np(tensor).squeeze()
    if np.abs(array).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        array = array.clip(-1, 1)
    if array.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    samples = (array * np.iinfo(np.int16).max).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.data)
    proto = Summary.Audio(
        sample_rate=sample_rate, num_channels=1, length_frames=samples.shape[-1], encoded_audio_string=stream.getvalue(), content_type="audio/wav"
    )  # fmt: skip
    return _one(tag, audio=proto)


def text(tag: str, text: str) -> Summary:
    """A text, in Markdown."""
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

    proto = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=_shape([1]))
    return _one(tag + "/text_summary", metadata=_metadata("text", TextPluginData(version=0).SerializeToString()), tensor=proto)


def pr_curve_raw(
    tag: str, tp: Any, fp: Any, tn: Any, fn: Any, precision: Any, recall: Any, num_thresholds: int = _MAX_THRESHOLDS, weights: Any = None
) -> Summary:
    """A precision-recall curve of given counts."""
    return _pr_curve(tag, np.stack((tp, fp, tn, fn, precision, recall)), num_thresholds)


def pr_curve(tag: str, labels: np.ndarray, predictions: np.ndarray, num_thresholds: int = _MAX_THRESHOLDS, weights: Any = None) -> Summary:
    """The precision-recall curve of predictions in [0, 1] against labels 0 and 1."""
    num_thresholds = min(num_thresholds, _MAX_THRESHOLDS)
    return _pr_curve(tag, compute_curve(labels, predictions, num_thresholds, weights), num_thresholds)


def _pr_curve(tag: str, data: np.ndarray, num_thresholds: int) -> Summary:
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

    content = PrCurvePluginData(version=0, num_thresholds=min(num_thresholds, _MAX_THRESHOLDS)).SerializeToString()
    proto = TensorProto(dtype="DT_FLOAT", float_val=data.reshape(-1).tolist(), tensor_shape=_shape(data.shape))
    return _one(tag, metadata=_metadata("pr_curves", content), tensor=proto)


def compute_curve(labels: np.ndarray, predictions: np.ndarray, num_thresholds: int = _MAX_THRESHOLDS, weights: Any = None) -> np.ndarray:
    """Rows of true and false positives, true and false negatives, precision and recall, by threshold."""
    least = 1e-7  # keeps the divisions defined
    weights = 1.0 if weights is None else weights
    bucket = np.floor(predictions * (num_thresholds - 1)).astype(np.int32)
    positive = labels.astype(np.float64)

    def above(amount: Any) -> np.ndarray:
        counts, _ = np.histogram(bucket, bins=num_thresholds, range=(0, num_thresholds - 1), weights=amount)
        return np.cumsum(counts[::-1])[::-1]

    tp, fp = above(positive * weights), above((1.0 - positive) * weights)
    tn, fn = fp[0] - fp, tp[0] - tp
    return np.stack((tp, fp, tn, fn, tp / np.maximum(least, tp + fp), tp / np.maximum(least, tp + fn)))


def custom_scalars(layout: dict[str, dict[str, list[Any]]]) -> Summary:
    """The layout of the custom scalars page: ``{category: {chart: ["Multiline" or "Margin", tags]}}``."""
    from tensorboard.plugins.custom_scalar import layout_pb2

    categories = []
    for category, content in layout.items():
        charts = []
        for title, (kind, tags, *_) in content.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("len(tags) != 3")
                series = layout_pb2.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
                charts.append(layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series])))
            else:
                charts.append(layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags)))
        categories.append(layout_pb2.Category(title=category, chart=charts))
    data = layout_pb2.Layout(category=categories).SerializeToString()
    proto = TensorProto(dtype="DT_STRING", string_val=[data], tensor_shape=TensorShapeProto())
    return _one("custom_scalars__config__", tensor=proto, metadata=_metadata("custom_scalars"))


def mesh(
    tag: str, vertices: Any, colors: Any, faces: Any, config_dict: dict[str, Any] | None, display_name: str | None = None,
    description: str | None = None,
) -> Summary:  # fmt: skip
    """A mesh or point cloud: vertices and colours (B, N, 3), faces (B, N, 3)."""
    from tensorboard.plugins.mesh import metadata
    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData

    config = "{}" if config_dict is None else json.dumps(config_dict, sort_keys=True)
    given = ((vertices, MeshPluginData.VERTEX), (faces, MeshPluginData.FACE), (colors, MeshPluginData.COLOR))
    parts = [(make_np(torch.as_tensor(tensor)), kind) for tensor, kind in given if tensor is not None]
    components = metadata.get_components_bitmask([kind for _, kind in parts])
    values = []
    for array, kind in parts:
        about = metadata.create_summary_metadata(tag, display_name, kind, components, array.shape, description, json_config=config)
        proto = TensorProto(dtype="DT_FLOAT", float_val=array.reshape(-1).tolist(), tensor_shape=_shape(array.shape[:3]))
        values.append(Summary.Value(tag=metadata.get_instance_name(tag, kind), tensor=proto, metadata=about))
    return Summary(value=values)


def hparams(
    hparam_dict: Any = None, metric_dict: Any = None, hparam_domain_discrete: Any = None
) -> tuple[Summary, Summary, Summary]:
    """Three summaries of one run: the experiment, the session's start with its hyperparameters, its end. TypeError, ValueError for bad types."""
    from google.protobuf import struct_pb2
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.plugins.hparams import metadata as names

    for name, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict)):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    domains = hparam_domain_discrete or {}
    if not isinstance(domains, dict):
        raise TypeError("parameter: hparam_domain_discrete should be a dictionary, nothing logged.")
    for name, values in domains.items():
        if name not in hparam_dict or not isinstance(values, list) or not all(isinstance(v, type(hparam_dict[name])) for v in values):
            raise TypeError(f"parameter: hparam_domain_discrete[{name}] should be a list of same type as hparam_dict[{name}].")
    infos = []
    start = plugin_data_pb2.SessionStartInfo()
    for name, value in hparam_dict.items():
        if value is None:
            continue
        if isinstance(value, torch.Tensor):
            start.hparams[name].number_value = make_np(value)[0]
            infos.append(api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64))
            continue
        if isinstance(value, str):
            field, kind = "string_value", api_pb2.DATA_TYPE_STRING
        elif isinstance(value, (int, float)):  # bool too, as torch has it
            field, kind = "number_value", api_pb2.DATA_TYPE_FLOAT64
        else:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        setattr(start.hparams[name], field, value)
        domain = None
        if name in domains:
            domain = struct_pb2.ListValue(values=[struct_pb2.Value(**{field: v}) for v in domains[name]])
        infos.append(api_pb2.HParamInfo(name=name, type=kind, domain_discrete=domain))
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metric_dict]

    def summary(tag: str, **content: Any) -> Summary:
        data = plugin_data_pb2.HParamsPluginData(version=names.PLUGIN_DATA_VERSION, **content)
        return _one(tag, metadata=_metadata(names.PLUGIN_NAME, data.SerializeToString()))

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    return (
        summary(names.EXPERIMENT_TAG, experiment=api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)),
        summary(names.SESSION_START_INFO_TAG, session_start_info=start),
        summary(names.SESSION_END_INFO_TAG, session_end_info=end),
    )
