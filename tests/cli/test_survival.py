"""What befalls long runs: killed, out of disk, a video gone, a process of several dead. The last checkpoint stands."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, as_lines, write_taxonomy
from test_rgb import TINY as TINY_RGB
from test_rgb import films  # noqa: F401 (a fixture)
from test_train_rec import FILES, LABELS, QUICK, TINY, skeletons

from mma82cli.training.checkpoint import read_about

LONG = ["--set", "epochs=5000"]


@pytest.fixture(scope="module")
def taxonomy(tmp_path_factory):
    return write_taxonomy(tmp_path_factory.mktemp("t") / "three.json", LABELS)


@contextmanager
def begun(folder, records, *options):
    """A run on `records` whose first epoch is done; ended at the latest when the block is left."""
    command = [ROOT / "bin" / "mma82", "train-rec", "--out", folder, *options]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(list(map(str, command)), **pipes, env={**os.environ, **QUICK}) as job:
        try:
            job.stdin.write(as_lines(records))
            job.stdin.close()
            assert json.loads(job.stdout.readline())["epoch"] == 1
            yield job
        finally:
            job.kill()


def assert_stopped(job, folder, *said: str) -> None:
    """One line about it, status 1, whole lines on stdout, whole checkpoints and nothing else in the folder."""
    from safetensors.torch import load_file

    lines, told = job.stdout.read().decode(), job.stderr.read().decode().splitlines()
    assert job.wait(60) == 1 and all(word in told[-1] for word in said), told
    assert told[-1].startswith("mma82 train-rec: ") and sum("mma82 train-rec: " in line for line in told) == len(told)
    assert all(json.loads(line)["epoch"] > 1 for line in lines.splitlines())
    assert sorted(os.listdir(folder)) == FILES
    assert load_file(folder / "last.state.safetensors") and load_file(folder / "best.safetensors")


def test_a_killed_run_goes_on_to_the_same_bytes(run, taxonomy, tmp_path):
    options = ["--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, "--set", "epochs=4", "--deterministic"]
    whole = run("train-rec", "--out", tmp_path / "whole", *options, stdin=skeletons(), env=QUICK)
    with begun(tmp_path / "killed", skeletons(), *options) as job:
        job.send_signal(signal.SIGKILL)
        job.wait(60)
    (tmp_path / "killed" / ".last.safetensors.0123456789abcdef.tmp").write_bytes(b"begun")  # as one killed at it leaves
    rest = run("train-rec", "--out", tmp_path / "killed", *options, "--resume", stdin=skeletons(), env=QUICK)
    assert whole.code == rest.code == 0, rest.err
    for name in FILES:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert sorted(os.listdir(tmp_path / "killed")) == FILES


def test_an_interrupted_run_saves_its_step_and_goes_on_to_the_same_bytes(run, taxonomy, tmp_path):
    many = [pair for word in ("epochs=2", "repeat=15", "batch_size=4", "micro_batch=2") for pair in ("--set", word)]
    options = ["--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, *many, "--deterministic"]
    whole = run("train-rec", "--out", tmp_path / "whole", *options, stdin=skeletons(), env=QUICK)
    for broken in (tmp_path / f"broken{n}" for n in range(5)):
        with begun(broken, skeletons(), *options) as job:
            job.send_signal(signal.SIGINT)
            assert (job.stdout.read(), job.wait(60)) == (b"", 130)
            assert job.stderr.read().decode().endswith(f"stopped, and saved in {broken}: --resume goes on from there\n")
        about = read_about(broken)
        if "begun" in about:  # else the signal came after an epoch's line and before the next one's first step
            break
    assert about["epoch"] == 1 and 0 < about["begun"]["steps"] < 90
    rest = run("train-rec", "--out", broken, *options, "--resume", stdin=skeletons(), env=QUICK)
    assert rest.code == 0 and whole.records[1:] == rest.records, rest.err
    for name in FILES:
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_weights_that_are_no_numbers_are_not_kept(run, taxonomy, tmp_path):
    """An epoch of one step, whose loss is that of the weights before it: without val nothing else would tell."""
    from safetensors.torch import load_file

    wild = [pair for word in ("optimizer=sgd", "lr=1000", "lr_batch=40", "batch_size=40", "micro_batch=40", "clip_norm=1e9",
            "momentum=0.99", "epochs=40") for pair in ("--set", word)]  # fmt: skip
    result = run("train-rec", "--out", tmp_path, "--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, *wild,
                 stdin=skeletons(split="train"), env=QUICK)  # fmt: skip
    assert result.code == 1 and "not finite" in result.err.splitlines()[-1] and "lower lr or clip_norm" in result.err
    for name in ("last.state.safetensors", "last.safetensors", "best.safetensors"):
        assert all(bool(values.isfinite().all()) for values in load_file(tmp_path / name).values()), name


def test_a_full_disk_ends_a_run_and_leaves_the_last_checkpoint(taxonomy, tmp_path):
    with begun(tmp_path, skeletons(), "--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, *LONG) as job:
        resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (5000, 5000))  # as good as no room: a checkpoint needs more
        assert_stopped(job, tmp_path, "safetensors: File too large; the last complete checkpoint stands")


def test_a_video_that_is_taken_away_ends_a_run(films, tmp_path):  # noqa: F811
    folder, records = films
    kept = tmp_path / "videos"
    kept.mkdir()
    for record in records:
        os.link(folder / record["video"], kept / record["video"])
    options = ["--recipe", "gc-tsm-tiny", *TINY_RGB, *LONG, "--taxonomy", folder / "three.json", "--root", kept]
    with begun(tmp_path / "run", records, *options) as job:
        os.unlink(kept / "4.mp4")
        assert_stopped(job, tmp_path / "run", f"{kept}/4.mp4", "No such file")


def test_a_dead_process_ends_all_of_them(taxonomy, tmp_path):
    (tmp_path / "clips.jsonl").write_bytes(as_lines(skeletons()))
    command = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2", "-m", "mma82cli", "train-rec"]
    command += ["--out", tmp_path / "run", "--recipe", "posec3d-tiny", "--taxonomy", taxonomy, *TINY, *LONG, "clips.jsonl"]
    env = {**os.environ, **QUICK, "PYTHONPATH": str(ROOT)}
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(list(map(str, command)), **pipes, env=env, cwd=tmp_path) as job:
        assert json.loads(job.stdout.readline())["epoch"] == 1
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        silent = [pid for pid in children if b"\0LOCAL_RANK=1\0" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()]
        start = time.monotonic()
        os.kill(int(silent[0]), signal.SIGKILL)
        job.communicate(timeout=90)
        assert job.returncode != 0 and time.monotonic() - start < 80
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
