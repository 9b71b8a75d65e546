"""The paper's Fig. 7: which errors a ranking holds, what each costs, and which true segments are missed or hard."""

from __future__ import annotations

from collections.abc import Iterable

from mma82cli.metrics.diagnosis import ERRORS, SLICES
from mma82cli.plots.style import BLUE, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, save, style
from mma82cli.records import DataError

COLOURS = dict(zip((*ERRORS, None), [VERMILION, PURPLE, BLUE, SKY, ORANGE, GREY], strict=True))  # what is right is grey


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `diagnosis.svg` and `diagnosis.png` from what `diagnose` gave (its tiou "avg"). Raises DataError where the
    lines are no diagnosis."""
    lines = [line for line in lines if "analysis" in line and line.get("tiou") == "avg"]
    if not lines:
        raise DataError("no lines with 'analysis'; expected what `mma82 diagnose` writes")
    with style():
        return save(figure(lines), folder, "diagnosis")


def figure(lines: list[dict]):
    """The four panels as a matplotlib Figure."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(7.2, 5.2), layout="constrained")
    above, below = sheet.subfigures(2, squeeze=False)[:, 0]
    (profile, impact), (missed, hard) = above.subplots(1, 2), below.subplots(1, 2)
    _profile(profile, [x for x in lines if x["analysis"] == "false-positive"])
    gains = {x["error"]: x["value"] for x in lines if x["analysis"] == "impact"}
    bars = impact.bar(list(gains), [100 * v for v in gains.values()], color=[COLOURS[e] for e in gains])
    impact.bar_label(bars, fmt="%.1f", padding=2)
    impact.set_title("Gain without an error", loc="left")
    impact.set_ylabel("average mAP$_N$ (points)")
    impact.set_ylim(0, 112 * max(0.01, *gains.values()))  # room for the numbers
    impact.tick_params("x", rotation=20)
    whole = next(x for x in lines if x["analysis"] == "false-negative" and x["axis"] is None)
    _by_bucket(missed, [x for x in lines if x["analysis"] == "false-negative"], whole["value"])
    missed.set_title("True segments missed", loc="left")
    missed.set_ylabel("% of the bucket")
    whole = next(x for x in lines if x["analysis"] == "base" and x["axis"] is None)
    _by_bucket(hard, [x for x in lines if x["analysis"] == "sensitivity"], whole["value"])
    hard.set_title("Sensitivity", loc="left")
    hard.set_ylabel("average mAP$_N$ (%)")
    return sheet


def _profile(axes, lines: list[dict]) -> None:
    """Stacked shares of each slice of the ranking: right ones below, background on top."""
    shares = {(x["bucket"], x["error"]): x["value"] or 0 for x in lines}
    names = [f"{k + 1}G" for k in range(SLICES)]
    floor = [0.0] * SLICES
    for error in (None, *ERRORS):
        heights = [100 * shares[name, error] for name in names]
        axes.bar(names, heights, 0.85, floor, color=COLOURS[error], label=error or "right")
        floor = [a + b for a, b in zip(floor, heights, strict=True)]
    axes.set_title("The ranking, slice by slice", loc="left")
    axes.set_ylabel("% of predictions")
    axes.set_ylim(0, 100)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=7)


def _by_bucket(axes, lines: list[dict], whole: float) -> None:
    """A group of bars an axis, and a dashed line at the value for all."""
    place, ticks = 0, []
    for axis in dict.fromkeys(x["axis"] for x in lines if x["axis"]):
        group = [x for x in lines if x["axis"] == axis]
        places = range(place, place + len(group))
        bars = axes.bar(places, [100 * (x["value"] or 0) for x in group], 0.8, color=BLUE)
        labels = ["–" if x["value"] is None else f"{100 * x['value']:.0f}" for x in group]
        axes.bar_label(bars, labels, padding=1, fontsize=7, bbox={"color": "white", "pad": 0.3})  # lies over the dashed line
        middle = place + (len(group) - 1) / 2
        axes.text(middle, -0.16, axis, transform=axes.get_xaxis_transform(), ha="center", va="top", color=INK)
        ticks += zip(places, (x["bucket"] for x in group), strict=True)
        place += len(group) + 1
    axes.axhline(100 * whole, color=INK, linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xticks([p for p, _ in ticks], [name for _, name in ticks], fontsize=7)
    axes.set_ylim(0, 112 * max(0.01, whole, *(x["value"] or 0 for x in lines)))  # room for the numbers
    axes.margins(x=0.02)
