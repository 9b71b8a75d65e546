"""The segments of one video from its annotations: instances, category conflicts, and what is carried over."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter
from typing import Any, NamedTuple

from mma82cli.annotation.association import associate
from mma82cli.annotation.merging import Merged, merge
from mma82cli.annotation.spans import Span, seconds
from mma82cli.records import MISSING, DataError, show

OF_A_SOURCE = {"start", "end", "label", "annotator"}  # what a segment takes from the merge, not from its sources
BY_RANK = attrgetter("rank")
ONE_PERSON = ("subject", "domain")  # what can't differ inside an instance


class Annotation(NamedTuple):
    """One line: `span` in microseconds, `rank` of its annotator (by first appearance), the label's name, its place."""

    span: Span
    rank: int
    label: str
    record: dict
    file: str
    number: int


class AnnotationError(DataError):
    """An annotation that contradicts another of its instance; `annotation` is the one that came later."""

    def __init__(self, annotation: Annotation, message: str):
        super().__init__(message)
        self.annotation = annotation


@dataclass(frozen=True)
class Choices:
    """How segments are made. Durations in microseconds; `senior` is the senior annotator's name."""

    rule: str = "paper"
    threshold: Fraction = Fraction(1, 2)
    min_duration: int = 200_000
    min_annotators: int = 1
    senior: str | None = None


class Video(NamedTuple):
    """What came of a video: `segments` as records in order; how many results were `left_out` as too short, or `unseen`
    by enough annotators; annotations `repeated` by their annotator; segments in `conflict`; `crowds` that were too large to be
    grouped for certain; and `instances`, the annotations grouped (for agreement)."""

    segments: list[dict]
    left_out: int
    unseen: int
    repeated: int
    conflict: int
    crowds: int
    instances: list[list[Annotation]]


def merge_video(annotations: list[Annotation], choices: Choices) -> Video:
    """Associates, resolves categories and merges one video's annotations. Raises AnnotationError."""
    crowds: list[int] = []
    instances = find_instances(annotations, crowds)
    made, left_out, unseen = [], 0, 0
    for groups in _conflicts(instances, choices):
        if choices.min_annotators > 1:
            seen_by = {a.record["annotator"] for group in groups for a in group}
            if len(seen_by) < choices.min_annotators and choices.senior not in seen_by:
                unseen += 1
                continue
        for label, group, status in _resolve(groups, choices.senior):
            merged = merge([a.span for a in group], choices.rule, choices.threshold)
            if merged.end - merged.start <= choices.min_duration:
                left_out += 1
            else:
                made.append(((merged.start, merged.end, label), _segment(label, group, status, merged)))
    made.sort(key=lambda pair: pair[0])
    segments = [record for _, record in made]
    repeated = _repeated(annotations) if len(instances) > 1 else 0
    conflict = sum([segment["status"] == "conflict" for segment in segments])
    return Video(segments, left_out, unseen, repeated, conflict, len(crowds), instances)


def _repeated(annotations: list[Annotation]) -> int:
    """How many annotations overlap an earlier one of the same annotator and label: slips, or two people."""
    if len({(a.rank, a.label) for a in annotations}) == len(annotations):
        return 0
    reach: dict[tuple[int, str], int] = {}
    count = 0
    for a in sorted(annotations, key=lambda a: a.span):
        end = reach.get((a.rank, a.label), -1)
        count += a.span[0] < end
        reach[a.rank, a.label] = max(end, a.span[1])
    return count


def find_instances(annotations: list[Annotation], crowds: list[int]) -> list[list[Annotation]]:
    """Annotations of one label and instance together, in order of their annotators: those with the same `instance`,
    the others by `associate`. An instance whose annotations bear several labels comes as a list for all of them.
    `crowds` takes the sizes of those that are too large to be grouped for certain."""
    named: dict[str, list[Annotation]] = {}
    labels: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        name = annotation.record.get("instance")
        if name is None:
            same = labels.get(annotation.label)
            if same is None:
                labels[annotation.label] = [annotation]
            else:
                same.append(annotation)
        else:
            named.setdefault(name, []).append(annotation)
    groups = []
    for name, group in named.items():
        group.sort(key=BY_RANK)
        for first, second in zip(group, group[1:], strict=False):
            if first.rank == second.rank:
                who = f"annotator {show(second.record['annotator'])} is in instance {show(name)} twice"
                raise AnnotationError(second, f"{who} (also {first.file}:{first.number}); expected one annotation of each")
        groups.append(group)
    for group in labels.values():
        if len(group) == 1:
            groups.append(group)
            continue
        for indices in associate([a.span for a in group], [1 << a.rank for a in group], unproven=crowds):
            groups.append(sorted(group if len(indices) == len(group) else [group[i] for i in indices], key=BY_RANK))
    return groups


