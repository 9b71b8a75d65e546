"""Truth and predictions of an untrimmed video over time, a row a label, under thumbnails where the video is there.

In the upper half of a row lies the truth; in the lower half the best predictions, green where one takes a segment of its
label (tIoU 0.5 or more, the best first, as the mAP has it), vermilion where none is left to take; blue where there is no
truth to tell by. Paler: a lower score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mma82cli.metrics.detection import Spans, match
from mma82cli.plots import chosen
from mma82cli.plots.stills import film_of, stills
from mma82cli.plots.style import BLUE, GREEN, GREY, INK, VERMILION, save, style
from mma82cli.records import DataError, is_number, optional_span, shortened, wrong

HEEDS = ("--id", "--root")
MOST = 4  # videos that are drawn where none is named
ROWS = 14  # labels of a figure
AT_LEAST = 10  # predictions that are drawn; else twice as many as there are segments
TIOU = 0.5
LETTERS = 48  # of a label beside its row
THUMBS, THUMB = 9, 160  # thumbnails of a figure, and their height in pixels


@dataclass(frozen=True)
class Bars:
    """N spans: `spans` (N, 2) in seconds, `labels` (N,), `scores` (N,) (of truth 1)."""

    spans: np.ndarray
    labels: list[str]
    scores: np.ndarray


def draw(records: Iterable[dict], folder: str, options) -> list[str]:
    """Writes `timeline-ID.svg` and `.png` for the records of `options.ids`, or for the first few. Thumbnails come from the
    videos under `options.root`. Raises DataError where there is nothing to draw."""
    paths = []
    for name, record in chosen(records, options.ids, MOST):
        truth, found = bars(record, "segments"), bars(record, "predictions")
        if not truth and not found:
            raise DataError(f"{name} has no 'segments' and no 'predictions'; expected what `mma82 infer` writes with a detector")
        with style(math=False):
            sheet = figure(record, name, truth or bars({}, None), found or bars({}, None), options.root)
            paths += save(sheet, folder, "timeline-" + re.sub(r"[^\w.-]+", "_", name))
    return paths


def bars(record: dict, field: str | None) -> Bars | None:
    """The spans in `field`, best first; None where the record has no such field. Raises DataError."""
    if field is not None and field not in record:
        return None
    entries = record[field] if field else []
    if not isinstance(entries, list):
        raise wrong(field, entries, "a list of {start, end, label}")
    names = ("start", "end", "score") if field == "predictions" else ("start", "end")
    for i, entry in enumerate(entries):
        bad = next((n for n in names if not isinstance(entry, dict) or not is_number(entry.get(n))), None)
        if bad or "label" not in entry:
            raise wrong(f"{field}[{i}]", entry, f"{{{', '.join((*names, 'label'))}}}")
    entries = sorted(entries, key=lambda entry: -entry.get("score", 1)) if field == "predictions" else entries
    spans = np.array([[entry["start"], entry["end"]] for entry in entries], float).reshape(-1, 2)
    return Bars(spans, [str(entry["label"]) for entry in entries], np.array([float(e.get("score", 1)) for e in entries]))


def best_of(found: Bars, truth: Bars | None) -> Bars:
    """The predictions that are worth showing: twice as many as there are segments, at least a few."""
    shown = max(AT_LEAST, 2 * len(truth.labels) if truth else 0)
    return Bars(found.spans[:shown], found.labels[:shown], found.scores[:shown])


def figure(record: dict, name: str, truth: Bars, found: Bars, root: str):
    """The timeline as a matplotlib Figure."""
    from matplotlib.figure import Figure

    found = best_of(found, truth)
    labels = list(dict.fromkeys([*truth.labels, *found.labels]))[:ROWS]
    ends = [*truth.spans[:, 1], *found.spans[:, 1], 1e-3]
    end = float(record["duration"]) if is_number(record.get("duration")) else max(ends)
    path = film_of(record, root)
    start, _ = optional_span(record)
    pictures = stills(path, start, start + end, THUMBS, THUMB) if path else []
    tall = 0.34 * max(2, len(labels)) + 0.75
    sheet = Figure(figsize=(8.4, tall + (0.85 if pictures else 0)), layout="constrained")
    rows = sheet.subplots(2 if pictures else 1, 1, squeeze=False, height_ratios=[0.7, tall] if pictures else None)[:, 0]
    if pictures:
        _strip(rows[0], pictures, end)
    _bars(rows[-1], labels, truth, found, VERMILION if "segments" in record else BLUE)
    rows[-1].set_xlim(0, end)
    rows[-1].set_xlabel("time (s)")
    rows[0].set_title(_title(name, labels, truth, found), loc="left", fontsize=8)
    return sheet


def _title(name: str, labels: list[str], truth: Bars, found: Bars) -> str:
    left = len(set(truth.labels) | set(found.labels)) - len(labels)
    count = len(found.labels)
    said = f"{count} best predictions" if count > 1 else f"{count or 'no'} prediction"
    if truth.labels:
        said = f"truth above, {said} below" + (f" (green: takes a segment at tIoU {TIOU:g})" if count else "")
    return f"{name}: {said}" + (f"; {left} more labels" if left else "")


def _bars(axes, labels: list[str], truth: Bars, found: Bars, missed: str) -> None:
    """The bars of each label's row; `missed` is the colour of a prediction that takes no segment."""
    ids = {label: i for i, label in enumerate(labels)}
    hits = _hits(truth, found)
    best = max(found.scores.max(initial=0), 1e-9)
    for label, (start, stop) in zip(truth.labels, truth.spans.tolist(), strict=True):
        if label in ids:
            axes.broken_barh([(start, stop - start)], (0.04 - ids[label], 0.34), facecolor=INK, linewidth=0)
    for i in np.lexsort((found.scores, hits)).tolist():  # hits, and among them the best, lie on top
        if found.labels[i] in ids:
            start, stop = found.spans[i].tolist()
            colour = _tint(GREEN if hits[i] else missed, 0.25 + 0.75 * found.scores[i] / best)
            place = (-0.38 - ids[found.labels[i]], 0.34)
            axes.broken_barh([(start, stop - start)], place, facecolor=colour, edgecolor="white", linewidth=0.7)
    axes.set_yticks([-i for i in range(len(labels))], [shortened(label, LETTERS) for label in labels])
    axes.set_ylim(-max(1, len(labels)) + 0.5, 0.5)
    for i in range(len(labels) - 1):
        axes.axhline(-i - 0.5, color=GREY, linewidth=0.5)


def _tint(colour: str, weight: float) -> tuple[float, ...]:
    """`colour` on white, so much of it."""
    return tuple(1 - weight * (1 - int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))


def _hits(truth: Bars, found: Bars) -> np.ndarray:
    """(N,) whether each prediction takes a segment."""
    ids = {label: i for i, label in enumerate([*truth.labels, *found.labels])}
    real, guessed = (
        Spans(np.zeros(len(p.labels), int), np.array([ids[x] for x in p.labels], int), p.spans, p.scores) for p in (truth, found)
    )
    return match(real, guessed, (TIOU,))[:, 0] >= 0


def _strip(axes, pictures: list[np.ndarray], end: float) -> None:
    """The pictures side by side, each over its own part of the time."""
    wide = end / THUMBS
    for i, picture in enumerate(pictures):
        axes.imshow(picture, extent=(i * wide, (i + 1) * wide, 0, 1), aspect="auto")
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1)
    axes.axis("off")
