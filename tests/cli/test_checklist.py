"""The checklist of command-line habits (tests/CHECKLIST.md): that its tests exist, and those that stood nowhere else."""

import csv
import json
import os
import random
import re
import subprocess
import sys

import pytest
from conftest import ROOT, as_lines

from mma82cli import __version__
from mma82cli.cli import COMMANDS
from mma82cli.manual.table import commands

MMA82 = str(ROOT / "bin" / "mma82")
TABLE = (ROOT / "tests/CHECKLIST.md").read_text(encoding="utf-8")
ROWS = {line[2:5]: line.split("|") for line in TABLE.splitlines() if re.match(r"\| C\d\d \|", line)}
PREDICTIONS = [{"id": f"c{i}", "label": i % 5, "topk": [[(i % 5 if i % 3 else 40), 0.75], [3, 0.2]]} for i in range(40)]


def test_no_row_is_left_out(shared):
    with open(shared / "research/cli_checklist.tsv", encoding="utf-8") as lines:
        assert list(ROWS) == [row["id"] for row in csv.DictReader(lines, delimiter="\t")]


def test_every_row_has_a_test_or_a_reason():
    assert list(ROWS) == [f"C{i:02d}" for i in range(1, 47)]
    for name, cells in ROWS.items():
        tests = re.findall(r"`(\w+/\w+\.py)::(\w+)`", cells[3])
        assert tests or "reason:" in cells[3], name
        for file, function in tests:
            assert f"def {function}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{name}: {file}::{function}"


def test_version_is_one_line(run):
    result = run("--version")
    assert (result.code, result.out, result.err) == (0, f"mma82 {__version__}\n", "")
    assert f'version: {__version__}\n' in (ROOT / "CITATION.cff").read_text()


def test_help_is_the_same_by_every_name(run):
    result = run("--help")
    assert (result.code, result.err) == (0, "") and result.out.startswith("usage: mma82 COMMAND")
    assert run("-h").out == run("help").out == result.out and " | mma82 " in result.out
    assert all(re.search(rf"^  {name}  +\S", result.out, re.M) for name in COMMANDS)


@pytest.mark.parametrize("name", ["--version", "--help", *COMMANDS])
def test_start_up_costs_little_beside_an_interpreter(name):
    words = [MMA82, name] if name.startswith("-") else [MMA82, name, "--help"]
    limit = 0.05 if name.startswith("-") else 0.15

    def cost(command) -> float:
        before = os.times()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # the launcher goes through the environment's interpreter; one try in five is enough, for the machine has other work
    assert any(cost(words) - cost([sys.executable, "-c", "pass"]) < limit for _ in range(5))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_fields_of_records(run, name):
    command = next(c for c in commands() if c.name == name)
    told = " ".join(run(name, "--help").out.split())
    for verb, fields in (("Reads", command.takes), ("Adds", command.adds), ("Writes", command.writes)):
        assert not fields or f"{verb}: {', '.join(fields)}." in told
    assert "list[str]" not in told


def test_wrong_usage_says_what_would_be_right(run):
    assert "did you mean 'score'" in run("scroe").err
    metrics = run("score", "--metric", "nope")
    assert all(name in metrics.err for name in ("top1", "mca", "map")) and metrics.err.count("\n") == 1
    assert "'--metric': 'nope' is not one of " in metrics.err
    for value in ("x", "-1", "nan"):
        gap = run("cut", "--gap", value)
        assert gap.code == 2 and "'--gap'" in gap.err and repr(value) in gap.err and gap.err.count("\n") == 1
    unknown = run("score", "--metrik", "mca")
    assert unknown.err.startswith("mma82 score: ") and "--metric" in unknown.err and unknown.err.count("\n") == 1
    assert unknown.err.isascii() and run().err.startswith("usage: mma82 COMMAND")


def test_predictions_come_by_any_way(run, tmp_path):
    data = as_lines(PREDICTIONS)
    (tmp_path / "p").write_bytes(data)
    (tmp_path / "a").write_bytes(as_lines(PREDICTIONS[:7]))
    (tmp_path / "b").write_bytes(as_lines(PREDICTIONS[7:]))
    (tmp_path / "odd").write_bytes(b"\xef\xbb\xbf" + b"\r\n \r\n".join(data.splitlines()))
    ways = ["score < p", "score - < p", "score p", "score a b", "score a - < b", "score < <(cat p)", "score odd"]
    outs = [subprocess.run(["bash", "-c", f"{MMA82} {way}"], cwd=tmp_path, capture_output=True).stdout for way in ways]
    assert len(set(outs)) == 1 and outs[0]
    mixed = list(PREDICTIONS)
    random.Random(3).shuffle(mixed)
    assert run("score", stdin=mixed).out.encode() == outs[0]


