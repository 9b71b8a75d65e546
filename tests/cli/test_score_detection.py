"""`mma82 suppress`, and `mma82 score` on detections, as their users call them."""

import json
import random

import pytest
from conftest import as_lines

LABELS = [0, "Nodding", 3, 40, 75]


def videos(n=8, **fields):
    """Videos with a few segments each and predictions around them, two of them twice."""
    rng = random.Random(1)
    rows = []
    for v in range(n):
        starts = [rng.uniform(0, 20) for _ in range(3)]
        truth = [{"start": round(s, 3), "end": round(s + 2, 3), "label": rng.choice(LABELS)} for s in starts]
        near = [{**t, "start": t["start"] + rng.gauss(0, 0.3), "score": rng.random()} for t in truth + truth[:2]]
        wild = [{"start": 1.0, "end": 3.0, "label": rng.choice(LABELS), "score": round(rng.random(), 1)} for _ in range(4)]
        extra = {"domain": ["street", "laboratory"][v % 2], "split": ["test", "val"][v % 3 == 0]}
        rows.append({"id": f"v{v}", **extra, "segments": truth, "predictions": near + wild, **fields})
    return rows


def figures(result):
    assert result.code == 0, result.err
    return {(x["tiou"], x["level"]): x["value"] for x in result.records if x["metric"] == "map"}


def test_levels_thresholds_and_signature(run):
    rows = videos()
    result = run("score", stdin=rows)  # the records say what they are
    got = figures(result)
    assert result.out == run("score", "--metric", "map", stdin=rows).out
    assert list(dict.fromkeys(t for t, _ in got)) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, "avg"]
    assert {level for _, level in got} == {"action", "body", "avg"} and {x["n"] for x in result.records} == {24}
    assert got[0.5, "avg"] == pytest.approx((got[0.5, "action"] + got[0.5, "body"]) / 2)
    assert got["avg", "action"] == pytest.approx(sum(got[i / 10, "action"] for i in range(1, 10)) / 9)
    signature = result.records[0]["signature"]
    for part in ("metric:map", "evaluator:opentad", "tiou:0.1:0.9:0.1", "ties:score,id,place", "body:mapped", "version:"):
        assert part in signature
    assert figures(run("score", "--tiou", "0.5,0.7", "--level", "action", stdin=rows)) == {
        (0.5, "action"): got[0.5, "action"], (0.7, "action"): got[0.7, "action"],
        ("avg", "action"): pytest.approx((got[0.5, "action"] + got[0.7, "action"]) / 2),
    }  # fmt: skip
    suppressed = run("score", "--body-suppress", "hard", stdin=rows)
    assert "body:mapped+hard" in suppressed.records[0]["signature"]
    silent = [dict(row, predictions=[]) for row in rows]
    assert set(figures(run("score", "--body-suppress", "hard", stdin=silent)).values()) == {0}
    assert figures(suppressed)[0.5, "action"] == got[0.5, "action"] and figures(suppressed)[0.5, "body"] != got[0.5, "body"]


def test_order_of_records_and_shards_change_nothing(run):
    rows = videos()
    options = ("--by", "domain", "--per-class")
    whole = run("score", *options, stdin=rows).out
    assert whole and run("score", *options, stdin=rows[::-1]).out == whole
    parts = [run("score", "--by", "domain", "--counts", stdin=rows[i::3]).out for i in (2, 0, 1)]
    again = run("score", "--by", "domain", "--counts", stdin="".join(parts[:2])).out  # counts of counts
    assert run("score", *options, stdin=again + parts[2]).out == whole
    other = run("score", "--by", "domain", "--evaluator", "mac", stdin="".join(parts))
    assert other.code == 1 and other.out == "" and "<stdin>:1: counted with" in other.err
    twice = run("score", "--by", "domain", stdin=parts[0] + parts[0])
    assert twice.code == 1 and "was counted twice" in twice.err


def test_groups_are_the_videos_of_a_value(run):
    rows = videos()
    result = run("score", "--by", "domain", "--split", "test", "--metric", "map", stdin=rows)
    for domain in ("laboratory", "street"):
        part = [r for r in rows if r["domain"] == domain and r["split"] == "test"]
        alone = figures(run("score", "--metric", "map", stdin=part))
        assert alone and alone == {(x["tiou"], x["level"]): x["value"] for x in result.records if x["domain"] == domain}


