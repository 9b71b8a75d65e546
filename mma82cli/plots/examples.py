"""What labels look like: a clip a row, stills of it from its beginning to its end beside what is said of it.

Of the emotion-rich part of the data set these are people who feel something, and what they do meanwhile (Fig. 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from mma82cli.plots import chosen
from mma82cli.plots.stills import film_needed, moments, stills
from mma82cli.plots.style import GREY, INK, save, style
from mma82cli.records import DataError, is_number, optional_span, record_id

HEEDS = ("--id", "--root")
MOST = 8  # clips of a figure, where none is named
SHOWN, SIDE = 6, 240  # stills of a clip; pixels of their shorter side
WIDE, WORDS = 8.4, 1.75  # inches of the figure; of the words beside the stills
LETTERS, LINE = 30, 0.125  # of a line of words: how many, and its height in inches
BIG, TITLE = 20, 0.17  # the same of a line of the title
HEAD = 0.16  # inches above the stills of a clip, for their times
GAP = 0.14  # inches between clips


@dataclass(frozen=True)
class Example:
    """A clip: `title` (its emotion or label) and `words` in lines; `pictures` RGB (h, w, 3) at `times` in seconds."""

    title: list[str]
    words: list[str]
    pictures: list[np.ndarray]
    times: np.ndarray

    @property
    def height(self) -> float:
        """Inches of its row."""
        tallest = max(picture.shape[0] / picture.shape[1] for picture in self.pictures)
        stills = HEAD + tallest * (WIDE - WORDS) / SHOWN
        return max(stills, HEAD + TITLE * len(self.title) + LINE * (len(self.words) + 0.3))


def draw(records: Iterable[dict], folder: str, options) -> list[str]:
    """Writes `examples.svg` and `examples.png`: the records of `options.ids`, or the first of each emotion (of each label,
    where there are no emotions). Videos lie under `options.root`. Raises DataError."""
    rows = [example(record, options.root) for _, record in chosen(records, options.ids, MOST, kind)]
    with style(math=False):
        return save(figure(rows), folder, "examples")


def kind(record: dict) -> str:
    """What one example is enough of."""
    return str(record.get("emotion", record.get("label")))


def example(record: dict, root: str) -> Example:
    """A record with its stills. Raises DataError where it has no video, or the video has no frame."""
    name, path = record_id(record), film_needed(record, root)
    start, end = optional_span(record)
    if end is None:
        end = float(record["duration"]) if is_number(record.get("duration")) else _length(path)
    pictures = stills(path, start, end, SHOWN, SIDE)
    if not pictures:
        raise DataError(f"{path}: not one frame can be decoded there; expected some")
    actions = record.get("actions")
    told = list(dict.fromkeys(map(str, actions))) if isinstance(actions, list) else []
    if "emotion" in record and "label" in record:
        told.insert(0, str(record["label"]))
    title = wrap(str(record.get("emotion", record.get("label", name))), BIG)
    words = [line for each in told for line in wrap(each, LETTERS, subsequent_indent="  ")]
    return Example(title, words, pictures, moments(start, end, SHOWN) - start)


def _length(path: str) -> float:
    """Seconds, by its frames."""
    from mma82cli.video import Clip, Frames

    return float(Frames(SIDE).stamps(Clip(path))[-1])


def figure(examples: list[Example]):
    """The rows as a matplotlib Figure."""
    from matplotlib.figure import Figure

    high = sum(one.height + GAP for one in examples)
    sheet = Figure(figsize=(WIDE, high))
    cell, top = (WIDE - WORDS) / SHOWN, high
    for one in examples:
        below = top - HEAD
        for lines, size, weight in ((one.title, 9, "bold"), (one.words, 7, "normal")):
            sheet.text(0.08 / WIDE, below / high, "\n".join(lines), fontsize=size, fontweight=weight, va="top", color=INK)
            below -= TITLE * len(lines)
        for i, (picture, time) in enumerate(zip(one.pictures, one.times, strict=False)):
            tall = cell * picture.shape[0] / picture.shape[1]
            axes = sheet.add_axes(((WORDS + i * cell) / WIDE, (top - HEAD - tall) / high, 0.97 * cell / WIDE, tall / high))
            axes.imshow(picture, aspect="auto")
            axes.set_axis_off()
            axes.set_title(f"{time:.1f} s", fontsize=6, pad=1.5, color=INK)
        top -= one.height + GAP
        if one is not examples[-1]:
            sheet.add_artist(_rule((top + GAP / 2) / high))
    return sheet


def _rule(y: float):
    """A line between two clips."""
    from matplotlib.lines import Line2D

    return Line2D([0.01, 0.99], [y, y], color=GREY, linewidth=0.5)
