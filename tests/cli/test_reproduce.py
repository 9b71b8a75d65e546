"""`share/mma82/reproduce.mk` makes every table and figure at its smallest scale, and goes on where it was interrupted."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from conftest import ROOT

MAKEFILE = ROOT / "share" / "mma82" / "reproduce.mk"
COMMAND = ["make", "-f", str(MAKEFILE), "SCALE=smoke", f"MMA82={ROOT / 'bin' / 'mma82'}"]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make here")


def make(*targets, **variables):
    return subprocess.run([*COMMAND, *(f"{k}={v}" for k, v in variables.items()), *targets], capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of `make all`, killed once while it trained."""
    out = tmp_path_factory.mktemp("reproduce")
    first = subprocess.Popen(
        [*COMMAND, f"OUT={out}", "all"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 600
    while first.poll() is None and not any(out.glob("run/*/last.state.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert first.poll() is None, "it was to be killed in the middle of a training run"
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    done = make("all", OUT=out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_every_table_is_beside_the_papers(made):
    for number in range(2, 9):
        text = (made / "tables" / f"{number}.md").read_text()
        rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
        assert any(" paper " in row for row in rows) and any(" here " in row for row in rows), number
        assert "taxonomy:" in text.splitlines()[-1] and "version:" in text
        assert "tabular" in (made / "tables" / f"{number}.tex").read_text()
    assert "| MMA-82 | 82 |" in (made / "tables" / "1.md").read_text()


def test_every_figure_is_drawn(made):
    wanted = ["taxonomy", "ring", "violin", "classes", "sankey", "ratios", "tree-anger", "diagnosis", "examples"]
    for name in wanted:
        assert (made / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (made / "figures" / f"{name}.svg").exists()
    assert len(list((made / "figures" / "fig4").glob("*.png"))) == 4
    assert len(list((made / "figures" / "fig5").glob("timeline-*.png"))) == 2


def test_the_killed_run_was_resumed(made):
    logs = list(made.glob("run/*/epochs.jsonl"))
    assert logs
    for log in logs:
        epochs = [json.loads(line)["epoch"] for line in log.read_text().splitlines()]
        assert epochs == sorted(set(epochs)), f"{log} began anew"


def test_what_is_made_is_not_made_again(made):
    again = make("all", OUT=made)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout and "mma82 " not in again.stdout.replace(str(ROOT), "")


def test_the_papers_networks_start_from_the_papers_weights(tmp_path):
    for name in ("rec", "det", "emotion"):
        (tmp_path / f"{name}.jsonl").write_text("")
    plan = make("-n", "table3", "table6", OUT=tmp_path / "out", DATA=tmp_path, SCALE="paper").stdout
    asked = {tuple(pair) for pair in re.findall(r"train-(?:rec|det) .*--recipe (\S+)(?: --init (\S+))?", plan)}
    weights = {"posec3d": "", "gc-tsm": "imagenet"} | {f"adatad-{size}": f"videomae-{size}" for size in "sblh"}
    assert asked == set(weights.items())


def test_the_help_names_every_target(tmp_path):
    listed = re.findall(r"^(\w+) {2,}\S", make("help").stdout, re.M)
    assert {f"table{i}" for i in range(1, 9)} | {f"fig{i}" for i in range(2, 10)} | {"fetch", "all"} <= set(listed)


def test_fetch_tells_how_and_what_differs(made, tmp_path):
    asked = make("fetch")
    assert asked.returncode == 0 and "licensed" in asked.stdout
    for name in ("rec.jsonl", "det.jsonl"):
        (tmp_path / name).symlink_to(made / name)
    (tmp_path / "videos").symlink_to(made / "videos")
    checked = make("fetch", DATA=tmp_path)
    assert checked.returncode != 0
    assert "-laboratory\ttrain\t15820" in checked.stdout and re.search(r"^\+laboratory\ttrain\t\d+$", checked.stdout, re.M)
