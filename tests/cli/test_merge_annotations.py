"""merge-annotations through the command line: streams, conflicts, bad input."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import ROOT


def line(annotator, start, end, label="Nodding", video="v1", **more):
    return {"video": video, "start": start, "end": end, "label": label, "annotator": annotator, **more}


THREE = [line("a1", 1.0, 2.0), line("a2", 1.1, 2.1), line("a3", 1.05, 2.2)]


def test_fields_order_and_sources(run):
    rows = [dict(row, subject="s1", note=row["annotator"], duration=9.5) for row in THREE]
    rows.append(line("a1", 0.5, 0.9, "shaking head", subject="s1"))
    result = run("merge-annotations", stdin=rows)
    assert result.code == 0 and result.err == ""
    first, second = result.records
    assert (first["label"], first["status"], first["agreement"], first["tie"]) == ("Shaking head", "single", None, False)
    assert second["annotators"] == ["a1", "a2", "a3"] and second["status"] == "agreed"
    assert list(second)[:6] == ["video", "start", "end", "label", "subject", "duration"] and "note" not in second
    assert second["sources"][1] == {"annotator": "a2", "start": 1.1, "end": 2.1, "note": "a2"}
    assert (second["start"], second["end"]) == (1.05, 2.2)  # a2 and a3 agree most
    assert second["agreement"] == pytest.approx((0.9 / 1.1 + 0.95 / 1.2 + 1.0 / 1.15) / 3)


def test_rules(run):
    rows = [line("a1", 0, 4), line("a2", 3, 7), line("a3", 20, 21)]
    spans = {
        rule: [(x["start"], x["end"]) for x in run("merge-annotations", "--rule", rule, stdin=rows[:2]).records]
        for rule in ("paper", "epic", "median")
    }
    assert spans == {"paper": [(3.0, 7.0)], "epic": [(0.0, 4.0)], "median": [(1.5, 5.5)]}
    above = run("merge-annotations", "--threshold", "0.14", stdin=rows[:2]).records[0]
    assert (above["start"], above["end"], above["tie"]) == (0.0, 7.0, True)


def test_minimum_is_strict_to_the_microsecond(run):
    rows = [line("a1", 0.3, 0.5, video="exact"), line("a1", 0.3, 0.500001, video="longer")]
    result = run("merge-annotations", stdin=rows)
    assert result.code == 0 and [x["video"] for x in result.records] == ["longer"]
    assert result.err.count("\n") == 1 and "<stdin>:1" in result.err and "0.2 s" in result.err
    assert run("merge-annotations", "-q", stdin=rows).err == ""


CONFLICT = [line("a1", 1, 2), line("a2", 1, 2), line("a3", 1, 2.1, "Shaking head")]


@pytest.mark.parametrize(
    "rows,options,labels,status",
    [
        (CONFLICT, [], ["Nodding"], "agreed"),
        (CONFLICT, ["--senior", "a3"], ["Shaking head"], "agreed"),
        (CONFLICT[1:], [], ["Nodding", "Shaking head"], "conflict"),
        (CONFLICT[1:], ["--senior", "a2"], ["Nodding"], "agreed"),
        ([dict(row, instance="i") for row in CONFLICT], [], ["Nodding"], "agreed"),
        ([dict(row, instance="i") for row in CONFLICT[1:]], [], ["Nodding", "Shaking head"], "conflict"),
    ],
)
def test_conflicts(run, rows, options, labels, status):
    result = run("merge-annotations", *options, stdin=rows)
    assert [x["label"] for x in result.records] == labels
    assert {x["status"] for x in result.records} == {status}
    assert sum(len(x["sources"]) for x in result.records) == len(rows)


def test_two_actions_of_one_annotator_are_no_conflict(run):
    rows = [line("a1", 1, 2), line("a1", 1, 2, "Shaking head"), line("a2", 1, 2)]
    assert {x["label"]: x["status"] for x in run("merge-annotations", stdin=rows).records} == {
        "Nodding": "agreed",
        "Shaking head": "single",
    }


def test_min_annotators(run):
    rows = [*THREE, line("a2", 8, 9)]
    result = run("merge-annotations", "--min-annotators", "2", stdin=rows)
    assert len(result.records) == 1 and "left out 1 instance" in result.err
    kept = run("merge-annotations", "--min-annotators", "2", "--senior", "a2", stdin=rows)
    assert [x["status"] for x in kept.records] == ["agreed", "agreed"]


def test_annotators_who_meet_nobody_are_named(run):
    apart = run("merge-annotations", stdin=[*THREE[:2], line("a3", 1, 2, video="x-v1"), line("a4", 1, 2, video="v2")])
    told = "no video of a3, a4 has annotations of anybody else; are the videos named alike?"
    assert apart.code == 0 and apart.err == f"mma82 merge-annotations: {told}\n"
    assert run("merge-annotations", stdin=[line("a1", 1, 2)]).err == ""


def test_one_annotators_repeats_stay_apart(run):
    result = run("merge-annotations", stdin=[THREE[0], THREE[0], THREE[1]])
    assert [len(x["sources"]) for x in result.records] in ([1, 2], [2, 1]) and "same annotator" in result.err


def test_nest(run):
    rows = [dict(row, subject="s1", domain="laboratory") for row in [*THREE, line("a1", 5, 6, 9)]]
    (record,) = run("merge-annotations", "--nest", stdin=rows).records
    assert list(record) == ["video", "subject", "domain", "segments"]
    assert [(s["start"], s["status"]) for s in record["segments"]] == [(1.05, "agreed"), (5.0, "single")]
    assert "subject" not in record["segments"][0]


def test_order_of_videos_and_grouped_gives_the_same(run, tmp_path):
    rows = [line(a, s, s + 1, n, v) for v in ("z", "b", "a") for s in (4, 1) for a in ("a1", "a2") for n in (3, 5)]
    whole = run("merge-annotations", "--agreement", tmp_path / "1", stdin=rows)
    grouped = run("merge-annotations", "--grouped", "--agreement", tmp_path / "2", stdin=rows)
    assert whole.out == grouped.out and (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    keys = [(x["start"], x["end"], x["label"]) for x in whole.records]
    assert [x["video"] for x in whole.records] == ["z"] * 4 + ["b"] * 4 + ["a"] * 4
    assert all(keys[i : i + 4] == sorted(keys[i : i + 4]) for i in (0, 4, 8))
    mixed = run("merge-annotations", "--grouped", stdin=[rows[0], rows[-1], rows[0]])
    assert mixed.code == 1 and "<stdin>:3" in mixed.err and '"z"' in mixed.err


def test_grouped_lets_a_video_leave_before_the_input_ends():
    command = [str(ROOT / "bin" / "mma82"), "merge-annotations", "--grouped"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        for row in [*THREE, line("a1", 1, 2, video="v2")]:
            process.stdin.write(json.dumps(row).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["video"] == "v1"
    finally:
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait() == 0
    assert json.loads(rest)["video"] == "v2"


BAD = [
    (line("a1", 2, 1), "end"),
    (line("a1", 1, 1), "end"),
    (line("a1", -1, 1), "start"),
    (line("a1", "1", 2), "start"),
    (line("a1", None, None), "start"),
    (line(None, 1, 2), "annotator"),
    (line("a1", 1, 2, video=""), "video"),
    (line("a1", 1, 2, "no such action"), "label"),
    (line("a1", 1, 2, 82), "label"),
    (line("a1", 1, 2, instance=5), "instance"),
    (dict(THREE[1], subject="s2"), "subject"),
]


@pytest.mark.parametrize("bad,word", BAD)
def test_bad_input_is_placed(run, tmp_path, bad, word):
    rows = [dict(THREE[0], subject="s1"), bad]
    result = run("merge-annotations", "--agreement", tmp_path / "agreement", stdin=rows)
    assert result.code == 1 and result.err.count("\n") == 1
    assert result.err.startswith("mma82 merge-annotations: <stdin>:2: ") and word in result.err
    assert not list(tmp_path.iterdir())
    skipped = run("merge-annotations", "--on-error", "skip", stdin=rows)
    assert skipped.code == 1 and len(skipped.records) == 1 and json.loads(skipped.err.splitlines()[0])["line"] == 2


def test_an_annotator_twice_in_an_instance(run):
    rows = [dict(THREE[0], instance="i"), dict(THREE[0], instance="i", start=1.5)]
    result = run("merge-annotations", stdin=rows)
    assert result.code == 1 and "<stdin>:2: " in result.err and "<stdin>:1" in result.err and '"i"' in result.err


def test_the_ceiling_is_what_score_says(run, tmp_path):
    """An annotator's figures against the merge are those of a system that predicts the same segments."""
    annotations = run("synth", "--kind", "annotations", "--clips", "60", "--classes", "6", "--subjects", "6").records
    slips = [(5, 6, "Nodding"), (5, 6, "Nodding"), (7, 9, "Shaking head")]  # a repeat; another name of the same group
    annotations += [line("A2", *slip, "x") for slip in slips] + [line("A3", *slip, "x") for slip in slips[:2]]
    annotations.append(line("A3", 7, 9, "Nodding", "x"))
    nested = run("merge-annotations", "--nest", "--agreement", tmp_path / "agreement.jsonl", stdin=annotations).records
    whole = [json.loads(x) for x in (tmp_path / "agreement.jsonl").read_text().splitlines()][-1]
    assert whole["video"] is None and set(whole["labels"]) == {a["label"] for a in annotations}
    videos = []
    for video in nested:
        mine = [a for a in annotations if (a["video"], a["annotator"]) == (video["video"], "A2")]
        spans = [{"start": a["start"], "end": a["end"], "label": a["label"], "score": 1.0} for a in mine]
        spans.sort(key=lambda s: (s["start"], s["end"]))
        videos.append({"id": video["video"], "segments": video["segments"], "predictions": spans})
    scored = run("score", stdin=videos).records
    lines = [x for x in whole["ceiling"] if (x["annotator"], x["metric"]) == ("A2", "map")]
    found = {(x["level"], x["tiou"]): (x["value"], x["n"]) for x in lines}
    assert found == {(x["level"], x["tiou"]): (pytest.approx(x["value"]), x["n"]) for x in scored} and len(found) == 30
    assert found["body", 0.5][1] < found["action", 0.5][1] < sum(len(video["segments"]) for video in nested)
    top1 = [x["value"] for x in whole["ceiling"] if (x["metric"], x["level"]) == ("top1", "action")]
    assert 0.9 < min(top1) < 1.0  # annotators slip now and then
    rules = {x["rule"]: x for x in whole["rules"]}
    assert rules["median"]["tiou"] > rules["paper"]["tiou"] and rules["paper"]["length"] > rules["median"]["length"]


