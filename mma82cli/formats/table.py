"""Any table of comma- or tab-separated values, by the names of its columns (`--columns video=clip,start=from,…`)."""

from __future__ import annotations

import re
from difflib import get_close_matches

import orjson

from mma82cli.formats import base
from mma82cli.records import MISSING, DataError, WrongUsage, record_id, scores_of, show, wrong

TIMES = ("start", "end", "duration")
NUMBERS = ("fps", "score", "agreement")
INTEGERS = ("width", "height", "num_frames")
WIDE = ("scores", "topk")  # fields that may lie over several columns
FRAMES = ("start_frame", "end_frame")  # counted from 0, the end exclusive: seconds by `fps`
TEXTS = ("id", "video", "label", "subject", "domain", "split", "annotator", "emotion", "instance", "layout", "status")
KNOWN = (*TEXTS, *TIMES, *NUMBERS, *INTEGERS, *FRAMES)


class Reader(base.Reader):
    """A record a row; rows one after the other that differ in their `actions` alone are one. Without `--columns` every column
    is taken whose name is a record's field; an empty cell is no field. `scores` and `topk` may lie over several columns,
    `scores=FIRST..LAST`."""

    def __init__(self, options):
        super().__init__(options)
        self.lists = False  # whether there are `actions`
        self.before: dict = {}  # the record of the row before; with `actions` it waits for more of them
        self.left_out: dict[str, None] = {}  # columns that are no fields, in order

    def entries(self, file, name: str):
        asked = self.options.columns
        delimiter, table = base.rows(file)
        if asked and all(part.isdigit() for column in asked.values() for part in column.split("..")):
            header = None  # columns by their number
            places = {field: self._places(field, column, None) for field, column in asked.items()}
        else:
            header = next(table, (1, None))[1]
            places = self._by_header(header)
        self.lists |= "actions" in places
        width = len(header or ())
        for number, cells in table:
            width = width or len(cells)
            row = {
                field: [cells[i] for i in at if i < len(cells)] if isinstance(at, list) else cells[at]
                for field, at in places.items()
                if isinstance(at, list) or at < len(cells)
            }
            yield number, (_pointed(row) if delimiter == ";" else row, len(cells), width)

    def _by_header(self, header: list[str] | None) -> dict[str, int | list[int]]:
        """{field: index of its column, or those of its columns}."""
        if header is None:
            return {}
        header = [cell.strip() for cell in header]
        asked = self.options.columns or {column: column for column in header if column in KNOWN}
        if not asked:
            expected = "--columns FIELD=COLUMN,… or columns named as the fields of records (video, start, end, label, …)"
            raise base.FileError(f"the columns are {show(header)}; expected {expected}", 1)
        if not self.options.columns:
            self.left_out |= dict.fromkeys(column for column in header if column and column not in asked)
        return {field: self._places(field, column, header) for field, column in asked.items()}

    def _places(self, field: str, column: str, header: list[str] | None) -> int | list[int]:
        """Where a field's cells are: its column, or with FIRST..LAST the list of its columns, in id order for `scores`."""
        ends = column.split("..") if field in WIDE and ".." in column else [column]
        if len(ends) > 2:
            raise WrongUsage(f"--columns has {field + '=' + column!r}; expected FIRST..LAST")
        at = [self._place(end, header) for end in ends]
        if field not in WIDE:
            return at[0]
        places = list(range(at[0], at[-1] + 1))
        labels = self.options.labels
        if field == "scores" and len(ends) > 1:
            if len(places) != len(labels):
                raise WrongUsage(f"{column} are {len(places)} columns; expected {len(labels)}, one a label of {labels.name}")
            if header is not None:
                places = self._by_label([header[i] for i in places], places)
        return places

    def _by_label(self, names: list[str], places: list[int]) -> list[int]:
        """The places in the order of the labels that head their columns; as they are where no head is a label."""
        labels, found, faults = self.options.labels, {}, []
        for name, place in zip(names, places, strict=True):
            try:
                found[labels.id(base.label_name(name, labels, "scores", self.options.first_id))] = place
            except DataError as fault:
                faults.append(fault)
        if found and (faults or len(found) < len(places)):
            raise base.FileError(str(faults[0]) if faults else "two columns of scores are of one label; expected one each", 1)
        return [found[i] for i in sorted(found)] or places

    def _place(self, column: str, header: list[str] | None) -> int:
        if header is None:
            if column == "0":
                raise WrongUsage("--columns names column 0; expected numbers from 1")
            return int(column) - 1
        if column not in header:
            near = get_close_matches(column, header, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "; expected what --columns names"
            raise base.FileError(f"no column {column!r} in the header {show(header)}{hint}", 1)
        if header.count(column) > 1:
            raise base.FileError(f"two columns are named {column!r}; expected one", 1)
        return header.index(column)

    def record(self, entry) -> dict | None:
        before, record = self.before, self._of_row(entry)
        if "label" in before and "label" in record and "annotator" not in record:
            _same_label(before, record)
        if not self.lists:
            self.before = record
            return record
        record.setdefault("actions", [])
        if {**before, "actions": None} == {**record, "actions": None}:
            before["actions"] += record["actions"]
            return None
        self.before = record
        return before or None

    def rest(self):
        if self.lists and self.before:
            yield self.before

    def _of_row(self, entry) -> dict:
        row, width, expected = entry
        if width > expected:
            raise DataError(f"the row has {width} cells; expected {expected}, as the first row (a comma in a cell needs quotes)")
        for cell in row.values():
            for part in cell if isinstance(cell, list) else [cell]:
                base.good_text(part)
        filled = {field: cell for field, cell in row.items() if "".join(cell).strip() or field == "actions"}
        record = {field: self._value(field, cell) for field, cell in filled.items()}
        if "scores" in record:
            record |= base.scores_kind(record["scores"])
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

    def _value(self, field: str, cell):
        if field == "label":
            return base.label_name(cell, self.options.labels, first=self.options.first_id)
        if field == "topk":
            named = [base.label_name(one, self.options.labels, field, self.options.first_id) for one in cell if one.strip()]
            return base.ranked(named)
        if field == "actions":
            return self._actions(cell)
        if field == "scores":
            return self._scores(cell)
        if field in TIMES:
            return base.to_seconds(cell, field)
        if field in NUMBERS:
            return base.to_number(cell, field)
        if field in INTEGERS or field in FRAMES:
            return base.to_integer(cell, field)
        if field == "split":
            return base.SPLITS.get(cell.strip().casefold(), cell.strip())
        return cell.strip()

    def notes(self) -> list[str]:
        if not self.left_out:
            return []
        first, more = list(self.left_out)[:5], ", …" if len(self.left_out) > 5 else ""
        return [f"left out the columns {', '.join(first)}{more}: no names of fields; --columns FIELD=COLUMN,… takes them"]

    def _actions(self, cell: str) -> list[str]:
        """Of labels with semicolons or bars between them, or of a JSON list; none of an empty cell."""
        listed = base.json_of(cell.encode(), "a list of labels") if cell.lstrip().startswith("[") else re.split(r"[;|]", cell)
        found = [name for name in listed if not isinstance(name, str) or name.strip()]
        try:
            return [base.label_name(name, self.options.labels, "actions", self.options.first_id) for name in found]
        except DataError as error:
            raise DataError(f"{error}, and ; or | between several") from None

    def _scores(self, cells: list[str]) -> list[float]:
        """Of a cell a label, or of one that holds a JSON list, as pandas writes it."""
        if len(cells) > 1:
            return [base.to_number(cell, "scores") for cell in cells]
        values = base.json_of(cells[0].encode(), "a list of numbers")
        return scores_of({"scores": values}, self.options.labels)


def _same_label(before: dict, record: dict) -> None:
    """Raises DataError where two rows give one clip two labels."""
    label = record["label"]
    if label != before["label"] and (name := record_id(record)) == record_id(before):
        several = "--columns actions=COLUMN makes a list of several, start and end make segments"
        raise wrong("label", label, f"{show(before['label'])}, as in the row before of {show(name)}: a clip has one ({several})")


def _pointed(row: dict) -> dict:
    """The row of a table with semicolons, which spreadsheets write where the decimal sign is a comma, with points in numbers."""
    return row | {
        field: [_point(one) for one in cell] if isinstance(cell, list) else _point(cell)
        for field, cell in row.items()
        if field in (*TIMES, *NUMBERS, *INTEGERS, *FRAMES, "scores")
    }


def _point(cell: str) -> str:
    return cell.replace(",", ".") if re.fullmatch(r"[^,.\[]*,[^,.]*", cell) else cell


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
