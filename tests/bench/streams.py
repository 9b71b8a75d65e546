"""Joints, fingers and pictures of the same synthetic clips: python tests/bench/streams.py DIR [signs] [domains] [options]

signs    three signs of one arm movement, which only fingers tell apart: RGB against joints, and joints with fingertips
domains  twelve labels, learnt in the laboratory: there, and in three domains never seen, without and with a few clips of them

Every seed has people, clips, split (by person) and training of its own; val chooses epochs and fits the fusion's weights. What
is printed is of test: all seeds' clips together with a 95 % interval over resampled people, then each seed. DIR keeps all
files. The networks are the recipes for a CPU, with the epochs of EPOCHS.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
TASKS = {  # labels, clips, people, domains
    "signs": ("OK gestures,Thumbs up,V gestures", 1200, 80, "laboratory"),
    "domains": ("OK gestures,Thumbs up,V gestures,Other symbolic gestures,Rubbing lip,Scratching or touching philtrum,"
                "Scratching or touching chin,Touching legs,Patting legs,Putting hands together,Rubbing hands,Clapping",
                1700, 160, "laboratory,psychiatric,street,television"),
}  # fmt: skip
NETWORKS = {  # recipe, what differs from it, records
    "stgcn": ("stgcn", (), "skeleton"),
    "fingers": ("stgcn", (), "fingers"),
    "posec3d-tiny": ("posec3d-tiny", ("micro_batch=8",), "skeleton"),
    "gc-tsm-tiny": ("gc-tsm-tiny", ("micro_batch=16",), "video"),
    "gc-tsm-tiny 256": ("gc-tsm-tiny", ("micro_batch=16", "short_side=288", "size=256", "test_size=288"), "video"),
}
EPOCHS = {"signs": {"fingers": 16, "stgcn": 16, "gc-tsm-tiny 256": 16, "gc-tsm-tiny": 16, "posec3d-tiny": 20},
          "domains": {"stgcn": 32, "gc-tsm-tiny": 30, "posec3d-tiny": 45}}  # fmt: skip
FUSIONS = {
    "signs": {"stgcn + gc-tsm-tiny": ("stgcn", "gc-tsm-tiny")},
    "domains": {
        "stgcn + posec3d-tiny": ("stgcn", "posec3d-tiny"),
        "all three": ("stgcn", "posec3d-tiny", "gc-tsm-tiny"),
    },
}
COMPARED = {
    "signs": [("gc-tsm-tiny", "stgcn"), ("fingers", "stgcn"), ("fingers", "gc-tsm-tiny")],
    "domains": [
        ("stgcn + posec3d-tiny", "stgcn"),
        ("all three", "stgcn + posec3d-tiny"),
        ("all three", "gc-tsm-tiny"),
    ],
}
SHOTS, RUNS = (1, 5, 10), 5
SIGNS = TASKS["signs"][0].split(",")
GROUPS = {  # of the test clips
    "signs": {"signs": lambda r: True},
    "domains": {
        "laboratory": lambda r: r["domain"] == "laboratory",
        "  signs": lambda r: r["domain"] == "laboratory" and r["label"] in SIGNS,
        "  others": lambda r: r["domain"] == "laboratory" and r["label"] not in SIGNS,
        "psychiatric": lambda r: r["domain"] == "psychiatric",
        "street": lambda r: r["domain"] == "street",
        "television": lambda r: r["domain"] == "television",
    },
}
QUIET = ("-q", "--level", "action", "--metric", "top1", "--metric", "mca")


def mma82(*arguments, out: Path | None = None, limit: float | None = None, stdin: str | None = None) -> str:
    """The stdout of a command; with `out` it goes there. Raises where it fails, and when `limit` seconds are over."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-m", "mma82cli", *map(str, arguments)]
    try:
        done = subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(command[3:])}: not done after {limit:.0f} s") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[3:])}: {done.returncode}\n{done.stderr[-3000:]}")
    if out is not None:
        out.write_text(done.stdout)
    return done.stdout


def lines(path: Path) -> list[dict]:
    """The records of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, records) -> Path:
    """Writes records; gives the path back."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def leave(names: set[str]) -> None:
    """Takes all other networks, and what is made of them, out of the tables above."""
    for task in TASKS:
        EPOCHS[task] = {name: epochs for name, epochs in EPOCHS[task].items() if name in names}
        FUSIONS[task] = {name: parts for name, parts in FUSIONS[task].items() if names.issuperset(parts)}
        COMPARED[task] = [pair for pair in COMPARED[task] if {*EPOCHS[task], *FUSIONS[task]}.issuperset(pair)]


