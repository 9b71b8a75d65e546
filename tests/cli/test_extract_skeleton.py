"""`mma82 extract-skeleton` as a user runs it: records and files, good and bad (many clips: test_extract_runs)."""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct

import numpy as np
import pytest
from conftest import ROOT, as_lines, write_film

NEW = ["layout", "keypoints", "fps", "width", "height", "num_frames", "model"]


def test_dots_on_real_files_through_the_whole_command(run, shared):
    pose = shared / "goldens" / "pose"
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("OpenCV alone does not run this network")
    truth = np.load(pose / "dot_truth.npy")
    records = [
        {"video": "dot_ffv1.avi", "box": [100, 20, 380, 590], "mine": {"a": [1]}, "label": "x"},
        {"video": "dot_ffv1.avi", "start": 0.2, "end": 0.5, "box": [100, 20, 380, 590]},
        {"video": "dot_mp4v.mp4", "start": 0.1, "end": 0.2},
    ]
    done = run("extract-skeleton", "--backend", "onnx", "--model", pose / "dot_simcc.onnx", "--root", pose, stdin=records)
    assert done.code == 0
    assert "no side-car" in done.err and "whole frame" in done.err and len(done.err.splitlines()) == 2
    for record, out, first, limit in zip(records, done.records, (0, 6, 3), (0.2, 0.2, 0.4), strict=True):
        assert list(out)[: len(record) + 7] == list(record) + NEW
        assert {k: out[k] for k in record} == record
        joints = np.array(out["keypoints"]).reshape(-1, 17, 3)
        assert out["num_frames"] == len(joints) and (out["fps"], out["width"], out["height"]) == (30, 480, 600)
        assert np.sqrt(((joints[..., :2] - truth[first : first + len(joints)]) ** 2).mean()) <= limit
    assert [r["num_frames"] for r in done.records] == [20, 9, 3]
    assert done.records[0]["model"].startswith("dot_simcc@sha256:") and "warnings" not in done.records[0]


def test_nobody_there(run, films):
    done = run("extract-skeleton", "--model", "dots", "--root", films, stdin=[{"video": "empty.mp4"}])
    record = done.records[0]
    assert done.code == 0 and record["keypoints"] == [None] * 30 and record["warnings"] == ["no person found"]
    assert done.err == "mma82 extract-skeleton: <stdin>:1: empty.mp4: no person found\n"


def test_a_public_network_that_can_not_be_fetched_is_one_line(run, tmp_path):
    share_dir = tmp_path / "share"
    shutil.copytree(ROOT / "share" / "mma82", share_dir)
    (share_dir / "models" / "public.toml").write_text('[rtmpose-m]\nurl = "http://127.0.0.1:9/m.zip"\nmember = "end2end.onnx"\n')
    where = {"MMA82_SHARE": str(share_dir), "MMA82_CACHE": str(tmp_path / "cache")}
    done = run("extract-skeleton", "--model", "rtmpose-m", stdin=[{"video": "a.mp4"}], env=where)
    assert done.code == 1 and done.out == "" and done.err.count("\n") == 1
    place = tmp_path / "cache" / "rtmpose-m.onnx"
    assert f"offline, put end2end.onnx (from m.zip) at {place}" in done.err
    shutil.copy(share_dir / "models" / "dots.onnx", place)
    done = run("extract-skeleton", stdin=[], env=where)  # no flags: a production model that is there
    assert done.code == 0 and "rtmpose-m: sha256 " in done.err and "on trust" in done.err


