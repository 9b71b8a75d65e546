"""The lines of `score` as tables; values in percent."""

from __future__ import annotations

from mma82cli.metrics import METRICS
from mma82cli.tables import NONE, Table, Title, percent

TITLES = {name: metric.title for name, metric in METRICS.items()}
LEVELS = {"body": "Body", "action": "Action", "avg": "Both"}
_KEYS = ("metric", "level", "value", "n", "tiou", "label", "predicted", "support", "signature",
         "body", "predicted_body")  # the last two of confused pairs; fmt: skip
_DETAILS = {"ci": "95 % interval", "sd": "SD", "runs": "Runs", "other": "Other", "delta": "Delta"}
_DETAILS |= {"delta_ci": "95 % interval of delta", "p": "p", "mcnemar": "McNemar p"}


def tables(lines: list[dict]) -> list[Table]:
    """A table for each kind of line: figures, average precisions, labels, confused pairs."""
    made = []
    for build in (_maps, _figures, _details, _precisions, _classes, _pairs):
        mine = [line for line in lines if _kind(line) is build]
        by_level = [mine] if build in _ALL_LEVELS else [[x for x in mine if x["level"] == level] for level in LEVELS]
        made += [build(part) for part in by_level if part]
    return made


def _kind(line: dict):
    """What makes the table of such a line."""
    if "predicted" in line:
        return _pairs
    if "label" in line:
        return _precisions if line["metric"] == "ap" else _classes
    if any(key in line for key in _DETAILS):
        return _details
    return _maps if line["metric"] == "map" else _figures


def _group(line: dict) -> dict:
    return {k: v for k, v in line.items() if k not in _KEYS and k not in _DETAILS}


def _fields(line: dict) -> list[str]:
    return [field.capitalize() for field in _group(line)]


def _named(values) -> list[str]:
    return [NONE if v is None else str(v) for v in values]


def _threshold(value) -> str:
    return "Average" if value == "avg" else f"{value:g}"


def _by_row(lines: list[dict], row, column) -> dict[tuple, dict]:
    """{row key: {column key: line}} in order of appearance."""
    rows: dict[tuple, dict] = {}
    for line in lines:
        rows.setdefault(row(line), {})[column(line)] = line
    return rows


def _figures(lines: list[dict]) -> Table:
    """Rows are groups, columns level and metric, as in the paper's Table III. Micro-F1 of one label a clip is its top-1."""
    rows = _by_row(lines, lambda x: tuple(_group(x).values()), lambda x: (x["level"], x["metric"]))
    used = {column for row in rows.values() for column in row}
    columns = [(level, metric) for level in LEVELS for metric in METRICS if (level, metric) in used]
    columns = [c for c in columns if c[1] != "micro-f1" or (c[0], "top1") not in used]
    header: list[Title] = [*_fields(lines[0]), *((LEVELS[level], TITLES[metric]) for level, metric in columns), "Clips"]
    body = []
    for key, row in rows.items():
        cells = [percent(row[c]["value"]) if c in row else "" for c in columns]
        body.append([*_named(key), *cells, str(next(iter(row.values()))["n"])])
    return Table(header, body)


def _maps(lines: list[dict]) -> Table:
    """Columns are the levels, as in the paper's Table VI; rows tIoUs, or groups with their average over tIoUs."""
    fields = _fields(lines[0])
    if fields:
        lines = [x for x in lines if x["tiou"] == "avg"]
    rows = _by_row(lines, lambda x: tuple(_group(x).values()) or (x["tiou"],), lambda x: x["level"])
    levels = [level for level in LEVELS if any(level in row for row in rows.values())]
    body = []
    for key, row in rows.items():
        first = _named(key) if fields else [_threshold(key[0])]
        values = [percent(row[level]["value"]) if level in row else "" for level in levels]
        body.append([*first, *values, str(next(iter(row.values()))["n"])])
    return Table([*(fields or ["tIoU"]), *(("mAP", LEVELS[x]) for x in levels), "Instances"], body)


def _precisions(lines: list[dict]) -> Table:
    """A row a label of one level, a column a tIoU."""
    rows = _by_row(lines, lambda x: (*_group(x).values(), x["label"]), lambda x: x["tiou"])
    body = []
    for key, row in rows.items():
        values = [percent(line["value"]) for line in row.values()]
        body.append([*_named(key), *values, str(next(iter(row.values()))["support"])])
    tious = [("AP at tIoU", "Mean" if t == "avg" else f"{t:g}") for t in next(iter(rows.values()))]
    return Table([*_fields(lines[0]), LEVELS[lines[0]["level"]], *tious, "n"], body)


def _details(lines: list[dict]) -> Table:
    """A row a metric, where a value comes with an interval, a spread or a comparison."""
    used = [key for key in _DETAILS if any(key in line for line in lines)]
    rows = []
    for line in lines:
        title = TITLES[line["metric"]] if "tiou" not in line else f"mAP {_threshold(line['tiou'])}"
        first = [*_named(_group(line).values()), LEVELS[line["level"]], title, percent(line["value"])]
        rows.append([*first, *(_detail(key, line.get(key, "")) for key in used), str(line["n"])])
    counted = ("Instances" if "tiou" in lines[0] else "Clips") + (" of all runs" if "runs" in used else "")
    return Table([*_fields(lines[0]), "Level", "Metric", "Value", *(_DETAILS[key] for key in used), counted], rows)


def _detail(key: str, value) -> str:
    if isinstance(value, list):
        return f"{100 * value[0]:.2f} .. {100 * value[1]:.2f}"
    if value == "" or key == "runs":
        return str(value)
    if value is not None and key in ("p", "mcnemar"):
        return f"{value:.4f}" if value >= 0.00005 else "<0.0001"
    return percent(value)


def _classes(lines: list[dict]) -> Table:
    """A row a label of one level."""
    titles = {"recall": "Recall", "top5": "Top-5", "f1": "F1"}
    shown = [metric for metric in titles if any(x["metric"] == metric for x in lines)]
    body = []
    for key, row in _by_row(lines, lambda x: (*_group(x).values(), x["label"]), lambda x: x["metric"]).items():
        values = [percent(row[metric]["value"]) if metric in row else "" for metric in shown]
        body.append([*_named(key), *values, str(next(iter(row.values()))["support"])])
    return Table([*_fields(lines[0]), LEVELS[lines[0]["level"]], *(titles[metric] for metric in shown), "Clips"], body)


def _pairs(lines: list[dict]) -> Table:
    """The pairs of labels of one level, the most confused first, what is right at the end."""
    worst = sorted(lines, key=lambda x: (x["label"] == x["predicted"], -x["n"]))
    rows = [[*_named(_group(x).values()), x["label"], x["predicted"], str(x["n"])] for x in worst]
    return Table([*_fields(lines[0]), LEVELS[lines[0]["level"]], "Predicted", "Clips"], rows)


_ALL_LEVELS = (_maps, _figures, _details)  # tables of several levels
