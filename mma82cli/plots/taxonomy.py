"""The paper's Fig. 2: the body groups and the labels in each, as a wheel."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from math import degrees, pi

from mma82cli.plots.dataset import colours
from mma82cli.plots.style import INK, save, style
from mma82cli.records import DataError

CORE, RIM = 0.26, 0.92  # radii of the groups' ring, of 1 where the labels begin
WHEEL, LETTER = 3.7, 0.041  # inches: the wheel's diameter, a letter's width


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `taxonomy.svg` and `taxonomy.png` from what `labels` or `stats` gave. Raises DataError where no line is a
    label with its body group."""
    rows = [line for line in lines if isinstance(line.get("label"), str) and isinstance(line.get("body"), str)]
    rows = [row for row in rows if row.get("table", "classes") == "classes"]
    if not rows:
        raise DataError("no labels with a body group; expected `mma82 labels` or `mma82 stats` of a label set that has some")
    with style():
        return save(figure(rows), folder, "taxonomy")


def figure(rows: list[dict]):
    """The wheel as a matplotlib Figure: an inner ring of groups, an outer one of labels with their names (and counts)."""
    from matplotlib.figure import Figure

    tints = colours(row["body"] for row in rows)
    groups = [(body, list(part)) for body, part in groupby(rows, lambda row: row["body"])]
    margin = 0.3 + LETTER * max(len(row["label"]) + len(_count(row)) for row in rows)
    side = WHEEL + 2 * margin
    sheet = Figure(figsize=(side, side))
    box = (margin / side, margin / side, WHEEL / side, WHEEL / side)
    axes = sheet.add_axes(box, projection="polar", theta_offset=pi / 2, theta_direction=-1)
    axes.set_axis_off()
    axes.set_ylim(0, 1)
    step = 2 * pi / len(rows)
    place = 0
    for i, (body, part) in enumerate(groups):
        width = step * len(part)
        axes.bar(place * step, RIM - CORE, width, CORE, align="edge", color=tints[body], edgecolor="white", linewidth=1.2)
        _name(axes, (place + len(part) / 2) * step, f"C{i + 1}", body, len(part))
        for k, row in enumerate(part):
            angle = (place + k + 0.5) * step
            axes.bar(angle, 0.06, step * 0.86, RIM + 0.02, color=tints[body], alpha=0.55)
            _label(axes, angle, row["label"], _count(row))
        place += len(part)
    axes.text(0, 0, f"{len(rows)}\nlabels", ha="center", va="center", color=INK, fontsize=10)
    return sheet


def _name(axes, angle: float, code: str, body: str, size: int) -> None:
    """A group's name in its wedge, along the radius, never upside down."""
    turn = (90 if degrees(angle) < 180 else 270) - degrees(angle)
    text = f"{code} {body} ({size})"
    axes.text(angle, (CORE + RIM) / 2, text, rotation=turn, ha="center", va="center", color="white", fontsize=7.5, weight="bold")


def _count(row: dict) -> str:
    return f"{row['instances']:,}" if "instances" in row else ""


def _label(axes, angle: float, label: str, count: str) -> None:
    """A label outside of the rim, read from the middle outward on the right, inward on the left."""
    right = degrees(angle) < 180
    turn = (90 if right else 270) - degrees(angle)
    text = (f"{label}  {count}" if right else f"{count}  {label}").strip()
    style = {"rotation": turn, "rotation_mode": "anchor", "va": "center", "fontsize": 5.6, "color": INK}
    axes.text(angle, 1.03, text, ha="left" if right else "right", **style)
