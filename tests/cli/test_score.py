"""`mma82 score` as its users call it."""

import gzip
import json
import random
import subprocess

import pytest
from conftest import ROOT, as_lines


def preds(n=40, **fields):
    """Predictions of `n` clips over six actions; two thirds are right."""
    rng = random.Random(0)
    rows = []
    for i in range(n):
        scores = [rng.random() for _ in range(82)]
        label = i % 6 * 7
        scores[label if i % 3 else (label + 1)] = 2.0
        truth = {"label": label, "domain": "ab"[i % 2], "split": ["test", "val"][i % 5 == 0]}
        rows.append({"id": f"c{i}", **truth, "scores": scores, **fields})
    return rows


def values(result):
    assert result.code == 0, result.err
    return {(x["metric"], x["level"]): x["value"] for x in result.records if "label" not in x}


def test_the_line_on_the_card(run):
    result = run("score", "--metric", "mca", stdin=preds())
    assert [(x["metric"], x["level"]) for x in result.records] == [("mca", "action"), ("mca", "body")]
    assert all(x["n"] == 40 and x["signature"].split("|")[-1].startswith("version:") for x in result.records)


def test_labels_are_names_ids_or_aliases(run):
    rows = preds(12)
    names = json.loads((ROOT / "share/mma82/taxonomy/mma82.json").read_text())["labels"]
    spelled = [dict(r, label=names[r["label"]]["name"].upper()) for r in rows]
    assert values(run("score", stdin=rows)) == values(run("score", stdin=spelled))


def test_by_split_and_level(run):
    rows = preds()
    result = run("score", "--by", "domain", "--split", "test", "--level", "action", "--metric", "top1", stdin=rows)
    got = {x["domain"]: (x["value"], x["n"]) for x in result.records}
    for domain in "ab":
        part = [r for r in rows if r["domain"] == domain and r["split"] == "test"]
        right = sum(max(range(82), key=r["scores"].__getitem__) == r["label"] for r in part)
        assert got[domain] == (pytest.approx(right / len(part)), len(part))


def test_counts_of_shards_are_the_whole(run, tmp_path):
    data = as_lines(preds(60))
    lines = data.splitlines(keepends=True)
    whole = run("score", "--by", "domain", "--per-class", "--confusion", stdin=data).out
    parts = [run("score", "--by", "domain", "--counts", stdin=b"".join(lines[i::4])).out for i in (2, 0, 3, 1)]
    again = run("score", "--by", "domain", "--counts", stdin="".join(parts[:2])).out  # counts of counts
    mixed = run("score", "--by", "domain", "--per-class", "--confusion", stdin=again + "".join(parts[2:]))
    assert whole and mixed.out == whole
    other = run("score", "--body", "sum", "--by", "domain", stdin="".join(parts))
    assert other.code == 1 and other.out == "" and "<stdin>:1: counted with" in other.err


def test_logits_are_no_probabilities_to_sum(run):
    logits = {"id": "a", "label": 1, "scores": [20.0 * (i == 1) - 1 for i in range(82)]}
    refused = run("score", "--body", "sum", "--level", "body", stdin=[logits])
    assert (refused.code, refused.out) == (1, "")
    assert "<stdin>:1: field 'scores' is -1.0; expected probabilities, or \"scores_kind\":\"logits\"" in refused.err
    named = run("score", "--body", "sum", "--level", "body", "--metric", "top1", stdin=[{**logits, "scores_kind": "logits"}])
    assert [r["value"] for r in named.records] == [1.0]


def test_files_of_other_formats_are_sent_to_convert(run):
    for data, said in ((b"id,label\na,1\n", "broken JSON ("), (b"\x93NUMPY\1\0", "found a binary file; ")):
        refused = run("score", stdin=data)
        assert refused.code == 1 and said in refused.err and "(`mma82 convert --from FORMAT` makes them" in refused.err


