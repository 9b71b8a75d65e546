"""The keys of AdaTAD's recipes; the defaults are those of `adatad-b.toml`, which explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mma82cli.detection.suppression import METHODS
from mma82cli.records import WrongUsage, show
from mma82cli.training.recipe import Recipe


@dataclass(frozen=True)
class AdaTADRecipe(Recipe):
    """VideoMAE with adapters, and ActionFormer's head."""

    model: str = "adatad"
    # input
    window: int = 256
    stride: int = 4
    short_side: int = 182
    size: int = 160
    fill: str = "clip"
    still: str = "keep"
    # network
    dim: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16
    image_size: int = 224
    adapter: int = 192
    drop_path: float = 0.1
    channels: int = 512
    head_heads: int = 4
    embed: int = 3
    stem: int = 0
    branch: int = 5
    path_drop: float = 0.1
    # augmentation
    crop_area: tuple[float, ...] = (0.08, 1.0)
    crop_shape: tuple[float, ...] = (0.75, 1.3333)
    flip: float = 0.5
    jitter: float = 0.5
    shorten: tuple[float, ...] = (0.9, 1.0)
    least_inside: float = 0.75
    # optimisation
    frozen: bool = True
    optimizer: str = "adamw"
    lr: float = 1e-4
    adapter_lr: float = 1.0
    backbone_lr: float = 1.0
    lr_batch: int = 2
    batch_size: int = 2
    micro_batch: int = 2
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    warmup: float = 0.25
    epochs: int = 20
    average: float = 0.999
    repeat_rare: float = 0.0
    bucket: int = 8
    checkpointing: str = "auto"
    # validation and test
    best: str = "map"
    overlap: float = 0.5
    proposals: int = 8000
    least_score: float = 0.001
    suppress: str = "gauss"
    sigma: float = 0.5
    iou: float = 0.5
    topk: int = 200
    vote: float = 0.7

    for_cpu: ClassVar = ("adatad-tiny", "size", "dim")
    choices: ClassVar = {
        "best": ("map", "map50"), "fill": ("clip", "window"), "still": ("keep", "remove"), "suppress": METHODS,
        "checkpointing": ("auto", "yes", "no"),
    }  # fmt: skip
    limits: ClassVar = {
        "window": (16, 65536), "stride": (1, 1000), "short_side": (16, 4096), "size": (16, 4096), "dim": (4, 8192),
        "depth": (1, 200), "heads": (1, 256), "patch": (2, 64), "image_size": (16, 4096), "adapter": (1, 8192),
        "drop_path": (0, 0.9), "channels": (4, 8192), "head_heads": (1, 256), "embed": (1, 16), "stem": (0, 16),
        "branch": (1, 8), "path_drop": (0, 0.9), "crop_area": (0.01, 1), "crop_shape": (0.1, 10), "flip": (0, 1),
        "jitter": (0, 1), "shorten": (0.01, 1), "least_inside": (0.01, 1), "adapter_lr": (0, 1e3), "backbone_lr": (0, 1e3),
        "average": (0, 0.999999), "repeat_rare": (0, 1), "bucket": (1, 1 << 20), "overlap": (0, 0.99), "least_score": (0, 1),
        "proposals": (1, 1 << 24), "sigma": (1e-6, 1e3), "iou": (1e-6, 1), "topk": (0, 1 << 24), "vote": (0, 1),
    }  # fmt: skip

    def check(self) -> None:
        """Sizes divide one another, pairs are pairs in order, and pictures fit in the frames."""
        from mma82cli.detection.windows import hop_of

        for key, unit in (("window", 16), ("size", self.patch), ("image_size", self.patch)):
            if getattr(self, key) % unit:
                raise WrongUsage(f"recipe key '{key}' is {getattr(self, key)}; expected a multiple of {unit}")
        for key, heads in (("dim", "heads"), ("channels", "head_heads")):
            if getattr(self, key) % getattr(self, heads):
                raise WrongUsage(f"recipe key '{key}' is {getattr(self, key)}; expected a multiple of {heads}")
        for key in ("crop_area", "crop_shape", "shorten"):
            pair = getattr(self, key)
            if len(pair) != 2 or pair[0] > pair[1]:
                raise WrongUsage(f"recipe key '{key}' is {show(list(pair))}; expected the least and the greatest")
        hop_of(self.window, self.overlap)
