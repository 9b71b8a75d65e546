"""Whether memory stays flat while an epoch's videos are read: python tests/bench/epoch_memory.py [CLIPS] [SOURCE]

10,000 clips unless told otherwise; SOURCE is cache, pyav or opencv (default: all of them).

Clips of 50 files in random order, 8 frames each, so that nearly every one opens a file. Resident MiB as the epoch goes on.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mma82cli.training.recipe import load_recipe
from mma82cli.training.rgb.batches import train_clip
from mma82cli.video import Clip, Frames, opening
from mma82cli.video.cache import Cache

FILES, LOOKS = 50, 5


def write_videos(folder: str) -> list[Clip]:
    """Small films of 20 frames."""
    rng, clips = np.random.default_rng(0), []
    for i in range(FILES):
        clips.append(Clip(f"{folder}/{i}.mp4"))
        writer = cv2.VideoWriter(clips[-1].path, cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
        for _ in range(20):
            writer.write(cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (160, 120)))
        writer.release()
    return clips


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def epoch(name: str, source, clips: list[Clip], count: int) -> None:
    """Prints the memory after each of `LOOKS` parts of an epoch of `count` clips."""
    recipe, rng, seen = load_recipe("gc-tsm-tiny"), np.random.default_rng(0), []
    for i in range(count):
        train_clip(source, clips[rng.integers(len(clips))], recipe, rng)
        if (i + 1) % (count // LOOKS) == 0:
            seen.append(resident())
    print(f"{name:20}" + "".join(f"{value:9.1f}" for value in seen), flush=True)


def main(count: int = 10_000, only: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        clips = write_videos(folder)
        print(f"{'MiB after clips':20}" + "".join(f"{(i + 1) * count // LOOKS:9,}" for i in range(LOOKS)))
        if only in ("", "cache"):
            epoch("cache", Cache(f"{folder}/cache", 144), clips, count)
        if only in ("", "pyav") and opening.has_pyav():
            epoch("decoding, PyAV", Frames(144), clips, count)
        opening.has_pyav = lambda: False
        if only in ("", "opencv"):
            epoch("decoding, OpenCV", Frames(144), clips, count)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
