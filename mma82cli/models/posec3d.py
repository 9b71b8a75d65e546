"""PoseC3D: a slow-only 3D ResNet-50 on heatmaps of joints (Duan et al. 2022, "Revisiting Skeleton-based Action Recognition").

Names of weights and figures are those of mmaction2's `configs/skeleton/posec3d/rgbpose_conv3d/pose_only.py` and of
pyskl, whose checkpoints load as they are. Where the MMA-82 paper speaks of dilated convolutions in the second and third
stages, the configuration has inflated ones: 3x1x1 kernels there, 1x1x1 in the first stage; so has this model.

Every kernel is either spatial (1,k,k) or temporal (3,1,1), so both are 2D convolutions over views of one channels-last
tensor: spatial ones see (B*T, C, H, W), temporal ones (B, C, T, H*W). On a CPU that is twice as fast as Conv3d.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mma82cli.models.folding import fold_norm, fused_relu, fuses, move_bias
from mma82cli.models.norms import BatchNorm2d
from mma82cli.models.weights import some
from mma82cli.records import DataError

HEAD = "cls_head."  # what the keys of the last layer begin with
EXPANSION = 4  # of a bottleneck's last 1x1x1 kernel


@dataclass(frozen=True)
class Dims:
    """The sizes of a PoseC3D. Channels double, and height and width halve, from stage to stage."""

    in_channels: int = 17  # V joints (or limbs)
    num_classes: int = 82
    base_channels: int = 32
    stage_blocks: tuple[int, ...] = (4, 6, 3)
    temporal_strides: tuple[int, ...] = (1, 1, 1)  # (1, 1, 2) in the peers' NTU and gym configurations
    dropout: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "stage_blocks", tuple(self.stage_blocks))
        object.__setattr__(self, "temporal_strides", tuple(self.temporal_strides))
        if len(self.stage_blocks) != len(self.temporal_strides):
            raise ValueError(f"{len(self.stage_blocks)} stages, but {len(self.temporal_strides)} temporal strides")

    @property
    def features(self) -> int:
        """Channels of the last stage (512)."""
        return self.base_channels * EXPANSION * 2 ** (len(self.stage_blocks) - 1)


def relu(x: Tensor) -> Tensor:
    """ReLU, in place where that is faster: on a CPU bf16 is not."""
    return F.relu(x, inplace=x.dtype == torch.float32)


class ConvBN(nn.Module):
    """A convolution that is spatial (1,k,k) or temporal (k,1,1), batch norm, and perhaps ReLU.

    Weights have Conv3d's shape [out, in, kT, kH, kW]. In and out: (B*T, C, H, W), channels-last in memory.
    """

    def __init__(self, channels: int, out: int, kernel: tuple[int, int, int], stride: int = 1, t_stride: int = 1, relu=True):
        super().__init__()
        self.conv = nn.Conv3d(channels, out, kernel, bias=False)  # holds the weights; `forward` convolves in 2D
        self.bn = BatchNorm2d(out, eps=1e-5, momentum=0.1)
        self.kernel, self.stride, self.t_stride, self.relu = kernel, stride, t_stride, relu

    def forward(self, x: Tensor, frames: int, added: Tensor | None = None) -> Tensor:
        """x (B*T, C, H, W) with T = `frames` -> relu(… + added) (B*T/t_stride, out, H/stride, W/stride)."""
        if self.t_stride > 1:
            x = x.unflatten(0, (-1, frames))[:, :: self.t_stride].flatten(0, 1)
        if self.kernel[0] == 1:
            return self._finished(x, self.conv.weight.squeeze(2), self.stride, self.kernel[1] // 2, added)
        n, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(-1, frames, h * w, c).permute(0, 3, 1, 2)  # (B, C, T, H*W)
        x = self._finished(x, self.conv.weight.squeeze(4), 1, (self.kernel[0] // 2, 0), None)
        return x.permute(0, 2, 3, 1).reshape(n, h, w, -1).permute(0, 3, 1, 2)  # (B*T, out, H, W)

    def _finished(self, x: Tensor, weight: Tensor, stride, padding, added: Tensor | None) -> Tensor:
        if self.relu and fuses(x, self.bn):
            return fused_relu(x, weight, self.conv.bias, stride, padding, added)
        x = self.bn(F.conv2d(x, weight, self.conv.bias, stride, padding))
        if added is not None:
            x += added
        return relu(x) if self.relu else x


class Bottleneck(nn.Module):
    """1x1x1 (inflated: 3x1x1), 1x3x3 with the strides, 1x1x1, and the way round them."""

    def __init__(self, channels: int, planes: int, stride: int, t_stride: int, inflate: bool):
        super().__init__()
        out = planes * EXPANSION
        self.conv1 = ConvBN(channels, planes, (3, 1, 1) if inflate else (1, 1, 1))
        self.conv2 = ConvBN(planes, planes, (1, 3, 3), stride, t_stride)
        self.conv3 = ConvBN(planes, out, (1, 1, 1))
        changes = stride > 1 or t_stride > 1 or channels != out
        self.downsample = ConvBN(channels, out, (1, 1, 1), stride, t_stride, relu=False) if changes else None
        self.t_stride = t_stride

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B*T, C, H, W) -> (B*T/t_stride, planes*4, H/stride, W/stride), T = `frames`."""
        y = self.conv2(self.conv1(x, frames), frames)
        return self.conv3(y, frames, x if self.downsample is None else self.downsample(x, frames))


