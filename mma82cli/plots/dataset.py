"""What the figures of a data set share: the rows of `stats`, and a colour for each body group."""

from __future__ import annotations

from collections.abc import Iterable

from mma82cli.plots.style import BLUE, GREEN, OLIVE, ORANGE, PURPLE, SKY, VERMILION
from mma82cli.records import DataError

BODY_COLOURS = [BLUE, SKY, GREEN, OLIVE, ORANGE, VERMILION, PURPLE]
KINDS = {"clips": "Clips (recognition)", "segments": "Segments (detection)"}


def rows_of(lines: Iterable[dict], table: str) -> list[dict]:
    """The rows of one table of `stats`. Raises DataError where there are none."""
    lines = list(lines)
    rows = [line for line in lines if line.get("table") == table]
    if not rows and table == "bodies" and any(line.get("table") for line in lines):
        raise DataError("no lines of the table 'bodies', for the labels have no body groups; expected some that have")
    if not rows:
        raise DataError(f"no lines of the table '{table}'; expected what `mma82 stats` writes")
    return rows


def kinds_of(rows: list[dict]) -> list[str]:
    """`clips`, `segments` or both, as far as there are any. Raises DataError where there are none."""
    kinds = [kind for kind in KINDS if any(row[kind] for row in rows)]
    if not kinds:
        raise DataError("no clip and no segment was counted; expected some")
    return kinds


def colours(bodies: Iterable[str | None]) -> dict[str | None, str]:
    """body group -> colour, in order of first appearance."""
    names = list(dict.fromkeys(bodies))
    return {name: BODY_COLOURS[i % len(BODY_COLOURS)] for i, name in enumerate(names)}
