"""`mma82 train-rec` and `mma82 infer` as their users call them."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest
from conftest import ROOT, as_lines, write_taxonomy
from test_streams import on_terminal

LABELS = ["sitting up", "nodding", "waving"]
QUICK = {"OMP_NUM_THREADS": "1"}
KEYS = "epochs=2 size=8 train_size=8 frames=8 base_channels=4 stage_blocks=[1,1] temporal_strides=[1,1] clips=2"
TINY = [part for pair in KEYS.split() for part in ("--set", pair)]
FILES = ["best.safetensors", "last.safetensors", "last.state.safetensors", "log.jsonl", "recipe.toml"]


@pytest.fixture(scope="module")
def taxonomy(tmp_path_factory):
    return write_taxonomy(tmp_path_factory.mktemp("t") / "three.json", LABELS)


def skeletons(n=40, split=None):
    """Small clips: one joint moves in its own way for each label."""
    rng, rows = random.Random(0), []
    for i in range(n):
        label, frames = i % 3, []
        for t in range(6 + i % 7):
            joints = []
            for j in range(17):
                shift = 30 * math.sin(t) if j == 5 * label else 0
                joints += [round(100 + 9 * j + shift + rng.random(), 2), round(100 + 40 * (j % 4), 2), 0.9]
            frames.append(joints)
        which = split or ("train", "train", "train", "val", "test")[i % 5]
        rows.append({"id": f"c{i}", "label": LABELS[label], "split": which, "note": {"kept": [i]}, "width": 320, "height": 240,
                     "layout": "coco17", "keypoints": frames, "fps": 25.0})  # fmt: skip
    return rows


def train(run, taxonomy, out, *more, stdin=None, **options):
    return run("train-rec", "--out", out, "--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, *more,
               stdin=skeletons() if stdin is None else stdin, env=QUICK, **options)  # fmt: skip


@pytest.fixture(scope="module")
def trained(run, taxonomy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "new" / "run"
    result = train(run, taxonomy, folder)
    assert result.code == 0, result.err
    return folder, result


def infer(run, folder, *more, stdin=None):
    return run("infer", folder, *more, stdin=skeletons() if stdin is None else stdin, env=QUICK)


# -- train-rec -------------------------------------------------------------------------------------------------


def test_a_line_an_epoch_and_the_files_of_a_run(trained):
    folder, result = trained
    assert [line["epoch"] for line in result.records] == [1, 2]
    for line in result.records:
        assert {"epoch", "lr", "loss", "train_top1", "val_top1", "val_mca", "seconds"} <= set(line)
    assert sorted(os.listdir(folder)) == FILES
    assert [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()] == result.records
    assert "base_channels = 4" in (folder / "recipe.toml").read_text()


def test_a_person_sees_epoch_loss_and_validation(taxonomy, tmp_path):
    (tmp_path / "clips.jsonl").write_bytes(as_lines(skeletons()))
    options = ["--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, "--set", "epochs=3", tmp_path / "clips.jsonl"]
    shown = on_terminal("train-rec", "--out", tmp_path / "r", *options, **QUICK)
    last = shown.split("\r")[-3:]
    assert any(all(word in line for word in ("clip/s", "epoch=", "loss=", "val_top1=", "val_mca=")) for line in last), shown


def test_weights_say_what_they_are(trained):
    from safetensors import safe_open

    with safe_open(trained[0] / "best.safetensors", "np") as file:
        about = json.loads(file.metadata()["mma82"])
    assert about["taxonomy"]["name"] == "three" and about["layout"] == "coco17" and about["target"] == "label"
    assert about["recipe"]["frames"] == 8 and about["epoch"] in (1, 2)


def test_one_clip_a_class_is_enough_and_without_val_best_is_last_said_once(run, taxonomy, tmp_path):
    result = train(run, taxonomy, tmp_path / "r", stdin=skeletons(3, "train"))
    assert result.code == 0 and result.err.count("no val records") == 1
    assert "val_top1" not in result.records[0]
    assert (tmp_path / "r" / "best.safetensors").read_bytes() == (tmp_path / "r" / "last.safetensors").read_bytes()


def test_deterministic_runs_are_the_same_bytes_and_resume_goes_on_exactly(run, taxonomy, tmp_path):
    one = train(run, taxonomy, tmp_path / "one", "--deterministic")
    two = train(run, taxonomy, tmp_path / "two", "--deterministic")
    assert one.code == 0 and one.out == two.out
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in FILES)
    again = train(run, taxonomy, tmp_path / "one", "--resume")
    assert (again.code, again.out) == (0, "") and f"the run in {tmp_path / 'one'} has ended: epoch " in again.err


def change(rows, at, **fields):
    rows = [dict(row) for row in rows]
    rows[at] = {key: value for key, value in {**rows[at], **fields}.items() if value != "ABSENT"}
    return rows


BAD = [
    ({"keypoints": "ABSENT"}, "field 'keypoints' is"),
    ({"keypoints": [[1.0, 2.0]]}, "51 for 17 joints"),
    ({"keypoints": [[1.0, "x", 0.5] * 17]}, '"x"'),
    ({"layout": "ABSENT"}, "field 'layout' is"),
    ({"layout": "jhmdb15"}, "expected coco17"),
    ({"label": "flying"}, "field 'label' is \"flying\"; expected a label of three"),
    ({"label": "ABSENT"}, "field 'label' is"),
    ({"split": "ABSENT"}, "field 'split' is missing"),
    ({"split": "tset"}, "field 'split' is \"tset\""),
    ({"width": -3}, "field 'width' is -3"),
]


@pytest.mark.parametrize("recipe, changes", [("posec3d-tiny", TINY), ("stgcn", ["--set", "channels=[6,12]", "--set",
                                             "dilations=[1]", "--set", "frames=8", "--set", "epochs=4"])])  # fmt: skip
def test_bf16_with_few_channels(run, taxonomy, tmp_path, recipe, changes):
    """Where oneDNN's gradients of convolutions with a stride write past their memory, this aborts."""
    options = ("--recipe", recipe, "--taxonomy", taxonomy, "--precision", "bf16", "--out", tmp_path / "run", *changes)
    result = run("train-rec", *options, stdin=skeletons(), env=QUICK)
    assert (result.code, math.isfinite(result.records[-1]["loss"])) == (0, True), result.err