def test_bad_records_are_named_and_harm_nothing_else(run, films):
    good = {"id": "good", "video": "a.mp4", "start": 0, "end": 0.2}
    bad = [
        ({"video": "none.mp4"}, ["none.mp4", "No such file"]),
        ({"video": "text.mp4"}, ["text.mp4", "can be opened"]),
        ({"video": "."}, ["directory"]),
        ({"id": "x"}, ["'video' is missing", "a string"]),
        ({"video": "a.mp4", "start": 9, "end": 10}, ["9-10 s", "lasts 3 s"]),
        ({"video": "a.mp4", "start": 2, "end": 100}, ["2-100 s", "lasts 3 s"]),
        ({"video": "a.mp4", "start": 2, "end": 1}, ["'end' is 1", "after"]),
        ({"video": "a.mp4", "start": -1, "end": 1}, ["'start' is -1"]),
        ({"video": "a.mp4", "start": 1.01, "end": 1.02}, ["1.01-1.02", "at least a frame"]),
        ({"video": "a.mp4", "box": [5, 5, 1, 9]}, ["'box' is [5, 5, 1, 9]", "x1 < x2"]),
        ({"video": "a.mp4", "box": "all"}, ["'box' is"]),
    ]
    records = [good, *(r for r, _ in bad), {**good, "id": "last"}]
    done = run("extract-skeleton", "-q", "--on-error", "skip", "--model", "dots", "--root", films, stdin=records)
    assert done.code == 1
    assert [r["id"] for r in done.records] == ["good", "last"]
    told = [json.loads(line) for line in done.err.splitlines()]
    assert [t["line"] for t in told] == list(range(2, 2 + len(bad)))
    for (record, words), fault in zip(bad, told, strict=True):
        assert fault["record"] == record and fault["error"].startswith(f"<stdin>:{fault['line']}: ")
        assert all(word in fault["error"] for word in words), fault["error"]
    done = run("extract-skeleton", "-q", "--model", "dots", "--root", films, stdin=records)
    assert done.code == 1 and len(done.records) == 1
    assert len(done.err.splitlines()) == 1 and done.err.startswith("mma82 extract-skeleton: <stdin>:2: ")
    done = run("extract-skeleton", "-q", "--model", "dots", "--root", films, stdin=as_lines([good]) + b"{oops\n")
    assert done.code == 1 and len(done.records) == 1 and "<stdin>:2:" in done.err


