"""Heatmaps of joints and limbs: what PoseC3D reads (`GeneratePoseTarget` of mmaction2 and pyskl), for whole batches at once.

A joint at (x, y) with score s draws s * exp(-d²/2σ²) in a window of trunc(x - 3σ) .. trunc(x + 3σ) pixels a side; where
persons overlap, the larger value stays. Scores below `eps` (mmaction2 1e-4, pyskl 1e-3) and joints that are not finite
draw nothing. The windows hold all there is, so only they are computed: a patch a joint, scattered in one call.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = {"mmaction2": 1e-4, "pyskl": 1e-3}


class HeatmapBuffer:
    """Memory kept from batch to batch. What was drawn last is undone instead of clearing everything.

    The tensor that `heatmaps(…, out=buffer)` returns is a view of it, valid until the next call with this buffer.
    """

    def __init__(self, dtype: torch.dtype = torch.float32):
        self.dtype = dtype
        self.maps: Tensor | None = None  # flat
        self.drawn: Tensor | None = None  # indices of what may not be zero

    def cleared(self, count: int, device) -> Tensor:
        """`count` zeros on `device`."""
        if self.maps is None or len(self.maps) != count or self.maps.device != device:
            self.maps = torch.zeros(count, dtype=self.dtype, device=device)
        elif self.drawn is not None:
            self.maps[self.drawn] = 0.0
        self.drawn = None
        return self.maps


def heatmaps(
    keypoints: Tensor, size: tuple[int, int], sigma: float = 0.6, eps: float = 1e-4,
    out: HeatmapBuffer | None = None, joints_last: bool = True,
) -> Tensor:  # fmt: skip
    """Joints (B, [M,] T, V, 3), x, y in pixels of the H x W grid and a score -> float32 (B, V, T, H, W), `size` = (H, W).

    Persons M are merged by the maximum. With `out` the result is a view of its memory, in its dtype (see `HeatmapBuffer`).
    `joints_last` orders memory as (B, T, H, W, V): the model's convolutions then need no copy, which saves far more than
    the drawing takes. Without it the result is contiguous, (B, V, T, H, W), and drawn faster.
    """
    if keypoints.ndim == 4:
        keypoints = keypoints[:, None]
    keypoints, (height, width) = keypoints.detach().float(), size
    batch, persons, frames, joints = keypoints.shape[:4]
    x, first_x = _window(keypoints[..., 0], width, sigma)  # (B, M, T, V, K), (B, M, T, V)
    y, first_y = _window(keypoints[..., 1], height, sigma)
    score = torch.where(keypoints[..., 2] >= eps, keypoints[..., 2], 0.0)
    patches = (y * score[..., None])[..., :, None] * x[..., None, :]  # (B, M, T, V, K, K)

    buffer = out or HeatmapBuffer()
    maps = buffer.cleared(batch * frames * height * width * joints, keypoints.device)
    step = joints if joints_last else 1  # from pixel to pixel
    clip, frame, joint, row, column = (torch.arange(n, device=x.device) for n in (batch, frames, joints, *patches.shape[-2:]))
    if joints_last:
        start = (clip[:, None, None] * frames + frame[:, None]) * (height * width * joints) + joint  # (B, T, V)
    else:
        start = ((clip[:, None, None] * joints + joint) * frames + frame[:, None]) * (height * width)
    corner = start[:, None] + (first_y * width + first_x) * step
    within = (row[:, None] * width + column) * step  # (K, K)
    index = (corner[..., None, None] + within).flatten()
    if persons == 1:
        maps[index] = patches.flatten().to(maps.dtype)
    else:
        maps.scatter_reduce_(0, index, patches.flatten().to(maps.dtype), "amax")
    buffer.drawn = index
    if joints_last:
        return maps.view(batch, frames, height, width, joints).permute(0, 4, 1, 2, 3)
    return maps.view(batch, joints, frames, height, width)


def _window(mu: Tensor, length: int, sigma: float) -> tuple[Tensor, Tensor]:
    """A joint's Gaussian along one axis -> values (…, K), and the pixel (…) that the first of them stands at.

    The window is that of the peers: int() cuts towards zero, so that a joint just outside can still draw on the edge.
    All K pixels lie on the axis (0..length-1); those outside the window are 0.
    """
    side = min(int(6 * sigma) + 2, length)
    mu = torch.where(mu.abs() < 1e6, mu, -1e6)  # far outside; NaN too
    first = (mu - 3 * sigma).long().clamp(min=0)  # .long() cuts towards zero
    end = (mu + 3 * sigma).long() + 1
    start = first.clamp(max=length - side)
    pixels = start[..., None] + torch.arange(side, device=mu.device)
    values = torch.exp((pixels - mu[..., None]).square() * (-0.5 / sigma**2))
    return torch.where((pixels >= first[..., None]) & (pixels < end[..., None]), values, 0.0), start


def limb_heatmaps(keypoints: Tensor, limbs, size: tuple[int, int], sigma: float = 0.6, eps: float = 1e-4) -> Tensor:
    """Joints (B, [M,] T, V, 3) and `limbs` [(from, to), …] -> float32 (B, limbs, T, H, W).

    A limb draws exp(-d²/2σ²) times the lower score of its ends, d being the distance to the segment, within 3σ of its
    bounding box; a limb shorter than one pixel draws as its first joint, with that joint's score.
    """
    if keypoints.ndim == 4:
        keypoints = keypoints[:, None]
    ends = keypoints.detach().float().transpose(2, 3)[:, :, torch.as_tensor(limbs, device=keypoints.device)]  # (B, M, L, 2, T, 3)
    ends = ends.transpose(3, 4)  # (B, M, L, T, 2, 3)
    score = ends[..., 2].amin(-1)
    score = torch.where((score >= eps) & torch.isfinite(ends).all(-1).all(-1), score, 0.0)
    ends = torch.nan_to_num(ends, 0.0, 0.0, 0.0)
    a, b = ends[..., 0, :2], ends[..., 1, :2]
    squared = (b - a).square().sum(-1)
    short = squared < 1
    score = torch.where(short & (score > 0), ends[..., 0, 2], score)
    b = torch.where(short[..., None], a, b)

    grid_x, in_x = _span(a[..., 0], b[..., 0], size[1], sigma)
    grid_y, in_y = _span(a[..., 1], b[..., 1], size[0], sigma)
    x_a, y_a, x_b, y_b = (v[..., None, None] for v in (a[..., 0], a[..., 1], b[..., 0], b[..., 1]))  # (B, M, L, T, 1, 1)
    grid_y, squared = grid_y[:, None], squared.clamp(min=1)[..., None, None]
    to_a = (grid_x - x_a).square() + (grid_y - y_a).square()  # (B, M, L, T, H, W)
    to_b = (grid_x - x_b).square() + (grid_y - y_b).square()
    along = to_a.sub_(to_b).add_(squared).div_(2).div_(squared).clamp_(0, 1)  # of the nearest point: 0 at `from`, 1 at `to`
    far = (grid_x - (x_a + along * (x_b - x_a))).square_() + (grid_y - (y_a + along * (y_b - y_a))).square_()
    far = torch.where(along == 1, to_b, far)  # a + (b - a) need not be b
    drawn = far.mul_(-0.5 / sigma**2).exp_() * (in_y[..., :, None] * score[..., None, None] * in_x[..., None, :])
    return drawn.amax(1)


def _span(a: Tensor, b: Tensor, length: int, sigma: float) -> tuple[Tensor, Tensor]:
    """The pixels of an axis (length,), and which of them a limb from `a` to `b` may draw on (…, length)."""
    first = (torch.minimum(a, b) - 3 * sigma).long().clamp(min=0)
    end = (torch.maximum(a, b) + 3 * sigma).long() + 1
    pixels = torch.arange(length, device=a.device)
    return pixels.to(a.dtype), (pixels >= first[..., None]) & (pixels < end[..., None])
