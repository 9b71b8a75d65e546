"""Windows over a video of any length: where each begins and ends, and how a stream of frames becomes windows.

Windows begin at every multiple of a hop and end at most at the video's end, where they are shorter; the last is the first
that reaches the end. So every frame is in exactly size / hop windows, but for those so near to an end that there are
fewer windows to be in, no window lies within another, and where windows begin does not depend on the video's length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mma82cli.records import WrongUsage


def hop_of(size: int, overlap: float) -> int:
    """How far apart windows of `size` begin that share `overlap` of their frames. Raises WrongUsage where size is no
    multiple of it."""
    hop = round(size * (1 - overlap))
    if not 0 < hop <= size or size % hop or abs(size * (1 - overlap) - hop) > 1e-6:
        raise WrongUsage(f"windows of {size} frames can't overlap by {overlap:g}; expected 0, 0.5, 0.75, …: equal steps")
    return hop


def spans(frames: int, size: int, hop: int) -> list[tuple[int, int]]:
    """[begin, end) of the windows over `frames` frames; none where there are none."""
    begins = range(0, max(frames - size, 0) + hop, hop) if frames else ()
    return [(begin, min(begin + size, frames)) for begin in begins if begin == 0 or begin + size - hop < frames]


def stream(frames: Iterable, size: int, hop: int) -> Iterator[tuple[int, list, bool]]:
    """(begin, its frames, whether it is the last) of each window, holding one window's frames at a time. The lists are
    the same as `spans`'."""
    begin, held = 0, []
    for frame in frames:
        if len(held) == size:
            yield begin, list(held), False
            begin, held = begin + hop, held[hop:]
        held.append(frame)
    if held:
        yield begin, held, True
