"""From joints to heatmaps, a batch at a time: sampling, augmentation, drawing (PoseC3D's pipeline, `posec3d.toml`).

Everything is batched tensor code on the device that holds the clips; only a few numbers a clip come from the CPU.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mma82cli.devices import upload
from mma82cli.models.posec3d import PoseC3D
from mma82cli.records import DataError
from mma82cli.skeleton import gaussian, geometry, sampling
from mma82cli.skeleton.gaussian import HeatmapBuffer
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.inputs import Inputs


class HeatmapInputs(Inputs):
    """Heatmaps (B, V, T, H, W) of joints, of limbs, or of the one and then the other. Raises DataError where a layout has no
    limbs to draw."""

    def __init__(self, recipe, layout):
        super().__init__(recipe, layout)
        self.kinds = recipe.heatmaps.split("+")
        if "limb" in self.kinds and not layout.limbs:
            raise DataError(f'layout {layout.name} has no limbs; expected some for heatmaps = "{recipe.heatmaps}"')
        self.first = recipe.base_channels * recipe.frames * recipe.train_size**2
        self.reads = {"joint": "joint", "limb": "limb", "joint+limb": "joints and limb"}[recipe.heatmaps]

    def __len__(self) -> int:
        return sum(len(self.layout.limbs) if kind == "limb" else len(self.layout) for kind in self.kinds)

    def make(self, classes: int) -> PoseC3D:
        """A new PoseC3D."""
        recipe = self.recipe
        return PoseC3D(
            in_channels=len(self), num_classes=classes, base_channels=recipe.base_channels,
            stage_blocks=recipe.stage_blocks, temporal_strides=recipe.temporal_strides, dropout=recipe.dropout,
        )  # fmt: skip

    def scratch(self) -> HeatmapBuffer:
        """Joints are drawn into memory that is kept."""
        return HeatmapBuffer()

    def train(self, clips: Clips, rows: np.ndarray, rng: np.random.Generator, scratch=None) -> Tensor:
        """See `Inputs`; the result lies in the scratch's memory."""
        recipe, device = self.recipe, clips.device
        indices = sampling.train_indices(clips.frames[rows], recipe.frames, rng, recipe.time_crop)
        points, shapes = clips.gather(rows, indices)
        points, shapes = geometry.compact(self.nearer(self.steadied(points), rng), shapes)
        points = self._distort(points, shapes, rng, clips.most)
        draws = geometry.draw_crops(len(rows), rng, recipe.crop_area, recipe.crop_ratio)
        points, shapes = geometry.crop(points, geometry.crop_boxes(shapes, *(upload(x, device) for x in draws)))
        points, shapes = geometry.resize(points, shapes, (recipe.train_size, recipe.train_size))
        which = upload(rng.random(len(rows)) < recipe.flip, device)
        if self.layout.pairs:
            points = geometry.flip(points, shapes, self.layout.mirrored(), which)
        return self.draw(points, recipe.train_size, scratch)

    def test(self, clips: Clips, rows: np.ndarray, num_clips: int, scratch=None) -> Tensor:
        """See `Inputs`; the result lies in the scratch's memory."""
        recipe = self.recipe
        indices = [_test_frames(int(clips.frames[row]), recipe.frames, num_clips, recipe.sampling) for row in rows]
        points, shapes = clips.gather(np.repeat(rows, num_clips), np.concatenate(indices))
        points, shapes = geometry.compact(self.steadied(points), shapes)
        points, _ = geometry.resize(points, shapes, (recipe.size, recipe.size))
        return self.draw(points, recipe.size, scratch)

    def draw(self, points: Tensor, size: int, scratch=None) -> Tensor:
        """Joints (B, M, T, V, 3) on a grid of size x size -> heatmaps, of what the recipe names."""
        recipe, drawn = self.recipe, []
        eps, grid = gaussian.EPS[recipe.sampling], (size, size)
        for kind in self.kinds:
            if kind == "limb":
                drawn.append(gaussian.limb_heatmaps(points, self.layout.limbs, grid, recipe.sigma, eps))
            else:
                drawn.append(gaussian.heatmaps(points, grid, recipe.sigma, eps, out=scratch))
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn, 1)

    def mirror(self, batch: Tensor) -> Tensor:
        """See `Inputs` (the peers' `double`)."""
        order: list[int] = []
        for kind in self.kinds:
            places = self.layout.mirrored_limbs() if kind == "limb" else self.layout.mirrored()
            order += [len(order) + place for place in places]
        return batch[:, order].flip(-1)

    def _distort(self, points: Tensor, shapes: Tensor, rng: np.random.Generator, most: int) -> Tensor:
        """Turns and stretches each clip about its picture's middle, and shakes each joint, as far as the recipe asks. It draws
        for `most` persons, so that a clip's draws don't depend on those beside it."""
        recipe = self.recipe
        if not (recipe.rotate or recipe.scale or recipe.jitter):
            return points
        batch = len(points)
        angle = rng.uniform(-1, 1, batch) * math.radians(recipe.rotate)
        stretch = 1 + rng.uniform(-1, 1, (batch, 2, 1)) * recipe.scale
        turn = np.stack((np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)), -1).reshape(batch, 2, 2) * stretch
        side = shapes.float().flip(1)[:, None, None, None]  # (B, 1, 1, 1, 2), width and height
        xy = points[..., :2] - side / 2
        xy = torch.einsum("bmtvi,bji->bmtvj", xy, upload(turn, xy.device, xy.dtype))
        if recipe.jitter:
            noise = rng.standard_normal((batch, most, *xy.shape[2:]), dtype=np.float32)[:, : xy.shape[1]]
            xy = xy + upload(noise, xy.device) * (recipe.jitter * side)
        present = points[..., :2] != 0
        return torch.cat((torch.where(present, xy + side / 2, 0.0), points[..., 2:]), -1)


@lru_cache(maxsize=4096)
def _test_frames(num_frames: int, length: int, num_clips: int, peer: str) -> np.ndarray:
    return sampling.test_indices(num_frames, length, num_clips, peer)
