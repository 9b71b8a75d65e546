"""Records of untrimmed videos into films, and films into a task."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mma82cli.crew import cores
from mma82cli.records import DataError
from mma82cli.training.detection.films import film_of, readable
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.training.rgb.data import make_packs, source_of
from mma82cli.training.task import Asked, Data
from mma82cli.video.cache import Cache

SHOWN = 3  # films named where several can't be used


class DetectionData(Data[AdaTADRecipe]):
    """The films of train and val, by reference."""

    unit = "video"

    def __init__(self, recipe: AdaTADRecipe, asked: Asked):
        super().__init__(recipe, asked)
        self.source = source_of(asked, recipe.short_side)
        self.tell: Callable[[str], object] = lambda _: None

    def add(self, record: dict, split: str) -> None:
        """Keeps where a record's frames are, and its segments."""
        self.splits[split].append(film_of(record, self.asked.root, self.asked.labels))

    def complete(self, tell: Callable[[str], object]) -> None:
        """Looks into every file. What can't be used is left out, and named."""
        self.tell = tell
        if not self.splits["train"]:
            raise DataError('no train records in the input; expected some with "split":"train", video and segments')
        films = self.splits["train"] + self.splits["val"]
        if isinstance(self.source, Cache):
            make_packs(self.source, [film.clip for film in films], tell)
        with ThreadPoolExecutor(cores()) as pool:
            faults = list(pool.map(lambda film: readable(film, self.source, self.recipe.stride), films))
        bad = [fault for fault in faults if fault]
        for fault in bad[:SHOWN]:
            tell(f"left out: {fault}")
        if len(bad) > SHOWN:
            tell(f"left out: {len(bad) - SHOWN} more")
        self.splits = {split: [film for film in kept if film.times is not None] for split, kept in self.splits.items()}
        self._check_train(tell, bad)

    def _check_train(self, tell, bad: list[DataError]) -> None:
        train = self.splits["train"]
        if not train:
            raise DataError(f"none of the train videos can be used: {bad[0]}")
        instances = sum(len(film.labels) for film in train)
        if not instances:
            raise DataError(f"the {len(train)} train records have no instances ('segments' are empty); expected some to learn")
        empty = sum(not len(film.labels) for film in train)
        if empty:
            tell(f"{empty} of {len(train)} train videos have no instances: they teach what is none")
        seen = np.unique(np.concatenate([film.labels for film in train]))
        if len(seen) < len(self.asked.labels):
            tell(f"{len(seen)} of {len(self.asked.labels)} labels occur in train; the others can't be learned")
        if not any(len(film.labels) for film in self.splits["val"]) and self.splits["val"]:
            tell("the val records have no instances: there is no mAP, and the best epoch is the last")
            self.splits["val"] = []

    def about(self) -> dict:
        """See `Data`."""
        instances = {split: sum(len(film.labels) for film in kept) for split, kept in self.splits.items()}
        videos = {split: len(kept) for split, kept in self.splits.items()}
        return {"videos": videos, "instances": instances, "frames_from": self.source.kind}

    def model(self, seed: int):
        """A new network of the recipe's sizes."""
        from mma82cli.training.detection.task import make_model

        return make_model(self.recipe, len(self.asked.labels), seed)

    def task(self, device, dtype):
        """See `Data`."""
        from mma82cli.training.detection.task import DetectionTask

        return DetectionTask(self.recipe, self.source, self.splits, self.asked.labels, device, dtype, self.tell)