def test_absent_labels_are_null_and_no_part_of_the_mean(run):
    rows = videos()
    rows[0]["predictions"].append({"start": 0, "end": 1, "label": 81, "score": 1.0})
    result = run("score", "--per-class", "--level", "action", stdin=rows)
    assert "1 prediction(s) of labels that the truth does not have" in result.err and "NaN" not in result.out
    classes = [x for x in result.records if x["metric"] == "ap" and x["tiou"] == 0.5]
    assert len(classes) == 82 and all((x["value"] is None) == (x["support"] == 0) for x in classes)
    present = [x["value"] for x in classes if x["support"]]
    assert figures(result)[0.5, "action"] == pytest.approx(sum(present) / len(present))
    rows = videos(2)
    rows[1]["segments"] = []
    result = run("score", "--by", "domain", stdin=rows)
    assert {x["value"] for x in result.records if x["domain"] == "laboratory"} == {None} and "null" in result.err


def test_truth_from_another_file(run, tmp_path):
    rows = videos()
    whole = run("score", "--by", "domain", stdin=rows)
    bare = [{"id": r["id"], "predictions": r["predictions"]} for r in rows]
    nested = [{k: v for k, v in r.items() if k != "predictions"} for r in rows]
    single = [{"video": r["id"], "domain": r["domain"], **s} for r in rows for s in r["segments"]]
    for truth in (nested, single):
        (tmp_path / "truth.jsonl").write_bytes(as_lines(truth))
        assert run("score", "--metric", "map", "--by", "domain", "--truth", tmp_path / "truth.jsonl", stdin=bare).out == whole.out
    strange = {"id": "x", "predictions": bare[0]["predictions"]}
    lost = run("score", "--truth", tmp_path / "truth.jsonl", stdin=[*bare[1:], strange])
    assert lost.code == 0 and "1 of the truth's videos have no" in lost.err
    assert '1 video(s) are not in the truth, as "x" (the truth\'s first is ' in lost.err
    assert {x["n"] for x in lost.records} == {24}
    (tmp_path / "truth.jsonl").write_bytes(as_lines([*single[:2], dict(single[2], label="Flying")]))
    bad = run("score", "--metric", "map", "--truth", tmp_path / "truth.jsonl", stdin=bare)
    assert bad.code == 1 and 'truth.jsonl:3: field \'segments[0].label\' is "Flying"' in bad.err


FAULTS = [
    ({"label": "Flying"}, "field 'predictions[1].label' is \"Flying\""),
    ({"score": None}, "field 'predictions[1].score' is null; expected a finite number"),
    ({"score": True}, "field 'predictions[1].score' is true"),
    ({"start": "1"}, "field 'predictions[1].start' is \"1\""),
    ({"label": 82}, "field 'predictions[1].label' is 82; expected a label of mma82"),
    ({"label": 1.0}, "field 'predictions[1].label' is 1.0"),
]


@pytest.mark.parametrize("command", [("score", "--metric", "map"), ("suppress",)])
@pytest.mark.parametrize("fault,message", FAULTS)
def test_bad_predictions_are_named(run, command, fault, message):
    rows = videos(3)
    good = run(*command, stdin=[rows[0], rows[2]])
    rows[1]["predictions"][1].update(fault)
    result = run(*command, stdin=rows)
    assert result.code == 1 and result.err.count("\n") == 1 and f"<stdin>:2: {message}" in result.err
    skipped = run(*command, "--on-error", "skip", "-q", stdin=rows)
    assert skipped.code == 1 and skipped.out == good.out
    assert json.loads(skipped.err.splitlines()[0])["line"] == 2


def test_what_is_missing_is_named(run):
    for row, message in [
        ({"id": "a", "segments": []}, "field 'predictions' is missing; expected a list of"),
        ({"id": "a", "predictions": []}, "field 'segments' is missing; expected a list of"),
        ({"id": "a", "segments": [], "predictions": [3]}, "field 'predictions[0]' is 3; expected an object"),
        ({"segments": [], "predictions": []}, "field 'video'"),
    ]:
        result = run("score", "--metric", "map", stdin=[row])
        assert result.code == 1 and result.out == "" and f"<stdin>:1: {message}" in result.err
    truth_alone = run("score", stdin=[{"id": "a", "segments": []}])
    assert truth_alone.code == 1 and "field 'predictions' is missing" in truth_alone.err
    again = run("score", stdin=videos(2) + videos(1))
    assert again.code == 1 and '<stdin>:3: id "v0" was given before, at <stdin>:1' in again.err
    assert "no detections" in run("score", "--metric", "map").err
    assert "no segments in the truth" in run("score", stdin=[dict(r, segments=[]) for r in videos(2)]).err


