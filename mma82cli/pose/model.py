"""A pose network's file and its side-car: the TOML beside it (`dots.onnx`, `dots.toml`) that says how to feed it.

    layout = "coco17"            # the joints it finds
    input = [192, 256]           # width, height
    channel_order = "rgb"        # or "bgr"
    mean = [123.675, 116.28, 103.53]
    std = [58.395, 57.12, 57.375]
    decode = "simcc"             # or "heatmap"; absent: told by the outputs
    split_ratio = 2.0            # SimCC: bins a pixel
    align = "classic"            # or "udp": see geometry.py
    blur = 11                    # heatmaps: Gaussian before the peak is sought, cells; 0 none
    whole_frame = false          # true: no box needed, the frame itself is the region
    padding = 1.25               # how much a box is enlarged
    min_score = 0.2              # mean of the five best joints below which nobody is there
    sha256 = "…"                 # of the .onnx file, checked

Without a side-car these are the values shown, which are RTMPose's.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path

from mma82cli import share
from mma82cli.records import DataError, WrongUsage, is_number, show


@dataclass(frozen=True)
class Model:
    """What there is to know of a network without loading it."""

    path: str
    name: str
    hash: str
    described: bool  # a side-car was there
    layout: str = "coco17"
    input: tuple[int, int] = (192, 256)
    channel_order: str = "rgb"
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    decode: str = ""
    split_ratio: float = 2.0
    align: str = "classic"
    blur: int = 11
    whole_frame: bool = False
    padding: float = 1.25
    min_score: float = 0.2

    @property
    def title(self) -> str:
        """Name and hash, as a record's `model` has them."""
        return f"{self.name}@sha256:{self.hash[:12]}"


def _triple(value) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


_CHECKS = {  # key: (test, what is expected)
    "layout": (lambda v: isinstance(v, str), "a layout's name"),
    "input": (
        lambda v: isinstance(v, list) and len(v) == 2 and all(type(n) is int and 0 < n <= 8192 for n in v),
        "[width, height]",
    ),
    "channel_order": (lambda v: v in ("rgb", "bgr"), '"rgb" or "bgr"'),
    "mean": (_triple, "three numbers"),
    "std": (lambda v: _triple(v) and all(n > 0 for n in v), "three numbers above 0"),
    "decode": (lambda v: v in ("simcc", "heatmap"), '"simcc" or "heatmap"'),
    "split_ratio": (lambda v: is_number(v) and v > 0, "a number above 0"),
    "align": (lambda v: v in ("classic", "udp"), '"classic" or "udp"'),
    "blur": (lambda v: type(v) is int and (v == 0 or (v > 0 and v % 2 == 1)), "0 or an odd number"),
    "whole_frame": (lambda v: type(v) is bool, "true or false"),
    "padding": (lambda v: is_number(v) and v > 0, "a number above 0"),
    "min_score": (is_number, "a number"),
}


def load_model(name: str, **changes) -> Model:
    """The model `name`: a .onnx file, or one that comes with the suite; `changes` go before the side-car's values.

    Raises WrongUsage where there is none, DataError where the side-car is wrong or its sha256 is another file's.
    """
    path = share.find("models", name, ".onnx")
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    card = path.with_suffix(".toml")
    values = share.load_toml(card) if card.is_file() else {}
    expected = values.get("sha256", found)
    if expected != found:
        raise DataError(f"{path}: its sha256 is {found[:12]}…; expected {show(expected, 14)} as {card.name} says")
    known = {f.name for f in fields(Model)}
    values = {key: _checked(card, key, values[key]) for key in values if key in known and key in _CHECKS}
    values.update({key: value for key, value in changes.items() if value is not None})
    return Model(os.fspath(path), path.stem, found, card.is_file(), **values)


def _checked(card: Path, key: str, value):
    test, expected = _CHECKS[key]
    if not test(value):
        raise DataError(f"{card}: '{key}' is {show(value)}; expected {expected}")
    return tuple(value) if isinstance(value, list) else value


def need_layout(model: Model, layout: str) -> None:
    """Raises WrongUsage where the model finds other joints than `layout`."""
    if model.layout != layout:
        raise WrongUsage(f"model '{model.name}' finds the joints of {model.layout}; --layout asks for {layout}")
