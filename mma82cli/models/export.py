"""Recognition networks as ONNX files, for runtimes that have no torch.

The network is folded, as for inference. It has one input, whose name and axes `input_of` gives, and one output, `logits`
(batch, labels); their softmax is what `infer` averages over test clips. The metadata key "mma82" holds what a checkpoint's does.
"""

from __future__ import annotations

import json
import logging
import warnings
from importlib.util import find_spec

import torch
from torch import nn

from mma82cli.models import MODELS, folded, module_of
from mma82cli.models.header import METADATA
from mma82cli.records import WrongUsage
from mma82cli.stream import Output


def input_of(model: nn.Module, recipe) -> tuple[str, tuple[str | int, ...]]:
    """(name, axes) of what the network reads, words for axes of any size. heatmaps are as `mma82cli.skeleton.heatmaps` draws
    them; joints are x and y from the middle of the clip's box in halves of its longer side, and a score; frames are RGB,
    normalised as for ImageNet, or `moving` where the recipe's `still` is "remove" (`mma82cli.rgb.pictures`).

    Raises WrongUsage for networks that can't be exported.
    """
    known = {kind: module.input_of for kind in MODELS if hasattr(module := module_of(kind), "input_of")}
    if recipe.model not in known:
        raise WrongUsage(f"--export: a checkpoint of {recipe.model}; expected one of {', '.join(known)}")
    return known[recipe.model](model, recipe)


def to_onnx(model: nn.Module, recipe, about: dict) -> bytes:
    """The ONNX file of a recognition network; `about` (JSON) goes into its metadata. Raises WrongUsage where onnx is missing."""
    if not (find_spec("onnx") and find_spec("onnxscript")):
        raise WrongUsage("--export needs onnx and onnxscript; pip install 'mma82[export]'")
    name, axes = input_of(model, recipe)
    network = folded(recipe.model, model).cpu().float()
    # two of whatever may be any number: torch takes a one for a constant
    example = torch.zeros([2 if isinstance(axis, str) else axis for axis in axes])
    free = {place: torch.export.Dim(axis) for place, axis in enumerate(axes) if isinstance(axis, str)}
    for logger in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            network, (example,), dynamo=True, dynamic_shapes=(free,), input_names=[name], output_names=["logits"], verbose=False
        )
    return _plain(made.model_proto, about).SerializeToString(deterministic=True)


def _plain(proto, about: dict):
    """Without the paths and lines of code that torch notes beside each node; with `about`."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:], proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA, value=json.dumps(about, ensure_ascii=False))
    return proto


def export(path: str, model: nn.Module, recipe, about: dict) -> str:
    """Writes the ONNX file, whole or not at all; returns in words what it reads and gives. Raises WrongUsage, OSError."""
    name, axes = input_of(model, recipe)
    with Output(path) as out:
        out.write(to_onnx(model, recipe, about))
    return f"{path}: {name} ({', '.join(map(str, axes))}) -> logits (batch, {model.num_classes})"
