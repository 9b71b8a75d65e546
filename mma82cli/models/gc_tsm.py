"""GC-TSM: a 2D ResNet-50 that looks across frames (Lin et al. 2019, "TSM"; Hao et al. 2022, "Group Contextualization").

Every bottleneck does two things more than a ResNet's. Before its first kernel an eighth of the channels comes from the
next frame and an eighth from the one before (the temporal shift); after its second batch norm each quarter of the channels
is multiplied by a gate that has seen another context: a place over time, a frame, all frames at a place, the whole clip.
Without the gates it is `tsm`, without the shift too `tsn`; with a squeeze-and-excitation before the shift it is `manet`.

Names of weights are torchvision's, with `eft1` to `eft4` for the gates as in the authors' code. All tensors are
channels-last in memory: the shift and the gates work on views (B, T, H, W, C) of what the convolutions read and write.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mma82cli.models.folding import fold_norm, fused_relu, fuses, move_bias
from mma82cli.models.gc_tsm_weights import HEAD, may_be_new, recognises, renamed
from mma82cli.models.norms import BatchNorm1d, BatchNorm2d
from mma82cli.records import DataError

__all__ = ["HEAD", "GCTSM", "Dims", "fold", "from_state", "may_be_new", "recognises", "renamed"]

EXPANSION = 4  # of a bottleneck's last 1x1 kernel
GATES = 4


@dataclass(frozen=True)
class Dims:
    """The sizes of a GC-TSM. Channels double, and height and width halve, from stage to stage."""

    num_classes: int = 82
    base_channels: int = 64
    stage_blocks: tuple[int, ...] = (3, 4, 6, 3)
    shift_div: int = 8  # 1/8 of the channels come from the next frame, 1/8 from the one before; 0: no shift
    gate_div: int = 4  # each of the four gates has 1/4 of the channels; 0: no gates
    squeeze_div: int = 0  # MANet: channels are weighted by way of 1/4 of them; 0: they are not
    dropout: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "stage_blocks", tuple(self.stage_blocks))
        if 0 < self.gate_div < GATES:
            raise ValueError(f"gate_div is {self.gate_div}; expected 0, or at least {GATES}, one part a gate")

    @property
    def features(self) -> int:
        """Channels of the last stage (2048)."""
        return self.base_channels * EXPANSION * 2 ** (len(self.stage_blocks) - 1)


def frames_first(x: Tensor, frames: int) -> Tensor:
    """(B*T, C, H, W), channels-last in memory -> its view (B, T, H, W, C)."""
    return x.permute(0, 2, 3, 1).unflatten(0, (-1, frames))


def channels_second(x: Tensor) -> Tensor:
    """(B, T, H, W, C) -> its view (B*T, C, H, W), channels-last in memory."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def shift(x: Tensor, frames: int, div: int) -> Tensor:
    """Channels [0, C/div) from the next frame, as many after them from the one before, 0 where there is none.

    (B*T, C, H, W) -> the same shape, T = `frames`.
    """
    x, fold = frames_first(x, frames), x.shape[1] // div
    if not torch.compiler.is_compiling():
        return channels_second(_Shift.apply(x, fold))
    # ONNX has an operator each for these, and a compiler makes one of them and their gradients
    later = F.pad(x[:, 1:, ..., :fold], (0, 0) * 3 + (0, 1))
    earlier = F.pad(x[:, :-1, ..., fold : 2 * fold], (0, 0) * 3 + (1, 0))
    return channels_second(torch.cat((later, earlier, x[..., 2 * fold :]), -1))


class _Shift(torch.autograd.Function):
    """Its gradient is the shift the other way; autograd's own would copy the whole tensor once for every part."""

    @staticmethod
    def forward(ctx, x: Tensor, fold: int) -> Tensor:
        ctx.fold = fold
        return _shifted(x, slice(0, fold), slice(fold, 2 * fold))

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _shifted(gradient, slice(ctx.fold, 2 * ctx.fold), slice(0, ctx.fold)), None


def _shifted(x: Tensor, from_next: slice, from_last: slice) -> Tensor:
    """(B, T, H, W, C) with two slices of channels from the neighbouring frames, the rest unchanged."""
    out = x.clone()  # all of it: memory in one piece is copied several times faster by a GPU
    out[:, :-1, ..., from_next], out[:, -1, ..., from_next] = x[:, 1:, ..., from_next], 0
    out[:, 1:, ..., from_last], out[:, 0, ..., from_last] = x[:, :-1, ..., from_last], 0
    return out


