"""What reading the joints of a data set costs: CPU seconds, wall clock and peak memory of whole processes.

    .venv/bin/python tests/bench/reading.py [CLIPS]    (default 39816, as many as the data set has, of 75 frames)

First start: records into packed arrays, which are kept in a cache. Second start: the same with the cache at hand.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson

ROOT = Path(__file__).resolve().parents[2]
FRAMES, JOINTS, DIFFERENT = 75, 17, 400
LOOP = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"
READ = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from mma82cli.commands.training import _read
from mma82cli.stream import Pipe
from mma82cli.taxonomy import load_taxonomy
from mma82cli.training.recipe import load_recipe
from mma82cli.training.skeleton.data import SkeletonData
from mma82cli.training.task import Asked
asked = Asked(load_taxonomy("mma82"), cache=sys.argv[2])
data = _read(Pipe("bench", [sys.argv[1]]), SkeletonData(load_recipe("posec3d"), asked))
print(data.words(), file=sys.stderr)
"""


def write_clips(path: str, n: int) -> None:
    """`n` records of people who walk about at random; every `DIFFERENT`th has the same joints."""
    rng = np.random.default_rng(0)
    joints = []
    for _ in range(DIFFERENT):
        places = rng.normal(0, 1.5, (FRAMES, JOINTS, 2)).cumsum(0) + rng.uniform(300, 700, (1, JOINTS, 2))
        scores = rng.uniform(0.5, 1, (FRAMES, JOINTS, 1)).round(3)
        joints.append(orjson.dumps(np.concatenate((places.round(2), scores), -1).reshape(FRAMES, -1).tolist()))
    with open(path, "wb") as out:
        for i in range(n):
            known = {"id": f"clip_{i:05d}", "label": i % 82, "split": ("train", "train", "train", "val", "test")[i % 5]}
            head = orjson.dumps({**known, "layout": "coco17", "width": 1080, "height": 1296})
            out.write(head[:-1] + b',"keypoints":' + joints[i % DIFFERENT] + b"}\n")


def cost(*command: str) -> tuple[float, float, float]:
    """CPU seconds, wall clock seconds and peak MiB of a process."""
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(pid, 0)
    assert status == 0, command
    return used.ru_utime + used.ru_stime, time.perf_counter() - start, used.ru_maxrss / 1024


def main(n: int = 39_816) -> None:
    """Prints the costs of a plain loop and of both starts."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/clips.jsonl"
        write_clips(path, n)
        print(f"{n} clips of {FRAMES} frames, {os.path.getsize(path) / 1e6:,.0f} MB")
        for name, script in {"orjson.loads loop": LOOP, "first start": READ, "second start": READ}.items():
            cpu, wall, memory = cost(sys.executable, "-c", script, path, f"{folder}/cache")
            print(f"{name:<20}{cpu:7.2f} CPU s{wall:8.2f} s{memory:7.0f} MiB", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
