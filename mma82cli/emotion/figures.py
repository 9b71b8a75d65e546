"""The figures of Section V: which actions each emotion's tree goes by (Fig. 6), and the trees (Fig. 9)."""

from __future__ import annotations

import os
import re
import textwrap

import numpy as np

from mma82cli.emotion import trees
from mma82cli.emotion.study import Clips, Study
from mma82cli.emotion.tfidf import tfidf

# Okabe and Ito's colours, which people who see fewer colours can tell apart; a ninth emotion starts over
COLOURS = ["#D55E00", "#009E73", "#56B4E9", "#E69F00", "#999999", "#0072B2", "#CC79A7", "#8F8300"]
GREY, INK = "#C8C8C8", "#222222"
LINE = 0.115  # inches a line of a tree's text
SURE = 0.05  # q below which a link is drawn in full colour


def colour(emotion: int) -> str:
    """The colour of an emotion, the same in every figure."""
    return COLOURS[emotion % len(COLOURS)]


def save(figure, path: str) -> list[str]:
    """Writes PATH.svg and PATH.png (300 dpi, at most 12,000 pixels a side), the same bytes for the same figure."""
    sharp = min(300.0, 12_000 / max(figure.get_size_inches()))
    figure.savefig(path + ".svg", metadata={"Date": None})
    figure.savefig(path + ".png", dpi=sharp)
    return [path + ".svg", path + ".png"]


def draw(clips: Clips, study: Study, rows: list[dict], folder: str) -> list[str]:
    """Draws `sankey`, `ratios`, and `tree-EMOTION` for each emotion that has a tree, from what `study.lines` gave."""
    import matplotlib

    names = clips.emotions.names
    counts, emotion, _ = clips.table()
    features = tfidf(counts, study.variant)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever a person's own settings are
        matplotlib.rcParams.update({"svg.hashsalt": "mma82", "text.parse_math": False})
        written = save(sankey(rows, names), os.path.join(folder, "sankey"))
        written += save(heatmap(rows, names, clips.actions.names), os.path.join(folder, "ratios"))
        for e in sorted(set(emotion.tolist()) - {study.baseline}):
            mine = (emotion == e) | (emotion == study.baseline)
            grown = trees.tree(features[mine], emotion[mine] == e, study.growth, study.seed)
            best = trees.selected(grown.feature_importances_, study.top)
            figure = tree(grown.tree_, clips.actions.names, best, names[e], names[study.baseline], colour(e))
            written += save(figure, os.path.join(folder, "tree-" + re.sub(r"\W+", "-", names[e])))
    return written


def sankey(rows: list[dict], emotions: list[str]):
    """Fig. 6: a band from each emotion to each of its top actions, as wide as its importance."""
    from matplotlib.figure import Figure

    links = [x for x in rows if x["top"]]
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
    figure = Figure(figsize=(wide, body + 0.75))
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, wide), ylim=(-0.65, body + 0.1))
    axes.axis("off")
    sources, sinks = _stacked(left, thick, line, body), _stacked(right, thin, line, body)
    for e, y in sources.items():
        axes.bar(begin, -thick[e], 0.1, y, color=colour(emotions.index(e)))
        axes.text(begin - 0.12, y - thick[e] / 2, e, ha="right", va="center", fontsize=9, color=INK)
    for a, y in sinks.items():
        axes.bar(end, -thin[a], 0.1, y, color=INK)
        axes.text(end + 0.12, y - thin[a] / 2, a, ha="left", va="center", fontsize=8, color=INK)
    for x in sorted(links, key=lambda x: (left.index(x["emotion"]), right.index(x["label"]))):
        e, a, width = x["emotion"], x["label"], scale * x["importance"]
        ends = begin + 0.05, sources[e], end - 0.05, sinks[a]
        _band(axes, *ends, width, colour(emotions.index(e)), x["direction"] == "less", x["q"] < SURE)
        sources[e] -= width
        sinks[a] -= width
    _key(axes)
    return figure


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
    for (hatched, sure, words), x in zip(samples, (0.35, 2.7, 4.2), strict=True):
        _band(axes, x, -0.22, x + 0.25, -0.22, 0.12, INK, hatched, sure)
        axes.text(x + 0.32, -0.28, words, fontsize=7, va="center", color=INK)
    axes.text(0.35, -0.5, "Width: Gini importance in the emotion's tree", fontsize=7, va="center", color=INK)


