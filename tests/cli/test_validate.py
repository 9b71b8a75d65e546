"""`mma82 validate`: every fault with its line, and silence where there is none."""

import json

import pytest
from conftest import as_lines, write_film

GOOD = {"video": "a.mp4", "start": 1.0, "end": 2.0, "label": "Nodding", "annotator": "a1", "duration": 10.0}
JOINTS = {"id": "k", "layout": "coco17", "keypoints": [[1.0, 2.0, 0.5] * 17, None], "num_frames": 2}

ALONE = [
    ({**GOOD, "end": 1.0}, "end", "end-not-after-start"),
    ({**GOOD, "end": 0.5}, "end", "end-not-after-start"),
    ({**GOOD, "end": 10.5}, "end", "beyond-duration"),
    ({**GOOD, "start": 11, "end": 12}, "start", "beyond-duration"),
    ({**GOOD, "start": -1}, "start", "negative-time"),
    ({**GOOD, "start": "1"}, "start", "wrong-type"),
    ({"video": "a.mp4", "start": 1.0}, "end", "missing"),
    ({"label": "Nodding"}, "video", "missing"),
    ({**GOOD, "label": "none"}, "label", "unknown-label"),
    ({**GOOD, "label": 82}, "label", "unknown-label"),
    ({**GOOD, "subject": 3}, "subject", "wrong-type"),
    ({**GOOD, "split": "dev"}, "split", "unknown-split"),
    ({"id": "a", "emotion": "bored"}, "emotion", "unknown-label"),
    ({"id": "a", "actions": ["Nodding", "x"]}, "actions[1]", "unknown-label"),
    ({"id": "a", "fps": 30, "num_frames": 300, "duration": 12.0}, "fps", "fps-mismatch"),
    ({"id": "a", "fps": 0}, "fps", "wrong-type"),
    ({"id": "a", "num_frames": 2.5}, "num_frames", "wrong-type"),
    ({"id": "a", "scores": [0.5]}, "scores", "malformed-scores"),
    ({"id": "a", "box": [3, 0, 1, 2]}, "box", "malformed-box"),
    ({**JOINTS, "keypoints": [[1, 2, 0.5]]}, "keypoints", "malformed-keypoints"),
    ({**JOINTS, "keypoints": [[1, 2, 1.5] * 17]}, "keypoints", "malformed-keypoints"),
    ({**JOINTS, "keypoints": [[1, "x", 0.5] * 17]}, "keypoints", "malformed-keypoints"),
    ({**JOINTS, "num_frames": 1}, "keypoints", "frames-mismatch"),
    ({**JOINTS, "layout": "nope"}, "layout", "unknown-layout"),
    ({"id": "a", "segments": [{"start": 2, "end": 1, "label": 3}]}, "segments[0].end", "end-not-after-start"),
    ({"id": "a", "segments": [{"start": 0, "end": 1, "label": 3}] * 2}, "segments[1]", "duplicate-segment"),
    ({"id": "a", "predictions": [{"start": 0, "end": 1, "label": 3}]}, "predictions[0].score", "wrong-type"),
]


def test_faults_of_a_record_alone(run):
    records = [record for record, _, _ in ALONE]
    found = {}
    for part in range(2):  # in two calls, lest the records make faults with each other
        some = [{**r, "video": f"v{i}"} if "video" in r else r for i, r in enumerate(records)]
        some = [{**r, "id": f"c{i}"} if "id" in r else r for i, r in enumerate(some)]
        result = run("validate", stdin=b"\n" * part + as_lines(some))
        assert result.code == 1
        found[part] = [(r["line"] - part, r["field"], r["fault"]) for r in result.records]
        assert all(r["file"] == "<stdin>" and r["message"] for r in result.records)
    assert found[0] == found[1] == [(i, field, fault) for i, (_, field, fault) in enumerate(ALONE, 1)]
    assert f"{len(ALONE)} faults in {len(ALONE)} of {len(ALONE)} records: " in result.err and result.err.count("\n") == 1


BESIDE = [
    ([GOOD, GOOD], None, "duplicate-line"),
    ([{"id": "a"}, {"id": "a", "label": 3}], "id", "duplicate-id"),
    ([{**GOOD, "annotator": None}, {**GOOD, "annotator": None, "label": "nodding"}], "id", "duplicate-id"),
    ([GOOD, {**GOOD, "start": 1.5, "end": 3, "label": "nodding"}], "start", "overlap"),
    ([{"id": "a", "subject": "s", "domain": "street"}, {"id": "b", "subject": "s", "domain": "lab"}], "domain", "two-domains"),
]


@pytest.mark.parametrize(("records", "field", "fault"), BESIDE)
def test_faults_of_records_beside_each_other(run, tmp_path, records, field, fault):
    records = [{k: v for k, v in r.items() if v is not None} for r in records]
    (tmp_path / "a").write_bytes(b"\n" + as_lines(records[:1]))
    (tmp_path / "b").write_bytes(b"\n\n" + as_lines(records[1:]))
    result = run("validate", tmp_path / "a", tmp_path / "b")
    (found,) = result.records
    assert (result.code, found["file"], found["line"]) == (1, str(tmp_path / "b"), 3)
    assert (found["field"], found["fault"]) == (field, fault) and f"{tmp_path / 'a'}:2" in found["message"]


