"""ActionFormer's neck and head (Zhang et al. 2022), which AdaTAD puts on its features: a pyramid over time by transformer
blocks that halve it, and two small convolutional branches, shared by all levels, that classify each point in time and
regress its distances to a start and an end.

Tensors are (B, C, T) as 1D convolutions have them; a mask (B, T) says which moments exist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mma82cli.devices import upload

FIRST_REACH = 4  # regression range of the finest level, in moments; it doubles from level to level
FARTHEST = 10000  # of the last level
PRIOR = 0.01  # probability that every class begins with


@dataclass(frozen=True)
class HeadDims:
    """The sizes of projection, pyramid and head; the defaults are those of the peer's THUMOS-14 configuration."""

    in_channels: int = 768
    channels: int = 512
    heads: int = 4
    num_classes: int = 82
    embed: int = 2  # convolutions before the first level
    stem: int = 2  # transformer blocks at full rate
    branch: int = 5  # transformer blocks that halve the rate: levels beyond the first
    convs: int = 2  # of each branch of the head
    path_drop: float = 0.1  # chance that a window skips a block's branch in training
    path_scale: bool = True  # learned scales of the blocks' branches, small at first

    @property
    def levels(self) -> int:
        """Levels of the pyramid."""
        return self.branch + 1

    @property
    def multiple(self) -> int:
        """What the number of moments must be a multiple of."""
        return 2**self.branch


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of (B, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> the same."""
        return super().forward(x.mT).mT


class MaskedConv(nn.Module):
    """A convolution, masked, and perhaps a layer norm and ReLU, masked again."""

    def __init__(self, channels: int, out: int, stride: int = 1, depthwise: bool = False, norm: bool = True):
        super().__init__()
        self.conv = nn.Conv1d(channels, out, 3, stride, 1, groups=channels if depthwise else 1, bias=False)
        self.norm = ChannelNorm(out, eps=1e-6) if norm else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, C, T), mask (B, 1, T/stride) of what comes out -> (B, out, T/stride)."""
        x = self.conv(x) * mask
        return x if self.norm is None else F.relu(self.norm(x)) * mask


class ConvAttention(nn.Module):
    """Self-attention over all moments behind depthwise convolutions, which place and thin them."""

    def __init__(self, channels: int, heads: int, stride: int):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value"):
            self.add_module(f"{name}_conv", MaskedConv(channels, channels, stride, depthwise=True, norm=False))
            self.add_module(f"{name}_norm", ChannelNorm(channels))
            self.add_module(name, nn.Conv1d(channels, channels, 1))
        self.proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, C, T), mask (B, 1, T/stride) -> (B, C, T/stride)."""
        q, k, v = (
            self._modules[name](self._modules[f"{name}_norm"](self._modules[f"{name}_conv"](x, mask)))
            .unflatten(1, (self.heads, -1))
            .mT  # (B, heads, T', channels)
            for name in ("query", "key", "value")
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None].bool())  # (B, heads, T', channels)
        return self.proj(out.mT.flatten(1, 2)) * mask


class PathScale(nn.Module):
    """Scales a branch channel by channel; nearly off at first."""

    def __init__(self, channels: int):
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, channels, 1), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> the same."""
        return x * self.scale