class Backbone(nn.Module):
    """Stem (1x7x7, then 1x3x3 max pooling, both of stride 1) and the stages of bottlenecks."""

    def __init__(self, dims: Dims):
        super().__init__()
        channels = dims.base_channels
        self.conv1 = ConvBN(dims.in_channels, channels, (1, 7, 7))
        for i, (blocks, t_stride) in enumerate(zip(dims.stage_blocks, dims.temporal_strides, strict=True)):
            stage = nn.ModuleList()
            for j in range(blocks):
                strides = (2, t_stride) if j == 0 else (1, 1)
                stage.append(Bottleneck(channels, dims.base_channels * 2**i, *strides, inflate=i > 0))
                channels = dims.base_channels * 2**i * EXPANSION
            self.add_module(f"layer{i + 1}", stage)
        self.stages = len(dims.stage_blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Heatmaps (B, V, T, H, W) -> features (B, C, T', H/8, W/8)."""
        batch, _, frames = x.shape[:3]
        x = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)  # (B*T, V, H, W)
        x = max_pool(self.conv1(x, frames))
        for i in range(self.stages):
            for block in getattr(self, f"layer{i + 1}"):
                x = block(x, frames)
                frames = x.shape[0] // batch
        return x.unflatten(0, (batch, frames)).transpose(1, 2)


def max_pool(x: Tensor) -> Tensor:
    """3x3 max pooling of stride 1, (N, C, H, W) -> the same. Without gradients on a CPU it is done side by side: faster."""
    if x.requires_grad or x.device.type != "cpu" or min(x.shape[2:]) < 3:
        return F.max_pool2d(x, 3, 1, 1)
    for axis in (2, 3):
        length = x.shape[axis]
        pairs = torch.maximum(x.narrow(axis, 0, length - 1), x.narrow(axis, 1, length - 1))
        x = torch.empty_like(x)
        torch.maximum(pairs.narrow(axis, 0, length - 2), pairs.narrow(axis, 1, length - 2), out=x.narrow(axis, 1, length - 2))
        x.select(axis, 0).copy_(pairs.select(axis, 0))
        x.select(axis, length - 1).copy_(pairs.select(axis, length - 2))
    return x


class Head(nn.Module):
    """The mean over frames and places, dropout, and a linear layer."""

    def __init__(self, dims: Dims):
        super().__init__()
        self.dropout = nn.Dropout(dims.dropout)
        self.fc_cls = nn.Linear(dims.features, dims.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, T, H, W) -> logits (B, classes)."""
        return self.fc_cls(self.dropout(x.mean((2, 3, 4))))


class PoseC3D(nn.Module):
    """model(heatmaps (B, V, T, H, W)) -> logits (B, num_classes). H and W are multiples of 8, T of the temporal strides.

    PoseC3D(in_channels=, num_classes=, base_channels=, stage_blocks=, temporal_strides=, dropout=): see `Dims`.
    """

    def __init__(self, dims: Dims | None = None, **sizes):
        super().__init__()
        self.dims = Dims(**sizes) if dims is None else dims
        self.backbone = Backbone(self.dims)
        self.cls_head = Head(self.dims)
        self.initialise()

    @property
    def num_classes(self) -> int:
        """Labels that it scores."""
        return self.dims.num_classes

    def initialise(self) -> None:
        """He's initialisation (fan out), every block an identity at first, a small last layer."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.conv3.bn.weight)
        nn.init.normal_(self.cls_head.fc_cls.weight, std=0.01)
        nn.init.zeros_(self.cls_head.fc_cls.bias)

    @property
    def reads(self) -> int:
        """Joints, or limbs, that it has a channel for."""
        return self.dims.in_channels

    def compiled_parts(self) -> list[nn.Module]:
        """What is compiled for a long training on a GPU."""
        return [self.backbone]

    def pooled(self, heatmaps: Tensor) -> Tensor:
        """(B, V, T, H, W) -> float32 (B, dims.features): the mean of the features over frames and places."""
        return self.backbone(heatmaps).float().mean((2, 3, 4))

    def features(self, heatmaps: Tensor) -> Tensor:
        """(B, V, T, H, W) -> (B, C, T', H/8, W/8), C = dims.features."""
        return self.backbone(heatmaps)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """(B, V, T, H, W) -> (B, num_classes)."""
        return self.cls_head(self.backbone(heatmaps))


def fold(model: PoseC3D) -> PoseC3D:
    """A copy for inference with every batch norm folded into the convolution before it; `.bfloat16()` makes it faster still.

    Its logits are the model's in eval mode, but for rounding. It cannot be trained, and its keys differ.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, ConvBN):
            fold_norm(module, "conv", "bn")
    for module in folded.modules():
        if isinstance(module, Bottleneck) and module.downsample is not None:
            move_bias(module.downsample.conv, module.conv3.conv)
    return folded


def recognises(state: dict[str, Tensor]) -> bool:
    """Whether these are the weights of a PoseC3D, ours or a peer's."""
    return "backbone.conv1.conv.weight" in state and state["backbone.conv1.conv.weight"].ndim == 5


def from_state(state: dict[str, Tensor], path, recipe: str | None = None, carried: dict | None = None, **sizes) -> PoseC3D:
    """A PoseC3D of the sizes that `state` shows, not yet filled. Temporal strides don't show: they are those of the recipe
    named, else of the recipe carried, else 1 throughout. `sizes` override. Raises DataError where it is no PoseC3D."""
    carried = carried or {}
    shown = sizes_of(state, path)
    strides = (1,) * (len(shown["stage_blocks"]) - 1) + (2 if recipe == "posec3d-ntu" else 1,)
    if recipe is None and "temporal_strides" in carried:
        strides = _as_many(tuple(carried["temporal_strides"]), strides, path)
    dropout = {"dropout": float(carried["dropout"])} if "dropout" in carried else {}
    return PoseC3D(**{**shown, "temporal_strides": strides, **dropout, **sizes})


def _as_many(strides: tuple[int, ...], ones: tuple[int, ...], path) -> tuple[int, ...]:
    """The recipe's temporal strides for a network of as many stages as `ones`. Those that halve nothing fit any number."""
    if len(strides) != len(ones) and set(strides) != {1}:
        raise DataError(f"{path} has {len(ones)} stages; the recipe has temporal strides for {len(strides)}, {list(strides)}")
    return strides if len(strides) == len(ones) else ones


def sizes_of(state: dict[str, Tensor], path="checkpoint") -> dict:
    """The sizes of a PoseC3D (constructor arguments but temporal strides and dropout) that `state` shows."""
    stem, last = state.get("backbone.conv1.conv.weight"), state.get("cls_head.fc_cls.weight")
    blocks: dict[int, set[int]] = {}
    for key in state:
        found = re.match(r"backbone\.layer(\d+)\.(\d+)\.", key)
        if found:
            blocks.setdefault(int(found[1]), set()).add(int(found[2]))
    if stem is None or last is None or stem.ndim != 5 or sorted(blocks) != list(range(1, len(blocks) + 1)) or not blocks:
        shown = some(list(state))
        expected = "backbone.conv1.conv.weight [C,V,1,7,7], backbone.layer1…, cls_head.fc_cls.weight"
        raise DataError(f"{path}: not a PoseC3D (holds {shown}); expected {expected}")
    return {
        "in_channels": stem.shape[1],
        "base_channels": stem.shape[0],
        "num_classes": last.shape[0],
        "stage_blocks": tuple(max(blocks[i + 1]) + 1 for i in range(len(blocks))),
    }


def input_of(model: nn.Module, recipe) -> tuple[str, tuple]:
    """What an exported network reads: its name and axes."""
    return "heatmaps", ("batch", model.reads, recipe.frames, recipe.size, recipe.size)
