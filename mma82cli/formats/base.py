"""What every format stands on: the options of a conversion, a reader and a writer that do nothing, the checks they share."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from mma82cli.records import DataError, is_number, record_id, show, span, text, wrong
from mma82cli.stream import BOM, json_fault
from mma82cli.taxonomy import Taxonomy

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test",
}  # fmt: skip
UTF8 = "UTF-8 (Excel: save as CSV UTF-8; `iconv -f cp1252 -t utf-8` mends files)"
MA52 = ("ma52", "mma52", "mac-mar", "mac-mmad")  # formats whose ids are MA-52's


@dataclass(frozen=True)
class Options:
    """What the person said. `columns` is field -> column name; `fps` stands in where a file has none. What only some formats
    heed is refused with others: `OF` in commands/convert.py names them."""

    labels: Taxonomy
    annotator: str | None = None
    keep_invalid: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    fps: float | None = None
    split: str | None = None
    layout: str | None = None
    challenge: str = "2025"
    asked: bool = False  # the person named the taxonomy
    names: str | None = None  # file of the names of rows that have none
    first_id: int = 0  # what the FILEs call the first label


class Reader:
    """From a format to records. One reader reads all FILEs of a call."""

    def __init__(self, options: Options):
        self.options = options

    def entries(self, file: io.BufferedIOBase, name: str) -> Iterator[tuple[int | str, object]]:
        """(place, entry) of each thing in a file that becomes a record; the place is a line number, or words.
        Raises DataError where the file is not of this format."""
        raise NotImplementedError

    def record(self, entry) -> dict | None:
        """The record of an entry; None where there is none to make. Raises DataError on a bad entry."""
        raise NotImplementedError

    def rest(self) -> Iterator[dict]:
        """Records that could only be made when all entries of all files were read."""
        return iter(())

    def notes(self) -> list[str]:
        """What the person should be told after the last entry."""
        return []


class Writer:
    """From records to a format. `KEPT` are the fields it has a place for; a `None` field of theirs is as good as absent."""

    KEPT: frozenset[str] = frozenset()

    def __init__(self, options: Options, name: str = ""):
        self.options, self.name = options, name
        self.written = 0  # rows, where they are numbered

    def begin(self) -> bytes:
        """What comes before the first record."""
        return b""

    def add(self, record: dict) -> bytes:
        """What one record becomes; nothing, where it is gathered for `end`. Raises DataError on a bad record."""
        raise NotImplementedError

    def end(self) -> bytes:
        """What comes after the last record."""
        return b""

    def notes(self) -> list[str]:
        """What the person should be told."""
        return []


class FileError(DataError):
    """A file is not of its format, so that nothing more can be read from it; `line` (from 1) where that is known."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None):
        super().__init__(message, column)
        self.line = line


# -- reading -----------------------------------------------------------------------------------------------


def text_of(raw: bytes, number: int) -> str:
    """A line without its end, and the first without its BOM. Raises DataError on bad UTF-8."""
    if number == 1 and raw.startswith(BOM):
        raw = raw[len(BOM) :]
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as bad:
        raise DataError(f"bad UTF-8, byte 0x{raw[bad.start]:02x}; expected {UTF8}", bad.start + 1) from None