def test_split_filter_pipe(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(as_lines(preds(50)))
    pipe = f"split -n l/4 --filter '{ROOT}/bin/mma82 score --counts' p.jsonl | {ROOT}/bin/mma82 score"
    merged = subprocess.run(["sh", "-c", pipe], cwd=tmp_path, capture_output=True, check=True).stdout
    assert merged == subprocess.run([ROOT / "bin/mma82", "score", "p.jsonl"], cwd=tmp_path, capture_output=True).stdout


def test_several_processes_write_the_same_bytes(run, tmp_path):
    rows = [dict(r, subject=f"s{i % 7}") for i, r in enumerate(preds(230))]
    data = as_lines(rows)
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf" + data[: len(data) // 2].rsplit(b"\n", 1)[0])  # no last newline
    (tmp_path / "b").write_bytes(data[len((tmp_path / "a").read_bytes()) - 2 :])
    (tmp_path / "whole").write_bytes(data)
    (tmp_path / "other").write_bytes(as_lines(dict(r, scores=r["scores"][::-1]) for r in rows))
    (tmp_path / "zipped").write_bytes(gzip.compress(data))
    truth = as_lines({k: v for k, v in r.items() if k != "scores"} for r in rows)
    (tmp_path / "truth").write_bytes(truth)
    every = [(2, ["whole"]), (3, ["a", "b"]), (2, ["zipped"]), (5, ["whole"])]
    clustered, compared = ["--ci", 20, "--cluster", "subject"], ["--compare", "other", "--metric", "top1", "--by", "domain"]
    for options, ways in (([], every), (["--counts", "--truth", "truth"], every[:1]), (["--items"], every[:1]),
                          (clustered, every[:2]), (compared, every[:1])):  # fmt: skip
        wanted = run("score", *options, "whole", cwd=tmp_path)
        assert wanted.code == 0 and wanted.out
        for jobs, files in ways:
            got = run("score", *options, "--jobs", jobs, *files, cwd=tmp_path)
            assert (got.out, got.err) == (wanted.out, wanted.err)
    with open(tmp_path / "whole", "rb", buffering=0) as opened:  # standard input that can be read from the middle, and is
        opened.readline()
        command = [ROOT / "bin/mma82", "score", "--jobs", "2"]
        seeking = subprocess.run(command, stdin=opened, capture_output=True, check=True).stdout.decode()
    assert seeking == run("score", stdin=rows[1:]).out


TWICE = '{"id":"c3","label":0,"topk":[[0,1]]}'


@pytest.mark.parametrize("place,line", [(40, "{"), (150, '{"id":"c149"}'), (170, TWICE), (99, "\ufeff" + TWICE)])
def test_several_processes_find_the_same_faults(run, tmp_path, place, line):
    lines = as_lines(preds(200)).splitlines(keepends=True)
    lines[place] = line.encode() + b"\n"
    (tmp_path / "p").write_bytes(b"".join(lines))
    for options in ([], ["--on-error", "skip"]):
        one, two = (run("score", *options, "--jobs", jobs, "p", cwd=tmp_path) for jobs in (1, 2))
        assert one.code == 1 and f"p:{place + 1}" in one.err and (one.out, one.err, one.code) == (two.out, two.err, two.code)


def test_per_class_and_confusion_and_items(run):
    rows = preds()
    result = run("score", "--per-class", "--confusion", "--level", "action", stdin=rows)
    classes = [x for x in result.records if x.get("metric") == "recall"]
    assert [x["label"] for x in classes] == [x["label"] for x in run("labels").records]  # by id
    assert [x["value"] for x in classes if x["support"] == 0] == [None] * 76
    assert sum(x["n"] for x in result.records if x["metric"] == "confusion") == 40
    items = run("score", "--items", stdin=rows).records
    assert [x["id"] for x in items] == [r["id"] for r in rows]
    assert all(x["correct"] == (x["rank"] == 1) == (x["label"] == x["predicted"]) for x in items)


def test_truth_is_joined_by_id(run, tmp_path):
    rows = preds()
    truth = tmp_path / "truth.jsonl"
    truth.write_bytes(as_lines({k: v for k, v in r.items() if k != "scores"} for r in reversed(rows)))
    bare = [{"id": r["id"], "scores": r["scores"]} for r in rows]
    assert run("score", "--by", "domain", "--truth", truth, stdin=bare).out == run("score", "--by", "domain", stdin=rows).out
    lost = run("score", "--truth", truth, stdin=bare[:-2])
    assert lost.code == 1 and "no prediction for 2" in lost.err and "--on-error skip leaves them out" in lost.err
    fewer = run("score", "--truth", truth, "--on-error", "skip", stdin=bare[:-2])
    assert fewer.code == 1 and [r["value"] for r in fewer.records] == [r["value"] for r in run("score", stdin=rows[:-2]).records]
    told = [json.loads(line) for line in fewer.err.splitlines() if line.startswith("{")]
    assert [(t["record"], t["file"]) for t in told] == [({"id": r["id"]}, str(truth)) for r in reversed(rows[-2:])]
    strange = run("score", "--truth", truth, stdin=[dict(bare[0], id="x")])
    assert strange.code == 1 and f'<stdin>:1: id "x" is not in the truth, whose first is "{rows[-1]["id"]}"' in strange.err


def test_topk_stands_for_scores_and_refuses_what_it_cannot_tell(run):
    rows = preds()
    names = [x["name"] for x in json.loads((ROOT / "share/mma82/taxonomy/mma82.json").read_text())["labels"]]
    best = [sorted(range(82), key=lambda i: -r["scores"][i]) for r in rows]

    def short(k):
        return [{**{f: v for f, v in r.items() if f != "scores"}, "topk": [[names[i], r["scores"][i]] for i in b[:k]]}
                for r, b in zip(rows, best, strict=True)]  # fmt: skip

    full, five, one = values(run("score", stdin=rows)), values(run("score", stdin=short(5))), values(run("score", stdin=short(1)))
    assert five["top5", "action"] == full["top5", "action"]
    assert ("top5", "action") not in one and one["mca", "body"] == full["mca", "body"]
    assert {k: v for k, v in five.items() if k in one} == one
    refused = run("score", "--metric", "top5", stdin=short(1))
    assert refused.code == 1 and refused.out == "" and "topk" in refused.err
    for k in (5, 82):  # places, even of all labels, add up to nothing
        summed = run("score", "--body", "sum", stdin=short(k))
        assert summed.code == 1 and summed.out == "" and "<stdin>:1: 'topk' holds no sum over a body group" in summed.err


def test_duplicates_are_found_across_batches_and_files(run, tmp_path):
    rows = [{"id": f"c{i}", "label": 0, "topk": [["Nodding", 1]]} for i in range(9000)]
    (tmp_path / "a.jsonl").write_bytes(as_lines(rows))
    (tmp_path / "b.jsonl").write_bytes(b"\n" + as_lines([rows[17]]))
    stopped = run("score", "a.jsonl", "b.jsonl", cwd=tmp_path)
    assert stopped.code == 1 and 'b.jsonl:2: id "c17" was given before, at a.jsonl:18' in stopped.err
    skipped = run("score", "--on-error", "skip", "--metric", "top1", "a.jsonl", "b.jsonl", cwd=tmp_path)
    assert skipped.code == 1 and {x["n"] for x in skipped.records} == {9000}


def test_the_same_id_in_another_run_is_another_prediction(run):
    rows = [dict(r, run=k) for k in range(2) for r in preds(10)]
    assert {x["n"] for x in run("score", stdin=rows).records} == {20}
    assert run("score", stdin=rows + rows[:1]).code == 1


def test_another_taxonomy_is_said(run):
    result = run("score", stdin=preds(taxonomy="mma82-fig3"))
    assert result.code == 0 and "taxonomy 'mma82-fig3'" in result.err
    assert run("score", "-q", stdin=preds(taxonomy="mma82-fig3")).err == ""


def test_a_flat_taxonomy_has_no_body_lines(run):
    rows = [{"id": str(i), "emotion": e, "scores": [0.1] * 7 + [0.2 * i]} for i, e in enumerate(["anger", "sad"])]
    result = run("score", "--taxonomy", "emotion8", "--target", "emotion", stdin=rows)
    assert {x["level"] for x in result.records} == {"action"}
    refused = run("score", "--taxonomy", "emotion8", "--target", "emotion", "--metric", "f1-mean", stdin=rows)
    assert refused.code == 1 and "no body groups" in refused.err


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "tsv", "plain"])
def test_formats_carry_the_same_numbers(run, form):
    rows = preds(domain="50%_&")
    lines = run("score", "--by", "domain", stdin=rows).records
    text = run("score", "--by", "domain", "--format", form, stdin=rows).out
    for line in lines:
        assert (repr(line["value"]) if form == "plain" else f"{100 * line['value']:.2f}") in text
    if form == "latex":
        assert r"50\%\_\&" in text


