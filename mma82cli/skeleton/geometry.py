"""Augmentation of joints as PoseC3D's makers do it, on batches of clips (CPU or CUDA tensors).

`points` are (B, M, T, V, C): x, y in the first two of C >= 2 channels, in pixels; the others (scores) only move along
in a flip. `shapes` are (B, 2): height and width of each clip's picture. Every function returns new tensors.
A coordinate that is exactly 0 counts as missing, x and y each for itself, in `compact` and `flip`, as in the peers
(mmaction2 `PoseCompact`, `Resize`, `RandomResizedCrop`, `Flip`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mma82cli.devices import upload

PADDING, THRESHOLD = 0.25, 10.0  # of the box round the joints: share of its half-size; least size in pixels
AREA, ASPECT, ATTEMPTS = (0.56, 1.0), (3 / 4, 4 / 3), 10


def _with_xy(points: Tensor, xy: Tensor) -> Tensor:
    return torch.cat((xy, points[..., 2:].to(xy.dtype)), -1) if points.shape[-1] > 2 else xy


def compact(points: Tensor, shapes: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts each clip to the square round its joints (all frames and persons), 25 % larger; it may leave the picture.

    NaN becomes 0. A clip whose joints span less than 10 px in x or y stays as it is. -> (points, shapes).
    """
    xy = torch.nan_to_num(points[..., :2], nan=0.0)
    present = xy != 0
    low = torch.where(present, xy, math.inf).amin((1, 2, 3))  # (B, 2), x then y
    high = torch.where(present, xy, -math.inf).amax((1, 2, 3))
    wide = (high - low >= THRESHOLD).all(1)
    centre = (high + low) / 2
    half = ((high - low) / 2 * (1 + PADDING)).amax(1, keepdim=True)
    start, end = torch.where(wide[:, None], centre - half, 0).trunc(), torch.where(wide[:, None], centre + half, 0).trunc()
    moved = xy - torch.where(present, start[:, None, None, None], 0)
    size = (end - start).flip(1).to(shapes.dtype)
    return _with_xy(points, moved), torch.where(wide[:, None], size, shapes)


def resize(points: Tensor, shapes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Stretches each picture to `size` (height, width), whatever its proportions. -> (points, shapes)."""
    new = upload(size, shapes.device, shapes.dtype).expand_as(shapes)
    factor = (new.double() / shapes.double()).float().flip(1)[:, None, None, None]  # (B, 1, 1, 1, 2) as x, y
    return _with_xy(points, points[..., :2] * factor.to(points.dtype)), new.clone()


def crop(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts each picture to its box (B, 4), x1, y1, x2, y2. Missing joints move too, as in the peers. -> (points, shapes)."""
    start = boxes[:, None, None, None, :2].to(points.dtype)
    return _with_xy(points, points[..., :2] - start), (boxes[:, 2:] - boxes[:, :2]).flip(1)


def draw_crops(batch: int, source, area=AREA, aspect=ASPECT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `crop_boxes` needs of chance for `batch` clips: proportions and areas (B, ATTEMPTS), and places (B, 2) in [0, 1).

    `source` is a numpy Generator or RandomState, and drawn from as the peers do (who take places from Python's own).
    """
    draw = (batch, ATTEMPTS)
    aspects = np.exp(source.uniform(*np.log(aspect), size=draw))
    areas = source.uniform(*area, size=draw)
    return aspects, areas, source.uniform(size=(batch, 2))


def crop_boxes(shapes: Tensor, aspects: Tensor, areas: Tensor, places: Tensor) -> Tensor:
    """Boxes (B, 4), x1, y1, x2, y2, in pictures of `shapes` (B, 2): of a drawn share of the area and proportion, the first of
    ATTEMPTS that fits; else the largest square, in the middle. `places` says how far right and down of the room there is.
    """
    sides = torch.stack(((areas / aspects), (areas * aspects)), -1) * shapes.prod(1).double()[:, None, None]
    tried = sides.sqrt().round().long()  # (B, attempts, 2), height and width
    fits = (tried <= shapes[:, None]).all(-1)
    some = fits.any(1, keepdim=True)
    first = fits.int().argmax(1)[:, None, None].expand(-1, 1, 2)
    size = torch.where(some, tried.gather(1, first)[:, 0], shapes.amin(1, keepdim=True))
    room = (shapes - size).flip(1)  # x, y
    start = torch.where(some, (places * (room + 1)).long(), room // 2)
    return torch.cat((start, start + size.flip(1)), 1)


def flip(points: Tensor, shapes: Tensor, mirrored: list[int], which: Tensor) -> Tensor:
    """Mirrors the clips where `which` (B,) is true: x becomes width - x, left and right joints change places.

    `mirrored` is `Layout.mirrored()`: scores go with their joints.
    """
    swapped = points[:, :, :, upload(mirrored, points.device)]
    width = shapes[:, 1].to(points.dtype)[:, None, None, None]
    x = torch.where(swapped[..., 0] != 0, width - swapped[..., 0], swapped[..., 0])
    swapped = torch.cat((x[..., None], swapped[..., 1:]), -1)
    return torch.where(which[:, None, None, None, None], swapped, points)
