"""Records with `scores` or `topk`, read in batches of arrays, at little more than the cost of parsing them.

The loop takes the straight way while all is well; a line that trips it is looked at again, slowly, by
`Predictions.check`, which says exactly what is wrong with it or finds the odd but valid form.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from mma82cli.fingerprints import Seen
from mma82cli.records import MISSING, DataError, good_probabilities, group_of, record_id, run_of, scores_of, show, wrong
from mma82cli.stream import Line, Pipe, parse
from mma82cli.taxonomy import Taxonomy

if TYPE_CHECKING:
    from mma82cli.detections import Detections

BATCH = 4096
_LABEL_TYPES = (str, int)  # a bool or 1.0 would pass for an id in a look-up


class _NotStraight(Exception):
    """A record that needs the slow way."""


_TROUBLE = (_NotStraight, ValueError, TypeError, KeyError, AttributeError, struct.error, DataError)


@dataclass
class Batch:
    """N predictions: `labels` (N,) true ids, `scores` (N, C) (`topk` leaves -inf; the next batch overwrites them), `ids`,
    and `groups`, the values of --by (N, or none without it)."""

    labels: np.ndarray
    scores: np.ndarray
    ids: list[str]
    groups: list[tuple]


class Predictions:
    """Reads the predictions of a pipe.

    taxonomy  what `scores` follow; target: the field that holds the truth
    split     only records of this split
    by        fields whose values make the groups; `file`, where a record has none, is the FILE's name
    truth     {id: record}, where predictions carry no truth of their own
    sums      whether scores are summed over body groups: logits are turned into probabilities, and `topk` does not do
    also      collects the detections of the same records
    """

    def __init__(
        self, pipe: Pipe, taxonomy: Taxonomy, target: str = "label", split: str | None = None, by: Iterable[str] = (),
        truth: dict[str, dict] | None = None, sums: bool = False, also: Detections | None = None,
    ):  # fmt: skip
        self.pipe, self.taxonomy, self.target, self.split, self.by = pipe, taxonomy, target, split, tuple(by)
        self.truth, self.sums, self.also = truth, sums, also
        self.other_taxonomies: set[str] = set()  # named by records, and not ours
        self.counts: list[Line] = []  # lines of `score --counts` met on the way
        self.scored: set[str] = set()  # ids of the truth that were met
        # records that the straight way does not suit
        self._odd = truth is not None or sums or also is not None or "file" in by
        self._pack = struct.Struct(f"{len(taxonomy)}d")
        self._places: list[tuple[int, str]] = []  # (place of a file's line 0, name)
        self._seen = Seen()
        self._runs = False  # whether an id may be that of several runs
        self._line = 0  # the last line read of the current file

    def batches(self) -> Iterator[Batch]:
        """The predictions in order, BATCH at a time. Raises DataError, with its place, unless bad records are skipped."""
        scores, base = bytearray(BATCH * self._pack.size), 0
        rows = _Rows(scores)
        for file, lines in self.pipe.input().by_file():
            self._places.append((base, file))
            numbered, self._line = enumerate(lines, 1), 0
            while self._fill(rows, numbered, file, base):
                yield self._finish(rows)
                rows = _Rows(scores)
            base += self._line
        if rows.keys:
            yield self._finish(rows)

    def _fill(self, rows: _Rows, numbered: Iterator[tuple[int, bytes]], file: str, base: int) -> bool:
        """Adds lines to the batch until it is full (True) or the file ends (False)."""
        loads, pack_into, size = orjson.loads, self._pack.pack_into, self._pack.size
        target, split, taxonomy, label_ids = self.target, self.split, self.taxonomy.name, self.taxonomy.ids
        add_label, add_key, add_place = rows.labels.append, rows.keys.append, rows.places.append
        offset = len(rows.keys) * size
        for number, raw in numbered:
            self._line = number
            try:
                record = loads(raw)
                if self._odd or "run" in record or record.get("taxonomy", taxonomy) != taxonomy:
                    raise _NotStraight
                if split is not None and record["split"] != split:
                    continue
                label, key = record[target], record["id"]
                if type(key) is not str or type(label) not in _LABEL_TYPES:
                    raise _NotStraight
                label = label_ids[label]
                pack_into(rows.scores, offset, *record["scores"])
                if self.by:
                    rows.groups.append(group_of(record, self.by))
            except _TROUBLE:
                if not self._add_slowly(rows, raw, file, number, base + number):
                    continue
            else:
                add_label(label)
                add_key(key)
                add_place(base + number)
            offset += size
            if offset == len(rows.scores):
                return True
        return False

    def _add_slowly(self, rows: _Rows, raw: bytes, file: str, number: int, place: int) -> bool:
        if not raw.strip():
            return False
        record: Any = raw.decode("utf-8", "replace").strip()
        try:
            record = parse(raw, number)
            if "counts" in record:
                detection = self.also is not None and record["counts"] == "detection"
                (self.also if detection else self).counts.append(Line(record, file, number))
                return False
            whole = record
            if "file" in self.by:
                record.setdefault("file", file)
            record = self._joined(record)
            if self.split is not None and record.get("split") != self.split:
                return False
            label = self.taxonomy.id(record.get(self.target, MISSING), self.target)
            scores = self.check(record)
            name, group = record_id(record, self.taxonomy.id), group_of(record, self.by)
            if self.also is not None:
                self.also.add(Line(whole, file, number))
        except DataError as error:
            self.pipe.reject(Line(record, file, number), error)
            return False
        self._pack.pack_into(rows.scores, len(rows.keys) * self._pack.size, *scores)
        rows.labels.append(label)
        told = run_of(record, self.by)
        self._runs |= bool(told)
        rows.keys.append((name, told) if told else name)
        rows.places.append(place)
        if self.by:
            rows.groups.append(group)
        return True

    def _joined(self, record: dict) -> dict:
        if self.truth is None:
            return record
        name = record_id(record, self.taxonomy.id)
        if name not in self.truth:
            raise DataError(f"id {show(name)} is not in the truth, whose first is {show(next(iter(self.truth), None))}")
        self.scored.add(name)
        return {**record, **self.truth[name]}

    def fingerprints(self) -> np.ndarray:
        """Of all ids (with their runs), as they came."""
        return self._seen.all()

    def check(self, record: dict) -> list[float]:
        """The scores of a record, (C,) in id order; `topk` gives ranks, -inf for what it leaves out. Raises DataError."""
        named = record.get("taxonomy")
        if named not in (None, self.taxonomy.name):
            self.other_taxonomies.add(str(named))
        if "scores" not in record and "topk" in record:
            return self._from_topk(record["topk"])
        scores = scores_of(record, self.taxonomy)
        if self.sums and record.get("scores_kind") == "logits":
            powers = np.exp(np.array(scores) - max(scores))
            return (powers / powers.sum()).tolist()
        if self.sums:
            good_probabilities(scores)
        return scores

    def _from_topk(self, topk) -> list[float]:
        if not isinstance(topk, list) or not topk or not all(isinstance(pair, list) and len(pair) == 2 for pair in topk):
            raise wrong("topk", topk, "a list of [label, score], best first")
        if self.sums:
            raise DataError("'topk' holds no sum over a body group; expected 'scores', or --body max")
        scores = [float("-inf")] * len(self.taxonomy)
        for place, (label, _) in enumerate(topk):
            scores[self.taxonomy.id(label, "topk")] = -float(place)
        return scores

    def _finish(self, rows: _Rows) -> Batch:
        n = len(rows.keys)
        scores = np.frombuffer(rows.scores, np.float64, n * len(self.taxonomy)).reshape(n, -1)
        repeated = self._seen.find(rows.keys, rows.places)
        for index, first in repeated.items():
            file, number = self._where(rows.places[index])
            before = ":".join(map(str, self._where(first)))
            key = rows.keys[index]
            name = key if type(key) is str else key[0]
            message = f"id {show(name)} was given before, at {before}; ids must differ"
            self.pipe.reject(Line({"id": name}, file, number), message)
        keep: Any = np.setdiff1d(np.arange(n), list(repeated)) if repeated else slice(None)
        ids: list[Any] = [rows.keys[i] for i in keep] if repeated else rows.keys
        if self._runs:
            ids = [key if type(key) is str else key[0] for key in ids]
        groups = [rows.groups[i] for i in keep] if repeated and self.by else rows.groups
        return Batch(np.array(rows.labels, int)[keep], scores[keep], ids, groups)

    def _where(self, place: int) -> tuple[str, int]:
        base, file = next(p for p in reversed(self._places) if p[0] < place)
        return file, place - base


class _Rows:
    """A batch being filled, its numbers in a buffer that every batch uses again."""

    def __init__(self, scores: bytearray):
        self.scores = scores
        self.labels: list[int] = []
        self.keys: list[str | tuple[str, str]] = []  # id, or id and run
        self.places: list[int] = []
        self.groups: list[tuple] = []


def load_truth(path: str, taxonomy: Taxonomy, target: str) -> dict[str, dict]:
    """{id: record} of a truth file, its labels checked. Raises DataError with the place."""
    pipe, truth = Pipe("score", [path]), {}
    for line in pipe.lines():
        try:
            name = record_id(line.record, taxonomy.id)
            taxonomy.id(line.record.get(target, MISSING), target)
            if name in truth:
                raise DataError(f"id {show(name)} was given before; ids must differ")
        except DataError as error:
            pipe.reject(line, error)
        truth[name] = {k: v for k, v in line.record.items() if k not in ("keypoints", "scores", "topk", "taxonomy")}
    return truth
