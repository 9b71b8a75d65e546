"""AdaTAD (Liu et al. 2024): VideoMAE with adapters reads a window of frames, ActionFormer's head finds the actions in it.

Names of weights are OpenTAD's but for the prefixes of the backbone. A moment is a frame of the window.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mma82cli.models import actionformer, videomae
from mma82cli.models.actionformer import HeadDims
from mma82cli.models.videomae import VideoMAE

BOTTLENECK = 0.25  # channels of an adapter by those of its block


@dataclass(frozen=True)
class Dims:
    """The sizes of an AdaTAD."""

    backbone: videomae.Dims = field(default_factory=lambda: videomae.Dims(adapter=192))
    head: HeadDims = field(default_factory=HeadDims)

    def to_json(self) -> dict:
        """As two plain objects."""
        return asdict(self)


class AdaTAD(nn.Module):
    """model(frames (B, 3, T, H, W), mask (B, T)) -> [(class logits (B, C, t), offsets (B, 2, t), points (t, 4))], a level each.

    T is a multiple of 16, H and W are. Bytes are normalised here, floats come normalised. True in `mask` are the frames
    that exist, the first of a window. Offsets are distances to start and end in strides (points[:, 3]), `points[:, 0]` is
    in frames of the window. t is T/2^level, T rounded up to what the pyramid can halve.
    """

    def __init__(self, dims: Dims | None = None):
        super().__init__()
        self.dims = dims = Dims() if dims is None else dims
        self.backbone = VideoMAE(dims.backbone)
        self.projection = actionformer.Projection(dims.head)
        self.neck = actionformer.Neck(dims.head)
        self.rpn_head = actionformer.Head(dims.head)
        actionformer.initialise(self.projection, self.neck, self.rpn_head)

    def forward(self, frames: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """See the class. Clips that can't matter for what exists are not run; the result is the same."""
        size = self.dims.backbone.frames
        batch, clips = len(frames), frames.shape[2] // size
        packed = frames.unflatten(2, (clips, size)).transpose(1, 2).flatten(0, 1)  # (B*clips, 3, 16, H, W)
        lengths = mask.sum(1).tolist()
        return self.detect(self.features(packed, [clips] * batch, lengths), mask)

    def features(self, clips: Tensor, windows: list[int], lengths: list[int], rng=None) -> Tensor:
        """Packed clips (N, 3, 16, H, W), `windows` of them in each window, of which `lengths` frames exist -> features
        (B, dim, T) of the frames, T those of the longest window. `rng`: of stochastic depth."""
        slices = self.dims.backbone.frames // self.dims.backbone.tubelet
        # a frame's features mix two tubelets, and the first convolution sees one frame more
        last = [math.ceil((length + 1) / self.dims.backbone.tubelet) for length in lengths]
        needed = [min(n, tubelet // slices + 1) for n, tubelet in zip(windows, last, strict=True)]
        x = self.backbone.features(clips, windows, needed, rng)  # (clips needed, slices, dim)
        longest = max(windows) * slices  # what lies behind is the last tubelet's, as at a window's end
        parts = [part.flatten(0, 1).mT for part in x.split(needed)]  # (dim, tubelets)
        tubelets = torch.stack([F.pad(part, (0, longest - part.shape[1]), mode="replicate") for part in parts])
        rate = float(self.dims.backbone.tubelet)
        x = F.interpolate(tubelets, scale_factor=rate, mode="linear", align_corners=False)
        present = torch.tensor(windows, device=x.device)[:, None] * self.dims.backbone.frames
        return x * (torch.arange(x.shape[2], device=x.device) < present)[:, None]

    def detect(self, features: Tensor, mask: Tensor, rng=None) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Features (B, dim, T) and mask (B, T' >= T) -> a level's logits, offsets and points each.

        The head is always given the whole window, T' frames: behind features there are zeros."""
        mask = F.pad(mask, (0, -mask.shape[1] % self.dims.head.multiple))
        x = F.pad(features, (0, mask.shape[1] - features.shape[2]))
        return self.rpn_head(self.neck(self.projection(x, mask[:, None].to(x.dtype), rng)))


def level_masks(mask: Tensor, levels: int) -> list[Tensor]:
    """A window's mask (B, T) -> the masks (B, t) of its levels."""
    mask = F.pad(mask, (0, -mask.shape[1] % 2 ** (levels - 1)))
    return [mask[:, :: 2**level] for level in range(levels)]
