"""Records of joints into clips, and clips into a task."""

from __future__ import annotations

from collections.abc import Callable

from mma82cli.records import DataError
from mma82cli.skeleton.layouts import Layout, from_json
from mma82cli.training.skeleton import cache
from mma82cli.training.skeleton.clips import ClipStore, LayoutOfStream, read_clip
from mma82cli.training.skeleton.recipe import SkeletonRecipe
from mma82cli.training.task import Asked, Data


class SkeletonData(Data[SkeletonRecipe]):
    """The clips of train and val, and the layout that they share. Clips without a single joint are left out, and counted."""

    def __init__(self, recipe: SkeletonRecipe, asked: Asked):
        super().__init__(recipe, asked)
        self.splits = {"train": ClipStore(), "val": ClipStore()}
        self.layouts = LayoutOfStream(asked.layout)
        self.empty = 0
        self.key: str | None = None  # of the input, where it is to be kept

    @property
    def layout(self) -> Layout | None:
        """The layout of all records so far."""
        return self.layouts.layout

    def add(self, record: dict, split: str) -> None:
        """Keeps the joints of a record and its label."""
        label = self.asked.labels.id(record.get(self.asked.target), self.asked.target)
        clip = read_clip(record, self.layouts.check(record))._replace(label=label)
        self.empty += clip.empty
        if not clip.empty:
            self.splits[split].append(clip)

    def recall(self, files: list[str]) -> bool:
        """See `Data`."""
        if self.asked.cache is None or "-" in files:
            return False
        layout = self.asked.layout and self.asked.layout.to_json()
        said = {"labels": self.asked.labels.to_json(), "target": self.asked.target, "layout": layout}
        self.key = cache.key_of(files, said)
        kept = cache.load(self.asked.cache, self.key)
        if kept is None:
            return False
        stores, about = kept
        self.splits |= stores
        self.empty = about["empty"]
        self.layouts = LayoutOfStream(from_json(about["layout"]))
        return True

    def keep(self) -> None:
        """See `Data`."""
        if self.key is not None:
            about = {"empty": self.empty, "layout": self.layout.to_json()}
            cache.save(self.asked.cache, self.key, self.splits, about)

    def complete(self, tell: Callable[[str], object]) -> None:
        """See `Data`."""
        if self.empty:
            tell(f"{self.empty} clips left out: no joint in any frame")
        if not self.splits["train"]:
            raise DataError("no train records with joints in the input; expected some with \"split\":\"train\"")

    def about(self) -> dict:
        """Counts, a hash of the clips, and the layout by name and whole."""
        digest = {split: kept.digest() for split, kept in self.splits.items()}
        return {"layout": self.layout.name, "joints": self.layout.to_json(), **super().about(), "digest": digest}

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
