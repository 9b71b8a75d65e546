"""Predictions of clips counted: by one process as they come, or by several from parts of a file, to the same counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mma82cli import crew
from mma82cli.fingerprints import differ
from mma82cli.metrics.confidence import Outcomes
from mma82cli.metrics.recognition import Ranked
from mma82cli.metrics.tally import Tally
from mma82cli.predictions import Batch, Predictions
from mma82cli.records import DataError
from mma82cli.shares import Part, Piece
from mma82cli.stream import Line, Pipe
from mma82cli.taxonomy import Taxonomy

if TYPE_CHECKING:
    from mma82cli.detections import Detections

Each = Callable[[Batch, dict[str, Ranked], list[tuple]], object]  # (batch, ranks a level, groups)


@dataclass(frozen=True)
class Counting:
    """How predictions are counted: the same for every part, and for the system that another one is compared with.

    by, cluster    fields whose values make groups, and the units to resample
    body_rule      how actions score their body group; None: no level of groups
    outcomes, ids  keep what becomes of each clip, and its id
    """

    taxonomy: Taxonomy
    target: str = "label"
    split: str | None = None
    by: tuple[str, ...] = ()
    cluster: str | None = None
    body_rule: str | None = "max"
    truth: dict[str, dict] | None = None
    outcomes: bool = False
    ids: bool = False


@dataclass
class Counted:
    """Clips counted.

    outcomes          what became of each clip, where that is kept
    prints            (N,) fingerprints of the clips' ids
    other_taxonomies  named by records, and not ours
    scored            ids of the truth that were met
    lines             lines of `score --counts` met on the way
    """

    tally: Tally
    outcomes: Outcomes | None
    prints: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    other_taxonomies: set[str] = field(default_factory=set)
    scored: set[str] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)

    def absorb(self, other: Counted) -> None:
        """Adds the clips of another part, behind."""
        self.tally.absorb(other.tally)
        if self.outcomes is not None:
            self.outcomes.absorb(other.outcomes)
        self.prints = np.concatenate([self.prints, other.prints])
        self.other_taxonomies |= other.other_taxonomies
        self.scored |= other.scored


def count(how: Counting, pipe: Pipe, each: Each | None = None, also: Detections | None = None) -> Counted:
    """Counts every prediction of a pipe; `each(batch, ranked, groups)` is told of them; `also` collects
    the detections of the same records."""
    tally = Tally(how.taxonomy, how.by, how.body_rule)
    outcomes = Outcomes(how.cluster is not None, how.ids) if how.outcomes else None
    fields = [*how.by, *([how.cluster] if how.cluster else ())]
    reader = Predictions(pipe, how.taxonomy, how.target, how.split, fields, how.truth, tally.body_rule == "sum", also)
    for batch in reader.batches():
        groups = [group[:-1] for group in batch.groups] if how.cluster else batch.groups
        ranked = tally.rank(batch.labels, batch.scores)
        tally.add(ranked, groups)
        if outcomes is not None:
            outcomes.add(ranked, groups, [g[-1] for g in batch.groups] if how.cluster else [], batch.ids)
        if each is not None:
            each(batch, ranked, groups)
    return Counted(tally, outcomes, reader.fingerprints(), reader.other_taxonomies, reader.scored, reader.counts)


def count_parts(how: Counting, parts: list[list[Piece]]) -> Counted | None:
    """Counts the parts of files, a process each. None where one met anything but good predictions, or an id comes twice:
    who reads all in order can say which line is to blame."""
    whole = None
    for part in crew.run(_count_part, [(how, part) for part in parts], len(parts)):
        if part is None:
            return None
        if whole is None:
            whole = part
        else:
            whole.absorb(part)
    return whole if whole is not None and differ(whole.prints) else None


class _PartPipe(Pipe):
    """Reads a part of the files."""

    def __init__(self, pieces: list[Piece]):
        super().__init__("score", quiet=True)
        self.pieces = pieces

    def input(self) -> Part:
        """See `Pipe`."""
        return Part(self.pieces)


def _count_part(job: tuple[Counting, list[Piece]]) -> Counted | None:
    how, pieces = job
    pipe = _PartPipe(pieces)
    try:
        counted = count(how, pipe)
    except (DataError, OSError):
        return None
    return None if counted.lines else counted
