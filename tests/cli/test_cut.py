"""cut through the command line: clips, windows, files, resuming, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import write_film

from mma82cli.video import Video

FPS, COUNT = 10, 120


def segments(video="v.avi", **more):
    spans = [(0.5, 1.5, "Nodding"), (1.2, 2.0, "Waving"), (6.0, 7.25, 7), (7.25, 8.0, "nodding")]
    return [
        {"video": video, "start": a, "end": b, "label": label, "subject": "s1", "duration": 12.0, **more} for a, b, label in spans
    ]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder with a video whose frames all differ."""
    folder = tmp_path_factory.mktemp("films")
    base = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    write_film(folder / "v.avi", (np.roll(base, (i % 48, 3 * i % 64), (0, 1)) for i in range(COUNT)), FPS, "FFV1")
    return folder


def frames(path, start=0.0, end=None):
    video = Video(str(path))
    found = [image for _, image in video.frames(start, end)]
    video.close()
    return found


def test_clips_by_reference(run):
    got = run("cut", stdin=segments(mark=1))
    assert got.code == 0 and got.err == ""
    assert [r["id"] for r in got.records][:3] == ["v.avi#0.500-1.500#6", "v.avi#1.200-2.000#20", "v.avi#6.000-7.250#7"]
    assert [r["label"] for r in got.records] == ["Nodding", "Waving", "Shaking head", "Nodding"]
    assert all(r["mark"] == 1 and r["duration"] == 12.0 for r in got.records)
    nested = {"video": "v.avi", "subject": "s1", "segments": [{"start": 1, "end": 2, "label": 6, "tie": False}]}
    expected = {"id": "v.avi#1.000-2.000#6", "video": "v.avi", "subject": "s1"}
    expected |= {"start": 1, "end": 2, "label": "Nodding", "tie": False}
    assert run("cut", stdin=[nested]).records == [expected]


def test_windows_by_reference(run):
    merged = [{**s, "sources": [{"annotator": "a", "start": s["start"], "end": s["end"]}]} for s in segments()]
    got = run("cut", "--task", "det", stdin=merged)
    assert got.code == 0 and got.err == ""
    first, second = got.records
    assert list(first) == ["id", "video", "start", "end", "subject", "duration", "segments"]
    assert (first["id"], first["start"], first["end"]) == ("v.avi#0.000-4.000", 0.0, 4.0)
    assert (second["start"], second["end"], second["duration"]) == (4.0, 12.0, 8.0)
    assert [(s["start"], s["end"]) for s in second["segments"]] == [(2.0, 3.25), (3.25, 4.0)]
    assert second["segments"][0]["sources"] == merged[2]["sources"]
    assert run("validate", stdin=got.records).out == ""
    clips = run("cut", stdin=merged).records
    again = run("cut", stdin=got.records).records
    assert [r["id"] for r in again] == [r["id"] for r in clips]


def test_videos_in_order_and_limits_told(run):
    mixed = [s for pair in zip(segments("b.mp4"), segments("a.mp4"), strict=True) for s in pair]
    for s in mixed:
        del s["duration"]
    got = run("cut", "--task", "det", "--min", "0.5", "--max", "1.1", stdin=mixed)
    assert list(dict.fromkeys(r["video"] for r in got.records)) == ["b.mp4", "a.mp4"]
    assert "2 videos have no 'duration' (" in got.err and "4 longer than --max" in got.err
    assert sum(len(r["segments"]) for r in got.records) == 8
    full = run("cut", "--task", "det", "--min", "0.5", "--max", "1.1", "--drop-empty", stdin=mixed)
    assert [r for r in got.records if r["segments"]] == full.records and "without a segment" in full.err


def test_a_duration_that_is_missing_comes_from_the_frames(run, film):
    known = segments()
    bare = [{k: v for k, v in s.items() if k != "duration"} for s in known]
    assert "(`mma82 convert --media` adds it)" in run("cut", "--task", "det", stdin=bare).err
    timed = run("convert", "--media", "--root", film, stdin=[*bare, *known])
    assert (timed.code, timed.err, timed.records[:4], timed.records[4:]) == (0, "", known, known)
    window = {"video": "gone.avi", "start": 1.5, "end": 4.0, "segments": [{"start": 0, "end": 1, "label": 3}]}
    whole = {"video": "v.avi", "segments": [{"start": 0, "end": 1, "label": 3}], "duration": None}
    timed = run("convert", "--media", "--root", film, stdin=[window, whole])
    assert timed.records == [window | {"duration": 2.5}, whole | {"duration": 12.0}]
    table = "video,start,end,label\nv.avi,0.5,1.5,Nodding\n"
    read = run("convert", "--from", "csv", "--media", "--root", film, stdin=table)
    assert read.records == [{"video": "v.avi", "start": 0.5, "end": 1.5, "label": "Nodding", "duration": 12.0}]


