"""Plain implementations, as one would write them first: what the fast ones are compared with, for values and for time."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import nn


def plain_heatmaps(keypoints: np.ndarray, size: tuple[int, int], sigma: float = 0.6, eps: float = 1e-4) -> np.ndarray:
    """(M, T, V, 3) -> (T, V, H, W): a loop over frames, joints and persons."""
    (height, width), (persons, frames, joints) = size, keypoints.shape[:3]
    maps = np.zeros((frames, joints, height, width), np.float32)
    for t in range(frames):
        for v in range(joints):
            for m in range(persons):
                mu_x, mu_y, score = keypoints[m, t, v]
                if score < eps:
                    continue
                x0, x1 = max(int(mu_x - 3 * sigma), 0), min(int(mu_x + 3 * sigma) + 1, width)
                y0, y1 = max(int(mu_y - 3 * sigma), 0), min(int(mu_y + 3 * sigma) + 1, height)
                x, y = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)
                if len(x) and len(y):
                    patch = np.exp(-((x - mu_x) ** 2 + (y[:, None] - mu_y) ** 2) / 2 / sigma**2) * score
                    maps[t, v, y0:y1, x0:x1] = np.maximum(maps[t, v, y0:y1, x0:x1], patch)
    return maps


class _Conv(nn.Module):
    def __init__(self, channels, out, kernel, stride=(1, 1, 1)):
        super().__init__()
        self.conv = nn.Conv3d(channels, out, kernel, stride, [k // 2 for k in kernel], bias=False)
        self.bn = nn.BatchNorm3d(out)

    def forward(self, x):
        return self.bn(self.conv(x))


class _Block(nn.Module):
    def __init__(self, channels, planes, stride, inflate):
        super().__init__()
        self.conv1 = _Conv(channels, planes, (3 if inflate else 1, 1, 1))
        self.conv2 = _Conv(planes, planes, (1, 3, 3), stride)
        self.conv3 = _Conv(planes, planes * 4, (1, 1, 1))
        if channels != planes * 4 or max(stride) > 1:
            self.downsample = _Conv(channels, planes * 4, (1, 1, 1), stride)

    def forward(self, x):
        y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class PlainPoseC3D(nn.Module):
    """PoseC3D in Conv3d and BatchNorm3d on (B, V, T, H, W); the same keys as `mma82cli.models.posec3d.PoseC3D`."""

    def __init__(self, in_channels=17, num_classes=82, base_channels=32, stage_blocks=(4, 6, 3), temporal_strides=(1, 1, 1)):
        super().__init__()
        self.backbone, self.cls_head = nn.Module(), nn.Module()
        self.backbone.conv1 = _Conv(in_channels, base_channels, (1, 7, 7))
        channels, self.stages = base_channels, []
        for i, (blocks, t) in enumerate(zip(stage_blocks, temporal_strides, strict=True)):
            planes, stage = base_channels * 2**i, nn.Sequential()
            for j in range(blocks):
                stage.append(_Block(channels, planes, (t, 2, 2) if j == 0 else (1, 1, 1), i > 0))
                channels = planes * 4
            setattr(self.backbone, f"layer{i + 1}", stage)
            self.stages.append(f"layer{i + 1}")
        self.cls_head.fc_cls = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = F.max_pool3d(F.relu(self.backbone.conv1(x)), (1, 3, 3), 1, (0, 1, 1))
        for stage in self.stages:
            x = getattr(self.backbone, stage)(x)
        return self.cls_head.fc_cls(x.mean((2, 3, 4)))
