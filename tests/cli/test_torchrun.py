"""Training and inference on two processes: the same numbers, every clip once, in the order of the input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, as_lines, write_film

SIZES = ["stage_blocks=[1,1]", "temporal_strides=[1,1]", "base_channels=8", "micro_batch=4", "batch_size=12"]
TINY = ["epochs=2", "clips=2", *SIZES]
SMALL = [word for change in TINY for word in ("--set", change)]


def torchrun(*arguments, cwd) -> subprocess.CompletedProcess:
    """The suite on two processes that meet on this machine."""
    command = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2", "-m", "mma82cli", *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """A folder with clips.jsonl: 46 clips, one of them without a joint, in two splits."""
    folder = tmp_path_factory.mktemp("torchrun")
    clips = run("synth", "--clips", 46, "--classes", 3, "--subjects", 8).records
    for i, clip in enumerate(clips):
        clip["split"] = "val" if i % 5 == 0 else "train"
    clips[7]["keypoints"] = [None] * len(clips[7]["keypoints"])
    (folder / "clips.jsonl").write_bytes(as_lines(clips))
    return folder


def test_two_processes_are_as_one(run, folder):
    train = ["train-rec", "--recipe", "posec3d-tiny", *SMALL, "--precision", "float32", "--deterministic", "clips.jsonl"]
    one = run(*train, "--out", "one", cwd=folder, env={"OMP_NUM_THREADS": "1"})
    two = torchrun(*train, "--out", "two", cwd=folder)
    assert one.code == two.returncode == 0, two.stderr
    assert two.stderr.count("train, ") == 1  # one process speaks
    lines = [json.loads(line) for line in two.stdout.splitlines()]
    assert len(lines) == 2
    for mine, theirs in zip(one.records, lines, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    infer = ["infer", "one", "--precision", "float32", "clips.jsonl"]
    alone = run(*infer, cwd=folder, env={"OMP_NUM_THREADS": "1"})
    shared = torchrun(*infer, "-o", "scores.jsonl", cwd=folder)
    assert shared.returncode == 0 and shared.stdout == "", shared.stderr
    assert (folder / "scores.jsonl").read_text() == alone.out and len(alone.records) == 46


def test_a_record_set_aside_cuts_no_process_short(folder):
    """All processes have met it, but the silent one has done before the first has written."""
    lines = (folder / "clips.jsonl").read_text().replace('"split": "train"', '"split": "val"').splitlines()
    many = [json.dumps({**json.loads(lines[0]), "split": "train"}), *lines[1:] * 3, '{"id": "bad"}']
    (folder / "many.jsonl").write_text("\n".join(many))
    done = torchrun("train-rec", "--recipe", "posec3d-tiny", *SMALL, "--set", "epochs=1", "--set", "size=64",
                    "--on-error", "skip", "--out", "skip", "many.jsonl", cwd=folder)  # fmt: skip
    assert done.returncode == 1 and done.stderr.count('"error":') == 1
    assert [json.loads(line)["epoch"] for line in done.stdout.splitlines()] == [1], done.stderr
    assert (folder / "skip" / "last.state.safetensors").exists()


def test_an_error_is_told_once_and_standard_input_refused(folder):
    (folder / "bad.jsonl").write_text((folder / "clips.jsonl").read_text() + '{"id": 1}\n')
    bad = torchrun("train-rec", "--out", "x", "bad.jsonl", cwd=folder)
    assert bad.returncode != 0 and bad.stderr.count("bad.jsonl:47:") == 1
    assert torchrun("train-rec", "--out", "x", cwd=folder).stderr.count("give a FILE") == 1


def test_what_only_one_process_meets_is_told_by_it(tmp_path):
    """A picture in a pack is damaged, which the second process alone has to read."""
    from mma82cli.video import Clip
    from mma82cli.video.cache import Cache

    write_film(tmp_path / "film.avi", np.random.default_rng(0).integers(0, 255, (40, 24, 32, 3), np.uint8), 10)
    clips = [{"video": "film.avi", "start": i, "end": i + 1, "label": i, "split": "train"} for i in range(4)]
    (tmp_path / "clips.jsonl").write_bytes(as_lines(clips))
    last = int(np.random.default_rng([0, 1]).permutation(4)[-1])  # of the first epoch's order
    packs, clip = Cache(tmp_path / "packs", 24), Clip(str(tmp_path / "film.avi"), last, last + 1)
    packs.make(clip)
    path = packs.path(clip)
    whole = path.read_bytes()
    path.write_bytes(whole[:192] + b"x" * (len(whole) - 192))
    sizes = ["short_side=24", "size=24", "test_size=24", "frames=4", "base_channels=8", "stage_blocks=[1,1]", "micro_batch=2"]
    small = [word for change in ("batch_size=4", *sizes) for word in ("--set", change)]
    where = ["--cache", "packs", "--out", "run", "clips.jsonl"]
    done = torchrun("train-rec", "--recipe", "gc-tsm-tiny", *small, *where, cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if line.startswith("mma82 ")]
    assert done.returncode and f"packs/{path.name}: a damaged pack of film.avi" in "".join(lines), done.stderr
    assert "fault of mma82" not in done.stderr
