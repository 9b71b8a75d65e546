"""Lines with a `value` as a table of any shape: some fields make the rows, others the columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mma82cli.metrics.tables import LEVELS
from mma82cli.metrics.tables import TITLES as METRICS
from mma82cli.records import DataError, show
from mma82cli.tables import NONE, Table

SHARES = {*METRICS, "map", "ap", "f1", "recall"}  # metrics that are shares, and shown in percent
TITLES = {**METRICS, "map": "mAP", "ap": "AP", "f1": "F1"}


class Pivot:
    """Collects lines; `table` lays them out in the order in which their rows and columns came."""

    def __init__(self, rows: Sequence[str], columns: Sequence[str]):
        self.rows, self.columns = tuple(rows), tuple(columns)
        self.cells: dict[tuple, dict[tuple, str]] = {}
        self.places: dict[tuple, str] = {}
        self.signatures: dict[str, None] = {}

    def add(self, line: dict, place: str) -> None:
        """One line, read at `place`. Raises DataError where it has no `value`, or another line has the same cell."""
        if "value" not in line:
            raise DataError("field 'value' is missing; expected a line of figures, as score and stats write them")
        if line["value"] is not None and type(line["value"]) not in (int, float):
            raise DataError(f"field 'value' is {show(line['value'])}; expected a number or null")
        for field in self.rows + self.columns:
            if isinstance(line.get(field), (list, dict)):
                raise DataError(f"field '{field}' is {show(line[field])}; expected a word or a number, to make a row or column")
        row, column = (tuple(_key(line, field) for field in fields) for fields in (self.rows, self.columns))
        seen = self.places.setdefault((row, column), place)
        if seen != place:
            names = ", ".join(f"{f} {show(v)}" for f, v in zip(self.rows + self.columns, row + column, strict=True))
            raise DataError(f"a second value for {names}; the first is at {seen} (more --rows or --columns tell them apart)")
        self.cells.setdefault(row, {})[column] = _cell(line)
        if line.get("signature"):
            self.signatures[line["signature"]] = None

    def table(self) -> Table:
        """The table, with a heading over columns that share the first field."""
        columns = _grouped(dict.fromkeys(column for cells in self.cells.values() for column in cells))
        titles = [_title(self.columns, column) for column in columns]
        rows = [(row, self.cells[row]) for row in _grouped(self.cells)]
        body = [
            [*(_word(field, value) for field, value in zip(self.rows, row, strict=True)), *(cells.get(c, "") for c in columns)]
            for row, cells in rows
        ]
        return Table([*(field.capitalize() for field in self.rows), *titles], body)

    @property
    def note(self) -> str:
        """The signatures of all lines, each once."""
        return "; ".join(self.signatures)


def melted(line: dict, fields: Sequence[str]) -> Iterator[dict]:
    """A line of several figures as a line each: {"metric": field, "value": its value} in place of the fields."""
    rest = {key: value for key, value in line.items() if key not in fields}
    for field in fields:
        if field in line:
            yield {**rest, "metric": field, "value": line[field]}


def _key(line: dict, field: str):
    """A field's value; null is how the suite writes that it is about all of them."""
    value = line.get(field)
    return "all" if value is None and field in line else value


def _grouped(keys: Iterable[tuple]) -> list[tuple]:
    """Keys that begin alike become neighbours; otherwise they stay in the order in which they came."""
    keys = list(keys)
    first = {key[:n]: i for i, key in reversed(list(enumerate(keys))) for n in range(1, len(key) + 1)}
    return sorted(keys, key=lambda key: [first[key[:n]] for n in range(1, len(key) + 1)])


def _cell(line: dict) -> str:
    """56.62, 56.62 [54.1–59.0] with an interval, 56.62 ± 0.41 with a spread."""
    share = line.get("metric") in SHARES
    text = _figure(line["value"], share)
    if line.get("ci") and None not in line["ci"]:
        low, high = (_figure(value, share, 1) for value in line["ci"])
        return f"{text} [{low}–{high}]"
    if line.get("sd") is not None:
        return f"{text} ± {_figure(line['sd'], share)}"
    return text


def _figure(value, share: bool, digits: int = 2) -> str:
    if value is None:
        return NONE
    if share:
        return f"{100 * value:.{digits}f}"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def _title(fields: tuple[str, ...], column: tuple):
    words = [_word(field, value) for field, value in zip(fields, column, strict=True) if value is not None]
    return (words[0], " ".join(words[1:])) if len(words) > 1 else words[0] if words else ""


def _word(field: str, value) -> str:
    if value is None:
        return NONE
    named = {"metric": TITLES, "level": LEVELS}.get(field, {})
    text = named.get(value, str(value))
    if field == "metric" and value not in named:
        text = text.replace("_", " ").capitalize()
    return f"@{text}" if field == "tiou" and value != "avg" else text
