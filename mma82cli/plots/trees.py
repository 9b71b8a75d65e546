"""The paper's Fig. 9: the tree that tells an emotion from the baseline."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import numpy as np

from mma82cli.emotion.trees import selected
from mma82cli.plots.style import GREY, INK, cycle, save, style

LINE = 0.115  # inches a line of a tree's text


def draw(grown: dict[str, Any], actions: list[str], emotions: list[str], baseline: str, top: int, folder: str) -> list[str]:
    """Writes `tree-EMOTION` as SVG and PNG for each emotion of `grown`, scikit-learn's fitted trees, whose `top` most
    important actions are marked. `actions` are the features' names; `emotions` all of them, as the colours go by."""
    written = []
    with style(math=False):
        for emotion, tree in grown.items():
            best = selected(tree.feature_importances_, top)
            sheet = figure(tree.tree_, actions, best, emotion, baseline, cycle(emotions.index(emotion)))
            written += save(sheet, folder, "tree-" + re.sub(r"\W+", "-", emotion))
    return written


def figure(grown, actions: list[str], best: np.ndarray, emotion: str, baseline: str, shade: str):
    """A tree of scikit-learn's (its `tree_`). A node says its question, and how many clips of either emotion come to it;
    the actions that are `best` (C,) are in bold."""
    from matplotlib.figure import Figure

    x, depth = _layout(grown)
    wide, high = max(5.5, 1.2 * (max(x) + 1) + 0.3), 1.15 * (max(depth) + 1) + 0.35
    sheet = Figure(figsize=(wide, high))
    axes = sheet.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(0, high))
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
    return sheet


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
