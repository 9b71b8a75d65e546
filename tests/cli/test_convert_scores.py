"""`mma82 convert` of what networks leave: tables, arrays, pickles and JSON of scores, to what `mma82 score` takes."""

import io
import json
import pickle

import numpy as np
import pytest
import torch

from mma82cli.taxonomy import load_taxonomy

MMA82 = load_taxonomy("mma82")
TRUE = [0, 6, 81, 12]
NAMES = [f"d/c{i}.mp4" for i in range(4)]
SCORES = np.random.default_rng(0).normal(size=(4, 82)).round(4)
EXPECTED = [
    {"id": name, "label": MMA82.names[label], "scores": row.tolist(), "scores_kind": "logits"}
    for name, label, row in zip(NAMES, TRUE, SCORES, strict=True)
]
BARE = [{k: v for k, v in r.items() if k != "label"} for r in EXPECTED]


def test_a_dict_or_tuple_of_arrays_is_told_apart(run):
    rows = [{**r, "id": str(i)} for i, r in enumerate(EXPECTED)]
    pair = run("convert", "--from", "scores", stdin=pickle.dumps((SCORES, np.array(TRUE))))
    assert pair.code == 0 and pair.records == rows, pair.err
    parts = {"logits": torch.from_numpy(SCORES), "names": NAMES}
    named = run("convert", "--from", "scores", stdin=saved(parts, lambda f, v: torch.save(v, f)))
    assert named.code == 0 and named.records == BARE, named.err
    refused = run("convert", "--from", "scores", stdin=pickle.dumps({"logits": SCORES, "names": NAMES[:2]}))
    assert refused.code == 1 and "the arrays are logits float64 (4, 82), names" in refused.err and refused.err.count("\n") == 1


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{name} {label}\n" for name, label in zip(NAMES, TRUE, strict=True)))
    return path


def saved(value, how) -> bytes:
    file = io.BytesIO()
    how(file, value)
    return file.getvalue()


def dumped(old=False) -> bytes:
    """result.pkl as mmaction2 dumps it."""
    pairs = list(zip(torch.from_numpy(SCORES), torch.tensor(TRUE), strict=True))
    if old:
        rows = [{"pred_scores": {"item": s}, "gt_labels": {"item": t[None]}} for s, t in pairs]
    else:
        rows = [{"pred_score": s, "gt_label": t[None], "num_classes": 82} for s, t in pairs]
    return pickle.dumps(rows)


@pytest.mark.parametrize(
    "data",
    [
        saved(SCORES, np.save), saved(torch.from_numpy(SCORES), lambda f, v: torch.save(v, f)), dumped(), dumped(old=True),
        pickle.dumps(list(SCORES)), pickle.dumps(SCORES), json.dumps(SCORES.tolist()).encode(),
    ],
    ids=["npy", "pt", "mmaction2", "mmaction2-1.0", "list", "pickle", "json"],
)  # fmt: skip
def test_rows_take_the_names_in_their_order(run, names, data):
    result = run("convert", "--from", "scores", "--names", names, stdin=data)
    assert result.code == 0 and result.err == "" and result.records == EXPECTED
    (names.parent / "more.jsonl").write_text("".join(json.dumps({"video": n, "subject": "s"}) + "\n" for n in NAMES))
    known = run("convert", "--from", "scores", "--names", names.parent / "more.jsonl", stdin=data).records
    assert [(r["id"], r["subject"], r["scores"]) for r in known] == [(r["id"], "s", r["scores"]) for r in EXPECTED]
    names.write_text("".join(f"{name}\n" for name in NAMES[:-1]))
    short = run("convert", "--from", "scores", "--names", names, stdin=data)
    assert short.code == 1 and f"4 rows, and 3 names in {names}; expected a name a row" in short.err


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pickle.dumps(dict(zip(NAMES, SCORES, strict=True))), BARE),
        (json.dumps(dict(zip(NAMES, SCORES.tolist(), strict=True))).encode(), BARE),
        (json.dumps([{"video_id": n, "scores": s} for n, s in zip(NAMES, SCORES.tolist(), strict=True)]).encode(), BARE),
        (saved(None, lambda f, _: np.savez(f, y=np.array(TRUE), z=SCORES, n=np.array(NAMES))), EXPECTED),
        (b'{"a":6,"b":["nodding",7],"c":"Waving"}', [
            {"id": "a", "topk": [["Nodding", 1.0]]}, {"id": "b", "topk": [["Nodding", 1.0], ["Shaking head", 0.5]]},
            {"id": "c", "topk": [["Waving", 1.0]]},
        ]),
    ],
    ids=["pickle", "json", "objects", "npz", "labels"],
)  # fmt: skip
def test_rows_that_have_names(run, names, data, expected):
    assert run("convert", "--from", "scores", stdin=data).records == expected
    refused = run("convert", "--from", "scores", "--names", names, stdin=data)
    assert refused.code == 2 and "the rows of <stdin> have names" in refused.err


