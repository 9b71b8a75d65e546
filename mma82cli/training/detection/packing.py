"""Windows of any lengths as one batch of clips, none of which is there only to fill up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mma82cli.devices import onto, upload
from mma82cli.rgb.pictures import moving

CLIP = 16  # frames


class Packed(NamedTuple):
    """`pictures` (N, 16, H, W, 3) uint8 of all windows' clips, `windows` of them in each, which is of `size` frames when it is
    full and of which `lengths` exist; and whether the network sees what stands `still`."""

    pictures: Tensor
    windows: list[int]
    lengths: list[int]
    size: int
    still: str

    @property
    def clips(self) -> Tensor:
        """(N, 3, 16, H, W) for the network: uint8, or where it sees what is `moving` float32."""
        clips = self.pictures
        if self.still == "remove":
            each = zip(clips.split(self.windows), self.lengths, strict=True)
            clips = torch.cat([moving(frames.flatten(0, 1), length).unflatten(0, (-1, CLIP)) for frames, length in each])
        return clips.permute(0, 4, 1, 2, 3)

    @property
    def mask(self) -> Tensor:
        """(B, size): the frames that exist."""
        return upload(np.arange(self.size) < np.array(self.lengths)[:, None], self.pictures.device)


def pack(windows: list[np.ndarray], size: int, fill: str, device, still: str = "keep") -> Packed:
    """Frames (T, H, W, 3) uint8 of each window, T at most `size` -> a batch on the device; any thread may call it.

    Behind its end a window repeats its last frame: up to the end of its last clip (`fill` "clip"), or up to `size` frames
    ("window": what OpenTAD's networks are used to). Then the clips that can't matter are not run. With `still` "remove" the
    network sees what is `moving`.
    """
    lengths = [len(frames) for frames in windows]
    counts = [(size if fill == "window" else length + -length % CLIP) // CLIP for length in lengths]
    full = np.concatenate([_filled(frames, CLIP * count) for frames, count in zip(windows, counts, strict=True)])
    return Packed(onto(full, torch.device(device)).unflatten(0, (-1, CLIP)), counts, lengths, size, still)


def _filled(frames: np.ndarray, count: int) -> np.ndarray:
    return frames if len(frames) == count else frames[np.minimum(np.arange(count), len(frames) - 1)]
