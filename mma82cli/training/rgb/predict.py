"""Probabilities of clips: the mean of the logits of their views, which are decoded while the network works."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch

from mma82cli.crew import cores
from mma82cli.models.gc_tsm import GCTSM, fold
from mma82cli.records import DataError
from mma82cli.rgb.pictures import normalise
from mma82cli.training.rgb.batches import tensor, test_clip
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.video import Clip, Source

AT_ONCE = {"cpu": 2, "cuda": 64}  # views a forward pass


class Predictor:
    """predict(clips) -> probabilities, or a DataError where a clip can't be read. `views` False: one view a clip."""

    def __init__(
        self, model: GCTSM, recipe: GcTsmRecipe, source: Source, device: torch.device, dtype=torch.float32, views: bool = True
    ):
        self.model = fold(model).to(device, dtype)
        self.recipe, self.source, self.device, self.dtype = recipe, source, device, dtype
        self.clips, self.crops = (recipe.clips, recipe.crops) if views else (1, 1)
        self.pool = ThreadPoolExecutor(cores() if device.type == "cuda" else 1)

    def __call__(self, clips: list[Clip]) -> Iterator[np.ndarray | DataError]:
        """float32 (classes,) a clip, of sum 1."""
        size = max(1, AT_ONCE[self.device.type] // (self.clips * self.crops))
        waiting, rest = [], iter(clips)
        for clip in islice(rest, 2 * size):
            waiting.append(self.pool.submit(self._views, clip))
        while waiting:
            batch, waiting = [job.result() for job in waiting[:size]], waiting[size:]
            for clip in islice(rest, size):
                waiting.append(self.pool.submit(self._views, clip))
            scores = iter(self._scores([views for views in batch if isinstance(views, np.ndarray)]))
            yield from (next(scores) if isinstance(views, np.ndarray) else views for views in batch)

    def _views(self, clip: Clip) -> np.ndarray | DataError:
        try:
            return test_clip(self.source, clip, self.recipe, self.clips, self.crops)
        except DataError as error:
            return error

    @torch.inference_mode()
    def _scores(self, batch: list[np.ndarray]) -> np.ndarray:
        """Views (V, T, H, W, 3) of each clip -> probabilities (B, classes)."""
        if not batch:
            return np.empty((0, self.model.num_classes), np.float32)
        views = normalise(tensor(batch, self.device).flatten(0, 1), self.recipe.still).to(self.dtype)
        logits = self.model(views).float().unflatten(0, (len(batch), -1)).mean(1)
        scores = logits.softmax(1).cpu().numpy()
        if not np.isfinite(scores).all():
            raise DataError("the network's output is not finite; expected probabilities: the checkpoint is damaged or diverged")
        return scores