def test_a_clip_that_ends_a_little_late_is_kept_with_a_warning(run, films):
    done = run("extract-skeleton", "--model", "dots", "--root", films, stdin=[{"video": "a.mp4", "start": 2, "end": 3.5}])
    assert done.code == 0 and done.records[0]["num_frames"] == 10
    assert "the clip ends at 3.5 s, its video at 3 s" in done.records[0]["warnings"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model", "nothing"], "built in: dots"),
        (["--model", "nothing"], "public: rtmpose-t, rtmpose-s"),
        (["--model", "dots", "--detector", "nothing"], "public: rtmpose-t"),
        (["--backend", "tflite"], "--model FILE.tflite"),
        (["--backend", "tflite", "--model", "x.tflite"], "No such file"),
        (["--backend", "mediapipe", "--detector", "yolox-m"], "finds the person itself"),
        (["--backend", "mediapipe", "--channel-order", "bgr"], "--channel-order"),
        (["--model", "nothing.onnx"], "No such file"),
        (["--backend", "onnx"], "--model NAME|FILE"),
        (["--backend", "mediapipe", "--model", "dots"], "--model"),
        (["--model", "dots", "--layout", "jhmdb15"], "coco17"),
        (["--model", "dots", "--shard", "4/3"], "--shard"),
        (["--model", "dots", "--device", "cuda"], "cuda"),
        (["--model", "dots", "--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_usage(run, options, word):
    done = run("extract-skeleton", *options)
    assert done.code == 2 and done.out == "" and len(done.err.splitlines()) == 1 and word in done.err, done.err


def test_no_estimator_names_the_extras(run):
    if importlib.util.find_spec("mediapipe"):
        pytest.skip("mediapipe is installed")
    for options in ([], ["--backend", "mediapipe"]):
        done = run("extract-skeleton", *options, stdin=[{"video": "a.mp4"}], env={"MMA82_CACHE": "/nowhere"})
        assert done.code == 2 and "mma82[mediapipe]" in done.err and len(done.err.splitlines()) == 1


def test_nothing_in_nothing_out(run):
    done = run("extract-skeleton", "--model", "dots")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_edge_files_give_what_the_manifest_says(run, shared, jsonl, decoder):
    root = shared / "real" / "video"
    files = [r for r in jsonl(root / "manifest.jsonl") if r["file"].startswith("edge/")]
    av1 = next(r for r in files if "AV1" in r["visible"])
    if not decoder:
        av1.update(frames=125, width=640, height=360)
    stdin = [{"video": r["file"]} for r in files]
    done = run("extract-skeleton", "--on-error", "skip", "--model", "dots", "--root", root, "--jobs", 2, stdin=stdin, env=decoder)
    assert done.code == 1
    found = {r["video"]: r for r in done.records}
    assert set(found) == {r["file"] for r in files if r["frames"]}
    for entry in files:
        if not entry["frames"]:
            fault = [line for line in done.err.splitlines() if entry["file"] in line]
            assert len(fault) == 1 and json.loads(fault[0])["record"] == {"video": entry["file"]}
            continue
        record = found[entry["file"]]
        assert record["num_frames"] == len(record["keypoints"]) == entry["frames"]
        assert (record["fps"], record["width"], record["height"]) == (entry["fps"], entry["width"], entry["height"])
        cut = [w for w in record.get("warnings", []) if w.startswith("truncated")]
        expected = f"truncated: {entry['frames']}/{entry['header_frames']} frames can be decoded"
        assert cut == ([expected] if entry["frames"] < entry["header_frames"] - 1 else [])
        assert sum(entry["file"] in line for line in done.err.splitlines()) <= 1
    assert not decoder or "AV01" in done.err
    assert len(done.err.splitlines()) <= len(files)


def test_a_header_that_guesses_is_not_believed(run, tmp_path, decoder):
    """A Matroska file says how long sound and pictures last together, and how many bytes it has."""
    write_film(tmp_path / "film.mkv", np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8))
    film = (tmp_path / "film.mkv").read_bytes()
    place = film.index(b"\x44\x89\x88") + 3  # its Duration, a double
    film = film[:place] + struct.pack(">d", 2 * struct.unpack(">d", film[place : place + 8])[0]) + film[place + 8 :]
    place = film.index(b"\x18\x53\x80\x67") + 4  # its one segment's size, 8 bytes
    live = film[:place] + b"\x01" + 7 * b"\xff" + film[place + 8 :]
    for name, content in (("loud", film), ("live", live)):
        (tmp_path / f"{name}.mkv").write_bytes(content)
        (tmp_path / f"{name}-torn.mkv").write_bytes(content[: len(content) // 2])
    stdin = [{"video": f"{name}.mkv", **more} for name, more in [
        ("loud", {}), ("loud", {"duration": 3.2}), ("loud", {"duration": 6}), ("loud", {"start": 1, "end": 4.5}),
        ("loud-torn", {}), ("live", {}), ("live-torn", {}), ("live-torn", {"duration": 3}),
    ]]  # fmt: skip
    found = run("extract-skeleton", "--model", "dots", "--root", tmp_path, "--jobs", 1, stdin=stdin, env=decoder).records
    part = found[4]["num_frames"]
    assert [r["num_frames"] for r in found] == [30, 30, 30, 20, part, 30, part, part] and 0 < part < 29
    assert [[w for w in r.get("warnings", []) if not w.startswith("no person")] for r in found] == [
        [], [], ["truncated: 3 s of 6 s can be decoded"], ["the clip ends at 4.5 s, its video at 3 s"],
        [f"truncated: {part}/60 frames can be decoded"], [], [], [f"truncated: {part / 10:g} s of 3 s can be decoded"],
    ]  # fmt: skip


def test_times_are_given_where_the_rate_varies(run, shared):
    root = shared / "real" / "video"
    clips = [{"video": f"asl/{name}.mkv"} for name in ("brother", "eat")]
    done = run("extract-skeleton", "-q", "--model", "dots", "--root", root, stdin=clips)
    varies, even = done.records
    assert "times" not in even
    assert len(varies["times"]) == varies["num_frames"] == 65 and varies["times"][:3] == [0.0, 0.067, 0.1]
    assert list(varies)[: len(NEW) + 1] == ["video", *NEW[:-1], "times"] and varies["model"]
