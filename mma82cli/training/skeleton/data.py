"""Records of joints into clips, and clips into a task."""

from __future__ import annotations

from collections.abc import Callable

from mma82cli.records import DataError
from mma82cli.training.skeleton.clips import ClipStore, LayoutOfStream, read_clip
from mma82cli.training.task import Asked, Data


class SkeletonData(Data):
    """The clips of train and val, and the layout that they share. Clips without a single joint are left out, and counted."""

    def __init__(self, recipe, asked: Asked):
        super().__init__(recipe, asked)
        self.splits = {"train": ClipStore(), "val": ClipStore()}
        self.layouts = LayoutOfStream(asked.layout)
        self.empty = 0

    @property
    def layout(self):
        """The layout of all records so far."""
        return self.layouts.layout

    def add(self, record: dict, split: str) -> None:
        """Keeps the joints of a record and its label."""
        label = self.asked.labels.id(record.get(self.asked.target), self.asked.target)
        clip = read_clip(record, self.layouts.check(record))._replace(label=label)
        self.empty += clip.empty
        if not clip.empty:
            self.splits[split].append(clip)

    def complete(self, tell: Callable[[str], object]) -> None:
        """See `Data`."""
        if self.empty:
            tell(f"{self.empty} clips left out: no joint in any frame")
        if not self.splits["train"]:
            raise DataError("no train records with joints in the input; expected some with \"split\":\"train\"")

    def about(self) -> dict:
        """Counts, and the layout by name and whole."""
        return {"layout": self.layout.name, "joints": self.layout.to_json(), **super().about()}

    def words(self) -> str:
        """Counts, and the layout."""
        return f"{super().words()} of {len(self.layout)} joints ({self.layout.name})"

    def model(self, seed: int):
        """A new network of the recipe's family for this layout."""
        return self.recipe.inputs(self.layout).network(len(self.asked.labels), seed)

    def task(self, device, dtype):
        """See `Data`."""
        from mma82cli.training.skeleton.clips import Clips
        from mma82cli.training.skeleton.task import SkeletonTask

        train, val = (Clips(kept.arrays(), device) if kept else None for kept in self.splits.values())
        return SkeletonTask(self.recipe.inputs(self.layout), self.asked.labels, train, val, device, dtype)
