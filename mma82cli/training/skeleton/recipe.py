"""The keys of skeleton recipes; the defaults of PoseC3D's are those of `posec3d.toml`, of ST-GCN's those of `stgcn.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mma82cli.records import WrongUsage, show
from mma82cli.training.recipe import Recipe

if TYPE_CHECKING:
    from mma82cli.skeleton.layouts import Layout
    from mma82cli.training.skeleton.inputs import Inputs


@dataclass(frozen=True)
class SkeletonRecipe(Recipe):
    """What networks on joints share, whatever they make of them."""

    frames: int = 32
    steady: bool = False
    dropout: float = 0.5
    # augmentation
    crop: float = 0.0
    crop_side: float = 0.5
    flip: float = 0.5
    rotate: float = 0.0
    scale: float = 0.0
    jitter: float = 0.0
    time_crop: float = 0.0
    # rare classes
    logit_adjustment: float = 0.0
    class_balance: float = 0.0
    body_loss: float = 0.0
    # test
    clips: int = 10
    double_flip: bool = False

    limits: ClassVar = {
        "frames": (1, 4096), "dropout": (0, 0.999), "flip": (0, 1), "crop": (0, 1), "crop_side": (0.01, 1),
        "rotate": (0, 180), "scale": (0, 0.9), "jitter": (0, 1),
        "time_crop": (0, 0.95), "logit_adjustment": (0, 10), "class_balance": (0, 1), "body_loss": (0, 100), "clips": (1, 1000),
    }  # fmt: skip

    def inputs(self, layout: Layout) -> Inputs:
        """The `Inputs` that a network of this family reads from joints of the layout."""
        raise NotImplementedError


@dataclass(frozen=True)
class PoseC3DRecipe(SkeletonRecipe):
    """A slow-only ResNet3D on heatmaps of joints, limbs or both."""

    model: str = "posec3d"
    # input
    heatmaps: str = "joint"
    size: int = 64
    train_size: int = 56
    sigma: float = 0.6
    sampling: str = "mmaction2"
    # network
    base_channels: int = 32
    stage_blocks: tuple[int, ...] = (4, 6, 3)
    temporal_strides: tuple[int, ...] = (1, 1, 1)
    # augmentation
    crop_area: tuple[float, ...] = (0.56, 1.0)
    crop_ratio: tuple[float, ...] = (0.75, 1.3333)
    # optimisation
    lr: float = 0.2
    lr_batch: int = 128
    batch_size: int = 128
    weight_decay: float = 3e-4
    clip_norm: float = 40.0
    epochs: int = 60

    for_cpu: ClassVar = ("posec3d-tiny", "train_size", "base_channels")
    choices: ClassVar = {"heatmaps": ("joint", "limb", "joint+limb"), "sampling": ("mmaction2", "pyskl")}
    limits: ClassVar = {
        "size": (8, 1024), "train_size": (8, 1024), "sigma": (1e-3, 100), "base_channels": (1, 4096), "stage_blocks": (1, 100),
        "temporal_strides": (1, 8), "crop_area": (1e-3, 1), "crop_ratio": (1e-2, 100),
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

    def inputs(self, layout: Layout) -> Inputs:
        """Heatmaps."""
        from mma82cli.training.skeleton.heatmap_inputs import HeatmapInputs

        return HeatmapInputs(self, layout)


@dataclass(frozen=True)
class STGCNRecipe(SkeletonRecipe):
    """A graph network on joints, bones and their motion."""

    model: str = "stgcn"
    # input
    steady: bool = True
    # network
    channels: tuple[int, ...] = (48, 48, 96, 96, 192, 192)
    dilations: tuple[int, ...] = (1, 2, 3, 4)
    # augmentation
    crop: float = 0.5
    rotate: float = 12.0
    scale: float = 0.2
    jitter: float = 0.01
    time_crop: float = 0.3
    # optimisation
    optimizer: str = "adamw"
    lr: float = 0.004
    weight_decay: float = 0.01
    clip_norm: float = 40.0
    warmup: float = 0.15
    label_smoothing: float = 0.1
    epochs: int = 80
    # test
    double_flip: bool = True

    limits: ClassVar = {"channels": (1, 4096), "dilations": (1, 64)}

    def check(self) -> None:
        """Channels divide among the temporal branches, and never fall."""
        branches = len(self.dilations) + 2
        rising = all(a <= b for a, b in zip(self.channels, self.channels[1:], strict=False))
        if not self.channels or not rising or any(width % branches for width in self.channels):
            found = f"recipe key 'channels' is {show(self.channels)}"
            raise WrongUsage(f"{found}; expected a rising list of multiples of {branches} (dilations and 2 branches more)")

    def inputs(self, layout: Layout) -> Inputs:
        """Joints."""
        from mma82cli.training.skeleton.joint_inputs import JointInputs

        return JointInputs(self, layout)
