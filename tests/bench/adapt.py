"""What a cell of Table IV costs (20 runs over the 4,102 clips of a domain) by each way of `adapt`: python tests/bench/adapt.py

CPU seconds of one thread. Features are random numbers, as wide as PoseC3D's; fits of the last layer are those of all runs
at once. For `full`, which trains a network a run, a run of posec3d-tiny is measured, and multiplied out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from skeleton import joints, seconds  # noqa: E402

from mma82cli.skeleton.layouts import load_layout  # noqa: E402
from mma82cli.taxonomy import load_taxonomy  # noqa: E402
from mma82cli.training.adaptation import fit_heads, prototypes  # noqa: E402
from mma82cli.training.recipe import load_recipe  # noqa: E402
from mma82cli.training.skeleton.adaptation import SkeletonAdaptation  # noqa: E402
from mma82cli.training.skeleton.clips import Clip, ClipStore  # noqa: E402
from mma82cli.training.task import Asked  # noqa: E402

CLIPS, CLASSES, FEATURES, RUNS, SHOTS = 4102, 82, 512, 20, (1, 5, 10)


def protocol(labels: torch.Tensor, shots: int) -> torch.Tensor:
    """(R, N): `shots` clips of every label are support in each run."""
    rng, support = np.random.default_rng(0), torch.zeros(RUNS, len(labels), dtype=torch.bool)
    for run in range(RUNS):
        for label in range(CLASSES):
            support[run, rng.choice(np.flatnonzero(labels.numpy() == label), shots, replace=False)] = True
    return support


def fits() -> None:
    """`head` and `prototype`, of features that are at hand."""
    torch.manual_seed(0)
    labels = torch.arange(CLIPS) % CLASSES
    features = torch.randn(CLASSES, FEATURES)[labels] + 2 * torch.randn(CLIPS, FEATURES)
    weight, bias = 0.01 * torch.randn(CLASSES, FEATURES), torch.zeros(CLASSES)
    for shots in SHOTS:
        support = protocol(labels, shots)
        head = seconds(lambda support=support: fit_heads(features, labels, support, weight, bias))
        mean = seconds(lambda support=support: prototypes(features, labels, support, CLASSES))
        print(f"{shots:2}-shot{'':10}head {head:8.1f}{'':6}prototype {mean:6.1f}", flush=True)


def networks(name: str) -> None:
    """What comes before the fits, and `full`, for a recipe."""
    recipe, layout, labels = load_recipe(name), load_layout("coco17"), load_taxonomy("mma82")
    model = recipe.inputs(layout).network(CLASSES).eval()
    work = SkeletonAdaptation(model, recipe, {}, Asked(labels, layout=layout), torch.device("cpu"), torch.float32)
    points = joints(CLASSES, 300).numpy()
    work.store = ClipStore(Clip(clip[None].astype(np.float32), (400, 400), i) for i, clip in enumerate(points))
    rows = np.arange(CLASSES)
    each = seconds(lambda: work._features(rows[:16])) / 16
    print(f"{name:16} features: {1 / each:6.0f} clips a second, {each * CLIPS:6.0f} s for the domain, once", flush=True)
    steps = 10
    took = seconds(lambda: work._train(model, rows, steps, 1e-3, np.random.default_rng(0))) / steps
    print(f"{name:16} full: {took * 60 + each * CLIPS:6.0f} s a run: 60 steps, and the clips anew", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    print(f"CPU seconds for {RUNS} runs over {CLIPS} clips, {CLASSES} labels")
    fits()
    for name in ("stgcn", "posec3d-tiny"):
        networks(name)


if __name__ == "__main__":
    main()
