"""`mma82 diagnose` as its users call it."""

import json

import pytest
from conftest import as_lines

TRUTH = [{"start": 1.0, "end": 3.0, "label": "Nodding"}, {"start": 4, "end": 9, "label": 0}]
FOUND = [{"start": 1.0, "end": 2.9, "label": "nodding", "score": 0.9}, {"start": 4, "end": 9, "label": "Nodding", "score": 0.4}]
VIDEO = {"id": "v1", "duration": 12.5, "split": "test", "segments": TRUTH, "predictions": FOUND}


def with_first(field, **changes):
    """The video with other values in the first entry of a field."""
    return {**VIDEO, field: [{**VIDEO[field][0], **changes}, *VIDEO[field][1:]]}


def test_a_line_a_figure(run):
    result = run("diagnose", "--tiou", "0.5,0.75", stdin=[VIDEO])
    assert (result.code, result.err) == (0, "") and "NaN" not in result.out
    rows = result.records
    assert all(list(x) == ["analysis", "axis", "bucket", "error", "tiou", "value", "n"] for x in rows)
    assert list(dict.fromkeys(x["analysis"] for x in rows)) == [
        "base",
        "false-negative",
        "false-positive",
        "impact",
        "sensitivity",
    ]
    assert {x["axis"] for x in rows if x["analysis"] == "sensitivity"} == {"coverage", "length", "num-instances"}
    assert {x["error"] for x in rows if x["analysis"] == "impact"} == {
        "double", "wrong-label", "localization", "confusion", "background",
    }  # fmt: skip
    figures = {tuple(x[k] for k in ("analysis", "axis", "bucket", "error")) for x in rows}
    assert len(rows) == 3 * len(figures) and {x["tiou"] for x in rows} == {0.5, 0.75, "avg"}
    wrong = [x for x in rows if x["error"] == "wrong-label" and x["bucket"] == "1G-10G"]
    assert [(x["value"], x["n"]) for x in wrong] == [(0.5, 2)] * 3
    null = [x for x in rows if x["value"] is None]
    assert null and all(x["n"] == 0 for x in null)


def test_borders(run):
    def full(borders):
        rows = run("diagnose", "--tiou", "0.5", "--borders", borders, stdin=[VIDEO]).records
        return {(x["axis"], x["bucket"]) for x in rows if x["analysis"] == "sensitivity" and x["n"]}

    coverage = {("coverage", "XS"), ("coverage", "S")}, {("coverage", "XL")}
    length = {("length", "XS"), ("length", "S")}, {("length", "XS")}
    assert full("mma82") == coverage[0] | length[0] | {("num-instances", "S")}
    assert full("activitynet") == coverage[0] | length[1] | {("num-instances", "S")}
    assert full("thumos") == coverage[1] | length[0] | {("num-instances", "S")}


def test_truth_from_another_file(run, tmp_path):
    other = {"id": "v2", "duration": 9, "split": "test", "segments": TRUTH, "predictions": []}
    bare, truth = {"id": "v1", "predictions": FOUND}, tmp_path / "truth.jsonl"
    truth.write_bytes(as_lines({k: v for k, v in r.items() if k != "predictions"} for r in (VIDEO, other)))
    joined = run("diagnose", "--split", "test", "--truth", truth, stdin=[bare])
    assert joined.out == run("diagnose", stdin=[VIDEO, other]).out != ""
    assert joined.err == (
        "mma82 diagnose: 1 of the truth's videos have no record of predictions; their segments count as missed\n"
    )
    strange = run("diagnose", "--truth", truth, stdin=[bare, {"id": "x", "predictions": FOUND}])
    assert '1 video(s) are not in the truth, as "x" (the truth\'s first is "v1")' in strange.err


def test_only_one_split_and_one_record_a_video(run):
    other = {"id": "v2", "split": "train", "segments": TRUTH, "predictions": []}
    both, one = run("diagnose", stdin=[VIDEO, other]), run("diagnose", "--split", "test", stdin=[VIDEO, other])
    assert one.out == run("diagnose", stdin=[VIDEO]).out != both.out
    said = "no 'duration' in 1 of 2 records (`mma82 convert --media` adds it): the lines on coverage are left out"
    assert both.err == f"mma82 diagnose: {said}\n"
    assert "coverage" not in both.out and run("diagnose", "-q", stdin=[other]).err == ""
    again = run("diagnose", stdin=[VIDEO, VIDEO])
    assert again.code == 1 and '<stdin>:2: id "v1" was given before, at <stdin>:1' in again.err


