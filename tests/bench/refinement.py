"""Whether --refine flow helps to tell actions apart, on rendered people whose joints tremble as networks' do.

    python tests/bench/refinement.py [CLIPS]

`dots` finds the joints of rendered people to 0.1 px, so white noise takes the place of a network's tremble: 2 and 8 px RMS on a
person of 1000 px, what MediaPipe and MoveNet leave (micromotion.py). A forest of trees (scikit-learn) on means, deviations,
steps and spectra of the joints tells the classes, in five folds by person, with three seeds. It is a probe of what the joints
hold, not one of the suite's networks. 120 clips take a minute and a half of CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.ensemble import ExtraTreesClassifier  # noqa: E402
from sklearn.model_selection import GroupKFold  # noqa: E402

from mma82cli.pose import flow, person  # noqa: E402
from mma82cli.pose.builder import build_estimator, settings_for  # noqa: E402
from mma82cli.video import Video  # noqa: E402

TREMBLE = (2, 8)  # px on a person of 1000 px
STEPS = 33


def features(joints: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What a clip's joints (T,17,2) do, in heights of the person, around the hips' middle."""
    joints = joints[seen] / np.ptp(joints[seen][..., 1], axis=1).mean()
    joints = joints - joints[:, [11, 12]].mean((0, 1))
    at = np.linspace(0, len(joints) - 1, STEPS)
    flat = joints.reshape(len(joints), -1)
    path = np.stack([np.interp(at, np.arange(len(flat)), column) for column in flat.T], 1)
    spectrum = np.abs(np.fft.rfft(path - path.mean(0), axis=0))[1:9]
    return np.concatenate([path.mean(0), path.std(0), np.abs(np.diff(path, axis=0)).mean(0), spectrum.ravel()])


def clip_features(estimator, path: str, fps: float, rng) -> dict[str, np.ndarray]:
    frames = [frame for _, frame in Video(path).frames()]
    times = np.arange(len(frames)) / fps
    joints = estimator.infer(frames).astype(float)
    seen = np.isfinite(joints).all((1, 2))
    joints = np.where(seen[:, None, None], joints, 0.0)
    joints, seen, _ = person.fill_gaps(joints, seen & person.found(joints, estimator.min_score), times)
    height = np.ptp(joints[seen][..., 1], axis=1).mean()
    made = {"as found": features(joints[..., :2], seen)}
    for px in TREMBLE:
        shaken = joints.copy()
        shaken[..., :2] += rng.normal(0, px / 1000 * height / np.sqrt(2), shaken[..., :2].shape)
        made[f"tremble of {px} px"] = features(shaken[..., :2], seen)
        refined = flow.refine(iter(frames), shaken, seen, times)
        made[f"tremble of {px} px, flow"] = features(refined[..., :2], seen)
    return made


def accuracy(rows: np.ndarray, labels: np.ndarray, people: np.ndarray, seed: int) -> float:
    hits = np.zeros(len(labels), bool)
    for train, test in GroupKFold(5, shuffle=True, random_state=seed).split(rows, labels, people):
        trees = ExtraTreesClassifier(200, random_state=seed).fit(rows[train], labels[train])
        hits[test] = trees.predict(rows[test]) == labels[test]
    return 100 * hits.mean()


def main() -> None:
    cv2.setNumThreads(1)
    count = sys.argv[1] if len(sys.argv) > 1 else "120"
    settings = settings_for("onnx", "dots", None, None, print, layout="coco17", device="cpu", peak="subpixel", refine="none")
    estimator, rng = build_estimator(settings), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        synth = ["synth", "--kind", "video", "--clips", count, "--classes", "8", "--subjects", "15", "--domains", "street"]
        done = subprocess.run([ROOT / "bin" / "mma82", *synth, "--videos", folder], check=True, capture_output=True)
        clips = [json.loads(line) for line in done.stdout.splitlines()]
        found = [clip_features(estimator, f"{folder}/{clip['video']}", clip["fps"], rng) for clip in clips]
    labels, people = (np.array([clip[field] for clip in clips]) for field in ("label", "subject"))
    for name in found[0]:
        scores = [accuracy(np.array([each[name] for each in found]), labels, people, seed) for seed in range(3)]
        print(f"{name:<24} top-1 {np.mean(scores):5.1f} +- {np.std(scores, ddof=1):.1f} %")


if __name__ == "__main__":
    main()