def test_a_duration_that_no_file_tells(run, film):
    records = [{"video": "none.avi"}, {"video": "v.avi"}, {"id": "x"}]
    stopped = run("convert", "--media", "--root", film, stdin=records)
    assert (stopped.code, stopped.err) == (1, f"mma82 convert: <stdin>:1: {film}/none.avi: No such file or directory\n")
    skipped = run("convert", "--media", "--root", film, "--on-error", "skip", stdin=records)
    assert (skipped.code, skipped.records, len(skipped.err.splitlines())) == (1, [{"video": "v.avi", "duration": 12.0}], 2)
    alone = run("convert", "--from", "list", "--root", film)
    assert alone.code == 2 and "--root is the folder of video files; expected --media" in alone.err


def test_files_hold_the_very_frames(run, film, tmp_path):
    options = ("cut", "--root", film, "--write", tmp_path, "--lossless")
    clips = run(*options, stdin=segments()).records
    for clip, whole in zip(clips, segments(), strict=True):
        got, wanted = frames(tmp_path / clip["video"]), frames(film / "v.avi", whole["start"], whole["end"])
        assert len(got) == clip["num_frames"] == len(wanted) and np.array_equal(got, wanted)
        assert clip["cut_from"] == {k: whole[k] for k in ("video", "start", "end")} and "start" not in clip
    windows = run(*options, "--task", "det", stdin=segments()).records
    for window in windows:
        for s in window["segments"]:
            origin = next(w for w in segments() if w["subject"] == "s1" and abs(_begin(window) + s["start"] - w["start"]) < 0.05)
            wanted = frames(film / "v.avi", origin["start"], origin["end"])
            assert np.array_equal(frames(tmp_path / window["video"], s["start"], s["end"]), wanted)
    assert run("validate", "--media", "--root", tmp_path, stdin=clips + windows).out == ""


def _begin(window):
    return window["cut_from"]["start"]


def test_files_are_not_written_twice(run, film, tmp_path):
    options = ("cut", "--root", film, "--write", tmp_path)
    first = run(*options, stdin=segments()[:2])
    stamp = (tmp_path / first.records[0]["video"]).stat().st_mtime_ns
    with open(tmp_path / "files.jsonl", "ab") as torn:
        torn.write(b'{"file":"v_6.000')
    second = run(*options, stdin=segments())
    assert second.err == "mma82 cut: 2 files were there already; 2 were written\n"
    assert second.records[:2] == first.records and (tmp_path / first.records[0]["video"]).stat().st_mtime_ns == stamp
    assert len((tmp_path / "files.jsonl").read_text().splitlines()) == 4
    assert not list(tmp_path.glob(".*"))
    (tmp_path / second.records[3]["video"]).unlink()
    assert run(*options, stdin=segments()).out == second.out
    assert (tmp_path / second.records[3]["video"]).is_file()


def test_a_file_that_ends_early_is_told_in_its_record(run, film, tmp_path):
    late = {**segments()[0], "start": 11.0, "end": 14.0, "duration": 15}
    for i, (before, kept) in enumerate([({}, []), ({"warnings": "odd"}, ["odd"]), ({"warnings": None}, [])]):
        got = run("cut", "--root", film, "--write", tmp_path / str(i), stdin=[late | before]).records[0]
        assert got["num_frames"] == 10 and got["warnings"][:-1] == kept and "last frame is at 11.9 s" in got["warnings"][-1]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"label": "Flying"}, "<stdin>:2: field 'label' is \"Flying\""),
        ({"end": 13.0}, "<stdin>:2: field 'end' is 13.0; expected a time within the 12 s of the video"),
        ({"end": None}, "<stdin>:2: field 'end' is null"),
        ({"video": ""}, "<stdin>:2: field 'video' is"),
        ({"start": 0.5, "end": 1.5, "label": 6}, "id \"v.avi#0.500-1.500#6\" comes again"),
    ],
)
def test_bad_records(run, change, message):
    rows = segments()
    rows[1] |= change
    got = run("cut", stdin=rows)
    assert got.code == 1 and message in got.err and got.err.count("\n") == 1
    skipped = run("cut", "--on-error", "skip", stdin=rows)
    assert skipped.code == 1 and len(skipped.records) == 3 and json.loads(skipped.err)["line"] == 2


def test_bad_sources(run, film, tmp_path):
    odd = segments()
    odd[2]["duration"] = 13.0
    assert "<stdin>:3: field 'duration' is 13.0; expected 12, as before" in run("cut", "--task", "det", stdin=odd).err
    nested = {"video": "v.avi", "segments": [{"start": 2, "end": 1, "label": 6}]}
    assert "segments[0]: field 'end' is 1" in run("cut", stdin=[nested]).err
    missing = run("cut", "--root", film, "--write", tmp_path, stdin=segments("none.mp4"))
    assert missing.code == 1 and "none.mp4: No such file or directory" in missing.err
    assert run("cut", "--min", "3", "--max", "4", stdin=segments()).code == 2
    assert run("cut", "--lossless", stdin=segments()).code == 2
    assert run("cut", stdin=[]).code == 0
