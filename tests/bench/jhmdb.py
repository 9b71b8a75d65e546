"""How well the recipes for a CPU do on real joints: python tests/bench/jhmdb.py [SEEDS] [KEY=VALUE...] (default 3 seeds)

JHMDB's split 1 (433 clips to learn from, 176 to be tested, 14 actions) from ../shared/real/jhmdb. Top-1 and the training's
CPU time of each seed; then both networks together, the mean of their probabilities.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "real" / "jhmdb"
RECIPES = ("stgcn", "posec3d-tiny")


def mma82(*arguments, threads: int = 1) -> tuple[str, float]:
    """(stdout, CPU seconds) of a command."""
    before = os.times()
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [ROOT / "bin" / "mma82", *arguments]
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, env=env)
    after = os.times()
    return done.stdout, after.children_user + after.children_system - before.children_user - before.children_system


def top1(folder: Path, *checkpoints: Path) -> float:
    """Percent of the test clips, by the mean of the checkpoints' probabilities."""
    more = [word for checkpoint in checkpoints[1:] for word in ("--average", checkpoint)]
    (folder / "scores.jsonl").write_text(mma82("infer", "-q", checkpoints[0], *more, DATA / "test.jsonl.gz")[0])
    options = ("--metric", "top1", "--level", "action", "--format", "plain", "--taxonomy", DATA / "taxonomy.json")
    return 100 * float(mma82("score", "-q", *options, folder / "scores.jsonl")[0])


def main(seeds: int = 3, *changes: str) -> None:
    settings = [word for change in changes for word in ("--set", change)]
    found: dict[str, list[float]] = {name: [] for name in (*RECIPES, "both")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(seeds):
            for recipe in RECIPES:
                options = ("--recipe", recipe, "--taxonomy", DATA / "taxonomy.json", "--seed", seed, *settings)
                run = ("train-rec", "-q", *options, "--out", folder / f"{recipe}-{seed}", DATA / "train.jsonl.gz")
                _, took = mma82(*run, threads=2)
                found[recipe].append(top1(folder, folder / f"{recipe}-{seed}"))
                print(f"{recipe:14} seed {seed}: {found[recipe][-1]:5.1f} % after {took:5.0f} CPU s", flush=True)
            found["both"].append(top1(folder, *(folder / f"{recipe}-{seed}" for recipe in RECIPES)))
            print(f"{'both':14} seed {seed}: {found['both'][-1]:5.1f} %", flush=True)
    for name, values in found.items():
        print(f"{name:14} mean of {len(values)} seeds: {statistics.mean(values):5.1f} %")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
