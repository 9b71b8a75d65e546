"""Lines of figures as a table: for a terminal (rich), Markdown, LaTeX, TSV, or the bare values."""

from __future__ import annotations

import io

TITLES = {"top1": "Top-1", "top5": "Top-5", "mca": "MCA", "macro-f1": "Macro-F1", "micro-f1": "Micro-F1", "f1-mean": "F1-mean"}
LEVELS = {"action": "Action", "body": "Body", "avg": "Both"}
_KEYS = ("metric", "level", "value", "n", "tiou", "label", "predicted", "support", "signature")
_DETAILS = ("ci", "sd", "runs", "other", "delta", "delta_ci", "p", "mcnemar")


def render(lines: list[dict], form: str) -> str:
    """The lines of `score` as text in one of the forms table, markdown, latex, tsv or plain; values in percent."""
    if form == "plain":
        return "".join(f"{'null' if x.get('value') is None else repr(x['value'])}\n" for x in lines if "value" in x)
    tables = []
    builders = ((_is_map, _maps), (_is_ap, _precisions), (_is_figure, _figures), (_is_class, _classes), (_is_pair, _pairs))
    for wanted, build in builders:
        part = [x for x in lines if wanted(x)]
        if part:
            detailed = build in (_figures, _maps) and any(key in part[0] for key in _DETAILS)
            tables.append((_details if detailed else build)(part))
    draw = {"table": _terminal, "markdown": _markdown, "latex": _latex, "tsv": _tsv}[form]
    text = "\n".join(draw(header, rows) for header, rows in tables)
    note = lines[0].get("signature") if lines else None
    return text + {"table": f"{note}\n", "markdown": f"\n`{note}`\n", "latex": f"% {note}\n"}.get(form, "")


def _is_map(line: dict) -> bool:
    return line["metric"] == "map"


def _is_ap(line: dict) -> bool:
    return line["metric"] == "ap"


def _is_pair(line: dict) -> bool:
    return "predicted" in line


def _is_class(line: dict) -> bool:
    return "label" in line and "predicted" not in line and not _is_ap(line)


def _is_figure(line: dict) -> bool:
    return "label" not in line and not _is_map(line)


def _group(line: dict) -> dict:
    return {k: v for k, v in line.items() if k not in _KEYS and k not in _DETAILS}


def _percent(value) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _spread(lines: list[dict], key, columns: list) -> tuple[dict, list]:
    """{row key: {column: line}} and the row keys in order of appearance."""
    rows: dict[tuple, dict] = {}
    for line in lines:
        rows.setdefault(key(line), {})[line["level"], line["metric"]] = line
    return rows, [c for c in columns if any(c in row for row in rows.values())]


