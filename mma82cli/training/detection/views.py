"""What of a film a training step sees: a window in time, a part of the picture, mirrored, in other light."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from mma82cli.detection.proposals import to_moments
from mma82cli.records import DataError
from mma82cli.rgb.pictures import cut
from mma82cli.training.detection.films import Film
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.video import Source

TRIES = 200  # at a window with an action in it; then any will do
GREY = np.array([[0.299, 0.587, 0.114]])  # of R, G and B


class View(NamedTuple):
    """A window's frames (T, size, size, 3) RGB uint8, and what happens in it: segments (N, 2) in moments, labels (N,)."""

    frames: np.ndarray
    segments: np.ndarray
    labels: np.ndarray


def train_view(source: Source, film: Film, recipe: AdaTADRecipe, rng: np.random.Generator) -> View:
    """A window of the film, drawn with `rng`. Raises DataError where not one of its frames can be decoded."""
    begin, length, segments, labels = draw_window(film, recipe, rng)
    flip, light = rng.random() < recipe.flip, draw_light(recipe.jitter, rng)
    numbers = np.arange(begin, begin + length) * recipe.stride
    found = source.pick(film.clip, numbers.tolist())
    if not found:
        raise film_ends(film, begin)
    height, width = found[0].shape[:2]
    box = draw_box(width, height, recipe, rng)
    return View(lit(cut(found, box, recipe.size, flip), light), segments, labels)


def film_ends(film: Film, begin: int) -> DataError:
    """The error for a film that has fewer frames than it promised."""
    place = f"from {film.times[begin]:.3f} s on"
    return DataError(f"{film.clip.path}: no frame can be decoded {place}; expected {film.frames} frames in all")


def draw_window(
    film: Film, recipe: AdaTADRecipe, rng: np.random.Generator
) -> tuple[int, int, np.ndarray, np.ndarray]:
    """-> (first moment, moments, segments (N, 2) in moments from there, labels) of a random window.

    Films that fit in a window lose up to a tenth (`shorten`). An action counts where `least_inside` of it is in the window;
    a window with an action is preferred to one without (ActionFormer's truncation).
    """
    count = len(film.times)
    length = recipe.window
    if count <= length:
        low, high = (max(1, round(share * count)) for share in recipe.shorten)
        length = int(rng.integers(low, high + 1))
    spans = to_moments(film.segments, film.times, film.step)
    for _ in range(TRIES):
        begin = int(rng.integers(0, count - length + 1))
        inside = spans.clip(begin, begin + length)
        counts = inside[:, 1] - inside[:, 0] >= recipe.least_inside * (spans[:, 1] - spans[:, 0])
        if counts.any() or not len(spans):
            break
    return begin, length, inside[counts] - begin, film.labels[counts]


def draw_box(width: int, height: int, recipe: AdaTADRecipe, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A part of the picture, (x, y, width, height), of random area and shape: Inception's crop."""
    (least, most), (narrow, wide) = recipe.crop_area, map(math.log, recipe.crop_shape)
    for _ in range(10):
        area, shape = width * height * rng.uniform(least, most), math.exp(rng.uniform(narrow, wide))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h
    return middle(width, height)


def middle(width: int, height: int) -> tuple[int, int, int, int]:
    """The greatest square in the middle: what a test sees."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def draw_light(jitter: float, rng: np.random.Generator) -> np.ndarray | None:
    """Brightness, contrast and saturation of a window, each times 1 - jitter to 1 + jitter: a matrix (3, 4) for RGB."""
    if not jitter:
        return None
    brightness, contrast, saturation = rng.uniform(1 - jitter, 1 + jitter, 3)
    colours = saturation * np.eye(3) + (1 - saturation) * np.ones((3, 1)) @ GREY
    return np.hstack((brightness * contrast * colours, np.full((3, 1), 127.5 * (1 - contrast))))


def lit(frames: np.ndarray, light: np.ndarray | None) -> np.ndarray:
    """(T, H, W, 3) uint8 in another light."""
    if light is None:
        return frames
    return cv2.transform(frames.reshape(len(frames), -1, 3), light).reshape(frames.shape)
