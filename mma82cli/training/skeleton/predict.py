"""Class probabilities of clips: the folded network on fixed test clips, softmax first, then the mean."""

from __future__ import annotations

import numpy as np
import torch

from mma82cli.models.posec3d import PoseC3D, fold
from mma82cli.records import DataError
from mma82cli.skeleton.gaussian import HeatmapBuffer
from mma82cli.skeleton.layouts import Layout
from mma82cli.training.skeleton.batches import mirror, test_batch
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.recipe import PoseC3DRecipe

AT_ONCE = 32  # clips a forward pass


class Predictor:
    """predict(clips, rows) -> probabilities. `num_clips` test clips a record, the recipe's unless said otherwise."""

    def __init__(self, model: PoseC3D, recipe: PoseC3DRecipe, layout: Layout, device, dtype=torch.float32, num_clips=None):
        self.model = fold(model).to(device, dtype)
        self.recipe, self.layout, self.dtype = recipe, layout, dtype
        self.num_clips = num_clips or recipe.clips
        self.double = recipe.double_flip and num_clips is None
        self.buffer = HeatmapBuffer()

    @torch.inference_mode()
    def __call__(self, clips: Clips, rows: np.ndarray) -> np.ndarray:
        """Clips `rows` (B,) -> float32 (B, classes), each row of sum 1. Raises DataError where a number is not finite."""
        heatmaps = test_batch(clips, rows, self.recipe, self.layout, self.num_clips, self.buffer)
        probabilities = self._softmax(heatmaps)
        if self.double:
            probabilities = (probabilities + self._softmax(mirror(heatmaps, self.recipe, self.layout))) / 2
        mean = probabilities.unflatten(0, (len(rows), self.num_clips)).mean(1).cpu().numpy()
        if not np.isfinite(mean).all():
            raise DataError("the network's output is not finite; expected probabilities: the checkpoint is damaged or diverged")
        return mean

    def all(self, clips: Clips) -> np.ndarray:
        """All clips -> float32 (N, classes)."""
        each = max(1, AT_ONCE // self.num_clips)
        parts = np.array_split(np.arange(len(clips)), -(-len(clips) // each))
        return np.concatenate([self(clips, rows) for rows in parts])

    def _softmax(self, heatmaps) -> torch.Tensor:
        return self.model(heatmaps.to(self.dtype)).float().softmax(1)
