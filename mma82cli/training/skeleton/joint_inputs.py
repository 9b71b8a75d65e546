"""Joints for a graph network, a batch at a time: moments, augmentation, all relative to the clip's box (`stgcn.toml`)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mma82cli.devices import upload
from mma82cli.models.stgcn import STGCN
from mma82cli.skeleton import resampling
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.inputs import Inputs


class JointInputs(Inputs):
    """Joints (B, M, T, V, 3): x and y from the middle of the clip's box in halves of its longer side, and a score."""

    def make(self, classes: int) -> STGCN:
        """A new ST-GCN."""
        recipe = self.recipe
        return STGCN(
            limbs=self.layout.limbs, joints=len(self), num_classes=classes, channels=recipe.channels,
            dilations=recipe.dilations, dropout=recipe.dropout,
        )  # fmt: skip

    def train(self, clips: Clips, rows: np.ndarray, rng: np.random.Generator, scratch=None) -> Tensor:
        """See `Inputs`."""
        recipe, batch, device = self.recipe, len(rows), clips.device
        points = self._moments(clips, rows, resampling.train_moments(clips.frames[rows], recipe.frames, recipe.time_crop, rng))
        points = resampling.relative(self.nearer(points, rng))
        angle = rng.uniform(-1, 1, batch) * math.radians(recipe.rotate)
        stretch = 1 + rng.uniform(-1, 1, (batch, 2)) * recipe.scale
        turn = (upload(draws, device, torch.float32) for draws in (angle, stretch))
        points = resampling.turned(points, *turn)
        if recipe.jitter:
            noise = upload(rng.standard_normal((*points.shape[:-1], 2), dtype=np.float32), device)
            points[..., :2] += noise * recipe.jitter
        if self.layout.pairs:
            which = upload(rng.random(batch) < recipe.flip, device)
            points = resampling.mirrored(points, self.layout.mirrored(), which)
        return points

    def test(self, clips: Clips, rows: np.ndarray, num_clips: int, scratch=None) -> Tensor:
        """See `Inputs`."""
        moments = resampling.test_moments(clips.frames[rows], self.recipe.frames, num_clips, self.recipe.time_crop)
        return resampling.relative(self._moments(clips, np.repeat(rows, num_clips), moments))

    def mirror(self, batch: Tensor) -> Tensor:
        """See `Inputs`."""
        return resampling.mirrored(batch, self.layout.mirrored(), torch.ones(len(batch), dtype=torch.bool, device=batch.device))

    def _moments(self, clips: Clips, rows: np.ndarray, moments: np.ndarray) -> Tensor:
        """The joints of clips `rows` (B,) at `moments` (B, T)."""
        before = np.floor(moments).astype(np.int64)
        after = np.minimum(before + 1, (clips.frames[rows] - 1)[:, None])
        (points, _), (later, _) = clips.gather(rows, before), clips.gather(rows, after)
        return self.steadied(resampling.between(points, later, upload(moments - before, clips.device, torch.float32)))
