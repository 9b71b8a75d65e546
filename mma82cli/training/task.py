"""What the parts of a family offer one another: records -> `Data` -> `Task` -> the loop; records -> `Inference` -> records.

These classes hold what most families share; a family's own derive from them (`skeleton/` is the plainest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import Future

    import torch
    from torch import Tensor, nn

    from mma82cli.records import DataError
    from mma82cli.skeleton.layouts import Layout
    from mma82cli.taxonomy import Taxonomy
    from mma82cli.training.ranks import Ranks
    from mma82cli.training.recipe import Recipe

RecipeT = TypeVar("RecipeT", bound="Recipe")  # the family's recipes
Network = TypeVar("Network", bound="nn.Module")  # and its networks


@dataclass(frozen=True)
class Asked:
    """What a person says of the records: label set, the truth's field, joint set (None: the first record's), the folder
    that videos are relative to, the one that their frames, or joints, are kept in (None: they are not), and whether
    detections are wanted as they are before suppression."""

    labels: Taxonomy
    target: str = "label"
    layout: Layout | None = None
    root: str = "."
    cache: str | None = None
    raw: bool = False


class Data(Generic[RecipeT]):
    """The records of train and val, as a family reads them. Needs no torch until `model` or `task` is called.

    `splits` holds what was kept, by split.
    """

    unit = "clip"
    ahead = 0  # records that are looked into while those before them wait to be added

    def __init__(self, recipe: RecipeT, asked: Asked):
        self.recipe, self.asked = recipe, asked
        self.splits: dict[str, Any] = {"train": [], "val": []}

    def look(self, record: dict) -> Future | None:
        """Begins to look into what the record leads to, where that takes time; what comes of it raises DataError."""
        return None

    def add(self, record: dict, split: str) -> None:
        """Keeps what training needs of a record. Raises DataError where it is wrong."""
        raise NotImplementedError

    def recall(self, files: list[str]) -> bool:
        """Whether what these files hold was kept from an earlier run, and now is at hand; then nothing need be added."""
        return False

    def keep(self) -> None:
        """After the last of records without a fault: keeps them for `recall`, where that is asked for."""

    def complete(self, tell: Callable[[str], object]) -> None:
        """After the last record: tells a person what was left out. Raises DataError where there is nothing to train on."""
        raise NotImplementedError

    def about(self) -> dict:
        """What checkpoints say of the data, JSON; a resumed run must find the same."""
        return {"clips": {split: len(kept) for split, kept in self.splits.items()}}

    def words(self) -> str:
        """The data in a few words, for a person."""
        counts = ", ".join(f"{len(kept)} {split}" for split, kept in self.splits.items() if kept)
        return f"{counts} {self.unit}s"

    def model(self, seed: int) -> nn.Module:
        """A new network for these data, initialised by `seed`."""
        raise NotImplementedError

    def task(self, device: torch.device, dtype: torch.dtype) -> Task:
        """The data as the loop takes them."""
        raise NotImplementedError


class Task(Generic[RecipeT, Network]):
    """What the loop trains on. A row is a training example: a clip, or a window of a video."""

    joins = 1  # micro-batches of one size that go through the network at once; see `models.norms`
    loaders = 0  # threads that load ahead; 0: each part is loaded when its turn comes, as suits a CPU that has work anyway

    def __init__(self, recipe: RecipeT, rows: int, has_val: bool):
        self.recipe, self.rows, self.has_val = recipe, rows, has_val

    @property
    def passes(self) -> int:
        """About how many micro-batches a whole training is."""
        return self.recipe.epochs * self.recipe.repeat * self.rows // self.recipe.micro_batch

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """The rows of one epoch, in order. Re-sampling has its place here."""
        return np.concatenate([rng.permutation(self.rows) for _ in range(self.recipe.repeat)])

    def scratch(self) -> Any:
        """Memory that a copy of the network keeps from one micro-batch to the next; handed to `part_loss`."""
        return None

    def load(self, rows: np.ndarray, rng: np.random.Generator) -> Any:
        """The part of a micro-batch's work that needs no network, such as decoding: done ahead, by `loaders` threads."""
        return rows

    def joined(self, loaded: list) -> Any:
        """What `load` gave for several micro-batches, as it would give them for one."""
        raise NotImplementedError

    def part_loss(self, network: Network, loaded: Any, rng: np.random.Generator, scratch) -> tuple[Tensor, dict]:
        """What `load` gave -> (mean loss of the micro-batch, {name: a sum over it, a tensor without gradient}). All draws,
        dropout's too, are `rng`'s (a `Draws` where micro-batches are joined), so that an epoch does not depend on how many
        processes and copies share it."""
        raise NotImplementedError

    def figures(self, sums: dict[str, float], rows: int) -> dict:
        """An epoch's figures from what `part_loss` counted over `rows` rows."""
        return {"train_top1": round(sums["hits"] / rows, 6)} if "hits" in sums else {}

    def validate(self, model: Network, ranks: Ranks) -> dict:
        """{"val_…": a figure}; the recipe's `best` names the one that decides which checkpoint is the best. Processes share the
        work; the first alone gets the figures, the others {}."""
        raise NotImplementedError

    def parameter_groups(self, model: Network) -> list[dict]:
        """Groups for the optimiser, {"params", "lr_scale", "weight_decay"}, of what is trained."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [{"params": trained, "lr_scale": 1.0, "weight_decay": self.recipe.weight_decay}]

    def gradients_ready(self, model: Network, gradients: list[Tensor], size: int, counts: list[dict], ranks: Ranks) -> None:
        """Called when the `gradients` of a step of `size` rows are summed, before they are clipped; `counts` is what
        `part_loss` counted in this process's parts."""

    def after_step(self, model: Network) -> None:
        """Called after each step of the optimiser, for a moving average and the like."""

    def deliver(self, model: Network) -> Network:
        """The network whose weights are validated and saved as best and last."""
        return model

    def state(self) -> dict[str, Tensor]:
        """Tensors, besides model's and optimiser's, that a resumed run goes on from."""
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Takes back what `state` gave. Raises KeyError where something is missing."""


class Inference(Generic[RecipeT]):
    """A checkpoint at work: `check` each record, then call with a few of what it gave -> the fields to add to each.

    `drops` are fields of the input that the answer leaves out (unless it is told to keep them), or makes stale; `at_once` is
    how many records keep a GPU busy.
    """

    drops: tuple[str, ...] = ()
    at_once = 128

    def __init__(self, model: nn.Module, recipe: RecipeT, about: dict, asked: Asked, device: torch.device, dtype: torch.dtype):
        """`about` is what the checkpoint says of itself. Raises DataError where it doesn't fit what is asked for."""
        self.model, self.recipe, self.about, self.asked, self.device, self.dtype = model, recipe, about, asked, device, dtype

    def check(self, record: dict) -> Any:
        """What the call needs of a record. Raises DataError where it is wrong."""
        raise NotImplementedError

    def __call__(self, items: list) -> Sequence[dict | DataError]:
        """The fields to add to each item's record: `scores` (an array), or `predictions`; perhaps `warnings` (a list, which may
        be empty). In place of a dict there may be the DataError of an item that turns out bad."""
        raise NotImplementedError


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> dict:
    """Label ids (N,) -> {"val_top1", "val_mca"}, the latter the mean recall of the classes that occur in `labels`."""
    hits = predicted == labels
    recalls = [hits[labels == label].mean() for label in np.unique(labels)]
    return {"val_top1": round(float(hits.mean()), 6), "val_mca": round(float(np.mean(recalls)), 6)}
