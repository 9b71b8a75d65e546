"""What `fuzz.py` damages: every reader with a valid input of it."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import damage
from conftest import ROOT, Result, as_lines
from samples import ANNOTATIONS, CLIPS, EMOTIONS, FIGURES, FOUND, SEGMENTS, TOPK, VIDEOS, samples

from mma82cli.cli import main
from mma82cli.commands.convert import OF
from mma82cli.formats import FORMATS

FEW = (partial(damage.in_lines, crowd=5), damage.in_bytes)  # two hundred films to learn from are work, not damage
LINES, WORDS, JSON = (damage.in_lines, damage.in_bytes), (damage.in_words, damage.in_bytes), (damage.in_json, damage.in_bytes)


@dataclass(frozen=True)
class Target:
    """A command whose `arguments` name the file `file` (in the folder of the case, `{}`), a damaged one of the `seeds`."""

    name: str
    arguments: tuple[str, ...]
    seeds: tuple[bytes, ...]
    ways: tuple[Callable, ...] = LINES
    file: str = "in.jsonl"
    lines: bool = True  # what it writes are JSON lines


class Evil:
    """What a pickle must not be able to do."""

    def __init__(self, canary: str):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def become(arguments: list[str]) -> None:
    """Ends this process, a forked one, as the command."""
    try:
        status = main(arguments)
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def call(*arguments, stdin=b"") -> Result:
    """The command in a process of its own, for seeds."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin if isinstance(stdin, bytes) else as_lines(stdin))
        given.seek(0)
        child = os.fork()
        if child == 0:
            for descriptor, file in enumerate((given, out, err)):
                os.dup2(file.fileno(), descriptor)
            become(list(map(str, arguments)))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (out, err):
            file.seek(0)
        return Result(subprocess.CompletedProcess(arguments, code, out.read(), err.read()))


def targets(folder: Path, quick: bool) -> list[Target]:
    """Every reader with a valid input of it, made in `folder`."""
    films = call(
        "synth",
        "--kind",
        "video",
        "--clips",
        "1",
        "--subjects",
        "1",
        "--classes",
        "1",
        "--domains",
        "street",
        "--jobs",
        "1",
        "--videos",
        folder / "videos",
    )
    joints = as_lines(
        [{**r, "split": "test"} for r in call("synth", "--clips", "2", "--classes", "2", "--subjects", "1").records]
    )
    for name, data in (
        ("clips.jsonl", as_lines(CLIPS)),
        ("topk.jsonl", as_lines(TOPK)),
        ("joints.jsonl", joints),
        ("none", b""),
    ):
        (folder / name).write_bytes(data)
    if quick:
        known = _light()
    else:
        made = samples(folder, call)
        known = [
            Target(name, (name, *s.arguments, "{}"), (s.records,), FEW if name == "train-det" else LINES, lines=s.lines)
            for name, s in made.items()
            if s.records
        ]
    return [
        *known,
        *_variants(folder, joints, films.out.encode()),
        *_conversions(joints, folder),
        *_files(folder, films),
        *_networks(folder, quick),
    ]


def _light() -> list[Target]:
    records = {
        "merge-annotations": ANNOTATIONS,
        "cut": SEGMENTS,
        "make-splits": CLIPS,
        "score": TOPK,
        "emotion-tree": EMOTIONS,
        "validate": SEGMENTS,
        "stats": SEGMENTS,
        "suppress": VIDEOS,
        "diagnose": VIDEOS,
        "tabulate": FIGURES,
    }
    return [Target(n, (n, "{}"), (as_lines(r),), lines=n != "tabulate") for n, r in records.items()]