def test_a_result_without_names_is_numbered_and_its_labels_show_a_wrong_order(run, names):
    result = run("convert", "--from", "scores", stdin=dumped())
    assert [r["id"] for r in result.records] == ["0", "1", "2", "3"] and "--names FILE names them" in result.err
    assert [r["label"] for r in result.records] == [r["label"] for r in EXPECTED]
    names.write_text("".join(f"{name} {label}\n" for name, label in zip(NAMES, [6, 0, 81, 12], strict=True)))
    mixed = run("convert", "--from", "scores", "--names", names, stdin=dumped())
    assert mixed.code == 1 and f'row 0: its label is "Swing body", and "Nodding" in {names}; expected the names in' in mixed.err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "<stdin>: not a pickle"),
        (b"\x93NUMPY\x01", "<stdin>: a damaged file of arrays"),
        (b"PK\x03\x04", "<stdin>: a damaged file of arrays"),
        (b'{"a":[1,NaN]}', "<stdin>:1:9: broken JSON (NaN is no number in JSON)"),
        (b'{"a":[1,2]}', "<stdin>: row 0: field 'scores' has 2 values; expected 82"),
        (b'{"a":[[1],[2,3]]}', "<stdin>: row 0: found [[1], [2, 3]]; expected 82 numbers, or a label"),
        (b'{"results":{"v":[]}}', "<stdin>: row 0: found {"),
        (b'{"a":82}', "an id 0..81 (--first-id 1, if the file counts from 1)"),
        (b'{"a":["Nodding",6]}', "expected different ones, best first"),
        (saved(np.full((1, 82), np.nan), np.save), "<stdin>: row 0: field 'scores' has NaN at place 0"),
        (saved(np.array(3), np.save), "<stdin>: found"),
        (saved(None, lambda f, _: np.savez(f, a=SCORES, b=SCORES)), "<stdin>: the arrays are a float64 (4, 82), b float64"),
        (saved({"a": torch.device("cpu")}, lambda f, v: torch.save(v, f)), "which is not run; expected arrays"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_scores_is_told_in_a_line(run, data, words):
    result = run("convert", "--from", "scores", "-q", stdin=data)
    assert result.code == 1 and words in result.err and result.err.count("\n") == 1, result.err


def test_a_table_of_scores(run):
    rows = [",".join([name, str(label), *map(str, row)]) for name, label, row in zip(NAMES, TRUE, SCORES, strict=True)]
    ids = ",".join(["clip", "true", *map(str, range(82))])
    columns = ("convert", "--from", "csv", "--columns")
    assert run(*columns, "id=clip,label=true,scores=0..81", stdin="\n".join([ids, *rows])).records == EXPECTED
    assert run(*columns, "id=1,label=2,scores=3..84", stdin="\n".join(rows)).records == EXPECTED
    order = np.random.default_rng(1).permutation(82)  # columns that labels head go by them
    mixed = [",".join([n, str(t), *map(str, row[order])]) for n, t, row in zip(NAMES, TRUE, SCORES, strict=True)]
    heads = [MMA82.names[i].replace(" ", "_") for i in order]
    asked = f"id=clip,label=true,scores={heads[0]}..{heads[-1]}"
    assert run(*columns, asked, stdin="\n".join([",".join(["clip", "true", *heads]), *mixed])).records == EXPECTED
    cells = "clip,true,z\n" + "\n".join(f'{n},{t},"{s.tolist()}"' for n, t, s in zip(NAMES, TRUE, SCORES, strict=True))
    assert run(*columns, "id=clip,label=true,scores=z", stdin=cells).records == EXPECTED
    few = run(*columns, "id=clip,scores=0..80", stdin="\n".join([ids, *rows]))
    assert few.code == 2 and "0..80 are 81 columns; expected 82, one a label of mma82" in few.err
    nan = run(*columns, "id=clip,scores=0..81", stdin="\n".join([ids, rows[0].replace(str(SCORES[0, 5]), "nan")]))
    assert nan.code == 1 and "<stdin>:2: field 'scores' is \"nan\"; expected a finite number" in nan.err


def test_a_table_of_predicted_labels_from_any_first_id_is_scored(run):
    table = "clip,true,first,second\na,7,NODDING,8\nb,7,8,\nc,82,82,1\n"
    asked = ("convert", "--from", "csv", "--columns", "id=clip,label=true,topk=first..second")
    result = run(*asked, "--first-id", "1", stdin=table)
    assert [r["topk"] for r in result.records] == [
        [["Nodding", 1.0], ["Shaking head", 0.5]], [["Shaking head", 1.0]], [["Scratching feet", 1.0], ["Swing body", 0.5]],
    ]  # fmt: skip
    assert run("score", "--metric", "top1", "--level", "action", stdin=result.out).records[0]["value"] == 2 / 3
    wrong = run(*asked, stdin=table)
    assert wrong.code == 1 and "<stdin>:4: field 'label' is 82; expected a label of mma82: an id 0..81 (--first-id 1" in wrong.err


def test_heads_of_scores_are_all_labels_or_none(run):
    values = [i / 100 for i in range(82)]

    def read(heads, *options):
        table = ",".join(["id", *heads]) + "\na," + ",".join(map(str, values)) + "\n"
        return run("convert", "--from", "csv", "--columns", f"id=id,scores={heads[0]}..{heads[-1]}", *options, stdin=table)

    assert read([f"s{i}" for i in range(82)]).records[0]["scores"] == values
    assert read(MMA82.names[::-1]).records[0]["scores"] == values[::-1]
    assert read([str(i) for i in range(82)][::-1]).records[0]["scores"] == values[::-1]
    from_one = [str(i + 1) for i in range(82)]
    assert read(from_one, "--first-id", "1").records[0]["scores"] == values
    for heads, said in (
        (["Noding" if n == "Nodding" else n for n in MMA82.names[::-1]], "field 'scores' is \"Noding\"; expected a label of"),
        ([*MMA82.names[:-1], "0"], "two columns of scores are of one label; expected one each"),
        (from_one, "field 'scores' is 82; expected a label of mma82: an id 0..81 (--first-id 1, if the file counts from 1)"),
    ):
        refused = read(heads)
        assert refused.code == 1 and f"<stdin>:1: {said}" in refused.err, refused.err