def max_pool(x: Tensor) -> Tensor:
    """3x3 max pooling of stride 2, (N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2)).

    Torch's own is slow at bf16 on a CPU; there rows, then columns, are compared side by side.
    """
    if x.requires_grad or x.device.type != "cpu" or x.dtype == torch.float32:
        return F.max_pool2d(x, 3, 2, 1)
    for axis in (2, 3):
        even, odd = (x[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        pairs = odd.shape[axis]
        x = even.clone(memory_format=torch.channels_last)
        torch.maximum(x.narrow(axis, 0, pairs), odd, out=x.narrow(axis, 0, pairs))
        rest = x.shape[axis] - 1
        torch.maximum(x.narrow(axis, 1, rest), odd.narrow(axis, 0, rest), out=x.narrow(axis, 1, rest))
    return x


def relu_of(conv: nn.Conv2d, norm: nn.Module, x: Tensor, added: Tensor | None = None) -> Tensor:
    """relu(norm(conv(x)) + added)."""
    if fuses(x, norm):
        return fused_relu(x, conv.weight, conv.bias, conv.stride, conv.padding, added)
    y = norm(conv(x))
    if added is not None:
        y += added
    return F.relu(y, inplace=True)


class LocalGate(nn.Module):
    """Of each place in each frame, from that place in three frames."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), bias=False)  # holds the weights; `forward` convolves in 2D
        self.bn1 = BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, H, W, C)."""
        places = x.shape[2:4]
        x = x.flatten(2, 3).permute(0, 3, 1, 2)  # (B, C, T, H*W)
        y = self.bn1(F.conv2d(x, self.conv.weight.squeeze(4), self.conv.bias, padding=(1, 0)))
        return y.permute(0, 2, 3, 1).unflatten(2, places)


class TemporalGate(nn.Module):
    """Of each frame, from three frames."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, 1, 1, C)."""
        y = self.bn1(self.conv(x.mean((2, 3)).transpose(1, 2)))  # (B, C, T)
        return y.transpose(1, 2)[:, :, None, None]


class SpatialGate(nn.Module):
    """Of each place, from the places round it in the mean of all frames."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False)
        self.bn1 = BatchNorm2d(channels).requires_grad_(False)  # in the authors' checkpoints, but they never use it

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, 1, H, W, C)."""
        return self.conv(x.mean(1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[:, None]


class GlobalGate(nn.Module):
    """Of each channel, from the mean of the whole clip."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Linear(channels, channels, bias=False)
        self.bn1 = BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, 1, 1, 1, C)."""
        return self.bn1(self.conv(x.mean((1, 2, 3))))[:, None, None, None]


class Bottleneck(nn.Module):
    """Shift, 1x1, 3x3 with the stride, gates, 1x1, and the way round them, which is not shifted."""

    def __init__(self, channels: int, planes: int, stride: int, dims: Dims):
        super().__init__()
        out = planes * EXPANSION
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False), BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, out, 1, bias=False), BatchNorm2d(out)
        self.downsample = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), BatchNorm2d(out))
        self.shift_div, self.gated = dims.shift_div, planes // dims.gate_div if dims.gate_div else 0  # channels of a gate
        if self.gated:
            self.eft1, self.eft2 = LocalGate(self.gated), TemporalGate(self.gated)
            self.eft3, self.eft4 = SpatialGate(self.gated), GlobalGate(self.gated)
        self.fcce = None
        if dims.squeeze_div:
            narrow = channels // dims.squeeze_div
            self.fcce = nn.Sequential(
                nn.Linear(channels, narrow, bias=False), nn.ReLU(), nn.Linear(narrow, channels, bias=False), nn.Sigmoid()
            )

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B*T, C, H, W) -> (B*T, planes*4, H/stride, W/stride), T = `frames`."""
        y = x if self.fcce is None else x * self.fcce(x.mean((2, 3)))[:, :, None, None]
        y = shift(y, frames, self.shift_div) if self.shift_div else y
        y = relu_of(self.conv1, self.bn1, y)
        y = self.bn2(self.conv2(y))
        y = F.relu(self.contextualize(y, frames), inplace=True)
        return relu_of(self.conv3, self.bn3, y, x if self.downsample is None else self.downsample(x))

    def gates(self) -> tuple[nn.Module, ...]:
        """One for each group of channels, in their order."""
        return self.eft1, self.eft2, self.eft3, self.eft4

    def contextualize(self, x: Tensor, frames: int) -> Tensor:
        """Each group of channels times its gate (0 to 1); channels of no group as they are. (B*T, C, H, W) -> the same."""
        if not self.gated:
            return x
        x = frames_first(x, frames)
        *parts, rest = x.split([self.gated] * GATES + [x.shape[-1] - GATES * self.gated], -1)
        gates = [torch.sigmoid(gate(part)) for gate, part in zip(self.gates(), parts, strict=True)]
        if x.requires_grad or torch.compiler.is_compiling():
            return channels_second(torch.cat([*(part * gate for part, gate in zip(parts, gates, strict=True)), rest], -1))
        for part, gate in zip(parts, gates, strict=True):
            part.mul_(gate)
        return channels_second(x)


class GCTSM(nn.Module):
    """model(frames (B, T, 3, H, W), RGB as `rgb.pictures.normalise` makes it) -> logits (B, num_classes).

    GCTSM(num_classes=, base_channels=, stage_blocks=, shift_div=, gate_div=, squeeze_div=, dropout=): see `Dims`.
    """

    def __init__(self, dims: Dims | None = None, **sizes):
        super().__init__()
        self.dims = dims = Dims(**sizes) if dims is None else dims
        channels = dims.base_channels
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False), BatchNorm2d(channels)
        for i, blocks in enumerate(dims.stage_blocks):
            stage = nn.ModuleList()
            for j in range(blocks):
                planes = dims.base_channels * 2**i
                stage.append(Bottleneck(channels, planes, 2 if i and j == 0 else 1, dims))
                channels = planes * EXPANSION
            self.add_module(f"layer{i + 1}", stage)
        self.dropout = nn.Dropout(dims.dropout)
        self.fc = nn.Linear(dims.features, dims.num_classes)
        self.initialise()

    @property
    def num_classes(self) -> int:
        """Labels that it scores."""
        return self.dims.num_classes

    def initialise(self) -> None:
        """He's initialisation (fan out) of the ResNet, Glorot's of the gates, a small last layer: the authors' choices."""
        for name, module in self.named_modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                if ".eft" in name:
                    nn.init.xavier_normal_(module.weight)
                else:
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear) and ".fcce" not in name:
                nn.init.normal_(module.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)

    def compiled_parts(self) -> list[nn.Module]:
        """What is compiled for a long training on a GPU."""
        return [module for module in self.modules() if isinstance(module, Bottleneck)]

    def features(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T, C), the mean over places, C = dims.features."""
        length = frames.shape[1]
        x = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)  # (B*T, 3, H, W)
        x = max_pool(relu_of(self.conv1, self.bn1, x))
        for i in range(len(self.dims.stage_blocks)):
            for block in getattr(self, f"layer{i + 1}"):
                x = block(x, length)
        return x.mean((2, 3)).unflatten(0, (-1, length))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, num_classes): the mean of the frames' logits, which is the logits of their mean."""
        return self.fc(self.dropout(self.features(frames)).mean(1))


