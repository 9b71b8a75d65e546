"""The keys of GC-TSM's recipes; the defaults are those of `gc-tsm.toml`, which explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mma82cli.records import WrongUsage, show
from mma82cli.training.recipe import Recipe


@dataclass(frozen=True)
class GcTsmRecipe(Recipe):
    """A 2D ResNet on a few frames, with or without shift, gates and squeeze."""

    model: str = "gc-tsm"
    # input
    frames: int = 8
    sampling: str = "parts"
    short_side: int = 256
    size: int = 224
    steady: bool = False
    still: str = "keep"
    # network
    base_channels: int = 64
    stage_blocks: tuple[int, ...] = (3, 4, 6, 3)
    shift_div: int = 8
    gate_div: int = 4
    squeeze_div: int = 0
    dropout: float = 0.5
    # augmentation
    crop_scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    flip: float = 0.5
    # optimisation
    micro_batch: int = 4
    gate_lr: float = 5.0
    bias_lr: float = 2.0
    head_lr: float = 1.0
    schedule: str = "step"
    lr_steps: tuple[int, ...] = (20, 40)
    # test
    test_size: int = 224
    clips: int = 1
    crops: int = 1

    for_cpu: ClassVar = ("gc-tsm-tiny", "size", "base_channels")
    choices: ClassVar = {"sampling": ("parts", "dense"), "still": ("keep", "remove"), "schedule": ("step", "cosine")}
    limits: ClassVar = {
        "frames": (1, 64), "short_side": (16, 4096), "size": (16, 4096), "test_size": (16, 4096), "base_channels": (4, 1024),
        "stage_blocks": (1, 22), "shift_div": (0, 1024), "gate_div": (0, 1024), "squeeze_div": (0, 1024), "dropout": (0, 0.999),
        "crop_scales": (0.05, 1), "flip": (0, 1), "gate_lr": (0, 1e3), "bias_lr": (0, 1e3), "head_lr": (0, 1e3),
        "lr_steps": (1, 100_000), "clips": (1, 2), "crops": (1, 3),
    }  # fmt: skip

    def check(self) -> None:
        """Pictures fit in the frames, gates and shift in the channels, and gates have two clips to learn from."""
        if self.test_size > self.short_side:
            raise WrongUsage(f"recipe key 'test_size' is {self.test_size}; expected at most short_side, {self.short_side}")
        for key, least in (("gate_div", 4), ("shift_div", 2)):
            value = getattr(self, key)
            if value and not least <= value <= self.base_channels:
                raise WrongUsage(f"recipe key '{key}' is {value}; expected 0, or {least} to base_channels, {self.base_channels}")
        if self.crops == 2:
            raise WrongUsage(f"recipe key 'crops' is {show(self.crops)}; expected 1 (the middle) or 3 (both ends too)")
        for key in ("micro_batch", "batch_size"):
            if self.gate_div and getattr(self, key) < 2:
                raise WrongUsage(f"recipe key '{key}' is 1; expected at least 2: the gates' batch norm compares clips")

    def learning_rate(self, step: int, steps: int) -> float:
        """lr of step `step` (from 0) of `steps`: a tenth of what it was from each epoch in `lr_steps` on, or a cosine."""
        if self.schedule == "cosine":
            return super().learning_rate(step, steps)
        epoch = step * self.epochs // steps
        return self.peak * 0.1 ** sum(epoch >= place for place in self.lr_steps)