def test_a_terminal_gets_the_table(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(as_lines(preds()))
    command = f"{ROOT}/bin/mma82 score {tmp_path}/p.jsonl"
    shown = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, stdin=subprocess.DEVNULL).stdout
    assert b"Top-1" in shown and b"{" not in shown


def test_a_terminal_as_input_is_an_error_with_a_hint():
    done = subprocess.run(["script", "-qec", f"{ROOT}/bin/mma82 score", "/dev/null"], capture_output=True, timeout=20)
    assert done.returncode == 2 and b"terminal" in done.stdout


def test_intervals_are_seeded_and_bracket_the_value(run):
    rows = [dict(r, subject=f"s{i % 12}") for i, r in enumerate(preds(240))]
    for options in ([], ["--cluster", "subject"]):
        result = run("score", "--ci", 200, "--metric", "top1", *options, stdin=rows)
        assert result.out == run("score", "--ci", 200, "--metric", "top1", *options, stdin=rows).out
        assert result.out != run("score", "--ci", 200, "--metric", "top1", "--seed", 1, *options, stdin=rows).out
        for line in result.records:
            low, high = line["ci"]
            assert low <= line["value"] <= high and (low < high or line["value"] == 1)
    alone = run("score", "--ci", 50, "--cluster", "subject", "--metric", "top1", stdin=[dict(r, subject="s") for r in rows])
    assert {x["ci"] for x in alone.records} == {None} and "no interval" in alone.err
    counts = run("score", "--counts", stdin=rows).out
    assert run("score", "--ci", 50, stdin=counts).code == 1


