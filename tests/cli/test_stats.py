"""stats through the command line: the paper's tables, rare labels, figures drawn from it, bad input."""

from __future__ import annotations

import json

import pytest

from mma82cli.plots.ring import figure as ring
from mma82cli.plots.taxonomy import figure as wheel

CLIPS = [
    {"id": "a", "label": "Nodding", "subject": "s1", "domain": "laboratory", "split": "train", "duration": 2.0, "fps": 30},
    {"video": "v", "start": 1, "end": 4, "label": 6, "subject": "s1", "domain": "laboratory", "split": "train", "fps": 30},
    {"id": "c", "label": "Waving", "subject": "s2", "domain": "street", "split": "test", "num_frames": 45, "fps": 30},
]
VIDEO = {
    "id": "w", "subject": "s3", "domain": "street", "split": "test", "duration": 10, "fps": 10,
    "segments": [{"start": 0, "end": 1, "label": "waving"}, {"start": 2, "end": 6, "label": "Thumbs up"}],
}  # fmt: skip


def rows(result, table):
    return [row for row in result.records if row["table"] == table]


def test_counts_of_clips_and_videos(run):
    got = run("stats", stdin=[*CLIPS, VIDEO])
    assert got.code == 0 and got.err == ""
    whole = rows(got, "overview")[0]
    expected = {"classes": 3, "bodies": 2, "domains": 2, "subjects": 3, "clips": 3, "videos": 1, "segments": 2, "instances": 5}
    expected |= {"clip_hours": round(6.5 / 3600, 4), "hours": round(16.5 / 3600, 4), "frames": 60 + 90 + 45 + 100, "untimed": 0}
    assert {k: whole[k] for k in expected} == expected and whole["imbalance"] == 2.0
    street = next(r for r in rows(got, "domains") if (r["domain"], r["split"]) == ("street", "test"))
    assert (street["clips"], street["segments"], street["subjects"], street["share"]) == (1, 2, 2, 1.0)
    train = next(r for r in rows(got, "domains") if (r["domain"], r["split"]) == (None, "train"))
    assert (train["instances"], train["share"]) == (2, 0.4)
    waving = next(r for r in rows(got, "classes") if r["label"] == "Waving")
    assert (waving["clips"], waving["segments"], waving["subjects"], waving["share"]) == (1, 1, 2, 0.4)
    head = next(r for r in rows(got, "bodies") if r["body"] == "Head")
    assert head["clip_seconds"]["p50"] == 2.5 and sum(head["clip_seconds"]["histogram"]["counts"]) == 2
    assert len(rows(got, "classes")) == 82 and sum(r["instances"] for r in rows(got, "classes")) == 5


def test_what_is_not_known_is_not_made_up(run):
    got = run("stats", stdin=[{"id": "a", "label": 3}, {**CLIPS[0], "id": "b"}])
    whole = rows(got, "overview")[0]
    assert (whole["untimed"], whole["hours"], whole["frames"], whole["domains"]) == (1, round(2 / 3600, 4), None, 1)
    assert rows(run("stats", stdin=[]), "overview")[0]["instances"] == 0
    flat = run("stats", "--taxonomy", "emotion8", stdin=[{"id": "a", "label": "sad"}])
    assert rows(flat, "overview")[0]["bodies"] is None and not rows(flat, "bodies")


def test_emotions_are_counted_as_labels_are(run):
    told = [
        {**CLIPS[0], "emotion": "happy"}, {**CLIPS[1], "emotion": "sad"}, {**VIDEO, "emotion": "happy"},
        {"id": "e", "emotion": "happy", "actions": ["Nodding", "Nodding"], "subject": "s4", "domain": "tv", "duration": 4},
    ]  # fmt: skip
    got = run("stats", stdin=[*told, CLIPS[2]])
    assert (got.code, got.err) == (0, "")
    happy, sad = rows(got, "emotions")
    expected = {"emotion": "happy", "clips": 1, "videos": 2, "segments": 2, "instances": 3, "subjects": 3, "share": 0.75}
    assert expected.items() <= happy.items() and happy["hours"] == round((2 + 10 + 4) / 3600, 4)
    assert {"emotion": "sad", "clips": 1, "videos": 0, "classes": 1, "share": 0.25}.items() <= sad.items()
    assert {"clips": 3, "videos": 2, "instances": 5, "domains": 3}.items() <= rows(got, "overview")[0].items()
    table = run("stats", "--table", "emotions", "--format", "table", stdin=told).out.splitlines()
    assert [line.split() for line in table[:4]] == [
        ["Emotion", "%", "Subjects", "Clips", "Videos", "Segments"], [table[1]], ["happy", "75.00", "3", "1", "2", "2"],
        ["sad", "25.00", "1", "1", "0", "0"],
    ]  # fmt: skip
    wrong = run("stats", stdin=[{**CLIPS[0], "emotion": 3}])
    assert wrong.code == 1 and "<stdin>:1: field 'emotion' is 3; expected a string" in wrong.err
    assert not rows(run("stats", stdin=CLIPS), "emotions")


