"""Training runs beside each other: the loss and what validation gave, epoch by epoch, from `log.jsonl` or a run's stdout."""

from __future__ import annotations

import os
from collections.abc import Iterable

from mma82cli.plots import written_by
from mma82cli.plots.style import cycle, save, style
from mma82cli.records import is_number, wrong

WITH_FILE = True  # its records carry `file`, the FILE that they came from
WORDS = {"loss": "Loss", "top1": "Top-1 (%)", "mca": "MCA (%)", "map": "mAP (%)", "map50": "mAP@0.5 (%)"}
PANEL = (3.0, 2.4)  # inches


def draw(lines: Iterable[dict], folder: str, options=None) -> list[str]:
    """Writes `curves.svg` and `curves.png` from lines of one or more runs. Raises DataError where they are something else."""
    runs = runs_of(written_by("train-rec` or `train-det", map(_checked, lines), ("epoch", "loss")))
    with style(math=False):
        return save(figure(runs), folder, "curves")


def runs_of(lines: list[dict]) -> dict[str, list[dict]]:
    """The lines of each run by its name: the folder of its log. A run begins with a file, or where epochs start over."""
    runs: dict[str, list[dict]] = {}
    name = file = None
    for line in lines:
        if name is None or line.get("file") != file or line["epoch"] <= runs[name][-1]["epoch"]:
            file = line.get("file")
            name = _free(_name(file), runs)
            runs[name] = []
        runs[name].append(line)
    return runs


def _checked(line: dict) -> dict:
    """The line. Raises DataError where one of its figures is no number."""
    for key, value in line.items():
        if (key in ("epoch", "loss") or key.startswith(("val_", "train_"))) and not is_number(value):
            raise wrong(key, value, "a number")
    return line


def _name(file: str | None) -> str:
    """`seed-0` of runs/seed-0/log.jsonl, else the file's own name."""
    if not file or file == "<stdin>":
        return "run"
    folder, base = os.path.split(os.path.abspath(file))
    return os.path.basename(folder) if base == "log.jsonl" else base.removesuffix(".gz").removesuffix(".jsonl")


def _free(name: str, taken) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def figure(runs: dict[str, list[dict]]):
    """A panel for the loss and one for each figure of validation, a colour a run, as a matplotlib Figure. Training's own
    figure is dashed beside validation's; a dot is the best epoch."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    found = dict.fromkeys(key for lines in runs.values() for line in lines for key in line)
    named = [key.partition("_")[2] for key in found if key.startswith(("val_", "train_"))]
    panels = ["loss", *dict.fromkeys(sorted(named, key=lambda key: f"val_{key}" not in found))]
    sheet = Figure(figsize=(PANEL[0] * len(panels), PANEL[1] + 0.15 * len(runs)), layout="constrained")
    for axes, panel in zip(sheet.subplots(1, len(panels), sharex=True, squeeze=False)[0], panels, strict=True):
        for place, lines in enumerate(runs.values()):
            _curves(axes, panel, lines, cycle(place))
        axes.set_xlabel("Epoch")
        axes.set_ylabel(WORDS.get(panel, panel))
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_ylim(bottom=0)
    _legend(sheet, runs, found)
    return sheet


def _curves(axes, panel: str, lines: list[dict], tint: str) -> None:
    if panel == "loss":
        _curve(axes, *_series(lines, "loss", 1), color=tint, linewidth=1.2)
        return
    _curve(axes, *_series(lines, f"train_{panel}", 100), color=tint, linewidth=0.8, linestyle=(0, (4, 2)), alpha=0.7)
    epochs, values = _series(lines, f"val_{panel}", 100)
    _curve(axes, epochs, values, color=tint, linewidth=1.2)
    if values:
        best = values.index(max(values))
        axes.plot(epochs[best], values[best], "o", color=tint, markersize=4)


def _curve(axes, epochs: list[int], values: list[float], **look) -> None:
    """A line; a lone epoch, which makes none, is a small dot."""
    axes.plot(epochs, values, marker="o" if len(epochs) == 1 else "", markersize=2.5, **look)


def _series(lines: list[dict], key: str, factor: int) -> tuple[list[int], list[float]]:
    kept = [line for line in lines if key in line]
    return [line["epoch"] for line in kept], [factor * line[key] for line in kept]


def _legend(sheet, runs: dict[str, list[dict]], found) -> None:
    """A line a run with its best figure, and what dashes are."""
    from matplotlib.lines import Line2D

    kind = next((key for key in found if key.startswith("val_")), None)
    handles, words = [], []
    for place, (name, lines) in enumerate(runs.items()):
        values = [line[kind] for line in lines if kind in line] if kind else []
        best = f": best {WORDS.get(kind[4:], kind[4:]).removesuffix(' (%)')} {100 * max(values):.1f}" if values else ""
        handles.append(Line2D([], [], color=cycle(place), linewidth=1.2))
        words.append(f"{name}{best}")
    if kind and any(key.startswith("train_") for key in found):
        handles.append(Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (4, 2)), alpha=0.7))
        words.append("in training")
    sheet.legend(handles, words, loc="outside lower center", ncols=min(3, len(words)), frameon=False, fontsize=7)
