"""What training and inference reach on a GPU: python tests/bench/gpu.py [MODEL...] [--steps N] [--profile] (default: all, 200)

    posec3d         the recipe's steps on as many random clips of 75 frames as the data set trains on; what part of a step is data
    gc-tsm          frames at hand, and from packs as `--cache` keeps them
    adatad-b, …     windows of the paper's mean length, frames at hand and as JPEGs in memory
    NAME-infer      the same networks at inference

Rows (clips or windows) a second of steady steps, the share of the matrix rate in bf16 that is measured first, memory. With
--profile also the kernels and calls of the host in which a training step spends its time, and where it waits for the GPU.
Runs on a CPU too, where it only shows that it runs.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from standin import StandIn  # noqa: E402

from mma82cli.skeleton.layouts import load_layout  # noqa: E402
from mma82cli.taxonomy import load_taxonomy  # noqa: E402
from mma82cli.training import loop, replays  # noqa: E402
from mma82cli.training.detection.films import Film  # noqa: E402
from mma82cli.training.detection.predict import Detector  # noqa: E402
from mma82cli.training.detection.task import DetectionTask  # noqa: E402
from mma82cli.training.detection.task import make_model as make_adatad  # noqa: E402
from mma82cli.training.device import choose_device, choose_precision, keep_freed_memory  # noqa: E402
from mma82cli.training.draws import Draws  # noqa: E402
from mma82cli.training.recipe import load_recipe  # noqa: E402
from mma82cli.training.rgb.data import Labelled  # noqa: E402
from mma82cli.training.rgb.predict import Predictor as RgbPredictor  # noqa: E402
from mma82cli.training.rgb.task import RgbTask  # noqa: E402
from mma82cli.training.rgb.task import make_model as make_gc_tsm  # noqa: E402
from mma82cli.training.skeleton.clips import Clips  # noqa: E402
from mma82cli.training.skeleton.predict import Predictor  # noqa: E402
from mma82cli.training.skeleton.task import SkeletonTask  # noqa: E402
from mma82cli.video import Clip  # noqa: E402

CLIPS, FILMS, FRAMES, JOINTS, LABELS = 23_176, 7_839, 75, 17, 82
SECONDS, RATE = 15.1, 30.0  # of the detection set's videos
DEVICE = choose_device()
DTYPE = choose_precision("auto", DEVICE)
TAXONOMY = load_taxonomy("mma82")
GMAC = {"posec3d": 11.3, "gc-tsm": 33.1}  # forward, of a clip in training; of AdaTAD they are counted
ROUNDS = 3


def wait() -> float:
    """The time when all that was begun is done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def matrix_rate(side: int) -> float:
    """Operations a second of a product of two square matrices of random bf16 numbers: the median of ten."""
    a, b = (torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    took = []
    for _ in range(13):
        start = wait()
        a @ b
        took.append(wait() - start)
    return 2 * side**3 / sorted(took[3:])[5]


class Bench:
    """Prints a row a measurement; `peak` is the matrix rate."""

    def __init__(self, steps: int, profile: bool = False):
        self.steps, self.profile = steps, profile
        self.peak = matrix_rate(8192 if DEVICE.type == "cuda" else 512)
        name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
        print(f"{name}, torch {torch.__version__}, {DTYPE}; matrices at {self.peak / 1e12:.0f} Tflop/s", flush=True)
        print(f"{'':46} {'rows/s':>8} {'Tflop/s':>8} {'of peak':>8} {'GiB':>6}", flush=True)

    def row(self, name: str, rate: float, flop: float = 0.0, more: str = "") -> None:
        """`rate` rows a second, of `flop` operations each."""
        use = f"{rate * flop / 1e12:8.1f} {rate * flop / self.peak:8.1%}" if flop else f"{'':17}"
        held = torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else 0.0
        print(f"{name:46} {rate:8.1f} {use} {held:6.1f}  {more}", flush=True)

    def training(self, name: str, model, task, flop: float, more=lambda seconds: "") -> None:
        """The loop's own steps, after those in which all that comes is recorded; `more(seconds a step)`."""
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        model.to(DEVICE)
        optimizer = loop.make_optimizer(task.parameter_groups(model), task.recipe)
        run, whole = loop.Run(Path("."), {}, device=DEVICE), task.order
        size = task.recipe.batch_size

        def go(steps: int) -> float:
            """Seconds a step."""
            task.order = lambda rng: np.resize(whole(rng), steps * size)
            start = wait()
            loop.train_epoch(model, optimizer, run, task, 1, loop.Begun())
            return (wait() - start) / steps

        go(100 if DEVICE.type == "cuda" else 2)
        took = go(self.steps)
        self.row(name, size / took, flop, more(took))
        if self.profile:
            where_time_goes(go)

    def calls(self, name: str, work, rows: int, flop: float, times: int) -> None:
        """`work`, which does `rows` rows a call."""
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        work()
        start = wait()
        for _ in range(times):
            work()
        self.row(name, rows * times / (wait() - start), flop)


def where_time_goes(go, steps: int = 6, rows: int = 30) -> None:
    """Prints milliseconds and calls a step, the longest first; and lines of code at which the host waited."""
    kinds = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] * (DEVICE.type == "cuda"))]
    with torch.profiler.profile(activities=kinds) as profile:
        whole = 1e3 * go(steps)
    for name, on_gpu in (("GPU", True), ("host", False)):
        found = [
            ((each.self_device_time_total if on_gpu else each.self_cpu_time_total) / 1e3 / steps, each.count / steps, each.key)
            for each in profile.key_averages() if (each.device_type == torch.autograd.DeviceType.CUDA) is on_gpu
        ]  # fmt: skip
        total, calls = (sum(each[i] for each in found) for i in (0, 1))
        print(f"  {name}: {total:.1f} ms in {calls:.0f} calls, of a step of {whole:.1f} ms")
        for time_taken, count, key in sorted(found, reverse=True)[:rows]:
            print(f"    {time_taken:8.3f} ms {count:7.1f} x {key[:100]}")
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            go(steps)
        torch.cuda.set_sync_debug_mode("default")
        places = Counter(f"{each.filename}:{each.lineno}" for each in seen if "synchroniz" in str(each.message))
        for place, count in places.most_common():
            print(f"    waits {count / steps:.1f} x a step at {place}")


