"""The paper's Fig. 3, left: how the instances fall on the body groups, a ring for clips and one for segments."""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, radians, sin

from mma82cli.plots.dataset import KINDS, colours, kinds_of, rows_of
from mma82cli.plots.style import INK, save, style

WIDE = 0.05  # a share from here on has its figure within the ring


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `ring.svg` and `ring.png` from what `stats` gave. Raises DataError where the lines are something else."""
    rows = rows_of(lines, "bodies")
    with style():
        return save(figure(rows), folder, "ring")


def figure(rows: list[dict]):
    """A ring a kind, side by side, and one legend, as a matplotlib Figure."""
    from matplotlib.figure import Figure

    kinds, tints = kinds_of(rows), colours(row["body"] for row in rows)
    sheet = Figure(figsize=(3.0 * len(kinds) + 1.6, 3.0), layout="constrained")
    for axes, kind in zip(sheet.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        counts = [row[kind] for row in rows]
        total = sum(counts)
        ring = {"width": 0.42, "edgecolor": "white", "linewidth": 1}
        wedges, _ = axes.pie(counts, colors=list(tints.values()), startangle=90, counterclock=False, wedgeprops=ring)
        for wedge, count in zip(wedges, counts, strict=True):
            _share(axes, wedge, count / total)
        axes.text(0, 0, f"{total:,}\n{KINDS[kind].split()[0].lower()}", ha="center", va="center", color=INK, fontsize=9)
    names = [f"{row['code']}  {row['body']}" for row in rows]
    sheet.legend(wedges, names, loc="outside right center", frameon=False)
    return sheet


def _share(axes, wedge, share: float) -> None:
    """The share of a wedge: within it where there is room, else beside it."""
    if not share:
        return
    angle = radians((wedge.theta1 + wedge.theta2) / 2)
    inside = share >= WIDE
    reach = 0.79 if inside else 1.13
    text = f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
    x, y = reach * cos(angle), reach * sin(angle)
    axes.text(x, y, text, ha="center", va="center", fontsize=7, color="white" if inside else INK)
