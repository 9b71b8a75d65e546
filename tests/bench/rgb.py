"""What GC-TSM costs against a plain one, and what feeding it does: python tests/bench/rgb.py [ROUNDS] [VIDEO...]

One thread, CPU time, the sides taking turns; figures are those of the medians. Without VIDEOs a film is made.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from plain_rgb import PlainGCTSM  # noqa: E402
from skeleton import compare, seconds, train_step  # noqa: E402

from mma82cli.models.gc_tsm import GCTSM, fold  # noqa: E402
from mma82cli.training.recipe import load_recipe  # noqa: E402
from mma82cli.training.rgb.batches import train_clip  # noqa: E402
from mma82cli.training.rgb.data import Labelled  # noqa: E402
from mma82cli.training.rgb.task import RgbTask, make_model  # noqa: E402
from mma82cli.video import Clip, Frames, Video  # noqa: E402
from mma82cli.video.cache import Cache  # noqa: E402
from mma82cli.video.opening import has_pyav  # noqa: E402

BATCH, FRAMES = 2, 8


def make_film(folder: str) -> str:
    """60 frames of 1080x1296, a moving picture of blobs, as MPEG-4."""
    path = f"{folder}/film.mp4"
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 25, (1080, 1296))
    blobs = cv2.resize(np.random.default_rng(0).integers(0, 255, (27, 23, 3), np.uint8), (1104, 1296))
    for i in range(60):
        writer.write(np.roll(blobs, (2 * i, i), (0, 1))[:, :1080])
    writer.release()
    return path


def compare_forward(rounds: int) -> None:
    """The whole network on 8 x 224 x 224: plain in float32, folded ours in float32 and bf16."""
    torch.manual_seed(0)
    plain, ours = PlainGCTSM().eval(), GCTSM().eval()
    plain.load_state_dict(ours.state_dict(), strict=False)
    x = torch.randn(BATCH, FRAMES, 3, 224, 224)
    print(f"{'clips per CPU second':36} {'plain':>6} {'ours':>10} {'ratio':>8}")
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            fast, given = fold(ours).to(dtype), x.to(dtype)
            name = f"forward 8x224x224 {str(dtype).removeprefix('torch.')}"
            compare(name, (BATCH, BATCH), lambda: plain(x), lambda fast=fast, given=given: fast(given), rounds)
    plain.train(), ours.train()
    labels = torch.arange(BATCH)
    step = [lambda model=model: train_step(model, x, labels, torch.float32) for model in (plain, ours)]
    compare("forward+backward 8x224x224 float32", (BATCH, BATCH), *step, max(1, rounds // 2))


def rate(name: str, clips: int, work, rounds: int) -> None:
    """Prints clips a CPU second of `work`, which does `clips`; the median of `rounds`."""
    work()
    took = sorted(seconds(work) for _ in range(rounds))[rounds // 2]
    print(f"{name:48} {clips / took:9.1f}", flush=True)


def feeding(videos: list[str], folder: str, rounds: int) -> None:
    """8 frames of each clip, from the file and from the cache; and gc-tsm-tiny in training, alone and fed by the cache."""
    recipe = load_recipe("gc-tsm-tiny")
    clips = [Clip(path) for path in videos]
    cache = Cache(folder, recipe.short_side)
    for clip in clips:
        cache.make(clip)
    wanted = {clip: [int((i + 0.5) * len(Video(clip.path).times()) / FRAMES) for i in range(FRAMES)] for clip in clips}
    print(f"\n{'clips per CPU second, 8 frames a clip':48}")

    def plain() -> None:
        for clip in clips:
            capture, frames = cv2.VideoCapture(clip.path), {}
            for number in range(wanted[clip][-1] + 1):
                frames[number] = capture.read()[1]
            [cv2.resize(frames[number], (256, 307)) for number in wanted[clip]]

    rate("decoding, plain loop of read()", len(clips), plain, rounds)
    rate("decoding, OpenCV", len(clips), lambda: [Video(clip.path).pick(wanted[clip]) for clip in clips], rounds)
    if has_pyav():
        frames = [Frames(recipe.short_side) for _ in clips]
        pick = [lambda f=f, c=c: f.pick(c, wanted[c]) for f, c in zip(frames, clips, strict=True)]
        rate("decoding, PyAV, what is not needed left out", len(clips), lambda: [each() for each in pick], rounds)
    some = (clips * 16)[:16]
    rng = np.random.default_rng(0)
    rate("cache alone (packs, crops)", 16, lambda: [train_clip(cache, clip, recipe, rng) for clip in some], rounds)
    task = RgbTask(recipe, cache, [Labelled(clip, i) for i, clip in enumerate(some)], [], torch.device("cpu"))
    network = make_model(recipe, 82)
    rows = np.arange(recipe.micro_batch)
    loaded = task.load(rows, rng)

    def step(ready) -> None:
        loss, _ = task.part_loss(network, ready or task.load(rows, rng), rng, None)
        loss.backward()

    rate("gc-tsm-tiny in training, frames at hand", len(rows), lambda: step(loaded), rounds)
    rate("gc-tsm-tiny in training, from the cache", len(rows), lambda: step(None), rounds)


def main(rounds: int = 3, *videos: str) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    compare_forward(rounds)
    with tempfile.TemporaryDirectory() as folder:
        feeding(list(videos) or [make_film(folder)], f"{folder}/cache", rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