def json_of(data: bytes, what: str):
    """The value of a whole JSON file. Raises DataError with line and column."""
    try:
        return orjson.loads(data.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        raise FileError(f"broken JSON ({json_fault(error)}); expected {what}", error.lineno, error.colno) from None


def rows(file) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """What is between the cells of a table, and its (number of the row's first line, cells); tabs, semicolons or commas, by
    what its first line has most of. Bytes that are no UTF-8 stay in as surrogates, for `good_text` to complain about."""
    lines = (raw.decode("utf-8-sig" if i == 1 else "utf-8", "surrogateescape") for i, raw in enumerate(file, 1))
    first = next(lines, "")
    if first[:2] in ("\udcff\udcfe", "\udcfe\udcff"):
        raise FileError(f"UTF-16 text; expected {UTF8.replace('cp1252', 'utf-16')}", 1)
    delimiter = max("\t,;", key=lambda d: (first.count(d), d == ","))
    return delimiter, _split((line.rstrip("\r\n") + "\n" for line in _before(first, lines)), delimiter)


def _split(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the row's first line, cells); FileError where the quotes are wrong."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileError(f"{error}; expected a table", number) from None
        if any(cell.strip() for cell in cells):
            yield number, cells


def row_of(header: list[str], cells: list[str]) -> dict:
    """{column: cell}; absent cells are empty, and cells beyond the header lie under None, for `good_row`."""
    row = {**dict.fromkeys(header, ""), **dict(zip(header, cells, strict=False))}
    return {**row, None: len(cells)} if len(cells) > len(header) else row


def good_row(row: dict) -> dict:
    """The row. Raises DataError where it has more cells than the header, or bytes that are no UTF-8."""
    if None in row:
        raise DataError(f"the row has {row[None]} cells; expected {len(row) - 1}, as the header (a comma in a cell needs quotes)")
    for cell in row.values():
        good_text(cell)
    return row


def good_text(value: str) -> str:
    """The text. Raises DataError where bytes that are no UTF-8 stand in it."""
    if not value.isascii():
        found = next((c for c in value if "\ud800" <= c <= "\udfff"), None)
        if found:
            raise DataError(f"bad UTF-8, byte 0x{ord(found) & 0xFF:02x}; expected {UTF8}")
    return value


def _before(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def named_rows(file, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: cell}) of a table whose header has the columns `needed`."""
    _, table = rows(file)
    _, header = next(table, (1, []))
    header = [cell.strip() for cell in header]
    missing = [column for column in needed if column not in header]
    if missing:
        expected = ", ".join(needed)
        raise FileError(f"no column {', '.join(map(repr, missing))} in the header {show(header)}; expected {expected}", 1)
    for number, cells in table:
        yield number, row_of(header, cells)


def to_number(value: str, what: str) -> float:
    """A finite number written in a cell."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not is_number(found):
        raise wrong(what, value, "a finite number")
    return found


def to_integer(value: str, what: str, least: int = 0) -> int:
    """An integer written in a cell, `7` or `7.0`."""
    found = to_number(value, what)
    if found != int(found) or found < least:
        raise wrong(what, value, f"an integer of at least {least}")
    return int(found)


def to_seconds(value: str, what: str) -> float:
    """Seconds, written `83.25`, `1:23.25` or `00:01:23.25`."""
    total = 0.0
    parts = value.strip().split(":")
    try:
        numbers = [to_number(part, what) for part in parts]
    except DataError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or any("-" in part for part in parts[1:]):
        raise wrong(what, value, "seconds, or HH:MM:SS.ss")
    for found in numbers:
        total = total * 60 + found
    return round(total, 6) if len(parts) > 1 else total


def clock(seconds: float) -> str:
    """HH:MM:SS.mmm."""
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def label_name(value, labels: Taxonomy, what: str = "label", first: int | None = None) -> str:
    """The name of a label that a file gives as a name, an alias, an id (counted from `first`, in formats that have --first-id)
    or a slug (`Tilting_forward_backward`)."""
    if isinstance(value, str):
        value = value.strip()
        if value.isascii() and value.isdigit() and value not in labels.ids:
            value = int(value)
        elif value not in labels.ids and value.casefold() not in labels.ids:
            plain = {_plain(name): i for name, i in labels.ids.items() if isinstance(name, str)}
            return labels.names[labels.id(plain.get(_plain(value), value), what)]
    if type(value) is not int or first is None:
        return labels.names[labels.id(value, what)]
    if not first <= value < first + len(labels):
        counted = " (--first-id 1, if the file counts from 1)" if value == len(labels) and not first else ""
        ids = f"an id {first}..{first + len(labels) - 1}{counted}, a name or an alias"
        raise wrong(what, value, f"a label of {labels.name}: {ids}")
    return labels.names[value - first]


def scores_kind(scores: list[float]) -> dict:
    """What a record says of scores that can be no probabilities."""
    return {"scores_kind": "logits"} if min(scores) < 0 or max(scores) > 1 else {}


def ranked(names: list[str]) -> list:
    """`topk` of labels, best first; the scores say no more than the order. Raises DataError."""
    if len(set(names)) != len(names):
        raise DataError(f"the labels are {show(names)}; expected different ones, best first")
    return [[name, round(1 - i / len(names), 6)] for i, name in enumerate(names)]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def good_span(record: dict) -> dict:
    """The record, whose `start` and `end` are a span. Raises DataError."""
    span(record)
    return record


# -- writing -----------------------------------------------------------------------------------------------


def cells(values) -> bytes:
    """A row of a comma-separated table."""
    return delimited(values, ",")


def delimited(values, delimiter: str) -> bytes:
    """A row of a table. Raises DataError on characters that tables don't survive."""
    values = list(values)
    for value in values:
        if isinstance(value, str) and ("\r" in value or "\0" in value):
            raise DataError(f"found {show(value)}; expected text without carriage returns")
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerow(["" if v is None else v for v in values])
    return out.getvalue().encode()


def label_id(record: dict, labels: Taxonomy) -> int:
    """The id of a record's label. Raises DataError."""
    return labels.id(record.get("label"))


def whole_file(record: dict, what: str) -> None:
    """Raises DataError where the record is a piece of a file: `what` can't say so."""
    if record.get("start") is not None or record.get("end") is not None:
        raise DataError(f"{what} holds whole files; found {show(record_id(record))}, a part of one")


def segments_of(record: dict) -> list[dict]:
    """The segments of a record: its `segments`, or itself where it is one; checked. Raises DataError."""
    inside = record.get("segments")
    if inside is None:
        if record.get("start") is None and record.get("end") is None:
            return []
        return [good_span(record)]
    if not isinstance(inside, list) or not all(isinstance(s, dict) for s in inside):
        raise wrong("segments", inside, 'a list of {"start","end","label"}')
    return [good_span(segment) for segment in inside]


def dicts(value, what: str, expected: str) -> list[dict]:
    """The value, which is a list of objects. Raises DataError."""
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise wrong(what, value, expected)
    return value


def whole_json(value) -> bytes:
    """A JSON file, indented."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class VideoWriter(Writer):
    """A writer that gathers the segments of each video, in order of first appearance, and writes all at the end."""

    FILE_FIELDS: tuple[str, ...] = ()  # what is kept of a video beside its segments

    def __init__(self, options: Options, name: str = ""):
        super().__init__(options, name)
        self.videos: dict[str, dict] = {}  # video -> {its own fields, "segments": […]}

    def key(self, record: dict) -> str:
        """What segments of one video share."""
        return text(record, "video")

    def add(self, record: dict) -> bytes:
        key, found = self.key(record), [self.segment(s, record) for s in segments_of(record)]
        video = self.videos.setdefault(key, {"segments": []})
        for name in self.FILE_FIELDS:
            if record.get(name) is not None:
                video.setdefault(name, record[name])
        video["segments"] += found
        return b""

    def segment(self, segment: dict, record: dict) -> dict:
        """A checked segment of a record, as the format wants it. Raises DataError."""
        raise NotImplementedError
