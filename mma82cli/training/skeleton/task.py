"""A network on clips of joints, as the loop trains it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mma82cli.devices import upload
from mma82cli.taxonomy import Taxonomy
from mma82cli.training.device import joins
from mma82cli.training.ranks import Ranks
from mma82cli.training.replays import Replays
from mma82cli.training.skeleton.clips import Clips
from mma82cli.training.skeleton.inputs import Inputs
from mma82cli.training.skeleton.predict import Predictor
from mma82cli.training.skeleton.recipe import SkeletonRecipe
from mma82cli.training.task import Task, accuracy


class SkeletonTask(Task[SkeletonRecipe, Any]):
    """Clips of `train`, and of `val` (or None), on the device."""

    def __init__(self, inputs: Inputs, labels: Taxonomy, train: Clips, val: Clips | None, device, dtype=torch.float32):
        super().__init__(inputs.recipe, len(train), val is not None)
        self.inputs, self.train, self.val, self.device, self.dtype = inputs, train, val, device, dtype
        self.replays = Replays(device, dtype, self.passes)
        self.joins = joins(self.recipe, inputs.first, device, dtype) if inputs.first else 1
        truth = train.labels.cpu().numpy()
        self.counts = np.bincount(truth, minlength=len(labels))  # clips of each label
        self.weights = self.counts[truth].astype(np.float64) ** -self.recipe.class_balance
        prior = torch.from_numpy(self.counts.clip(min=1) / len(truth)).float().to(device)
        self.adjustment = self.recipe.logit_adjustment * prior.log()
        self.body = torch.tensor(labels.body, device=device) if labels.body else None
        self.bodies = len(labels.bodies)

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """As many clips as there are; with `class_balance` drawn with replacement, a label's weight being its number of
        clips to the power of 1 - class_balance."""
        if not self.recipe.class_balance:
            return super().order(rng)
        return rng.choice(self.rows, self.rows * self.recipe.repeat, p=self.weights / self.weights.sum())

    def scratch(self):
        """See `Inputs`."""
        return self.inputs.scratch()

    def joined(self, loaded: list[np.ndarray]) -> np.ndarray:
        """See `Task`."""
        return np.concatenate(loaded)

    def part_loss(self, network, loaded: np.ndarray, rng: np.random.Generator, scratch):
        """The mean loss of the clips whose numbers are `loaded`, and how many are right."""
        batch = self.inputs.train(self.train, loaded, rng, scratch)
        pooled = self.replays(network, network.pooled, batch)  # (B, C)
        pooled, dropout = pooled.float(), self.recipe.dropout
        kept = (rng.random(tuple(pooled.shape), dtype=np.float32) >= dropout) / (1 - dropout)
        logits = network.cls_head.fc_cls(pooled * upload(kept, self.device, torch.float32))
        labels = self.train.labels[self.train.at(loaded)]
        return self.loss(logits, labels), {"hits": (logits.argmax(1) == labels).sum()}

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the labels (B,). `logit_adjustment` adds that much of the log of a label's frequency to its
        logit, so that rare labels must win by more (Menon et al. 2021); `body_loss` adds that much of the cross-entropy
        of the body, whose probability is the sum of its labels'."""
        adjusted = logits + self.adjustment
        loss = F.cross_entropy(adjusted, labels, label_smoothing=self.recipe.label_smoothing)
        if self.recipe.body_loss and self.body is not None:
            chances = logits.new_zeros(len(logits), self.bodies).index_add(1, self.body, adjusted.softmax(1))
            loss = loss + self.recipe.body_loss * F.nll_loss(chances.clamp(min=1e-8).log(), self.body[labels])
        return loss

    def validate(self, model, ranks: Ranks) -> dict:
        """One clip a record -> {"val_top1", "val_mca"}."""
        predict = Predictor(model, self.inputs, self.device, self.dtype, num_clips=1)
        scores = ranks.shared(range(len(self.val)), lambda rows: predict.some(self.val, np.array(rows)))
        return accuracy(np.argmax(scores, 1), self.val.labels.cpu().numpy()) if ranks.first else {}
