"""What the type hints say is so, as far as mypy can tell (its settings are in pyproject.toml)."""

import subprocess
import sys

import pytest
from conftest import ROOT

CHECKED = [sys.executable, "-m", "mypy", "--no-error-summary"]


def test_the_hints_hold():
    pytest.importorskip("mypy", reason="needs mma82[test]")
    done = subprocess.run(CHECKED, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_hint_is_told(tmp_path):
    pytest.importorskip("mypy", reason="needs mma82[test]")
    (tmp_path / "wrong.py").write_text("def half(n: int) -> str:\n    return n / 2\n")
    done = subprocess.run([*CHECKED, "--config-file", ROOT / "pyproject.toml", "wrong.py"], cwd=tmp_path,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1 and "wrong.py:2: error" in done.stdout
