"""What a stream of clips says to the splits: groups, classes, domains, and where each was first seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mma82cli.records import MISSING, DataError, WrongUsage, show, text, wrong

if TYPE_CHECKING:
    import numpy as np


class Index:
    """Values in order of first appearance: `index[value]` is a value's number."""

    def __init__(self):
        self.numbers: dict = {}

    def __getitem__(self, value) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def values(self) -> list:
        return list(self.numbers)


class Grouping:
    """Which group a record is of: the value of a field, or of FIELD:PATTERN what the pattern's first parentheses (else the
    whole pattern) match in it. Raises WrongUsage where the pattern is none."""

    def __init__(self, said: str):
        self.field, colon, pattern = said.partition(":")
        try:
            self._pattern = re.compile(pattern) if colon else None
        except re.error as error:
            raise WrongUsage(f"--group {said}: {error}; expected FIELD or FIELD:PATTERN") from None

    def __call__(self, record: dict) -> str:
        """The group. Raises DataError."""
        if record.get(self.field) is None:
            another = "another field, or part of one: --group 'video:^[a-z]+[0-9]+'"
            raise DataError(f"field '{self.field}' is missing; expected what is kept together, such as a person, or {another}")
        value = text(record, self.field)
        if self._pattern is None:
            return value
        found = self._pattern.search(value)
        if found is None or not found[found.re.groups and 1]:
            raise wrong(self.field, value, f"text that has {self._pattern.pattern!r} in it")
        return found[found.re.groups and 1]


class Clips:
    """The clips of a stream, as numbers: for clip i its `group[i]`, `domain[i]` (-1 without), and `classes[i]`.

    group is FIELD or FIELD:PATTERN; stratify, within: names of the fields; `within` may be empty. An untrimmed record counts
    its `segments`.
    """

    def __init__(self, group: str = "subject", stratify: str = "label", within: str = "domain"):
        self.grouping = Grouping(group)
        self.field = {"group": self.grouping.field, "stratify": stratify, "within": within}
        self.groups, self.labels, self.domains = Index(), Index(), Index()
        self.group: list[int] = []
        self.domain: list[int] = []
        self.classes: list[tuple[int, ...]] = []
        self._home: dict[int, tuple[str, str]] = {}  # group -> its domain, and where that was read

    def __len__(self) -> int:
        return len(self.group)

    def add(self, record: dict, place: str, counted: bool = True) -> None:
        """Takes one record, read at `place` (FILE:LINE), its classes if it is `counted`. Raises DataError; then nothing was
        taken."""
        name = self.grouping(record)
        values = self._classes(record) if counted else []
        within = self.field["within"]
        domain = text(record, within, None) if within and record.get(within) is not None else None
        if domain is not None:
            self._one_home(name, domain, place)
        self.group.append(self.groups[name])
        self.domain.append(-1 if domain is None else self.domains[domain])
        self.classes.append(tuple(self.labels[value] for value in values))

    def _classes(self, record: dict) -> list:
        field = self.field["stratify"]
        segments = record.get("segments")
        if segments is None:
            value = record.get(field, MISSING)
            if type(value) not in (str, int):
                raise wrong(field, value, "a label (or 'segments' of an untrimmed video)")
            return [value]
        if type(segments) is not list or not all(type(segment) is dict for segment in segments):
            raise wrong("segments", segments, "a list of segments")
        values = [segment.get(field, record.get(field, MISSING)) for segment in segments]
        for n, value in enumerate(values):
            if type(value) not in (str, int):
                raise wrong(f"segments[{n}].{field}", value, "a label")
        return values

    def _one_home(self, name: str, domain: str, place: str) -> None:
        if self.field["within"] != "domain":
            return  # other fields (a camera) may well see a subject again
        known, where = self._home.setdefault(self.groups[name], (domain, place))
        if known != domain:
            group = f"{self.field['group']} {show(name)}"
            raise DataError(f"{group} is in domain {show(domain)}, and in {show(known)} at {where}; expected one domain")

    def tables(self, chosen: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(groups, classes (G, C), domains (G, D)) of the clips in `chosen` (indices).

        `groups` are the numbers of the groups that occur; the counts are numpy arrays, a row a group.
        """
        import numpy as np

        groups, row = np.unique(np.asarray(self.group, int)[chosen], return_inverse=True)
        classes = np.zeros((len(groups), len(self.labels)))
        domains = np.zeros((len(groups), len(self.domains)))
        for g, i in zip(row.tolist(), chosen, strict=True):
            for label in self.classes[i]:
                classes[g, label] += 1
            if self.domain[i] >= 0:
                domains[g, self.domain[i]] += len(self.classes[i])
        return groups, classes, domains


def leaks(groups: list[str], splits: list[str]) -> dict[str, dict[str, int]]:
    """group -> {split: clips} of the groups that are in more than one split."""
    counts: dict[str, dict[str, int]] = {}
    for group, split in zip(groups, splits, strict=True):
        of_group = counts.setdefault(group, {})
        of_group[split] = of_group.get(split, 0) + 1
    return {group: found for group, found in counts.items() if len(found) > 1}
