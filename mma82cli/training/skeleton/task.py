"""PoseC3D on clips of joints, as the loop trains it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mma82cli.models.posec3d import PoseC3D
from mma82cli.skeleton.gaussian import HeatmapBuffer
from mma82cli.skeleton.layouts import Layout
from mma82cli.training.device import autocast
from mma82cli.training.skeleton.batches import channels, train_batch
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.predict import Predictor
from mma82cli.training.skeleton.recipe import PoseC3DRecipe
from mma82cli.training.task import Task, accuracy


def make_model(recipe: PoseC3DRecipe, layout: Layout, classes: int, seed: int = 0) -> PoseC3D:
    """A new network for the recipe's heatmaps of this layout, initialised by `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PoseC3D(
            in_channels=channels(recipe, layout), num_classes=classes, base_channels=recipe.base_channels,
            stage_blocks=recipe.stage_blocks, temporal_strides=recipe.temporal_strides, dropout=recipe.dropout,
        )  # fmt: skip


class SkeletonTask(Task):
    """Clips of `train`, and of `val` (or None), on the device."""

    def __init__(self, recipe: PoseC3DRecipe, layout: Layout, train: Clips, val: Clips | None, device, dtype=torch.float32):
        super().__init__(recipe, len(train), val is not None)
        self.layout, self.train, self.val, self.device, self.dtype = layout, train, val, device, dtype

    def scratch(self) -> HeatmapBuffer:
        """Heatmaps are drawn into memory that is kept."""
        return HeatmapBuffer()

    def part_loss(self, network: PoseC3D, rows: np.ndarray, rng: np.random.Generator, scratch):
        """Mean cross-entropy of the clips `rows`, and how many are right."""
        recipe = self.recipe
        heatmaps = train_batch(self.train, rows, recipe, self.layout, rng, scratch)
        with autocast(self.device, self.dtype):
            features = network.features(heatmaps)  # (B, C, T', H', W')
        features = features.float().mean((2, 3, 4))
        kept = (rng.random(tuple(features.shape), dtype=np.float32) >= recipe.dropout) / (1 - recipe.dropout)
        logits = network.cls_head.fc_cls(features * torch.from_numpy(kept).to(features))
        labels = self.train.labels[torch.from_numpy(rows).to(self.device)]
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        return loss, {"hits": (logits.argmax(1) == labels).sum()}

    def validate(self, model: PoseC3D) -> dict:
        """One clip a record -> {"val_top1", "val_mca"}."""
        predict = Predictor(model, self.recipe, self.layout, self.device, self.dtype, num_clips=1)
        return accuracy(predict.all(self.val).argmax(1), self.val.labels.cpu().numpy())
