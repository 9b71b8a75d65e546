"""make-splits through the command line: ratios, protocols, leaks, bad input."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest


def clips(n=200, subjects=20, classes=6, **more):
    random.seed(0)
    domains = ["laboratory"] * 12 + ["street"] * 4 + ["television"] * 4
    numbers = [i % subjects for i in range(n)]
    return [
        {"id": f"c{i}", "subject": f"s{s}", "label": random.randrange(classes), "domain": domains[s], **more}
        for i, s in enumerate(numbers)
    ]


def homes(records, field="subject"):
    where = {}
    for record in records:
        where.setdefault(record[field], set()).add(record["split"])
    return where


def test_groups_whole_ratio_near_bytes_kept(run):
    rows = [json.dumps(row) + " \r\n" for row in clips()]
    rows[3] = '{"subject" :"s3","x":1.50e1,  "label":2 }\n'
    result = run("make-splits", stdin="\ufeff" + "".join(rows))
    assert result.code == 0 and result.err == ""
    assert all(len(splits) == 1 for splits in homes(result.records).values())
    assert Counter(r["split"] for r in result.records) == {"train": 120, "val": 40, "test": 40}
    assert result.out.splitlines()[3].startswith('{"subject" :"s3","x":1.50e1,  "label":2,"split":"')


def test_an_old_split_is_replaced_in_its_place(run):
    rows = [{"split": "val", "support_runs": [1], **row} for row in clips()]
    rows[0].pop("split"), rows[0].pop("support_runs")
    made = run("make-splits", stdin=rows)
    got = made.records[1:]
    assert made.err == "mma82 make-splits: 199 of 200 records had a split already, which is replaced\n"
    assert list(got[0])[0] == "split" and "support_runs" not in got[0]
    assert len({r["split"] for r in got}) == 3


def test_seed_and_ratio(run):
    rows = clips(n=210, subjects=19)
    assert run("make-splits", "--seed", "1", stdin=rows).out == run("make-splits", "--seed", "1", stdin=rows).out
    assert run("make-splits", stdin=rows).out == run("make-splits", "--seed", "0", stdin=rows).out
    assert run("make-splits", "--seed", "2", stdin=rows).out != run("make-splits", "--seed", "1", stdin=rows).out
    two = Counter(r["split"] for r in run("make-splits", "--ratio", "4:1", stdin=rows).records)
    assert set(two) == {"train", "test"} and two["train"] > 3 * two["test"]
    assert run("make-splits", "--ratio", "4:x", stdin=rows).code == 2


def test_zero_shot(run):
    got = run("make-splits", "--protocol", "zero-shot", "--source", "laboratory", stdin=clips()).records
    assert {r["split"] for r in got if r["domain"] != "laboratory"} == {"test"}
    home = [r for r in got if r["domain"] == "laboratory"]
    assert {r["split"] for r in home} == {"train", "val", "test"} and all(len(s) == 1 for s in homes(home).values())
    street = run("make-splits", "--protocol", "zero-shot", "--source", "laboratory", "--target", "street", stdin=clips())
    assert {r.get("split") for r in street.records if r["domain"] == "television"} == {None} and "get no split" in street.err


def test_few_shot(run):
    rows = clips() + [{"id": "lone", "subject": "s12", "label": 9, "domain": "street"}]
    options = ["--protocol", "few-shot", "--source", "laboratory", "--target", "street", "--runs", "4"]
    got = run("make-splits", *options, "--shots", "2", stdin=rows).records
    assert len(got) == len(rows)
    street = [r for r in got if r["domain"] == "street"]
    assert all("support_runs" not in r for r in got if r["domain"] != "street") and {r["split"] for r in street} == {"test"}
    sizes = Counter(r["label"] for r in street)
    for run_number in range(4):
        support = Counter(r["label"] for r in street if run_number in r["support_runs"])
        assert support == Counter({label: min(2, n - 1) for label, n in sizes.items() if n > 1})
    one = run("make-splits", *options, "--shots", "1", stdin=rows).records
    assert all(set(a.get("support_runs", [])) <= set(b.get("support_runs", [])) for a, b in zip(one, got, strict=True))


def test_check_names_the_leak(run):
    rows = run("make-splits", stdin=clips()).records
    fine = run("make-splits", "--check", stdin=rows)
    assert fine.code == 0 and fine.out == ""
    rows[0]["split"] = "val" if rows[0]["split"] != "val" else "test"
    leak = run("make-splits", "--check", stdin=rows)
    assert leak.code == 1 and leak.out == "" and leak.err.count("\n") == 1
    assert '"s0"' in leak.err and "1 of 20" in leak.err and "expected" in leak.err
    del rows[4]["split"]
    assert "<stdin>:5" in run("make-splits", "--check", stdin=rows).err


def test_check_of_nothing_says_so(run):
    nothing = run("make-splits", "--check")
    said = "mma82 make-splits: no records, so there is nothing to check; expected records with 'split' and 'subject'\n"
    assert (nothing.code, nothing.err) == (1, said)


def test_like_inherits(run, tmp_path):
    known = run("make-splits", stdin=clips(subjects=10)).records
    (tmp_path / "known.jsonl").write_text("".join(json.dumps(r) + "\n" for r in known))
    got = run("make-splits", "--seed", "3", "--like", tmp_path / "known.jsonl", stdin=clips()).records
    assert all(len(splits) == 1 for splits in homes(known + got).values())
    assert len({r["split"] for r in got if r["subject"] in {f"s{i}" for i in range(10, 20)}}) > 1


def test_report(run, tmp_path):
    assert run("make-splits", "--report", tmp_path / "report", stdin=clips()).code == 0
    rows = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    whole = [r for r in rows if r["table"] == "splits" and r["domain"] is None]
    assert [(r["split"], r["records"]) for r in whole] == [("train", 120), ("val", 40), ("test", 40)]
    assert all(abs(r["deviation"]) < 1e-9 and r["missing"] == [] for r in whole)
    assert [r["splits"] for r in rows if r["table"] == "divergence"] == [["train", "val"], ["train", "test"], ["val", "test"]]


def test_untrimmed_videos_count_their_segments(run):
    rows = []
    for i in range(20):
        segments = [{"start": j, "end": j + 1, "label": j % 3} for j in range(12 if i < 2 else 1)]
        rows.append({"video": f"v{i}", "subject": f"s{i}", "segments": segments})
    got = run("make-splits", "--ratio", "1:1", stdin=rows).records
    total = Counter()
    for record in got:
        total[record["split"]] += len(record["segments"])
    assert total == {"train": 21, "test": 21}


@pytest.mark.parametrize("subjects,said", [(1, "1 group "), (2, "2 groups ")])
def test_fewer_groups_than_splits(run, subjects, said):
    result = run("make-splits", stdin=clips(30, subjects))
    assert result.code == 0 and said in result.err and result.err.count("\n") == 1
    assert len(result.records) == 30 and {r["split"] for r in result.records} >= {"train"}


def test_rare_classes_are_named(run):
    rows = clips() + [{"subject": "s1", "label": "Checking time", "domain": "laboratory"}]
    result = run("make-splits", stdin=rows)
    assert result.code == 0 and result.err.count("\n") == 1 and "Checking time" in result.err


BAD = [
    ({"label": 1}, "subject"),
    ({"subject": 7, "label": 1}, "subject"),
    ({"subject": "s1"}, "label"),
    ({"subject": "s1", "label": None}, "label"),
    ({"subject": "s1", "segments": [{"start": 0, "end": 1}]}, "segments[0].label"),
    ({"subject": "s1", "label": 1, "domain": "street"}, "laboratory"),
]


@pytest.mark.parametrize("bad,word", BAD)
def test_bad_input_is_placed(run, bad, word):
    rows = [*clips(40), bad]
    result = run("make-splits", stdin=rows)
    assert result.code == 1 and result.out == "" and result.err.count("\n") == 1
    assert result.err.startswith("mma82 make-splits: <stdin>:41: ") and word in result.err
    skipped = run("make-splits", "--on-error", "skip", stdin=rows)
    assert skipped.code == 1 and len(skipped.records) == 40


@pytest.mark.parametrize(
    "options,code,word",
    [
        (["--protocol", "zero-shot"], 2, "--source"),
        (["--source", "laboratory"], 2, "--protocol"),
        (["--protocol", "few-shot", "--source", "street", "--target", "street"], 2, "street"),
        (["--protocol", "zero-shot", "--source", "lab"], 1, '"laboratory"'),
        (["--ratio", "0:0:0"], 2, "--ratio"),
        (["--shots", "0"], 2, "--shots"),
    ],
)
def test_wrong_usage(run, options, code, word):
    result = run("make-splits", *options, stdin=clips())
    assert result.code == code and result.out == "" and result.err.count("\n") == 1 and word in result.err


def test_protocols_are_marked_and_marks_do_not_outlive_them(run):
    rows = [{"id": f"c{i}", "subject": f"s{i % 12}", "label": i % 3} for i in range(96)]
    rows = [r | {"domain": "lab" if i % 12 < 8 else "street"} for i, r in enumerate(rows)]
    zero = run("make-splits", "--protocol", "zero-shot", "--source", "lab", stdin=rows).records
    assert {(r["domain"], r["protocol"]) for r in zero} == {("lab", "in-domain"), ("street", "zero-shot")}
    plain = run("make-splits", stdin=zero).records
    assert all(list(r) == ["id", "subject", "label", "domain", "split"] for r in plain)


def test_fixed_groups_stay_and_strangers_are_named(run):
    got = run("make-splits", "--fixed", "s0=test", "--fixed", "s1=test", "--fixed", "nobody=val", stdin=clips())
    where = homes(got.records)
    assert where["s0"] == where["s1"] == {"test"} and all(len(splits) == 1 for splits in where.values())
    assert got.err == "mma82 make-splits: no record is of the fixed group nobody\n"
    assert run("make-splits", "--fixed", "s0=dev", stdin=clips()).code == 2
    assert run("make-splits", "--fixed", "s0=test", "--fixed", "s0=val", stdin=clips()).code == 2


STREET = ["--source", "laboratory", "--target", "street", "--runs", "3"]


def queries(records):
    return {r["id"] for r in records if r["domain"] == "street" and r.get("split") == "test"}


@pytest.mark.parametrize("option", ["--common-queries", "--disjoint-subjects"])
def test_queries_are_the_same_for_every_shot_and_zero_shot(run, option):
    rows = [r | {"subject": f"{r['subject']}{'abc'[i // 20 % 3]}"} for i, r in enumerate(clips(1200))]
    kept = {}
    for shots in (1, 5, 10):
        got = run("make-splits", "--protocol", "few-shot", *STREET, "--shots", shots, option, stdin=rows)
        street = [r for r in got.records if r["domain"] == "street"]
        kept[shots] = queries(got.records)
        pool = [r for r in street if "split" not in r]
        assert "kept for support" in got.err and pool and all(not r["support_runs"] for r in street if "split" in r)
        for number in range(3):
            support = Counter(r["label"] for r in pool if number in r["support_runs"])
            assert support == {label: min(shots, n) for label, n in Counter(r["label"] for r in pool).items()}
    zero = run("make-splits", "--protocol", "zero-shot", *STREET, option, stdin=rows).records
    assert kept[1] == kept[5] == kept[10] == queries(zero)
    assert all(r.get("protocol") == ("zero-shot" if "split" in r else None) for r in zero if r["domain"] == "street")
    if option == "--disjoint-subjects":
        assert not {r["subject"] for r in pool} & {r["subject"] for r in street if "split" in r}
    assert {r["label"] for r in street if "split" in r} == {r["label"] for r in street}


def test_a_published_split_is_signed_and_comes_back(run, tmp_path):
    rows = clips()
    made = run("make-splits", "--seed", "3", "--publish", tmp_path / "split.jsonl", stdin=rows)
    lines = (tmp_path / "split.jsonl").read_text().splitlines()
    header = json.loads(lines[0])
    assert header["header"] == "split" and header["records"] == len(lines) - 1 == len(rows)
    assert header["signature"].startswith("protocol:in-domain|seed:3|ratio:3:1:1|group:subject|")
    assert f"|hash:{header['sha256'][:16]}|version:" in header["signature"]
    assert json.loads(lines[1]) == {"id": "c0", "subject": "s0", "split": made.records[0]["split"]}
    again = run("make-splits", "--apply", tmp_path / "split.jsonl", stdin=rows[::-1])
    assert again.code == 0 and again.records == made.records[::-1] and "200 of 200 records" in again.err
    assert run("make-splits", "--check", tmp_path / "split.jsonl").code == 0
    like = run("make-splits", "--like", tmp_path / "split.jsonl", "--seed", "9", stdin=rows).records
    assert homes(like) == homes(made.records)
    (tmp_path / "split.jsonl").write_text("\n".join([*lines[:4], *lines[5:]]) + "\n")
    changed = run("make-splits", "--apply", tmp_path / "split.jsonl", stdin=rows)
    assert changed.code == 1 and "the file was changed" in changed.err and changed.err.count("\n") == 1
    for options, found in [
        (["--apply", tmp_path / "split.jsonl", "--check"], "--apply makes no split; found --check"),
        (["--apply", tmp_path / "split.jsonl", "--seed", "1", "--like", "x"], "--apply makes no split; found --like and --seed"),
        (["--check", "--protocol", "few-shot"], "--check makes no split; found --protocol"),
    ]:
        refused = run("make-splits", *options, stdin=rows)
        assert (refused.code, refused.err) == (2, f"mma82 make-splits: {found}\n")


def test_a_published_protocol_holds_support_too(run, tmp_path):
    options = ["--protocol", "few-shot", *STREET, "--common-queries"]
    made = run("make-splits", *options, "--publish", tmp_path / "split.jsonl", stdin=clips(600))
    assert made.records == run("make-splits", "--apply", tmp_path / "split.jsonl", stdin=clips(600)).records
    signature = json.loads((tmp_path / "split.jsonl").read_text().splitlines()[0])["signature"]
    assert "shots:5|runs:3|queries:common|seed:0" in signature
    assert run("make-splits", "--like", tmp_path / "split.jsonl", stdin=clips(600)).code == 0
    odd = run("make-splits", "--apply", tmp_path / "split.jsonl", stdin=[{"id": "unknown"}])
    assert odd.code == 1 and '<stdin>:1: id "unknown" is not in' in odd.err


def test_groups_found_in_a_field(run):
    """MA-52's public lists name a clip 0003_01_0001.mp4, and both have all first numbers."""
    train = [{"video": f"{i:04}_01_{k:04}.mp4", "label": i, "split": "train"} for i in range(6) for k in range(3)]
    val = [{"video": f"{i:04}_02_0000.mp4", "label": i, "split": "val"} for i in range(5)]
    leak = run("make-splits", "--check", "--group", "video:^([0-9]+)_", stdin=train + val)
    assert leak.code == 1 and "5 of 6 groups" in leak.err and '"0000" (train 3, val 1)' in leak.err
    made = run("make-splits", "--group", "video:^([0-9]+)_", "--ratio", "1:1", stdin=train + val).records
    assert all(len(splits) == 1 for splits in homes([r | {"n": r["video"][:4]} for r in made], "n").values())
    assert run("make-splits", "--group", "video:(", stdin=train).code == 2
    assert "<stdin>:1" in run("make-splits", "--group", "video:x", stdin=train).err


def test_classes_that_cannot_be_split_are_named_apart(run):
    rows = clips() + [{"subject": f"s{i}", "label": "Waving", "domain": "laboratory"} for i in range(2)]
    said = run("make-splits", stdin=rows).err
    assert "1 classes cannot be in all 3 splits, for too few groups have them: Waving (2)" in said


def test_clips_without_people_are_told_of_other_groups(run):
    lost = run("make-splits", stdin=[{"video": "s1_a.mp4", "label": "Nodding"}])
    assert lost.code == 1 and "<stdin>:1: field 'subject' is missing; expected what is kept together" in lost.err
    assert "--group 'video:^[a-z]+[0-9]+'" in lost.err and lost.err.count("\n") == 1
