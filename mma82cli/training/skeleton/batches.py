"""From joints to heatmaps, a batch at a time: sampling, augmentation, drawing (PoseC3D's pipeline, `posec3d.toml`)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mma82cli.skeleton import gaussian, geometry, sampling
from mma82cli.skeleton.layouts import Layout
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.recipe import PoseC3DRecipe


def train_batch(
    clips: Clips, rows: np.ndarray, recipe: PoseC3DRecipe, layout: Layout, rng: np.random.Generator, buffer
) -> Tensor:
    """Heatmaps (B, V, T, H, W) of the clips `rows` (B,), augmented with draws from `rng`, in `buffer`'s memory."""
    indices = np.stack([_train_frames(int(clips.frames[row]), recipe, rng) for row in rows])
    points, shapes = geometry.compact(*clips.gather(rows, indices))
    points = _distort(points, shapes, recipe, rng)
    boxes = geometry.random_crop_boxes(shapes.cpu().numpy(), rng, area=recipe.crop_area, aspect=recipe.crop_ratio)
    points, shapes = geometry.crop(points, torch.from_numpy(boxes).to(points.device))
    points, shapes = geometry.resize(points, shapes, (recipe.train_size, recipe.train_size))
    which = torch.from_numpy(rng.random(len(rows)) < recipe.flip).to(points.device)
    if layout.pairs:
        points = geometry.flip(points, shapes, layout.mirrored(), which)
    return draw(points, recipe.train_size, recipe, layout, buffer)


def test_batch(clips: Clips, rows: np.ndarray, recipe: PoseC3DRecipe, layout: Layout, num_clips: int, buffer) -> Tensor:
    """Heatmaps (B*num_clips, V, T, H, W): the fixed test clips of the clips `rows` (B,), one clip after the other."""
    indices = np.concatenate([_test_frames(int(clips.frames[row]), recipe.frames, num_clips, recipe.sampling) for row in rows])
    points, shapes = geometry.compact(*clips.gather(np.repeat(rows, num_clips), indices))
    points, _ = geometry.resize(points, shapes, (recipe.size, recipe.size))
    return draw(points, recipe.size, recipe, layout, buffer)


test_batch.__test__ = False  # no test case, whatever its name tells pytest


def draw(points: Tensor, size: int, recipe: PoseC3DRecipe, layout: Layout, buffer) -> Tensor:
    """Heatmaps of joints, or of limbs, as the recipe has it."""
    eps = gaussian.EPS[recipe.sampling]
    if recipe.heatmaps == "limb":
        return gaussian.limb_heatmaps(points, layout.limbs, (size, size), recipe.sigma, eps)
    return gaussian.heatmaps(points, (size, size), recipe.sigma, eps, out=buffer)


def mirror(heatmaps: Tensor, recipe: PoseC3DRecipe, layout: Layout) -> Tensor:
    """Heatmaps (B, V, T, H, W) of the mirrored picture, left and right exchanged (the peers' `double`)."""
    order = layout.mirrored_limbs() if recipe.heatmaps == "limb" else layout.mirrored()
    return heatmaps[:, order].flip(-1)


def channels(recipe: PoseC3DRecipe, layout: Layout) -> int:
    """Channels of the heatmaps."""
    return len(layout.limbs) if recipe.heatmaps == "limb" else len(layout)


def _train_frames(num_frames: int, recipe: PoseC3DRecipe, rng: np.random.Generator) -> np.ndarray:
    """Frames (T,) of a clip, out of a part of it that is `time_crop` shorter at most."""
    if recipe.time_crop == 0:
        return sampling.train_indices(num_frames, recipe.frames, rng)
    kept = max(1, round(num_frames * (1 - recipe.time_crop * rng.random())))
    return rng.integers(num_frames - kept + 1) + sampling.train_indices(kept, recipe.frames, rng)


@lru_cache(maxsize=4096)
def _test_frames(num_frames: int, length: int, num_clips: int, peer: str) -> np.ndarray:
    return sampling.test_indices(num_frames, length, num_clips, peer)


def _distort(points: Tensor, shapes: Tensor, recipe: PoseC3DRecipe, rng: np.random.Generator) -> Tensor:
    """Turns and stretches each clip about its picture's middle, and shakes each joint, as far as the recipe asks."""
    if not (recipe.rotate or recipe.scale or recipe.jitter):
        return points
    batch = len(points)
    angle = rng.uniform(-1, 1, batch) * math.radians(recipe.rotate)
    stretch = 1 + rng.uniform(-1, 1, (batch, 2, 1)) * recipe.scale
    turn = np.stack((np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)), -1).reshape(batch, 2, 2) * stretch
    side = shapes.float().flip(1)[:, None, None, None]  # (B, 1, 1, 1, 2), width and height
    xy = points[..., :2] - side / 2
    xy = torch.einsum("bmtvi,bji->bmtvj", xy, torch.from_numpy(turn).to(xy))
    if recipe.jitter:
        noise = rng.standard_normal(tuple(xy.shape), dtype=np.float32)
        xy = xy + torch.from_numpy(noise).to(xy.device) * (recipe.jitter * side)
    present = points[..., :2] != 0
    return torch.cat((torch.where(present, xy + side / 2, 0.0), points[..., 2:]), -1)
