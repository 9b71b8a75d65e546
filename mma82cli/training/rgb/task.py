"""GC-TSM on clips of video, as the loop trains it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mma82cli.crew import cores
from mma82cli.devices import onto, upload
from mma82cli.models.gc_tsm import GCTSM
from mma82cli.records import DataError
from mma82cli.rgb.pictures import normalise
from mma82cli.training.device import joins
from mma82cli.training.ranks import Ranks
from mma82cli.training.replays import Replays
from mma82cli.training.rgb.batches import train_clip
from mma82cli.training.rgb.predict import Predictor
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.training.task import Task, accuracy
from mma82cli.video import Source


def make_model(recipe: GcTsmRecipe, classes: int, seed: int = 0) -> GCTSM:
    """A new network of the recipe's sizes, initialised by `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GCTSM(
            num_classes=classes, base_channels=recipe.base_channels, stage_blocks=recipe.stage_blocks,
            shift_div=recipe.shift_div, gate_div=recipe.gate_div, squeeze_div=recipe.squeeze_div, dropout=recipe.dropout,
        )  # fmt: skip


class RgbTask(Task[GcTsmRecipe, GCTSM]):
    """Labelled clips `train` and `val` (perhaps empty), whose frames `source` gives."""

    def __init__(self, recipe: GcTsmRecipe, source: Source, train: list, val: list, device, dtype=torch.float32):
        super().__init__(recipe, len(train), bool(val))
        self.loaders = cores() if device.type == "cuda" else 0
        self.replays = Replays(device, dtype, self.passes)
        self.joins = joins(recipe, recipe.base_channels * recipe.frames * recipe.size**2 // 4, device, dtype)
        self.source, self.train, self.val, self.device, self.dtype = source, train, val, device, dtype

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """See `Task`. A clip that would be alone in the last step, where the gates can't learn from it, sits out the epoch."""
        order = super().order(rng)
        lonely = self.recipe.gate_div and len(order) % self.recipe.batch_size == 1
        return order[:-1] if lonely else order

    def load(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        """The clips `rows`, drawn with `rng`: RGB uint8 (B, T, size, size, 3) on the device, and their labels (B,)."""
        chosen = [self.train[row] for row in rows]
        pictures = np.stack([train_clip(self.source, each.clip, self.recipe, rng) for each in chosen])
        return onto(pictures, self.device), [each.label for each in chosen]

    def joined(self, loaded: list[tuple[Tensor, list[int]]]) -> tuple[Tensor, list[int]]:
        """See `Task`."""
        pictures, labels = zip(*loaded, strict=True)
        return torch.cat(pictures), [label for each in labels for label in each]

    def part_loss(self, network: GCTSM, loaded: tuple[Tensor, list[int]], rng: np.random.Generator, scratch):
        """Mean cross-entropy of the clips that `load` gave, and how many are right."""
        recipe, (pictures, ids) = self.recipe, loaded
        frames = normalise(pictures, recipe.still)
        features = self.replays(network, network.features, frames)  # (B, T, C)
        features = features.float()
        kept = (rng.random(tuple(features.shape), dtype=np.float32) >= recipe.dropout) / (1 - recipe.dropout)
        logits = network.fc((features * upload(kept, self.device, torch.float32)).mean(1))
        labels = upload(ids, self.device)
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        return loss, {"hits": (logits.argmax(1) == labels).sum()}

    def validate(self, model: GCTSM, ranks: Ranks) -> dict:
        """One view a record -> {"val_top1", "val_mca"}."""
        predict = Predictor(model, self.recipe, self.source, self.device, self.dtype, views=False)
        scores = ranks.shared([kept.clip for kept in self.val], predict)
        for answer in scores:
            if isinstance(answer, DataError):
                raise answer
        return accuracy(np.argmax(scores, 1), np.array([kept.label for kept in self.val])) if ranks.first else {}

    def parameter_groups(self, model: GCTSM) -> list[dict]:
        """The authors' groups: gates and head learn faster, biases twice as fast, and only kernels decay."""
        recipe = self.recipe
        groups: dict[tuple[float, float], list] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            scale = recipe.gate_lr if ".eft" in name else recipe.head_lr if name.startswith("fc.") else 1.0
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            if name == "fc.bias":
                scale *= recipe.bias_lr
            groups.setdefault((scale, decay), []).append(parameter)
        return [{"params": members, "lr_scale": scale, "weight_decay": decay} for (scale, decay), members in groups.items()]