def _figures(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Rows are groups, columns level and metric, as in the paper's Table III."""
    columns = [(level, metric) for level in ("body", "action", "avg") for metric in TITLES]
    rows, columns = _spread(lines, lambda x: tuple(_group(x).items()), columns)
    fields = list(_group(lines[0]))
    header = [f.capitalize() for f in fields] + [f"{LEVELS[level]} {TITLES[m]}" for level, m in columns] + ["Clips"]
    body = []
    for key, row in rows.items():
        cells = [_percent(row[c]["value"]) if c in row else "" for c in columns]
        body.append(["–" if v is None else str(v) for _, v in key] + cells + [str(next(iter(row.values()))["n"])])
    return header, body


def _maps(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Columns are the levels, as in the paper's Table VI; rows tIoUs, or groups with their average over tIoUs."""
    fields = list(_group(lines[0]))
    if fields:
        lines = [x for x in lines if x["tiou"] == "avg"]
    levels = [level for level in ("body", "action", "avg") if any(x["level"] == level for x in lines)]
    rows: dict[tuple, dict] = {}
    for line in lines:
        rows.setdefault(tuple(_group(line).values()) or (line["tiou"],), {})[line["level"]] = line
    table = []
    for key, row in rows.items():
        n = next(iter(row.values()))["n"]
        first = ["–" if v is None else str(v) for v in key] if fields else [_threshold(key[0])]
        table.append(first + [_percent(row[level]["value"]) if level in row else "" for level in levels] + [str(n)])
    first = [f.capitalize() for f in fields] or ["tIoU"]
    return first + [f"{LEVELS[x]} mAP" for x in levels] + ["Instances"], table


def _threshold(value) -> str:
    return "Average" if value == "avg" else f"{value:g}"


def _precisions(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    """A row a label, a column a tIoU."""
    fields = list(_group(lines[0]))
    rows: dict[tuple, list[dict]] = {}
    for line in lines:
        rows.setdefault((*_group(line).values(), line["level"], line["label"]), []).append(line)
    table = []
    for (*group, level, label), row in rows.items():
        values = [_percent(x["value"]) for x in row]
        table.append([*map(str, group), LEVELS[level], label, *values, str(row[0]["support"])])
    tious = [_threshold(x["tiou"]) for x in next(iter(rows.values()))]
    return [f.capitalize() for f in fields] + ["Level", "Label", *tious, "Instances"], table


def _details(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    """A row a metric, where a value comes with an interval, a spread or a comparison."""
    titles = {"ci": "95 % interval", "sd": "SD", "runs": "Runs", "other": "Other", "delta": "Delta"}
    titles |= {"delta_ci": "95 % interval of delta", "p": "p", "mcnemar": "McNemar p"}
    used = [key for key in titles if any(key in line for line in lines)]
    rows = []
    for line in lines:
        first = ["–" if v is None else str(v) for v in _group(line).values()]
        title = TITLES[line["metric"]] if "tiou" not in line else f"mAP {_threshold(line['tiou'])}"
        first += [LEVELS[line["level"]], title, _percent(line["value"])]
        rows.append(first + [_detail(key, line.get(key, "")) for key in used] + [str(line["n"])])
    fields = [f.capitalize() for f in _group(lines[0])]
    return fields + ["Level", "Metric", "Value"] + [titles[key] for key in used] + ["Clips"], rows


def _detail(key: str, value) -> str:
    if isinstance(value, list):
        return f"{100 * value[0]:.2f} .. {100 * value[1]:.2f}"
    if value == "" or key == "runs":
        return str(value)
    if value is not None and key in ("p", "mcnemar"):
        return f"{value:.4f}"
    return _percent(value)


def _classes(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    columns = [(level, metric) for level in ("body", "action") for metric in ("recall", "top5", "f1")]
    titles = {"recall": "Recall", "top5": "Top-5", "f1": "F1"}
    table = []
    fields = list(_group(lines[0]))
    for level in ("body", "action"):
        part = [x for x in lines if x["level"] == level]
        rows, used = _spread(part, lambda x: (*_group(x).values(), x["label"]), columns)
        for key, row in rows.items():
            first = next(iter(row.values()))
            table.append([str(k) for k in key] + [_percent(row[c]["value"]) for c in used] + [str(first["support"])])
    shown = list(dict.fromkeys(x["metric"] for x in lines))
    return [f.capitalize() for f in fields] + ["Label"] + [titles[m] for m in shown] + ["Clips"], table


def _pairs(lines: list[dict]) -> tuple[list[str], list[list[str]]]:
    fields = list(_group(lines[0]))
    worst = sorted(lines, key=lambda x: (x["label"] == x["predicted"], -x["n"]))
    rows = [[str(v) for v in _group(x).values()] + [x["label"], x["predicted"], str(x["n"])] for x in worst]
    return [f.capitalize() for f in fields] + ["Label", "Predicted", "Clips"], rows


def _numeric(text: str) -> bool:
    return text.replace(".", "").replace("-", "").replace(" ", "").isdigit() or text in ("–", "")


def _terminal(header: list[str], rows: list[list[str]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    for i, title in enumerate(header):
        right = all(_numeric(row[i]) for row in rows)
        words = title.split(" ", 1)
        level = len(words) == 2 and words[0] in LEVELS.values()
        table.add_column("\n".join(words) if level else title, justify="right" if right else "left", no_wrap=not level)
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=max(80, 16 * len(header)), color_system=None, legacy_windows=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().strip("\n").splitlines()) + "\n"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---:" if all(_numeric(row[i]) for row in rows) else "---" for i in range(len(header))]
    cells = [[c.replace("|", "\\|") for c in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, rule, *cells])


def _latex(header: list[str], rows: list[list[str]]) -> str:
    align = "".join("r" if all(_numeric(row[i]) for row in rows) else "l" for i in range(len(header)))
    text = [" & ".join(map(_escaped, row)) + r" \\" for row in [header, *rows]]
    body = "\n".join([rf"\begin{{tabular}}{{{align}}}", r"\toprule", text[0], r"\midrule", *text[1:], r"\bottomrule"])
    return body + "\n\\end{tabular}\n"


def _escaped(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text.replace("–", "--")


def _tsv(header: list[str], rows: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in [header, *rows])
