"""A checkpoint's detections in untrimmed videos."""

from __future__ import annotations

from mma82cli.detection.proposals import Proposals
from mma82cli.records import DataError
from mma82cli.training.detection.films import film_of
from mma82cli.training.detection.predict import Detector
from mma82cli.training.detection.recipe import AdaTADRecipe
from mma82cli.training.recipe import changed
from mma82cli.training.rgb.data import source_of
from mma82cli.training.task import Asked, Inference
from mma82cli.video import Clip


class DetectionInference(Inference[AdaTADRecipe]):
    """`predictions` of each video, best first; after the recipe's suppression, unless `asked.raw`."""

    def __init__(self, model, recipe: AdaTADRecipe, about: dict, asked: Asked, device, dtype):
        if "recipe" not in about:  # a peer's: it was trained on windows that were filled up
            recipe = changed(recipe, fill="window")
        super().__init__(model, recipe, about, asked, device, dtype)
        self.detect = Detector(model, recipe, source_of(asked, recipe.short_side), device, dtype, asked.raw)

    def check(self, record: dict) -> Clip:
        """The record's clip; its frames are decoded later."""
        return film_of(record, self.asked.root).clip

    def __call__(self, items: list[Clip]) -> list[dict | DataError]:
        """{"predictions": …} a video, or what is wrong with it."""
        return [
            answer if isinstance(answer, DataError) else {"predictions": self._listed(answer)} for answer in self.detect(items)
        ]

    def _listed(self, found: Proposals) -> list[dict]:
        columns = (found.segments.tolist(), found.labels.tolist(), found.scores.tolist())
        return [
            {"start": start, "end": end, "label": self.asked.labels.names[label], "score": score}
            for (start, end), label, score in zip(*columns, strict=True)
        ]
