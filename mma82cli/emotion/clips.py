"""Emotion clips as they are read, and as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mma82cli.emotion.tfidf import count
from mma82cli.records import MISSING, DataError, show, text, wrong
from mma82cli.taxonomy import Taxonomy


class Table(NamedTuple):
    """N clips as arrays, in an order that is that of no input, so that no figure hinges on it.

    counts   (N, C) how often each action is in each clip
    emotion  (N,) ids
    unit     (N,) what is taken as independent: 0, 1, … for each clip, or for each person
    person   (N,) who is to be seen or to be held out as a whole: the person, where every clip names one, else the clip
    order    (N,) the clips' places in the input
    """

    counts: np.ndarray
    emotion: np.ndarray
    unit: np.ndarray
    person: np.ndarray
    order: np.ndarray


class Clips:
    """Emotion clips. `actions` and `emotions` are label sets, `target` is the field of the emotion. With `by_subject` people
    are what is independent, and every clip must name its `subject`; else clips are."""

    def __init__(self, actions: Taxonomy, emotions: Taxonomy, target: str = "emotion", by_subject: bool = False):
        self.actions, self.emotions, self.target, self.by_subject = actions, emotions, target, by_subject
        self.rows: list[tuple[int, list[int], str, str]] = []
        self._seen: set = set()

    def add(self, record: dict) -> None:
        """Takes a clip: `emotion`, `actions` (a list, repeats count, may be empty; without it those of its `segments`),
        `subject`. Raises DataError."""
        emotion = self.emotions.id(record.get(self.target, MISSING), self.target)
        found = record.get("actions", MISSING)
        if found is MISSING and isinstance(record.get("segments"), list):
            found = [segment.get("label") if isinstance(segment, dict) else segment for segment in record["segments"]]
        if type(found) is not list:
            raise wrong("actions", found, f"a list of labels of {self.actions.name}")
        ids = sorted(self.actions.id(label, f"actions[{i}]") for i, label in enumerate(found))
        subject = text(record, "subject") if self.by_subject else text(record, "subject", "")
        name = text(record, "id", "")
        if name:
            key = name, show(record.get("run"))
            if key in self._seen:
                raise DataError(f"id {show(name)} occurs twice; expected each clip once")
            self._seen.add(key)
        self.rows.append((emotion, ids, subject, name))

    @property
    def know_people(self) -> bool:
        """Whether every clip names its subject."""
        return all(subject for _, _, subject, _ in self.rows)

    def sizes(self) -> np.ndarray:
        """(E,) clips of each emotion."""
        return np.bincount([emotion for emotion, *_ in self.rows], minlength=len(self.emotions))

    def table(self) -> Table:
        """The clips as arrays."""
        order = sorted(range(len(self.rows)), key=self.rows.__getitem__)
        rows = [self.rows[i] for i in order]
        each = np.arange(len(rows))
        person = np.unique([subject for _, _, subject, _ in rows], return_inverse=True)[1] if self.know_people and rows else each
        counts = count([ids for _, ids, _, _ in rows], len(self.actions))
        emotion = np.array([emotion for emotion, *_ in rows], np.int64)
        return Table(counts, emotion, person if self.by_subject else each, person, np.array(order, np.int64))