def make(task: str, folder: Path, seed: int, scale: float) -> None:
    """Clips as videos, as joints, and (signs) as joints with fingertips, all split alike."""
    labels, clips, people, domains = TASKS[task]
    plan = ("--labels", labels, "--clips", round(clips * scale), "--subjects", max(12, round(people * scale)),
            "--domains", domains, "--seed", seed, "--jobs", 5)  # fmt: skip
    protocol = ("--protocol", "zero-shot", "--source", "laboratory") if task == "domains" else ()
    films = any(NETWORKS[name][2] == "video" for name in EPOCHS[task])
    kinds = {"video": ("--videos", folder / "videos"), "skeleton": ()} if films else {"skeleton": ()}
    for kind, more in kinds.items():
        made = mma82("synth", "-q", "--kind", kind, *plan, *more)
        mma82("make-splits", "-q", "--seed", seed, *protocol, stdin=made, out=folder / f"{kind}.jsonl")
    same = [[(r["id"], r["label"], r["split"]) for r in lines(folder / f"{kind}.jsonl")] for kind in kinds]
    assert same[0] == same[-1]
    if task == "signs":
        from fingertips import LAYOUT, with_fingertips

        (folder / "layout.json").write_text(json.dumps(LAYOUT))
        write(folder / "fingers.jsonl", with_fingertips(lines(folder / "skeleton.jsonl"), seed))


def learn(task: str, folder: Path, seed: int, name: str, args) -> str:
    """Trains a network and asks it for val and test; says how it went."""
    recipe, changes, kind = NETWORKS[name]
    more = {"video": ("--root", folder / "videos"), "fingers": ("--layout", folder / "layout.json"), "skeleton": ()}[kind]
    cache = ("--cache", folder / "cache") if kind == "video" else ()
    changes = [f"epochs={args.epochs or EPOCHS[task][name]}", *changes]
    settings = [word for change in changes for word in ("--set", change)]
    run, begin = folder / "runs" / name, time.time()
    options = ("--recipe", recipe, *settings, "--seed", seed, "--out", run, "--device", args.device)
    try:
        mma82("train-rec", "-q", *options, *more, *cache, folder / f"{kind}.jsonl", limit=args.limit)
        said = f"{time.time() - begin:.0f} s on {args.device}"
    except RuntimeError as error:
        if not (run / "best.safetensors").exists():
            raise
        said = f"STOPPED: {error}"
    last = (run / "log.jsonl").read_text().splitlines()[-1]
    asked = write(folder / f"asked-{name}.jsonl", (r for r in lines(folder / f"{kind}.jsonl") if r["split"] != "train"))
    mma82("infer", "-q", run, "--device", args.device, *more, *cache, asked, out=folder / f"{name}.jsonl")
    return f"{task} seed {seed} {name}: {said}; {time.time() - begin:.0f} s with inference; {last}"


def fuse(folder: Path, name: str, parts) -> None:
    """Late fusion, weights fitted on val."""
    mma82("fuse", "-q", *(folder / f"{part}.jsonl" for part in parts), out=folder / f"{name}.jsonl")


def adapt(folder: Path, seed: int, shots: int, args) -> None:
    """A few clips of the other domains: both networks of joints, and the mean of what they say."""
    few = folder / f"few-{shots}.jsonl"
    protocol = ("--protocol", "few-shot", "--source", "laboratory", "--shots", shots, "--runs", RUNS, "--seed", seed)
    mma82("make-splits", "-q", *protocol, folder / "skeleton.jsonl", out=few)
    files = []
    for model in ("stgcn", "posec3d-tiny"):
        files.append(folder / f"{model}-{shots}shot.jsonl")
        mma82("adapt", "-q", folder / "runs" / model, "--device", args.device, "--cache", folder / f"features-{model}", few,
              out=files[-1])  # fmt: skip
    mma82("fuse", "-q", "--method", "mean", *files, out=folder / f"stgcn + posec3d-tiny-{shots}shot.jsonl")


def pooled(task: str, args, name: str, group: str, keep) -> Path:
    """The test clips of all seeds, each seed's people and clips under names of their own."""
    out = []
    for seed in range(args.seeds):
        for r in lines(args.dir / f"{task}-{seed}" / f"{name}.jsonl"):
            if r["split"] == "test" and keep(r):
                out.append({**r, "id": f"{seed}-{r['id']}", "subject": f"{seed}-{r['subject']}", "seed": seed})
    for seed in range(args.seeds):
        write(args.dir / f"{task} {group} {name} {seed}.jsonl", (r for r in out if r["seed"] == seed))
    return write(args.dir / f"{task} {group} {name}.jsonl", out)


def row(path: Path, seeds: int) -> str:
    """Percent of a network: value [interval] (seeds)."""
    whole = scores(path, "--ci", 1000, "--cluster", "subject")
    each = [scores(path.with_name(f"{path.stem} {seed}.jsonl")) for seed in range(seeds)]
    cells = []
    for metric in ("top1", "mca"):
        low, high = whole[metric]["ci"]
        values = " ".join(f"{100 * one[metric]['value']:.1f}" for one in each)
        cells.append(f"{100 * whole[metric]['value']:5.1f} [{100 * low:.1f} {100 * high:.1f}] ({values})")
    return f"{cells[0]:36}{cells[1]}"


