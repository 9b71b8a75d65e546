"""Scores as networks leave them, a row a clip: an array (.npy, .npz, .pt), a pickle (`result.pkl` of mmaction2 and pyskl) or
JSON; rows without names of their own take those of `--names`, in its order.

A row is a number for each label, or what was predicted: a label, or several, best first. mmaction2's rows are dicts,
`pred_score` and `gt_label` (before 1.2 `pred_scores` and `gt_labels`, with an `item` inside).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from mma82cli.formats import base, lists, pickling
from mma82cli.records import DataError, WrongUsage, record_id, scores_of, show
from mma82cli.stream import Pipe, parse

WHAT = "an array, a pickle or JSON of scores, a row a clip"
NAMES = ("id", "name", "video", "video_id", "filename", "frame_dir")
SCORES, TRUTHS = ("pred_score", "pred_scores", "scores"), ("gt_label", "gt_labels", "label")


class Reader(base.Reader):
    """A record a row: what `--names` says of the clip, or its id; `label` where the row has it; `scores`, or `topk`."""

    def __init__(self, options):
        super().__init__(options)
        self.clips = _clips(options) if options.names else None
        self.rows = 0  # that have no names of their own

    def entries(self, file, name: str):
        for number, (own, row) in enumerate(_rows(_value(file.read()))):
            place = f"row {number}"
            if own is not None:
                if self.clips is not None:
                    raise WrongUsage(f"the rows of {name} have names; --names is for rows that have none")
                yield place, ({"id": str(own)}, row)
                continue
            if self.clips is None:
                yield place, ({"id": str(self.rows)}, row)
            elif self.rows < len(self.clips):
                yield place, (self.clips[self.rows], row)
            self.rows += 1

    def record(self, entry) -> dict:
        clip, row = entry
        row, truth = (_field(row, SCORES), _field(row, TRUTHS)) if isinstance(row, dict) else (row, None)
        if row is None:
            raise DataError(f"found {show(entry[1])}; expected {SCORES[0]!r} or {SCORES[-1]!r} in it, or a list of numbers")
        if truth is not None:
            label = self._label(np.ravel(truth)[0])
            if clip.get("label", label) != label:
                said = f"its label is {show(label)}, and {show(clip['label'])} in {self.options.names}"
                raise DataError(f"{said}; expected the names in the order of the rows")
            clip = {**clip, "label": label}
        try:
            values = np.asarray(row)
        except ValueError:  # lists of different lengths
            values = np.empty((0, 0))
        if values.dtype.kind not in "iufU" or values.ndim > 1 or not values.size:
            raise DataError(f"found {show(row)}; expected {len(self.options.labels)} numbers, or a label")
        if values.ndim == 0 or values.dtype.kind == "U":
            return clip | {"topk": base.ranked([self._label(value) for value in values.ravel()])}
        scores = scores_of({"scores": values.tolist()}, self.options.labels)
        return clip | {"scores": scores} | base.scores_kind(scores)

    def _label(self, value) -> str:
        value = value.item() if isinstance(value, np.generic) else value
        return base.label_name(value, self.options.labels, first=self.options.first_id)

    def rest(self) -> Iterator[dict]:
        if self.clips is not None and self.rows != len(self.clips):
            raise DataError(f"{self.rows} rows, and {len(self.clips)} names in {self.options.names}; expected a name a row")
        return iter(())

    def notes(self) -> list[str]:
        unnamed = self.rows and self.clips is None
        return ["the rows have no names and are numbered from 0; --names FILE names them"] if unnamed else []


def _clips(options) -> list[dict]:
    """What --names says of the clips, in order: records, or `name` or `name label` a line. Raises DataError."""
    clips = []
    for file, lines in Pipe("convert", [options.names]).input().by_file():
        for number, raw in enumerate(lines, 1):
            try:
                if raw.lstrip().startswith(b"{"):
                    record = parse(raw, number)
                    clips.append({"id": record_id(record, options.labels.id)} | record)
                elif raw.strip():
                    name, label = lists.parts(base.text_of(raw, number).strip())
                    truth = {"label": base.label_name(label, options.labels, first=options.first_id)} if label else {}
                    clips.append({"id": name} | truth)
            except DataError as error:
                raise DataError(f"{file}:{number}: {error}") from None
    return clips


def _value(data: bytes):
    """What a file holds: arrays, lists, dicts, numbers and text. Raises DataError."""
    if data.lstrip()[:1] in (b"{", b"["):
        return base.json_of(data, WHAT)
    try:
        if data.startswith(b"\x93NUMPY"):
            return np.load(io.BytesIO(data), allow_pickle=False)
        if data.startswith(b"PK") and all(name.endswith(".npy") for name in zipfile.ZipFile(io.BytesIO(data)).namelist()):
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return _together(dict(arrays))
        value = pickling.load(io.BytesIO(data), WHAT)
        parts = dict(enumerate(value)) if isinstance(value, tuple) else value
        if isinstance(parts, dict) and len(parts) <= 3 and any(np.ndim(part) == 2 for part in parts.values()):
            return _together({name: np.asarray(part) for name, part in parts.items()})
        return value
    except DataError:
        raise
    except Exception as error:  # numpy's reader of a damaged header raises whatever its parser does
        raise base.FileError(f"a damaged file of arrays ({error}); expected {WHAT}") from None


def _together(arrays: dict) -> list[dict]:
    """The rows of an .npz, a dict or a tuple, whose arrays are: scores (N, C), label ids (N,), names (N,)."""
    kinds = {("f", 2): "scores", ("i", 1): "label", ("u", 1): "label", ("U", 1): "id"}
    found = {kinds.get((array.dtype.kind, array.ndim)): array for array in arrays.values()}
    if None in found or len(found) < len(arrays) or "scores" not in found or len({len(a) for a in found.values()}) > 1:
        shapes = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
        raise base.FileError(f"the arrays are {shapes}; expected scores (clips, labels), at most label ids and names beside them")
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _rows(value) -> Iterator[tuple[Any, Any]]:
    """(its name or None, the row) of each. Raises DataError where the value has no rows."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        for row in value:
            yield (_field(row, NAMES), row) if isinstance(row, dict) else (None, row)
    else:
        raise base.FileError(f"found {show(value)}; expected {WHAT}")


def _field(row: dict, names: tuple[str, ...]):
    """The value of the first of these keys that there is, or None."""
    value = next((row[name] for name in names if name in row), None)
    return value.get("item") if isinstance(value, dict) else value
