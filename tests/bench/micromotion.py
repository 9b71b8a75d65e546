"""What each backend, with and without --refine flow, keeps of a micro-movement that is known.

    python tests/bench/micromotion.py [--joints] [--frames N] [BACKEND ...]      (mediapipe, tflite, dots)

Real frames and clips of `../shared/real/video` are moved by a sinusoid of 3 px and 20 frames; where those are absent, or no
backend for real people is installed, the people that `mma82 synth` renders. The movements:

    shift       the whole picture; truth is the same for all joints
    limb        a warp around the left wrist that dies away within a forearm, all else stands still
    noise       shift, with sensor noise of 2.5 grey levels
    mpeg        shift, with noise, through MPEG-4 (mp4v)
    clip        the limb's warp on the moving clip itself: what counts is how the joints differ from the untouched clip's

Per joint: gain, the share of the amplitude that is kept (1 is right), and residual, the RMS distance from the truth in px,
after the mean. `limb` and `clip` give gain at the joints that move by 1 px at least, and residual at all.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from mma82cli.pose import flow, person  # noqa: E402
from mma82cli.pose.builder import build_estimator, settings_for  # noqa: E402
from mma82cli.video import Video  # noqa: E402

REAL = ROOT.parent / "shared" / "real"
CLIPS = ("ma52/0019_02_0078.mp4", "asl/milk.mkv", "ma52/0010_02_0101.mp4", "ma52/0035_02_0007.mp4", "asl/sorry.mkv")
MOVENET = REAL / "models" / "movenet_single_pose_lightning_ptq.tflite"
AMPLITUDE, PERIOD, UPPER, WRIST = 3.0, 20, 13, 9
MOTIONS = ("shift", "limb", "noise", "mpeg", "clip")


def sinusoid(count: int) -> np.ndarray:
    """(T,2) pixels."""
    phase = 2 * np.pi * np.arange(count) / PERIOD
    return AMPLITUDE * np.stack([np.sin(phase), np.sin(phase + 1.0)], -1)


def warp(frame: np.ndarray, move: np.ndarray, centre=None, reach: float = 1.0) -> np.ndarray:
    """A frame displaced by `move` (2,): all of it, or by a Gaussian of `reach` px around `centre`."""
    height, width = frame.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    share = np.float32(1.0)
    if centre is not None:  # the inverse of the displacement, to first order and then once more
        fall = lambda u, v: np.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / (2 * reach**2))  # noqa: E731
        share = fall(x - move[0] * fall(x, y), y - move[1] * fall(x, y)).astype(np.float32)
    return cv2.remap(frame, x - np.float32(move[0]) * share, y - np.float32(move[1]) * share, cv2.INTER_CUBIC,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def falloff(points: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(-((points - centre) ** 2).sum(-1) / (2 * reach**2))


def through_mpeg(frames: list[np.ndarray]) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "clip.mp4")
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 30, (width, height))
        for frame in frames:
            writer.write(frame)
        writer.release()
        return [frame for _, frame in Video(path).frames()]


def estimate(estimator, frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    joints = estimator.infer(frames)
    seen = np.isfinite(joints).all((1, 2))
    joints = np.where(seen[:, None, None], joints, 0.0)
    joints, seen, _ = person.fill_gaps(joints, seen, np.arange(len(frames)) / 30)
    return joints, seen


def measure(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gains (V,) and residuals (V,) of tracks (T,V,2) against (T,V,2); NaN gain where hardly anything moves."""
    found, truth = found - found.mean(0), truth - truth.mean(0)
    power = (truth**2).sum((0, 2))
    gain = (found * truth).sum((0, 2)) / np.where(power > 0, power, np.nan)
    moves = np.sqrt(power / len(truth)) >= 1 / np.sqrt(2) * np.sqrt(2)  # an amplitude of about 1 px in both axes
    return np.where(moves, gain, np.nan), np.sqrt(((found - truth) ** 2).sum(2).mean(0))