@pytest.mark.parametrize("fields, said", BAD)
def test_bad_records_are_placed(run, taxonomy, tmp_path, fields, said):
    result = train(run, taxonomy, tmp_path / "r", stdin=change(skeletons(6, "train"), 3, **fields))
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.startswith("mma82 train-rec: <stdin>:4: ") and said in result.err and "null" not in result.err


@pytest.mark.parametrize("stdin, said", [(skeletons(5, "test"), "no train records"), ([], "no train records")])
def test_without_train_records(run, taxonomy, tmp_path, stdin, said):
    result = train(run, taxonomy, tmp_path / "r", stdin=stdin)
    assert result.code == 1 and said in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_clips_without_a_joint_are_left_out_and_null_frames_are_not(run, taxonomy, tmp_path):
    rows = change(skeletons(9, "train"), 0, keypoints=[None, None])
    rows = change(rows, 1, keypoints=[None, *rows[1]["keypoints"], None])
    result = train(run, taxonomy, tmp_path / "r", stdin=rows)
    assert result.code == 0 and "1 clips left out" in result.err and "8 train clips" in result.err


def test_a_layout_without_limbs_has_none_to_draw(run, taxonomy, tmp_path):
    (tmp_path / "bare.json").write_text(json.dumps({"name": "coco17", "joints": [f"j{i}" for i in range(17)]}))
    result = train(run, taxonomy, tmp_path / "r", "--layout", tmp_path / "bare.json", "--set", "heatmaps=joint+limb")
    assert result.code == 1 and result.err.count("\n") == 1
    assert 'layout coco17 has no limbs; expected some for heatmaps = "joint+limb"' in result.err


def test_skip_sets_bad_records_aside(run, taxonomy, tmp_path):
    rows = change(skeletons(9, "train"), 3, label="flying")
    result = train(run, taxonomy, tmp_path / "r", "--on-error", "skip", "--set", "epochs=1", stdin=rows)
    assert result.code == 1 and len(result.records) == 1 and "8 train clips" in result.err
    assert any(json.loads(line)["line"] == 4 for line in result.err.splitlines() if line.startswith("{"))
    rows = [*skeletons(9, "train"), *skeletons(2, "val")]
    again = train(run, taxonomy, tmp_path / "s", "--set", "epochs=1", stdin=rows)
    assert again.code == 0 and '2 of 9 ids come more than once, such as "c0"; each record counts' in again.err, again.err