def _variants(folder: Path, joints: bytes, filmed: bytes) -> list[Target]:
    """Other options of the commands that read lines."""
    annotations, videos, clips, topk = map(as_lines, (ANNOTATIONS, VIDEOS, CLIPS, TOPK))
    scored = as_lines([{"id": f"c{i}", "label": i % 82, "scores": [0.5] * 82} for i in range(5)])
    placed = as_lines([{**c, "split": "train"} for c in CLIPS])
    few = as_lines([{**c, "domain": ("lab", "street")[i % 2]} for i, c in enumerate(CLIPS)])
    counts, map_counts = (
        call("score", "--counts", *o, stdin=d).out.encode() for o, d in (((), topk), (("--metric", "map"), videos))
    )
    stats = call("stats", stdin=SEGMENTS).out.encode()
    return [
        Target(
            "merge --agreement", ("merge-annotations", "--agreement", str(folder / "a.jsonl"), "--nest", "{}"), (annotations,)
        ),
        Target("merge --grouped", ("merge-annotations", "--grouped", "--rule", "median", "{}"), (annotations,)),
        Target("score map", ("score", "--metric", "map", "--per-class", "{}"), (videos,)),
        Target("score --ci", ("score", "--per-class", "--confusion", "--ci", "20", "--by", "subject", "{}"), (topk, scored)),
        Target("score --items", ("score", "--items", "{}"), (scored,)),
        Target("score --truth", ("score", "--truth", "{}", str(folder / "topk.jsonl")), (clips,)),
        Target("score of counts", ("score", "{}"), (counts, map_counts)),
        Target("make-splits --check", ("make-splits", "--check", "{}"), (placed,)),
        Target("make-splits --like", ("make-splits", "--like", "{}", str(folder / "clips.jsonl")), (placed,)),
        Target(
            "make-splits few-shot",
            ("make-splits", "--protocol", "few-shot", "--source", "lab", "--target", "street", "--shots", "1", "{}"),
            (few,),
        ),
        Target("cut det", ("cut", "--task", "det", "{}"), (as_lines(SEGMENTS), videos)),
        Target("validate joints", ("validate", "{}"), (joints, scored, videos)),
        Target("suppress --vote", ("suppress", "--method", "linear", "--vote", "0.5", "{}"), (videos,)),
        Target("plot auto", ("plot", "auto", "--out", str(folder / "figures"), "{}"), (stats,)),
        Target("plot overlay", ("plot", "overlay", "--out", str(folder / "figures"), "{}"), (joints,)),
        Target(
            "plot examples",
            ("plot", "examples", "--root", str(folder / "videos"), "--out", str(folder / "figures"), "{}"),
            (filmed,),
        ),
        Target("stats of joints", ("stats", "{}"), (joints, videos)),
    ]


def _conversions(joints: bytes, folder: Path) -> list[Target]:
    """Every format to records and back."""
    scored = [{"id": f"c{i}", "label": i, "scores": [0.5] * 82} for i in range(5)]
    whole = as_lines(
        [{"video": f"000{i}_01_0001.mp4", "label": s["label"], "split": "train"} for i, s in enumerate(SEGMENTS)]
    )
    records = {
        "ma52": whole,
        "list": whole,
        "mma52": as_lines([{**s, "fps": 25.0} for s in SEGMENTS]),
        "mac-mar": as_lines(scored),
        "mac-mmad": as_lines([{"id": "v", "predictions": FOUND}]),
        "activitynet": as_lines(VIDEOS),
        "pyskl": joints,
    }
    evil = pickle.dumps([{"frame_dir": Evil(str(folder / "canary"))}])
    made = [_label_studio(), _scores(evil), Target("from tree", ("convert", "--from", "tree", "{}"), (b"x",), WORDS)]
    for name, (_, reads, writes, *_) in FORMATS.items():
        data, out = records.get(name, as_lines(SEGMENTS)), folder / f"seed-{name}.{'eaf' if name == 'elan' else 'x'}"
        more = ("--taxonomy", "mma82") if name in ("ma52", "mma52", "mac-mar", "mac-mmad") else ()
        if not writes:
            continue
        if name == "elan":  # of one video
            data = data.splitlines(keepends=True)[0]
        made.append(Target(f"to {name}", ("convert", "--to", name, *more, "-o", str(folder / "out"), "{}"), (data,)))
        call("convert", "--to", name, *more, "-o", out, stdin=data)
        if reads and out.is_file():
            ways = {"labelu": JSON, "activitynet": JSON, "pyskl": (damage.in_bytes,)}.get(name, WORDS)
            seeds = (out.read_bytes(), evil) if name == "pyskl" else (out.read_bytes(),)
            rate = ("--fps", "25") if name in OF["--fps"] else ()
            made.append(Target(f"from {name}", ("convert", "--from", name, *more, *rate, "{}"), seeds, ways, f"in.{name}"))
    return made