def test_labels_that_a_vote_overruled_lower_the_ceiling(run, tmp_path):
    rows = [line("a1", 1, 3), line("a2", 1, 3), line("a3", 1, 3, "Shaking head"), line("a1", 5, 6), line("a2", 5, 6)]
    run("merge-annotations", "--agreement", tmp_path / "agreement", stdin=rows)
    whole = json.loads((tmp_path / "agreement").read_text().splitlines()[-1])
    top1 = {x["annotator"]: (x["value"], x["n"]) for x in whole["ceiling"] if (x["metric"], x["level"]) == ("top1", "action")}
    assert top1 == {"a1": (1.0, 2), "a2": (1.0, 2), "a3": (0.0, 1)}


@pytest.mark.parametrize("ending, sign", [("txt", "───"), ("md", "| ---"), ("tex", "\\toprule"), ("tsv", "Kappa\tDice")])
def test_agreement_as_tables(run, tmp_path, ending, sign):
    rows = [line("a1", 1, 3), line("a2", 1, 2.9), line("a3", 1.2, 3)]
    run("merge-annotations", "--agreement", tmp_path / f"agreement.{ending}", stdin=rows)
    text = (tmp_path / f"agreement.{ending}").read_text()
    assert sign in text and "Nodding" in text and "a2" in text and "median" in text