def fold(model: GCTSM) -> GCTSM:
    """A copy for inference with every batch norm folded into what is before it; `.bfloat16()` makes it faster still.

    Its logits are the model's in eval mode, but for rounding. It cannot be trained, and its keys differ.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, (GCTSM, Bottleneck)):
            for name in ("conv1", "conv2", "conv3"):
                if hasattr(module, name):
                    fold_norm(module, name, name.replace("conv", "bn"))
        elif isinstance(module, (LocalGate, TemporalGate, GlobalGate)):
            fold_norm(module, "conv", "bn1")
        if isinstance(module, Bottleneck) and module.downsample is not None:
            fold_norm(module.downsample, "0", "1")
            move_bias(module.downsample[0], module.conv3)
        if isinstance(module, nn.Conv2d):
            module.weight = nn.Parameter(module.weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
    return folded


def from_state(state: dict[str, Tensor], path="checkpoint", recipe: str | None = None, carried: dict | None = None, **sizes):
    """A GCTSM, not yet filled, of the sizes that `state` (`renamed`) shows.

    What tensors can't show is whether there is a shift: the recipe named or carried says so, else there is one.
    """
    carried = carried or {}
    blocks: dict[int, int] = {}
    for key in state:
        found = re.match(r"layer(\d+)\.(\d+)\.", key)
        if found:
            blocks[int(found[1])] = max(int(found[2]) + 1, blocks.get(int(found[1]), 0))
    if any(count >= 23 for count in blocks.values()):
        raise DataError(f"{path}: a deep ResNet ({max(blocks.values())} blocks in a stage), which shifts in every second block"
                        " only; expected the ResNet-50 of GC-TSM")  # fmt: skip
    stem, gate, squeeze = (state.get(key) for key in ("conv1.weight", "layer1.0.eft1.conv.weight", "layer1.0.fcce.0.weight"))
    shown = {
        "num_classes": state["fc.weight"].shape[0],
        "base_channels": stem.shape[0],
        "stage_blocks": tuple(blocks[i + 1] for i in range(len(blocks))),
        "shift_div": carried.get("shift_div", 0 if recipe == "tsn" else 8),
        "gate_div": 0 if gate is None else stem.shape[0] // gate.shape[0],
        "squeeze_div": 0 if squeeze is None else squeeze.shape[1] // squeeze.shape[0],
        "dropout": float(carried.get("dropout", 0.5)),
    }
    return GCTSM(**{**shown, **sizes})


def input_of(model: nn.Module, recipe) -> tuple[str, tuple]:
    """What an exported network reads: its name and axes."""
    return "frames", ("batch", recipe.frames, 3, recipe.test_size, recipe.test_size)
