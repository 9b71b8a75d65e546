"""Any table of comma- or tab-separated values, by the names of its columns (`--columns video=clip,start=from,…`)."""

from __future__ import annotations

from collections import Counter

import orjson

from mma82cli.formats import base
from mma82cli.records import MISSING, DataError, WrongUsage, record_id, show, wrong

TIMES = ("start", "end", "duration")
NUMBERS = ("fps", "score", "agreement")
INTEGERS = ("width", "height", "num_frames")
FRAMES = ("start_frame", "end_frame")  # counted from 0, the end exclusive: seconds by `fps`
TEXTS = ("id", "video", "label", "subject", "domain", "split", "annotator", "emotion", "instance", "layout", "status")
KNOWN = (*TEXTS, *TIMES, *NUMBERS, *INTEGERS, *FRAMES)


class Reader(base.Reader):
    """A record a row. Without `--columns` every column is taken whose name is a record's field; an empty cell is no field."""

    def entries(self, file, name: str):
        asked = self.options.columns
        table = base.rows(file)
        if asked and all(column.isdigit() for column in asked.values()):  # no header: columns by their number
            if "0" in asked.values():
                raise WrongUsage("--columns names column 0; expected numbers from 1")
            places, header = {field: int(column) - 1 for field, column in asked.items()}, None
        else:
            header = next(table, (1, None))[1]
            places = self._by_header(header)
        for number, cells in table:
            row = {field: cells[i] for field, i in places.items() if i < len(cells)}
            yield number, (row, len(cells), len(header if header is not None else cells))

    def _by_header(self, header: list[str] | None) -> dict[str, int]:
        """{field: index of its column}."""
        if header is None:
            return {}
        header = [cell.strip() for cell in header]
        asked = self.options.columns or {column: column for column in header if column in KNOWN}
        if not asked:
            expected = "--columns FIELD=COLUMN,… or columns named as the fields of records (video, start, end, label, …)"
            raise base.FileError(f"the columns are {show(header)}; expected {expected}", 1)
        for column in asked.values():
            if column not in header:
                raise base.FileError(f"no column {column!r} in the header {show(header)}; expected what --columns names", 1)
        twice = [column for column, n in Counter(header).items() if n > 1 and column in asked.values()]
        if twice:
            raise base.FileError(f"two columns are named {twice[0]!r}; expected one", 1)
        return {field: header.index(column) for field, column in asked.items()}

    def record(self, entry) -> dict:
        row, width, expected = entry
        if width > expected:
            raise DataError(f"the row has {width} cells; expected {expected}, as the header (a comma in a cell needs quotes)")
        entry = base.good_row(row)
        record = {field: self._value(field, cell) for field, cell in entry.items() if cell.strip()}
        fps = record.get("fps", self.options.fps)
        for field in FRAMES:
            if field in record:
                if fps is None:
                    raise WrongUsage("frames need a frame rate; expected a column fps=… or --fps")
                record[field.removesuffix("_frame")] = round(record.pop(field) / fps, 6)
        if "annotator" not in record and self.options.annotator:
            record["annotator"] = self.options.annotator
        if "start" in record or "end" in record:
            base.good_span(record)
        record_id(record)
        return record

    def _value(self, field: str, cell: str):
        if field == "label":
            return base.label_name(cell, self.options.labels)
        if field in TIMES:
            return base.to_seconds(cell, field)
        if field in NUMBERS:
            return base.to_number(cell, field)
        if field in INTEGERS or field in FRAMES:
            return base.to_integer(cell, field)
        if field == "split":
            return base.SPLITS.get(cell.strip().casefold(), cell)
        return cell


class Writer(base.Writer):
    """A row a record. Without `--columns` the columns are the fields of the first record that are no lists or objects."""

    def __init__(self, options, name=""):
        super().__init__(options, name)
        self.columns = options.columns
        self.KEPT = frozenset(self.columns)
        self.delimiter = "\t" if name.removesuffix(".gz").endswith(".tsv") else ","
        self.begun = False

    def _header(self) -> bytes:
        self.begun = True
        return b"" if all(c.isdigit() for c in self.columns.values()) else base.delimited(self.columns.values(), self.delimiter)

    def add(self, record: dict) -> bytes:
        if not self.columns:
            self.columns = {f: f for f, v in record.items() if not isinstance(v, (list, dict))}
            self.KEPT = frozenset(self.columns)
            if not self.columns:
                raise DataError(f"the record {show(record)} has no field for a column; expected some, or --columns")
        row = base.delimited([self._cell(field, record.get(field, MISSING)) for field in self.columns], self.delimiter)
        return row if self.begun else self._header() + row

    def _cell(self, field: str, value):
        if value is MISSING or value is None:
            return ""
        if field == "label":
            return self.options.labels.names[self.options.labels.id(value)]
        if field in TIMES and not isinstance(value, (int, float)):
            raise wrong(field, value, "seconds")
        return orjson.dumps(value).decode() if isinstance(value, (list, dict, bool)) else value

    def end(self) -> bytes:
        return self._header() if self.columns and not self.begun else b""
