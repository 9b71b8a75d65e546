"""`mma82 train-det`, and `mma82 infer` with a detector."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, as_lines, write_film, write_taxonomy

from mma82cli.plots import timeline
from mma82cli.training.device import choose_precision
from mma82cli.video import Video

LABELS = ["left", "right"]
QUICK = {"OMP_NUM_THREADS": "1"}
KEYS = (
    "epochs=2 validate_every=1 window=32 stride=2 short_side=32 size=32 image_size=32 dim=16 depth=2 heads=2 adapter=4 "
    "channels=16 head_heads=2 branch=2"
)
TINY = [part for pair in KEYS.split() for part in ("--set", pair)]


def write_video(path, frames: int, segments, seed=0):
    """A square that moves to the left or to the right while an action lasts, over noise, 10 frames a second."""
    film = np.random.default_rng(seed).integers(0, 60, (frames, 36, 48, 3), np.uint8)
    for t, picture in enumerate(film):
        x = 20
        for segment in segments:
            if segment["start"] <= t / 10 < segment["end"]:
                x += int((1 if segment["label"] == "right" else -1) * 10 * (t / 10 - segment["start"]))
        picture[12:24, max(0, x) : x + 8] = (40, 200, 250)
    write_film(path, film)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of videos, one a single frame long and some longer than a window, with two.json; and its records."""
    folder = tmp_path_factory.mktemp("films")
    write_taxonomy(folder / "two.json", LABELS)
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
    labels = ("--taxonomy", films[0] / "two.json")
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
    learnt_in = choose_precision("auto", torch.device("cpu"), gradients=True)
    found = call(run, films, "infer", folder, "--split", "val", "--precision", {torch.float32: "float32"}.get(learnt_in, "bf16"))
    assert found.code == 0, found.err
    assert [record["id"] for record in found.records] == ["v6", "v7", "v8"]
    for record in found.records:
        predictions = record["predictions"]
        scores = [p["score"] for p in predictions]
        assert predictions and scores == sorted(scores, reverse=True) and record["taxonomy"] == "two"
        assert all(0 <= p["start"] < p["end"] <= record["duration"] + 1e-6 and p["label"] in LABELS for p in predictions)
    figures = run("score", "--metric", "map", "--taxonomy", films[0] / "two.json", stdin=found.out)
    value = next(line["value"] for line in figures.records if line["tiou"] == "avg")
    assert value == pytest.approx(max(line["val_map"] for line in result.records), abs=1e-6)


def test_raw_detections_are_what_suppress_takes(run, films, trained):
    direct = call(run, films, "infer", trained[0])
    raw = call(run, films, "infer", trained[0], "--raw", "--batch-size", "4")
    piped = run("suppress", "--vote", "0.7", "--taxonomy", films[0] / "two.json", stdin=raw.out)
    assert direct.code == raw.code == 0 and raw.out != direct.out and piped.out == direct.out
    best = call(run, films, "infer", trained[0], "--topk", "3")
    assert (best.code, best.err.count("\n")) == (2, 1) and "--topk: a checkpoint of adatad, a detector; `mma82 supp" in best.err


def test_a_video_with_captions(run, films, tmp_path):
    folder, records = films
    found = [{"start": 0.4, "end": 2.1, "label": "right", "score": 0.5}]
    record = {**records[0], "predictions": found}
    drawn = run("plot", "overlay", "--root", folder, "--out", tmp_path, stdin=[record])
    assert drawn.code == 0 and [Path(line["figure"]).name for line in drawn.records] == ["overlay-v0.mp4"], drawn.err
    pictures = Video(str(tmp_path / "overlay-v0.mp4")).pick([0, 10, 30])
    assert len(Video(str(tmp_path / "overlay-v0.mp4")).times()) == 60 and pictures[0].shape == (240 + 48, 320, 3)
    ink = [[int((part > 128).sum()) for part in (picture[242:264], picture[266:])] for picture in pictures]
    assert ink[1][0] > ink[0][0] and ink[1][1] > 1.5 * ink[0][1] and ink[2][1] < 1.1 * ink[0][1]  # at 1 s both
    truth = run("plot", "overlay", "--root", folder, "--out", tmp_path, stdin=[records[1]])
    assert truth.code == 0 and Video(str(tmp_path / "overlay-v1.mp4")).height == 240 + 24, truth.err
    missing = run("plot", "overlay", "--root", tmp_path, "--out", tmp_path, stdin=[record])
    assert missing.code == 1 and "0.mp4; expected the video (--root)" in missing.err


