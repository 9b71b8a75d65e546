"""A map of all ratios of Eq. 7: how much likelier each action is in each emotion."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mma82cli.emotion.ratio import SURE
from mma82cli.plots import written_by
from mma82cli.plots.style import GREY, INK, save, style

FIELDS = ("emotion", "label", "ratio", "ratio_smoothed", "direction", "q")
SIDES = {"more": (0.0, np.inf), "less": (-np.inf, 0.0), "equal": (-np.inf, np.inf)}  # of log2 R, as `direction` has it


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `ratios.svg` and `ratios.png` from what `emotion-tree` gave. Raises DataError where the lines are not that."""
    lines = written_by("emotion-tree", lines, FIELDS)
    with style(math=False):
        return save(figure(lines), folder, "ratios")


def figure(lines: list[dict]):
    """The smoothed R of every emotion and action (Eq. 7), on a logarithmic scale from 1/8 to 8; a dot where q < `SURE`.

    Where R is 0/0 its smoothed value only tells how many clips there are, so nothing is shown. Of a rare action half a clip
    can take R to the other side of 1 (0 of 40 clips against 1 of 279 would be 2.3 times as likely): that is shown as 1.
    """
    from matplotlib.figure import Figure

    emotions, actions = (list(dict.fromkeys(x[field] for x in lines)) for field in ("emotion", "label"))
    shown, sure = np.full((len(actions), len(emotions)), np.nan), np.zeros((len(actions), len(emotions)), bool)
    for x in lines:
        cell = actions.index(x["label"]), emotions.index(x["emotion"])
        shown[cell] = np.nan if x["ratio"] is None else np.clip(np.log2(x["ratio_smoothed"]), *SIDES[x["direction"]])
        sure[cell] = x["q"] is not None and x["q"] < SURE
    left, row, column = 0.2 + 0.053 * max(map(len, actions)), 0.125, 0.42
    wide, high = left + column * len(emotions) + 0.4, row * len(actions)
    sheet = Figure(figsize=(wide, high + 1.5))
    axes = sheet.add_axes((left / wide, 0.65 / (high + 1.5), column * len(emotions) / wide, high / (high + 1.5)))
    axes.set_facecolor(GREY)
    axes.spines[:].set_visible(False)
    image = axes.imshow(shown, cmap="PuOr_r", vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    axes.plot(*np.nonzero(sure)[::-1], "o", markersize=3, color=INK, markeredgecolor="white", markeredgewidth=0.5)
    axes.set_yticks(range(len(actions)), actions, fontsize=6)
    axes.set_xticks(range(len(emotions)), emotions, fontsize=7, rotation=40, ha="left", rotation_mode="anchor")
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    scale = sheet.add_axes((left / wide, 0.45 / (high + 1.5), 0.4 * column * len(emotions) / wide, 0.1 / (high + 1.5)))
    bar = sheet.colorbar(image, cax=scale, orientation="horizontal", ticks=[-3, -1, 0, 1, 3])
    bar.ax.set_xticklabels(["1/8", "1/2", "1", "2", "8"], fontsize=6)
    words = f"R    • q < {SURE:g}\ngrey: never seen"
    sheet.text((left + 0.46 * column * len(emotions)) / wide, 0.56 / (high + 1.5), words, fontsize=7, va="top", color=INK)
    return sheet