def heatmap(rows: list[dict], emotions: list[str], actions: list[str]):
    """The smoothed R of every emotion and action (Eq. 7), on a logarithmic scale from 1/8 to 8; a dot where q < `SURE`.

    Where R is 0/0 its smoothed value only tells how many clips there are, so nothing is shown.
    """
    from matplotlib.figure import Figure

    shown = np.array([np.nan if x["ratio"] is None else x["ratio_smoothed"] for x in rows])
    shown = np.log2(shown).reshape(len(emotions), len(actions)).T
    sure = np.array([x["q"] is not None and x["q"] < SURE for x in rows]).reshape(len(emotions), len(actions)).T
    left, row, column = 0.2 + 0.053 * max(map(len, actions)), 0.125, 0.42
    wide, high = left + column * len(emotions) + 0.4, row * len(actions)
    figure = Figure(figsize=(wide, high + 1.5))
    axes = figure.add_axes([left / wide, 0.65 / (high + 1.5), column * len(emotions) / wide, high / (high + 1.5)])
    axes.set_facecolor(GREY)
    image = axes.imshow(shown, cmap="PuOr_r", vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    axes.plot(*np.nonzero(sure)[::-1], "o", markersize=3, color=INK, markeredgecolor="white", markeredgewidth=0.5)
    axes.set_yticks(range(len(actions)), actions, fontsize=6)
    axes.set_xticks(range(len(emotions)), emotions, fontsize=7, rotation=40, ha="left", rotation_mode="anchor")
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    scale = figure.add_axes([left / wide, 0.45 / (high + 1.5), 0.4 * column * len(emotions) / wide, 0.1 / (high + 1.5)])
    bar = figure.colorbar(image, cax=scale, orientation="horizontal", ticks=[-3, -1, 0, 1, 3])
    bar.ax.set_xticklabels(["1/8", "1/2", "1", "2", "8"], fontsize=6)
    words = f"R    • q < {SURE:g}\ngrey: never seen"
    figure.text((left + 0.46 * column * len(emotions)) / wide, 0.56 / (high + 1.5), words, fontsize=7, va="top", color=INK)
    return figure


def tree(grown, actions: list[str], best: np.ndarray, emotion: str, baseline: str, shade: str):
    """Fig. 9: a tree of scikit-learn's (its `tree_`). A node says its question, and how many clips of either emotion come
    to it; the actions that are `best` (C,) are in bold."""
    from matplotlib.figure import Figure

    x, depth = _layout(grown)
    wide, high = max(5.5, 1.2 * (max(x) + 1) + 0.3), 1.15 * (max(depth) + 1) + 0.35
    figure = Figure(figsize=(wide, high))
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, wide), ylim=(0, high))
    axes.axis("off")
    x = [(wide - 1.2 * (max(x) + 1)) / 2 + 0.6 + 1.2 * place for place in x]
    y = [high - 1.15 - 1.15 * level for level in depth]
    axes.text(0.15, high - 0.2, f"{emotion} against {baseline}", fontsize=10, va="center", color=INK)
    words = f"Is the action's TF-IDF above the value? Clips: {baseline} in grey, {emotion} in colour. Bold: top {best.sum()}"
    axes.text(0.15, high - 0.42, words, fontsize=7, va="center", color=INK)
    for parent in range(grown.node_count):
        for child, answer in ((grown.children_left[parent], "no"), (grown.children_right[parent], "yes")):
            if child >= 0:
                below, above = y[parent] - 0.25, y[child] + _height(grown, child, actions)
                axes.plot([x[parent], x[child]], [below, above], color=GREY, linewidth=1, zorder=1)
                at = 0.5 * (x[parent] + x[child]), 0.5 * (below + above)
                paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                axes.text(*at, answer, fontsize=7, ha="center", va="center", color=INK, bbox=paper, zorder=2)
    for node in range(grown.node_count):
        _node(axes, x[node], y[node], grown, node, actions, best, shade)
    return figure


def _layout(grown) -> tuple[list[float], list[int]]:
    """Place (leaves at 0, 1, 2, …; a parent midway between its children) and depth of each node."""
    places, depth = [0.0] * grown.node_count, [0] * grown.node_count
    leaves = 0
    for node in range(grown.node_count):  # parents come before children, and left before right
        for child in (grown.children_left[node], grown.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
        if grown.children_left[node] < 0:
            places[node], leaves = float(leaves), leaves + 1
    for node in reversed(range(grown.node_count)):
        if grown.children_left[node] >= 0:
            places[node] = (places[grown.children_left[node]] + places[grown.children_right[node]]) / 2
    return places, depth


def _node(axes, x, y, grown, node, actions, best, shade) -> None:
    """The question, and a bar of the clips: the baseline's in grey, the emotion's in its colour."""
    from matplotlib.patches import Rectangle

    total = int(grown.n_node_samples[node])
    share = float(grown.value[node, 0, -1]) if grown.value.shape[2] == 2 else 1.0
    ours = round(share * total)
    axes.add_patch(Rectangle((x - 0.5, y - 0.25), 1 - share, 0.18, facecolor=GREY, linewidth=0, zorder=4))
    axes.add_patch(Rectangle((x + 0.5 - share, y - 0.25), share, 0.18, facecolor=shade, alpha=0.65, linewidth=0, zorder=4))
    axes.text(x - 0.47, y - 0.165, str(total - ours), fontsize=7, ha="left", va="center", color=INK, zorder=5)
    axes.text(x + 0.47, y - 0.165, str(ours), fontsize=7, ha="right", va="center", color=INK, zorder=5)
    if grown.children_left[node] < 0:
        return
    action = int(grown.feature[node])
    bold = {"weight": "bold" if best[action] else "normal", "linespacing": 1.0}
    words = "\n".join(_words(actions[action]))
    axes.text(x, y + 0.1, words, fontsize=7, ha="center", va="bottom", color=INK, zorder=5, **bold)
    axes.text(x, y, f"> {grown.threshold[node]:.2f}?", fontsize=7, ha="center", va="center", color=INK, zorder=5)


def _words(action: str) -> list[str]:
    """An action's name in at most three lines."""
    lines = textwrap.wrap(action, 17)
    return lines if len(lines) <= 3 else [*lines[:2], lines[2][:15] + "…"]


def _height(grown, node: int, actions: list[str]) -> float:
    """Inches from a node's middle to its upper edge."""
    return -0.07 if grown.children_left[node] < 0 else 0.13 + LINE * len(_words(actions[int(grown.feature[node])]))