def test_rare_labels_and_published_sets(run):
    got = run("stats", "--rare", "2", "--table", "rare", stdin=[*CLIPS, VIDEO])
    assert len(got.records) == 80 and got.records[-1]["label"] == "Thumbs up" and got.records[-1]["lacking"] == 1
    sets = rows(run("stats", "--against", "--table", "overview", stdin=CLIPS), "overview")
    assert sets[0]["name"] is None and sets[1]["name"] == "MMA-82"
    assert sets[1]["clips"] + sets[1]["segments"] == sets[1]["instances"] == 79574
    nobody = [{k: v for k, v in c.items() if k not in ("subject", "domain")} for c in CLIPS]
    told = run("stats", "--format", "table", "--table", "overview", stdin=nobody).out.split("\n")
    assert [line.split()[-1] for line in told if line.startswith(("Domains", "Subjects"))] == ["–", "–"]
    for name in ("overview", "domains", "bodies", "classes"):
        text = run("stats", "--against", "--format", "table", "--table", name, stdin=[*CLIPS, VIDEO]).out
        assert text and max(map(len, text.splitlines())) <= 80, name


def test_the_tables_of_the_paper(run, shared, jsonl):
    """Table II's clips and subjects a domain, Fig. 3's clips a label."""
    got = run("stats", shared / "goldens" / "splits" / "clips.jsonl.gz")
    domains = {r["domain"]: (r["clips"], r["subjects"]) for r in rows(got, "domains")}
    assert domains == {None: (39816, 454), "lab": (27509, 229), "psych": (7011, 19), "street": (3925, 26), "emotion": (1371, 180)}
    counts = {r["id"]: r["clips"] for r in rows(got, "classes")}
    assert counts == {c["id"]: c["rec"] for c in jsonl(shared / "taxonomy" / "mma82_counts.jsonl")}


@pytest.mark.parametrize("kind", ["taxonomy", "ring", "violin", "classes"])
def test_figures_are_drawn_from_it(run, tmp_path, kind):
    stats = run("stats", stdin=[*CLIPS, VIDEO]).out
    drawn = run("plot", kind, "--out", tmp_path, stdin=stats)
    assert drawn.code == 0, drawn.err
    assert [r["figure"] for r in drawn.records] == [str(tmp_path / f"{kind}.svg"), str(tmp_path / f"{kind}.png")]
    assert (tmp_path / f"{kind}.png").stat().st_size > 10_000


def test_violins_need_durations(run, tmp_path):
    stats = run("stats", stdin=[{"id": "a", "label": 3}]).out
    assert "needs durations" in run("plot", "violin", "--out", tmp_path, stdin=stats).err


def test_every_label_and_share_is_in_its_figure(run):
    labels = run("labels").records
    assert {row["label"] for row in labels} <= {text.get_text() for text in wheel(labels).axes[0].texts}
    bodies = rows(run("stats", stdin=[*CLIPS, VIDEO]), "bodies")
    clips, segments = ring(bodies).axes
    assert {"66.7 %", "33.3 %", "3\nclips"} == {text.get_text() for text in clips.texts if text.get_text()}
    assert {"100.0 %", "2\nsegments"} == {text.get_text() for text in segments.texts if text.get_text()}


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"label": "Flying"}, "field 'label' is \"Flying\""),
        ({"split": "dev"}, "field 'split' is \"dev\"; expected train, val or test"),
        ({"start": 3, "end": 2}, "field 'end' is 2"),
        ({"segments": [{"start": 3, "end": 2, "label": 1}]}, "segments[0]: field 'end' is 2"),
        ({"segments": 3}, "field 'segments' is 3"),
    ],
)
def test_bad_records(run, bad, message):
    got = run("stats", stdin=[CLIPS[1], {**CLIPS[0], **bad}])
    assert got.code == 1 and got.out == "" and f"mma82 stats: <stdin>:2: {message}" in got.err
    skipped = run("stats", "--on-error", "skip", stdin=[CLIPS[1], {**CLIPS[0], **bad}])
    assert skipped.code == 1 and rows(skipped, "overview")[0]["instances"] == 1 and json.loads(skipped.err)["line"] == 2


def test_wrong_usage(run):
    assert run("stats", "--table", "rare", stdin=CLIPS).code == 2
