"""A checkpoint's scores for clips of video."""

from __future__ import annotations

from mma82cli.records import DataError
from mma82cli.training.rgb.data import clip_of, source_of
from mma82cli.training.rgb.predict import Predictor
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.training.task import Asked, Inference
from mma82cli.video import Clip


class RgbInference(Inference[GcTsmRecipe]):
    """Probabilities: the softmax of the mean logits of the recipe's test views."""

    def __init__(self, model, recipe: GcTsmRecipe, about: dict, asked: Asked, device, dtype):
        super().__init__(model, recipe, about, asked, device, dtype)
        self.predict = Predictor(model, recipe, source_of(asked, recipe.short_side), device, dtype)

    def check(self, record: dict) -> Clip:
        """The record's clip; its frames are decoded later."""
        return clip_of(record, self.asked.root)

    def __call__(self, items: list[Clip]) -> list[dict | DataError]:
        """{"scores": float32 (classes,)} a clip, or what is wrong with its video."""
        return [answer if isinstance(answer, DataError) else {"scores": answer} for answer in self.predict(items)]