def test_what_is_left_out_is_counted(run):
    odd = {
        "id": "v0", "duration": 5,
        "segments": [{"start": 3, "end": 3, "label": 1}, {"start": 0, "end": 6, "label": 1}, {"start": 0, "end": 2, "label": 5}],
        "predictions": [{"start": 3, "end": 2, "label": 5, "score": 0.1}, {"start": 0, "end": 2, "label": 77, "score": 1}],
    }  # fmt: skip
    result = run("diagnose", stdin=[odd, VIDEO])
    assert result.code == 0 and result.err.splitlines() == [
        "mma82 diagnose: 2 segments do not end after their start: 1 of the truth are left out, 1 predictions count as background",
        "mma82 diagnose: 1 true segments are longer than the 'duration' of their video and are left out",
        "mma82 diagnose: 1 of 4 predictions have a label without truth and are left out",
    ]
    assert result.records[0]["n"] == 3


BAD = [
    (with_first("segments", label="Flying"), "field 'segments[0].label' is \"Flying\"; expected a label of mma82"),
    (with_first("segments", label=True), "field 'segments[0].label' is true"),
    (with_first("predictions", score=None), "field 'predictions[0].score' is null; expected a finite number"),
    (with_first("predictions", start="1"), "field 'predictions[0].start' is \"1\"; expected a finite number"),
    (with_first("predictions", end=True), "field 'predictions[0].end' is true; expected a finite number"),
    ({**VIDEO, "predictions": None}, 'field \'predictions\' is null; expected a list of {start, end, label, score}'),
    ({**VIDEO, "segments": {}}, 'field \'segments\' is {}; expected a list of {start, end, label}'),
    ({**VIDEO, "segments": [[1, 2]]}, "field 'segments[0]' is [1, 2]; expected an object"),
    ({"id": "v1", "segments": TRUTH}, "field 'predictions' is missing; expected a list"),
    ({**VIDEO, "duration": 0}, "field 'duration' is 0; expected a finite number above 0"),
    ({"segments": TRUTH, "predictions": FOUND}, "field 'video' is missing"),
]


@pytest.mark.parametrize(("record", "words"), BAD)
def test_bad_records_are_placed(run, record, words):
    result = run("diagnose", stdin=b"\n" + json.dumps(record).encode())
    assert result.code == 1 and result.out == "" and result.err.count("\n") == 1
    assert result.err.startswith(f"mma82 diagnose: <stdin>:2: {words}")


def test_bad_records_are_skipped_whole(run):
    records = [{**VIDEO, "id": "x", "predictions": [*FOUND, {}]}, VIDEO]
    result = run("diagnose", "--on-error", "skip", stdin=records)
    assert result.code == 1 and result.out == run("diagnose", stdin=[VIDEO]).out
    assert json.loads(result.err)["line"] == 1


def test_nothing_to_diagnose(run):
    nothing = "expected records with 'segments'"
    for options, records, words in (
        ([], [], f"no records; {nothing}"),
        (["--split", "val"], [VIDEO], f"no records of split val; {nothing}"),
        ([], [{**VIDEO, "segments": []}], f"no true segments to compare with; {nothing}"),
    ):
        result = run("diagnose", *options, stdin=records)
        assert (result.code, result.out) == (1, "") and words in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("options", [["--tiou", "2"], ["--tiou", "0.1:0.9"], ["--borders", "wide"], ["--taxonomy", "nosuch"]])
def test_wrong_usage(run, options):
    result = run("diagnose", *options, stdin=[VIDEO])
    assert (result.code, result.out) == (2, "") and "Traceback" not in result.err


def test_figures(run, tmp_path):
    pytest.importorskip("matplotlib")
    plain = run("diagnose", stdin=[VIDEO])
    for folder in ("one", "two/deep"):
        result = run("diagnose", "--plot", tmp_path / folder, stdin=[VIDEO])
        assert (result.code, result.out, result.err) == (0, plain.out, "")
    for name in ("diagnosis.svg", "diagnosis.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / "deep" / name).read_bytes()
    drawn = (tmp_path / "one" / "diagnosis.svg").read_text()
    assert all(f"<!-- {word} -->" in drawn for word in ("wrong-label", "num-instances", "coverage", "Sensitivity", "10G"))
    assert run("diagnose", "--plot", tmp_path / "three", stdin=[{**VIDEO, "duration": None, "predictions": []}]).code == 0