WRONG = [["--confusion"], ["--items"], ["--tiou", "0"], ["--ci", "9", "--mean-over", "domain"], ["--compare", "x", "--counts"]]


@pytest.mark.parametrize("options", WRONG)
def test_what_map_does_not_do_is_wrong_usage(run, options):
    result = run("score", "--metric", "map", *options, stdin=videos(2))
    assert result.code == 2 and result.out == "" and result.err.count("\n") == 1


def test_intervals_are_of_videos_drawn_again(run):
    rows = [dict(r, subject=f"s{i // 2}") for i, r in enumerate(videos(12))]
    result = run("score", "--ci", 300, "--tiou", "0.3,0.6", stdin=rows)
    assert result.out == run("score", "--ci", 300, "--tiou", "0.3,0.6", stdin=rows[::-1]).out
    assert "bootstrap:300|cluster:video|interval:centred|seed:0" in result.records[0]["signature"]
    for line in result.records:
        low, high = line["ci"]
        assert 0 <= low < line["value"] < high <= 1
    rare = [dict(r, segments=[{**r["segments"][0], "label": i}], predictions=r["predictions"] + [
        {**r["segments"][0], "label": i, "score": 0.2}]) for i, r in enumerate(videos(30))]  # fmt: skip
    for line in run("score", "--ci", 200, "--level", "action", stdin=rare).records:
        assert line["ci"][0] < line["value"] < line["ci"][1]
    by_counts = run("score", "--tiou", "0.3,0.6", "--counts", stdin=rows).out
    assert run("score", "--ci", 300, "--tiou", "0.3,0.6", stdin=by_counts).out == result.out
    subjects = run("score", "--ci", 300, "--tiou", "0.3,0.6", "--cluster", "subject", stdin=rows)
    assert [x["value"] for x in subjects.records] == [x["value"] for x in result.records] and subjects.out != result.out
    refused = run("score", "--ci", 9, "--tiou", "0.3,0.6", "--cluster", "subject", stdin=by_counts)
    assert refused.code == 1 and "<stdin>:1: counts do not say their subject" in refused.err
    alone = run("score", "--ci", 9, "--cluster", "subject", stdin=[dict(r, subject="s") for r in rows])
    assert {x["ci"] for x in alone.records} == {None} and "no interval" in alone.err


def test_detectors_are_compared_video_by_video(run, tmp_path):
    rows = videos(10)
    (tmp_path / "same").write_bytes(as_lines(rows[::-1]))
    for line in run("score", "--compare", tmp_path / "same", "--by", "domain", stdin=rows).records:
        assert (line["delta"], line["p"], line["delta_ci"]) == (0, 1, [0, 0])
    late = [{**p, "start": p["start"] + 1.5, "end": p["end"] + 1.5} for r in rows for p in r["predictions"]]
    size = len(rows[0]["predictions"])
    worse = [dict(r, predictions=late[i * size : (i + 1) * size]) for i, r in enumerate(rows)]
    (tmp_path / "worse").write_bytes(as_lines(worse))
    options = ("--tiou", "0.5", "--level", "action")
    line = run("score", *options, "--compare", tmp_path / "worse", stdin=rows).records[0]
    assert line["other"] == run("score", *options, stdin=worse).records[0]["value"]
    assert line["delta"] == line["value"] - line["other"] > 0 and line["p"] < 0.01 and line["delta_ci"][0] > 0
    lost = run("score", "--compare", tmp_path / "same", stdin=rows[1:])
    assert lost.code == 1 and "differ in their videos: 1 only in the other, such as \"v0\"" in lost.err


def test_records_with_both_are_scored_as_both(run):
    rows = [dict(r, label=3, scores=[0.0, 0.1, 0.2, 0.3 + i % 2, 0.4] + [0.0] * 77) for i, r in enumerate(videos(6))]
    both = run("score", "--by", "domain", stdin=rows)
    named = (["--metric", "map"], ["--metric", "top1", "--metric", "mca"])
    apart = [run("score", "--by", "domain", *metrics, stdin=rows) for metrics in named]
    kinds = [[x for x in both.records if (x["metric"] == "map") == is_map] for is_map in (True, False)]
    assert kinds[0] == apart[0].records and [x for x in kinds[1] if x["metric"] in ("top1", "mca")] == apart[1].records
    shards = "".join(run("score", "--by", "domain", "--counts", stdin=rows[i::2]).out for i in range(2))
    assert run("score", "--by", "domain", stdin=shards).out == both.out
    named = run("score", "--metric", "map", "--metric", "top1", "--format", "plain", stdin=rows).out.split()
    assert len(named) == 2 + 30
    for missing, message in (("predictions", "field 'predictions' is missing"), ("scores", "field 'scores' is missing")):
        broken = [*rows[:3], {k: v for k, v in rows[3].items() if k != missing}]
        bad = run("score", stdin=broken)
        assert bad.code == 1 and bad.out == "" and f"<stdin>:4: {message}" in bad.err
        skipped = run("score", "--on-error", "skip", stdin=broken)
        assert skipped.out == run("score", stdin=rows[:3]).out and skipped.err.count("<stdin>:4") == 1


