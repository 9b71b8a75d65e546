"""What AdaTAD costs on a CPU: python tests/bench/detector.py [WINDOW] [RECIPE]

    forward   windows of the paper's mean length (44 % of WINDOW moments are frames) and full ones, ours against a plain
              implementation in the same run: CPU time, one thread, the two taking turns, the ratio of the medians
    steps     of training adatad-tiny on films of noise: CPU time a window, what part of a padded window's tokens is run
    memory    of the whole process, in MiB, over films of 20 to 400 s
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import plain_detector  # noqa: E402
from standin import StandIn  # noqa: E402

from mma82cli.taxonomy import Taxonomy  # noqa: E402
from mma82cli.training.detection.films import Film  # noqa: E402
from mma82cli.training.detection.packing import pack  # noqa: E402
from mma82cli.training.detection.predict import Detector  # noqa: E402
from mma82cli.training.detection.task import DetectionTask, make_model  # noqa: E402
from mma82cli.training.recipe import load_recipe  # noqa: E402
from mma82cli.video import Clip  # noqa: E402

MEAN = 113 / 256  # of a window: 15.1 s at 30 frames a second, every fourth
RATE = 20.0  # frames a second of the films of noise
ROUNDS = 3
CPU = torch.device("cpu")


def cpu(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def forward(window: int, name: str) -> None:
    """Features of one window, of mean length and full."""
    recipe = load_recipe(name)
    model = make_model(recipe, 82).eval()
    rng = np.random.default_rng(0)
    for words, length in (("of mean length", round(MEAN * window)), ("full", window)):
        frames = rng.integers(0, 256, (length, recipe.size, recipe.size, 3), np.uint8)

        def plain(frames=frames):
            padded = torch.from_numpy(frames[np.minimum(np.arange(window), len(frames) - 1)]).permute(3, 0, 1, 2)[None]
            mean, std = model.backbone.patch_embed.mean, model.backbone.patch_embed.std
            return plain_detector.features(model.backbone, (padded - mean) / std)

        def ours(frames=frames, fill="clip"):
            packed = pack([frames], window, fill, "cpu")
            return model.features(packed.clips, packed.windows, packed.lengths)

        with torch.inference_mode():
            torch.testing.assert_close(ours(fill="window")[..., :length], plain()[..., :length], atol=2e-4, rtol=0)
            took = [(cpu(plain), cpu(ours), cpu(lambda: ours(fill="window"))) for _ in range(ROUNDS)]
        a, b, c = (statistics.median(side) for side in zip(*took, strict=True))
        what = f"{name}, {window}-window {words} ({length})"
        print(f"{what:44} plain {a:6.2f} s  ours {b:6.2f} s {a / b:5.2f}x   filled up {c:6.2f} s {a / c:5.2f}x", flush=True)


def steps() -> None:
    """Training steps of adatad-tiny."""
    recipe = load_recipe("adatad-tiny")
    source = StandIn(recipe.short_side, recipe.short_side, RATE)
    rng, films = np.random.default_rng(0), []
    for i in range(16):
        seconds = float(rng.uniform(6, 14))
        films.append(Film(f"{i}", Clip(str(i), 0.0, seconds), np.array([[1.0, 3.0]]), np.array([i % 3])))
        films[-1].look(source, recipe.stride)
    task = DetectionTask(recipe, source, {"train": films, "val": []}, Taxonomy("x", list("abc")), CPU, torch.float32, print)
    model = make_model(recipe, 3)
    task.parameter_groups(model)
    took = []
    for number in range(8):
        rows = np.arange(2 * number, 2 * number + 2)
        loaded = task.load(rows, np.random.default_rng(number))
        took.append(cpu(lambda loaded=loaded: task.part_loss(model, loaded, np.random.default_rng(0), None)[0].backward()) / 2)
    clips = sum(-(-len(film.times) // 16) for film in films) / (len(films) * recipe.window // 16)
    valid = np.mean([len(film.times) / recipe.window for film in films])
    print(f"adatad-tiny, a training step: {statistics.median(took):.3f} CPU s a window; {valid:.0%} of a padded window's tokens "
          f"are frames, {clips:.0%} are run")  # fmt: skip


def memory() -> None:
    """Films of growing length through the detector."""
    recipe = load_recipe("adatad-tiny")
    source = StandIn(recipe.short_side, recipe.short_side, RATE)
    detect = Detector(make_model(recipe, 82).requires_grad_(False), recipe, source, CPU)
    for seconds in (20, 20, 100, 400):
        took = cpu(lambda seconds=seconds: list(detect([Clip("x", 0.0, seconds)])))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"a film of {seconds:3} s: {took:5.2f} CPU s, {most:.0f} MiB at most")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    memory()
    steps()
    forward(int(sys.argv[1]) if len(sys.argv) > 1 else 256, sys.argv[2] if len(sys.argv) > 2 else "adatad-s")
