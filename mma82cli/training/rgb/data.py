"""Records of videos into clips, and clips into a task."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from mma82cli.crew import cores
from mma82cli.records import DataError, optional_span, video_path, wrong
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.training.task import Asked, Data
from mma82cli.video import Clip, Frames, Source
from mma82cli.video.cache import Cache, NoRoom

TRIED = 8  # packs that are made to tell the size of all


class Labelled(NamedTuple):
    """A clip and its label's id."""

    clip: Clip
    label: int


def clip_of(record: dict, root: str) -> Clip:
    """The clip that a record means. Raises DataError where its file is missing."""
    path = video_path(record, root)
    if not os.path.isfile(path):
        found = f"{path} is no regular file" if os.path.exists(path) else f"there is no {path}"
        raise wrong("video", record["video"], f"a file; {found} (--root)")
    return Clip(path, *optional_span(record))


def source_of(asked: Asked, side: int) -> Source:
    """Where frames come from, their shorter side `side` pixels long: from packs in the folder that is asked for, else from the
    videos."""
    return Cache(asked.cache, side) if asked.cache else Frames(side)


class RgbData(Data[GcTsmRecipe]):
    """The clips of train and val, by reference."""

    def __init__(self, recipe: GcTsmRecipe, asked: Asked):
        super().__init__(recipe, asked)
        self.source = source_of(asked, recipe.short_side)
        self.pool = ThreadPoolExecutor(cores())
        self.ahead = 4 * cores()

    def look(self, record: dict) -> Future | None:
        """Opens the video: one that can't be read must not end a training hours later."""
        if record.get("split") not in list(self.splits):
            return None
        return self.pool.submit(lambda: self.source.check(clip_of(record, self.asked.root)))

    def add(self, record: dict, split: str) -> None:
        """Keeps where a record's frames are, and its label."""
        label = self.asked.labels.id(record.get(self.asked.target), self.asked.target)
        self.splits[split].append(Labelled(clip_of(record, self.asked.root), label))

    def complete(self, tell: Callable[[str], object]) -> None:
        """Fills the cache, if there is one."""
        self.pool.shutdown()
        train = self.splits["train"]
        if not train:
            raise DataError("no train records with videos in the input; expected some with \"split\":\"train\"")
        if self.recipe.gate_div and len(train) < 2:
            raise DataError("one train record in the input; expected at least 2: the gates' batch norm compares clips")
        if isinstance(self.source, Cache):
            fill(self.source, [kept.clip for split in self.splits.values() for kept in split], tell)

    def about(self) -> dict:
        """See `Data`."""
        return super().about() | {"frames_from": self.source.kind}

    def model(self, seed: int):
        """A new network of the recipe's sizes."""
        from mma82cli.training.rgb.task import make_model

        return make_model(self.recipe, len(self.asked.labels), seed)

    def task(self, device, dtype):
        """See `Data`."""
        from mma82cli.training.rgb.task import RgbTask

        return RgbTask(self.recipe, self.source, self.splits["train"], self.splits["val"], device, dtype)


def fill(cache: Cache, clips: list[Clip], tell: Callable[[str], object]) -> None:
    """Makes the packs that are missing; see `make_packs`. Raises one DataError that names the videos that can't be read."""
    faults = make_packs(cache, clips, tell)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise DataError(f"{len(faults)} of {len(clips)} clips can't be read: {faults[0]}{more}")


def make_packs(cache: Cache, clips: list[Clip], tell: Callable[[str], object]) -> list[str]:
    """Makes the packs that are missing, a video a core; first tells how much room they will take, and there is. -> what is wrong
    with the videos of those that can't be made. Raises NoRoom where the folder takes no more."""
    missing = cache.missing(dict.fromkeys(clips))
    if not missing:
        return []
    ahead = os.getpid() % len(missing)  # each process begins elsewhere: several share the work
    missing = missing[ahead:] + missing[:ahead]
    faults: list[str] = []

    def make(clip: Clip) -> int:
        try:
            return cache.make(clip)
        except NoRoom:  # then what is left needn't be decoded
            raise
        except DataError as error:
            faults.append(str(error))
            return 0

    with ThreadPoolExecutor(cores()) as pool:
        tried = [size for size in pool.map(make, missing[:: -(-len(missing) // TRIED)]) if size]
        if tried:
            size, free = len(missing) * sum(tried) / len(tried) / 1e6, shutil.disk_usage(cache.folder).free / 1e6
            tell(f"{len(missing)} clips go into {cache.folder}, about {size:,.0f} MB of {free:,.0f} MB that are free")
        for _ in pool.map(make, missing):
            pass
    return list(dict.fromkeys(faults))