def test_empty_segments_are_counted_once(run):
    rows = videos(2)
    rows[0]["predictions"][0].update(start=5, end=5)
    rows[1]["predictions"][0].update(start=5, end=4)
    rows[1]["segments"][0].update(end=0)
    scored, left = run("score", stdin=rows), run("suppress", stdin=rows)
    assert "2 prediction(s) with end <= start; nothing" in scored.err and "1 segment(s) with end <= start; left out" in scored.err
    assert {x["n"] for x in scored.records} == {5}
    assert left.err == "mma82 suppress: 2 prediction(s) with end <= start; they overlap nothing and keep their scores\n"


def test_tables(run):
    rows = videos()
    table = run("score", "--format", "table", stdin=rows).out.splitlines()
    assert [line.split()[-5:] for line in table[:2]] == [table[0].split(), ["tIoU", "Body", "Action", "Both", "Instances"]]
    assert " mAP " in table[0] and max(map(len, table)) <= 80
    assert len([line for line in table if line.strip().endswith(" 24")]) == 10
    groups = run("score", "--by", "domain", "--per-class", "--tiou", "0.5", "--format", "tsv", stdin=rows).out.splitlines()
    assert groups[0] == "Domain\tmAP Body\tmAP Action\tmAP Both\tInstances" and groups[1].startswith("laboratory\t")
    runs = [dict(r, run=i) for i in range(3) for r in (rows[i:] + rows[:i])]
    spread = run("score", "--mean-over", "run", "--tiou", "0.5", "--format", "markdown", stdin=runs)
    assert spread.out.splitlines()[0].endswith("| Instances of all runs |")
    assert spread.code == 0 and "| Action | mAP 0.5 |" in spread.out and "| Both | mAP Average |" in spread.out


def test_files_are_runs_of_a_detector(run, tmp_path):
    rows = videos()
    runs = [rows, [dict(r, predictions=r["predictions"][::2]) for r in rows]]
    for k, part in enumerate(runs):
        (tmp_path / f"seed{k}").write_bytes(as_lines(part))
    got = run("score", "--mean-over", "file", "seed0", "seed1", cwd=tmp_path)
    assert got.out and got.out == run("score", "--mean-over", "run", stdin=[dict(r, run=k) for k in (0, 1) for r in runs[k]]).out


def test_suppress_keeps_what_it_does_not_know(run):
    row = {"id": "v", "predictions": [
        {"start": 0, "end": 2, "label": "nodding", "score": 0.5, "note": "é"},
        {"start": 0, "end": 2, "score": 0.9, "label": "Nodding", "zeta": [1]},
        {"start": 0.5, "end": 2.5, "label": 5, "score": 0.4},
    ], "rest": None}  # fmt: skip
    result = run("suppress", stdin=[row])
    kept = result.records[0]
    assert list(kept) == ["id", "predictions", "rest"] and [p["score"] for p in kept["predictions"][:2]] == [0.9, 0.4]
    assert kept["predictions"][0] == row["predictions"][1] and kept["predictions"][2]["note"] == "é"
    assert kept["predictions"][2]["score"] == pytest.approx(0.5 * 2.718281828459045**-2, rel=1e-4)
    hard = run("suppress", "--method", "hard", "--vote", "0.5", "--topk", "1", stdin=[row]).records[0]["predictions"]
    assert len(hard) == 1 and hard[0]["start"] == 0 and hard[0]["zeta"] == [1]
    agnostic = run("suppress", "--class-agnostic", "--method", "hard", "--iou", "0.5", stdin=[row])
    assert agnostic.records[0]["predictions"] == [kept["predictions"][0]]
    assert run("suppress", stdin=[{"id": "v", "predictions": []}]).records == [{"id": "v", "predictions": []}]
    assert run("suppress").out == "" and run("suppress", "--sigma", "0").code == 2
    negative = run("suppress", stdin=[{"predictions": [{"start": 0, "end": 1, "label": 0, "score": -1}]}])
    assert negative.code == 1 and "<stdin>:1: a prediction's score is -1" in negative.err