def test_a_system_against_itself_and_against_a_worse_one(run, tmp_path):
    rows = preds(120)
    (tmp_path / "same").write_bytes(as_lines(reversed(rows)))
    for line in run("score", "--compare", tmp_path / "same", "--by", "domain", stdin=rows).records:
        assert (line["delta"], line["p"], line["delta_ci"]) == (0, 1, [0, 0]) and line.get("mcnemar", 1) == 1
    worse = [dict(r, scores=r["scores"][::-1]) for r in rows]
    (tmp_path / "worse").write_bytes(as_lines(worse))
    for line in run("score", "--metric", "top1", "--level", "action", "--compare", tmp_path / "worse", stdin=rows).records:
        other = run("score", "--metric", "top1", "--level", "action", stdin=worse).records[0]["value"]
        assert line["other"] == other and line["delta"] == pytest.approx(line["value"] - other)
        assert line["p"] < 0.01 and line["mcnemar"] < 0.01
    short = run("score", "--compare", tmp_path / "same", stdin=rows[1:])
    assert short.code == 1 and '"c0"' in short.err and short.err.count("\n") == 1


def test_mean_over_runs(run):
    rows = [dict(r, run=k, scores=r["scores"] if k < 2 else r["scores"][::-1]) for k in range(3) for r in preds(30)]
    single = [run("score", stdin=[r for r in rows if r["run"] == k]).records for k in range(3)]
    for line, *each in zip(run("score", "--mean-over", "run", stdin=rows).records, *single, strict=True):
        values = [one["value"] for one in each]
        assert (line["runs"], line["n"]) == (3, 90) and line["value"] == pytest.approx(sum(values) / 3)
        half = 4.302652729749462 * line["sd"] / 3**0.5  # Student's t, 2 degrees of freedom
        assert line["ci"] == [pytest.approx(line["value"] - half), pytest.approx(line["value"] + half)]


def test_files_are_runs(run, tmp_path):
    runs = [[dict(r, scores=r["scores"] if k < 2 else r["scores"][::-1]) for r in preds(30)] for k in range(3)]
    for k, rows in enumerate(runs):
        (tmp_path / f"seed{k}").write_bytes(as_lines(rows))
    wanted = run("score", "--mean-over", "run", stdin=[dict(r, run=k) for k, rows in enumerate(runs) for r in rows])
    files = [f"seed{k}" for k in range(3)]
    for jobs in (1, 2):
        assert run("score", "--mean-over", "file", "--jobs", jobs, *files, cwd=tmp_path).out == wanted.out
    apart = run("score", "--metric", "mca", "--level", "body", "--by", "file", *files, cwd=tmp_path)
    assert [x["file"] for x in apart.records] == files
    twice = run("score", "--by", "file", "seed0", "-", stdin=runs[0] + runs[0][:1], cwd=tmp_path)
    assert twice.code == 1 and '<stdin>:31: id "c0" was given before, at <stdin>:1' in twice.err
