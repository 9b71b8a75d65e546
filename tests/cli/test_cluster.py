"""The scripts of share/mma82/cluster, each run in small: Slurm's variables and commands are stood in for, the rest is real.

Training on two processes of one machine is in test_torchrun.py; here two machines meet, both of them this one.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, as_lines, write_film
from test_train_det import TINY

CLUSTER = ROOT / "share/mma82/cluster"
FOUND = [{"start": 1.0, "end": 2.5, "label": 7, "score": 0.9}, {"start": 1.25, "end": 3.0, "label": 7, "score": 0.5}]


def script(*words, cwd, stdin=b"", **env) -> subprocess.CompletedProcess:
    """A script of the folder, in bash, with `cwd`, this checkout's mma82 and its environment first on the path."""
    path = f"{cwd}:{ROOT / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env}
    command = ["bash", str(CLUSTER / words[0]), *map(str, words[1:])]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, env=env, timeout=300)


# -- Slurm ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder with clips.jsonl: 8 clips of two films of noise."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for name in "ab":
        write_film(folder / f"{name}.mp4", (rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(20)))
    clips = [{"video": f"{name}.mp4", "start": i / 5, "end": i / 5 + 0.3, "label": i} for name in "ab" for i in range(4)]
    (folder / "clips.jsonl").write_bytes(as_lines(clips))
    return folder


def test_the_tasks_of_an_array_make_the_whole(run, films):
    def task(number, **env):
        words = ["extract.sbatch", "clips.jsonl", ".", "parts", "--model", "dots"]
        done = script(*words, cwd=films, SLURM_ARRAY_TASK_ID=str(number), SLURM_CPUS_PER_TASK="1", **env)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr

    for number in (1, 2, 3):
        task(number, SLURM_ARRAY_TASK_COUNT="3")
    parts = sorted((films / "parts").iterdir())
    assert [part.name for part in parts] == [f"{i}-of-3.jsonl" for i in (1, 2, 3)]
    before = parts[1].read_bytes()
    parts[1].write_bytes(before[:-40])  # the machine went down
    task(2, SLURM_ARRAY_TASK_COUNT="1", SHARDS="3")
    assert parts[1].read_bytes() == before
    whole = run("extract-skeleton", "--model", "dots", "--root", films, "--jobs", 1, films / "clips.jsonl")
    assert whole.code == 0 and len(whole.records) == 8
    merged = "".join(part.read_text() for part in parts)
    assert sorted(merged.splitlines()) == sorted(whole.out.splitlines())
    (films / "merged.jsonl").write_text("".join(merged.splitlines(keepends=True)[:-1]))  # a task never ran to its end
    rest = ["--model", "dots", "--root", films, "--jobs", 1, "--resume", films / "merged.jsonl", films / "clips.jsonl"]
    assert run("extract-skeleton", *rest).code == 0 and (films / "merged.jsonl").read_text() == merged


SRUN = """#!/bin/bash
echo "$@" >> words
[ -z "$ECHO" ] || exit 0
"$@" & "$1" --rdzv-conf is_host=false "${@:2}" & wait -n && wait -n
"""  # the second is on the first machine, but knows nothing of it


@pytest.fixture
def slurm(tmp_path):
    """A folder with stand-ins for Slurm's commands on two machines."""
    for name, text in {"srun": SRUN, "scontrol": "#!/bin/bash\necho localhost; echo localhost\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def train(folder, *options, command="train-rec", **env) -> subprocess.CompletedProcess:
    """The job of train.sbatch on two machines."""
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "n[1-2]", "ECHO": ""}
    words = ["train.sbatch", command, "run", "clips.jsonl", *options]
    return script(*words, cwd=folder, **{**slurm, **env})


def test_two_machines_train_as_one(run, slurm):
    clips = run("synth", "--clips", 12, "--classes", 2, "--subjects", 4, "--domains", "street").records
    (slurm / "clips.jsonl").write_bytes(as_lines([{**c, "split": "val" if i % 4 == 0 else "train"} for i, c in enumerate(clips)]))
    sizes = ["epochs=1", "clips=1", "stage_blocks=[1,1]", "temporal_strides=[1,1]", "base_channels=8", "batch_size=4"]
    options = ["--recipe", "posec3d-tiny", *(word for size in sizes for word in ("--set", size))]
    done = train(slurm, *options)
    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line)["epoch"] for line in done.stdout.splitlines()] == [1]  # one of two processes speaks
    assert (slurm / "run/best.safetensors").is_file() and "--resume" not in (slurm / "words").read_text()


