"""How fast the embedded data set is made, whole clips at once beside frame by frame: `python tests/bench/synth.py`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np

from mma82cli.synth import dataset, make, perform, render, scene


def timed(work, items) -> float:
    """Seconds of CPU an item."""
    start = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - start) / len(items)


def frame_by_frame(made: scene.Scene) -> None:
    """The same body, a frame at a time."""
    for t in made.t:
        perform.perform(made.person, made.deeds, np.array([t]), "thigh", np.random.default_rng(0))


def at_once(made: scene.Scene) -> None:
    """The body as the data set makes it."""
    perform.perform(made.person, made.deeds, made.t, "thigh", np.random.default_rng(0))


def main() -> None:
    known = dataset.facts()
    plan = dataset.plan(known, 300, None, dataset.chosen_classes(known, None), list(known.domains), 0)
    jobs = make.jobs("skeleton", plan, known, 0)
    whole = timed(make.work, jobs)
    scenes = [scene.clip(0, j.number, j.labels[0], j.legs[0], j.domain, j.subject) for j in jobs[:60]]
    slow, fast = timed(frame_by_frame, scenes), timed(at_once, scenes)
    suffix, letters = render.codec()
    with tempfile.TemporaryDirectory() as folder:
        few = scenes[::6]
        drawn = timed(lambda s: render.write_video(s, Path(folder) / f"clip{suffix}", letters), few)
        frames = np.mean([len(s.t) for s in few])
    print(f"{'skeleton records':<36}{1 / whole:>9.0f} clips/s a core")
    print(f"{'bodies, a clip at once':<36}{1 / fast:>9.0f} clips/s a core")
    print(f"{'bodies, frame by frame':<36}{1 / slow:>9.0f} clips/s a core{slow / fast:>8.1f} x slower")
    print(f"{'rendered video':<36}{frames / drawn:>9.0f} frames/s a core")


if __name__ == "__main__":
    main()