def difference(path: Path, other: Path) -> str:
    """What the first is better by, with its interval and p."""
    found = scores(path, "--ci", 1000, "--cluster", "subject", "--compare", other)
    cells = []
    for metric, line in found.items():
        low, high = line["delta_ci"]
        cells.append(f"{metric} {100 * line['delta']:+5.1f} [{100 * low:+.1f} {100 * high:+.1f}] p {line['p']:.3f}")
    return "   ".join(cells)


def table(task: str, args, groups, pool, attempt, say) -> None:
    """A row a network, then a row a comparison."""
    names = [*EPOCHS[task], *FUSIONS[task]]
    files = {(group, name): attempt(pooled, task, args, name, group, keep) for group, keep in groups.items() for name in names}
    rows = {key: pool.submit(attempt, row, path, args.seeds) for key, path in files.items() if path}
    for group, (ours, other) in itertools.product(groups, COMPARED[task]):
        if files[group, ours] and files[group, other]:
            rows[group, f"{ours} - {other}"] = pool.submit(attempt, difference, files[group, ours], files[group, other])
    for (group, name), found in rows.items():
        say(f"    {group:13}{name:34}{found.result()}")


def scores(path: Path, *options) -> dict[str, dict]:
    """What score says of the records."""
    return {line["metric"]: line for line in map(json.loads, mma82("score", *QUIET, *options, path).splitlines())}


def few_shot(args, pool, say) -> None:
    """Mean over runs of each seed, then over seeds."""

    def of(shots, name, seed):
        path = args.dir / f"domains-{seed}" / f"{name}-{shots}shot.jsonl"
        said = mma82("score", *QUIET, "--by", "domain", "--mean-over", "run", path)
        return {(line["domain"], line["metric"]): 100 * line["value"] for line in map(json.loads, said.splitlines())}

    rows = list(itertools.product(SHOTS, ("stgcn", "posec3d-tiny", "stgcn + posec3d-tiny")))
    found = {key: [pool.submit(of, *key, seed) for seed in range(args.seeds)] for key in rows}
    for shots, name in rows:
        seeds = [future.result() for future in found[shots, name]]
        for domain in dict.fromkeys(domain for domain, _ in seeds[0]):
            cells = []
            for metric in ("top1", "mca"):
                values = [seed[domain, metric] for seed in seeds]
                cells.append(f"{statistics.mean(values):5.1f} ({' '.join(f'{v:.1f}' for v in values)})")
            say(f"    {shots:2}-shot {domain:14}{name:22}{cells[0]:26}{cells[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--networks", default=",".join(NETWORKS), help="these alone, with commas between")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--limit", type=float, help="seconds for a training, whose best epoch until then is taken")
    parser.add_argument("--epochs", type=int, help="of every network, for a try")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of clips and people, for a try")
    args = parser.parse_args()
    leave(set(args.networks.split(",")))
    begin = time.time()

    def say(text: str) -> None:
        print(f"{time.time() - begin:5.0f} {text}", flush=True)

    def attempt(function, *arguments):
        """What fails is told, and does not end what goes on beside it."""
        try:
            return function(*arguments)
        except Exception as error:
            say(f"FAILED {getattr(function, '__name__', '')} {arguments[:3]}: {error}")

    with ThreadPoolExecutor(args.jobs) as pool:
        data, runs = {}, []
        for seed, task in itertools.product(range(args.seeds), args.tasks):
            folder = args.dir / f"{task}-{seed}"
            (folder / "runs").mkdir(parents=True, exist_ok=True)
            data[task, seed] = pool.submit(attempt, make, task, folder, seed, args.scale)
        for future in data.values():
            future.result()
        say("clips made")
        for (task, seed), model in itertools.product(data, NETWORKS):
            if model in EPOCHS[task]:
                runs.append(pool.submit(attempt, learn, task, args.dir / f"{task}-{seed}", seed, model, args))
        for future in as_completed(runs):
            if future.result():
                say(future.result())
        parts = [(args.dir / f"{task}-{seed}", *item) for task, seed in data for item in FUSIONS[task].items()]
        for future in [pool.submit(attempt, fuse, *item) for item in parts]:
            future.result()
        for task in args.tasks:
            table(task, args, GROUPS[task], pool, attempt, say)
        if "domains" in args.tasks:
            todo = itertools.product(range(args.seeds), SHOTS)
            for future in [pool.submit(attempt, adapt, args.dir / f"domains-{seed}", seed, shots, args) for seed, shots in todo]:
                future.result()
            attempt(few_shot, args, pool, say)
        say("done")


if __name__ == "__main__":
    main()
