"""How well annotators agree: frame-wise kappa, alpha and Dice, and what matched instances say.

Frames are 100 ms; a frame is active for an annotator when its centre lies in one of their [start, end). All annotators
of the input rate every video: who marked nothing saw nothing. Every figure is a function of sums, and the overall line
is the same function of the sums over all videos and labels.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from mma82cli.annotation.instances import Annotation
from mma82cli.annotation.spans import Span, microseconds, tiou
from mma82cli.records import is_number

STEP = 100_000  # microseconds a frame
Mark = tuple[int, Span]  # rank of the annotator, span in microseconds


class Sums:
    """The additive parts of every figure; `add` pools two."""

    def __init__(self):
        self.tables: dict[tuple[int, int], list[int]] = {}  # pair of raters -> frames [both, first, second, neither]
        self.active = self.idle = 0  # rater-frames
        self.disagreeing = 0.0  # alpha's observed coincidences of unlike values, one way
        self.tiou, self.pairs = 0.0, 0
        self.matched, self.given = 0, 0  # pairs with tIoU >= 0.5; annotations of both raters, over pairs of raters
        self.boundaries = array("q")  # |difference| of starts and of ends in matched pairs, microseconds

    def add(self, other: Sums) -> None:
        """Adds another video's or label's sums to these."""
        for pair, table in other.tables.items():
            mine = self.tables.setdefault(pair, [0, 0, 0, 0])
            for i in range(4):
                mine[i] += table[i]
        for name in ("active", "idle", "disagreeing", "tiou", "pairs", "matched", "given"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.boundaries.extend(other.boundaries)

    def figures(self, names: list[str]) -> dict:
        """The figures; null where one is undefined (no pair, or no variation to agree on)."""
        pairs = sorted(self.tables)
        return {
            "kappa": {f"{names[a]}|{names[b]}": _kappa(*self.tables[a, b]) for a, b in pairs},
            "dice": {f"{names[a]}|{names[b]}": _dice(*self.tables[a, b]) for a, b in pairs},
            "alpha": self._alpha(),
            "mean_tiou": self.tiou / self.pairs if self.pairs else None,
            "boundary_error": _median(self.boundaries),
            "f1": 2 * self.matched / self.given if self.given else None,
            "pairs": self.pairs,
        }

    def _alpha(self) -> float | None:
        """Krippendorff's alpha for two nominal values: 1 - (n - 1) o_01 / (n_0 n_1)."""
        expected = self.active * self.idle
        if not expected or not self.tables:
            return None
        return 1 - (self.active + self.idle - 1) * self.disagreeing / expected


def _kappa(both: int, first: int, second: int, neither: int) -> float | None:
    """Cohen's kappa; None where both raters always say the same one thing."""
    n = both + first + second + neither
    chance = (both + first) * (both + second) + (neither + second) * (neither + first)  # n^2 times
    return (n * (both + neither) - chance) / (n * n - chance) if n * n != chance else None


def _dice(both: int, first: int, second: int, neither: int) -> float | None:
    return 2 * both / (2 * both + first + second) if both + first + second else None


def _median(values: array) -> float | None:
    """The median in seconds."""
    if not values:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    twice = ordered[middle] + ordered[middle - (len(ordered) % 2 == 0)]
    return twice / 2_000_000


def measure(groups: list[list[Mark]], raters: int, frames: int) -> Sums:
    """The sums of one video and label: `groups` are its instances, `raters` how many annotators there are."""
    sums = Sums()
    masks = [0] * raters  # a bit a frame
    given = Counter(rank for group in groups for rank, _ in group)
    for group in groups:
        for rank, span in group:
            masks[rank] |= _active(span, frames)
        for (_, a), (_, b) in combinations(group, 2):
            shared, union = tiou(a, b)
            sums.tiou += shared / union
            sums.pairs += 1
            sums.matched += 2 * shared >= union
            sums.boundaries.extend((abs(a[0] - b[0]), abs(a[1] - b[1])))
    unlike = 0
    for a, b in combinations(range(raters), 2):
        both = (masks[a] & masks[b]).bit_count()
        first, second = masks[a].bit_count() - both, masks[b].bit_count() - both
        sums.tables[a, b] = [both, first, second, frames - both - first - second]
        sums.given += given[a] + given[b]
        unlike += first + second
    if raters > 1:
        sums.active = sum(mask.bit_count() for mask in masks)
        sums.idle = frames * raters - sums.active
        sums.disagreeing = unlike / (raters - 1)
    return sums


def _active(span: tuple[int, int], frames: int) -> int:
    """A bit for each frame whose centre lies in [start, end)."""
    first = min(max(0, -((STEP // 2 - span[0]) // STEP)), frames)
    last = min(max(0, -((STEP // 2 - span[1]) // STEP)), frames)
    return (1 << last) - (1 << first)


class Agreement:
    """Takes videos one by one; when all annotators are known, gives a row a video and label, and one for all.

    It holds the spans, not the records.
    """

    def __init__(self):
        self._cells: list[tuple[str, str, int, list[list[Mark]]]] = []

    def add(self, annotations: list[Annotation], instances: list[list[Annotation]]) -> None:
        """Takes a video: its annotations, and the same grouped into instances."""
        frames, video = _frames(annotations), annotations[0].record["video"]
        labels: dict[str, list[list[Mark]]] = {}
        for group in instances:
            for label in {a.label for a in group}:
                labels.setdefault(label, []).append([(a.rank, a.span) for a in group if a.label == label])
        self._cells += [(video, label, frames, labels[label]) for label in sorted(labels)]

    def rows(self, names: list[str]) -> Iterator[dict]:
        """The rows, those of a video by label, at last the one with `video` null. `names`: annotators by rank."""
        together = Sums()
        for video, label, frames, groups in self._cells:
            sums = measure(groups, len(names), frames)
            together.add(sums)
            yield {"video": video, "label": label, **sums.figures(names)}
        yield {"video": None, "label": None, **together.figures(names)}


def _frames(annotations: list[Annotation]) -> int:
    """Frames up to the video's `duration`, else to the last end."""
    durations = [a.record["duration"] for a in annotations if is_number(a.record.get("duration"))]
    until = microseconds(max(durations)) if durations else max(a.span[1] for a in annotations)
    return max(1, -(-until // STEP))