def test_a_crowd_far_too_large_for_the_optimum_is_grouped_in_little_memory(run):
    """Three thousand annotations open at once have 4.5 million pairs, whose tIoUs have no common denominator of any use."""
    rows = [line(f"a{i % 3}", i / 1000, 5 + (i * 7919 % 5000) / 1000 + i / 1e6) for i in range(3000)]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    limited = f"ulimit -v 1500000; exec {ROOT / 'bin' / 'mma82'} merge-annotations"
    done = subprocess.run(["bash", "-c", limited], input=data, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "1 crowds" in done.stderr, done.stderr
    segments = [json.loads(text) for text in done.stdout.splitlines()]
    assert sum(len(s["annotators"]) for s in segments) == 3000 and 1000 <= len(segments) <= 1100
    assert all(len(set(s["annotators"])) == len(s["annotators"]) for s in segments)


def test_one_annotation_two_hundred_times_is_quick(run):
    rows = [line("a1", 1.0, 2.5)] * 200 + [line("a2", 1.1, 2.5), line("a3", 1.0, 2.4)]
    result = run("merge-annotations", stdin=rows, timeout=60)
    assert result.code == 0 and len(result.records) == 200 and "1 crowds" in result.err
    assert sorted(len(r["annotators"]) for r in result.records)[-2:] == [1, 3]


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [([line("a", 1, 2)], []), ([line("a", 1, 1.1)], []), ([line("a", 1, 1.1), line("b", 1, 1.1)], ["a|b"]), ([], [])],
    ids=["one annotator", "one, too short", "all too short", "nothing"],
)
def test_agreement_where_there_is_nobody_to_agree_with(run, tmp_path, rows, pairs):
    for ending in ("jsonl", "txt"):
        assert run("merge-annotations", "--agreement", tmp_path / f"agreement.{ending}", stdin=rows).code == 0
    whole = json.loads((tmp_path / "agreement.jsonl").read_text().splitlines()[-1])
    assert whole["kappa"] == whole["dice"] == dict.fromkeys(pairs) and whole["alpha"] is whole["f1"] is None
    assert [rule["n"] for rule in whole["rules"]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([line("a", 1, 2, duration=1e300)], "'duration' is 1e+300; expected seconds within a century"),
        ([line(f"a{i}", 1, 2, video=f"v{i}") for i in range(500)], "500 annotators of 500 labels in videos are too many"),
    ],
)
def test_agreement_has_bounds(run, tmp_path, rows, words):
    result = run("merge-annotations", "--agreement", tmp_path / "a.jsonl", "-q", stdin=rows)
    assert result.code == 1 and result.err.count("\n") == 1 and words in result.err
    assert not (tmp_path / "a.jsonl").exists()
