"""The rows of `stats` and of `make-splits --report` as tables for a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mma82cli.records import SPLITS
from mma82cli.tables import NONE, Table, Title, count, decimal, percent

OVERVIEW = {
    "classes": "Classes", "bodies": "Bodies", "domains": "Domains", "subjects": "Subjects", "clips": "Clips",
    "videos": "Videos", "segments": "Segments", "instances": "Instances", "hours": "Hours", "frames": "Frames",
}  # fmt: skip


def tables(rows: list[dict]) -> list[Table]:
    """A table for each kind of row, in the order in which they come."""
    build = {"overview": _overview, "domains": _domains, "emotions": _emotions, "bodies": _bodies, "classes": _classes}
    build |= {"rare": _rare, "splits": _splits, "divergence": _divergence}
    kinds = dict.fromkeys(row["table"] for row in rows)
    return [build[kind]([row for row in rows if row["table"] == kind]) for kind in kinds]


def _overview(rows: list[dict]) -> Table:
    """Table I: with other data sets a row each, else a row a figure."""
    shown: dict[str, Callable[[Any], str]] = dict.fromkeys(OVERVIEW, count)
    shown |= {"hours": lambda n: decimal(n, 1 if n and n >= 1 else 2), "domains": _named, "subjects": _named}
    if len(rows) == 1:
        return Table(["Figure", "All"], [[title, shown[f](rows[0][f])] for f, title in OVERVIEW.items()])
    shown["frames"] = lambda n: decimal(None if n is None else n / 1e6, 2)
    titles = OVERVIEW | {"frames": "M frames"}
    del shown["bodies"], titles["bodies"]  # for 80 columns
    cells = [[row["name"] or "(input)", *(show(row[f]) for f, show in shown.items())] for row in rows]
    return Table(["Data set", *titles.values()], cells)


def _named(value: int | None) -> str:
    """How many names a field has; 0: the records don't have it."""
    return count(value or None)


def _domains(rows: list[dict]) -> Table:
    """Tables II and V: a row a domain, a heading a split."""
    splits = [s for s in SPLITS if any(row["split"] == s for row in rows)]
    counted = [name for name in ("clips", "videos", "segments") if any(row[name] for row in rows)]
    header: list[Title] = ["Domain"]
    body = []
    for split in [None, *splits]:
        heading = "All" if split is None else split.capitalize()
        header += [(heading, title) for title in ["Subjects", *map(str.capitalize, counted)] + ["%"] * (split is not None)]
    for domain in dict.fromkeys(row["domain"] for row in rows):
        line = ["all" if domain is None else domain]
        for split in [None, *splits]:
            row = next((r for r in rows if r["domain"] == domain and r["split"] == split), None)
            figures = [_named(row["subjects"]) if row else "0", *(count(row[name] if row else 0) for name in counted)]
            line += figures + [percent(row["share"] if row else 0)] * (split is not None)
        body.append(line)
    return Table(header, body[1:] + body[:1])


def _emotions(rows: list[dict]) -> Table:
    rows = sorted(rows, key=lambda row: (-row["clips"] - row["videos"], row["emotion"]))
    counted = [name for name in ("clips", "videos", "segments") if any(row[name] for row in rows)]
    people = any(row["subjects"] for row in rows)
    first = [[row["emotion"], percent(row["share"]), count(row["subjects"] if people else None)] for row in rows]
    cells = [line + [count(row[name]) for name in counted] for line, row in zip(first, rows, strict=True)]
    return Table(["Emotion", "%", "Subjects", *map(str.capitalize, counted)], cells)


def _lengths(rows: list[dict]) -> tuple[list, list[list[str]]]:
    """Columns of the kinds that occur: how many, and how long."""
    kinds = [kind for kind in ("clip", "segment") if any(row[kind + "s"] for row in rows)]
    header, cells = [], [[] for _ in rows]
    for kind in kinds:
        timed = any(row[kind + "_seconds"] for row in rows)
        header += [(kind.capitalize() + "s", title) for title in ["N"] + ["Median s", "5-95 %"] * timed]
        for line, row in zip(cells, rows, strict=True):
            spread = row[kind + "_seconds"]
            long = [decimal(spread["p50"], 1), f"{spread['p5']:.1f}-{spread['p95']:.1f}"] if spread else [NONE, NONE]
            line += [count(row[kind + "s"])] + long * timed
    return header, cells


def _bodies(rows: list[dict]) -> Table:
    header, cells = _lengths(rows)
    first = [[row["code"], row["body"], percent(row["share"])] for row in rows]
    return Table(["", "Body group", "%", *header], [a + b for a, b in zip(first, cells, strict=True)])


def _classes(rows: list[dict]) -> Table:
    rows = sorted(rows, key=lambda row: (-row["instances"], row["id"]))
    header, cells = _lengths(rows)
    people = any(row["subjects"] for row in rows)
    first = [[row["label"], count(row["subjects"] if people else None)] for row in rows]
    return Table(["Label", "Subjects", *header], [a + b for a, b in zip(first, cells, strict=True)])


def _rare(rows: list[dict]) -> Table:
    figures = ("instances", "subjects", "lacking")
    cells = [[row["label"], *(count(row[f]) for f in figures)] for row in rows]
    return Table(["To collect more of", *map(str.capitalize, figures)], cells)


def _splits(rows: list[dict]) -> Table:
    """Tables II and V with what was wanted: a row a domain and split; deviations in points."""
    header = ["Domain", "Split", "Records", "Instances", "Groups", "%", "Wanted %", "Deviation", "Classes"]
    cells = []
    for row in rows:
        counts = [count(row[f]) for f in ("records", "instances", "groups")]
        off = NONE if row["deviation"] is None else f"{row['deviation']:+.3f}"
        cells.append([row["domain"] or "all", row["split"], *counts, percent(row["share"]), percent(row["wanted"]), off])
        cells[-1].append(count(row["classes"]))
    return Table(header, cells)


def _divergence(rows: list[dict]) -> Table:
    return Table(["Splits", "Jensen-Shannon divergence"], [[" and ".join(r["splits"]), f"{r['jsd']:.5f}"] for r in rows])
