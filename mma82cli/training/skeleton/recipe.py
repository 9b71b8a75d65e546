"""The keys of PoseC3D's recipes; the defaults are those of `posec3d.toml`, which explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mma82cli.records import WrongUsage, show
from mma82cli.training.recipe import Recipe


@dataclass(frozen=True)
class PoseC3DRecipe(Recipe):
    """A slow-only ResNet3D on heatmaps of joints or limbs."""

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
    lr: float = 0.2
    lr_batch: int = 128
    batch_size: int = 128
    weight_decay: float = 3e-4
    clip_norm: float = 40.0
    epochs: int = 60
    # test
    clips: int = 10
    sampling: str = "mmaction2"
    double_flip: bool = False

    choices: ClassVar = {"heatmaps": ("joint", "limb"), "sampling": ("mmaction2", "pyskl")}
    limits: ClassVar = {
        "frames": (1, 4096), "size": (8, 1024), "train_size": (8, 1024), "sigma": (1e-3, 100),
        "base_channels": (1, 4096), "stage_blocks": (1, 100), "temporal_strides": (1, 8), "dropout": (0, 0.999),
        "crop_area": (1e-3, 1), "crop_ratio": (1e-2, 100), "flip": (0, 1), "rotate": (0, 180), "scale": (0, 0.9),
        "jitter": (0, 1), "time_crop": (0, 0.95), "clips": (1, 1000),
    }  # fmt: skip

    def check(self) -> None:
        """Crops are [smallest, largest], stages and strides as many, and grids divide by what the stages halve."""
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