# -- what is wrong with records, videos, checkpoints ---------------------------------------------------------------


def segments(*spans):
    return [{"start": start, "end": end, "label": label} for start, end, label in spans]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"segments": None}, "field 'segments' is null"),
        ({"segments": segments((1, 2, "up"))}, "field 'segments[0].label' is \"up\"; expected a label of two"),
        ({"segments": segments((1, 2, "left"), (2, 2, "left"))}, "field 'segments[1].end' is 2.0; expected a time after 'start'"),
        ({"segments": segments((-1, 2, "left"))}, "field 'segments[0].start' is -1.0; expected a time of at least 0 s"),
        ({"segments": segments((1, 5.2, "left"))}, "field 'segments[0].end' is 5.2; expected a time within the 4.1 s of"),
        ({"segments": segments((4.2, 4.3, "left"))}, "field 'segments[0].start' is 4.2; expected a time before the video's end"),
        ({"duration": 0}, "field 'duration' is 0; expected a finite number above 0"),
        ({"video": "none.mp4"}, "field 'video' is \"none.mp4\"; expected a file"),
        ({"split": "dev"}, "field 'split' is \"dev\""),
    ],
)
def test_bad_records_are_placed(run, films, tmp_path, fields, said):
    result = train(run, films, tmp_path / "r", stdin=change(films, 1, **fields))
    assert result.code == 1 and result.err.startswith("mma82 train-det: <stdin>:2: ") and said in result.err, result.err
    assert result.err.count("\n") == 1


def test_bad_records_can_be_skipped(run, films, tmp_path):
    bad = change(films, 1, segments=segments((1, 9, "left")))
    result = train(run, films, tmp_path / "r", "--on-error", "skip", "--set", "epochs=1", stdin=bad)
    assert result.code == 1 and len(result.records) == 1 and json.loads(result.err.splitlines()[0])["line"] == 2
    assert "5 train, 3 val videos" in result.err


def test_without_duration_the_file_tells_it(run, films, tmp_path):
    def shown(record):
        return {key: value for key, value in record.items() if key != "duration"}

    records = [shown(record) for record in films[1]]
    records[1]["segments"] = segments((1, 9, "left"))
    result = train(run, films, tmp_path / "s", "--set", "epochs=1", stdin=records)
    said = "1.mp4: field 'segments[0].end' is 9.0; expected a time within the 4.1 s of the video"
    assert result.code == 0 and f"left out: {films[0]}/{said}" in result.err and "5 train, 3 val videos" in result.err


def test_nothing_to_learn_is_said(run, films, trained, tmp_path):
    empty = [record | {"segments": []} for record in films[1]]
    result = train(run, films, tmp_path / "r", stdin=empty)
    assert result.code == 1 and "the 6 train records have no instances ('segments' are empty)" in result.err
    only_train = [record if record["split"] == "train" else record | {"segments": []} for record in films[1]]
    result = train(run, films, tmp_path / "s", "--set", "epochs=1", stdin=only_train)
    assert result.code == 0 and "the val records have no instances" in result.err and "val_map" not in result.records[0]
    assert train(run, films, tmp_path / "t", stdin=films[1][6:]).err.count("no train records") == 1
    unannotated = [{"video": record["video"]} for record in films[1]]
    found = call(run, films, "infer", trained[0], stdin=unannotated)
    assert found.code == 0 and [bool(record["predictions"]) for record in found.records].count(True) >= 8