def test_broken_lines_are_faults_with_their_column(run):
    result = run("validate", stdin=b'{"id":"a"}\n\n{bad\n[1]\n{"id":"\xff"}\n')
    assert [(r["line"], r["fault"]) for r in result.records] == [(3, "broken-json"), (4, "broken-json"), (5, "broken-json")]
    assert result.records[0]["message"].startswith("column 2: ") and result.code == 1


def test_nothing_is_said_where_nothing_is_wrong(run):
    touching = {**GOOD, "start": 2.0, "end": 3.0}
    other = [{**GOOD, "annotator": "a2"}, {**GOOD, "label": 3}, {**GOOD, "video": "b.mp4"}, touching]
    runs = [{"id": "a", "run": 0}, {"id": "a", "run": 1}]
    rates = [{"id": "r", "fps": 29.97, "num_frames": 300, "duration": 10.0}]
    clip = {"id": "s", "video": "a.mp4", "start": 1.0, "end": 2.0, "duration": 10.0, "fps": 30, "num_frames": 30}
    result = run("validate", stdin=[GOOD, *other, *runs, *rates, clip, JOINTS, {"id": "p", "predictions": []}])
    assert (result.code, result.out, result.err) == (0, "", "")
    assert run("validate", stdin=b"").code == 0
    made = run("synth", "--kind", "skeleton", "--clips", "6", "--classes", "2", "--subjects", "4")
    assert run("validate", stdin=made.out).code == 0


def test_media_are_opened_once_and_judged(run, tmp_path):
    import numpy as np

    write_film(tmp_path / "good.avi", [np.zeros((32, 32, 3), np.uint8)] * 50, 25, "MJPG")
    (tmp_path / "bad.avi").write_bytes(b"no video")
    records = [
        {"video": "good.avi", "start": 0, "end": 2},
        {"video": "good.avi", "start": 0, "end": 3},
        {"id": "f", "video": "good.avi", "fps": 30},
        {"id": "b", "video": "bad.avi"},
        {"id": "m", "video": "none.avi"},
        {"id": "n", "video": "good"},
    ]
    result = run("validate", "--media", "--root", tmp_path, stdin=records)
    found = [(r["line"], r["field"], r["fault"]) for r in result.records]
    assert found == [
        (2, "end", "beyond-duration"), (3, "fps", "fps-mismatch"), (4, "video", "unreadable-file"), (5, "video", "missing-file"),
        (6, "video", "missing-file"),
    ]  # fmt: skip
    assert result.records[-1]["message"] == f"{tmp_path}/good: No such file or directory; there is good.avi"
    assert run("validate", stdin=records).code == 0


def index_first(film: bytes) -> bytes:
    """An mp4 file of OpenCV's with its index before its pictures, as `-movflags faststart` writes it."""
    at, boxes = 0, {}
    while at < len(film):
        length = int.from_bytes(film[at : at + 4], "big")
        boxes[film[at + 4 : at + 8]] = film[at : at + length]
        at += length
    index = bytearray(boxes.pop(b"moov"))
    place = index.index(b"stco") + 8
    for i in range(int.from_bytes(index[place : place + 4], "big")):
        offset = slice(place + 4 + 4 * i, place + 8 + 4 * i)
        index[offset] = (int.from_bytes(index[offset], "big") + len(index)).to_bytes(4, "big")
    return b"".join([boxes.pop(b"ftyp"), index, *boxes.values()])


def test_media_that_are_cut_off_are_told_though_they_open(run, tmp_path):
    import numpy as np

    film = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)
    for name, letters in (("last.mp4", "mp4v"), ("film.mkv", "mp4v"), ("film.avi", "MJPG")):
        write_film(tmp_path / name, film, letters=letters)
    (tmp_path / "first.mp4").write_bytes(index_first((tmp_path / "last.mp4").read_bytes()))
    whole = [{"video": name} for name in ("last.mp4", "film.mkv", "first.mp4", "film.avi")]
    (tmp_path / "tail.mp4").write_bytes((tmp_path / "first.mp4").read_bytes() + b"what a camera adds to it")
    result = run("validate", "--media", "--root", tmp_path, stdin=[*whole, {"video": "tail.mp4"}])
    assert (result.code, result.out) == (0, "")
    for record in whole:
        path = tmp_path / record["video"]
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = run("validate", "--media", "--root", tmp_path, stdin=whole)
    assert [r["fault"] for r in result.records] == ["unreadable-file"] + 3 * ["truncated-file"]
    seen = run("extract-skeleton", "--model", "dots", "--jobs", 1, "--root", tmp_path, stdin=whole[2:3]).records[0]
    assert result.records[2]["message"] == f"{tmp_path}/first.mp4: {seen['warnings'][0]}; expected a whole file"


def test_faults_leave_while_input_is_still_open():
    import subprocess

    from conftest import ROOT

    process = subprocess.Popen([str(ROOT / "bin" / "mma82"), "validate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"[]\n")
    process.stdin.flush()
    first = process.stdout.readline()  # hangs, and so fails, if nothing leaves before the end
    process.stdin.close()
    assert json.loads(first)["fault"] == "broken-json" and process.wait() == 1
