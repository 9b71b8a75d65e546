"""The families of recipes: what a recipe's `model` is trained with, and how its checkpoints are used. One row adds one.

Every entry is `module:Class`, imported when it is wanted; the protocols are in `task.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple


class Family(NamedTuple):
    """`command` trains it; `recipe` is the class of its recipes, `data` reads its records into a task for the loop,
    `inference` adds a checkpoint's answers to records."""

    command: str
    recipe: str
    data: str
    inference: str

    def load(self, part: str):
        """The class that `recipe`, `data` or `inference` names."""
        module, _, name = getattr(self, part).partition(":")
        return getattr(import_module("mma82cli.training." + module), name)


SKELETON = ("skeleton.data:SkeletonData", "skeleton.inference:SkeletonInference")

FAMILIES = {
    "posec3d": Family("train-rec", "skeleton.recipe:PoseC3DRecipe", *SKELETON),
    "stgcn": Family("train-rec", "skeleton.recipe:STGCNRecipe", *SKELETON),
    "gc-tsm": Family("train-rec", "rgb.recipe:GcTsmRecipe", "rgb.data:RgbData", "rgb.inference:RgbInference"),
    "adatad": Family(
        "train-det", "detection.recipe:AdaTADRecipe", "detection.data:DetectionData", "detection.inference:DetectionInference"
    ),
}
