"""What a detector that has seen no video would score: python tests/bench/priors.py VIDEOS.jsonl | mma82 score --metric map

It knows how often each label occurs in the train videos and how long it lasts, and says so all over each test video: spans
of the label's quartiles of length, half of one apart, each as likely as the label is frequent there.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict

import numpy as np

MOST = 200  # predictions a video, as the detectors' recipes have it


def priors(records: list[dict]) -> dict[str, tuple[float, np.ndarray]]:
    """{label: (share of all instances, quartiles of length in s)} of the train records."""
    lengths = defaultdict(list)
    for record in records:
        for segment in record["segments"] if record.get("split") == "train" else ():
            lengths[segment["label"]].append(segment["end"] - segment["start"])
    total = sum(map(len, lengths.values()))
    return {label: (len(each) / total, np.percentile(each, (25, 50, 75))) for label, each in lengths.items()}


def guesses(duration: float, known: dict) -> list[dict]:
    """Predictions for a video of that length, best first."""
    found = []
    for label, (share, quartiles) in known.items():
        for closeness, length in zip((0.9, 1.0, 0.9), quartiles.tolist(), strict=True):
            starts = np.arange(0, max(duration - length, 0) + 1e-6, length / 2).tolist()
            span = [(start, min(start + length, duration)) for start in starts]
            found += [{"start": a, "end": b, "label": label, "score": share * closeness / len(span)} for a, b in span]
    return sorted(found, key=lambda each: -each["score"])[:MOST]


def main(path: str) -> None:
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    known = priors(records)
    for record in records:
        if record.get("split") == "test":
            print(json.dumps(record | {"predictions": guesses(record["duration"], known)}, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
