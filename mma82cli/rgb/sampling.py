"""Which frames of a clip a network sees: one out of each of T equal parts (TSN's sampling), or a run of them 64 frames long.

Where a clip has fewer frames than parts, its frames are spread over the parts, each several times: the authors' training
and validation take the first frame T times there, which their own test code does not. (`TSNDataSet` of TSM and GC-TSM,
`SampleFrames` of mmaction2.)
"""

from __future__ import annotations

import numpy as np

RUN = 64  # frames that a dense clip lies in
DENSE_CLIPS = 10  # of a test


def train_indices(num_frames: int, parts: int, source) -> np.ndarray:
    """One frame drawn in each part -> int64 (parts,), each in 0..num_frames-1; a last, incomplete part is never drawn from.

    `source` is a numpy Generator, or a RandomState (which draws as the authors' code does).
    """
    length = num_frames // parts
    if length == 0:
        return test_indices(num_frames, parts)[0]
    return np.arange(parts) * length + _draw(source, length, parts)


def test_indices(num_frames: int, parts: int, num_clips: int = 1) -> np.ndarray:
    """The middle of each part, and with two clips its beginning too -> int64 (num_clips, parts), each in 0..num_frames-1."""
    starts = np.arange(parts) * num_frames / parts
    clips = [(num_frames / parts / 2 + starts).astype(np.int64), starts.astype(np.int64)]
    return np.stack(clips[:num_clips])


def dense_train_indices(num_frames: int, parts: int, source) -> np.ndarray:
    """`parts` frames of a run that begins anywhere -> int64 (parts,); short clips go round."""
    places = max(1, 1 + num_frames - RUN)
    return _run(0 if places == 1 else int(_draw(source, places - 1, None)), num_frames, parts)


def dense_test_indices(num_frames: int, parts: int) -> np.ndarray:
    """Ten runs, evenly spread -> int64 (10, parts)."""
    starts = np.linspace(0, max(0, num_frames - RUN), DENSE_CLIPS).astype(np.int64)
    return np.stack([_run(start, num_frames, parts) for start in starts])


def _run(start: int, num_frames: int, parts: int) -> np.ndarray:
    return (start + np.arange(parts) * (RUN // parts)) % num_frames


def _draw(source, high: int, size):
    return source.integers(high, size=size) if hasattr(source, "integers") else source.randint(high, size=size)
