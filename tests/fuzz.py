"""Damages valid inputs of every reader and sees that the suite says so in one line, quickly, in bounded memory.

    python tests/fuzz.py [--minutes M | --cases N] [--seed S] [--only WORD] [--quick] [--keep DIR]

Each case is a process forked from this one, with a limit of memory, of CPU time and of what it may write. It must end with
0, 1 or 2, say nothing but lines that begin with `mma82 `, write nothing but JSON lines, and run nothing that is hidden in a
pickle. `--quick` leaves out what needs torch. What fails is kept in DIR with the command that shows it. Exit status 1 if any.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MMA82_CACHE="/nowhere")
os.environ.update(OPENCV_FFMPEG_LOGLEVEL="-8", OPENCV_LOG_LEVEL="SILENT")

import damage  # noqa: E402
from fuzz_targets import Target, become, targets  # noqa: E402

from mma82cli.cli import FAULT  # noqa: E402

MEMORY = 2 << 30  # bytes beyond what this process takes itself
SECONDS = 20  # of CPU
WALL = 120
# a tree is a folder; a recipe is read before it is found that there is nothing to learn; validate's sample has a fault
IDLE = ("from tree", "recipe", "validate")
TORCH = (".training", ".models", ".rgb", ".detection.", ".pose.worker", ".networks", ".mlp", ".skeleton.")


# -- a case --------------------------------------------------------------------------------------------------------


def run_case(target: Target, arguments: list[str], case: Path) -> tuple[int, float, int]:
    """(exit status or -signal, CPU seconds, peak memory in MiB) of a process that does it; stdout and stderr are in `case`."""
    child = os.fork()
    if child == 0:
        _limited(case)
        become(arguments)
    end = time.monotonic() + WALL
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.005)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10


def _limited(case: Path) -> None:
    os.setsid()
    os.chdir(case)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def complaints(target: Target, code: int, case: Path, skipping: bool) -> list[str]:
    """What is wrong with how a case ended."""
    out, err = ((case / name).read_bytes().decode("utf-8", "replace") for name in ("stdout", "stderr"))
    found = []
    if code < 0:
        found.append(f"died of {signal.Signals(-code).name}")
    elif code not in (0, 1, 2):
        found.append(f"exit status {code}")
    for word in ("Traceback", FAULT, "out of memory"):
        if word in err:
            found.append(f"says '{word}': {err.strip().splitlines()[-1][:200]}")
    if code > 0 and not err.strip() and not out.strip():
        found.append("failed without a word")
    strange = [line for line in err.splitlines() if not line.startswith(("mma82 ", '{"error"' if skipping else "mma82 "))]
    if strange and not found:
        found.append(f"says what is no line of ours: {strange[0][:200]}")
    if target.lines:
        try:
            for line in out.splitlines():
                json.loads(line, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
        except ValueError as error:
            found.append(f"writes what is no JSON: {error}")
    return found


def load_all(quick: bool) -> None:
    """Imports the suite once, so that every case finds it there."""
    import mma82cli

    for module in pkgutil.walk_packages(mma82cli.__path__, "mma82cli."):
        if module.name.rpartition(".")[2] != "__main__" and not (quick and any(word in module.name for word in TORCH)):
            with contextlib.suppress(ImportError):  # of an extra
                importlib.import_module(module.name)


def idle(every: list[Target], folder: Path) -> list[str]:
    """What is wrong with the targets themselves: a command that refuses all its seeds as they are would never see the damage."""
    wrong = []
    for target in every:
        codes = {_run(target, seed, folder)[2] for seed in target.seeds}
        if 0 not in codes and target.name not in IDLE:
            wrong.append(f"{target.name}: ends with {', '.join(map(str, sorted(codes)))} where nothing is damaged")
    return wrong


def _run(target: Target, data: bytes, folder: Path, more: tuple[str, ...] = ()) -> tuple[Path, list[str], int, float, int]:
    """The file that the target's command reads, its words, and how it ended (see `run_case`)."""
    case = folder / "case"
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    place = case / target.file
    place.write_bytes(data)
    arguments = [*(part.replace("{}", str(place)) for part in target.arguments), *more]
    return place, arguments, *run_case(target, arguments, case)


def fuzz(every: list[Target], folder: Path, rng: random.Random, keep: Path, more: Callable[[int], bool]) -> int:
    """Runs cases while `more(number)`; how many failed."""
    table: dict[str, list] = {target.name: [0, 0, 0, 0.0, 0] for target in every}  # cases, refused, failed, CPU s, MiB
    number = 0
    while more(number):
        target = every[number % len(every)]
        number += 1
        seed, way = rng.choice(target.seeds), rng.choice(target.ways)
        other = rng.choice(rng.choice(every).seeds)
        data = damage.in_bytes(seed, rng, other) if way is damage.in_bytes else way(seed, rng)
        skipping = rng.random() < 0.3 and target.arguments[0] not in ("labels", "synth")
        place, arguments, code, seconds, size = _run(target, data, folder, ("--on-error", "skip") * skipping)
        wrong = complaints(target, code, folder / "case", skipping)
        if (folder / "canary").exists():
            wrong.append("what was in the pickle ran")
            (folder / "canary").unlink()
        row = table[target.name]
        table[target.name] = [row[0] + 1, row[1] + (code != 0), row[2] + bool(wrong), max(row[3], seconds), max(row[4], size)]
        if wrong:
            where = keep / f"{number:05d}-{target.name.replace(' ', '_')}{Path(target.file).suffix}"
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, where)
            said = " ".join(arguments).replace(str(place), str(where))
            print(f"{target.name}: {'; '.join(wrong)}\n    mma82 {said}", flush=True)
    print(f"{'target':<28}{'cases':>7}{'refused':>9}{'failed':>8}{'CPU s':>8}{'MiB':>7}")
    for name, (cases, refused, failed, seconds, size) in table.items():
        print(f"{name:<28}{cases:>7}{refused:>9}{failed:>8}{seconds:>8.2f}{size:>7}")
    failed = sum(row[2] for row in table.values())
    print(f"{number} cases, {sum(row[1] for row in table.values())} refused, {failed} failed")
    return failed


def run() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "mma82-fuzz")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        load_all(asked.quick)
        every = [t for t in targets(Path(folder), asked.quick) if asked.only in t.name]
        if wrong := idle(every, Path(folder)):
            print("\n".join(wrong))
            return 1
        end = time.monotonic() + 60 * asked.minutes
        more = (lambda n: n < asked.cases) if asked.cases else (lambda n: time.monotonic() < end)
        return 1 if fuzz(every, Path(folder), random.Random(asked.seed), asked.keep, more) else 0


if __name__ == "__main__":
    sys.exit(run())
