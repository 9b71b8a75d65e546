"""What is taken for what: a matrix of labels in the order of their body groups, and the pairs that are confused most.

A row is a true label, a column what was predicted; a cell's colour is its share of the row's clips, so that rare labels
show as well as frequent ones, on a scale on which few clips can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np

from mma82cli.plots.dataset import colours
from mma82cli.plots.style import BLUE, GREY, INK, save, style
from mma82cli.records import DataError, WrongUsage, wrong
from mma82cli.taxonomy import Taxonomy, load_taxonomy

HEEDS = ("--taxonomy",)
WORST = 12  # pairs that are named
FEW = 20  # labels whose cells have room for a number
GAMMA = 0.5
TICKS = (1, 5, 20, 50, 100)  # percent
_OWN = ("metric", "level", "label", "predicted", "n", "body", "predicted_body", "signature")


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `confusion-LEVEL.svg` and `.png` from what `score --confusion` gave, with `--by` for each value a pair more.
    Raises DataError where the lines are something else."""
    sheets: dict[tuple, list[dict]] = {}
    for line in lines:
        if "predicted" in line and "n" in line:
            if type(line["n"]) is not int or line["n"] < 1:
                raise wrong("n", line["n"], "a number of clips")
            group = tuple(str(value) for field, value in line.items() if field not in _OWN)
            sheets.setdefault((*group, str(line.get("level"))), []).append(line)
    if not sheets:
        raise DataError("no lines with 'label', 'predicted' and 'n'; expected what `mma82 score --confusion` writes")
    paths, known = [], _taxonomy(next(iter(sheets.values()))[0], options)
    for name, mine in sheets.items():
        with style(math=False):
            paths += save(figure(mine, name, known), folder, "-".join(["confusion", *(re.sub(r"[^\w.]+", "_", w) for w in name)]))
    return paths


def _taxonomy(line: dict, options) -> Taxonomy | None:
    """The label set that a person names, or else the built-in one that the line's signature names."""
    if options is not None and options.taxonomy:
        return load_taxonomy(options.taxonomy)
    named = re.search(r"\btaxonomy:([^|]+)", str(line.get("signature")))
    with suppress(WrongUsage, DataError):
        return load_taxonomy(named[1]) if named else None
    return None


def labels_of(lines: list[dict], known: Taxonomy | None = None) -> dict[str, str | None]:
    """{label: body group}, group by group; within one in the order of ids where the label set is known, else first the labels
    that have truth, in the order of the lines."""
    found: dict[str, str | None] = {}
    for label, body in (("label", "body"), ("predicted", "predicted_body")):
        for line in lines:
            found.setdefault(str(line[label]), line.get(body))
    for places in (known.ids, {body: i for i, body in enumerate(known.bodies)}) if known else ():
        if all(label in places for label in found):
            found = {label: found[label] for label in sorted(found, key=places.__getitem__)}
    order = [*(known.bodies if known else ()), *dict.fromkeys(found.values())]
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[1])))


def figure(lines: list[dict], name: tuple[str, ...], known: Taxonomy | None = None):
    """The matrix above the most confused pairs, as a matplotlib Figure. Labels of a known set go by their ids."""
    from matplotlib.figure import Figure

    bodies = labels_of(lines, known)
    place = {label: i for i, label in enumerate(bodies)}
    counts = np.zeros((len(bodies), len(bodies)), int)
    for line in lines:
        counts[place[str(line["label"])], place[str(line["predicted"])]] += line["n"]
    worst = [(i, j) for i, j in np.argwhere(counts).tolist() if i != j]
    worst = sorted(worst, key=lambda pair: -counts[pair])[:WORST]
    many = len(bodies) > FEW
    wide, tall, below = (7.2, 6.2, 0.15 * len(worst) + 0.5) if many else (4.8, 4.4, 0.15 * len(worst) + 0.5)
    sheet = Figure(figsize=(wide, tall + below * bool(worst)), layout="constrained")
    parts: Any = sheet.subfigures(2, height_ratios=[tall, below]) if worst else (sheet, None)
    above, under = parts
    axes = above.subplots()
    _matrix(above, axes, counts, bodies, known)
    right, n = int(counts.trace()), int(counts.sum())
    axes.set_title(f"{', '.join(name)}: {right:,} of {n:,} clips right", loc="left", pad=18 if many else 6)
    if under is not None:
        _pairs(under.subplots(), counts, list(bodies), worst)
    return sheet