@pytest.mark.parametrize(
    "more, said",
    [
        (["--set", "epoch=3"], "did you mean 'epochs'"),
        (["--recipe", "posec4d"], ", gc-tsm, "),
        (["--resume"], "nothing to resume"),
        (["--layout", "coco18"], "no layout 'coco18'"),
        (["--init", "nowhere.safetensors"], "No such file"),
        (["--device", "cuda"], "no CUDA device"),
    ],
)
def test_wrong_usage(run, taxonomy, tmp_path, more, said):
    if "cuda" in more and os.path.exists("/dev/nvidia0"):
        pytest.skip("there is a CUDA device")
    result = train(run, taxonomy, tmp_path / "r", *more)
    assert result.code == 2 and said in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize(
    "command, recipe, smaller",
    [
        ("train-det", "adatad", "adatad-tiny"),
        ("train-det", "adatad-s", "adatad-tiny"),
        ("train-rec", "posec3d", "posec3d-tiny"),
        ("train-rec", "tsn", "gc-tsm-tiny"),
        ("train-rec", "stgcn", None),
        ("train-det", "adatad-tiny", None),
        ("train-rec", "posec3d --set train_size=16", None),
    ],
)
def test_a_recipe_for_a_gpu_says_so_on_a_cpu_before_it_reads(run, tmp_path, command, recipe, smaller):
    result = run(command, "--out", tmp_path, "--device", "cpu", "--recipe", *recipe.split())
    said = f"mma82 {command}: recipe '{recipe}' is for a GPU, and may take days on a CPU; {smaller} is for a CPU"
    assert result.code == 1 and "no train records" in result.err
    assert result.err.splitlines()[:-1] == [said] * bool(smaller)


