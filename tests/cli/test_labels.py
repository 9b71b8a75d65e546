"""labels through the command line: taxonomies, and the mapping from MA-52."""

from __future__ import annotations

from collections import Counter


def test_the_taxonomy_with_definitions(run):
    rows = run("labels").records
    assert len(rows) == 82 and [r["id"] for r in rows] == list(range(82))
    assert all(r["definition"] and r["bounds"] for r in rows)
    flat = run("labels", "--taxonomy", "emotion8").records
    assert len(flat) == 8 and flat[0]["body"] is None


def test_a_label_set_of_ones_own(run, tmp_path):
    mine = tmp_path / "mine.json"

    def labels(text):
        mine.write_text(text)
        return run("labels", "--taxonomy", mine)

    assert [(r["id"], r["label"]) for r in labels('{"name":"mine","labels":["yes","no"]}').records] == [(0, "yes"), (1, "no")]
    grouped = labels('{"bodies":["head","hand"],"labels":[{"name":"a","body":"head"},{"name":"b","body":1,"aliases":["hi"]}]}')
    assert [(r["body"], r["aliases"]) for r in grouped.records] == [("head", []), ("hand", ["hi"])]
    for bad, words in [
        ("[1]", 'expected {"name": "mine", "labels": ["yes", "no", …]}'),
        ('{"labels":[{"id":1,"name":"a"}]}', "the ids 0, 1, 2"),
        ('{"labels":["a","a"]}', 'a label or body named "a"; expected different names'),
        ('{"labels":[3]}', "not a taxonomy"),
        ('{"bodies":["head"],"labels":["yes"]}', "label 0 of the taxonomy has body null; expected 0..0, or a body's name"),
    ]:
        refused = labels(bad)
        assert refused.code == 1 and refused.err.startswith(f"mma82 labels: {mine}: ") and words in refused.err, refused.err
        assert refused.err.count("\n") == 1
    half = labels('{"labels":["yes","\\ud83d"]}')  # of a character beyond the 16 bits of its time
    assert half.code == 2 and "surrogate" in half.err and half.err.count("\n") == 1
    assert labels('\ufeff{"labels":["yes"]}').records[0]["label"] == "yes"


def test_the_mapping_of_ma52(run):
    got = run("labels", "--map", "ma52")
    rows = {r["label"]: r for r in got.records}
    assert got.code == 0 and len(got.records) == 52
    assert Counter(r["relation"] for r in got.records) == {
        "same": 35, "renamed": 9, "generalised": 3, "dropped": 2, "merged": 2, "split": 1,
    }  # fmt: skip
    assert rows["stretching arms"]["to"] == rows["retracting arms"]["to"] == "Retracting and stretching arms"
    assert rows["rising up"]["to"] is rows["rising up"]["to_body"] is None
    assert [r["label"] for r in got.records if r["body_changes"]] == ["crossing arms"]
    assert (rows["touching legs"]["clips"], rows["touching legs"]["to_clips"]) == (745, 63)
    assert "may not be carried over by id" in got.err and "7 labels have fewer clips in mma82" in got.err
    assert got.err.count("\n") == 1 and not run("labels", "--map", "ma52", "-q").err


def test_the_mapping_equals_the_reference(run, shared, jsonl):
    import json

    reference = json.loads((shared / "taxonomy" / "ma52_to_mma82.json").read_text())
    rows = run("labels", "--map", "ma52").records
    for row, fact in zip(rows, reference, strict=True):
        assert row["label"].casefold() == fact["ma52_name"] and row["to_id"] == fact["mma82_id"]
        assert row["relation"] == fact["relation"] and row["clips"] == fact["ma52_train_val_count"]
        assert row["body_changes"] == fact["body_changes"] and len(row["candidates"]) == len(fact["candidates"])


def test_bad_mappings(run, tmp_path):
    assert run("labels", "--map", "ma51").code == 2
    bad = tmp_path / "map.json"
    bad.write_text('{"from": "ma52", "to": "mma82", "labels": [{"from": 1, "to": 2}]}')
    got = run("labels", "--map", bad)
    assert got.code == 1 and got.err.startswith(f"mma82 labels: {bad}: ") and got.err.count("\n") == 1
