"""`mma82 adapt`, and a run that finds its joints in a cache."""

import json
import os

import numpy as np
import pytest
import torch
from conftest import as_lines

from mma82cli.training.adaptation import fit_heads, prototypes

SMALL = ["--recipe", "stgcn"]
for _pair in ("epochs=5", "channels=[12,24]", "dilations=[1,2]", "frames=8", "clips=2", "lr=0.02"):
    SMALL += ["--set", _pair]
QUICK = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def few(run, tmp_path_factory):
    """A folder with few.jsonl, the few-shot protocol on three labels in two domains, and a run on the laboratory's part."""
    folder = tmp_path_factory.mktemp("few")
    clips = run("synth", "--clips", 90, "--classes", 3, "--subjects", 8, "--domains", "laboratory,street")
    plan = ["--protocol", "few-shot", "--source", "laboratory", "--target", "street", "--shots", 2, "--runs", 3]
    (folder / "few.jsonl").write_text(run("make-splits", *plan, stdin=clips.out).out)
    trained = run("train-rec", *SMALL, "--out", "run", "--cache", "cache", "few.jsonl", cwd=folder, env=QUICK)
    assert trained.code == 0, trained.err
    return folder, trained


def targets(folder):
    rows = [json.loads(line) for line in (folder / "few.jsonl").read_text().splitlines()]
    return [row for row in rows if "support_runs" in row]


@pytest.mark.parametrize("mode", ["head", "prototype", "full"])
def test_a_line_for_each_query_and_run_that_score_averages(run, few, mode):
    folder, _ = few
    result = run("adapt", "run", "--mode", mode, "--steps", 3, "few.jsonl", cwd=folder, env=QUICK)
    assert result.code == 0, result.err
    queries = [(row, k) for row in targets(folder) for k in range(3) if k not in row["support_runs"]]
    expected = [(row["id"], k, row["label"], "street") for row, k in queries]
    assert [(x["id"], x["run"], x["label"], x["domain"]) for x in result.records] == expected
    for line in result.records:
        assert set(line) == {"id", "run", "label", "domain", "scores", "taxonomy"} and line["taxonomy"] == "mma82"
        assert len(line["scores"]) == 82 and sum(line["scores"]) == pytest.approx(1, abs=1e-4)
    scored = run("score", "--metric", "top1", "--level", "action", "--mean-over", "run", stdin=result.out).records
    assert scored[0]["runs"] == 3 and scored[0]["value"] > 0.2


def test_kept_features_change_nothing(run, few):
    folder, _ = few
    outs = [run("adapt", "run", "--cache", "features", "few.jsonl", cwd=folder, env=QUICK).out for _ in range(2)]
    assert outs[0] == outs[1] == run("adapt", "run", "few.jsonl", cwd=folder, env=QUICK).out
    (kept,) = (folder / "features").iterdir()
    whole = kept.read_bytes()
    for torn in (whole[:1000], b""):
        kept.write_bytes(torn)
        again = run("adapt", "run", "--cache", "features", "few.jsonl", cwd=folder, env=QUICK)
        assert again.out == outs[0] and kept.read_bytes() == whole, again.err


def test_what_is_no_few_shot_protocol_is_named(run, few):
    folder, _ = few
    rows = targets(folder)[:4]
    for runs, code, said in ((["x"], 1, "a list of runs"), ([-1], 1, "a list of runs"), ([], 1, "no record is support")):
        wrong = [{**row, "support_runs": runs} for row in rows]
        result = run("adapt", "run", cwd=folder, stdin=wrong, env=QUICK)
        assert result.code == code and said in result.err and result.err.count("\n") == 1
    plain = [{key: value for key, value in row.items() if key != "support_runs"} for row in rows]
    assert "4 records without support_runs passed over" in run("adapt", "run", cwd=folder, stdin=plain, env=QUICK).err


def test_a_clip_that_comes_twice_is_named(run, few):
    folder, _ = few
    rows = targets(folder)
    twice = run("adapt", "run", cwd=folder, stdin=[*rows, {**rows[0], "support_runs": [7]}], env=QUICK)
    assert (twice.code, twice.out, twice.err.count("\n")) == (1, "", 1)
    assert f'<stdin>:{len(rows) + 1}: id "{rows[0]["id"]}" was given before, at <stdin>:1; ids must differ' in twice.err


def test_no_domain_is_made_up(run, few):
    folder, _ = few
    rows = [{key: value for key, value in row.items() if key != "domain"} for row in targets(folder)]
    result = run("adapt", "run", cwd=folder, stdin=rows, env=QUICK)
    assert result.code == 0 and result.records and not any("domain" in line for line in result.records)


def test_runs_are_those_that_have_support(run, few):
    folder, _ = few
    rows = [{**row, "support_runs": [10**9] if 0 in row["support_runs"] else []} for row in targets(folder)]
    result = run("adapt", "run", cwd=folder, stdin=rows, env=QUICK)
    assert [(x["id"], x["run"]) for x in result.records] == [(x["id"], 10**9) for x in rows if not x["support_runs"]]
    nothing = run("adapt", "run", cwd=folder, stdin=[{**row, "support_runs": [0]} for row in rows], env=QUICK)
    assert nothing.code == 1 and "every record is support in every run" in nothing.err and nothing.err.count("\n") == 1


