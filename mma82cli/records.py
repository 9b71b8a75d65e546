"""What a record is: the checks of its fields, and the words of an error.

A check takes a record (a dict read from one JSON line) and returns the field's value, or raises
`DataError` with the value that was found and the value that was expected; the stream adds file and line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable

MISSING = object()
SPLITS = ("train", "val", "test")


class DataError(Exception):
    """The data are wrong (exit status 1). One line: what is wrong, with the value; what was expected.

    `column` (from 1) is where on its line the fault lies, if that is known; the stream adds file and line.
    """

    def __init__(self, message: str, column: int | None = None):
        super().__init__(message)
        self.column = column


class WrongUsage(Exception):
    """The command was called wrongly (exit status 2)."""


def show(value, limit: int = 60) -> str:
    """`value` as JSON for a message, cut to `limit` characters."""
    if value is MISSING:
        return "missing"
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        shown = repr(value)
    return shortened(shown, limit)


def shortened(text: str, limit: int) -> str:
    """The text, or as much of it as leaves room for a … within `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def wrong(field: str, value, expected: str) -> DataError:
    """The error for a field whose value is not what it should be."""
    return DataError(f"field '{field}' is {show(value)}; expected {expected}")


def is_number(value) -> bool:
    """True for a finite int or float (bool is neither)."""
    return type(value) in (int, float) and math.isfinite(value)


def are_numbers(values: list) -> bool:
    """Whether each `is_number`, all in one go."""
    return set(map(type, values)) <= {int, float} and all(map(math.isfinite, values))


def text(record: dict, field: str, default=MISSING) -> str:
    """A string that is not empty; `default` where the field is absent."""
    value = record.get(field, default)
    if value is default and default is not MISSING:
        return value
    if not isinstance(value, str) or not value:
        raise wrong(field, value, "a string")
    return value


def number(record: dict, field: str, default=MISSING, above: float = -math.inf) -> float:
    """A finite number greater than `above`; `default` where the field is absent."""
    value = record.get(field, default)
    if value is default and default is not MISSING:
        return value
    if not is_number(value) or value <= above:
        bound = "" if above == -math.inf else f" above {above:g}"
        raise wrong(field, value, f"a finite number{bound}")
    return value


def integer(record: dict, field: str, default=MISSING, least: int | None = None) -> int:
    """An integer not below `least`; `default` where the field is absent."""
    value = record.get(field, default)
    if value is default and default is not MISSING:
        return value
    if type(value) is not int or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise wrong(field, value, f"an integer{bound}")
    return value


def span(record: dict) -> tuple[float, float]:
    """`start` and `end` in seconds, 0 <= start < end."""
    start, end = number(record, "start"), number(record, "end")
    if start < 0:
        raise wrong("start", start, "a time of at least 0 s")
    if end <= start:
        raise wrong("end", end, f"a time after 'start' ({start:g} s)")
    return start, end


def scores_of(record: dict, taxonomy) -> list:
    """`scores`, a finite number for each label of the taxonomy. Raises DataError."""
    scores, classes = record.get("scores", MISSING), len(taxonomy)
    if not isinstance(scores, list):
        raise wrong("scores", scores, f"a list of {classes} numbers")
    if len(scores) != classes:
        raise DataError(f"field 'scores' has {len(scores)} values; expected {classes}, one a label of {taxonomy.name}")
    if not are_numbers(scores):
        i, value = next((i, value) for i, value in enumerate(scores) if not is_number(value))
        raise DataError(f"field 'scores' has {show(value)} at place {i}; expected a finite number")
    return scores


def good_probabilities(values: list) -> None:
    """Raises DataError where one is no probability, give or take what rounding makes of it."""
    for found in (min(values), max(values)):
        if not 0 <= found <= 1.001:
            raise wrong("scores", found, 'probabilities, or "scores_kind":"logits"')


def optional_span(record: dict) -> tuple[float, float | None]:
    """The span of a clip in its file: (0, None) where the record has neither bound and so means the whole file."""
    if record.get("start") is None and record.get("end") is None:
        return 0.0, None
    return span(record)


def length_of(record: dict) -> float | None:
    """Seconds that a record's clip lasts, by its span or else its `duration`; None where it has neither."""
    start, end = optional_span(record)
    length = record.get("duration") if end is None else end - start
    return length if is_number(length) else None


def record_id(record: dict, labels=None) -> str:
    """`id`, or else `VIDEO`, or `VIDEO#START-END#LABELID` for a segment (seconds with 3 decimals).

    `labels` maps a label to its id (a `Taxonomy`'s `id`); without it the label's own text ends the name.
    """
    if "id" in record:
        return text(record, "id")
    video = text(record, "video")
    if record.get("start") is None and record.get("end") is None:
        return video
    start, end = span(record)
    name = f"{video}#{start:.3f}-{end:.3f}"
    if record.get("label") is None:
        return name
    label = labels(record["label"]) if labels else record["label"]
    return f"{name}#{label}"


def video_path(record: dict, root: str) -> str:
    """The path of the record's `video`, which is relative to the folder `root`. Raises DataError where it has none."""
    name = text(record, "video")
    return name if root == "." else os.path.join(root, name)


def warnings_of(record: dict) -> list:
    """The `warnings` of a record as a list, whatever an earlier tool has put there."""
    said = record.get("warnings")
    return said if isinstance(said, list) else [said] if said else []


def group_of(record: dict, by: Iterable[str]) -> tuple:
    """The record's values of the fields `by`. Raises DataError."""
    values = tuple(record.get(field) for field in by)
    for field, value in zip(by, values, strict=True):
        if value is not None and type(value) not in (str, int, float):
            raise wrong(field, value, "a string or a number to group by")
    return values


def run_of(record: dict, by) -> str:
    """What tells predictions of one id apart: their `run`, and their `file` where results are by file; "" where nothing does."""
    told = [show(record[field]) for field in ("file", "run") if field in record and (field == "run" or "file" in by)]
    return ":".join(told)
