"""The paper's Fig. 3, middle: how long instances are, a violin a body group; clips to the left, segments to the right."""

from __future__ import annotations

from collections.abc import Iterable

from mma82cli.plots.dataset import KINDS, colours, kinds_of, rows_of
from mma82cli.plots.style import INK, save, style
from mma82cli.records import DataError

REACH = 0.44  # half of a violin's greatest width


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `violin.svg` and `violin.png` from what `stats` gave. Raises DataError where it knows no durations."""
    rows = rows_of(lines, "bodies")
    if not any(row[f"{kind[:-1]}_seconds"] for row in rows for kind in KINDS):
        raise DataError("no record told how long it is ('start' and 'end', or 'duration'); a violin needs durations")
    with style():
        return save(figure(rows), folder, "violin")


def figure(rows: list[dict]):
    """The violins as a matplotlib Figure, on a logarithmic scale of seconds."""
    from matplotlib.figure import Figure

    kinds, tints = kinds_of(rows), colours(row["body"] for row in rows)
    sheet = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = sheet.subplots()
    for place, row in enumerate(rows):
        for kind in kinds:
            spread = row[f"{kind[:-1]}_seconds"]
            if spread:
                sides = (-1, 1) if len(kinds) == 1 else (-1,) if kind == "clips" else (1,)
                _violin(axes, place, spread, sides, tints[row["body"]], 0.95 if kind == "clips" else 0.55)
    axes.set_yscale("log")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if axes.get_ylim()[0] <= t <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylabel("duration (s)")
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xticks(range(len(rows)), [f"{row['code']}\n{row['body']}" for row in rows])
    if len(kinds) == 2:
        axes.set_title("clips to the left, segments to the right; marks: medians, and from 25 % to 75 %", loc="left", fontsize=8)
    return sheet


def _violin(axes, place: int, spread: dict, sides: tuple, colour: str, alpha: float) -> None:
    """One kind's durations: a smoothed histogram to either side, quartiles and the median."""
    import numpy as np

    counts, edges = (np.array(spread["histogram"][name], float) for name in ("counts", "edges"))
    kernel = np.exp(-(np.arange(-3, 4) ** 2) / 2)
    density = np.convolve(counts, kernel / kernel.sum(), "same")
    middles = np.sqrt(edges[:-1] * edges[1:])
    shown = density > density.max() / 200
    first, last = np.flatnonzero(shown)[[0, -1]]
    middles, width = middles[first : last + 1], REACH * density[first : last + 1] / density.max()
    low, high = (place + side * width if side in sides else np.full(len(width), place) for side in (-1, 1))
    axes.fill_betweenx(middles, low, high, color=colour, alpha=alpha, linewidth=0)
    x = place + 0.05 * (sum(sides))
    axes.plot([x, x], [spread["p25"], spread["p75"]], color=INK, linewidth=2.2, solid_capstyle="butt")
    axes.plot(x, spread["p50"], "o", color="white", markeredgecolor=INK, markersize=3.4, markeredgewidth=0.8)