def test_videos_that_cannot_be_read_are_left_out_and_named(run, films, trained, tmp_path):
    folder, records = films
    (folder / "text.mp4").write_text("not a video\n" * 50)
    (folder / "torn.mp4").write_bytes((folder / "0.mp4").read_bytes()[:4000])
    bad = [*records, records[0] | {"id": "x", "video": "text.mp4"}, records[0] | {"id": "y", "video": "torn.mp4"}]
    result = train(run, films, tmp_path / "r", "--set", "epochs=1", "--cache", tmp_path / "cache", stdin=bad)
    assert result.code == 0 and "6 train, 3 val videos" in result.err, result.err
    assert f"left out: {folder}/text.mp4: not a video" in result.err and f"left out: {folder}/torn.mp4: not" in result.err
    assert len(list((tmp_path / "cache").iterdir())) == 9
    write_video(folder / "short.mp4", 30, [])
    short = {"video": "short.mp4", "duration": 6.0, "warnings": ["dark"]}
    found = call(run, films, "infer", trained[0], stdin=[short, {**short, "duration": 3.2}, {"video": "short.mp4"}])
    said = ["truncated: 3 s of 6 s can be decoded"]
    assert [record.get("warnings") for record in found.records] == [["dark", *said], ["dark"], None], found.err
    write_video(folder / "cut.mkv", 60, [])
    (folder / "cut.mkv").write_bytes((folder / "cut.mkv").read_bytes()[:-2000])
    [record] = call(run, films, "infer", trained[0], stdin=[{"video": "cut.mkv"}]).records
    assert record["warnings"][0].startswith("truncated: the file is cut off, "), record
    found = call(run, films, "infer", trained[0], "--on-error", "skip", stdin=bad[8:])
    assert found.code == 1 and [record["id"] for record in found.records] == ["v8"] and found.err.count('"error"') == 2


def data_of(films, tmp_path, *more, told=None):
    from mma82cli.taxonomy import load_taxonomy
    from mma82cli.training.detection.data import DetectionData
    from mma82cli.training.recipe import load_recipe
    from mma82cli.training.task import Asked

    recipe = load_recipe("adatad-tiny", [*KEYS.split(), *more])
    data = DetectionData(recipe, Asked(load_taxonomy(str(films[0] / "two.json")), root=str(films[0])))
    for record in films[1]:
        data.add(record, record["split"])
    data.complete((lambda _: None) if told is None else told.append)
    return data


def epochs(data, folder, resume=False):
    import torch

    from mma82cli.training.loop import Run, fit

    folder.mkdir(exist_ok=True)
    return fit(data.model(0), Run(folder, {}, timed=False), data.task(torch.device("cpu"), torch.float32), resume)


def test_a_video_that_breaks_off_in_an_epoch_is_told_of(films, tmp_path):
    folder, records = films
    own = tmp_path / "films"
    own.mkdir()
    for path in folder.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    told = []
    data = data_of((own, records), tmp_path, "epochs=3", told=told)
    run = epochs(data, tmp_path / "run")
    assert "unread" not in next(run)
    (own / "1.mp4").write_bytes(b"gone" * 100)
    lines = list(run)
    assert [line["unread"] for line in lines] == [1, 1] and all(np.isfinite(line["loss"]) for line in lines)
    said = [line for line in told if line.startswith("left out: ")]
    assert len(said) == 1 and "1.mp4" in said[0]


@pytest.mark.parametrize("sizes", ["window=16 branch=5", "window=48 branch=5"])
def test_a_pyramid_may_halve_oftener_than_the_window_allows(films, tmp_path, sizes):
    (line,) = epochs(data_of(films, tmp_path, "epochs=1", *sizes.split()), tmp_path / "run")
    assert np.isfinite(line["loss"]) and "val_map" in line


def test_a_timeline_of_a_film_that_ends_before_its_truth(run, films, tmp_path):
    folder, records = films
    record = {**records[1], "segments": records[0]["segments"], "duration": 6.0}
    drawn = run("plot", "timeline", "--root", folder, "--out", tmp_path, stdin=[record])
    assert drawn.code == 0, drawn.err
    truth = timeline.bars(record, "segments")
    strip, _ = timeline.figure(record, "v1", truth, timeline.bars({}, None), str(folder)).axes
    assert len(strip.images) == 6  # of nine: the film has 4.1 of the 6 s


def test_a_backbone_starts_a_training_but_finds_nothing(run, films, trained, tmp_path):
    from safetensors.torch import load_file, save_file

    weights, path = load_file(trained[0] / "best.safetensors"), tmp_path / "videomae.safetensors"
    parts = {key.removeprefix("backbone."): value for key, value in weights.items() if key.startswith("backbone.")}
    save_file({key: value for key, value in parts.items() if ".adapter." not in key}, path)
    found = call(run, films, "infer", path)
    assert found.code == 1 and "a videomae alone, which scores nothing" in found.err and found.err.count("\n") == 1
    started = train(run, films, tmp_path / "r", "--init", path, "--set", "epochs=1")
    assert started.code == 0 and "has no backbone.blocks.0.adapter.gamma" in started.err


