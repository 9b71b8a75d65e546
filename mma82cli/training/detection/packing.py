"""Windows of any lengths as one batch of clips, none of which is there only to fill up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mma82cli.devices import upload
from mma82cli.rgb.pictures import moving

CLIP = 16  # frames


class Packed(NamedTuple):
    """`clips` (N, 3, 16, H, W) of all windows, uint8 or (normalised) float32, `windows` of each, `lengths` frames of each that
    exist, `mask` (B, window) of those."""

    clips: Tensor
    windows: list[int]
    lengths: list[int]
    mask: Tensor


def pack(windows: list[np.ndarray], size: int, fill: str, device, still: str = "keep") -> Packed:
    """Frames (T, H, W, 3) uint8 of each window, T at most `size` -> a batch on the device.

    Behind its end a window repeats its last frame: up to the end of its last clip (`fill` "clip"), or up to `size` frames
    ("window": what OpenTAD's networks are used to). Then the clips that can't matter are not run. With `still` "remove" the
    network sees what is `moving`.
    """
    lengths = [len(frames) for frames in windows]
    counts = [(size if fill == "window" else length + -length % CLIP) // CLIP for length in lengths]
    full = [_filled(frames, CLIP * count) for frames, count in zip(windows, counts, strict=True)]
    clips = torch.from_numpy(np.concatenate(full)).unflatten(0, (-1, CLIP))  # (N, 16, H, W, 3)
    if torch.device(device).type == "cuda":
        clips = clips.pin_memory()
    mask = torch.arange(size)[None] < torch.tensor(lengths)[:, None]
    clips = clips.to(device, non_blocking=True)
    if still == "remove":
        each = zip(clips.split(counts), lengths, strict=True)
        clips = torch.cat([moving(frames.flatten(0, 1), length).unflatten(0, (-1, CLIP)) for frames, length in each])
    return Packed(clips.permute(0, 4, 1, 2, 3), counts, lengths, upload(mask, device))


def _filled(frames: np.ndarray, count: int) -> np.ndarray:
    return frames if len(frames) == count else frames[np.minimum(np.arange(count), len(frames) - 1)]
