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


def train_indices(num_frames: np.ndarray, clip_len: int, rng: np.random.Generator, time_crop: float = 0.0) -> np.ndarray:
    """A clip drawn for training of each video: num_frames (B,) -> int64 (B, clip_len), each in 0..num_frames-1.

    It is taken from a part of the video that is shorter by `time_crop` of it at most.
    """
    batch = len(num_frames)
    kept = np.maximum(1, np.round(num_frames * (1 - time_crop * rng.random(batch)))).astype(np.int64)[:, None]
    before = (rng.random((batch, 1)) * (num_frames[:, None] - kept + 1)).astype(np.int64)
    chance, step = rng.random((batch, clip_len + 1)), np.arange(clip_len)
    round_and_round = ((chance[:, :1] * kept).astype(np.int64) + step) % kept
    gaps = chance.argsort(1).argsort(1) < kept - clip_len  # kept - clip_len of them, anywhere
    starts = np.arange(clip_len + 1) * kept // clip_len
    one_a_part = starts[:, :-1] + (chance[:, :-1] * np.diff(starts)).astype(np.int64)
    long = np.where(kept < 2 * clip_len, step + np.cumsum(gaps, 1)[:, :-1], one_a_part)
    return before + np.where(kept < clip_len, round_and_round, long)


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
        clips.append(one_clip(num_frames, clip_len, source, start))
    return np.stack(clips)


def one_clip(num_frames: int, clip_len: int, source: np.random.RandomState, start: int | None = None) -> np.ndarray:
    """A clip with the peers' draws out of `source` -> int64 (clip_len,). `start` is its first frame where the video is
    shorter than the clip (None: drawn too, as the peers do in training)."""
    if num_frames < clip_len:
        start = source.randint(num_frames) if start is None else start
        return (start + np.arange(clip_len)) % num_frames
    if num_frames < 2 * clip_len:
        gaps = np.zeros(clip_len + 1, np.int64)
        gaps[source.choice(clip_len + 1, num_frames - clip_len, replace=False)] = 1
        return np.arange(clip_len) + np.cumsum(gaps)[:-1]
    starts = np.arange(clip_len + 1) * num_frames // clip_len
    return starts[:-1] + source.randint(np.diff(starts))
