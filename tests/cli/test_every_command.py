"""What the contract asks of every command, asked of every command."""

import json
import os
import pty
import shutil
import subprocess

import pytest
from conftest import ROOT
from samples import samples

from mma82cli.cli import COMMANDS

MMA82 = str(ROOT / "bin" / "mma82")
READERS = [name for name in COMMANDS if name not in ("labels", "synth")]
STATUS = {"validate": 1}  # it finds a fault in its sample
SLOW = ("train-rec", "infer", "adapt")  # where once is enough
QUICK = [name for name in COMMANDS if name != "train-rec"]
FILTERS = ("merge-annotations", "cut", "make-splits", "extract-skeleton", "extract-face", "infer", "suppress")


@pytest.fixture(scope="module")
def sample(run, tmp_path_factory):
    """sample(command) -> its Sample."""
    made = samples(tmp_path_factory.mktemp("samples"), run)
    return made.__getitem__


@pytest.fixture(scope="module")
def first(run, sample):
    """first(command) -> the Result of its sample, run once."""
    results = {}

    def call(name):
        if name not in results:
            results[name] = run(name, *sample(name).arguments, stdin=sample(name).records)
        return results[name]

    return call


def one_line(stderr: str, *words):
    assert stderr.count("\n") == 1 and "Traceback" not in stderr, stderr
    for word in words:
        assert word in stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_stdout_holds_json_lines_and_stderr_plain_words(sample, first, name):
    result = first(name)
    assert result.code == STATUS.get(name, 0) and result.out.endswith("\n"), result.err
    for text in (result.out, result.err):
        assert "\r" not in text and "\x1b" not in text and "\ufeff" not in text
    assert "it/s" not in result.err and all(line.startswith("mma82 ") for line in result.err.splitlines())
    if sample(name).lines:
        assert all(isinstance(json.loads(line, parse_constant=pytest.fail), dict) for line in result.out.splitlines())


@pytest.mark.parametrize("name", FILTERS)
def test_what_it_does_not_know_passes_through(first, name):
    for record in first(name).records:
        assert record["zeta"] == [1, {"a": None}] and record["π"] == "é"
        assert "zeta" in list(record)[:3]  # in its place: the samples begin with it, but for what names the video


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line(sample, name):
    with open("/dev/full", "w") as full:
        command = [MMA82, name, *sample(name).arguments, "-q"]
        done = subprocess.run(command, input=sample(name).records, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    one_line(done.stderr.decode(), f"mma82 {name}: ", "No space left on device")


@pytest.mark.parametrize("name", QUICK)
def test_nobody_reads_on(sample, tmp_path, name):
    """In the middle of three, with the reader gone before anything is written."""
    command = " ".join(f"'{word}'" for word in (MMA82, name, *sample(name).arguments, "-q"))
    script = f"cat | ({command}; echo $? >&3) 3>status | true; cat status"
    done = subprocess.run(["bash", "-c", script], input=sample(name).records, capture_output=True, cwd=tmp_path)
    assert done.stderr == b"" and int(done.stdout) in (0, 141, STATUS.get(name, 0))


@pytest.mark.parametrize("name", READERS)
def test_files_that_cannot_be_read_and_a_terminal(run, sample, tmp_path, name):
    arguments = sample(name).arguments
    (tmp_path / "folder").mkdir()
    for path, word in (("nosuch.jsonl", "No such file"), ("folder", "directory")):
        result = run(name, *arguments, tmp_path / path)
        assert result.code == 1 and result.out == ""
        one_line(result.err, f"mma82 {name}: {tmp_path / path}: ", word)
    if name in SLOW:
        return
    leader, follower = pty.openpty()
    done = subprocess.run([MMA82, name, *arguments], stdin=follower, capture_output=True, text=True, timeout=120)
    os.close(leader)
    os.close(follower)
    assert done.returncode == 2 and done.stdout == ""
    one_line(done.stderr, f"mma82 {name}: standard input is a terminal")


@pytest.fixture(scope="session")
def turkish(tmp_path_factory):
    """Environment of a locale in which I is not the capital of i."""
    folder = tmp_path_factory.mktemp("locale")
    if not shutil.which("localedef"):
        pytest.skip("no localedef to make a locale with")
    made = subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", folder / "tr_TR.UTF-8"], capture_output=True)
    if made.returncode > 1:
        pytest.skip("no tr_TR here to make a locale of")
    return {"LC_ALL": "tr_TR.UTF-8", "LOCPATH": str(folder)}


@pytest.mark.parametrize("name", QUICK)
def test_bytes_do_not_depend_on_the_surroundings(run, sample, first, turkish, name):
    again = run(
        name, *sample(name).arguments, stdin=sample(name).records,
        env={**turkish, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "TZ": "Asia/Tokyo", "COLUMNS": "40"},
    )  # fmt: skip
    assert (again.code, again.out) == (first(name).code, first(name).out)


@pytest.mark.parametrize("name", READERS)
def test_nothing_in_is_nothing_out_or_said(run, sample, name):
    result = run(name, *sample(name).arguments, stdin=b"\n")
    assert "Traceback" not in result.err and "nan" not in (result.out + result.err).lower()
    if result.code == 1:
        assert result.out == ""
        one_line(result.err, f"mma82 {name}: ")
    else:
        assert result.code == 0


def test_there_is_a_sample_of_every_command(sample):
    for name in COMMANDS:
        assert sample(name), f"add a sample of {name} to tests/samples.py"


@pytest.mark.parametrize(
    "words, expected",
    [
        (("score", "--truth", ""), "--truth is empty; expected FILE"),
        (("score", "-o", ""), "--output is empty; expected FILE"),
        (("score", ""), "FILE is empty; expected a name"),
        (("infer", ""), "CHECKPOINT is empty; expected a name"),
        (("train-rec", "--out", "run", "--set", ""), "--set is empty; expected KEY=VALUE"),
    ],
)
def test_a_shell_variable_that_is_not_set_is_no_value(run, words, expected):
    result = run(*words, stdin="")
    assert (result.code, result.err) == (2, f"mma82 {words[0]}: {expected}\n")
