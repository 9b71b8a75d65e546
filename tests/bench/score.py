"""How `mma82 score` compares with merely parsing its input: CPU seconds of whole processes, and peak memory.

    .venv/bin/python tests/bench/score.py [PREDICTIONS]    (default 200000)
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import orjson

MMA82 = Path(__file__).resolve().parents[2] / "bin" / "mma82"
LOOP = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"


def write_predictions(path: str, n: int, classes: int = 82) -> None:
    """`n` records with six decimals a score, as a person would have rounded them."""
    rng = np.random.default_rng(0)
    with open(path, "wb") as out:
        for start in range(0, n, 5000):
            scores = rng.dirichlet(np.full(classes, 0.2), 5000).round(6)
            for i in range(min(5000, n - start)):
                truth = {"id": f"clip_{start + i:07d}", "label": int(rng.integers(classes)), "domain": "laboratory"}
                out.write(orjson.dumps({**truth, "subject": f"s{i % 400}", "scores": scores[i].tolist()}) + b"\n")


def cost(command: list[str]) -> tuple[float, float]:
    """CPU seconds of a process and its children, and the peak MiB of the largest."""
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, used = os.wait4(pid, 0)
    assert status == 0, command
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Prints the ratio, best of three runs in turn."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/predictions.jsonl"
        write_predictions(path, n)
        commands = {
            "orjson.loads loop": [sys.executable, "-c", LOOP, path],
            "mma82 score": [str(MMA82), "score", "-q", path],
            "mma82 score --jobs 2": [str(MMA82), "score", "-q", "--jobs", "2", path],
            "mma82 score --ci 1000 --cluster subject": [str(MMA82), "score", "-q", "--ci", "1000", "--cluster", "subject", path],
        }
        runs = {name: [] for name in commands}
        for _ in range(3):
            for name, command in commands.items():
                runs[name].append(cost(command))
        plain = min(runs["orjson.loads loop"])[0]
        print(f"{n} predictions, {os.path.getsize(path) / 1e6:.0f} MB")
        for name, costs in runs.items():
            seconds, memory = min(costs)
            print(f"{name:<42}{seconds:7.2f} CPU s {seconds / plain:6.2f}x {memory:6.0f} MiB")


if __name__ == "__main__":
    main()