def _matrix(sheet, axes, counts: np.ndarray, bodies: dict[str, str | None], known: Taxonomy | None) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.patches import Rectangle

    size, every = len(bodies), colours([*(known.bodies if known else ()), *bodies.values()])
    tints = {body: every[body] for body in dict.fromkeys(bodies.values())}
    numbers = [known.ids.get(label, i) if known else i for i, label in enumerate(bodies)]
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    scale = ScalarMappable(PowerNorm(GAMMA, 0, 100), LinearSegmentedColormap.from_list("share", ["white", BLUE, "#001830"]))
    cells = np.argwhere(counts)
    squares = [Rectangle((j - 0.5, i - 0.5), 1, 1) for i, j in cells]
    axes.add_collection(PatchCollection(squares, facecolors=scale.to_rgba(shares[tuple(cells.T)]), linewidths=0))
    axes.plot([-0.5, size - 0.5], [-0.5, size - 0.5], color=GREY, linewidth=0.4, zorder=0)
    for body, tint in tints.items():
        mine = [i for i, other in enumerate(bodies.values()) if other == body]
        first, last = mine[0] - 0.5, mine[-1] + 0.5
        box: dict[str, Any] = {"facecolor": "none", "edgecolor": tint if body else INK, "linewidth": 1.0}
        axes.add_patch(Rectangle((first, first), last - first, last - first, **box))
    small = size > FEW
    labels = [f"{label}  {i}" for i, label in zip(numbers, bodies, strict=True)] if small else list(bodies)
    axes.set_yticks(range(size), labels, fontsize=min(8, max(3.5, 330 / size)))
    axes.set_xticks(range(size), numbers if small else list(bodies), rotation=90, fontsize=min(8, max(3.5, 250 / size)))
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        for tick, body in zip(ticks, bodies.values(), strict=True):
            tick.set_color(tints[body] if body else INK)
    if small and None not in tints:
        handles = [Rectangle((0, 0), 1, 1, facecolor=tint) for tint in tints.values()]
        place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderpad": 0.2, "handlelength": 1, "columnspacing": 1}
        axes.legend(handles, list(tints), ncols=len(tints), frameon=False, fontsize=6, **place)
    if not small:
        for i, j in cells:
            shade = "white" if shares[i, j] > 20 else INK
            axes.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", fontsize=7, color=shade)
    axes.tick_params(length=0, pad=1)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal", xlabel="predicted", ylabel="true label")
    bar = sheet.colorbar(scale, ax=axes, ticks=TICKS, shrink=0.4, aspect=25, pad=0.01)
    bar.set_label("% of the label's clips", fontsize=7)
    bar.ax.tick_params(labelsize=7, length=2)


def _pairs(axes, counts: np.ndarray, labels: list[str], worst: list[tuple[int, int]]) -> None:
    """Bars of the pairs that are confused most, with their share of the true label's clips."""
    from matplotlib.ticker import MaxNLocator

    values = [int(counts[pair]) for pair in worst]
    bars = axes.barh(range(len(worst)), values, 0.75, color=BLUE)
    shares = [100 * counts[i, j] / counts[i].sum() for i, j in worst]
    axes.bar_label(bars, [f"{n:,}  ({share:.0f} %)" for n, share in zip(values, shares, strict=True)], padding=2, fontsize=7)
    axes.set_yticks(range(len(worst)), [f"{labels[i]} → {labels[j]}" for i, j in worst], fontsize=7)
    axes.set(ylim=(len(worst) - 0.4, -0.6), xlim=(0, 1.25 * max(values)))
    axes.set_title("Most confused, true → predicted: clips (% of the true label's)", loc="right", fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params("y", length=0)
    axes.spines["left"].set_visible(False)