def test_two_machines_train_a_detector(run, slurm):
    small = ["--classes", 2, "--clips", 6, "--subjects", 4, "--jobs", 1]
    films = run("synth", "--kind", "detection", *small, "--videos", slurm).records
    (slurm / "clips.jsonl").write_bytes(as_lines([{**f, "split": "val" if i % 3 == 0 else "train"} for i, f in enumerate(films)]))
    done = train(slurm, "--recipe", "adatad-tiny", *TINY, "--set", "epochs=1", command="train-det")
    assert done.returncode == 0, done.stderr.decode()
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["epoch"] == 1 and "val_map50" in line and (slurm / "run/best.safetensors").is_file()


def test_a_job_that_comes_again_resumes_and_takes_all_gpus(slurm):
    (slurm / "run").mkdir()
    (slurm / "run/last.state.safetensors").touch()
    assert train(slurm, "--recipe", "stgcn", ECHO="1", SLURM_GPUS_ON_NODE="8").returncode == 0
    words = (slurm / "words").read_text().split()
    assert words[words.index("--nproc-per-node") + 1] == "8" and words[words.index("--nnodes") + 1] == "2"
    assert " ".join(words).endswith("-m mma82cli train-rec --out run --resume --recipe stgcn clips.jsonl")


@pytest.mark.parametrize("name", ["extract.sbatch", "train.sbatch"])
def test_jobs_say_what_they_take(name, tmp_path):
    done = script(name, "clips.jsonl", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(b"usage: sbatch ") and done.stderr.count(b"\n") == 1


# -- GNU parallel --------------------------------------------------------------------------------------------------

needs_parallel = pytest.mark.skipif(not shutil.which("parallel"), reason="GNU parallel is not installed")
VIDEOS = [{"id": f"v{i}", "predictions": FOUND} for i in range(600)]


@needs_parallel
def test_blocks_are_the_whole(run, tmp_path):
    done = script("filter.sh", "suppress", "--vote", "0.5", cwd=tmp_path, stdin=as_lines(VIDEOS), BLOCK="30k")
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert done.stdout.decode() == run("suppress", "--vote", "0.5", stdin=VIDEOS).out


@needs_parallel
def test_line_numbers_of_blocks_are_those_of_the_whole(run, tmp_path):
    lines = as_lines(VIDEOS).splitlines(keepends=True)
    lines[404] = b"\n"
    lines[431] = b"{bad\n"
    lines[517] = lines[517].replace(b'"start": 1.0', b'"start": "x"')
    data = b"".join(lines)
    stopped = script("filter.sh", "suppress", cwd=tmp_path, stdin=b"".join(lines[:500]), BLOCK="30k")
    assert stopped.returncode == 1 and b"\nmma82 suppress: <stdin>:432:2: broken JSON" in b"\n" + stopped.stderr
    skipped = script("filter.sh", "suppress", "--on-error", "skip", cwd=tmp_path, stdin=data, BLOCK="30k")
    alone = run("suppress", "--on-error", "skip", stdin=data)
    assert (skipped.returncode, skipped.stdout.decode(), skipped.stderr.decode()) == (1, alone.out, alone.err)
    assert [json.loads(line)["line"] for line in alone.err.splitlines()] == [432, 518]


@needs_parallel
def test_wrong_usage_is_told_once(tmp_path):
    done = script("filter.sh", "suppress", "--vot", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"--vote" in done.stderr


# -- Spark ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("spark-submit"), reason="Spark is not installed (pip install pyspark, and a JRE)")
def test_partitions_are_the_whole(run, tmp_path):
    clips = [{"id": f"c{i}", "label": i % 5, "domain": "ab"[i % 2], "topk": [[i % 5 if i % 3 else 7, 0.75]]} for i in range(400)]
    (tmp_path / "p.jsonl").write_bytes(as_lines(clips))
    path = f"{ROOT / 'bin'}:{os.environ['PATH']}"
    command = ["spark-submit", "--master", "local[2]", CLUSTER / "score_spark.py", "p.jsonl", "--by", "domain"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, run("score", "--by", "domain", stdin=clips).out), done.stderr
