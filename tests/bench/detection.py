"""How detection's commands compare: `score --metric map` with parsing, `suppress` with a plain loop; CPU seconds.

    .venv/bin/python tests/bench/detection.py [VIDEOS]    (default 1214, of 200 predictions each)
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from mma82cli.detection import suppress

MMA82 = Path(__file__).resolve().parents[2] / "bin" / "mma82"
LOOP = "import sys, orjson, numpy\nheld = [orjson.loads(line) for line in open(sys.argv[1], 'rb')]"


def write_detections(path: str, videos: int, each: int = 200, classes: int = 82) -> None:
    """Videos with some four segments, and predictions half of which are near one of these."""
    rng = np.random.default_rng(0)
    with open(path, "wb") as out:
        for v in range(videos):
            segments, labels, _ = proposals(rng, rng.integers(1, 7), classes)
            near = rng.integers(0, len(labels), each)
            wild, other, scores = proposals(rng, each, classes)
            found = np.where(rng.random((each, 1)) < 0.5, segments[near] + rng.normal(0, 0.5, (each, 2)), wild).round(3)
            guessed = np.where(rng.random(each) < 0.5, labels[near], other)
            truth = [{"start": a, "end": b, "label": c} for (a, b), c in zip(segments.tolist(), labels.tolist(), strict=True)]
            rows = zip(found.tolist(), guessed.tolist(), np.sort(scores)[::-1].tolist(), strict=True)
            guesses = [{"start": a, "end": b, "label": c, "score": s} for (a, b), c, s in rows]
            out.write(orjson.dumps({"id": f"video_{v:05d}", "segments": truth, "predictions": guesses}) + b"\n")


def proposals(rng, n: int, classes: int = 82) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Segments (n, 2), labels (n,) with a long tail, and scores (n,)."""
    start, length = rng.uniform(0, 15, n), rng.lognormal(0.5, 0.7, n)
    labels = np.minimum(rng.zipf(1.5, n) - 1, classes - 1)
    return np.stack([start, start + length], 1).round(3), labels, rng.beta(1, 8, n).round(6)


def plain(segments, scores, labels, sigma: float = 0.5, topk: int = 200) -> list[tuple[int, float]]:
    """Gaussian soft-NMS as its definition reads, every step over all proposals."""
    left, kept = dict(enumerate(scores.tolist())), []
    spans, names = segments.tolist(), labels.tolist()
    while left and len(kept) < topk:
        best = max(left, key=left.__getitem__)
        kept.append((best, left.pop(best)))
        start, end = spans[best]
        for i in left:
            if names[i] == names[best]:
                shared = max(0.0, min(end, spans[i][1]) - max(start, spans[i][0]))
                left[i] *= np.exp(-((shared / (end - start + spans[i][1] - spans[i][0] - shared)) ** 2) / sigma)
    return kept


def cost(command: list[str]) -> float:
    """CPU seconds of a process."""
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, used = os.wait4(pid, 0)
    assert status == 0, command
    return used.ru_utime + used.ru_stime


def seconds(work) -> float:
    """CPU seconds of a call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    """Prints both tables, best of three runs in turn."""
    videos = int(sys.argv[1]) if len(sys.argv) > 1 else 1214
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/detections.jsonl"
        write_detections(path, videos)
        score = [str(MMA82), "score", "-q", "--metric", "map", path]
        commands = {
            "import orjson, numpy; parse": [sys.executable, "-c", LOOP, path],
            "mma82 score --metric map": score,
            "  --evaluator mac": [*score, "--evaluator", "mac"],
            "  --per-class": [*score, "--per-class"],
            "  --counts": [*score, "--counts"],
            "  --body-suppress gauss": [*score, "--body-suppress", "gauss"],
            "  --ci 1000": [*score, "--ci", "1000"],
        }
        best = {name: min(cost(command) for _ in range(3)) for name, command in commands.items()}
        least = best["import orjson, numpy; parse"]
        print(f"{videos} videos, {200 * videos} predictions, {os.path.getsize(path) / 1e6:.1f} MB, 82 labels, 9 tIoUs, 2 levels")
        for name, used in best.items():
            print(f"{name:<34}{used:7.2f} CPU s {used / least:6.2f}x")
    rng = np.random.default_rng(1)
    sets = [proposals(rng, 2000) for _ in range(20)]
    ours = min(seconds(lambda: [suppress(s, p, c) for s, c, p in sets]) for _ in range(3)) / len(sets)
    loop = seconds(lambda: [plain(s, p, c) for s, c, p in sets[:2]]) / 2
    print(f"\nsoft-NMS of 2000 proposals, best 200: {1e3 * ours:.2f} CPU ms a video")
    print(f"a plain loop over dictionaries:        {1e3 * loop:.2f} CPU ms a video, {loop / ours:.0f}x")


if __name__ == "__main__":
    main()