def test_the_column_of_broken_json_is_told(run):
    result = run("score", stdin=b'{"id":"a","label":0,"topk":[[0,1]]}\n{bad\n')
    assert result.code == 1 and result.out == "" and result.err.startswith("mma82 score: <stdin>:2:2: ")
    result = run("score", stdin=b'\n{"id":"\xff"}\n')
    assert result.code == 1 and result.err.startswith("mma82 score: <stdin>:2:8: bad UTF-8, byte 0xff")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"label": 82}, "82"), ({"label": -1}, "-1"), ({"label": "nope"}, '"nope"'), ({"label": None}, "label"),
        ({"scores": [0.0] * 81}, "81 values"), ({"scores": [0.0] * 81 + ["NaN"]}, "NaN"),
        ({"scores": [0.0] * 81 + [None]}, "null"),
    ],
)  # fmt: skip
def test_bad_fields_are_named_with_their_value(run, fields, words):
    good = {"id": "a", "label": 0, "scores": [0.0] * 82}
    result = run("score", stdin=[good, {**good, "id": "b", **fields}])
    assert result.code == 1 and result.out == "" and result.err.count("\n") == 1
    assert result.err.startswith("mma82 score: <stdin>:2: ") and words in result.err and "expected" in result.err


def test_scoring_imports_nothing_heavy(run):
    result = run("score", stdin=PREDICTIONS, env={"PYTHONPROFILEIMPORTTIME": "1"})
    modules = {line.rsplit("|", 1)[-1].strip() for line in result.err.splitlines()}
    assert result.code == 0 and "numpy" in modules and not modules & {"torch", "cv2", "sklearn", "scipy", "matplotlib"}


def test_twins_in_either_of_two_systems_are_named(run, tmp_path):
    (tmp_path / "twice").write_bytes(as_lines([*PREDICTIONS, PREDICTIONS[3]]))
    result = run("score", "--compare", tmp_path / "twice", stdin=PREDICTIONS)
    assert result.code == 1 and result.out == "" and result.err.count("\n") == 1
    assert all(word in result.err for word in ('twice:41: ', '"c3"', "twice:4"))


def test_nothing_to_score_is_an_error(run):
    result = run("score", stdin=b"")
    assert (result.code, result.out) == (1, "") and "no predictions" in result.err


@pytest.mark.parametrize("command", ["validate", "suppress", "convert --to csv", "merge-annotations --grouped"])
def test_a_reader_may_leave_in_the_middle_of_much(tmp_path, command):
    record = {"start": 2, "end": 1 if command == "validate" else 3, "label": 4, "annotator": "a", "predictions": []}
    (tmp_path / "much").write_bytes(b"".join(as_lines([{**record, "id": f"x{i}", "video": f"v{i}"}]) for i in range(20000)))
    script = f"set -o pipefail; cat much | {MMA82} {command} | head -n 1; echo ${{PIPESTATUS[1]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    first, status = done.stdout.splitlines()
    assert done.stderr == "" and status in ("0", "141") and first


def test_a_record_leaves_suppress_before_the_next_comes():
    with subprocess.Popen([MMA82, "suppress"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(as_lines([{"id": "v", "predictions": [{"start": 1, "end": 2, "label": 0, "score": 0.5}]}]))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == "v"
        process.stdin.close()


def peak(command: list[str], data: bytes) -> int:
    """MiB that a command held at most."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    done = subprocess.run(["python3", "-c", script, MMA82, *command], input=data, capture_output=True, check=True)
    return int(done.stdout)


def test_memory_is_that_of_the_names_alone():
    def data(n):
        return b"".join(b'{"id":"c%d","label":"Nodding","topk":[["Nodding",0.5],["Waving",0.25]]}\n' % i for i in range(n))

    small, large = peak(["score", "--metric", "top1"], data(10_000)), peak(["score", "--metric", "top1"], data(110_000))
    assert small < 120 and large - small < 25  # MiB: 100,000 names, which tell duplicates, and nothing else
    lines = b'{"id":"v","predictions":[]}\n'
    assert peak(["suppress"], lines * 100_000) - peak(["suppress"], lines * 1_000) < 5


def test_no_variable_and_no_file_changes_a_result(run, tmp_path):
    (tmp_path / ".mma82").write_text("metric = 'mca'")
    (tmp_path / "mma82.toml").write_text("metric = 'mca'")
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "MMA82_METRIC": "mca", "MMA82_FORMAT": "table"}
    assert run("score", stdin=PREDICTIONS, env=env, cwd=tmp_path).out == run("score", stdin=PREDICTIONS).out


def test_options_change_the_signature(run):
    def signature(*options):
        records = [{**record, "truth": record["label"], "split": "test"} for record in PREDICTIONS]
        return run("score", "--metric", "mca", "--level", "action", *options, stdin=records).records[0]["signature"]

    changed = ["--labels=union"], ["--split=test"], ["--target=truth"], ["--taxonomy=mma82-fig3"], []
    changed += ["--ci=20"], ["--ci=21"], ["--ci=20", "--seed=1"]
    assert len({signature(*options) for options in changed}) == len(changed)
    assert all(signature(*options).endswith(f"|version:{__version__}") for options in changed)


def test_an_interrupt_of_a_pipe_is_quiet():
    script = f"(sleep 5; echo) | timeout -s INT 1 {MMA82} validate; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={**os.environ})
    assert done.stdout.strip() in ("130", "124") and done.stderr == ""
