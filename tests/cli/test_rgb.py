"""`mma82 train-rec` and `mma82 infer` on video files."""

import argparse
import json
import os
import re

import numpy as np
import pytest
from conftest import write_film, write_taxonomy

LABELS = ["left", "right", "still"]
QUICK = {"OMP_NUM_THREADS": "1"}
KEYS = "epochs=2 short_side=24 size=24 test_size=24 frames=4 base_channels=8 stage_blocks=[1,1] batch_size=8 micro_batch=4"
TINY = [part for pair in KEYS.split() for part in ("--set", pair)]


def write_video(path, label: str, frames: int, size=(40, 30), seed=0):
    """A square that moves to the left, to the right, or not at all, over noise."""
    film = np.random.default_rng(seed).integers(0, 60, (frames, size[1], size[0], 3), np.uint8)
    for t, picture in enumerate(film):
        x = {"left": 28 - 2 * t, "right": 4 + 2 * t, "still": 16}[label] % 32
        picture[10:20, x : x + 8] = (40, 200, 250)
    write_film(path, film)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of videos, some shorter than the clip a network sees, some of odd size, with three.json; and its records."""
    folder = tmp_path_factory.mktemp("films")
    write_taxonomy(folder / "three.json", LABELS)
    records = []
    for i in range(18):
        frames, size = (1, 2, 3, 12, 13, 9)[i % 6], ((40, 30), (36, 50), (62, 38))[i // 6]
        write_video(folder / f"{i}.mp4", LABELS[i % 3], frames, size, i)
        records.append({"id": f"c{i}", "video": f"{i}.mp4", "label": LABELS[i % 3], "split": ("train", "train", "val")[i // 6]})
    records[3] |= {"start": 0.2, "end": 0.8}
    return folder, records


def call(run, films, command, *more, stdin=None, env=None):
    folder, records = films
    return run(command, *more, "--taxonomy", folder / "three.json", "--root", folder,
               stdin=records if stdin is None else stdin, env={**QUICK, **(env or {})})  # fmt: skip


def train(run, films, out, *more, recipe="gc-tsm-tiny", stdin=None):
    return call(run, films, "train-rec", "--out", out, "--recipe", recipe, *TINY, *more, stdin=stdin)


@pytest.fixture(scope="module")
def trained(run, films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = train(run, films, folder)
    assert result.code == 0, result.err
    return folder, result


def test_a_run_and_its_scores(run, films, trained):
    folder, result = trained
    assert [set(line) for line in result.records] == 2 * [
        {"epoch", "epochs", "lr", "loss", "train_top1", "val_top1", "val_mca", "seconds"}
    ]
    assert "12 train, 6 val clips; cpu" in result.err
    scored = call(run, films, "infer", folder, "--split", "val")
    assert scored.code == 0, scored.err
    assert [record["id"] for record in scored.records] == [f"c{i}" for i in range(12, 18)]
    for record in scored.records:
        assert len(record["scores"]) == 3 and sum(record["scores"]) == pytest.approx(1, abs=1e-5)
    hits = [LABELS[int(np.argmax(record["scores"]))] == record["label"] for record in scored.records]
    best = max(line["val_top1"] for line in result.records)
    assert np.mean(hits) == pytest.approx(best, abs=1e-6)
    wide = call(run, films, "infer", folder, "--split", "val", "--clips", "2", "--batch-size", "4")
    assert wide.code == 0 and wide.records[3]["scores"] != scored.records[3]["scores"]


def test_a_cache_is_told_of_and_filled(run, films, tmp_path):
    result = train(run, films, tmp_path / "r", "--set", "epochs=1", "--cache", tmp_path / "cache")
    assert result.code == 0 and "18 clips go into" in result.err and " MB that are free" in result.err, result.err
    packs = [path.name for path in (tmp_path / "cache").iterdir()]
    assert len(packs) == 18 and all(name.endswith(".jpegs") for name in packs)
    again = train(run, films, tmp_path / "s", "--set", "epochs=1", "--cache", tmp_path / "cache")
    assert again.code == 0 and "go into" not in again.err


@pytest.mark.parametrize("loaders", [0, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(films, tmp_path, loaders):
    import torch

    from mma82cli.taxonomy import load_taxonomy
    from mma82cli.training.loop import Run, fit
    from mma82cli.training.recipe import load_recipe
    from mma82cli.training.rgb.data import RgbData
    from mma82cli.training.task import Asked

    recipe = load_recipe("gc-tsm-tiny", [*KEYS.split(), "epochs=3"])
    data = RgbData(recipe, Asked(load_taxonomy(str(films[0] / "three.json")), root=str(films[0])))
    for record in films[1]:
        data.add(record, record["split"])

    def epochs(name, resume=False):
        (tmp_path / name).mkdir(exist_ok=True)
        task = data.task(torch.device("cpu"), torch.float32)
        task.loaders = loaders if name == "stopped" else 0  # how frames are loaded changes nothing
        return fit(data.model(0), Run(tmp_path / name, {}, timed=False), task, resume)

    whole = list(epochs("whole"))
    begun = epochs("stopped")
    first = next(begun)
    begun.close()
    assert [first, *epochs("stopped", resume=True)] == whole
    for name in ("best.safetensors", "last.safetensors", "last.state.safetensors", "log.jsonl"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("recipe", ["manet"])
def test_relatives_are_trained_by_their_recipes(run, films, recipe, tmp_path):
    result = train(run, films, tmp_path / recipe, "--set", "epochs=1", recipe=recipe)
    assert result.code == 0 and len(result.records) == 1, result.err
    assert call(run, films, "infer", tmp_path / recipe, "--split", "val", "--topk", 1).code == 0


def change(films, at, **fields):
    return [record | fields if i == at else record for i, record in enumerate(films[1])]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"video": "none.mp4"}, "field 'video' is \"none.mp4\"; expected a file"),
        ({"video": 3}, "field 'video' is 3"),
        ({"label": "sideways"}, "sideways"),
        ({"start": 1, "end": 0.5}, "field 'end'"),
    ],
)
def test_bad_records_are_placed(run, films, tmp_path, fields, said):
    result = train(run, films, tmp_path / "r", stdin=change(films, 4, **fields))
    assert result.code == 1 and "<stdin>:5:" in result.err and said in result.err and result.err.count("\n") == 1


def test_videos_that_cannot_be_read_are_named(run, films, trained, tmp_path):
    folder, records = films
    (folder / "text.mp4").write_text("not a video\n" * 50)
    bad = change(films, 4, video="text.mp4")
    for more in ([], ["--cache", tmp_path / "cache"]):
        result = train(run, films, tmp_path / "r", *more, stdin=bad)
        assert result.code == 1 and result.err.count("\n") == 1 and "<stdin>:5: " in result.err, result.err
        assert "text.mp4: not a video" in result.err and not (tmp_path / "r").exists()
        rest = train(run, films, tmp_path / "s", *more, "--set", "epochs=1", "--on-error", "skip", stdin=bad)
        assert rest.code == 1 and len(rest.records) == 1 and "11 train, 6 val clips" in rest.err
        assert json.loads(rest.err.splitlines()[0])["record"]["id"] == "c4"
    late = change(films, 4, start=100, end=101)
    assert "<stdin>:5: " in (said := train(run, films, tmp_path / "r", stdin=late).err)
    assert "4.mp4 from 100 to 101 s: not one frame" in said
    os.mkfifo(folder / "pipe.mp4")
    assert "pipe.mp4 is no regular file" in train(run, films, tmp_path / "r", stdin=change(films, 4, video="pipe.mp4")).err
    result = call(run, films, "infer", trained[0], stdin=bad)
    assert result.code == 1 and [r["id"] for r in result.records] == ["c0", "c1", "c2", "c3"]
    assert result.err.count("\n") == 1 and "<stdin>:5:" in result.err and "text.mp4" in result.err
    skipped = call(run, films, "infer", trained[0], "--on-error", "skip", "--batch-size", "4", stdin=bad)
    assert skipped.code == 1 and len(skipped.records) == len(records) - 1


def test_a_video_that_breaks_off_is_told_of(run, films, trained, tmp_path, decoder):
    write_video(films[0] / "short.mp4", "left", 30)
    short = {"video": "short.mp4", "duration": 6.0, "warnings": ["dark"]}
    records = [short, {**short, "duration": 3.2}, {"video": "short.mp4"}, {"video": "short.mp4", "start": 1, "end": 9}]
    said = [["dark", "truncated: 3 s of 6 s can be decoded"], ["dark"], None, ["truncated: 2 s of 8 s can be decoded"]]
    for more in ([], ["--cache", tmp_path / "cache"]):
        found = call(run, films, "infer", trained[0], *more, stdin=records, env=decoder)
        assert found.code == 0 and [record.get("warnings") for record in found.records] == said, found.err
    cut = films[0] / "cut.mkv"
    write_video(cut, "left", 60)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    [record] = call(run, films, "infer", trained[0], stdin=[{"video": "cut.mkv"}], env=decoder).records
    [said] = record["warnings"]
    left = re.fullmatch(r"truncated: the file is cut off, ([0-9.]+) s can be decoded", said)
    assert left and 1 < float(left[1]) < 5, said


def test_gates_need_two_clips(run, films, tmp_path):
    one = train(run, films, tmp_path / "r", stdin=films[1][:1])
    assert one.code == 1 and "expected at least 2: the gates' batch norm compares clips" in one.err
    lonely = train(run, films, tmp_path / "r", "--set", "batch_size=11", "--set", "epochs=1")  # 12 clips: one is left
    assert lonely.code == 0 and len(lonely.records) == 1, lonely.err
    usage = train(run, films, tmp_path / "r", "--set", "micro_batch=1")
    assert usage.code == 2 and "'micro_batch' is 1" in usage.err
    assert train(run, films, tmp_path / "s", "--set", "micro_batch=1", "--set", "gate_div=0", "--set", "epochs=1").code == 0


def test_imagenet_without_a_network_says_where_to_put_the_file(run, films, tmp_path):
    env = {**QUICK, "MMA82_CACHE": str(tmp_path), "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    folder, records = films
    result = run("train-rec", "--out", tmp_path / "r", "--recipe", "gc-tsm", "--init", "imagenet", "--root", folder, "--taxonomy",
                 folder / "three.json", stdin=records, env=env)  # fmt: skip
    assert result.code == 1 and "Traceback" not in result.err
    assert str(tmp_path) in result.err.splitlines()[-1] and "imagenet" in result.err.splitlines()[-1]


def test_an_image_network_starts_a_gated_one(run, films, tmp_path):
    import torch

    from mma82cli.models.gc_tsm import GCTSM

    model = GCTSM(num_classes=1000, base_channels=8, stage_blocks=(1, 1), shift_div=0, gate_div=0)
    beside = {"best": np.float64(0.5), "rates": np.zeros(3), "options": argparse.Namespace(lr=0.1)}  # as runs of peers keep it
    torch.save({"state_dict": model.state_dict(), "meta": beside}, tmp_path / "resnet.pth")
    result = train(run, films, tmp_path / "r", "--set", "epochs=1", "--init", tmp_path / "resnet.pth")
    assert result.code == 0, result.err
    assert "has other labels than three" in result.err and "layer1.0.eft1.conv.weight" in result.err
    assert os.path.isfile(tmp_path / "r" / "best.safetensors")


def test_a_run_goes_on_with_frames_from_where_it_had_them(run, films, tmp_path):
    out, packs = tmp_path / "r", ["--cache", tmp_path / "packs"]
    assert train(run, films, out, *packs).code == 0
    other = train(run, films, out, "--resume")
    assert other.code == 1 and 'the run to resume has frames_from "packs"; found "videos" now' in other.err
    assert train(run, films, out, *packs, "--resume").code == 0
