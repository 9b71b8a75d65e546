"""A network's file and its side-car: the TOML beside it (`dots.onnx`, `dots.toml`) that says how to feed it.

    layout = "coco17"            # the joints it finds; absent: told by their number
    input = [192, 256]           # width, height; absent: as the file says
    channel_order = "rgb"        # or "bgr"
    mean = [123.675, 116.28, 103.53]
    std = [58.395, 57.12, 57.375]
    decode = "simcc"             # or "heatmap", "persons" (RTMO), "boxes" (a detector); absent: told by the outputs
    split_ratio = 2.0            # SimCC: bins a pixel
    align = "classic"            # or "udp": see geometry.py
    blur = 11                    # heatmaps: Gaussian before the peak is sought, cells; 0 none
    whole_frame = false          # true: no box needed, the frame itself is the region
    padding = 1.25               # how much a box is enlarged
    min_score = 0.2              # mean of the five best joints below which nobody is there
    detector = "yolox-m"         # finds the person's box where a record has none; absent: what --detector says
    sha256 = "…"                 # of the network's file, checked

Without a side-car a network is fed as those are that answer as it does (`FED`): RTMPose, or RTMO and YOLOX. A public
network (`rtmpose-m`) has its side-car in `share/mma82/models/public.toml`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mma82cli import hub, share
from mma82cli.records import DataError, WrongUsage, is_number, show

KINDS = ("simcc", "heatmap", "persons", "boxes")
ALIGN = ("classic", "udp")  # see geometry.py
_IMAGENET = {"channel_order": "rgb", "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
_PLAIN = {"channel_order": "bgr", "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
FED: dict[str, dict[str, Any]] = {  # how networks of a kind are fed where nobody says otherwise
    "simcc": {"input": (192, 256), **_IMAGENET}, "heatmap": {"input": (192, 256), **_IMAGENET},
    "persons": {"input": (640, 640), **_PLAIN}, "boxes": {"input": (640, 640), **_PLAIN},
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """What there is to know of a network without loading it; `""` and `()` are for `completed` to fill."""

    path: str
    name: str
    hash: str
    described: bool  # a side-car was there
    layout: str = ""
    input: tuple[int, ...] = ()  # of two
    channel_order: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    decode: str = ""
    split_ratio: float = 2.0
    align: str = "classic"
    blur: int = 11
    whole_frame: bool = False
    padding: float = 1.25
    min_score: float = 0.2
    detector: str = ""

    @property
    def title(self) -> str:
        """Name and hash, as a record's `model` has them."""
        return f"{self.name}@sha256:{self.hash[:12]}"

    def completed(self, kind: str, size: tuple[int, int] | None = None) -> Model:
        """This model as one of `kind`, whose file fixes the input's (width, height) where `size` is given.

        Raises DataError where the side-car says another size.
        """
        if size and self.input and size != self.input:
            raise DataError(f"{self.path}: its input is {list(size)}; expected {list(self.input)} as the side-car says")
        known: dict[str, Any] = {**FED[kind], "decode": kind, **({"input": size} if size else {})}
        return replace(self, **{key: value for key, value in known.items() if not getattr(self, key)})


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
    "decode": (lambda v: v in KINDS, " or ".join(f'"{kind}"' for kind in KINDS)),
    "split_ratio": (lambda v: is_number(v) and v > 0, "a number above 0"),
    "align": (lambda v: v in ALIGN, '"classic" or "udp"'),
    "blur": (lambda v: type(v) is int and (v == 0 or (v > 0 and v % 2 == 1)), "0 or an odd number"),
    "whole_frame": (lambda v: type(v) is bool, "true or false"),
    "padding": (lambda v: is_number(v) and v > 0, "a number above 0"),
    "min_score": (is_number, "a number"),
    "detector": (lambda v: isinstance(v, str), "a detector's name or file"),
}


def load_model(name: str, suffix: str = ".onnx", tell: Callable[[str], object] = lambda _: None, **changes) -> Model:
    """The model `name`: a file, one that comes with the suite, or a public one, fetched if need be (`tell` hears of it).

    `changes` go before the side-car's values. Raises WrongUsage where there is none, DataError where it can't be had, its
    side-car is wrong or its sha256 is another file's.
    """
    public = hub.public_files().get(name)
    if public and public.path.suffix == suffix:
        path, card = hub.fetch(name, tell), public.card
        place = share.share_dir() / "models" / "public.toml"
    else:
        path = _file(name, suffix)
        place = path.with_suffix(".toml")
        card = share.load_toml(place) if place.is_file() else {}
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    expected = card.get("sha256", found)
    if expected != found:
        raise DataError(f"{path}: its sha256 is {found[:12]}…; expected {show(expected, 14)} as {place.name} says")
    known = {f.name for f in fields(Model)}
    values = {key: _checked(place, key, card[key]) for key in card if key in known and key in _CHECKS}
    values.update({key: value for key, value in changes.items() if value is not None})
    return Model(os.fspath(path), name if public else path.stem, found, bool(card) or public is not None, **values)


def _file(name: str, suffix: str) -> Path:
    try:
        return share.find("models", name, suffix)
    except WrongUsage as error:
        if name.endswith(suffix) or os.sep in name:
            raise
        names = ", ".join(n for n, file in hub.public_files().items() if file.path.suffix == suffix)
        raise WrongUsage(f"{error}; public: {names}" if names else str(error)) from None


def _checked(card: Path, key: str, value):
    test, expected = _CHECKS[key]
    if not test(value):
        raise DataError(f"{card}: '{key}' is {show(value)}; expected {expected}")
    return tuple(value) if isinstance(value, list) else value
