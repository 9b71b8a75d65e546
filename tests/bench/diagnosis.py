"""How `mma82 diagnose` compares with its definition in plain Python: CPU seconds on the same detections, figures equal.

.venv/bin/python tests/bench/diagnosis.py [VIDEOS]    (default 60, of 200 predictions each; then as many alone as 1214)
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from plain_diagnosis import PlainDiagnosis  # noqa: E402

from mma82cli.detections import Detections  # noqa: E402
from mma82cli.metrics.diagnosis import BORDERS, Diagnosis, sort_into_buckets  # noqa: E402
from mma82cli.stream import Line, Pipe  # noqa: E402
from mma82cli.taxonomy import load_taxonomy  # noqa: E402

TIOUS = [i / 10 for i in range(1, 10)]


def detections(n: int, names: list[str], each: int = 200) -> list[dict]:
    """`n` videos of 15 to 20 s with up to six actions, whose predictions are near one of them, or anywhere."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, len(names) + 1)
    share /= share.sum()
    records = []
    for v in range(n):
        count, duration = rng.integers(1, 7), rng.uniform(15, 20)
        starts = rng.uniform(0, 0.8 * duration, count)
        ends = np.minimum(duration, starts + 0.3 + rng.exponential(2.5, count))
        labels = rng.choice(names, count, p=share)
        near = rng.integers(0, count, each)
        first = starts[near] + rng.normal(0, 0.5, each)
        last = np.maximum(first + 0.1, ends[near] + rng.normal(0, 0.5, each))
        guess = np.where(rng.random(each) < 0.3, labels[near], rng.choice(names, each, p=share))
        found = zip(first.round(3), last.round(3), guess, rng.random(each).round(4), strict=True)
        records.append(
            {
                "id": f"v{v:05d}",
                "duration": float(duration),
                "segments": [
                    {"start": float(s), "end": float(e), "label": str(c)} for s, e, c in zip(starts, ends, labels, strict=True)
                ],
                "predictions": [{"start": float(s), "end": float(e), "label": str(c), "score": float(p)} for s, e, c, p in found],
            }
        )
    return records


def ours(records: list[dict], taxonomy) -> dict:
    """The figures of `mma82 diagnose`."""
    videos = Detections(Pipe("diagnose"), taxonomy)
    for number, record in enumerate(records, 1):
        videos.add(Line(record, "file", number))
    durations = np.array([record["duration"] for record in records])
    truth, axes = sort_into_buckets(videos.truth.spans(), durations, BORDERS["mma82"])
    lines = Diagnosis(truth, videos.found.spans(), axes, np.array(TIOUS)).lines()
    return {(x["analysis"], x["axis"], x["bucket"], x["error"], x["tiou"]): x["value"] for x in lines}


def timed(function, *arguments):
    """(CPU seconds, result)."""
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


def main() -> None:
    """Prints the table."""
    taxonomy = load_taxonomy()
    records = detections(int(sys.argv[1]) if len(sys.argv) > 1 else 60, taxonomy.names)
    ours(records[:2], taxonomy)
    fast, got = timed(ours, records, taxonomy)
    slow, want = timed(lambda: PlainDiagnosis(records, TIOUS).figures)
    worst = max(abs(got[key] - value) for key, value in want.items() if value == value)
    print(f"{len(records)} videos, {200 * len(records)} predictions, 9 tIoUs; largest difference {worst:.1e}")
    print(f"{'plain Python':<16}{slow:8.2f} s\n{'mma82':<16}{fast:8.2f} s   1/{slow / fast:.0f}")
    many = detections(1214, taxonomy.names)
    print(f"1214 videos, 242800 predictions\n{'mma82':<16}{timed(ours, many, taxonomy)[0]:8.2f} s")


if __name__ == "__main__":
    main()
