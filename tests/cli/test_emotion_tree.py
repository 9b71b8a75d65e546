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
    fields = ["emotion", "label", "lma", "importance", "importance_mean", "rank", "top", "importance_held_out"]
    fields += ["accuracy_held_out", "clips", "n", "other_clips", "other_n", "ratio", "ratio_smoothed", "ci", "p", "q", "phi"]
    fields += ["direction", "stability", "ci_bootstrap", "signature"]
    assert all(list(x) == fields for x in plain.records)
    assert plain.records[0]["emotion"] == "anger" and plain.records[0]["n"] == 12
    assert "disgust, fear, surprise, melancholy; their figures are null" in plain.err
    assert plain.err.count("\n") == 1 and run("emotion-tree", "-q", stdin=CLIPS).err == ""
    signature = plain.records[0]["signature"]
    assert "baseline:neutral|tfidf:clip|max-depth:4|min-leaf:5|top:5|unit:clip|bootstrap:100|held-out:subject|seed:0" in signature
    fewer = run("emotion-tree", "-q", "--bootstrap", "0", stdin=CLIPS)
    assert [list(x) for x in fewer.records] == [[f for f in fields if f not in ("stability", "ci_bootstrap")]] * (8 * 82)
    assert "bootstrap:none" in fewer.records[0]["signature"]


def test_bytes_depend_on_the_clips_alone(run, plain):
    mixed = random.Random(0).sample(CLIPS, len(CLIPS))
    segments = [{**c, "segments": [{"label": x} for x in c["actions"]]} for c in CLIPS]
    segments = [{k: v for k, v in c.items() if k != "actions"} for c in segments]
    assert run("emotion-tree", stdin=segments).out == plain.out
    for env in ({"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C"}):
        assert run("emotion-tree", stdin=mixed, env=env).out == plain.out
    options = ["emotion-tree", "--bootstrap", "5", "--unit", "subject", "-q"]
    drawn = run(*options, stdin=mixed)
    assert drawn.out == run(*options, stdin=CLIPS).out != run(*options, "--seed", "1", stdin=CLIPS).out
    sad = [x for x in drawn.records if x["emotion"] == "sad"]
    assert sum(x["stability"] for x in sad) > 0 and "unit:subject|bootstrap:5" in sad[0]["signature"]
    assert all(x["ci_bootstrap"][0] <= x["ci_bootstrap"][1] for x in sad)


def test_files_output_and_table(run, plain, tmp_path):
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(c) + "\n" for c in CLIPS))
    assert run("emotion-tree", "-o", tmp_path / "out.jsonl", tmp_path / "clips.jsonl").out == ""
    assert (tmp_path / "out.jsonl").read_text() == plain.out
    table = run("emotion-tree", "--format", "table", "--top", "1", stdin=CLIPS).out
    assert max(map(len, table.splitlines())) <= 80 and "1e-" not in table.splitlines()[-1]
    tsv = run("emotion-tree", "-q", "--format", "tsv", stdin=CLIPS).out.splitlines()
    assert len({line.count("\t") for line in tsv}) == 1 and "Turning head" not in tsv[0]
    refused = run("emotion-tree", "--format", "plain", stdin=CLIPS)
    assert refused.code == 2 and "single values" in refused.err
    best = [x for x in plain.records if x["rank"] == 1 and x["top"]]
    assert len(best) == len([row for row in table.splitlines() if "/12" in row])
    assert all(x["label"].split()[0] in table for x in best)


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
def test_bad_clips_are_one_line(run, plain, line, words):
    result = run("emotion-tree", stdin=[CLIPS[0], line])
    assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1 and f"<stdin>{words}" in result.err
    skipped = run("emotion-tree", "--on-error", "skip", "-q", stdin=[*CLIPS, line])
    assert skipped.code == 1 and skipped.out == plain.out
    assert json.loads(skipped.err)["record"] == line


def test_nothing_to_hold_against_is_an_error(run):
    for stdin in ([], [c for c in CLIPS if c["emotion"] != "neutral"]):
        result = run("emotion-tree", stdin=stdin)
        assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1
        assert 'no clips of the baseline "neutral"' in result.err
    assert run("emotion-tree", "--unit", "subject", stdin=[{"emotion": "neutral", "actions": []}]).code == 1
    wrong = run("emotion-tree", "--baseline", "calm", stdin=CLIPS)
    assert wrong.code == 2 and "expected one of anger, disgust" in wrong.err and wrong.err.count("\n") == 1


