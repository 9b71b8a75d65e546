"""README's "Contributing" is so: a model, a metric, a format, a backend and a plot are added to a copy of the package, each
with one file and one row of a table, and then used as a user would."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, as_lines

MODEL = '''
from dataclasses import dataclass

from torch import nn

from mma82cli.training.skeleton.joint_inputs import JointInputs
from mma82cli.training.skeleton.recipe import SkeletonRecipe

HEAD = "cls_head."


@dataclass(frozen=True)
class MeanRecipe(SkeletonRecipe):
    model: str = "mean-joints"
    epochs: int = 2
    clips: int = 1

    def inputs(self, layout):
        return MeanInputs(self, layout)


class MeanInputs(JointInputs):
    def make(self, classes):
        return MeanJoints(len(self), classes)


class MeanJoints(nn.Module):
    """The mean of the joints over time, and a linear layer."""

    def __init__(self, joints, classes):
        super().__init__()
        self.reads, self.num_classes = joints, classes
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(3 * joints, classes)

    def pooled(self, x):
        return x.mean((1, 2)).flatten(1)

    def forward(self, x):
        return self.cls_head.fc_cls(self.pooled(x))


def recognises(state):
    return set(state) == {"cls_head.fc_cls.weight", "cls_head.fc_cls.bias"}


def from_state(state, path, recipe, carried, **sizes):
    classes, width = state["cls_head.fc_cls.weight"].shape
    return MeanJoints(width // 3, classes)
'''
METRIC = '''
import numpy as np


def value(margins, rule):
    """The geometric mean of the recalls of labels that have truth."""
    recall = margins.hits / np.maximum(margins.truths, 1)
    present = margins.truths > 0
    return np.exp(np.where(present, np.log(np.maximum(recall, 1e-12)), 0).sum(-1) / present.sum(-1))
'''
FORMAT = '''
from mma82cli.formats import base


class Reader(base.Reader):
    def entries(self, file, name):
        for number, raw in enumerate(file, 1):
            yield number, (raw, number)

    def record(self, entry):
        video, label = base.text_of(*entry).split("|")
        return {"video": video, "label": base.label_name(label, self.options.labels)}


class Writer(base.Writer):
    KEPT = frozenset({"video", "label"})

    def add(self, record):
        return f"{record['video']}|{record['label']}\\n".encode()
'''
BACKEND = '''
import numpy as np

from mma82cli.pose.estimator import Estimator


class Centre(Estimator):
    """Takes every joint to be in the middle of the frame."""

    title, layout, joints = "centre", "coco17", 17

    def each(self, frames, boxes=None):
        for frame in frames:
            height, width = frame.shape[:2]
            yield np.tile([width / 2, height / 2, 1.0], (17, 1))


def build(settings):
    return Centre()
'''
PLOT = '''
from mma82cli.plots.style import save, style


def draw(records, folder, options):
    from matplotlib.figure import Figure

    with style():
        sheet = Figure(figsize=(2, 2))
        sheet.subplots().bar(["records"], [len(list(records))])
        return save(sheet, folder, "count")
'''
PARTS = {  # what: (file, its text, table's file, table, row)
    "model": ("training/skeleton/mean.py", MODEL, "models/__init__.py", "MODELS",
              '"mean-joints": Kind("training.skeleton.mean", "train-rec", "training.skeleton.mean:MeanRecipe", *SKELETON),'),
    "metric": ("metrics/gmean.py", METRIC, "metrics/__init__.py", "METRICS", '"g-mean": Metric("G-mean", "gmean:value"),'),
    "format": ("formats/bars.py", FORMAT, "formats/__init__.py", "FORMATS",
               '"bars": ("bars", True, "lines", "`path|label` a line"),'),
    "backend": ("pose/centre.py", BACKEND, "pose/__init__.py", "BACKENDS", '"centre": Backend("centre"),'),
    "plot": ("plots/count.py", PLOT, "plots/__init__.py", "KINDS", '"count": ("count", "id", "how many records there are"),'),
}  # fmt: skip


@pytest.fixture
def add(tmp_path):
    """add(what) -> run(*arguments, stdin) in a copy of the package to which a file and a row were added."""

    def added(what: str):
        file, text, home, table, row = PARTS[what]
        package = tmp_path / "mma82cli"
        shutil.copytree(ROOT / "mma82cli", package, ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / "share").symlink_to(ROOT / "share")
        assert not (package / file).exists()
        (package / file).write_text(text)
        before = (package / home).read_text()
        after, found = re.subn(rf"^({table} = {{[^\n]*\n)", rf"\1    {row}\n", before, flags=re.MULTILINE)
        assert found == 1 and len(after.splitlines()) == len(before.splitlines()) + 1
        (package / home).write_text(after)
        return lambda *arguments, stdin=b"": called(tmp_path, arguments, stdin)

    return added


def called(folder, arguments, stdin: bytes) -> str:
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "mma82cli", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, env=env, cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_model(add, tmp_path):
    run = add("model")
    clips = [
        {
            "id": f"{split}{i}", "label": i % 2, "split": split, "layout": "coco17", "width": 100, "height": 100,
            "keypoints": [[v for j in range(17) for v in (10 + 3 * j + t * (i % 2), 20 + 2 * j + t, 1)] for t in range(4)],
        }
        for split in ("train", "val", "test") for i in range(4)
    ]  # fmt: skip
    epochs = lines(run("train-rec", "--recipe", "mean-joints", "--out", tmp_path / "run", "-q", stdin=as_lines(clips)))
    assert [x["epoch"] for x in epochs] == [1, 2]
    scored = lines(run("infer", tmp_path / "run", "--split", "test", "-q", stdin=as_lines(clips)))
    assert len(scored) == 4 and all(abs(sum(x["scores"]) - 1) < 1e-4 for x in scored)


def test_a_metric(add):
    clips = [{"id": str(i), "label": i % 2, "topk": [[0 if i < 3 else 1, 0.9]]} for i in range(4)]  # recalls: 1 and 1/2
    run = add("metric")
    (line, *_) = lines(run("score", "--metric", "g-mean", "--level", "action", stdin=as_lines(clips)))
    assert line["metric"] == "g-mean" and abs(line["value"] - 0.5**0.5) < 1e-9
    assert "G-mean" in run("score", "--format", "table", stdin=as_lines(clips))
    assert "ci" in run("score", "--metric", "g-mean", "--ci", "20", stdin=as_lines(clips))


def test_a_format(add):
    run = add("format")
    records = run("convert", "--from", "bars", stdin=b"a.mp4|nodding\nb.mp4|waving\n")
    assert [x["label"] for x in lines(records)] == ["Nodding", "Waving"]
    assert run("convert", "--to", "bars", stdin=records.encode()) == "a.mp4|Nodding\nb.mp4|Waving\n"
    assert "bars" in run("convert", "--help") and "`path|label` a line" in run("convert", "--help")


def test_a_backend(add, tmp_path):
    from mma82cli.video.writer import write_frames

    write_frames(tmp_path / "v.avi", [np.full((48, 64, 3), 100, np.uint8)] * 5, 10.0, (64, 48), "FFV1")
    (record,) = lines(
        add("backend")("extract-skeleton", "--backend", "centre", "--root", tmp_path, "-q", stdin=as_lines([{"video": "v.avi"}]))
    )
    assert record["model"] == "centre" and record["num_frames"] == 5 and record["keypoints"][0][:3] == [32, 24, 1]


def test_a_plot(add, tmp_path):
    pytest.importorskip("matplotlib")
    run = add("plot")
    written = lines(run("plot", "count", "--out", tmp_path / "figures", stdin=as_lines([{"id": "a"}, {"id": "b"}])))
    assert [x["figure"].rpartition("/")[2] for x in written] == ["count.svg", "count.png"]
    assert "how many records there are" in run("plot", "--help")


def test_the_readme_names_these_tables():
    told = (ROOT / "README.md").read_text().partition("## Contributing")[2].partition("\n## ")[0]
    for what, (file, _, home, table, _) in PARTS.items():
        assert f"`{table}`" in told and os.path.dirname(file) in told and f"mma82cli/{home}" in told, what
