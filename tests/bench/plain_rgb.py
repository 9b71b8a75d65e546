"""GC-TSM as one writes it down: channels first, a 5D tensor and Conv3d for what looks across frames, torch.cat of the groups."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def plain_shift(x, frames, div=8):
    x = x.view(-1, frames, *x.shape[1:])
    fold = x.shape[2] // div
    out = torch.zeros_like(x)
    out[:, :-1, :fold] = x[:, 1:, :fold]
    out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
    out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    return out.flatten(0, 1)


class PlainGate(nn.Module):
    def __init__(self, kind: int, channels: int):
        super().__init__()
        self.kind = kind
        self.conv = {
            1: lambda: nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), bias=False),
            2: lambda: nn.Conv1d(channels, channels, 3, padding=1, bias=False),
            3: lambda: nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False),
            4: lambda: nn.Linear(channels, channels, bias=False),
        }[kind]()
        self.bn1 = {1: nn.BatchNorm3d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm1d}[kind](channels)

    def forward(self, x):  # (B, T, C, H, W)
        if self.kind == 1:
            gate = self.bn1(self.conv(x.transpose(1, 2).contiguous())).transpose(1, 2)
        elif self.kind == 2:
            gate = self.bn1(self.conv(x.mean((3, 4)).transpose(1, 2).contiguous())).transpose(1, 2)[..., None, None]
        elif self.kind == 3:
            gate = self.conv(x.mean(1))[:, None]
        else:
            gate = self.bn1(self.conv(x.mean((1, 3, 4))))[:, None, :, None, None]
        return x * torch.sigmoid(gate)


class PlainBottleneck(nn.Module):
    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, planes * 4, 1, bias=False), nn.BatchNorm2d(planes * 4)
        self.eft1, self.eft2, self.eft3, self.eft4 = (PlainGate(kind, planes // 4) for kind in (1, 2, 3, 4))
        self.downsample = None
        if stride > 1 or channels != planes * 4:
            self.downsample = nn.Sequential(nn.Conv2d(channels, planes * 4, 1, stride, bias=False), nn.BatchNorm2d(planes * 4))

    def forward(self, x, frames):
        y = F.relu(self.bn1(self.conv1(plain_shift(x, frames))))
        y = self.bn2(self.conv2(y))
        parts = y.view(-1, frames, *y.shape[1:]).chunk(4, 2)
        gates = (self.eft1, self.eft2, self.eft3, self.eft4)
        y = torch.cat([gate(part) for gate, part in zip(gates, parts, strict=True)], 2).flatten(0, 1)
        y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class PlainGCTSM(nn.Module):
    """The same keys and sizes as `GCTSM()`; the last layer is applied frame by frame."""

    def __init__(self, classes=82):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for i, blocks in enumerate((3, 4, 6, 3)):
            stage = nn.ModuleList()
            for j in range(blocks):
                stage.append(PlainBottleneck(channels, 64 * 2**i, 2 if i and j == 0 else 1))
                channels = 256 * 2**i
            self.add_module(f"layer{i + 1}", stage)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        frames = x.shape[1]
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x.flatten(0, 1)))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, frames)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)).view(-1, frames, self.fc.out_features).mean(1)
