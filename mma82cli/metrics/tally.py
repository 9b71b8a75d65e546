"""Counts of every group of clips at both levels, how they are written and read back, and the lines they make."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mma82cli.metrics import recognition
from mma82cli.metrics.recognition import Counts, Ranked
from mma82cli.records import DataError, show
from mma82cli.taxonomy import Taxonomy


class Tally:
    """Counts by group. A group is the tuple of its values of the fields `by`; without `by` there is one, ().

    `body_rule` is None where the level of body groups is not wanted or the taxonomy has none.
    """

    def __init__(self, taxonomy: Taxonomy, by=(), body_rule: str | None = "max"):
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
        """Counts a batch; `groups` has N entries."""
        members: dict[tuple, list[int]] = {}
        for i, group in enumerate(groups):
            members.setdefault(group, []).append(i)
        for group, where in members.items():
            sums = self._sums(group)
            for level, part in ranked.items():
                sums[level] += part.counts(self.sizes[level], where if len(members) > 1 else slice(None))

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
        if record.get("settings") != settings:
            raise DataError(f"counted with {show(record.get('settings'), 200)}; this run has {show(settings, 200)}")
        try:
            if list(record["by"]) != list(self.by):
                raise DataError(f"counted --by {show(list(record['by']))}; this run has {show(list(self.by))}")
            sums = self._sums(tuple(record["by"].values()))
            for level, size in self.sizes.items():
                sums[level] += _dense(record["levels"][level], size)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"damaged counts ({error!r}); expected a line of `score --counts`") from None


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


# -- lines of a report -------------------------------------------------------------------------------------------


def metric_lines(tally: Tally, metrics: list[str] | None, levels: list[str], rule: str) -> Iterator[dict]:
    """{"metric", "level", …group…, "value", "n"} of every group. `metrics` None: all that the counts can answer."""
    for fields, counts in tally.ordered():
        values = {level: recognition.metrics(counts[level], rule) for level in levels if level in counts}
        for metric in metrics or recognition.METRICS:
            if metric == "f1-mean":
                if len(values) == 2:
                    mean = recognition.f1_mean(values["action"], values["body"])
                    yield {"metric": metric, "level": "avg", **fields, "value": mean, "n": counts["action"].n}
                continue
            for level, figures in values.items():
                if metric in figures:
                    yield {"metric": metric, "level": level, **fields, "value": figures[metric], "n": counts[level].n}
                elif metrics:
                    raise DataError("'topk' is too short to tell the five best; expected 'scores', or a larger --topk")


def class_lines(tally: Tally, levels: list[str]) -> Iterator[dict]:
    """recall, top5 and f1 of every label; null where it has no truth."""
    for fields, counts in tally.ordered():
        for level in (x for x in levels if x in counts):
            names = tally.taxonomy.names if level == "action" else tally.taxonomy.bodies
            values = recognition.per_class(counts[level])
            for metric in ("recall", "top5", "f1"):
                if metric == "top5" and counts[level].unknown:
                    continue
                for name, value, support in zip(names, values[metric].tolist(), values["support"].tolist(), strict=True):
                    shown = None if support == 0 else value
                    yield {"metric": metric, "level": level, **fields, "label": name, "value": shown, "support": support}


def confusion_lines(tally: Tally, levels: list[str]) -> Iterator[dict]:
    """A line for each pair of labels that occurs: `label`, `predicted`, `n`."""
    for fields, counts in tally.ordered():
        for level in (x for x in levels if x in counts):
            names = tally.taxonomy.names if level == "action" else tally.taxonomy.bodies
            confusion = counts[level].confusion
            for truth, guess in np.argwhere(confusion).tolist():
                pair = {"label": names[truth], "predicted": names[guess], "n": int(confusion[truth, guess])}
                yield {"metric": "confusion", "level": level, **fields, **pair}
