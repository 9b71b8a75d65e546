"""What extraction costs beside decoding and the network, per frame of 1080x1296, and beside a plain pipeline.

    python tests/bench/pose.py [VIDEO] [MODEL]

Without VIDEO, one is rendered. CPU time of this process, the least of several rounds, one thread. Without MODEL: an empty
network with RTMPose's input and outputs (192x256), which costs nothing itself, and `dots` (384x288).
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (2, 1)]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from tiny_onnx import write_constant  # noqa: E402

from mma82cli.pose import decode, geometry  # noqa: E402
from mma82cli.pose.extract import Extractor  # noqa: E402
from mma82cli.pose.model import load_model  # noqa: E402
from mma82cli.pose.network import build  # noqa: E402
from mma82cli.pose.task import Clip, Settings  # noqa: E402
from mma82cli.video import Reader, Video  # noqa: E402

ROUNDS, FRAMES = 8, 50
BOX = (200.0, 150.0, 800.0, 1250.0)


def render(path: str) -> str:
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 30, (1080, 1296))
    still = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (1296, 1080, 3), np.uint8), (0, 0), 4)
    for i in range(FRAMES):
        frame = still.copy()
        cv2.circle(frame, (300 + 5 * i, 600), 80, (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    return path


def costs(frames: int, *works) -> list[float]:
    """CPU milliseconds a frame of each, the least of several rounds, one after the other in each round."""
    best = [np.inf] * len(works)
    for _ in range(ROUNDS):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return [1000 * least / frames for least in best]


def cost(work, frames: int) -> float:
    return costs(frames, work)[0]


def plain(path: str, model, session) -> np.ndarray:
    """A frame at a time: crop, float64 normalisation, one run, argmax: what a short script does."""
    capture, out = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), []
    area = geometry.region(BOX, model.input, model.padding)
    while True:
        ok, frame = capture.read()
        if not ok:
            return np.array(out)
        crop = geometry.crop(frame, area, model.input)[..., ::-1]
        values = (crop - np.array(model.mean)) / np.array(model.std)
        x, y = session(np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32))[:2]
        points = np.stack([x.argmax(-1), y.argmax(-1)], -1) / model.split_ratio
        out.append(geometry.to_frame(points, area[None], model.input)[0])


def empty_network(folder: str) -> str:
    """A network with RTMPose's input and outputs whose answer is written down: all that is left is the overhead."""
    x, y = np.zeros((1, 17, 384)), np.zeros((1, 17, 512))
    x[..., 100] = y[..., 100] = 1
    return str(write_constant(Path(folder) / "empty.onnx", (192, 256), simcc_x=x, simcc_y=y))


def measure(path: str, frames: list[np.ndarray], name: str, engines: list[str]) -> None:
    count, model = len(frames), load_model(name).completed("simcc")
    area = geometry.region(BOX, model.input, model.padding)
    room = np.empty((model.input[1], model.input[0], 3), np.uint8)

    def decoded():
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        while capture.read()[0]:
            pass

    def cropped():
        for _, frame in Video(path).frames(reuse=True):
            geometry.crop(frame, area, model.input, out=room)

    base, crop = costs(count, decoded, cropped)
    height, width = frames[0].shape[:2]
    print(f"{model.name}: {width}x{height} to {model.input[0]}x{model.input[1]}; CPU ms a frame, 1 thread")
    print(f"  decode, plain loop of cv2          {base:7.2f}")
    print(f"  decode + crop                      {crop:7.2f}   {1000 / crop:.0f} frames/s a core")
    for engine in engines:
        estimator = build(Settings("onnx", model, engine=engine))
        estimator.infer(frames[:1], [BOX])
        batch = estimator._feed(range(1))
        base, network, whole, simple = costs(
            count,
            decoded,
            lambda e=estimator, b=batch: [e._run(b) for _ in range(count)],
            lambda e=Extractor(estimator): e(Clip(path, box=BOX), Reader()),
            lambda e=estimator: plain(path, model, lambda b: e._run(b)),
        )
        print(f"  {engine}: network alone         {network:7.2f}")
        print(f"    whole extraction                 {whole:7.2f}   {whole - base - network:.2f} beyond decode and network")
        print(f"    plain argmax pipeline            {simple:7.2f}   ours costs {whole / simple:.2f} of it")


def main() -> None:
    cv2.setNumThreads(1)
    folder = tempfile.TemporaryDirectory()
    path = sys.argv[1] if len(sys.argv) > 1 else render(os.path.join(folder.name, "film.mp4"))
    frames = [frame for _, frame in Video(path).frames()]
    ort = ["onnxruntime"] * bool(importlib.util.find_spec("onnxruntime"))
    if len(sys.argv) > 2:
        measure(path, frames, sys.argv[2], ["opencv", *ort])
    else:
        measure(path, frames, empty_network(folder.name), ort)
        measure(path, frames, "dots", ["opencv", *ort])
    rng = np.random.default_rng(0)
    x, y = (rng.random((8, 17, n), np.float32) for n in (384, 512))
    for peak in ("subpixel", "argmax"):
        print(f"  SimCC to joints, {peak:<10}        {cost(lambda p=peak: decode.simcc(x, y, 2.0, p), 8):7.3f}")


if __name__ == "__main__":
    main()
