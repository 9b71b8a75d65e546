"""The paper's Fig. 6: which actions the tree of each emotion goes by."""

from __future__ import annotations

from collections.abc import Iterable

from mma82cli.emotion.ratio import SURE
from mma82cli.plots import written_by
from mma82cli.plots.style import INK, cycle, save, style

FIELDS = ("emotion", "label", "importance", "top", "direction", "q")


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `sankey.svg` and `sankey.png` from what `emotion-tree` gave. Raises DataError where the lines are not that."""
    lines = written_by("emotion-tree", lines, FIELDS)
    with style(math=False):
        return save(figure(lines), folder, "sankey")


def figure(lines: list[dict]):
    """A band from each emotion to each of its top actions, as wide as its importance, as a matplotlib Figure."""
    from matplotlib.figure import Figure

    emotions = list(dict.fromkeys(x["emotion"] for x in lines))
    links = [x for x in lines if x["top"]]
    left = [e for e in emotions if any(x["emotion"] == e for x in links)]
    right = _by_neighbours(links, left)
    line = 0.2  # inches that a label needs
    scale = 0.55  # inches of an importance of 1
    thick = {e: scale * sum(x["importance"] for x in links if x["emotion"] == e) for e in left}
    thin = {a: scale * sum(x["importance"] for x in links if x["label"] == a) for a in right}
    body = max(sum(max(line, t) + gap for t in sizes.values()) for sizes, gap in ((thin, 0.06), (thick, 0.1)))
    body = max(1.0, body)
    begin = 0.3 + 0.09 * max(map(len, left), default=0)  # room for the longest names on both sides
    end = begin + 2.7
    wide = max(5.2, end + 0.3 + 0.074 * max(map(len, right), default=0))
    sheet = Figure(figsize=(wide, body + 0.75))
    axes = sheet.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(-0.65, body + 0.1))
    axes.axis("off")
    sources, sinks = _stacked(left, thick, line, body), _stacked(right, thin, line, body)
    for e, y in sources.items():
        axes.bar(begin, -thick[e], 0.1, y, color=cycle(emotions.index(e)))
        axes.text(begin - 0.12, y - thick[e] / 2, e, ha="right", va="center", fontsize=9, color=INK)
    for a, y in sinks.items():
        axes.bar(end, -thin[a], 0.1, y, color=INK)
        axes.text(end + 0.12, y - thin[a] / 2, a, ha="left", va="center", fontsize=8, color=INK)
    for x in sorted(links, key=lambda x: (left.index(x["emotion"]), right.index(x["label"]))):
        e, a, width = x["emotion"], x["label"], scale * x["importance"]
        ends = begin + 0.05, sources[e], end - 0.05, sinks[a]
        _band(axes, *ends, width, cycle(emotions.index(e)), x["direction"] == "less", x["q"] < SURE)
        sources[e] -= width
        sinks[a] -= width
    _key(axes)
    return sheet


def _by_neighbours(links: list[dict], left: list[str]) -> list[str]:
    """Actions in the order of the mean place of their emotions, so that bands cross little."""
    places: dict[str, list[tuple[int, float]]] = {}
    for x in links:
        places.setdefault(x["label"], []).append((left.index(x["emotion"]), x["importance"]))
    mean = {a: sum(i * w for i, w in of) / sum(w for _, w in of) for a, of in places.items()}
    return sorted(mean, key=lambda a: (mean[a], a))


def _stacked(names: list[str], sizes: dict[str, float], least: float, body: float) -> dict[str, float]:
    """The top of every node, in inches from below: each has room for its label, and what is left is shared out."""
    gap = (body - sum(max(least, sizes[name]) for name in names)) / max(1, len(names))
    tops, y = {}, body - gap / 2
    for name in names:
        room = max(least, sizes[name])
        tops[name] = y - (room - sizes[name]) / 2
        y -= room + gap
    return tops


def _band(axes, x0, y0, x1, y1, width, shade, hatched: bool, sure: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    middle = (x0 + x1) / 2
    points = [(x0, y0), (middle, y0), (middle, y1), (x1, y1), (x1, y1 - width), (middle, y1 - width), (middle, y0 - width)]
    codes = [Curve.MOVETO, *[Curve.CURVE4] * 3, Curve.LINETO, *[Curve.CURVE4] * 3, Curve.CLOSEPOLY]
    path = Curve([*points, (x0, y0 - width), (x0, y0)], codes)
    look = {"facecolor": "none", "edgecolor": shade, "hatch": "//////", "linewidth": 0.6} if hatched else {"facecolor": shade}
    axes.add_patch(PathPatch(path, alpha=0.8 if sure else 0.3, **({"linewidth": 0} | look)))


def _key(axes) -> None:
    samples = [(False, True, "more often than in other clips"), (True, True, "less often"), (False, False, f"pale: q ≥ {SURE:g}")]
    for (hatched, sure, words), x in zip(samples, (0.35, 2.7, 4.1), strict=True):
        _band(axes, x, -0.22, x + 0.25, -0.22, 0.12, INK, hatched, sure)
        axes.text(x + 0.32, -0.28, words, fontsize=7, va="center", color=INK)
    axes.text(0.35, -0.5, "Width: Gini importance in the emotion's tree", fontsize=7, va="center", color=INK)
