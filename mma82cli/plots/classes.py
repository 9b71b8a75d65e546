"""The paper's Fig. 3, right: instances of every label, most frequent first: the long tail."""

from __future__ import annotations

from collections.abc import Iterable

from mma82cli.plots.dataset import KINDS, colours, kinds_of, rows_of
from mma82cli.plots.style import GREY, save, style

LABEL_WIDTH = 0.14  # inches a label


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `classes.svg` and `classes.png` from what `stats` gave. Raises DataError where the lines are something else."""
    rows = rows_of(lines, "classes")
    with style():
        return save(figure(rows), folder, "classes")


def figure(rows: list[dict]):
    """A panel a kind, a bar a label coloured by its body group, on a logarithmic scale, as a matplotlib Figure."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    kinds, tints = kinds_of(rows), colours(row["body"] for row in rows)
    rows = sorted(rows, key=lambda row: (-row["instances"], row["id"]))
    sheet = Figure(figsize=(max(4.0, 1.0 + LABEL_WIDTH * len(rows)), 2.3 * len(kinds) + 2.0), layout="constrained")
    panels = sheet.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    places = range(len(rows))
    for axes, kind in zip(panels, kinds, strict=True):
        counts = [row[kind] for row in rows]
        axes.bar(places, counts, 0.8, color=[tints[row["body"]] for row in rows])
        axes.set_yscale("log")
        axes.set_ylim(0.7, 4 * max(counts))
        for place, count in zip(places, counts, strict=True):
            tint = "black" if count else GREY
            over = max(count, 0.7) * 1.15
            axes.text(place, over, f"{count:,}", rotation=90, ha="center", va="bottom", fontsize=5.5, color=tint)
        axes.set_ylabel(KINDS[kind])
        axes.tick_params("x", length=0, pad=2)
        axes.set_xlim(-0.8, len(rows) - 0.2)
    panels[-1].set_xticks(places, [row["label"] for row in rows], rotation=90, fontsize=6)
    if None not in tints:
        handles = [Patch(color=tint) for tint in tints.values()]
        panels[0].legend(handles, list(tints), loc="upper right", ncols=len(tints), frameon=False, fontsize=7)
    return sheet