def test_a_clip_without_a_joint_teaches_nothing_and_is_as_likely_anything(run, few):
    folder, _ = few
    rows = targets(folder)
    taught = next(row for row in rows if row["support_runs"])
    asked = next(row for row in rows if row is not taught and 0 not in row["support_runs"])
    blind = [{**row, "keypoints": [None, None]} if row in (taught, asked) else row for row in rows]
    result = run("adapt", "run", cwd=folder, stdin=blind, env=QUICK)
    assert result.err == "mma82 adapt: 2 clips without a joint: no run learns from them, their scores are uniform\n"
    scores = {(x["id"], x["run"]): x["scores"] for x in result.records}
    assert scores[asked["id"], 0] == pytest.approx([1 / 82] * 82)
    others = run("adapt", "run", cwd=folder, stdin=[row for row in rows if row not in (taught, asked)], env=QUICK)
    assert len(others.records) > 9
    for line in others.records:
        assert scores[line["id"], line["run"]] == pytest.approx(line["scores"], abs=1e-5)


@pytest.mark.parametrize("option", [["--pull", "1e300"], ["--lr", "inf"], ["--mode", "full", "--lr", "1e30"]])
def test_options_beyond_their_range(run, few, option):
    result = run("adapt", "run", *option, "few.jsonl", cwd=few[0], env=QUICK)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)


# -- the cache of joints -----------------------------------------------------------------------------------------


def test_a_run_on_kept_joints_is_the_same(run, few):
    folder, first = few
    (kept,) = os.listdir(folder / "cache")
    before = os.stat(folder / "cache" / kept / "train.joints.npy").st_mtime_ns
    again = run("train-rec", *SMALL, "--out", "again", "--cache", "cache", "few.jsonl", cwd=folder, env=QUICK)
    plain = run("train-rec", *SMALL, "--out", "plain", "few.jsonl", cwd=folder, env=QUICK)
    assert again.err == plain.err == first.err
    assert (folder / "again/last.safetensors").read_bytes() == (folder / "plain/last.safetensors").read_bytes()
    assert os.stat(folder / "cache" / kept / "train.joints.npy").st_mtime_ns == before


def test_other_records_and_damaged_arrays_are_read_anew(run, few, tmp_path):
    folder, _ = few
    rows = [row for row in map(json.loads, (folder / "few.jsonl").read_text().splitlines()) if row.get("split") == "train"]
    train = ["train-rec", *SMALL, "--set", "epochs=1", "--cache", "c", "a.jsonl"]

    def said(records, out):
        (tmp_path / "a.jsonl").write_bytes(as_lines(records))
        return run(*train, "--out", out, cwd=tmp_path, env=QUICK).err

    assert f"{len(rows)} train clips" in said(rows, "1") and f"{len(rows) - 1} train clips" in said(rows[1:], "2")
    assert len(os.listdir(tmp_path / "c")) == 2
    for kept in os.listdir(tmp_path / "c"):
        (tmp_path / "c" / kept / "train.joints.npy").write_bytes(b"torn")
    assert f"{len(rows)} train clips" in said(rows, "3")


def test_faults_are_told_again_and_nothing_is_kept(run, few, tmp_path):
    rows = [{**row, "split": "train"} for row in targets(few[0])]
    rows[2]["label"] = "flying"
    (tmp_path / "a.jsonl").write_bytes(as_lines(rows))
    train = ["train-rec", *SMALL, "--set", "epochs=1", "--cache", "c", "--on-error", "skip", "a.jsonl"]
    for out in ("1", "2"):
        result = run(*train, "--out", out, cwd=tmp_path, env=QUICK)
        assert result.code == 1 and "flying" in result.err
    assert not (tmp_path / "c").exists()


# -- heads -------------------------------------------------------------------------------------------------------


def problem(seed, clips=24, classes=3, size=5, runs=4):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(clips, size, generator=generator) + 2
    labels = torch.randint(0, classes, (clips,), generator=generator)
    support = torch.rand(runs, clips, generator=generator) < 0.4
    return features, labels, support, torch.randn(classes, size, generator=generator), torch.randn(classes, generator=generator)


@pytest.mark.parametrize("seed", range(3))
def test_runs_fitted_together_are_those_fitted_alone(seed):
    features, labels, support, weight, bias = problem(seed)
    support[1] = False
    together = fit_heads(features, labels, support, weight, bias, steps=30)
    for run_number in range(len(support)):
        alone = fit_heads(features, labels, support[run_number : run_number + 1], weight, bias, steps=30)[0]
        torch.testing.assert_close(together[run_number], alone, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together[1], features @ weight.T + bias, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pull", [0.03, 1.0])
def test_a_fitted_head_is_the_minimum(pull):
    features, labels, support, weight, bias = problem(1)
    support = support[:1]
    logits = fit_heads(features, labels, support, weight, bias, pull, steps=3000)[0]
    scale = features.square().sum(1).mean().sqrt()
    x = torch.cat((features / scale, torch.ones(len(features), 1)), 1).double()
    start = torch.cat((weight * scale, bias[:, None]), 1).double()
    layer = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([layer], 1, 500, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        chosen = support[0]
        loss = torch.nn.functional.cross_entropy(x[chosen] @ layer.T, labels[chosen], reduction="sum")
        loss = loss + pull / 2 * (layer - start).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(logits.numpy(), (x @ layer.T).detach().numpy(), atol=2e-3)


def test_prototypes_are_nearest_mean_directions():
    features = torch.tensor([[1.0, 0], [3, 0.1], [0, 1], [0.1, 2], [-1, 0]])
    labels, support = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([[True, False, True, False, False], [False] * 5])
    logits = prototypes(features, labels, support, 3)
    assert logits[0].argmax(1).tolist()[:4] == [0, 0, 1, 1] and (logits[0, :, 2] == -torch.inf).all()
    assert (logits[1] == 0).all()
    assert logits[0, 1, 0].item() == pytest.approx(10 * 3 / (9.01**0.5), rel=1e-5)