def test_a_checkpoint_of_another_size_is_named(run, films, trained, tmp_path):
    other = train(run, films, tmp_path / "r", "--init", trained[0], "--set", "channels=8")
    assert other.code == 1 and "don't fit AdaTAD: wrong shape: projection.embed.0.conv.weight [16, 16, 3]" in other.err
    more = ("--taxonomy", write_taxonomy(tmp_path / "three.json", [*LABELS, "up"]))
    third = call(run, films, "train-det", "--out", tmp_path / "t", "--recipe", "adatad-tiny", *TINY, *more, "--init", trained[0])
    assert third.code == 0 and "its last layer is left out and starts anew" in third.err
    missing = train(run, films, tmp_path / "m", "--init", "nowhere", "--cache", tmp_path / "packs")
    assert missing.code == 2 and "nowhere: No such file" in missing.err and not (tmp_path / "packs").exists()
    resumed = train(run, films, trained[0], "--resume", "--set", "dim=32")
    assert resumed.code == 1 and "the run to resume has dim = 16; found 32 now" in resumed.err


# -- going on ------------------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_to_the_same_bytes(run, films, trained, tmp_path):
    whole = trained[0]
    command = [ROOT / "bin" / "mma82", "train-det", "--out", tmp_path, "--recipe", "adatad-tiny", *TINY, "--deterministic"]
    command += ["--taxonomy", films[0] / "two.json", "--root", films[0]]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    job = subprocess.Popen(list(map(str, command)), **pipes, env={**os.environ, **QUICK})
    job.stdin.write(as_lines(films[1]))
    job.stdin.close()
    assert json.loads(job.stdout.readline())["epoch"] == 1
    job.kill()
    job.wait()
    rest = train(run, films, tmp_path, "--deterministic", "--resume")
    assert rest.code == 0, rest.err
    for name in ("best.safetensors", "last.safetensors", "last.state.safetensors", "log.jsonl", "recipe.toml"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_run_begun_before_there_was_a_key_goes_on(run, films, trained, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(trained[0], folder)
    path = folder / "last.state.safetensors"
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    (name,) = header["__metadata__"]
    about = json.loads(header["__metadata__"][name])
    assert about["recipe"].pop("still") == "remove"
    header["__metadata__"][name] = json.dumps(about)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + size :])
    other = train(run, films, folder, "--deterministic", "--resume")
    assert other.code == 1 and 'the run to resume has still = "keep"; found "remove" now' in other.err
    same = train(run, films, folder, "--deterministic", "--resume", "--set", "still=keep")
    assert same.code == 0 and "Traceback" not in same.err, same.err


def test_two_processes_are_as_one(run, films, trained, tmp_path):
    folder, records = films
    (tmp_path / "films.jsonl").write_bytes(as_lines(records))

    def torchrun(*arguments):
        two = ("--standalone", "--nproc-per-node", "2")
        command = [Path(sys.executable).parent / "torchrun", *two, "-m", "mma82cli", *arguments]
        env = {**os.environ, **QUICK, "PYTHONPATH": str(ROOT)}
        return subprocess.run(list(map(str, command)), cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200)

    more = ["--out", "two", "--recipe", "adatad-tiny", *TINY, "--set", "micro_batch=1", "--deterministic", "--taxonomy"]
    more += [folder / "two.json", "--root", folder, "films.jsonl"]
    two = torchrun("train-det", *more)
    assert two.returncode == 0, two.stderr
    one = train(run, films, tmp_path / "one", "--set", "micro_batch=1", "--deterministic")
    lines = [json.loads(line) for line in two.stdout.splitlines()]
    for mine, theirs in zip(one.records, lines, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-3, abs=1e-4)
    shared = torchrun("infer", trained[0], "--root", folder, "films.jsonl")
    assert shared.returncode == 0 and shared.stdout == call(run, films, "infer", trained[0]).out, shared.stderr
