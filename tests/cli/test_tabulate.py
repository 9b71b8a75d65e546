"""`mma82 tabulate`: figures of any command as a table."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import pytest
from conftest import ROOT, as_lines

PAPER = ROOT / "share" / "mma82" / "paper"
LINES = [
    {"metric": "top1", "level": "action", "domain": "lab", "value": 0.5, "n": 4, "ci": [0.25, 0.75], "signature": "a|b"},
    {"metric": "top1", "level": "body", "domain": "lab", "value": 1.0, "n": 4, "ci": None, "signature": "a|b"},
    {"metric": "top1", "level": "action", "domain": "street", "value": None, "n": 0, "signature": "a|b"},
    {"metric": "top1", "level": "body", "domain": "street", "value": 0.25, "sd": 0.01, "signature": "a|c"},
]


def cells(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_rows_columns_intervals_spreads_and_nulls(run):
    made = run("tabulate", "--format", "tsv", stdin=LINES)
    assert made.code == 0, made.err
    assert cells(made.out) == [
        ["Domain", "Action Top-1", "Body Top-1"],
        ["lab", "50.00 [25.0–75.0]", "100.00"],
        ["street", "–", "25.00 ± 1.00"],
    ]
    table = run("tabulate", stdin=LINES).out
    assert "a|b; a|c" in table and "Action" in table


@pytest.mark.parametrize(
    "command", ["score --metric top1 preds.jsonl", "tabulate --rows metric --columns domain,level lines.jsonl"]
)
def test_a_terminal_gets_titles_in_bold_and_lines_of_its_width(tmp_path, command):
    (tmp_path / "lines.jsonl").write_bytes(as_lines(LINES[:3] + [LINES[3] | {"signature": "ties:lowest-id|" * 6}]))
    (tmp_path / "preds.jsonl").write_text('{"id":"a","label":"Nodding","topk":[["Nodding",0.8]]}\n')
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 48, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color"}
    words = [ROOT / "bin" / "mma82", *command.split()]
    done = subprocess.run(words, stdout=follower, stderr=subprocess.PIPE, cwd=tmp_path, env=env)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    os.close(follower)
    assert done.returncode == 0 and done.stderr == b""
    assert "\x1b[1m" in shown and "Top-1" in shown
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert 40 < max(map(len, bare)) <= 48, shown


def test_two_files_side_by_side_are_neighbours(run, tmp_path):
    (tmp_path / "paper.jsonl").write_text("".join(json.dumps({**x, "value": 0.125, "ci": None}) + "\n" for x in LINES[:2]))
    made = run(
        "tabulate", "--rows", "domain,run", "--as", "here", "--beside", f"paper={tmp_path / 'paper.jsonl'}", "--format", "tsv",
        "--where", "level=action", "--columns", "metric", stdin=LINES,
    )  # fmt: skip
    assert [row[:2] for row in cells(made.out)] == [["Domain", "Run"], ["lab", "paper"], ["lab", "here"], ["street", "here"]]
    assert cells(made.out)[1][2] == "12.50"


KEYS = ("table", "domain", "split", "model", "protocol", "streams", "actions", "metric", "level", "tiou")


@pytest.mark.parametrize("path", sorted(PAPER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_papers_figures_have_a_cell_each(run, path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    figures = list(dict.fromkeys(key for line in lines for key in line if key not in (*KEYS, "value")))
    rows = [key for key in KEYS[:-3] if key in lines[0]]
    columns = [key for key in KEYS[-3:] if key in lines[0] or (figures and key == "metric")]
    options = ["--values", ",".join(figures)] if figures else []
    made = run("tabulate", "--rows", ",".join(rows), "--columns", ",".join(columns), *options, "--format", "tsv", path)
    assert made.code == 0, made.err
    filled = [cell for row in cells(made.out)[1:] for cell in row[len(rows) :] if cell]
    assert len(filled) == sum(key in line for line in lines for key in (*figures, "value"))


def test_lines_of_several_figures_become_columns(run):
    lines = [{"domain": None, "split": None, "clips": 3, "hours": 0.5, "other": [1]}]
    lines.append({"domain": "lab", "split": "val", "clips": 1})
    made = run("tabulate", "--columns", "split,metric", "--values", "clips,hours", "--format", "tsv", stdin=lines)
    assert cells(made.out) == [
        ["Domain", "all Clips", "all Hours", "val Clips"],
        ["all", "3", "0.50", ""],
        ["lab", "", "", "1"],
    ]


@pytest.mark.parametrize(
    "lines, options, said",
    [
        (LINES + LINES[:1], [], '<stdin>:5: a second value for domain "lab", level "action", metric "top1"'),
        ([{"metric": "top1"}], [], "<stdin>:1: field 'value' is missing"),
        ([{"value": "x"}], [], "field 'value' is \"x\""),
        ([{"value": 1, "domain": [1]}], [], "field 'domain' is [1]"),
        (LINES, ["--where", "domain=moon"], "no lines with a value where domain=moon"),
        ([], [], "no lines with a value"),
    ],
)
def test_bad_lines_are_named(run, lines, options, said):
    refused = run("tabulate", *options, stdin=lines)
    assert (refused.code, refused.out) == (1, "")
    assert said in refused.err and refused.err.count("\n") == 1


@pytest.mark.parametrize("options", [["--rows", "a,,b"], ["--where", "domain"], ["--beside", "file.jsonl"]])
def test_bad_options_are_usage(run, options):
    assert run("tabulate", *options, stdin=LINES).code == 2
