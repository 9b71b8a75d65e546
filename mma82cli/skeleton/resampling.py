"""Joints at any moments of a clip, between its frames too, and relative to the clip's box: what a graph network reads.

Moments are frame numbers with fractions. `points` are (B, M, T, V, 3): x, y and a score, 0 where the joint is missing.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mma82cli.devices import upload


def train_moments(num_frames: np.ndarray, length: int, time_crop: float, rng: np.random.Generator) -> np.ndarray:
    """`length` even steps through a part of each clip that is shorter by `time_crop` of it at most -> float32 (B, length)."""
    cut = time_crop * rng.random(len(num_frames))
    return _steps(num_frames, length, cut, rng.random(len(num_frames)))


def test_moments(num_frames: np.ndarray, length: int, num_clips: int, time_crop: float) -> np.ndarray:
    """`num_clips` times `length` moments of each clip -> float32 (B * num_clips, length), one clip after the other.

    The first goes through all of it, the others through parts that lie ever later in it, as short as training's are in
    the mean.
    """
    cut = np.full(num_clips, time_crop / 2)
    cut[0] = 0
    where = np.linspace(0, 1, max(num_clips - 1, 2))[: num_clips - 1]
    where = np.concatenate(([0.0], where))
    return _steps(np.repeat(num_frames, num_clips), length, np.tile(cut, len(num_frames)), np.tile(where, len(num_frames)))


def _steps(num_frames: np.ndarray, length: int, cut: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`cut` is the share of each clip that is left out, `where` (0..1) how much of that lies before what is kept."""
    last = (num_frames - 1)[:, None]
    start = last * (cut * where)[:, None]
    return (start + np.linspace(0, 1, length) * (last * (1 - cut[:, None]))).astype(np.float32)


def between(before: Tensor, after: Tensor, part: Tensor) -> Tensor:
    """Points `part` (B, T) of the way from `before` to `after`; a joint that only one of them has is where that one has it."""
    part = part[:, None, :, None, None]
    a, b = (points[..., 2:] > 0 for points in (before, after))
    part = torch.where(a & b, part, torch.where(b, 1.0, 0.0))
    return torch.lerp(before, after, part)


def boxes(points: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip's box (all frames and persons): its least and its greatest x and y, (B, 1, 1, 1, 2) each."""
    present = points[..., 2:] > 0
    low, high = (torch.where(present, points[..., :2], beyond) for beyond in (math.inf, -math.inf))
    return low.amin((1, 2, 3), keepdim=True), high.amax((1, 2, 3), keepdim=True)


def steadied(points: Tensor) -> Tensor:
    """The clips as a camera sees them that follows the body: all joints of a moment are moved together, so that the median of
    how far they are from where each mostly is (its median over the clip) is 0.

    Most joints are still in a micro-action, and what all of them do at once is the camera's doing.
    """
    present = points[..., 2:] > 0
    xy = points[..., :2].where(present, math.nan)
    away = (xy - _median(xy, 2)).transpose(1, 2).flatten(2, 3)  # (B, T, M*V, 2)
    xy = xy - _median(away, 2).unflatten(2, (1, 1)).transpose(1, 2)
    return torch.where(present, torch.cat((xy, points[..., 2:]), -1), points)


def _median(values: Tensor, dim: int) -> Tensor:
    """The middle of those that are numbers (the lower of two), NaN where there is none; `dim` is kept."""
    # by sorting: torch.nanmedian finds places too, and those are not deterministic on a GPU
    last = values.isfinite().sum(dim, keepdim=True) - 1
    return values.sort(dim).values.gather(dim, last.clamp(min=0) // 2)  # NaN come last


def cropped(points: Tensor, side: Tensor, place: Tensor, which: Tensor) -> Tensor:
    """The clips where `which` (B,) is true as a nearer camera sees them: joints outside a part of the clip's box are missing.

    The part has `side` (B, 2) of the box's width and height; `place` (B, 2) says how far right and down of the room there is
    (0..1). A clip with no joint in that part stays as it is.
    """
    low, high = boxes(points)
    side, place = (draws[:, None, None, None] for draws in (side, place))
    start = low + (high - low) * (1 - side) * place
    inside = ((points[..., :2] >= start) & (points[..., :2] <= start + (high - low) * side)).all(-1) & (points[..., 2] > 0)
    which = which & inside.flatten(1).any(1)
    return points.where(inside[..., None] | ~which[:, None, None, None, None], 0.0)


def relative(points: Tensor) -> Tensor:
    """x and y from the middle of each clip's box, in halves of its longer side: -1..1. Missing joints are (0, 0, 0)."""
    present = points[..., 2:] > 0
    xy = points[..., :2]
    low, high = boxes(points)
    half = ((high - low) / 2).amax(-1, keepdim=True).clamp(min=1e-6)
    return torch.where(present, torch.cat(((xy - (low + high) / 2) / half, points[..., 2:]), -1), 0.0)


def turned(points: Tensor, angle: Tensor, stretch: Tensor) -> Tensor:
    """Points about (0, 0) turned by `angle` (B,) in radians, then stretched by `stretch` (B, 2) along x and y."""
    turn = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), -1).view(-1, 2, 2) * stretch[:, :, None]
    return torch.cat((torch.einsum("bmtvi,bji->bmtvj", points[..., :2], turn), points[..., 2:]), -1)


def mirrored(points: Tensor, order: list[int], which: Tensor) -> Tensor:
    """The clips where `which` (B,) is true in a mirror: x changes its sign, left and right joints (`order`) places."""
    other = points[:, :, :, upload(order, points.device)] * upload([-1.0, 1.0, 1.0], points.device)
    return torch.where(which[:, None, None, None, None], other, points)
