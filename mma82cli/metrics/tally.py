"""Counts of every group of clips at both levels, and how they are written and read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mma82cli.metrics import recognition
from mma82cli.metrics.recognition import Counts, Ranked
from mma82cli.records import DataError, show
from mma82cli.taxonomy import Taxonomy


class Tally:
    """Counts by group. A group is the tuple of its values of the fields `by`; without `by` there is one, ().

    `body_rule` is None where the level of body groups is not wanted or the taxonomy has none.
    """

    def __init__(self, taxonomy: Taxonomy, by: Iterable[str] = (), body_rule: str | None = "max"):
        self.taxonomy, self.by = taxonomy, tuple(by)
        self.body_rule = body_rule if taxonomy.bodies else None
        self.body = np.array(taxonomy.body, dtype=int)
        self.sizes = {"action": len(taxonomy)} | ({"body": len(taxonomy.bodies)} if self.body_rule else {})
        self.groups: dict[tuple, dict[str, Counts]] = {}

    @property
    def n(self) -> int:
        """Number of clips counted."""
        return sum(levels["action"].n for levels in self.groups.values())

    def rank(self, labels: np.ndarray, scores: np.ndarray) -> dict[str, Ranked]:
        """Ranks of a batch a level: `labels` (N,) ids, `scores` (N, C)."""
        ranked = {"action": recognition.rank(labels, scores)}
        if self.body_rule:
            ranked["body"] = recognition.rank_bodies(labels, scores, self.body, self.body_rule)
        return ranked

    def add(self, ranked: dict[str, Ranked], groups: list[tuple]) -> None:
        """Counts a batch; `groups` has N entries, or none without `by`."""
        members: dict[tuple, list[int]] = {} if self.by else {(): []}
        for i, group in enumerate(groups):
            members.setdefault(group, []).append(i)
        for group, where in members.items():
            sums = self._sums(group)
            for level, part in ranked.items():
                sums[level] += part.counts(self.sizes[level], where if len(members) > 1 else slice(None))

    def absorb(self, other: Tally) -> None:
        """Adds the counts of another tally of the same levels."""
        for group, levels in other.groups.items():
            sums = self._sums(group)
            for level, counts in levels.items():
                sums[level] += counts

    def _sums(self, group: tuple) -> dict[str, Counts]:
        return self.groups.setdefault(group, {level: Counts.empty(size) for level, size in self.sizes.items()})

    def ordered(self) -> Iterator[tuple[dict, dict[str, Counts]]]:
        """(fields of the group, counts a level), in an order that does not depend on the input's."""
        for group in sorted(self.groups, key=lambda g: [(v is not None, str(type(v)), v) for v in g]):
            yield dict(zip(self.by, group, strict=True)), self.groups[group]

    # -- counts as records -----------------------------------------------------------------------------------

    def to_records(self, settings: dict) -> Iterator[dict]:
        """A mergeable record a group; `settings` are the choices that have to agree between shards."""
        for fields, levels in self.ordered():
            yield {
                "counts": "recognition", "settings": settings, "by": fields, "n": levels["action"].n,
                "levels": {level: _sparse(counts) for level, counts in levels.items()},
            }  # fmt: skip

    def add_record(self, record: dict, settings: dict) -> None:
        """Adds a record that `to_records` wrote. Raises DataError where it is none or its settings differ."""
        must_agree(record, settings, self.by)
        try:
            sums = self._sums(tuple(record["by"].values()))
            for level, size in self.sizes.items():
                sums[level] += _dense(record["levels"][level], size)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"damaged counts ({error!r}); expected a line of `score --counts`") from None


def must_agree(record: dict, settings: dict, by: tuple[str, ...]) -> None:
    """Raises DataError where a line of counts was made with other choices, or in other groups."""
    if record.get("settings") != settings:
        raise DataError(f"counted with {show(record.get('settings'), 200)}; this run has {show(settings, 200)}")
    counted = list(record["by"]) if isinstance(record.get("by"), dict) else record.get("by")
    if counted != list(by):
        raise DataError(f"counted --by {show(counted)}; this run has {show(list(by))}")


def _sparse(counts: Counts) -> dict:
    rows, columns = np.nonzero(counts.confusion)
    hits = np.flatnonzero(counts.top5)
    return {
        "confusion": np.stack([rows, columns, counts.confusion[rows, columns]], 1).tolist(),
        "top5": np.stack([hits, counts.top5[hits]], 1).tolist(),
        "ties": counts.ties,
        "unknown": counts.unknown,
    }


def _dense(record: dict, size: int) -> Counts:
    counts = Counts.empty(size)
    confusion = np.array(record["confusion"], np.int64).reshape(-1, 3)
    top5 = np.array(record["top5"], np.int64).reshape(-1, 2)
    if min(confusion.min(initial=0), top5.min(initial=0)) < 0:
        raise ValueError("a negative count")
    np.add.at(counts.confusion, (confusion[:, 0], confusion[:, 1]), confusion[:, 2])
    np.add.at(counts.top5, top5[:, 0], top5[:, 1])
    counts.ties, counts.unknown = int(record["ties"]), int(record["unknown"])
    return counts
