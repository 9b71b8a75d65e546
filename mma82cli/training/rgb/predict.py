"""Probabilities of clips: the mean of the logits of their views, which are decoded while the network works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mma82cli.crew import cores
from mma82cli.devices import onto
from mma82cli.models.gc_tsm import GCTSM, fold
from mma82cli.records import DataError
from mma82cli.rgb.pictures import normalise
from mma82cli.training.replays import Replays
from mma82cli.training.rgb.batches import test_clip
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
        self.replays = Replays(device, torch.float32)  # the network is of `dtype` itself
        self.pool = ThreadPoolExecutor(cores() if device.type == "cuda" else 1)

    def __call__(self, clips: list[Clip]) -> Iterator[np.ndarray | DataError]:
        """float32 (classes,) a clip, of sum 1."""
        size = max(1, AT_ONCE[self.device.type] // (self.clips * self.crops))
        behind = 1 if self.device.type == "cuda" else 0  # batches that a GPU is still at when the next one is handed to it
        rest = iter(clips)
        waiting = deque(self.pool.submit(self._views, clip) for clip in islice(rest, 2 * size))
        begun: deque[tuple[list[Tensor | DataError], Tensor]] = deque()
        while waiting or begun:
            if waiting:
                batch = [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
                waiting.extend(self.pool.submit(self._views, clip) for clip in islice(rest, size))
                begun.append((batch, self._scores([views for views in batch if isinstance(views, Tensor)])))
            if len(begun) > behind or not waiting:
                batch, found = begun.popleft()
                scores = iter(finite(found))
                yield from (next(scores) if isinstance(views, Tensor) else views for views in batch)

    def _views(self, clip: Clip) -> Tensor | DataError:
        """(V, T, H, W, 3), on the device."""
        try:
            return onto(test_clip(self.source, clip, self.recipe, self.clips, self.crops), self.device)
        except DataError as error:
            return error

    @torch.inference_mode()
    def _scores(self, batch: list[Tensor]) -> Tensor:
        """Views (V, T, H, W, 3) of each clip -> probabilities (B, classes)."""
        if not batch:
            return torch.empty(0, self.model.num_classes)
        views = normalise(torch.cat(batch), self.recipe.still).to(self.dtype)
        return self.replays(self.model, self.model.forward, views).float().unflatten(0, (len(batch), -1)).mean(1).softmax(1)


def finite(scores: Tensor) -> np.ndarray:
    """Probabilities (B, classes), once they are there. Raises DataError where one is none."""
    found = scores.cpu().numpy()
    if not np.isfinite(found).all():
        raise DataError("the network's output is not finite; expected probabilities: the checkpoint is damaged or diverged")
    return found
