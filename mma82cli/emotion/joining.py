"""Streams of scores and of faces joined by clip: who says what of which clip, with segments of a clip pooled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mma82cli.records import DataError, WrongUsage, are_numbers, good_probabilities, record_id, show, text, wrong
from mma82cli.taxonomy import Taxonomy, load_taxonomy

OWN = ("scores", "scores_kind", "topk", "taxonomy")  # what a record says that the fused one says anew
AGREE = ("split",)  # sources that contradict each other here are of two clips, or leak


@dataclass
class Stream:
    """One source of scores. `labels` are what its columns stand for, `logits` whether they are logits or probabilities."""

    name: str
    kind: str
    labels: list[str] = field(default_factory=list)
    logits: bool = True


@dataclass
class Clip:
    """A clip: its records without their scores, and for each stream the sum of what it says, and of how many records."""

    key: tuple
    records: list[dict] = field(default_factory=list)
    said: dict[int, tuple[np.ndarray, int]] = field(default_factory=dict)
    places: dict[int, str] = field(default_factory=dict)


class Joined(NamedTuple):
    """N clips, S streams: values[s] (N, D_s), zero where present (N, S) is False."""

    clips: list[Clip]
    values: list[np.ndarray]
    present: np.ndarray


class Join:
    """Collects the records of several files, a stream each.

    taxonomy  the labels that are to be told apart; target: the field with the truth
    pool      a field that names the clip of which a record is a segment, or None
    """

    def __init__(self, taxonomy: Taxonomy, target: str, pool: str | None = None):
        self.taxonomy, self.target, self.pool = taxonomy, target, pool
        self.streams: list[Stream] = []
        self.clips: dict[tuple, Clip] = {}

    def open(self, name: str, first: dict | None, alone: bool) -> list[int]:
        """The streams of a file by its first record: `scores`, or else `face`; of a file that is `alone`, both."""
        kinds = [kind for kind in ("scores", "face") if kind in (first or {})]
        if "topk" in (first or {}) and "scores" not in kinds:
            raise DataError(f"{name}: 'topk' leaves most labels out; expected 'scores'")
        if not kinds:
            raise DataError(f"{name}: no record with 'scores' or 'face' at its beginning")
        chosen = kinds if alone else kinds[:1]
        new = range(len(self.streams), len(self.streams) + len(chosen))
        self.streams += [Stream(name if len(chosen) == 1 else f"{name} ({kind})", kind) for kind in chosen]
        return list(new)

    def add(self, streams: list[int], record: dict, place: str) -> None:
        """Takes a record of a file's streams, read at `place`. Raises DataError."""
        key = self._key(record)
        said = {s: self._values(self.streams[s], record) for s in streams}
        clip = self.clips.get(key, Clip(key))
        for s in streams:
            if s in clip.places and self.pool is None:
                name = self.streams[s].name
                raise DataError(f"id {show(key[0])} is in {name} twice, first at {clip.places[s]}; --pool pools segments")
        for name in (*AGREE, self.target):
            other = next((r[name] for r in clip.records if name in r), record.get(name))
            if name in record and record[name] != other:
                raise DataError(f"field '{name}' is {show(record[name])}, and {show(other)} in another record of {show(key[0])}")
        self.clips[key] = clip
        clip.records.append({k: v for k, v in record.items() if k not in OWN})
        for s, values in said.items():
            clip.places.setdefault(s, place)
            if values is not None:
                total, n = clip.said.get(s, (0.0, 0))
                clip.said[s] = total + values, n + 1

    def _key(self, record: dict) -> tuple:
        run = show(record["run"]) if "run" in record else None
        if self.pool is not None and self.pool in record:
            return text(record, self.pool), run
        return record_id(record), run

    def _values(self, stream: Stream, record: dict) -> np.ndarray | None:
        """What a record says, (D,); None where it has no face. The stream's first record settles its labels."""
        if stream.kind == "face":
            face = record.get("face")
            if face is None:
                return None
            if type(face) is not dict or type(face.get("labels")) is not list or not face["labels"]:
                raise wrong("face", face, '{"labels": […], "logits": […]}')
            labels, values, logits = [str(name) for name in face["labels"]], face.get("logits"), True
        else:
            labels, values = self._labels(record), record.get("scores")
            logits = record.get("scores_kind") == "logits"
        if not isinstance(values, list) or len(values) != len(labels) or not are_numbers(values):
            what = "face.logits" if stream.kind == "face" else "scores"
            raise wrong(what, values if values is not None else record.get(stream.kind), f"a list of {len(labels)} numbers")
        if not logits:
            good_probabilities(values)
        if not stream.labels:
            stream.labels, stream.logits = labels, logits
        if (labels, logits) != (stream.labels, stream.logits):
            raise DataError(f"labels or kind of {stream.name} change; expected {show(stream.labels)}, as in its first record")
        return np.array(values, float)

    def _labels(self, record: dict) -> list[str]:
        name = record.get("taxonomy")
        if name in (None, self.taxonomy.name):
            return self.taxonomy.names
        try:
            return load_taxonomy(str(name)).names
        except WrongUsage as error:
            raise wrong("taxonomy", name, f"that of --taxonomy ({self.taxonomy.name}), or a built-in one: {error}") from None

    def finish(self) -> Joined:
        """All clips, in the order in which they came. A stream without `run` goes with every run. Raises DataError where no
        clip is in two streams."""
        with_run = {key[0] for key in self.clips if key[1] is not None}
        clips = [clip for key, clip in self.clips.items() if key[1] is not None or key[0] not in with_run]
        for clip in clips:
            whole = self.clips.get((clip.key[0], None)) if clip.key[1] is not None else None
            if whole is not None:
                clip.records += whole.records
                clip.said = {**whole.said, **clip.said}
        present = np.array([[s in clip.said for s in range(len(self.streams))] for clip in clips], bool)
        if len(self.streams) > 1 and clips and not (present.sum(1) > 1).any():
            raise DataError(f"no clip is in two streams ({', '.join(s.name for s in self.streams)}); expected ids in common")
        values = []
        for s, stream in enumerate(self.streams):
            rows = np.zeros((len(clips), len(stream.labels)))
            for row, clip in zip(rows, clips, strict=True):
                if s in clip.said:
                    total, n = clip.said[s]
                    row[:] = total / n
            values.append(rows)
        return Joined(clips, values, present)

    def truth(self, clips: list[Clip], split: str) -> np.ndarray:
        """(N,) class ids of the clips of a split; -1 for others, whose truth is not looked at, and where there is none."""
        y = np.full(len(clips), -1)
        for i, clip in enumerate(clips):
            told = {name: r[name] for r in reversed(clip.records) for name in (self.target, "split") if name in r}
            if told.get("split") == split and self.target in told:
                y[i] = self.taxonomy.id(told[self.target], self.target)
        return y


def merged(clip: Clip) -> dict:
    """One record of a clip's: the fields in which its sources agree, the others in `sources`."""
    names = list(dict.fromkeys(name for record in clip.records for name in record))
    values = {name: [record[name] for record in clip.records if name in record] for name in names}
    alike = {name: found[0] for name, found in values.items() if all(value == found[0] for value in found)}
    apart = [name for name in names if name not in alike]
    record = alike | {"id": clip.key[0]} if "id" in alike else {"id": clip.key[0]} | alike
    if apart:
        record["sources"] = [{name: r[name] for name in apart if name in r} for r in clip.records]
    return record
