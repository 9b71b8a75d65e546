"""The figures of the emotion commands as tables that a person reads."""

from __future__ import annotations

from mma82cli.metrics.tables import TITLES
from mma82cli.tables import NONE, Table, Title, decimal, percent


def tree_tables(lines: list[dict]) -> list[Table]:
    """The top actions of every emotion, best first, from the lines of `emotion-tree`; what supports them most comes first."""
    stable = any(line.get("stability") is not None for line in lines)
    titles = ["Emotion", "Action", "Gini", "Held out", *(["Stable"] if stable else []), "Clips", "Others", "R", "95 % CI", "q"]
    rows = []
    for emotion in dict.fromkeys(x["emotion"] for x in lines):
        best = sorted((x for x in lines if x["emotion"] == emotion and x["top"]), key=lambda x: x["rank"])
        for i, x in enumerate(best):
            shares = [decimal(x[key]) for key in ("importance", "importance_held_out", *(["stability"] if stable else []))]
            counts = [f"{x['clips']}/{x['n']}", f"{x['other_clips']}/{x['other_n']}"]
            ci = NONE if x["ci"] is None else f"{_ratio(x['ci'][0])}-{_ratio(x['ci'][1])}"
            q = NONE if x["q"] is None else f"{x['q']:.1g}"
            rows.append([emotion if i == 0 else "", x["label"], *shares, *counts, _ratio(x["ratio"]), ci, q])
    return [Table(titles, rows)]


def mlp_tables(lines: list[dict]) -> list[Table]:
    """Table VIII from the lines of `emotion-mlp`, and how its rows differ from each other."""
    conditions = list(dict.fromkeys(x["actions"] for x in lines))
    figures = {(x["actions"], x["metric"]): x for x in lines}
    header: list[Title] = ["Actions", "Used", *((TITLES[m], title) for m in ("top1", "macro-f1") for title in _FIGURES), "n"]
    rows, pairs = [], []
    for name in conditions:
        first = figures[name, "top1"]
        row = [name, f"{first['used']:.0f}"]
        for metric in ("top1", "macro-f1"):
            x = figures[name, metric]
            row += [percent(x["value"], 1), _span(x["ci"]), percent(x["permuted"], 1), decimal(x["p"], 3)]
        rows.append([*row, str(first["n"])])
        for other, x in first["against"].items():
            counts = [f"{x['gained']:.1f}", f"{x['lost']:.1f}", f"{x['mcnemar']:.2g}"]
            pairs.append([name, other, percent(x["delta"], 1), _span(x["ci"]), *counts])
    titles: list[Title] = ["Actions", "Against", ("Top-1", "Delta"), ("Top-1", "95 % CI"), "Gained", "Lost", "McNemar p"]
    return [Table(header, rows), Table(titles, pairs)]


_FIGURES = ("%", "95 % CI", "Permuted", "p")


def _span(ci: list[float] | None) -> str:
    return NONE if ci is None else f"{percent(ci[0], 1)} .. {percent(ci[1], 1)}"


def _ratio(value: float | str | None) -> str:
    """A ratio with two or three digits that count."""
    if value is None or isinstance(value, str):
        return value or NONE
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