def test_resume_with_another_recipe_taxonomy_or_data_is_refused(run, trained, taxonomy):
    folder = trained[0]
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    for more, said in (("--set lr=0.5", "has lr = "), ("--taxonomy mma82", "is of taxonomy three"), ("--seed 3", "has seed 0")):
        result = train(run, taxonomy, folder, "--resume", *more.split())
        assert result.code == 1 and said in result.err and result.err.count("\n") == 1
    assert "has clips" in train(run, taxonomy, folder, "--resume", stdin=skeletons(9, "train")).err
    relabelled = change(skeletons(), 0, label=LABELS[1])
    assert "learns from other records, though as many" in train(run, taxonomy, folder, "--resume", stdin=relabelled).err
    assert before == {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def test_a_run_begun_anew_is_told_of(run, taxonomy, tmp_path):
    first, again = (train(run, taxonomy, tmp_path, "--set", "epochs=1") for _ in range(2))
    said = f"mma82 train-rec: the run in {tmp_path} is begun anew (--resume goes on with it)\n"
    assert first.code == again.code == 0 and said not in first.err and said in again.err


def test_init_takes_weights_and_starts_the_head_anew_for_other_labels(run, trained, tmp_path):
    weights, four = trained[0] / "best.safetensors", write_taxonomy(tmp_path / "four.json", [*LABELS, "resting"])
    other = train(run, four, tmp_path / "a", "--init", weights, "--set", "epochs=1")
    assert other.code == 0 and other.err.count("has other labels than four") == 1
    misfit = train(run, four, tmp_path / "b", "--init", weights, "--set", "base_channels=8")
    assert misfit.code == 1 and "wrong shape" in misfit.err.splitlines()[-1] and "Traceback" not in misfit.err
    assert "anew" not in misfit.err


def test_ctrl_c_leaves_whole_checkpoints(run, taxonomy, tmp_path):
    from safetensors.numpy import load_file

    command = [ROOT / "bin" / "mma82", "train-rec", "--out", tmp_path, "--recipe", "posec3d-tiny", "--taxonomy", taxonomy]
    command += [*TINY, "--set", "epochs=5000"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, env={**os.environ, **QUICK}) as process:
        process.stdin.write(as_lines(skeletons()))
        process.stdin.close()
        process.stdout.readline()  # the first epoch is done
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        said = process.stderr.read().decode()
        assert process.wait(60) == 130 and "Traceback" not in said
    assert sorted(name for name in os.listdir(tmp_path) if name.startswith(".")) == []
    state = load_file(tmp_path / "last.state.safetensors")
    assert any(key.startswith("optimizer.") for key in state) and load_file(tmp_path / "best.safetensors")


# -- infer -----------------------------------------------------------------------------------------------------


def test_scores_are_probabilities_and_records_are_enriched(run, trained):
    result = infer(run, trained[0], "--split", "test")
    given = [row for row in skeletons() if row["split"] == "test"]
    assert result.code == 0 and [x["id"] for x in result.records] == [x["id"] for x in given]
    for row, got in zip(given, result.records, strict=True):
        assert len(got["scores"]) == 3 and sum(got["scores"]) == pytest.approx(1, abs=1e-5) and min(got["scores"]) >= 0
        assert got["taxonomy"] == "three"
        row.pop("keypoints")
        assert list(got) == [*row, "scores", "taxonomy"] and all(got[key] == row[key] for key in row)


def test_a_split_that_no_record_is_of_is_said(run, trained):
    none, one = infer(run, trained[0], "--split", "tset"), infer(run, trained[0], "--split", "test")
    assert (none.code, none.out) == (0, "") and one.err == ""
    assert none.err == f'mma82 infer: none of {len(skeletons())} records is of split "tset"\n'


def test_a_cache_for_joints_is_said_to_be_of_no_use(run, trained, tmp_path):
    result = infer(run, trained[0], "--cache", tmp_path / "packs")
    assert result.code == 0 and result.err.count("of joints inference keeps nothing") == 1 and not (tmp_path / "packs").exists()


def test_the_same_bytes_whatever_the_threads_file_or_batch(run, trained, tmp_path):
    (tmp_path / "c.jsonl").write_bytes(as_lines(skeletons()))
    first = infer(run, trained[0])
    assert first.code == 0
    other = {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "7"}
    assert run("infer", trained[0] / "best.safetensors", tmp_path / "c.jsonl", env=other).out == first.out
    kept = infer(run, trained[0], "--keep-keypoints", "--batch-size", "7").records
    assert [row["keypoints"] for row in kept] == [row["keypoints"] for row in skeletons()]
    for a, b in zip(first.records, kept, strict=True):
        assert a["scores"] == pytest.approx(b["scores"], abs=0.02)


def test_a_record_leaves_infer_before_the_next_comes(trained):
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen([ROOT / "bin" / "mma82", "infer", trained[0]], **pipes, env={**os.environ, **QUICK}) as process:
        process.stdin.write(as_lines(skeletons()[:1]))
        process.stdin.flush()
        assert "scores" in json.loads(process.stdout.readline())  # hangs, and so fails, if it waits for a batch
        process.stdin.close()
    assert process.returncode == 0


def test_topk_in_place_of_scores(run, trained):
    full, best = infer(run, trained[0]).records, infer(run, trained[0], "--topk", "2").records
    assert len(full) > 1
    for a, b in zip(full, best, strict=True):
        order = sorted(range(3), key=lambda i: -a["scores"][i])[:2]
        assert b["topk"] == [[LABELS[i], a["scores"][i]] for i in order] and "scores" not in b


def test_a_clip_without_joints_is_said_in_its_record(run, trained):
    rows = [{"id": "nobody", "layout": "coco17", "keypoints": [None, None], "warnings": ["dark"]}]
    result = infer(run, trained[0], stdin=rows)
    assert result.code == 0
    assert result.records[0]["scores"] == pytest.approx([1 / 3] * 3)
    assert result.records[0]["warnings"] == ["dark", "no joints: scores are uniform"]


@pytest.mark.parametrize("fields, said", [BAD[1], BAD[4]])
def test_bad_records_are_placed_after_the_good_ones(run, trained, fields, said):
    result = infer(run, trained[0], stdin=change(skeletons(6), 3, **fields))
    assert (result.code, len(result.records), result.err.count("\n")) == (1, 3, 1)
    assert result.err.startswith("mma82 infer: <stdin>:4: ") and said in result.err.replace("null", "missing")
    skipped = infer(run, trained[0], "--on-error", "skip", "--batch-size", "4", stdin=change(skeletons(6), 3, **fields))
    assert skipped.code == 1 and [x["id"] for x in skipped.records] == ["c0", "c1", "c2", "c4", "c5"]


@pytest.mark.parametrize(
    "more, code, said",
    [
        (["--taxonomy", "mma82"], 1, "is of taxonomy three (3 labels); found mma82 (82 labels)"),
        (["--layout", "jhmdb15"], 1, "reads 17 joints, layout jhmdb15 has 15"),
        (["--recipe", "posec3d-ntu"], 1, "has 2 stages; the recipe has temporal strides for 3, [1, 1, 2]"),
        (["--taxonomy", "nowhere"], 2, "nowhere"),
        (["--topk", "x"], 2, "topk"),
        (["--raw"], 2, "--raw: a checkpoint of posec3d; expected a detector"),
    ],
)
def test_what_does_not_fit_the_checkpoint(run, trained, more, code, said):
    result = infer(run, trained[0], *more)
    assert result.code == code and said in result.err and result.err.count("\n") == 1 and result.out == ""


def test_records_of_another_layout_than_the_checkpoint_s(run, trained):
    result = infer(run, trained[0], stdin=change(skeletons(1), 0, layout="jhmdb15"))
    assert result.code == 1 and '"jhmdb15"; expected coco17, as the checkpoint was trained on' in result.err


def test_a_checkpoint_that_is_none(run, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{" + b"no" * 40)
    for path, code in ((tmp_path / "x.safetensors", 1), (tmp_path / "nowhere", 2), (tmp_path, 2)):
        result = infer(run, path)
        assert result.code == code and result.err.count("\n") == 1 and result.out == ""


@pytest.mark.parametrize("blocks", [(1, 1, 1), (1, 1), (1, 1, 1, 1)])
def test_a_peers_checkpoint_needs_its_taxonomy(run, tmp_path, taxonomy, blocks):
    import torch

    from mma82cli.models.posec3d import PoseC3D

    peer = PoseC3D(num_classes=3, base_channels=4, stage_blocks=blocks, temporal_strides=(1,) * len(blocks))
    torch.save({"state_dict": peer.state_dict(), "meta": {}}, tmp_path / "peer.pth")
    rows = skeletons(2)
    assert "scores 3 labels, taxonomy mma82 has 82" in infer(run, tmp_path / "peer.pth", stdin=rows).err
    result = infer(run, tmp_path / "peer.pth", "--taxonomy", taxonomy, "--clips", "1", stdin=rows)
    assert result.code == 0 and len(result.records[0]["scores"]) == 3, result.err


def test_a_peers_checkpoint_with_its_trainers_logs(run, tmp_path, taxonomy, monkeypatch):
    """As mmengine's runner writes them; of what is no tensor nothing is made, nor run."""
    import numpy as np
    import torch

    from mma82cli.models.posec3d import PoseC3D

    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer"):
        monkeypatch.setitem(sys.modules, name, module := types.ModuleType(name))
    history = module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": module.__name__})
    buffer, seen = history(), tmp_path / "seen"
    buffer.log_history = np.arange(3.0)
    buffer.hostile = type("Hostile", (), {"__reduce__": lambda self: (shutil.copyfile, (__file__, str(seen)))})()
    peer = PoseC3D(num_classes=3, base_channels=4, stage_blocks=(1, 1, 1))
    hub = {"log_scalars": {"train/loss": buffer}, "best": np.float64(0.5)}
    torch.save({"state_dict": peer.state_dict(), "message_hub": hub}, tmp_path / "epoch_24.pth")
    torch.save({"state_dict": peer.state_dict()}, tmp_path / "plain.pth")
    asked = ["--taxonomy", taxonomy, "--clips", "1"]
    with_logs, plain = (infer(run, tmp_path / name, *asked, stdin=skeletons(2)) for name in ("epoch_24.pth", "plain.pth"))
    assert with_logs.code == 0 and with_logs.out == plain.out and not seen.exists(), with_logs.err
    torch.save(buffer, tmp_path / "log.pth")
    alone = infer(run, tmp_path / "log.pth")
    assert alone.code == 1 and "it asks for mmengine.logging.history_buffer.HistoryBuffer; expected" in alone.err
