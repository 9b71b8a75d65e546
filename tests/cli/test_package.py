"""The suite runs, and finds share/, from a checkout, through a symlink, and however pip puts it somewhere."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def labels(*command, **env) -> str:
    """First line of `labels` as that installation prints it, from a folder that has nothing to do with it."""
    # PYTHONPATH would let a test import the checkout
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MMA82_SHARE")} | env
    done = subprocess.run([*map(str, command), "labels"], capture_output=True, env=env, cwd="/", text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[0]


PIPES = [  # of commands that between them read most kinds of file in share/
    ["synth --kind annotations --clips 12 --classes 4 --subjects 4", "merge-annotations -q", "make-splits -q", "stats"],
    ["synth --kind skeleton --clips 2 --classes 2 --subjects 2", "validate"],
    ["labels --map ma52"],
    ["train-rec --help"],
]


def piped(pipe: list[str], mma82: Path) -> bytes:
    """What comes out of a pipe of commands of that installation."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MMA82_SHARE")}
    out = b""
    for command in pipe:
        done = subprocess.run([str(mma82), *command.split()], input=out, capture_output=True, env=env, cwd="/")
        assert done.returncode == 0, done.stderr.decode()
        out = done.stdout
    return out


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves folders behind; not in the checkout
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    return next(folder.glob("*.whl"))


def files_below(folder: Path) -> set[Path]:
    """All but what Python compiles for itself."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_checkout_and_symlink(tmp_path):
    expected = labels(ROOT / "bin" / "mma82")
    (tmp_path / "link").symlink_to(ROOT / "bin" / "mma82")
    (tmp_path / "link2").symlink_to(tmp_path / "link")
    assert labels(tmp_path / "link2") == expected
    assert labels(sys.executable, ROOT / "mma82cli") == expected


def test_installed_wheel(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    subprocess.run([*PIP, "--python", tmp_path / "bin" / "python", "install", "--no-deps", wheel], check=True)
    site = next((tmp_path / "lib").glob("python*/site-packages"))
    (site / "parent.pth").write_text(sysconfig.get_paths()["purelib"])  # what it depends on
    assert labels(tmp_path / "bin" / "mma82") == labels(ROOT / "bin" / "mma82")
    python = tmp_path / "bin" / "python"
    where = subprocess.run([python, "-c", "import mma82cli; print(mma82cli.__file__)"], capture_output=True, text=True, cwd="/")
    assert Path(where.stdout.strip()).is_relative_to(tmp_path)
    assert files_below(tmp_path / "share") == files_below(ROOT / "share") - {Path("constraints.txt"), Path("floors.txt")}
    for pipe in PIPES:
        here, there = (piped(pipe, mma82) for mma82 in (ROOT / "bin" / "mma82", tmp_path / "bin" / "mma82"))
        assert here == there, pipe


def test_editable(tmp_path):
    """Its files lie where they were; share/ is found beside them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    source = tmp_path / "source"
    copied = ("mma82cli", "share", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
    source.mkdir()
    for name in copied:
        (source / name).symlink_to(ROOT / name)
    python, site = tmp_path / "env/bin/python", next((tmp_path / "env/lib").glob("python*/site-packages"))
    (site / "parent.pth").write_text(sysconfig.get_paths()["purelib"])  # what it depends on, and is built with
    options = ["--no-deps", "--no-build-isolation", "-e", source]
    subprocess.run([*PIP, "--python", python, "install", *options], check=True)
    assert labels(tmp_path / "env/bin/mma82") == labels(ROOT / "bin" / "mma82")
    where = subprocess.run([python, "-c", "import mma82cli; print(mma82cli.__file__)"], capture_output=True, text=True, cwd="/")
    assert Path(where.stdout.strip()).resolve() == ROOT / "mma82cli/__init__.py"


def test_target(wheel, tmp_path):
    subprocess.run([*PIP, "install", "--no-deps", "--target", tmp_path, wheel], check=True)
    assert labels(sys.executable, "-m", "mma82cli", PYTHONPATH=str(tmp_path)) == labels(ROOT / "bin" / "mma82")


def test_a_missing_share_is_one_line(tmp_path):
    env = {**os.environ, "MMA82_SHARE": str(tmp_path / "nowhere")}
    done = subprocess.run([ROOT / "bin" / "mma82", "labels"], capture_output=True, env=env, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "MMA82_SHARE" in done.stderr
