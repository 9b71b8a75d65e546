"""`mma82 emotion-tree` as a user meets it."""

import json
import random

import pytest

CLIPS = [
    {"id": f"c{i}", "emotion": e, "subject": f"s{i % 5}", "actions": [["Nodding", 8][e == "sad"], i % 4][i % 3 == 0 :]}
    for i, e in enumerate(["neutral", "sad", "happy", "Anger"] * 12)
]


@pytest.fixture(scope="module")
def plain(run):
    return run("emotion-tree", stdin=CLIPS)


def test_a_line_for_each_emotion_and_action(run, plain):
    assert plain.code == 0 and len(plain.records) == 8 * 82
    fields = ["emotion", "label", "importance", "importance_mean", "rank", "top", "clips", "n", "other_clips", "other_n", "ratio"]
    fields += ["ratio_smoothed", "ci", "p", "q", "phi", "direction", "signature"]
    assert all(list(x) == fields for x in plain.records)
    assert plain.records[0]["emotion"] == "anger" and plain.records[0]["n"] == 12
    assert "disgust, fear, surprise, melancholy; their figures are null" in plain.err
    assert plain.err.count("\n") == 1 and run("emotion-tree", "-q", stdin=CLIPS).err == ""
    signature = plain.records[0]["signature"]
    assert "baseline:neutral|tfidf:clip|max-depth:4|min-leaf:5|top:5|seed:0" in signature and "bootstrap" not in signature


def test_bytes_depend_on_the_clips_alone(run, plain):
    mixed = random.Random(0).sample(CLIPS, len(CLIPS))
    for env in ({"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C"}):
        assert run("emotion-tree", stdin=mixed, env=env).out == plain.out
    options = ["emotion-tree", "--bootstrap", "5", "--unit", "subject", "-q"]
    drawn = run(*options, stdin=mixed)
    assert drawn.out == run(*options, stdin=CLIPS).out != run(*options, "--seed", "1", stdin=CLIPS).out
    sad = [x for x in drawn.records if x["emotion"] == "sad"]
    assert sum(x["stability"] for x in sad) > 0 and "bootstrap:5|unit:subject" in sad[0]["signature"]
    assert all(x["ci_bootstrap"][0] <= x["ci_bootstrap"][1] for x in sad)


def test_files_output_and_table(run, plain, tmp_path):
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(c) + "\n" for c in CLIPS))
    assert run("emotion-tree", "-o", tmp_path / "out.jsonl", tmp_path / "clips.jsonl").out == ""
    assert (tmp_path / "out.jsonl").read_text() == plain.out
    table = run("emotion-tree", "--format", "table", "--top", "1", stdin=CLIPS).out
    best = [x for x in plain.records if x["rank"] == 1 and x["top"]]
    assert len(best) == len([row for row in table.splitlines() if "/12" in row]) and all(x["label"] in table for x in best)


def test_sets_fields_and_baseline_can_be_others(run):
    clips = [{"feeling": c["emotion"], "actions": [0, 1][: i % 3]} for i, c in enumerate(CLIPS)]
    sets = ["--taxonomy", "ma52", "--emotions", "emotion7"]
    result = run("emotion-tree", "--target", "feeling", *sets, "--baseline", "SAD", stdin=clips)
    assert result.code == 0 and len(result.records) == 7 * 52
    assert {x["emotion"] for x in result.records if x["n"] and x["importance"] is None} == {"sad"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"emotion": "bored", "actions": []}, ":2: field 'emotion' is \"bored\"; expected a label of emotion8"),
        ({"emotion": "sad", "actions": {}}, ":2: field 'actions' is {}; expected a list of labels of mma82"),
        ({"emotion": "sad", "actions": ["Sulking"]}, ":2: field 'actions[0]' is \"Sulking\"; expected a label of mma82"),
        ({"id": "c0", "emotion": "sad", "actions": []}, ":2: id \"c0\" occurs twice"),
    ],
)  # fmt: skip
def test_bad_clips_are_one_line(run, line, words):
    result = run("emotion-tree", stdin=[CLIPS[0], line])
    assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1 and f"<stdin>{words}" in result.err
    skipped = run("emotion-tree", "--on-error", "skip", "-q", stdin=[*CLIPS, line])
    assert skipped.code == 1 and skipped.out == run("emotion-tree", stdin=CLIPS).out
    assert json.loads(skipped.err)["record"] == line


def test_nothing_to_hold_against_is_an_error(run):
    for stdin in ([], [c for c in CLIPS if c["emotion"] != "neutral"]):
        result = run("emotion-tree", stdin=stdin)
        assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1
        assert 'no clips of the baseline "neutral"' in result.err
    assert run("emotion-tree", "--unit", "subject", stdin=[{"emotion": "neutral", "actions": []}]).code == 1
    wrong = run("emotion-tree", "--baseline", "calm", stdin=CLIPS)
    assert wrong.code == 2 and "expected one of anger, disgust" in wrong.err and wrong.err.count("\n") == 1


def test_one_person_cannot_be_resampled(run):
    result = run("emotion-tree", "--bootstrap", "3", "--unit", "subject", stdin=[c | {"subject": "x"} for c in CLIPS])
    assert result.code == 0 and "one subject alone can't be resampled" in result.err
    assert all(x["stability"] is x["ci_bootstrap"] is None for x in result.records)


def test_scikit_learn_waits_for_work(run):
    result = run("emotion-tree", stdin=[{"emotion": "x"}], env={"PYTHONPROFILEIMPORTTIME": "1"})
    modules = {line.rsplit("|", 1)[-1].strip() for line in result.err.splitlines()}
    assert result.code == 1 and "mma82cli.emotion.study" in modules and not modules & {"sklearn", "scipy", "torch", "cv2"}


def test_planted_associations_are_found_again(run):
    planted = run("synth", "--kind", "emotion")
    rows = run("emotion-tree", stdin=planted.out).records
    arms = next(x for x in rows if (x["emotion"], x["label"]) == ("happy", "Arms akimbo"))
    assert arms["top"] and arms["direction"] == "more" and arms["q"] < 1e-6
    sure = [x for x in rows if x["emotion"] != "neutral" and x["direction"] == "more" and x["q"] < 0.05]
    assert len(sure) >= 19


def test_plots_are_the_same_bytes_again(run, plain, tmp_path):
    pytest.importorskip("matplotlib")
    for folder in ("a", "b"):
        assert run("emotion-tree", "-q", "--plot", tmp_path / folder, stdin=CLIPS, env={"PYTHONHASHSEED": "3"}).out == plain.out
    stems = ("ratios", "sankey", "tree-anger", "tree-happy", "tree-sad")
    names = sorted(f"{stem}.{form}" for stem in stems for form in ("png", "svg"))
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    for name in names:
        data = (tmp_path / "a" / name).read_bytes()
        assert data == (tmp_path / "b" / name).read_bytes()
        assert data[:4] == b"\x89PNG" if name.endswith("png") else b"</svg>" in data[-20:]


def test_plot_says_what_it_lacks(run, tmp_path):
    (tmp_path / "file").write_text("x")
    result = run("emotion-tree", "--plot", tmp_path / "file", stdin=CLIPS)
    assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1 and "File exists" in result.err
