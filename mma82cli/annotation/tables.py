"""The agreement of annotators as tables for a person: overall and by label, how far each annotator gets, and the rules."""

from __future__ import annotations

from mma82cli.tables import Table, Title, decimal, percent

CEILING = {  # heading, title: metric, level, tiou
    ("Labels", "Top-1"): ("top1", "action", None), ("Labels", "MCA"): ("mca", "action", None),
    ("Action", "F1@0.5"): ("f1", "action", 0.5), ("Action", "mAP@0.5"): ("map", "action", 0.5),
    ("Action", "mAP"): ("map", "action", "avg"),
    ("Body", "F1@0.5"): ("f1", "body", 0.5), ("Body", "mAP@0.5"): ("map", "body", 0.5), ("Body", "mAP"): ("map", "body", "avg"),
}  # fmt: skip


def tables(rows: list[dict]) -> list[Table]:
    """Tables of the row for all, which holds the others' sums."""
    whole = rows[-1]
    return [_labels(whole), _pairs(whole), _ceiling(whole["ceiling"]), _rules(whole["rules"])]


def _labels(whole: dict) -> Table:
    """A row a label, those that annotators agree on least first, and all of them."""
    labels = sorted(whole["labels"].items(), key=lambda item: (item[1]["alpha"] != item[1]["alpha"], item[1]["alpha"]))
    cells = []
    for name, row in [*labels, ("all", whole)]:
        figures = [decimal(row[key], 3) for key in ("alpha", "mean_tiou", "f1", "boundary_error")]
        cells.append([name, *figures, f"{row['pairs']:,}"])
    return Table(["Label", "Alpha", "Mean tIoU", "F1@0.5", "Boundary error s", "Pairs"], cells)


def _pairs(whole: dict) -> Table:
    names = list(whole["kappa"])
    cells = [[name.replace("|", " and "), decimal(whole["kappa"][name], 3), decimal(whole["dice"][name], 3)] for name in names]
    return Table(["Annotators", "Kappa", "Dice"], cells)


def _ceiling(lines: list[dict]) -> Table:
    """Values in percent."""
    annotators: dict[str, dict] = {}
    for line in lines:
        annotators.setdefault(line["annotator"], {})[line["metric"], line["level"], line.get("tiou")] = line["value"]
    used = {title: key for title, key in CEILING.items() if any(key in figures for figures in annotators.values())}
    cells = [[name, *(percent(figures.get(key)) for key in used.values())] for name, figures in annotators.items()]
    return Table(["Against the merge", *used], cells)


def _rules(lines: list[dict]) -> Table:
    """Shares in percent."""
    cells = [[x["rule"], percent(x["tiou"]), percent(x["held_out"]), percent(x["length"]), f"{x['n']:,}"] for x in lines]
    titles: list[Title] = [("Mean tIoU", "with its own"), ("Mean tIoU", "with one held out"), "Length", "Instances"]
    return Table(["Rule", *titles], cells)