def cases(estimator, path: str, count: int):
    """(motion, frames, truth (T,V,2), joints of the untouched clip or None) for one video."""
    clip = [frame for _, frame in Video(path).frames()][:count]
    joints, seen = estimate(estimator, clip)
    if seen.mean() < 0.9:
        return
    still = clip[len(clip) // 3]
    at = np.median(joints[seen][:, :UPPER, :2], 0)
    here = estimate(estimator, [still] * 3)[0].mean(0)[:UPPER, :2]
    reach = 0.5 * np.linalg.norm(at[9] - at[7]) + 10
    rng = np.random.default_rng(0)
    move = sinusoid(count)
    shifted = [warp(still, m) for m in move]
    noisy = [np.clip(f + rng.normal(0, 2.5, f.shape), 0, 255).astype(np.uint8) for f in shifted]
    whole = np.repeat(move[:, None], UPPER, 1)
    yield "shift", shifted, whole, None
    local = move[:, None] * falloff(here, here[WRIST], reach)[:, None]
    yield "limb", [warp(still, m, here[WRIST], reach) for m in move], local, None
    yield "noise", noisy, whole, None
    yield "mpeg", through_mpeg(noisy), whole, None
    move = move[: len(clip)]
    track = flow._low_pass(joints[..., :2], np.where(seen[:, None], np.ones(joints.shape[:2]), 0),
                           np.zeros(joints.shape[:2], int), np.arange(len(clip)) / 30)  # fmt: skip
    touched = [warp(f, m, c, reach) for f, m, c in zip(clip, move, track[:, WRIST], strict=True)]
    local = move[:, None] * falloff(track[:, :UPPER], track[:, WRIST][:, None], reach)[..., None]
    yield "clip", touched, local, clip


def run(name: str, estimator, paths: list[str], count: int, per_joint: bool) -> None:
    results: dict = {}
    spent, frames_seen = 0.0, 0
    for path in paths:
        for motion, frames, truth, untouched in cases(estimator, path, count):
            tracks = []
            for shown in [frames] if untouched is None else [frames, untouched]:
                joints, seen = estimate(estimator, shown)
                start = time.process_time()
                refined = flow.refine(iter(shown), joints, seen, np.arange(len(shown)) / 30)
                spent, frames_seen = spent + time.process_time() - start, frames_seen + len(shown)
                tracks.append((joints, refined))
            for refine, index in (("none", 0), ("flow", 1)):
                found = tracks[0][index][:, :UPPER, :2]
                if untouched is not None:
                    found = found - tracks[1][index][:, :UPPER, :2]
                results.setdefault((motion, refine), []).append(measure(found, truth))
    for motion in MOTIONS:
        for refine in ("none", "flow"):
            pairs = results.get((motion, refine), [])
            if not pairs:
                continue
            gain, residual = (np.array(values) for values in zip(*pairs, strict=True))
            g = gain[np.isfinite(gain)]
            spread = f"{np.median(g):6.3f} [{np.percentile(g, 10):5.2f}..{np.percentile(g, 90):5.2f}]" if len(g) else "-"
            print(f"{name:<10} {motion:<6} {refine:<5} gain {spread}   residual {np.median(residual):5.2f} px, "
                  f"90 % under {np.percentile(residual, 90):5.2f}")  # fmt: skip
            if per_joint:
                for joint in range(UPPER):
                    mine = gain[:, joint][np.isfinite(gain[:, joint])]
                    shown = f"{np.median(mine):6.3f}" if len(mine) else "     -"
                    print(f"    joint {joint:2d}  gain {shown}  residual {np.median(residual[:, joint]):5.2f}")
    if frames_seen:
        print(f"{name:<10} flow costs {1000 * spent / frames_seen:.1f} CPU ms a frame\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backends", nargs="*")
    parser.add_argument("--joints", action="store_true")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--clips", type=int, default=len(CLIPS))
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    real = [str(REAL / "video" / c) for c in CLIPS[: asked.clips]] if REAL.is_dir() else []
    having = {
        "mediapipe": bool(real) and importlib.util.find_spec("mediapipe") is not None,
        "tflite": bool(real) and MOVENET.is_file() and importlib.util.find_spec("ai_edge_litert") is not None,
        "dots": True,
    }
    for backend in asked.backends or having:
        if not having[backend]:
            print(f"{backend:<10} left out: it is not installed, or there are no real clips")
            continue
        model = {"mediapipe": None, "tflite": str(MOVENET), "dots": "dots"}[backend]
        kind = "onnx" if backend == "dots" else backend
        settings = settings_for(kind, model, None, None, print, layout="coco17", device="cpu", peak="subpixel", refine="none")
        estimator = build_estimator(settings)
        if backend != "dots":
            run(backend, estimator, real, asked.frames, asked.joints)
            continue
        with tempfile.TemporaryDirectory() as folder:
            synth = ["synth", "--kind", "video", "--clips", "3", "--classes", "3", "--videos", folder]
            subprocess.run([str(ROOT / "bin" / "mma82"), *synth], check=True, capture_output=True)
            run(backend, estimator, sorted(map(str, Path(folder).rglob("*.mp4")))[:3], asked.frames, asked.joints)


if __name__ == "__main__":
    main()
