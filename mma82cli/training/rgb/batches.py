"""Frames of clips as batches: sampled, cut, resized, mirrored."""

from __future__ import annotations

import numpy as np

from mma82cli.rgb import crops, sampling
from mma82cli.rgb.camera import steadied
from mma82cli.rgb.pictures import cut
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.video import Clip, Source


def train_clip(source: Source, clip: Clip, recipe: GcTsmRecipe, rng: np.random.Generator) -> np.ndarray:
    """A clip as training sees it, drawn with `rng` -> RGB uint8 (T, size, size, 3)."""
    draw = sampling.dense_train_indices if recipe.sampling == "dense" else sampling.train_indices
    frames = _frames(source, clip, lambda count: draw(count, recipe.frames, rng))
    height, width = frames[0].shape[:2]
    box = crops.random_box(width, height, recipe.size, recipe.crop_scales, rng)
    return _pictures(frames, box, recipe.size, recipe, flip=rng.random() < recipe.flip)


def test_clip(source: Source, clip: Clip, recipe: GcTsmRecipe, num_clips: int, num_crops: int) -> np.ndarray:
    """The views that a clip is tested by -> RGB uint8 (views, T, test_size, test_size, 3)."""

    def runs(count: int) -> np.ndarray:
        if recipe.sampling == "dense" and num_clips > 1:
            return sampling.dense_test_indices(count, recipe.frames).ravel()
        return sampling.test_indices(count, recipe.frames, num_clips).ravel()

    frames = _frames(source, clip, runs)
    height, width = frames[0].shape[:2]
    views = [
        _pictures(frames[start : start + recipe.frames], box, recipe.test_size, recipe)
        for start in range(0, len(frames), recipe.frames)
        for box in crops.test_boxes(width, height, recipe.test_size, num_crops)
    ]
    return np.stack(views) if len(views) > 1 else views[0][None]


def _pictures(frames: list[np.ndarray], box: tuple, size: int, recipe: GcTsmRecipe, flip: bool = False) -> np.ndarray:
    """A part of the frames as the recipe wants it: RGB uint8 (T, size, size, 3)."""
    pictures = cut(frames, box, size, flip)
    return steadied(pictures) if recipe.steady else pictures


def _frames(source: Source, clip: Clip, choose) -> list[np.ndarray]:
    """The frames that `choose(count)` asks for, in that order."""
    numbers, places = np.unique(choose(source.count(clip)), return_inverse=True)
    found = source.pick(clip, numbers.tolist())
    if len(found) < len(numbers):  # a damaged file gives fewer than its packets promised
        numbers, places = np.unique(choose(source.recount(clip)), return_inverse=True)
        found = source.pick(clip, numbers.tolist())
    return [found[place] for place in np.minimum(places, len(found) - 1)]
