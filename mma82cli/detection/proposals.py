"""From a detector's levels to proposals, and from proposals to what is left of them after suppression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Proposals(NamedTuple):
    """N proposals: `segments` (N, 2) start and end, `scores` (N,) 0..1, `labels` (N,) ids."""

    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    @staticmethod
    def joined(parts: list[Proposals]) -> Proposals:
        """All proposals, in the order of the parts."""
        if not parts:
            return Proposals(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int))
        return Proposals(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def decode(levels: list[tuple[Tensor, Tensor, Tensor]], masks: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """-> for each window (segments (n, 2) in moments, scores (n, C)) of its n points that exist.

    levels, masks  as a model and `level_masks` give them
    """
    points = torch.cat([level[2] for level in levels])  # (P, 4)
    scores = torch.cat([level[0] for level in levels], 2).mT.float().sigmoid()  # (B, P, C)
    offsets = torch.cat([level[1] for level in levels], 2).mT.float() * points[:, 3, None]
    segments = torch.stack((points[:, 0] - offsets[..., 0], points[:, 0] + offsets[..., 1]), 2)
    return [(segments[i][valid], scores[i][valid]) for i, valid in enumerate(torch.cat(masks, 1))]


def best(segments: Tensor, scores: Tensor, least: float, most: int) -> Proposals:
    """The `most` best (point, class) pairs above `least` of one window, best first; equal scores by point, then class."""
    flat = scores.flatten()
    kept = (flat > least).nonzero().squeeze(1)
    order = kept[flat[kept].argsort(descending=True, stable=True)[:most]]
    segments = segments[order // scores.shape[1]]
    return Proposals(*(x.cpu().numpy() for x in (segments.double(), flat[order].double(), order % scores.shape[1])))


def in_seconds(found: Proposals, times: np.ndarray, step: float, begin: float = 0.0, end: float = np.inf) -> Proposals:
    """Proposals of a window whose moments are at `times` (T,) s: segments in seconds, cut to `begin` and `end`.

    Before the first and behind the last moment time goes on by `step` seconds a moment. What is not longer than a
    microsecond after the cut is left out.
    """
    segments = to_seconds(found.segments, times, step).clip(begin, end)
    kept = segments[:, 1] - segments[:, 0] > 1e-6
    return Proposals(segments[kept], found.scores[kept], found.labels[kept])


def to_seconds(moments: np.ndarray, times: np.ndarray, step: float) -> np.ndarray:
    """Moments of a window (any shape) in seconds."""
    last = len(times) - 1
    inside = np.interp(moments, np.arange(len(times)), times)
    return inside + np.minimum(moments, 0) * step + np.maximum(moments - last, 0) * step


def to_moments(seconds: np.ndarray, times: np.ndarray, step: float) -> np.ndarray:
    """Seconds (any shape) in moments of a window: the inverse of `to_seconds`."""
    inside = np.interp(seconds, times, np.arange(len(times)))
    return inside + (np.minimum(seconds - times[0], 0) + np.maximum(seconds - times[-1], 0)) / step
