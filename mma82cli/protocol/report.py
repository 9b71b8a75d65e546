"""Tables II and V of the paper for any splits: counts, shares, deviations, and how unlike the classes are."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mma82cli.protocol.counting import Clips
from mma82cli.records import SPLITS


def divergence(p: np.ndarray, q: np.ndarray) -> float | None:
    """Jensen-Shannon divergence (base 2, 0..1) of two histograms; None where one is empty."""
    if not p.sum() or not q.sum():
        return None
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def toward(a):
        return float((a[a > 0] * np.log2(a[a > 0] / middle[a > 0])).sum())

    return max(0.0, (toward(p) + toward(q)) / 2)


def report(clips: Clips, splits: list[str | None], ratio: dict[str, float]) -> list[dict]:
    """Rows for `--report`: a row a domain and split (domain null: all), then a row a pair of splits.

    splits[i] is clip i's split (None: in none); `ratio` the shares wanted, summing to 1
    `deviation` is in percentage points of the domain's clips; untrimmed videos count their segments.
    """
    where = np.array([SPLITS.index(s) if s in SPLITS else -1 for s in splits], int)
    histogram = np.zeros((len(clips.domains) + 1, len(SPLITS), len(clips.labels)), int)  # the last domain is all
    groups = [[set() for _ in SPLITS] for _ in range(len(clips.domains) + 1)]
    records = np.zeros((len(clips.domains) + 1, len(SPLITS)), int)
    for i, s in enumerate(where.tolist()):
        for d in {clips.domain[i], -1} if s >= 0 else ():
            records[d, s] += 1
            groups[d][s].add(clips.group[i])
            for label in clips.classes[i]:
                histogram[d, s, label] += 1
    rows = []
    labels = clips.labels.values
    for d, domain in [(-1, None), *enumerate(clips.domains.values)]:
        total = histogram[d].sum()
        for s, split in enumerate(SPLITS):
            if not records[d].any() or (split not in ratio and not records[d, s]):
                continue
            counts = histogram[d, s]
            share = float(counts.sum() / total) if total else None
            wanted = ratio.get(split)
            row = {"table": "splits", "domain": domain, "split": split}
            row |= {"records": int(records[d, s]), "instances": int(counts.sum())}
            row |= {"groups": len(groups[d][s]), "share": share, "wanted": wanted}
            row["deviation"] = None if share is None or wanted is None else 100 * (share - wanted)
            row["classes"] = int((counts > 0).sum())
            if domain is None:
                row["missing"] = [labels[c] for c in np.flatnonzero((counts == 0) & (histogram[d].sum(0) > 0))]
            rows.append(row)
    for a, b in combinations(range(len(SPLITS)), 2):
        value = divergence(histogram[-1, a], histogram[-1, b])
        if value is not None:
            rows.append({"table": "divergence", "splits": [SPLITS[a], SPLITS[b]], "jsd": value})
    return rows
