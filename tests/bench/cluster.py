"""The rates that share/doc/mma82/clusters.md reckons with: CPU time of whole processes less their start, one thread.

    .venv/bin/python tests/bench/cluster.py [VIDEO]    (VIDEO: one in which a person is seen, for --backend mediapipe)
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import orjson
from score import MMA82, cost, write_predictions

ROUNDS, FRAMES = 3, 90


def beyond(command: str, few: str, many: str, n: int) -> float:
    """CPU seconds that a command takes for each of `n` things that `many` holds more than `few`, least of the rounds."""
    words = [str(MMA82), *command.split()]
    costs = [[cost([*words, path])[0] for path in (few, many)] for _ in range(ROUNDS)]
    return (min(c[1] for c in costs) - min(c[0] for c in costs)) / n


def write(path: str, records: list[dict]) -> str:
    Path(path).write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


def clips(n: int) -> list[dict]:
    fields = {"label": "Nodding", "subject": "s1", "domain": "street", "split": "train"}
    return [{"id": f"{i:09d}", "video": f"{i % 97}/{i:09d}.mp4", **fields} for i in range(n)]


def skeletons(n: int) -> list[dict]:
    """Clips of 3 s at 30 frames a second: 17 joints in 1080 x 1296, to a hundredth of a pixel."""
    rng = np.random.default_rng(0)
    about = {"layout": "coco17", "fps": 30, "width": 1080, "height": 1296, "num_frames": FRAMES, "model": "m@sha256:0"}
    out = []
    for clip in clips(n):
        steps = rng.normal(0, 2, (FRAMES, 17, 2)).cumsum(0) + rng.uniform(300, 900, (17, 2))
        joints = np.concatenate([steps.round(2), rng.uniform(0.3, 1, (FRAMES, 17, 1)).round(3)], 2)
        out.append({**clip, **about, "keypoints": joints.reshape(FRAMES, 51).tolist()})
    return out


def reading(folder: str) -> None:
    few, many = write(f"{folder}/few", clips(100)), write(f"{folder}/many", clips(100_100))
    shard = beyond("extract-skeleton -q --model dots --jobs 1 --shard 1/100000000", few, many, 100_000)
    print(f"passing over another shard's clip   {1e6 * shard:8.1f} us")
    few, many = write(f"{folder}/few", skeletons(20)), write(f"{folder}/many", skeletons(1020))
    data = Path(many).read_bytes()
    print(f"skeletons of {FRAMES} frames {len(data) / 1020:21.0f} bytes, {len(gzip.compress(data)) / 1020:.0f} zipped")
    print(f"make-splits over a skeleton         {1e6 * beyond('make-splits -q', few, many, 1000):8.1f} us")


def scoring(folder: str) -> None:
    few, many, counts = f"{folder}/few", f"{folder}/many", f"{folder}/counts"
    write_predictions(few, 100)
    write_predictions(many, 100_100)
    print(f"predictions of 82 scores            {os.path.getsize(many) / 100_100:8.0f} bytes")
    print(f"score --counts of a prediction      {1e6 * beyond('score --counts -q', few, many, 100_000):8.1f} us")
    line = subprocess.run([MMA82, "score", "--counts", "-q", many], stdout=subprocess.PIPE, check=True).stdout
    Path(few).write_bytes(line)
    Path(counts).write_bytes(line * 101)
    print(f"counts of a shard                   {len(line):8.0f} bytes")
    print(f"score over the counts of a shard    {1e6 * beyond('score -q', few, counts, 100):8.1f} us")


def extraction(folder: str, video: str, frames: int) -> None:
    start = {"id": "0", "video": video, "start": 0, "end": 0.2}
    few = write(f"{folder}/few", [start])
    many = write(f"{folder}/many", [start, *({"id": str(i), "video": video} for i in range(1, 4))])
    spent = beyond("extract-skeleton -q --backend mediapipe --jobs 1", few, many, 3 * frames)
    print(f"mediapipe, all of a frame           {1e6 * spent:8.1f} us")


def main() -> None:
    """Prints a line a rate."""
    with tempfile.TemporaryDirectory() as folder:
        reading(folder)
        scoring(folder)
        if len(sys.argv) > 1 and importlib.util.find_spec("mediapipe"):
            import cv2

            extraction(folder, sys.argv[1], int(cv2.VideoCapture(sys.argv[1]).get(cv2.CAP_PROP_FRAME_COUNT)))


if __name__ == "__main__":
    main()
