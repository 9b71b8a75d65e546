"""`mma82 emotion-mlp` as a user meets it."""

import json
import random

import pytest

EMOTIONS = ["neutral", "sad", "happy", "anger"]
CLIPS = [
    {"id": f"c{i}", "emotion": e, "subject": f"s{i % 9}", "actions": [[7, 8, 9, 20][i % 4], 30 + i % 5][i % 3 == 0 :]}
    for i, e in enumerate(EMOTIONS * 18)
]
SPLIT = [{**c, "split": ("train", "train", "val", "test")[i // 4 % 4]} for i, c in enumerate(CLIPS)]
QUICK = ["emotion-mlp", "--repeats", "2", "--permutations", "1", "--epochs", "12", "--hidden", "16", "--bootstrap", "50"]
QUICK += ["--min-leaf", "2"]


@pytest.fixture(scope="module")
def plain(run):
    return run(*QUICK, stdin=CLIPS)


def test_a_line_for_each_condition_and_metric(plain):
    assert plain.code == 0, plain.err
    fields = ["actions", "metric", "level", "value", "sd", "ci", "n", "runs", "used", "permuted", "p", "against", "signature"]
    assert all(list(x) == fields for x in plain.records)
    assert [(x["actions"], x["metric"]) for x in plain.records] == [
        (c, m) for m in ("top1", "mca", "macro-f1") for c in ("all", "without-top", "top-only")
    ]
    assert {x["n"] for x in plain.records} == {54} and {x["level"] for x in plain.records} == {"action"}
    assert list(plain.records[2]["against"]) == ["all", "without-top"] and plain.records[0]["used"] == 82
    assert plain.records[1]["used"] + plain.records[2]["used"] == 82
    signature = plain.records[0]["signature"]
    assert "classes:3|baseline:neutral|tfidf:clip|max-depth:4|min-leaf:2|top:5|parts:5|held-out:subject|repeats:2" in signature
    assert plain.err == "mma82 emotion-mlp: no clips of disgust, fear, surprise, melancholy; their figures are null\n"


def test_bytes_depend_on_the_clips_alone(run, plain):
    mixed = random.Random(0).sample(CLIPS, len(CLIPS))
    assert run(*QUICK, stdin=mixed, env={"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "3"}).out == plain.out
    assert run(*QUICK, "--seed", "1", stdin=CLIPS).out != plain.out


def test_score_finds_the_same_figures_in_the_predictions(run, plain, tmp_path):
    assert run(*QUICK, "--predictions", tmp_path / "p.jsonl", stdin=CLIPS).out == plain.out
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 3 * 54 and [x["id"] for x in lines[:54]] == [c["id"] for c in CLIPS if c["emotion"] != "neutral"]
    assert list(lines[0]) == ["id", "run", "actions", "subject", "emotion", "taxonomy", "scores"]
    assert all(x["scores"][4] == 0 and sum(x["scores"]) == pytest.approx(1, abs=1e-5) for x in lines)
    options = ["--taxonomy", "emotion8", "--target", "emotion", "--by", "actions", "--mean-over", "run"]
    for scored in run("score", *options, tmp_path / "p.jsonl").records:
        if scored["metric"] in ("top1", "mca", "macro-f1"):
            mine = next(x for x in plain.records if (x["actions"], x["metric"]) == (scored["actions"], scored["metric"]))
            assert mine["value"] == pytest.approx(scored["value"]) and mine["sd"] == pytest.approx(scored["sd"])


def test_the_records_own_split(run, tmp_path):
    result = run(*QUICK, "--by-split", "--classes", "8", "--predictions", tmp_path / "p.jsonl", stdin=SPLIT)
    assert result.code == 0 and {x["n"] for x in result.records} == {sum(c["split"] == "test" for c in SPLIT)}
    assert "classes:4|" in result.records[0]["signature"] and "parts:split" in result.records[0]["signature"]
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert {x["split"] for x in lines} == {"val", "test"} and len({x["emotion"] for x in lines}) == 4
    scored = run("score", "--taxonomy", "emotion8", "--target", "emotion", "--split", "test", "--by", "run", tmp_path / "p.jsonl")
    values = [x["value"] for x in scored.records if x["metric"] == "top1" and x["run"].startswith("all")]
    assert result.records[0]["value"] == pytest.approx(sum(values) / 2)
    turned = [c | {"emotion": EMOTIONS[i % 3]} if c["split"] == "test" else c for i, c in enumerate(SPLIT)]
    run(*QUICK, "--by-split", "--classes", "8", "--predictions", tmp_path / "q.jsonl", stdin=turned)
    scores = [{(x["id"], x["run"]): x["scores"] for x in map(json.loads, (tmp_path / f).open())} for f in ("p.jsonl", "q.jsonl")]
    assert scores[0] == scores[1]  # what is tested teaches nothing


def test_tables_and_the_papers_beside(run, plain):
    table = run(*QUICK, "--format", "table", stdin=CLIPS).out
    assert max(map(len, table.splitlines())) <= 80 and "without-top" in table and "McNemar" in table
    assert f"{100 * plain.records[0]['value']:.1f}" in table
    shape = ["--rows", "actions,run", "--columns", "metric", "--as", "here", "--beside", "paper=table8"]
    laid = run("tabulate", *shape, stdin=plain.out).out
    assert [line.split()[:2] for line in laid.splitlines()[2:8]] == [
        [c, run] for c in ("all", "without-top", "top-only") for run in ("paper", "here")
    ]
    assert "27.10" in laid


@pytest.mark.parametrize(
    ("options", "clips", "words"),
    [
        ([], [CLIPS[0], {"emotion": "bored", "actions": []}], "<stdin>:2: field 'emotion' is \"bored\"; expected a label"),
        ([], [CLIPS[0], {"emotion": "sad", "actions": [82]}], "<stdin>:2: field 'actions[0]' is 82; expected a label of mma82"),
        ([], [], "no clips of the baseline 'neutral' among 0; expected some"),
        ([], [c for c in CLIPS if c["emotion"] != "neutral"], "no clips of the baseline 'neutral' among 54; expected some"),
        ([], CLIPS[:2], "clips of 1 emotion(s) to tell apart (sad); expected at least 2"),
        ([], [c | {"subject": "x"} for c in CLIPS], "1 subject(s); expected at least 3"),
        (["--by-split"], CLIPS, "<stdin>:1: field 'split' is null; expected train, val or test (--by-split)"),
        (["--by-split"], [c | {"split": "train"} for c in CLIPS], "no clips with split 'val'"),
        (["--predictions", "p"], [{"emotion": "sad", "actions": []}], "<stdin>:1: field 'video' is missing; expected a string"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run, tmp_path, options, clips, words):
    result = run(*QUICK, "-q", *options, stdin=clips, cwd=tmp_path)
    assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1 and words in result.err
    assert not (tmp_path / "p").exists()


def test_skipped_clips_change_nothing(run, plain):
    bad = {"id": "x", "emotion": "sad", "actions": ["Sulking"]}
    skipped = run(*QUICK, "-q", "--on-error", "skip", stdin=[*CLIPS, bad])
    assert skipped.code == 1 and skipped.out == plain.out and json.loads(skipped.err)["record"] == bad


def test_few_people_and_still_clips(run):
    still = [c | {"actions": [], "subject": f"s{i % 3}"} for i, c in enumerate(CLIPS)]
    result = run(*QUICK, stdin=still)
    assert result.code == 0 and "3 subjects for 5 folds: each is a part of its own" in result.err
    assert {x["used"] for x in result.records} == {0.0, 82.0} and all(0 < x["value"] < 1 for x in result.records[:3])


def test_wrong_usage(run):
    for options in (["--folds", "2"], ["--classes", "6"], ["--dropout", "1"], ["--epochs", "0"]):
        result = run("emotion-mlp", *options, stdin=CLIPS)
        assert result.code == 2 and result.out == "" and result.err.count("\n") == 1
    result = run("emotion-mlp", "--baseline", "calm", stdin=CLIPS)
    assert result.code == 2 and "expected one of anger, disgust" in result.err


def test_planted_associations_are_what_the_network_goes_by(run):
    planted = run("synth", "--kind", "emotion", "--clips", "480").out
    options = ["--repeats", "2", "--permutations", "2", "--epochs", "40", "--hidden", "32"]
    by = {x["actions"]: x for x in run("emotion-mlp", *options, stdin=planted).records[:3]}
    assert by["all"]["ci"][0] > by["without-top"]["ci"][1] and by["top-only"]["ci"][0] > by["without-top"]["ci"][1]
    assert by["without-top"]["against"]["all"]["mcnemar"] < 1e-6 and all(abs(x["permuted"] - 1 / 7) < 0.06 for x in by.values())


def test_intervals_of_few_clips_are_of_shares(run):
    few = [{**c, "actions": [i * 7 % 5]} for i, c in enumerate(CLIPS[:14])]
    made = run("emotion-mlp", "--repeats", "6", "--permutations", "0", "--bootstrap", "200", "--epochs", "12", stdin=few).records
    assert made and all(0 <= low <= high <= 1 for low, high in (line["ci"] for line in made))
