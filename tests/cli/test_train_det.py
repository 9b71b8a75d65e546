"""`mma82 train-det`, and `mma82 infer` with a detector."""

import json

import cv2
import numpy as np
import pytest

LABELS = ["left", "right"]
QUICK = {"OMP_NUM_THREADS": "1"}
KEYS = (
    "epochs=2 validate_every=1 window=32 stride=2 short_side=32 size=32 image_size=32 dim=16 depth=2 heads=2 adapter=4 "
    "channels=16 head_heads=2 branch=2"
)
TINY = [part for pair in KEYS.split() for part in ("--set", pair)]


def write_video(path, frames: int, segments, seed=0):
    """A square that moves to the left or to the right while an action lasts, over noise, 10 frames a second."""
    rng = np.random.default_rng(seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (48, 36))
    for t in range(frames):
        picture = rng.integers(0, 60, (36, 48, 3), np.uint8)
        x = 20
        for segment in segments:
            if segment["start"] <= t / 10 < segment["end"]:
                x += int((1 if segment["label"] == "right" else -1) * 10 * (t / 10 - segment["start"]))
        picture[12:24, max(0, x) : x + 8] = (40, 200, 250)
        writer.write(picture)
    writer.release()


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of videos, one a single frame long and some longer than a window, with taxonomy.json; and its records."""
    folder = tmp_path_factory.mktemp("films")
    labels = [{"id": i, "name": name, "body": None, "aliases": []} for i, name in enumerate(LABELS)]
    (folder / "taxonomy.json").write_text(json.dumps({"name": "two", "bodies": [], "labels": labels}))
    records = []
    for i in range(9):
        frames = (60, 41, 90, 1, 33, 64)[i % 6]
        last = frames / 10
        spans = [(0.5, 2.0), (2.5, 3.9)] if frames > 1 else []
        segments = [{"start": a, "end": min(b, last), "label": LABELS[(i + j) % 2]} for j, (a, b) in enumerate(spans) if a < last]
        write_video(folder / f"{i}.mp4", frames, segments, i)
        split = ("train", "train", "val")[i // 3]
        records.append({"id": f"v{i}", "video": f"{i}.mp4", "duration": last, "segments": segments, "split": split})
    return folder, records


def call(run, films, command, *more, stdin=None):
    folder, records = films
    return run(command, *more, "--root", folder, stdin=records if stdin is None else stdin, env=QUICK)


def train(run, films, out, *more, stdin=None):
    labels = ("--taxonomy", films[0] / "taxonomy.json")
    return call(run, films, "train-det", "--out", out, "--recipe", "adatad-tiny", *TINY, *labels, *more, stdin=stdin)


@pytest.fixture(scope="module")
def trained(run, films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = train(run, films, folder, "--deterministic")
    assert result.code == 0, result.err
    return folder, result


def change(films, at, **fields):
    return [record | fields if i == at else record for i, record in enumerate(films[1])]


def test_a_run_and_its_detections(run, films, trained):
    folder, result = trained
    assert [set(line) for line in result.records] == 2 * [
        {"epoch", "epochs", "lr", "loss", "loss_classes", "loss_boundaries", "val_map", "val_map50"}
    ]
    assert "6 train, 3 val videos; cpu" in result.err
    assert "1 of 6 train videos have no instances" in result.err
    found = call(run, films, "infer", folder, "--split", "val")
    assert found.code == 0, found.err
    assert [record["id"] for record in found.records] == ["v6", "v7", "v8"]
    for record in found.records:
        predictions = record["predictions"]
        scores = [p["score"] for p in predictions]
        assert predictions and scores == sorted(scores, reverse=True) and record["taxonomy"] == "two"
        assert all(0 <= p["start"] < p["end"] <= record["duration"] + 0.21 and p["label"] in LABELS for p in predictions)
    figures = run("score", "--metric", "map", "--taxonomy", films[0] / "taxonomy.json", stdin=found.out)
    value = next(line["value"] for line in figures.records if line["tiou"] == "avg")
    assert value == pytest.approx(max(line["val_map"] for line in result.records), abs=1e-6)


def test_raw_detections_are_what_suppress_takes(run, films, trained):
    direct = call(run, films, "infer", trained[0])
    raw = call(run, films, "infer", trained[0], "--raw", "--batch-size", "4")
    piped = run("suppress", "--vote", "0.7", "--taxonomy", films[0] / "taxonomy.json", stdin=raw.out)
    assert direct.code == raw.code == 0 and raw.out != direct.out and piped.out == direct.out