class TransformerBlock(nn.Module):
    """Attention and MLP behind layer norms; with stride 2 the way round the attention is a maximum over three moments."""

    def __init__(self, dims: HeadDims, stride: int):
        super().__init__()
        channels = dims.channels
        self.stride = stride
        self.ln1, self.ln2 = ChannelNorm(channels), ChannelNorm(channels)
        self.attn = ConvAttention(channels, dims.heads, stride)
        # two places are the peer's dropouts, whose rate is 0: the numbers are part of the weights' names
        layers = (nn.Conv1d(channels, 4 * channels, 1), nn.GELU(), nn.Identity(), nn.Conv1d(4 * channels, channels, 1))
        self.mlp = nn.Sequential(*layers)
        self.drop_path_attn = PathScale(channels) if dims.path_scale else nn.Identity()
        self.drop_path_mlp = PathScale(channels) if dims.path_scale else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, C, T), mask (B, 1, T) -> both at 1/stride. `keep` (2, B, 1, 1) weighs the branches (stochastic depth)."""
        mask = mask[..., :: self.stride]
        attended = self.drop_path_attn(self.attn(self.ln1(x), mask))
        skip = x if self.stride == 1 else F.max_pool1d(x, 3, self.stride, 1)
        x = skip * mask + (attended if keep is None else attended * keep[0])
        changed = self.drop_path_mlp(self.mlp(self.ln2(x)) * mask)
        return x + (changed if keep is None else changed * keep[1]), mask


class Projection(nn.Module):
    """Features (B, in_channels, T) -> the levels of the pyramid, each of half the rate of the one before."""

    def __init__(self, dims: HeadDims):
        super().__init__()
        self.path_drop = dims.path_drop
        channels = [dims.in_channels] + [dims.channels] * dims.embed
        self.embed = nn.ModuleList(MaskedConv(a, b) for a, b in zip(channels, channels[1:], strict=False))
        self.stem = nn.ModuleList(TransformerBlock(dims, 1) for _ in range(dims.stem))
        self.branch = nn.ModuleList(TransformerBlock(dims, 2) for _ in range(dims.branch))

    def forward(self, x: Tensor, mask: Tensor, keeps: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """x (B, in_channels, T), mask (B, 1, T) -> [(B, channels, T/2^level), its mask]. `keeps` as `draw` gives them."""
        for conv in self.embed:
            x = conv(x, mask)
        each: list = [None] * len([*self.stem, *self.branch]) if keeps is None else list(keeps)
        for block, keep in zip(self.stem, each, strict=False):
            x, mask = block(x, mask, keep)
        levels = [(x, mask)]
        for block, keep in zip(self.branch, each[len(self.stem) :], strict=True):
            levels.append(block(*levels[-1], keep))
        return levels

    def draw(self, windows: int, rng: np.random.Generator, device) -> tuple[Tensor, ...]:
        """Stochastic depth for a batch of so many windows: what weighs each block's branches, (blocks, 2, B, 1, 1); nothing
        where no window skips anything."""
        if not self.path_drop:
            return ()
        drawn = rng.random((len(self.stem) + len(self.branch), 2, windows, 1, 1), dtype=np.float32)
        return (upload((drawn >= self.path_drop) / (1 - self.path_drop), device, torch.float32),)


class Neck(nn.Module):
    """A layer norm a level. Moments that don't exist come out as its bias, and the head's convolutions see them: so has the
    peer trained it. What a window gives therefore depends on how many moments there are behind it, none or some."""

    def __init__(self, dims: HeadDims):
        super().__init__()
        self.fpn_norms = nn.ModuleList(ChannelNorm(dims.channels, eps=1e-6) for _ in range(dims.levels))

    def forward(self, levels: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """[(features, mask)] -> the same."""
        return [(norm(x), mask) for norm, (x, mask) in zip(self.fpn_norms, levels, strict=True)]


class Scale(nn.Module):
    """One learned factor."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Any tensor -> the same shape."""
        return x * self.scale


class Head(nn.Module):
    """Class logits and distances for every point of every level."""

    loss_normalizer: Tensor

    def __init__(self, dims: HeadDims):
        super().__init__()
        # a moving mean of how many points have an action: the losses' divisor, kept with the weights
        self.register_buffer("loss_normalizer", torch.tensor(100.0))
        channels = dims.channels
        self.cls_convs = nn.ModuleList(MaskedConv(channels, channels) for _ in range(dims.convs))
        self.reg_convs = nn.ModuleList(MaskedConv(channels, channels) for _ in range(dims.convs))
        self.cls_head = nn.Conv1d(channels, dims.num_classes, 3, padding=1)
        self.reg_head = nn.Conv1d(channels, 2, 3, padding=1)
        self.scale = nn.ModuleList(Scale() for _ in range(dims.levels))

    def forward(self, levels: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """[(features (B, C, T), mask)] -> [(logits (B, classes, T), offsets (B, 2, T) in strides)].

        The levels go through the convolutions as one sequence, a moment that doesn't exist between any two: to either it is the
        zero that a convolution sees beyond an end."""
        x, mask = (torch.cat([F.pad(part, (0, 1)) for part in parts], 2) for parts in zip(*levels, strict=True))
        classes = distances = x
        for conv in self.cls_convs:
            classes = conv(classes, mask)
        for conv in self.reg_convs:
            distances = conv(distances, mask)
        sizes = [n for level, _ in levels for n in (level.shape[2], 1)]
        logits, offsets = (each.split(sizes, 2)[::2] for each in (self.cls_head(classes), self.reg_head(distances)))
        scaled = (F.relu(scale(part)) for scale, part in zip(self.scale, offsets, strict=True))
        return list(zip(logits, scaled, strict=True))


def points(level: int, count: int, levels: int, device="cpu") -> Tensor:
    """(count, 4) time in moments, least and greatest distance to a boundary that this level is for, stride."""
    stride = 2**level
    least = 0 if level == 0 else FIRST_REACH * stride / 2
    most = FARTHEST if level == levels - 1 else FIRST_REACH * stride
    at = torch.arange(count, device=device, dtype=torch.float32) * stride
    return torch.stack((at, *(torch.full_like(at, value) for value in (least, most, stride))), 1)


def initialise(*parts: nn.Module) -> None:
    """Torch's weights, no biases; class probabilities begin at PRIOR."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.Conv1d) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(part, Head):
            nn.init.constant_(part.cls_head.bias, -math.log((1 - PRIOR) / PRIOR))
