"""Figures of what the suite writes: a kind a file. `KINDS` is the table that `mma82 plot` goes by.

A kind's module has `draw(records, folder, options) -> paths`: it reads an iterable of records, writes NAME.svg and
NAME.png (or what its kind is made of) into the folder, and raises DataError where the records are not what it draws.
`options` is an `Options`; the module's HEEDS names those of --id, --root, --taxonomy and --layout that it goes by, if any.
Where its WITH_FILE is true, records carry `file`, the name of the FILE they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mma82cli.records import DataError, record_id, show

KINDS = {  # name: (module in mma82cli.plots, fields that tell what it draws, words for that and what it draws it from)
    "taxonomy": ("taxonomy", "body aliases", "body groups and their labels, from `labels` or `stats` (Fig. 2)"),
    "ring": ("ring", "table signature", "shares of the body groups, from `stats` (Fig. 3)"),
    "violin": ("violin", "table signature", "how long instances are, by body group, from `stats` (Fig. 3)"),
    "classes": ("classes", "table signature", "instances of every label, from `stats` (Fig. 3)"),
    "curves": ("curves", "epoch loss", "loss and validation over epochs, runs beside each other, from `train-rec`'s log.jsonl"),
    "overlay": ("overlay", "keypoints", "skeletons over clips (Fig. 4), of `extract-skeleton`; captions under untrimmed videos"),
    "examples": ("examples", "video emotion actions", "stills of a clip of each emotion, or of each label (Fig. 8)"),
    "timeline": ("timeline", "predictions", "truth and predictions of untrimmed videos over time, from `infer` with a detector"),
    "confusion": ("confusion", "predicted n", "which labels are taken for which, by body group, from `score --confusion`"),
    "diagnosis": ("diagnosis", "analysis", "the errors of a detector and what each costs, from `diagnose` (Fig. 7)"),
    "sankey": ("sankey", "emotion importance", "the actions that the tree of each emotion goes by, from `emotion-tree` (Fig. 6)"),
    "ratios": ("ratios", "emotion ratio", "how much likelier each action is in each emotion, from `emotion-tree` (Eq. 7)"),
}


@dataclass(frozen=True)
class Options:
    """What a person can ask of a figure: `root` is the folder of the videos, `ids` the records to draw (none: the kind's
    own choice), `taxonomy` and `layout` what labels and joints follow (none: what they say)."""

    root: str = "."
    ids: tuple[str, ...] = ()
    taxonomy: str | None = None
    layout: str | None = None


def kinds_of(record: dict) -> list[str]:
    """The kinds that draw records like this one."""
    return [kind for kind, (_, fields, _) in KINDS.items() if all(field in record for field in fields.split())]


def chosen(
    records: Iterable[dict], ids: Iterable[str], most: int, kind: Callable[[dict], str] = record_id
) -> Iterator[tuple[str, dict]]:
    """(id, record) of the records with these ids, or of the first of each `kind`, `most` of them. Raises DataError where one
    that is named is missing, or all are."""
    ids, seen = set(ids), set()
    for record in records:
        name = record_id(record)
        key = name if ids else kind(record)
        if key in seen or (ids and name not in ids):
            continue
        seen.add(key)
        yield name, record
        if len(seen) == (len(ids) or most):
            return
    if ids or not seen:
        missing = sorted(ids - seen)
        raise DataError(f"no record with the id {show(missing[0])}" if missing else "no records; expected some to draw")


def written_by(command: str, records: Iterable[dict], fields: Iterable[str]) -> list[dict]:
    """The records, all of which must have the fields that the lines of `command` have. Raises DataError."""
    lines, fields, expected = [], tuple(fields), f"expected what `mma82 {command}` writes"
    for record in records:
        missing = next((field for field in fields if field not in record), None)
        if missing:
            raise DataError(f"a line without {show(missing)}; {expected}")
        lines.append(record)
    if not lines:
        raise DataError(f"no lines; {expected}")
    return lines
