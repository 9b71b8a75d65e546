"""The lines of a report: metrics a group, labels, confused pairs; with intervals, comparisons and means over runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mma82cli.metrics import confidence, recognition
from mma82cli.metrics.confidence import Outcomes
from mma82cli.metrics.recognition import values
from mma82cli.metrics.tally import Tally
from mma82cli.records import DataError, show


def metric_lines(tally: Tally, levels: list[str], rule: str) -> Iterator[dict]:
    """{"metric", "level", …group…, "value", "n"} of every group: all that the counts can answer."""
    for fields, counts in tally.ordered():
        counts = {level: counts[level] for level in levels if level in counts}
        short = {level for level, part in counts.items() if part.unknown}
        n = next(iter(counts.values())).n if counts else 0
        for (metric, level), value in values({k: c.margins for k, c in counts.items()}, rule, short).items():
            yield {"metric": metric, "level": level, **fields, "value": float(value), "n": n}


def class_lines(tally: Tally, levels: list[str]) -> Iterator[dict]:
    """recall, top5 and f1 of every label; null where it has no truth."""
    for fields, counts in tally.ordered():
        for level in (x for x in levels if x in counts):
            names = tally.taxonomy.names if level == "action" else tally.taxonomy.bodies
            values = recognition.per_class(counts[level])
            for metric in ("recall", "top5", "f1"):
                if metric == "top5" and counts[level].unknown:
                    continue
                for name, value, support in zip(names, values[metric].tolist(), values["support"].tolist(), strict=True):
                    shown = None if support == 0 else value
                    yield {"metric": metric, "level": level, **fields, "label": name, "value": shown, "support": support}


def confusion_lines(tally: Tally, levels: list[str]) -> Iterator[dict]:
    """A line for each pair of labels that occurs: `label`, `predicted`, `n`, and of actions the groups of both, `body` and
    `predicted_body`."""
    for fields, counts in tally.ordered():
        for level in (x for x in levels if x in counts):
            names = tally.taxonomy.names if level == "action" else tally.taxonomy.bodies
            confusion = counts[level].confusion
            for truth, guess in np.argwhere(confusion).tolist():
                pair = {"label": names[truth], "predicted": names[guess], "n": int(confusion[truth, guess])}
                if level == "action" and tally.taxonomy.bodies:
                    pair |= {"body": tally.taxonomy.group(truth), "predicted_body": tally.taxonomy.group(guess)}
                yield {"metric": "confusion", "level": level, **fields, **pair}


def add_intervals(lines: list[dict], tally: Tally, mine: Outcomes, resamples: int, seed: int, rule: str) -> int:
    """Adds `ci`, [lo, hi] or null where one unit is all there is. Returns how many groups were so."""
    degenerate, tables, units = 0, mine.tables(), mine.units()
    for group, rows in mine.groups.members():
        part = {level: table[rows] for level, table in tables.items()}
        drawn = confidence.resample([part], tally.sizes, _of(units, rows), resamples, seed, rule)
        degenerate += drawn is None
        for line in of_group(lines, tally.by, group):
            line["ci"] = confidence.interval(drawn[0][line["metric"], line["level"]]) if drawn else None
    return degenerate


def add_comparison(
    lines: list[dict], tally: Tally, mine: Outcomes, other: Outcomes, resamples: int, seed: int, rule: str
) -> None:
    """Adds `other` (its value on the same clips), `delta` (this system less the other), `delta_ci`, `p` (paired
    bootstrap), and to top1 `mcnemar` (exact p). Raises DataError where the systems' ids differ."""
    order = aligned(mine.ids, other.ids)
    ours, units = mine.tables(), mine.units()
    theirs = {level: table[order] for level, table in other.tables().items()}
    for group, rows in mine.groups.members():
        tables = [{level: table[rows] for level, table in system.items()} for system in (ours, theirs)]
        drawn = confidence.resample(tables, tally.sizes, _of(units, rows), resamples, seed, rule)
        values_there = values({lv: _margins(t, tally.sizes[lv]) for lv, t in tables[1].items()}, rule)
        for line in of_group(lines, tally.by, group):
            key = line["metric"], line["level"]
            compare(line, float(values_there[key]), drawn and drawn[0][key] - drawn[1][key])
            if line["metric"] == "top1":
                right = [t[line["level"]][:, 0] == t[line["level"]][:, 1] for t in tables]
                line["mcnemar"] = confidence.mcnemar(*right)


def compare(line: dict, other: float, samples: np.ndarray | None) -> None:
    """Adds `other`, `delta`, `delta_ci` and `p` to a line; `samples` (R,) are resampled deltas, None where there are none."""
    line["other"], line["delta"] = other, line["value"] - other
    line["delta_ci"] = None if samples is None else confidence.interval(samples)
    line["p"] = None if samples is None else confidence.p_value(line["delta"], samples)


def aligned(mine: list, other: list, what: str = "clips") -> np.ndarray:
    """(N,) the place in `other` of each id of `mine`. Raises DataError naming an id that only one of them has."""
    places = {name: i for i, name in enumerate(other)}
    lost = [name for name in mine if name not in places]
    extra = set(other).difference(mine) if not lost and len(other) != len(mine) else ()
    if lost or extra:
        side, names = ("only in the first", lost) if lost else ("only in the other", sorted(extra))
        raise DataError(f"the systems differ in their {what}: {len(names)} {side}, such as {show(names[0])}")
    return np.array([places[name] for name in mine], int)


def _margins(table: np.ndarray, classes: int) -> recognition.Margins:
    truth, guess, top5 = table[:, 0].astype(int), table[:, 1].astype(int), np.where(table[:, 2], 0, 5)
    return recognition.Ranked(truth, guess, top5, np.zeros(0), np.zeros(0)).counts(classes).margins


def _of(units: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if units is None else units[rows]


def of_group(lines: Iterable[dict], by: tuple, group: tuple) -> Iterator[dict]:
    """The lines whose fields `by` have the values of the group."""
    return (line for line in lines if tuple(line[field] for field in by) == group)


def mean_over(lines: list[dict], over: str) -> list[dict]:
    """One line for the lines that differ only in the field `over`: value is their mean, with `sd`, `ci` (95 % t
    interval), and `runs`, how many there are."""
    merged: dict[tuple, list[dict]] = {}
    for line in lines:
        key = tuple((k, v) for k, v in line.items() if k not in ("value", "n", over))
        merged.setdefault(key, []).append(line)
    result = []
    for key, runs in merged.items():
        mean, deviation, interval = confidence.spread([run["value"] for run in runs])
        clips = sum(run["n"] for run in runs)
        result.append({**dict(key), "value": mean, "n": clips, "sd": deviation, "ci": interval, "runs": len(runs)})
    return result
