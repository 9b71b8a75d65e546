"""`mma82 fuse` as a user meets it."""

import json

import numpy as np
import pytest
from conftest import as_lines, write_taxonomy

from mma82cli.taxonomy import load_taxonomy

EMOTIONS = load_taxonomy("emotion8").names
FACES = [name for name in EMOTIONS if name != "melancholy"]
SPLITS = ("val", "test", "test")
ASK = ["--taxonomy", "emotion8", "--target", "emotion"]


def clip(i: int) -> dict:
    return {"id": f"c{i}", "subject": f"s{i // 24 % 12}", "emotion": EMOTIONS[i % 8], "split": SPLITS[i // 8 % 3]}


def softmax(z):
    return (np.exp(z) / np.exp(z).sum()).tolist()


def made(n=720, sure=1.6, seed=0) -> tuple[list[dict], list[dict], list[dict]]:
    """Clips with a face; scores of actions that are surest of anger to happy; scores of noise."""
    rng = np.random.default_rng(seed)
    faces, actions, noise = [], [], []
    for i in range(n):
        e = i % 8
        z = rng.normal(0, 1, 8)
        z[e] += sure if e < 4 else 0.4
        shown = rng.normal(0, 1, 7)
        if e != 7:
            shown[e] += 0.4 if e < 4 else sure
        faces.append({**clip(i), "face": {"labels": FACES, "logits": [round(float(v), 3) for v in shown]}})
        actions.append({**clip(i), "scores": softmax(z), "taxonomy": "emotion8"})
        noise.append({**clip(i), "scores": softmax(4 * rng.normal(0, 1, 8))})
    return faces, actions, noise


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    for name, records in zip(("faces", "actions", "noise"), made(), strict=True):
        (folder / f"{name}.jsonl").write_bytes(as_lines(records))
    return folder


def top1(run, out: str, split="test") -> float:
    scored = run("score", *ASK, "--split", split, "--metric", "top1", "--format", "plain", stdin=out)
    assert scored.code == 0, scored.err
    return float(scored.out)


@pytest.mark.parametrize("method", ["mlp", "weights", "mean"])
def test_two_streams_are_more_than_either(run, files, method):
    both = run("fuse", "--method", method, *ASK, files / "faces.jsonl", files / "actions.jsonl")
    assert both.code == 0, both.err
    alone = [top1(run, run("fuse", "--method", "mean", *ASK, files / f"{name}.jsonl").out) for name in ("faces", "actions")]
    assert top1(run, both.out) > max(alone) + 0.05
    first = both.records[0]
    assert first["id"] == "c0" and first["face"]["labels"] == FACES and first["taxonomy"] == "emotion8"
    assert len(first["scores"]) == 8 and sum(first["scores"]) == pytest.approx(1, abs=1e-5) and "sources" not in first
    assert [x["id"] for x in both.records] == [f"c{i}" for i in range(720)]
    again = run("fuse", "--method", method, *ASK, files / "faces.jsonl", files / "actions.jsonl",
                env={"OMP_NUM_THREADS": "3", "PYTHONHASHSEED": "5"})  # fmt: skip
    assert again.out == both.out


def test_a_stream_of_noise_gets_no_weight(run, files):
    told = run("fuse", "--method", "weights", *ASK, files / "actions.jsonl", files / "noise.jsonl")
    weights = [float(part.split()[0]) for part in told.err.split("val clips: ")[1].split(", ")]
    assert weights[0] > 0.7 and weights[1] < 0.1 and "on 240 val clips" in told.err
    mean = run("fuse", "--method", "mean", *ASK, files / "actions.jsonl", files / "noise.jsonl")
    assert top1(run, told.out) > top1(run, mean.out) + 0.1 and mean.err == ""


@pytest.mark.parametrize("method", ["mlp", "weights"])
def test_what_is_tested_teaches_nothing(run, files, tmp_path, method):
    faces, actions, _ = made()
    rng = np.random.default_rng(1)

    def relabelled(split):
        rows = [i for i, c in enumerate(faces) if c["split"] == split]
        new = dict(zip(rows, rng.permutation(rows), strict=True))
        for name, records in (("f", faces), ("a", actions)):
            turned = [c | {"emotion": EMOTIONS[new.get(i, i) % 8]} for i, c in enumerate(records)]
            (tmp_path / name).write_bytes(as_lines(turned))
        return run("fuse", "--method", method, *ASK, tmp_path / "f", tmp_path / "a").records

    plain = run("fuse", "--method", method, *ASK, files / "faces.jsonl", files / "actions.jsonl").records
    for record, other in zip(plain, relabelled("test"), strict=True):
        assert record["scores"] == other["scores"]
    assert any(a["scores"] != b["scores"] for a, b in zip(plain, relabelled("val"), strict=True))
    if method == "mlp":
        return
    hidden = [{k: v for k, v in c.items() if k != "emotion" or c["split"] == "val"} for c in faces]
    (tmp_path / "f").write_bytes(as_lines(hidden))
    (tmp_path / "a").write_bytes(as_lines([{"id": c["id"], "scores": c["scores"]} for c in actions]))
    without = run("fuse", "--method", method, *ASK, tmp_path / "f", tmp_path / "a").records
    assert [x["scores"] for x in without] == [x["scores"] for x in plain] and "emotion" not in without[8]


def test_the_mean_is_of_centred_logarithms(run, tmp_path):
    (tmp_path / "a").write_bytes(as_lines([{"id": "x", "scores": [0.7, 0.3], "taxonomy": "t"}]))
    (tmp_path / "b").write_bytes(as_lines([{"id": "x", "scores": [5, 1], "scores_kind": "logits"}]))
    taxonomy = write_taxonomy(tmp_path / "t.json", "ab")
    result = run("fuse", "--method", "mean", "--taxonomy", taxonomy, tmp_path / "a", tmp_path / "b")
    z = np.array([np.log(0.7 / 0.3) / 2 + 2, -np.log(0.7 / 0.3) / 2 - 2]) / 2
    assert result.records == [{"id": "x", "scores": pytest.approx(softmax(z), abs=1e-6), "taxonomy": "t"}]


def test_missing_faces_and_clips_are_masked(run, files, tmp_path):
    faces, actions, _ = made()
    few = [c | {"face": None} if i % 5 == 0 else c for i, c in enumerate(faces) if i % 7]
    (tmp_path / "f").write_bytes(as_lines(few))
    gone = len(faces) - sum(c["face"] is not None for c in few)
    for method in ("mlp", "weights", "mean"):
        result = run("fuse", "--method", method, *ASK, tmp_path / "f", files / "actions.jsonl")
        assert f"{gone} of 720 clips are without {tmp_path / 'f'}" in result.err and len(result.records) == 720
        assert top1(run, result.out) > top1(run, as_lines(actions).decode())
    mean = {x["id"]: x["scores"] for x in result.records}
    assert mean["c0"] == pytest.approx(actions[0]["scores"], abs=1e-5)  # nobody else has a say
    (tmp_path / "a").write_bytes(as_lines(actions[1:]))
    result = run("fuse", "--method", "mean", *ASK, tmp_path / "f", tmp_path / "a", files / "faces.jsonl").records
    assert len({x["id"] for x in result}) == 720
    (tmp_path / "none").write_bytes(as_lines([faces[1], faces[0] | {"face": None}]))
    blank = run("fuse", "--method", "mean", *ASK, tmp_path / "none").records[1]
    assert blank["scores"] == [0.125] * 8 and blank["warnings"] == ["no stream knows the clip"]


def test_widths_may_differ(run, tmp_path):
    """82 actions and 7 faces for 8 emotions."""
    faces, _, _ = made(240)
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 1, (240, 82))
    logits[np.arange(240), 10 * (np.arange(240) % 8)] += 4
    kind = {"scores_kind": "logits", "taxonomy": "mma82"}
    actions = [{"id": c["id"], "scores": z.tolist(), **kind} for c, z in zip(faces, logits, strict=True)]
    (tmp_path / "f").write_bytes(as_lines(faces))
    (tmp_path / "a").write_bytes(as_lines(actions))
    result = run("fuse", "--method", "mlp", *ASK, tmp_path / "f", tmp_path / "a")
    assert result.code == 0 and top1(run, result.out) > 0.5
    refused = run("fuse", *ASK, tmp_path / "f", tmp_path / "a")
    assert refused.code == 2 and "knows no label of emotion8; expected --method mlp" in refused.err


def test_segments_of_a_clip_are_pooled(run, tmp_path):
    faces, _, _ = made(48)
    segments = [
        {"id": f"{c['id']}-{k}", "clip": c["id"], "emotion": c["emotion"], "split": c["split"], "label": "Nodding", "scores": s}
        for c in faces for k, s in enumerate(([0.3] + [0.1] * 7, [0.1] * 7 + [0.3])[: 1 + len(c["id"]) % 2])
    ]  # fmt: skip
    (tmp_path / "s").write_bytes(as_lines(segments))
    (tmp_path / "f").write_bytes(as_lines(faces))
    result = run("fuse", "--method", "mean", "--pool", "clip", *ASK, tmp_path / "f", tmp_path / "s")
    assert result.code == 0 and [x["id"] for x in result.records] == [c["id"] for c in faces]
    record = result.records[20]
    assert record["clip"] == "c20" and record["label"] == "Nodding" and record["subject"] == "s0"
    assert [x["id"] for x in record["sources"]] == ["c20", "c20-0", "c20-1"] and len(result.records[2]["sources"]) == 2
    alone = run("fuse", "--method", "mean", "--pool", "clip", *ASK, tmp_path / "s")
    two = next(x for x in alone.records if len(x.get("sources", ())) == 2)
    assert two["scores"] == pytest.approx([0.2] + [0.1] * 6 + [0.2], abs=1e-5)
    unpooled = run("fuse", "--method", "mean", *ASK, tmp_path / "f", tmp_path / "s")
    assert unpooled.code == 1 and "no clip is in two streams" in unpooled.err


def test_runs_are_joined_and_streams_without_go_with_each(run, tmp_path):
    faces, actions, _ = made(48)
    runs = [{"id": c["id"], "run": r, "scores": c["scores"]} for r in (0, 1) for c in actions]
    (tmp_path / "r").write_bytes(as_lines(runs))
    (tmp_path / "f").write_bytes(as_lines(faces))
    result = run("fuse", "--method", "mean", *ASK, tmp_path / "f", tmp_path / "r")
    assert len(result.records) == 96 and {x["run"] for x in result.records} == {0, 1} and result.err == ""
    assert all("face" in x and "emotion" in x for x in result.records)


def test_without_val_the_streams_are_averaged(run, tmp_path):
    faces, actions, _ = made(48)
    for name, records in (("f", faces), ("a", actions)):
        (tmp_path / name).write_bytes(as_lines([c | {"split": "test"} for c in records]))
    told = run("fuse", *ASK, tmp_path / "f", tmp_path / "a")
    assert told.err == "mma82 fuse: no val clips with a 'emotion' to fit weights on: the streams are averaged\n"
    assert told.out == run("fuse", "--method", "mean", *ASK, tmp_path / "f", tmp_path / "a").out


A = {"id": "a", "scores": [0.125] * 8}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([A], [A | {"scores": [1]}], "b:1: field 'scores' is [1]; expected a list of 8 numbers"),
        ([A], [A | {"scores": [-1] * 8}], "b:1: field 'scores' is -1; expected probabilities, or \"scores_kind\":\"logits\""),
        ([A], [A, A], "b:2: id \"a\" is in b twice, first at b:1; --pool pools segments"),
        ([A], [A | {"id": "b"}], "no clip is in two streams (a, b); expected ids in common"),
        ([A], [{"id": "a", "topk": [["sad", 1]]}], "b: 'topk' leaves most labels out; expected 'scores'"),
        ([A], [{"id": "a"}], "b: no record with 'scores' or 'face' at its beginning"),
        ([A], [], "b: no record with 'scores' or 'face' at its beginning"),
        ([A], [{"id": "a", "face": {"labels": ["sad"]}}], "b:1: field 'face.logits' is"),
        ([A], [{"id": "a", "face": [1]}], "b:1: field 'face' is [1]; expected {\"labels\": […], \"logits\": […]}"),
        ([A], [A, {"id": "b", "scores": [0.5] * 8, "scores_kind": "logits"}], "b:2: labels or kind of b change"),
        ([A | {"split": "val"}], [A | {"split": "test"}], "b:1: field 'split' is \"test\", and \"val\" in another"),
        ([A | {"emotion": "sad"}], [A | {"emotion": "fear"}], "b:1: field 'emotion' is \"fear\", and \"sad\" in another"),
        ([A], [A | {"scores": [1.5] + [0.1] * 7}], "b:1: field 'scores' is 1.5; expected probabilities, or \"scores_kind\""),
        ([A], [A | {"taxonomy": "nosuch"}], "b:1: field 'taxonomy' is \"nosuch\"; expected that of --taxonomy (emotion8)"),
        ([A | {"split": "val", "emotion": "bored"}], [A], "field 'emotion' is \"bored\"; expected a label of emotion8"),
        ([A | {"split": "val", "emotion": "sad"}], [A], "the val clips are of one subject; expected two"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run, tmp_path, first, second, words):
    (tmp_path / "a").write_bytes(as_lines(first))
    (tmp_path / "b").write_bytes(as_lines(second))
    result = run("fuse", "--method", "mlp", *ASK, "-o", "out", "a", "b", cwd=tmp_path)
    assert result.code in (1, 2) and result.err.count("\n") == 1 and words in result.err, result.err
    assert not (tmp_path / "out").exists()


def test_bad_records_are_set_aside(run, tmp_path):
    faces, actions, _ = made(48)
    (tmp_path / "a").write_bytes(as_lines(actions))
    (tmp_path / "f").write_bytes(as_lines([*faces, {"id": "x", "face": 1}]))
    skipped = run("fuse", "-q", "--method", "mean", "--on-error", "skip", *ASK, tmp_path / "f", tmp_path / "a")
    assert skipped.code == 1 and len(skipped.records) == 48 and json.loads(skipped.err)["record"]["id"] == "x"


def test_it_is_only_numpy_unless_a_network_is_fitted(run, files):
    for method in ("mean", "weights"):
        told = run("fuse", "--method", method, *ASK, files / "faces.jsonl", env={"PYTHONPROFILEIMPORTTIME": "1"}).err
        modules = {line.rsplit("|", 1)[-1].strip() for line in told.splitlines()}
        assert "mma82cli.emotion.fusion" in modules and not modules & {"torch", "cv2", "sklearn"}
