"""A small call of every command, for tests that hold of all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from conftest import as_lines

STRANGE = {"zeta": [1, {"a": None}], "π": "é"}  # fields that no command knows
SPANS = [{"start": 1.0, "end": 2.5, "label": "Nodding"}, {"start": 4.0, "end": 6.0, "label": "Waving"}]
FOUND = [{**SPANS[0], "score": 0.9}, {"start": 1.25, "end": 3.0, "label": "Waving", "score": 0.5}]
VIDEO = {"video": "v.mp4", "duration": 9.0, "segments": SPANS, "predictions": FOUND}
VIDEOS = [{**STRANGE, "id": f"v{i}", **VIDEO} for i in range(6)]
SEGMENTS = [{**STRANGE, "video": f"v{i}.mp4", "subject": f"s{i}", "duration": 9.0, **span} for i in range(6) for span in SPANS]
ANNOTATIONS = [{**segment, "annotator": f"a{k}"} for segment in SEGMENTS for k in range(3)]
CLIPS = [{**STRANGE, "id": f"c{i}", "subject": f"s{i % 6}", "label": i % 3} for i in range(24)]
TOPK = [{**clip, "topk": [[clip["label"] if i % 3 else 7, 0.75]]} for i, clip in enumerate(CLIPS)]
EMOTIONS = [
    {"id": f"e{i}", "subject": f"s{i % 6}", "emotion": ("happy", "neutral")[i % 2], "actions": ["Nodding", "Waving"][i % 2 :]}
    for i in range(24)
]
FACES = [
    {**STRANGE, **clip, "split": ("val", "test")[i // 2 % 2], "face": {"labels": ["happy", "sad"], "logits": [i % 2, 0.5]}}
    for i, clip in enumerate(EMOTIONS)
]
FIGURES = [{"metric": "top1", "level": "action", "domain": d, "value": 0.5, "n": 2} for d in ("street", "laboratory")]

SMALL = ("epochs=1", "size=32", "dim=32", "depth=1")
DETECTOR = ("--recipe", "adatad-tiny", "--deterministic", *(part for key in SMALL for part in ("--set", key)))


@dataclass(frozen=True)
class Sample:
    """`arguments` after the command's name; `records` for standard input, none where it reads none."""

    arguments: tuple[str, ...] = ()
    records: bytes = b""
    lines: bool = True  # what it writes are JSON lines


def samples(folder: Path, run) -> dict[str, Sample]:
    """The sample of every command. Makes what they need in `folder`: a film, joints and a checkpoint."""
    video = ("--kind", "video", "--clips", "2", "--subjects", "2", "--classes", "1", "--domains", "street", "--jobs", "1")
    films = as_lines([{**STRANGE, **film} for film in run("synth", *video, "--videos", folder / "videos").records])
    joints = run("synth", "--clips", "8", "--classes", "2", "--subjects", "4", "--domains", "street").records
    joints = as_lines([{**STRANGE, **record, "split": ("train", "val", "test")[i % 3]} for i, record in enumerate(joints)])
    train = ("--recipe", "posec3d-tiny", "--set", "epochs=1", "--deterministic", "--out")
    done = run("train-rec", *train, folder / "run", stdin=joints)
    assert done.code == 0, done.err
    untrimmed = ("--kind", "detection", "--clips", "3", "--subjects", "3", "--classes", "2", "--domains", "street", "--jobs", "1")
    reels = run("synth", *untrimmed, "--videos", folder / "videos").records
    reels = as_lines([{**STRANGE, **reel, "split": ("train", "val", "test")[i % 3]} for i, reel in enumerate(reels)])
    few = as_lines([{**json.loads(line), "support_runs": [0] * (i < 4)} for i, line in enumerate(joints.splitlines())])
    diagnosed = run("diagnose", stdin=VIDEOS).out.encode()
    return {
        "merge-annotations": Sample(records=as_lines(ANNOTATIONS)),
        "cut": Sample(records=as_lines(SEGMENTS)),
        "make-splits": Sample(records=as_lines(CLIPS)),
        "extract-skeleton": Sample(("--model", "dots", "--jobs", "1", "--root", str(folder / "videos")), films),
        "extract-face": Sample(records=as_lines([{**STRANGE, "video": "v.mp4", "layout": "coco17", "keypoints": [None]}])),
        "train-rec": Sample((*train, str(folder / "another")), joints),
        "train-det": Sample((*DETECTOR, "--root", str(folder / "videos"), "--out", str(folder / "detector")), reels),
        "infer": Sample((str(folder / "run"),), joints),
        "adapt": Sample((str(folder / "run"),), few),
        "score": Sample(records=as_lines(TOPK)),
        "emotion-tree": Sample(records=as_lines(EMOTIONS)),
        "emotion-mlp": Sample(("--classes", "8", "--repeats", "2", "--permutations", "1", "--epochs", "5"), as_lines(EMOTIONS)),
        "fuse": Sample(("--method", "mlp", "--taxonomy", "emotion8", "--target", "emotion"), as_lines(FACES)),
        "labels": Sample(),
        "validate": Sample(records=as_lines([{**SEGMENTS[0], "end": 0.5}])),
        "stats": Sample(records=as_lines(SEGMENTS)),
        "convert": Sample(("--from", "csv"), b"video,start,end,label\na.mp4,1,2,Nodding\n"),
        "suppress": Sample(records=as_lines(VIDEOS)),
        "diagnose": Sample(records=as_lines(VIDEOS)),
        "plot": Sample(("diagnosis", "--out", str(folder)), diagnosed),
        "tabulate": Sample(records=as_lines(FIGURES), lines=False),
        "synth": Sample(("--clips", "3", "--classes", "1", "--subjects", "3")),
    }
