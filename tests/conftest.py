"""Fixtures: `run` calls the suite as a user does; `shared` is the folder of reference data, where it is present."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from pathlib import Path

import hypothesis
import pytest

from mma82cli.cli import FAULT

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
# a shell's background job ignores Ctrl-C, one of nohup the terminal's end, and so would the commands that are sent them here
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
hypothesis.settings.register_profile("mma82", deadline=None)  # a busy machine is no fault of the code's
hypothesis.settings.load_profile("mma82")


class Result:
    """What a command left: exit status, stdout and stderr as text."""

    def __init__(self, done: subprocess.CompletedProcess):
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        assert FAULT not in self.err, self.err

    @property
    def records(self) -> list[dict]:
        """stdout as records."""
        return [json.loads(line) for line in self.out.splitlines()]


def pytest_collection_modifyitems(items):
    """The longest first, so that all processes end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_reproduce.py")


def as_lines(records) -> bytes:
    """Records as JSON Lines."""
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in records)


def write_film(path, pictures, fps: float = 10, letters: str = "mp4v") -> None:
    """Writes BGR pictures (H,W,3) uint8 as a video file."""
    import cv2

    pictures = iter(pictures)
    first = next(pictures)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*letters), fps, first.shape[1::-1])
    for picture in (first, *pictures):
        writer.write(picture)
    writer.release()


def tolerance(exact: float, loose: float) -> float:
    """OpenCV 4 resamples to other grey levels (up to five) than OpenCV 5, which agrees with the references."""
    import cv2

    return exact if cv2.__version__.startswith("5") else loose


def write_taxonomy(path, names) -> Path:
    """A file of labels without body groups, called as the file is."""
    path.write_text(json.dumps({"name": path.stem, "labels": list(names)}))
    return path


@pytest.fixture
def one_thread():
    """Threads cost more than layers take that are as small as a test's."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def run():
    """run(*arguments, stdin=bytes|str|list of records, env=…, cwd=…) -> Result."""

    def call(*arguments, stdin=b"", env=None, cwd=None, timeout=300):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        elif isinstance(stdin, list):
            stdin = as_lines(stdin)
        return Result(
            subprocess.run(
                [str(ROOT / "bin" / "mma82"), *map(str, arguments)],
                input=stdin, capture_output=True, env={**os.environ, **(env or {})}, cwd=cwd, timeout=timeout,
            )
        )  # fmt: skip

    return call


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data; the test is skipped where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("no reference data beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def jsonl():
    """jsonl(path) -> list of records, gzip or not."""

    def read(path) -> list[dict]:
        opener = gzip.open if str(path).endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]

    return read


@pytest.fixture(params=["PyAV", "OpenCV"])
def decoder(request, tmp_path_factory):
    """The environment in which commands read videos through PyAV, and then one in which OpenCV reads them all."""
    if request.param == "PyAV":
        pytest.importorskip("av", reason="needs mma82[fast]")
        return {}
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "av.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(hiding)}


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """A folder with three small videos of 3 s of noise, in which the network sees something, and one where nobody is."""
    import numpy as np

    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for name in "abc":
        write_film(folder / f"{name}.mp4", (rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(30)))
    write_film(folder / "empty.mp4", (np.full((64, 96, 3), 40 + i, np.uint8) for i in range(30)))
    (folder / "text.mp4").write_text("no video\n")
    return folder
