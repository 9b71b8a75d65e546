"""`mma82 synth` as a user calls it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def videos(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_skeletons_are_whole_records(run):
    done = run("synth", "--clips", 12, "--classes", 5)
    assert done.code == 0 and done.err == ""
    records = done.records
    assert len(records) == 12 == len({r["id"] for r in records}) and len({r["label"] for r in records}) <= 5
    assert list(records[0]) == ["id", "subject", "domain", "label", "fps", "width", "height", "duration", "num_frames", "layout",
                                "keypoints"]  # fmt: skip
    for r in records:
        assert len(r["keypoints"]) == r["num_frames"] and r["layout"] == "coco17"
        for frame in r["keypoints"]:
            assert frame is None or (len(frame) == 51 and all(0 < s < 1 for s in frame[2::3]))
    assert {r["domain"] for r in records} == {"laboratory", "psychiatric", "street", "television"}


def test_same_bytes_whatever_the_process(run):
    one = run("synth", "--clips", 10, "--jobs", 1, env={"PYTHONHASHSEED": "1"})
    two = run("synth", "--clips", 10, "--jobs", 2, env={"PYTHONHASHSEED": "2"})
    assert one.out == two.out and one.out
    assert run("synth", "--clips", 10, "--seed", 1).out != one.out


def test_rendering_is_the_same_with_one_process_and_two(run, tmp_path):
    args = ("synth", "--kind", "annotations", "--clips", 3, "--subjects", 2, "--classes", 2, "--domains", "laboratory,street")
    one = run(*args, "--videos", tmp_path / "a", "--jobs", 1)
    two = run(*args, "--videos", tmp_path / "b", "--jobs", 2)
    assert one.code == two.code == 0 and one.out == two.out
    assert videos(tmp_path / "a") == videos(tmp_path / "b")
    assert {r["video"] for r in one.records} == set(videos(tmp_path / "a"))
    assert run(*args).out == one.out  # and without rendering


def test_annotations_can_be_merged(run):
    done = run("synth", "--kind", "annotations", "--clips", 30, "--classes", 8)
    names = [r["video"] for r in done.records]
    assert names == sorted(names, key=list(dict.fromkeys(names)).index)  # a video's lines are neighbours
    assert {r["annotator"] for r in done.records} == {"A1", "A2", "A3"}
    merged = run("merge-annotations", "--min-annotators", 2, "--grouped", stdin=done.out)
    assert merged.code == 0 and 26 <= len(merged.records) <= 34
    assert all(r["subject"] and r["domain"] and r["duration"] > r["end"] - 1e-9 for r in merged.records)


def test_detection_videos_overlap(run, tmp_path):
    records = run("synth", "--kind", "detection", "--clips", 12).records
    assert len(records) == 12
    spans = [r["segments"] for r in records]
    assert any(b["start"] < a["end"] for s in spans for a, b in zip(s, s[1:], strict=False))
    assert all(0 <= a["start"] < a["end"] <= r["duration"] for r in records for a in r["segments"])
    assert all(len(r["keypoints"]) == r["num_frames"] for r in records)
    rendered = run("synth", "--kind", "detection", "--clips", 1, "--videos", tmp_path).records
    assert "keypoints" not in rendered[0] and (tmp_path / rendered[0]["video"]).is_file()


def test_emotion_clips_follow_the_figure(run):
    records = run("synth", "--kind", "emotion").records
    assert set(Counter(r["emotion"] for r in records).values()) == {100} and len(records) == 800
    share = {e: sum("Nodding" in r["actions"] for r in records if r["emotion"] == e) for e in ("happy", "anger")}
    assert share["happy"] > 1.5 * share["anger"]
    assert all(len(r["face"]["labels"]) == len(r["face"]["logits"]) == 7 for r in records)


def test_emotion_clips_can_be_seen(run, tmp_path):
    told = run("synth", "--kind", "emotion", "--clips", 2).records
    seen = run("synth", "--kind", "emotion", "--clips", 2, "--videos", tmp_path).records
    for one, other in zip(told, seen, strict=True):
        assert one.items() <= other.items() and (tmp_path / other["video"]).is_file()
        assert other["duration"] > len(one["actions"])


def test_a_rendered_clip_goes_through_the_extractor(run, tmp_path):
    made = run("synth", "--kind", "video", "--clips", 1, "--classes", 1, "--videos", tmp_path)
    assert made.code == 0
    done = run("extract-skeleton", "--model", "dots", "--root", tmp_path, stdin=made.out)
    assert done.code == 0, done.err
    (record,) = done.records
    assert len(record["keypoints"]) == record["num_frames"] == made.records[0]["num_frames"]
    assert all(frame is not None and max(frame[2::3]) > 0.8 for frame in record["keypoints"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--clips", 0), "--clips is 0; expected at least 1"),
        (("--subjects", -1), "--subjects is -1; expected at least 1"),
        (("--classes", 83), "--classes is 83; expected 1 to 82"),
        (("--seed", -1), "--seed is -1; expected at least 0"),
        (("--jobs", 0), "--jobs is 0; expected at least 1"),
        (("--domains", "laboratory,moon"), "--domains has 'moon'; expected of laboratory, psychiatric, street, television"),
        (("--kind", "video"), "--kind video needs --videos DIR"),
        (("--videos", "x"), "--kind skeleton renders nothing"),
        (("--kind", "cartoon"), "cartoon"),
        (("--clips", "many"), "'--clips'"),
    ],
)
def test_wrong_options_are_one_line(run, options, said):
    done = run("synth", *options)
    assert done.code == 2 and done.out == "" and said in done.err and done.err.count("\n") == 1


def test_the_smallest_of_everything(run, tmp_path):
    for kind in ("skeleton", "annotations", "detection", "emotion"):
        done = run("synth", "-q", "--kind", kind, "--clips", 1, "--subjects", 1, "--classes", 1, "--domains", "street")
        assert done.code == 0 and done.err == "" and len(done.records) >= 1, kind
    done = run("synth", "--clips", 2, "--subjects", 1)
    assert {r["domain"] for r in done.records} == {"laboratory"} and "only laboratory" in done.err


def test_a_folder_that_cannot_be_written_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("synth", "-q", "--kind", "video", "--clips", 1, "--videos", tmp_path / "file")
    assert done.code == 2 and done.err.count("\n") == 1 and "file" in done.err


@pytest.mark.parametrize(("end", "whom"), [("SIGTERM", "the command"), ("SIGTERM", "all its processes"), ("SIGHUP", "all")])
def test_stopped_halfway_it_leaves_whole_videos_alone(run, tmp_path, end, whom):
    command = [ROOT / "bin" / "mma82", "synth", "--kind", "annotations", "--clips", "400", "--videos", tmp_path, "--jobs", "2"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    running = subprocess.Popen(list(map(str, command)), **pipes, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("[!.]*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.05)
    (os.kill if whom == "the command" else os.killpg)(running.pid, getattr(signal, end))
    assert running.wait(60) == 128 + getattr(signal, end) and running.stderr.read() == b""
    assert list(tmp_path.iterdir()) and not list(tmp_path.glob(".*"))
