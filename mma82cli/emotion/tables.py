"""The figures of the emotion commands as tables that a person reads."""

from __future__ import annotations

from mma82cli.tables import NONE, Table


def tree_tables(lines: list[dict]) -> list[Table]:
    """The top actions of every emotion, best first, from the lines of `emotion-tree`; what supports them most comes first."""
    stable = any(line.get("stability") is not None for line in lines)
    titles = ["Emotion", "Action", "Gini", "Held out", *(["Stable"] if stable else []), "Clips", "Others", "R", "95 % CI", "q"]
    rows = []
    for emotion in dict.fromkeys(x["emotion"] for x in lines):
        best = sorted((x for x in lines if x["emotion"] == emotion and x["top"]), key=lambda x: x["rank"])
        for i, x in enumerate(best):
            shares = [figure(x[key]) for key in ("importance", "importance_held_out", *(["stability"] if stable else []))]
            counts = [f"{x['clips']}/{x['n']}", f"{x['other_clips']}/{x['other_n']}"]
            ci = NONE if x["ci"] is None else f"{_ratio(x['ci'][0])}-{_ratio(x['ci'][1])}"
            q = NONE if x["q"] is None else f"{x['q']:.1g}"
            rows.append([emotion if i == 0 else "", x["label"], *shares, *counts, _ratio(x["ratio"]), ci, q])
    return [Table(titles, rows)]


def figure(value: float | None) -> str:
    """A share with two decimals."""
    return NONE if value is None else f"{value:.2f}"


def _ratio(value: float | str | None) -> str:
    """A ratio with two or three digits that count."""
    if value is None or isinstance(value, str):
        return value or NONE
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