def _conflicts(groups: list[list[Annotation]], choices: Choices) -> list[list[list[Annotation]]]:
    """Groups that are one action under several names, together: other annotators, another label, tIoU >= 0.5.

    An annotator who saw both labels saw two actions: then it is no conflict.
    """
    if len(groups) == 1:
        return [groups]
    free = [group for group in groups if group[0].record.get("instance") is None]
    owners = [sum([1 << a.rank for a in group]) for group in free]
    if not _may_conflict(free, owners):
        return [[group] for group in groups]
    spans = [merge([a.span for a in group], choices.rule, choices.threshold)[:2] for group in free]

    def joins(i, j, shared, union):
        return free[i][0].label != free[j][0].label and 2 * shared >= union

    sets = [[free[i] for i in indices] for indices in associate(spans, owners, joins)]
    return [[group] for group in groups if group[0].record.get("instance") is not None] + sets


def _may_conflict(groups: list[list[Annotation]], owners: list[int]) -> bool:
    """Whether two groups of different annotators and labels lie over each other, from first start to last end."""
    reaches = []
    for group, owner in zip(groups, owners, strict=True):
        spans = [a.span for a in group]
        reaches.append((min(spans)[0], max([span[1] for span in spans]), owner, group[0].label))
    reaches.sort()
    for i, (_, end, owner, label) in enumerate(reaches):
        for j in range(i + 1, len(reaches)):
            start, _, other, another = reaches[j]
            if start >= end:
                break
            if not owner & other and label != another:
                return True
    return False


def _resolve(groups: list[list[Annotation]], senior: str | None) -> list[tuple[str, list[Annotation], str]]:
    """(label, annotations, status) of the segments that a set of conflicting groups becomes.

    The senior annotator's label wins, else the label that more than half of the annotators gave. An instance that
    nobody decides stays in the stream: a segment for each label, with status `conflict`.
    """
    together = groups[0] if len(groups) == 1 else sorted([a for group in groups for a in group], key=BY_RANK)
    if len({a.label for a in together}) == 1:
        settled = len(together) > 1 or together[0].record["annotator"] == senior
        return [(together[0].label, together, "agreed" if settled else "single")]
    votes: dict[str, int] = {}
    for annotation in together:
        votes[annotation.label] = votes.get(annotation.label, 0) + 1
        if annotation.record["annotator"] == senior:
            return [(annotation.label, together, "agreed")]
    winner = max(votes, key=votes.__getitem__)
    if 2 * votes[winner] > len(together):
        return [(winner, together, "agreed")]
    return [(label, [a for a in together if a.label == label], "conflict") for label in votes]


def _segment(label: str, group: list[Annotation], status: str, merged: Merged) -> dict:
    """The record of a segment: fields equal in all sources in their place, the others in `sources`."""
    segment: dict[str, Any] = {}
    label_differs = len({label, *[a.label for a in group]}) > 1
    differing = ["label"] if label_differs else []
    records = [a.record for a in group]
    for key, value in _fields(records):
        if key == "start":
            segment["start"] = seconds(merged.start)
        elif key == "end":
            segment["end"] = seconds(merged.end)
        elif key == "label":
            segment["label"] = label
        elif key != "annotator":
            for record in records:
                if record.get(key, MISSING) != value:
                    break
            else:
                segment[key] = value
                continue
            if key in ONE_PERSON:
                segment[key] = _one(key, group)
            else:
                differing.append(key)
    segment["annotators"] = [record["annotator"] for record in records]
    segment["sources"] = sources = [
        {"annotator": record["annotator"], "start": record["start"], "end": record["end"]} for record in records
    ]
    if differing:
        for a, source in zip(group, sources, strict=True):
            source |= {key: a.label if key == "label" else a.record[key] for key in differing if key in a.record}
    segment["agreement"] = merged.agreement
    segment["status"] = status
    segment["tie"] = merged.tie
    return segment


def _fields(records: list[dict]):
    """(field, value) of the first source that has it, fields in order of first appearance."""
    first = records[0]
    for record in records:
        if record.keys() != first.keys():
            break
    else:
        return first.items()
    fields = {}
    for record in records:
        fields |= {key: value for key, value in record.items() if key not in fields}
    return fields.items()


def _one(key: str, group: list[Annotation]):
    """The value of a field in the sources that have it, which must be equal. Raises AnnotationError."""
    having = [a for a in group if a.record.get(key) is not None]
    if not having:
        return None
    first = having[0]
    for a in sorted(having, key=lambda a: a.number):
        if a.record[key] != first.record[key]:
            place = f"{first.file}:{first.number}"
            raise AnnotationError(
                a, f"field '{key}' is {show(a.record[key])}; expected {show(first.record[key])} as in {place}, the same instance"
            )
    return first.record[key]


def nested(annotations: list[Annotation], segments: list[dict]) -> dict:
    """One record for a video: what all its annotations share, in place, and its `segments`."""
    shared = {}
    for key, value in _fields([a.record for a in annotations]):
        if key in OF_A_SOURCE or key == "instance":
            continue
        values = [a.record.get(key, MISSING) for a in annotations]
        if key in ONE_PERSON:
            values = [v for v in values if v is not MISSING]
        if all(v == value for v in values):
            shared[key] = value
    inner = [{key: value for key, value in segment.items() if key not in shared} for segment in segments]
    return {**shared, "segments": inner}
