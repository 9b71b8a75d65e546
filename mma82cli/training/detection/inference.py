"""A checkpoint's detections in untrimmed videos."""

from __future__ import annotations

from mma82cli.records import DataError
from mma82cli.training.detection.films import Film, film_of
from mma82cli.training.detection.predict import Detector, Found
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.training.recipe import changed
from mma82cli.training.rgb.data import source_of
from mma82cli.training.task import Asked, Inference
from mma82cli.video.clips import short


class DetectionInference(Inference[AdaTADRecipe]):
    """`predictions` of each video, best first; after the recipe's suppression, unless `asked.raw`."""

    at_once = 64

    def __init__(self, model, recipe: AdaTADRecipe, about: dict, asked: Asked, device, dtype):
        if "recipe" not in about:  # a peer's: it was trained on windows that were filled up
            recipe = changed(recipe, fill="window")
        super().__init__(model, recipe, about, asked, device, dtype)
        self.detect = Detector(model, recipe, source_of(asked, recipe.short_side), device, dtype, asked.raw)

    def check(self, record: dict) -> Film:
        """The record's film; its frames are decoded later."""
        return film_of(record, self.asked.root)

    def __call__(self, items: list[Film]) -> list[dict | DataError]:
        """{"predictions": …} a video, with a warning where it breaks off before its end, or what is wrong with it."""
        answers = self.detect([film.clip for film in items])
        return [
            answer if isinstance(answer, DataError) else self._fields(film, answer)
            for film, answer in zip(items, answers, strict=True)
        ]

    def _fields(self, film: Film, found: Found) -> dict:
        columns = (found.segments.tolist(), found.labels.tolist(), found.scores.tolist())
        listed = [
            {"start": start, "end": end, "label": self.asked.labels.names[label], "score": score}
            for (start, end), label, score in zip(*columns, strict=True)
        ]
        return {"predictions": listed, "warnings": short(film.clip.path, film.length, found.end)}
