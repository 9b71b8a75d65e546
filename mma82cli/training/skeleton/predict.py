"""Class probabilities of clips: the folded network on fixed test clips, softmax first, then the mean."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mma82cli.models import folded
from mma82cli.records import DataError
from mma82cli.training.device import Shared
from mma82cli.training.replays import Replays
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.inputs import Inputs

AT_ONCE = 32  # clips a forward pass


class Predictor:
    """predict(clips, rows) -> probabilities. `num_clips` test clips a record, the recipe's unless said otherwise."""

    def __init__(self, model: nn.Module, inputs: Inputs, device, dtype=torch.float32, num_clips=None):
        inputs.check(model)
        recipe, device = inputs.recipe, torch.device(device)
        self.model = folded(recipe.model, model).to(device, dtype)
        self.inputs, self.dtype = inputs, dtype
        self.replays = Replays(device, torch.float32)  # the network is of `dtype` itself
        self.shared = Shared(device)
        self.num_clips = num_clips or recipe.clips
        self.double = recipe.double_flip and num_clips is None
        self.scratch = inputs.scratch()

    def __call__(self, clips: Clips, rows: np.ndarray) -> np.ndarray:
        """Clips `rows` (B,) -> float32 (B, classes), each row of sum 1. Raises DataError where a number is not finite."""
        return self._mean(clips, rows, lambda batch: self.replays(self.model, self.model.forward, batch).float().softmax(1))

    def some(self, clips: Clips, rows: np.ndarray) -> np.ndarray:
        """Any number of clips `rows` (N,), a few at a time -> float32 (N, classes)."""
        return np.concatenate([self(clips, part) for part in self._parts(rows)])

    def features(self, clips: Clips, rows: np.ndarray) -> np.ndarray:
        """What the last layer reads of any number of clips `rows` (N,) -> float32 (N, F), the mean over test clips."""
        means = [self._mean(clips, part, lambda batch: self.model.pooled(batch).float()) for part in self._parts(rows)]
        return np.concatenate(means)

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        each = max(1, AT_ONCE // self.num_clips)
        return np.array_split(rows, -(-len(rows) // each))

    @torch.inference_mode()
    def _mean(self, clips: Clips, rows: np.ndarray, answer) -> np.ndarray:
        """The mean of `answer(batch)` (B, …) over the test clips of each clip, and over their mirror images where the
        recipe has them."""
        batch = self.inputs.test(clips, rows, self.num_clips, self.scratch)
        found = self.shared(answer, batch.to(self.dtype))
        if self.double:
            found = (found + self.shared(answer, self.inputs.mirror(batch).to(self.dtype))) / 2
        mean = found.unflatten(0, (len(rows), self.num_clips)).mean(1).cpu().numpy()
        if not np.isfinite(mean).all():
            raise DataError("the network's output is not finite; expected numbers: the checkpoint is damaged or diverged")
        return mean
