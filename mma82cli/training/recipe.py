"""Recipes: one flat TOML file each in `share/mma82/recipes`, which reads like a paper's appendix.

A recipe's `model` names its family, and so the keys that it has (`families.py`; without it: posec3d). A key that a
user's file leaves out has the family's default, which is the published setting.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mma82cli import share
from mma82cli.records import DataError, WrongUsage, show
from mma82cli.training.families import FAMILIES

MANY = 1 << 30
Same = TypeVar("Same", bound="Recipe")


@dataclass(frozen=True)
class Recipe:
    """The keys that all families share. The files in `share/mma82/recipes` say what each means.

    A family adds keys and other defaults, `choices` (key: words) and `limits` (key: least and most value); those of its
    bases hold too.
    """

    model: str
    # optimisation
    optimizer: str = "sgd"
    lr: float = 0.01
    lr_batch: int = 16
    batch_size: int = 16
    micro_batch: int = 16
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 20.0
    warmup: float = 0.0
    label_smoothing: float = 0.0
    epochs: int = 50
    repeat: int = 1
    # validation
    validate_every: int = 1
    best: str = "top1"

    for_cpu: ClassVar[tuple[str, ...]] = ()  # the family's recipe for a CPU, if others need a GPU, and keys that tell them
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"optimizer": ("sgd", "adamw"), "best": ("top1", "mca")}
    limits: ClassVar[dict[str, tuple[float, float]]] = {
        "lr": (0, 1e3), "lr_batch": (1, MANY), "batch_size": (1, MANY), "micro_batch": (1, MANY), "momentum": (0, 0.9999),
        "weight_decay": (0, 10), "clip_norm": (1e-6, 1e9), "warmup": (0, 0.99), "label_smoothing": (0, 0.99),
        "epochs": (1, 100_000), "repeat": (1, 10_000), "validate_every": (1, MANY),
    }  # fmt: skip

    def __post_init__(self):
        for key, words in _inherited(type(self), "choices").items():
            if getattr(self, key) not in words:
                raise WrongUsage(f"recipe key '{key}' is {show(getattr(self, key))}; expected {' or '.join(words)}")
        for key, (least, most) in _inherited(type(self), "limits").items():
            values = getattr(self, key)
            for value in values if isinstance(values, tuple) else (values,):
                if not least <= value <= most:
                    raise WrongUsage(f"recipe key '{key}' is {show(getattr(self, key))}; expected {least:g} to {most:g}")
        self.check()

    def check(self) -> None:
        """Raises WrongUsage where keys contradict one another."""

    def smaller(self) -> str | None:
        """The recipe for a CPU, where this one's network is larger in all that tells."""
        if not self.for_cpu:
            return None
        name, *keys = self.for_cpu
        small = load_recipe(name)
        return name if all(getattr(self, key) > getattr(small, key) for key in keys) else None

    def learning_rate(self, step: int, steps: int) -> float:
        """lr of step `step` (from 0) of `steps`: a linear rise over `warmup` of them, then half a cosine down towards 0."""
        peak = self.peak
        rise = self.warmup * steps
        if step < rise:
            return peak * (step + 1) / (rise + 1)
        return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))

    @property
    def peak(self) -> float:
        """The recipe's lr is for `lr_batch` rows a step; it is scaled linearly to `batch_size` (Goyal et al. 2017)."""
        return self.lr * self.batch_size / self.lr_batch

    def to_toml(self) -> str:
        """The recipe as its file holds it, without the comments."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in asdict(self).items())


def _inherited(kind: type, name: str) -> dict:
    """The family's table laid over those of its bases."""
    merged: dict = {}
    for each in reversed(kind.__mro__):
        merged |= vars(each).get(name, {})
    return merged


def family_of(values: dict) -> type[Recipe]:
    """The class of the recipe that these values make. Raises WrongUsage where `model` is no family."""
    name = values.get("model", "posec3d")
    if name not in FAMILIES:
        raise WrongUsage(f"recipe key 'model' is {show(name)}; expected {' or '.join(FAMILIES)}")
    return FAMILIES[name].load("recipe")


def load_recipe(name: str = "posec3d", overrides=()) -> Recipe:
    """A built-in recipe by name, or one from a TOML file, with `overrides` ("key=value") laid over it. A family without a
    file of its name has its defaults.

    Raises WrongUsage where there is no such recipe, a key is unknown or a value is of another kind.
    """
    if name in FAMILIES and not (share.share_dir() / "recipes" / f"{name}.toml").is_file():
        path, data = Path(name), {"model": name}
    else:
        path = share.find("recipes", name, ".toml")
        try:
            data = share.load_toml(path)
        except DataError as error:
            raise WrongUsage(str(error)) from None
    try:
        for override in overrides:
            data |= _override(override)
        return _made(data)
    except WrongUsage as error:
        changes = "".join(f" --set {override}" for override in overrides)
        raise WrongUsage(f"{path}{changes}: {error}") from None


def recipe_from_dict(values: dict, where="checkpoint") -> Recipe:
    """A recipe from the JSON that a checkpoint carries. Raises DataError."""
    try:
        return _made(values)
    except WrongUsage as error:
        raise DataError(f"{where}: {error}") from None


def changed(recipe: Same, **values) -> Same:
    """`recipe` with some values changed; they are checked as a file's are."""
    return _made({**asdict(recipe), **values})


def _made(values: dict) -> Any:
    kind = family_of(values)
    return kind(**{key: _typed(kind, key, value) for key, value in values.items()})


def _override(text: str) -> dict:
    """`key=value`; a value that is not TOML is a bare word."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise WrongUsage(f"--set is {show(text)}; expected KEY=VALUE")
    try:
        return {key: share.parse_toml(f"value = {value}")["value"]}
    except ValueError:
        return {key: value}


def _typed(kind: type[Recipe], key: str, value):
    """`value` in the type of the key's default. Raises WrongUsage."""
    defaults = {field.name: field.default for field in fields(kind)}
    if key not in defaults:
        near = get_close_matches(key, defaults, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise WrongUsage(f"no recipe key '{key}'; {hint}the keys are {', '.join(defaults)}")
    default: Any = defaults[key]
    if isinstance(default, tuple):
        each = type(default[0])
        if isinstance(value, (list, tuple)) and all(_is(each, v) for v in value):
            return tuple(each(v) for v in value)
        raise WrongUsage(f"recipe key '{key}' is {show(value)}; expected a list of {_plural(each)}, such as {list(default)}")
    if not _is(type(default), value):
        raise WrongUsage(f"recipe key '{key}' is {show(value)}; expected {_article(type(default))}, such as {_toml(default)}")
    return type(default)(value)


def _is(kind: type, value) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _article(kind: type) -> str:
    return {int: "an integer", float: "a number", bool: "true or false", str: "a word"}[kind]


def _plural(kind: type) -> str:
    return {int: "integers", float: "numbers", str: "words"}[kind]


def _toml(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # TOML floats need no point before an exponent, but readers do