def _scores(evil: bytes) -> Target:
    import numpy as np
    import torch

    rows = np.linspace(0, 1, 164).reshape(2, 82)
    array, tensors = io.BytesIO(), io.BytesIO()
    np.save(array, rows)
    torch.save(torch.from_numpy(rows), tensors)
    dumped = pickle.dumps([{"pred_score": torch.from_numpy(row), "gt_label": torch.tensor([3])} for row in rows])
    seeds = (array.getvalue(), tensors.getvalue(), dumped, json.dumps({"a": rows[0].tolist(), "b": 7}).encode(), evil)
    return Target("from scores", ("convert", "--from", "scores", "{}"), seeds, (damage.in_bytes,), "in.scores")


def _label_studio() -> Target:
    ranges = {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["Nodding"]}}
    task = [{"data": {"video": "a.mp4"}, "annotations": [{"completed_by": 3, "result": [ranges]}]}]
    arguments = ("convert", "--from", "label-studio", "--fps", "25", "{}")
    return Target("from label-studio", arguments, (json.dumps(task).encode(),), JSON)


def _files(folder: Path, films: Result) -> list[Target]:
    """What options name: label sets, layouts, recipes; and video files."""
    share = ROOT / "share" / "mma82"
    film = films.records[0]
    shutil.copytree(folder / "videos", folder / "again")
    (folder / "film.jsonl").write_bytes(as_lines([film]))
    data = (folder / "videos" / film["video"]).read_bytes()
    clips, none, in_place = str(folder / "clips.jsonl"), str(folder / "none"), f"../again/{film['video']}"
    taxonomies = tuple(path.read_bytes() for path in sorted((share / "taxonomy").glob("*.json")))
    recipes = tuple(path.read_bytes() for path in sorted((share / "recipes").glob("*.toml")))
    layouts = tuple(path.read_bytes() for path in sorted((share / "layouts").glob("*.json")))
    skeleton = ("extract-skeleton", "--model", "dots", "--jobs", "1")
    done = call(*skeleton, "--root", folder / "videos", stdin=[film]).out.encode()
    return [
        Target("taxonomy", ("stats", "--taxonomy", "{}", clips), taxonomies, JSON, "t.json"),
        Target(
            "layout", ("convert", "--from", "pyskl", "--layout", "{}", str(folder / "seed-pyskl.x")), layouts, JSON, "l.json"
        ),
        Target("recipe", ("train-rec", "--out", str(folder / "r"), "--recipe", "{}", none), recipes, WORDS, "r.toml"),
        Target(
            "video",
            (*skeleton, "--root", str(folder / "again"), str(folder / "film.jsonl")),
            (data,),
            (damage.in_header,),
            in_place,
        ),
        Target(
            "validate --media",
            ("validate", "--media", "--root", str(folder / "again"), str(folder / "film.jsonl")),
            (data,),
            (damage.in_header,),
            in_place,
        ),
        Target(
            "extract-skeleton --resume",
            (*skeleton, "--root", str(folder / "videos"), "--resume", "{}", str(folder / "film.jsonl")),
            (done,),
        ),
    ]


def _networks(folder: Path, quick: bool) -> list[Target]:
    """Networks and what lies beside them."""
    models = ROOT / "share" / "mma82" / "models"
    onnx, car = (models / "dots.onnx").read_bytes(), (models / "dots.toml").read_bytes()
    shutil.copy(models / "dots.onnx", folder / "m.onnx")
    rest = ("--jobs", "1", "--root", str(folder / "videos"), str(folder / "film.jsonl"))
    made = [
        Target("onnx", ("extract-skeleton", "--model", "{}", *rest), (onnx,), (damage.in_bytes,), "x.onnx"),
        Target("side-car", ("extract-skeleton", "--model", str(folder / "m.onnx"), *rest), (car,), WORDS, "../m.toml"),
    ]
    if quick:
        return made
    import torch
    from safetensors.torch import load

    checkpoint, joints = (folder / "run" / "best.safetensors").read_bytes(), str(folder / "joints.jsonl")
    for name, value in (
        ("good.pth", {"state_dict": load(checkpoint)}),
        ("evil.pth", {"state_dict": Evil(str(folder / "canary"))}),
    ):
        torch.save(value, folder / name)
    pth = tuple((folder / name).read_bytes() for name in ("good.pth", "evil.pth"))
    ways = (damage.in_safetensors, damage.in_header)
    return [
        *made,
        Target("checkpoint", ("infer", "{}", joints), (checkpoint,), ways, "x.safetensors"),
        Target("peer's checkpoint", ("infer", "{}", joints), pth, (damage.in_header,), "x.pth"),
    ]