# -- PoseC3D -------------------------------------------------------------------------------------------------------------


def random_clips(count: int) -> Clips:
    """Packed clips of joints that walk about."""
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 200, (1 + count * FRAMES, JOINTS, 3)).astype(np.int16)
    joints[..., 2] = 900
    joints[0] = 0
    ones = np.ones(count, np.int64)
    return Clips({
        "joints": joints, "frames": FRAMES * ones, "persons": ones, "labels": rng.integers(0, LABELS, count),
        "shapes": np.tile([1080, 1296], (count, 1)), "origins": np.tile(np.float32([50_000, 60_000, 0]), (count, 1)),
        "parts": np.tile(np.float32([100, 100, 1000]), (count, 1)),
    }, DEVICE)  # fmt: skip


def skeleton_task(name: str, clips: Clips) -> SkeletonTask:
    recipe = load_recipe(name)
    return SkeletonTask(recipe.inputs(load_layout("coco17")), TAXONOMY, clips, None, DEVICE, DTYPE)


def skeleton(bench: Bench, name: str) -> None:
    """Training: steps, and what making their inputs alone takes."""
    task = skeleton_task(name, random_clips(CLIPS if DEVICE.type == "cuda" else 256))
    recipe, rng, scratch = task.recipe, np.random.default_rng(0), task.scratch()
    joins = min(task.joins, recipe.batch_size // recipe.micro_batch)

    def data(step: float) -> str:
        rows = [rng.integers(0, task.rows, recipe.micro_batch * joins) for _ in range(max(8, bench.steps))]
        draws = Draws([np.random.default_rng(i) for i in range(joins)])
        task.inputs.train(task.train, rows[0], draws, scratch)
        start = wait()
        for part in rows:
            task.inputs.train(task.train, part, draws, scratch)
        share = (wait() - start) / len(rows) * recipe.batch_size / (recipe.micro_batch * joins) / step
        minutes = CLIPS * recipe.epochs * recipe.repeat * step / recipe.batch_size / 60
        return f"data alone {share:.1%} of a step; {recipe.epochs} epochs of {CLIPS} clips: {minutes:.1f} min"

    bench.training(name, task.inputs.network(LABELS), task, 6e9 * GMAC.get(name, 0.0), data)


def skeleton_infer(bench: Bench, name: str) -> None:
    """Test clips a second: a record has ten."""
    task = skeleton_task(name, random_clips(64))
    predict = Predictor(task.inputs.network(LABELS).eval(), task.inputs, DEVICE, DTYPE)
    rows, clips = np.arange(64 if DEVICE.type == "cuda" else 3), task.recipe.clips
    gmac = {"posec3d": 14.8}.get(name, 0.0)
    bench.calls(f"{name}, inference, test clips", lambda: predict.some(task.train, rows), len(rows) * clips, 2e9 * gmac, ROUNDS)


# -- frames --------------------------------------------------------------------------------------------------------------


def rgb(bench: Bench, name: str) -> None:
    """Training on frames that are decoded already, and on JPEGs."""
    recipe = load_recipe(name)
    for packed, words in ((False, "frames at hand"), (True, "JPEGs")):
        source = StandIn(round(recipe.short_side * 1.2), recipe.short_side, RATE, FRAMES / RATE, packed)
        clips = [Labelled(Clip(str(i), 0.0, None), i % LABELS) for i in range(CLIPS)]
        task = RgbTask(recipe, source, clips, [], DEVICE, DTYPE)
        bench.training(f"{name}, {words}", make_gc_tsm(recipe, LABELS), task, 6e9 * GMAC.get(name, 0.0))


def rgb_infer(bench: Bench, name: str) -> None:
    recipe = load_recipe(name)
    clips = [Clip(str(i), 0.0, None) for i in range(2048 if DEVICE.type == "cuda" else 4)]
    flop = 2e9 * GMAC.get(name, 0.0)
    for packed, words in ((False, "frames at hand"), (True, "JPEGs")):
        source = StandIn(round(recipe.short_side * 1.2), recipe.short_side, RATE, FRAMES / RATE, packed)
        predict = RgbPredictor(make_gc_tsm(recipe, LABELS).eval(), recipe, source, DEVICE, DTYPE)
        bench.calls(f"{name}, inference, {words}", lambda predict=predict: list(predict(clips)), len(clips), flop, 1)


# -- AdaTAD --------------------------------------------------------------------------------------------------------------


def detection_films(recipe, source, count: int) -> list[Film]:
    """Films of 5 to 25 s, 15 in the mean, with three actions each."""
    rng, films = np.random.default_rng(0), []
    for i in range(count):
        end = float(rng.uniform(5, 2 * SECONDS - 5))
        start = rng.uniform(0, end - 3, 3)
        films.append(Film(str(i), Clip(str(i), 0.0, end), np.stack((start, start + 2), 1), rng.integers(0, LABELS, 3)))
        films[-1].look(source, recipe.stride)
    return films


def operations(recipe, films: list[Film], training: bool) -> float:
    """Matrix operations of the backbone for the tokens of a film's frames, on average. With frozen weights the way back
    is as long as the way there (and half of that more in attention, which is small)."""
    grid = (recipe.size // recipe.patch) ** 2
    tokens = float(np.mean([min(len(film.times), recipe.window) for film in films])) / 2 * grid
    block = 12 * recipe.dim**2 + 2 * recipe.dim * recipe.adapter + 2 * 8 * grid * recipe.dim  # MACs a token
    return 2 * tokens * recipe.depth * block * (2 if training else 1)


def detection(bench: Bench, name: str) -> None:
    recipe = load_recipe(name)
    for packed, words in ((False, "frames at hand"), (True, "JPEGs")):
        source = StandIn(round(recipe.short_side * 1.2), recipe.short_side, RATE, packed=packed)
        films = detection_films(recipe, source, FILMS if DEVICE.type == "cuda" else 4)
        model, splits = make_adatad(recipe, LABELS), {"train": films, "val": []}
        task = DetectionTask(recipe, source, splits, TAXONOMY, DEVICE, DTYPE, print)

        def minutes(step: float) -> str:
            return f"{recipe.epochs} epochs of {FILMS} videos: {FILMS * recipe.epochs * step / recipe.batch_size / 60:.1f} min"

        bench.training(f"{name}, {words}", model, task, operations(recipe, films, True), minutes)


def detection_infer(bench: Bench, name: str) -> None:
    recipe = load_recipe(name)
    source = StandIn(round(recipe.short_side * 1.2), recipe.short_side, RATE, packed=True)
    films = detection_films(recipe, source, 128 if DEVICE.type == "cuda" else 2)
    detect = Detector(make_adatad(recipe, LABELS).requires_grad_(False), recipe, source, DEVICE, DTYPE)
    work = lambda: list(detect([film.clip for film in films]))  # noqa: E731
    bench.calls(f"{name}, inference, JPEGs", work, len(films), operations(recipe, films, False), 1)


FAMILIES = {"posec3d": (skeleton, skeleton_infer), "stgcn": (skeleton, skeleton_infer), "gc-tsm": (rgb, rgb_infer),
            "manet": (rgb, rgb_infer), "adatad": (detection, detection_infer)}  # fmt: skip
USUAL = ("posec3d", "posec3d-infer", "stgcn", "gc-tsm", "gc-tsm-infer", "adatad-b", "adatad-b-infer", "adatad-l")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=USUAL)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()
    replays.AFTER = 2  # a training can wait longer
    bench = Bench(given.steps, given.profile)
    for wanted in given.models:
        name = wanted.removesuffix("-infer")
        family = next(kind for kind in FAMILIES if name.startswith(kind))
        FAMILIES[family][wanted != name](bench, name)


if __name__ == "__main__":
    main()
