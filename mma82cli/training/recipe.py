"""Recipes: one flat TOML file each in `share/mma82/recipes`, which reads like a paper's appendix.

A key that a user's file leaves out has the value of the recipe `posec3d`, which is the paper's.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches

from mma82cli import share
from mma82cli.records import DataError, WrongUsage, show

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

CHOICES = {
    "model": ("posec3d",),
    "heatmaps": ("joint", "limb"),
    "sampling": ("mmaction2", "pyskl"),
    "optimizer": ("sgd", "adamw"),
    "best": ("top1", "mca"),
}


@dataclass(frozen=True)
class Recipe:
    """What a run is made of. The files in `share/mma82/recipes` say what each key means; the defaults are `posec3d`'s."""

    model: str = "posec3d"
    # input
    heatmaps: str = "joint"
    frames: int = 32
    size: int = 64
    train_size: int = 56
    sigma: float = 0.6
    # network
    base_channels: int = 32
    stage_blocks: tuple[int, ...] = (4, 6, 3)
    temporal_strides: tuple[int, ...] = (1, 1, 1)
    dropout: float = 0.5
    # augmentation
    crop_area: tuple[float, ...] = (0.56, 1.0)
    crop_ratio: tuple[float, ...] = (0.75, 1.3333)
    flip: float = 0.5
    rotate: float = 0.0
    scale: float = 0.0
    jitter: float = 0.0
    time_crop: float = 0.0
    # optimisation
    optimizer: str = "sgd"
    lr: float = 0.2
    lr_batch: int = 128
    batch_size: int = 128
    micro_batch: int = 16
    momentum: float = 0.9
    weight_decay: float = 3e-4
    clip_norm: float = 40.0
    warmup: float = 0.0
    label_smoothing: float = 0.0
    epochs: int = 60
    repeat: int = 1
    # validation and test
    validate_every: int = 1
    best: str = "top1"
    clips: int = 10
    sampling: str = "mmaction2"
    double_flip: bool = False

    def __post_init__(self):
        for key, words in CHOICES.items():
            if getattr(self, key) not in words:
                raise WrongUsage(f"recipe key '{key}' is {show(getattr(self, key))}; expected {' or '.join(words)}")
        for key, (least, most) in LIMITS.items():
            values = getattr(self, key)
            for value in values if isinstance(values, tuple) else (values,):
                if not least <= value <= most:
                    raise WrongUsage(f"recipe key '{key}' is {show(getattr(self, key))}; expected {least:g} to {most:g}")
        for key in ("crop_area", "crop_ratio"):
            pair = getattr(self, key)
            if len(pair) != 2 or pair[0] > pair[1]:
                raise WrongUsage(f"recipe key '{key}' is {show(pair)}; expected [smallest, largest]")
        stages = len(self.stage_blocks)
        if not stages or stages != len(self.temporal_strides):
            raise WrongUsage(f"recipe has {stages} stage_blocks and {len(self.temporal_strides)} temporal_strides")
        for key in ("size", "train_size"):
            if getattr(self, key) % 2**stages:
                raise WrongUsage(f"recipe key '{key}' is {getattr(self, key)}; expected a multiple of {2**stages}")

    def to_toml(self) -> str:
        """The recipe as its file holds it, without the comments."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in asdict(self).items())


MANY = 1 << 30
LIMITS = {  # key: least and most value
    "frames": (1, 4096), "size": (8, 1024), "train_size": (8, 1024), "sigma": (1e-3, 100),
    "base_channels": (1, 4096), "stage_blocks": (1, 100), "temporal_strides": (1, 8), "dropout": (0, 0.999),
    "crop_area": (1e-3, 1), "crop_ratio": (1e-2, 100), "flip": (0, 1), "rotate": (0, 180), "scale": (0, 0.9),
    "jitter": (0, 1), "time_crop": (0, 0.95), "lr": (0, 1e3), "lr_batch": (1, MANY), "batch_size": (1, MANY),
    "micro_batch": (1, MANY), "momentum": (0, 0.9999), "weight_decay": (0, 10), "clip_norm": (1e-6, 1e9),
    "warmup": (0, 0.99), "label_smoothing": (0, 0.99), "epochs": (1, 100_000), "repeat": (1, 10_000),
    "validate_every": (1, MANY), "clips": (1, 1000),
}  # fmt: skip

KEYS = {field.name: field.default for field in fields(Recipe)}


def load_recipe(name: str = "posec3d", overrides=()) -> Recipe:
    """A built-in recipe by name, or one from a TOML file, with `overrides` ("key=value") laid over it.

    Raises WrongUsage where there is no such recipe, a key is unknown or a value is of another kind.
    """
    path = share.find("recipes", name, ".toml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise WrongUsage(f"{path}: {error}") from None
    try:
        data = _parse(text)
        for override in overrides:
            data.update(_override(override))
        return Recipe(**data)
    except WrongUsage as error:
        raise WrongUsage(f"{path}: {error}") from None


def recipe_from_dict(values: dict, where="checkpoint") -> Recipe:
    """A recipe from the JSON that a checkpoint carries. Raises DataError."""
    try:
        return Recipe(**{key: _typed(key, value) for key, value in values.items()})
    except WrongUsage as error:
        raise DataError(f"{where}: {error}") from None


def changed(recipe: Recipe, **values) -> Recipe:
    """`recipe` with some values changed; they are checked as a file's are."""
    return Recipe(**{**asdict(recipe), **{key: _typed(key, value) for key, value in values.items()}})


def _parse(text: str) -> dict:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUsage(f"not TOML: {error}") from None
    return {key: _typed(key, value) for key, value in data.items()}


def _override(text: str) -> dict:
    """`key=value`; a value that is not TOML is a bare word."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise WrongUsage(f"--set is {show(text)}; expected KEY=VALUE")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return {key: _typed(key, parsed)}


def _typed(key: str, value):
    """`value` in the type of the key's default. Raises WrongUsage."""
    if key not in KEYS:
        near = get_close_matches(key, KEYS, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise WrongUsage(f"no recipe key '{key}'; {hint}the keys are {', '.join(KEYS)}")
    default = KEYS[key]
    if isinstance(default, tuple):
        kind = type(default[0])
        if isinstance(value, (list, tuple)) and all(_is(kind, v) for v in value):
            return tuple(kind(v) for v in value)
        raise WrongUsage(f"recipe key '{key}' is {show(value)}; expected a list of {_plural(kind)}, such as {list(default)}")
    if not _is(type(default), value):
        raise WrongUsage(f"recipe key '{key}' is {show(value)}; expected {_article(type(default))}, such as {_toml(default)}")
    return type(default)(value)


def _is(kind: type, value) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _article(kind: type) -> str:
    return {int: "an integer", float: "a number", bool: "true or false", str: "a word"}[kind]


def _plural(kind: type) -> str:
    return {int: "integers", float: "numbers"}[kind]


def _toml(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # TOML floats need no point before an exponent, but readers do

