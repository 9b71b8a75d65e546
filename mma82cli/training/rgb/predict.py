"""Probabilities of clips: the mean of the logits of their views, which are decoded while the network works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

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
JOB = {"cpu": 1, "cuda": 8}  # clips that a thread loads before it answers: Python's threads are slow to take turns
BEHIND = {"cpu": 0, "cuda": 1}  # batches that the device is still at when the next is handed to it


class Loaded(NamedTuple):
    """The `views` (N, V, T, H, W, 3) on the device of those clips that have no fault (None: of none), and each clip's fault, or
    None."""

    views: Tensor | None
    faults: list[DataError | None]


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
        kind = self.device.type
        size = max(1, AT_ONCE[kind] // (self.clips * self.crops))
        job = min(size, JOB[kind])
        jobs, parts = -(-size // job), (clips[i : i + job] for i in range(0, len(clips), job))
        waiting = deque(self.pool.submit(self._loaded, part) for part in islice(parts, 3 * jobs))
        begun: deque[tuple[list[Loaded], Tensor]] = deque()
        while waiting or begun:
            if waiting:
                batch = [waiting.popleft().result() for _ in range(min(jobs, len(waiting)))]
                waiting.extend(self.pool.submit(self._loaded, part) for part in islice(parts, jobs))
                begun.append((batch, self._scores([part.views for part in batch if part.views is not None])))
            if len(begun) > BEHIND[kind] or not waiting:
                batch, found = begun.popleft()
                scores = iter(finite(found))
                yield from (fault or next(scores) for part in batch for fault in part.faults)

    def _loaded(self, clips: list[Clip]) -> Loaded:
        views, faults = [], []
        for clip in clips:
            fault = None
            try:
                views.append(test_clip(self.source, clip, self.recipe, self.clips, self.crops))
            except DataError as error:
                fault = error
            faults.append(fault)
        return Loaded(onto(np.stack(views), self.device) if views else None, faults)

    @torch.inference_mode()
    def _scores(self, parts: list[Tensor]) -> Tensor:
        """Views (N, V, T, H, W, 3) of some clips each -> probabilities (B, classes)."""
        if not parts:
            return torch.empty(0, self.model.num_classes)
        pictures = torch.cat(parts)
        views = normalise(pictures.flatten(0, 1), self.recipe.still).to(self.dtype)
        return self.replays(self.model, self.model.forward, views).float().unflatten(0, (len(pictures), -1)).mean(1).softmax(1)


def finite(scores: Tensor) -> np.ndarray:
    """Probabilities (B, classes), once they are there. Raises DataError where one is none."""
    found = scores.cpu().numpy()
    if not np.isfinite(found).all():
        raise DataError("the network's output is not finite; expected probabilities: the checkpoint is damaged or diverged")
    return found