def test_people_can_be_what_is_independent(run, plain):
    rows = run("emotion-tree", "-q", "--unit", "subject", stdin=CLIPS).records
    for mine, other in zip(rows, plain.records, strict=True):
        if mine["n"]:
            assert 0 <= mine["subjects"] <= min(mine["clips"], 5) and mine["ratio"] == other["ratio"]
            assert mine["ci"][0] <= other["ci"][0] and mine["ci"][1] >= other["ci"][1] and mine["q"] >= mine["p"]
    assert [x["subjects"] > 0 for x in rows] == [x["clips"] > 0 for x in rows]


def test_one_person_is_no_evidence(run):
    result = run("emotion-tree", "--unit", "subject", stdin=[c | {"subject": "x"} for c in CLIPS])
    assert result.code == 0 and "one subject alone can't be resampled" in result.err
    assert "anger, happy, neutral, sad: the clips, or all others, are of one subject; ci, p and q are null" in result.err
    assert "one subject alone can't be held out" in result.err
    null = ("stability", "ci_bootstrap", "ci", "p", "q", "importance_held_out", "accuracy_held_out")
    assert all(x[field] is None for x in result.records for field in null)
    assert any(x["ratio"] for x in result.records) and any(x["importance"] for x in result.records)
    table = run("emotion-tree", "-q", "--unit", "subject", "--format", "table", stdin=[c | {"subject": "x"} for c in CLIPS])
    assert table.code == 0 and "–" in table.out


def test_a_clip_without_actions_is_evidence(run):
    still = [{"emotion": e, "actions": []} for e in ("neutral", "sad") for _ in range(6)]
    rows = run("emotion-tree", "-q", "--bootstrap", "0", stdin=[*CLIPS, *still]).records
    assert {x["n"] for x in rows if x["emotion"] in ("neutral", "sad")} == {18}
    alone = run("emotion-tree", "-q", "--bootstrap", "0", stdin=still)
    assert alone.code == 0 and all(x["ratio"] is None for x in alone.records)


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


def test_plots_are_the_same_bytes_again_and_from_the_lines(run, plain, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("emotion-tree", "-q", "--plot", tmp_path / "a", stdin=CLIPS, env={"PYTHONHASHSEED": "3"}).out == plain.out
    stems = ("ratios", "sankey", "tree-anger", "tree-happy", "tree-sad")
    names = sorted(f"{stem}.{form}" for stem in stems for form in ("png", "svg"))
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    for kind in ("sankey", "ratios"):
        drawn = run("plot", kind, "--out", tmp_path / "b", stdin=plain.out)
        assert [x["figure"] for x in drawn.records] == [str(tmp_path / "b" / f"{kind}.{form}") for form in ("svg", "png")]
        for form in ("svg", "png"):
            data = (tmp_path / "a" / f"{kind}.{form}").read_bytes()
            assert data == (tmp_path / "b" / f"{kind}.{form}").read_bytes()
            assert data[:4] == b"\x89PNG" if form == "png" else b"</svg>" in data[-20:]
    some = [x for x in plain.records if x["emotion"] in ("sad", "happy") and x["q"] is not None and x["q"] < 0.5]
    assert run("plot", "ratios", "--out", tmp_path / "c", stdin=some).code == 0


def test_what_is_less_frequent_is_never_drawn_as_more(run, tmp_path):
    pytest.importorskip("matplotlib")
    rare = {"label": "Waving", "q": 1, "emotion": "sad", "ratio": 0.0, "direction": "less"}  # 0 of 40 clips, 1 of 279 others
    drawn = []
    for smoothed in (2.28, 1.0, 0.5):
        made = run("plot", "ratios", "--out", tmp_path, stdin=[{**rare, "ratio_smoothed": smoothed}])
        assert made.code == 0, made.err
        drawn.append((tmp_path / "ratios.png").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_plot_says_what_it_lacks(run, tmp_path):
    (tmp_path / "file").write_text("x")
    result = run("emotion-tree", "--plot", tmp_path / "file", stdin=CLIPS)
    assert (result.code, result.out) == (1, "") and result.err.count("\n") == 1 and "File exists" in result.err


def test_trees_without_a_split_are_told(run):
    idle = [{**clip, "actions": []} for clip in CLIPS]
    assert "no tree has a split: no action tells an emotion from neutral\n" in run("emotion-tree", stdin=idle).err
    assert "no tree has a split" not in run("emotion-tree", stdin=CLIPS).err
