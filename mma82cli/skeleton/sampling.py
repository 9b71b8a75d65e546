"""Uniform sampling of frames (PoseC3D, Section 3.2): one frame out of each of `clip_len` equal parts of a video.

A video of N frames gives, for N < clip_len, a run of frames that starts over at the end; up to twice clip_len, a run
with N - clip_len gaps; beyond, one frame drawn in each part. Testing draws with the fixed seed 255, so that a video's
clips are always the same; the peers differ there in one draw a clip. (`UniformSampleFrames` of mmaction2 and pyskl.)
"""

from __future__ import annotations

import numpy as np

from mma82cli.records import WrongUsage

TEST_SEED = 255
PEERS = ("mmaction2", "pyskl")


def train_indices(num_frames: int, clip_len: int, source) -> np.ndarray:
    """A clip drawn for training -> int64 (clip_len,), each in 0..num_frames-1.

    `source` is a numpy Generator, or a RandomState (which draws as the peers do).
    """
    start = int(_draw(source, num_frames)) if num_frames < clip_len else None
    return _clip(num_frames, clip_len, start, source)


def test_indices(num_frames: int, clip_len: int = 32, num_clips: int = 1, peer: str = "mmaction2") -> np.ndarray:
    """The clips a video is tested by -> int64 (num_clips, clip_len), each in 0..num_frames-1.

    `peer` is "mmaction2" or "pyskl". Raises WrongUsage for another.
    """
    if peer not in PEERS:
        raise WrongUsage(f"sampling '{peer}'; expected {' or '.join(PEERS)}")
    source = np.random.RandomState(TEST_SEED)
    clips = []
    for i in range(num_clips):
        if peer == "pyskl":
            source.random_sample()  # the ratio of the video that a clip covers, always 1 here
        start = i if num_frames < num_clips else i * num_frames // num_clips
        clips.append(_clip(num_frames, clip_len, start, source))
    return np.stack(clips)


test_indices.__test__ = False  # no test case, whatever its name tells pytest


def _clip(num_frames: int, clip_len: int, start, source) -> np.ndarray:
    """One clip; `start` is its first frame where the video is shorter than the clip."""
    if num_frames < clip_len:
        return (start + np.arange(clip_len)) % num_frames
    if num_frames < 2 * clip_len:
        gaps = np.zeros(clip_len + 1, np.int64)
        gaps[source.choice(clip_len + 1, num_frames - clip_len, replace=False)] = 1
        return np.arange(clip_len) + np.cumsum(gaps)[:-1]
    starts = np.arange(clip_len + 1) * num_frames // clip_len
    return starts[:-1] + _draw(source, np.diff(starts))


def _draw(source, high):
    return source.integers(high) if hasattr(source, "integers") else source.randint(high)
