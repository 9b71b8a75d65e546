"""A checkpoint's scores for clips of video."""

from __future__ import annotations

from mma82cli.records import DataError, length_of
from mma82cli.training.rgb.data import clip_of, source_of
from mma82cli.training.rgb.predict import Predictor
from mma82cli.training.rgb.recipe import GcTsmRecipe
from mma82cli.training.task import Asked, Inference
from mma82cli.video import Clip
from mma82cli.video.clips import short


class RgbInference(Inference[GcTsmRecipe]):
    """Probabilities: the softmax of the mean logits of the recipe's test views."""

    at_once = 512  # several batches: the frames of one are decoded while the network is at another

    def __init__(self, model, recipe: GcTsmRecipe, about: dict, asked: Asked, device, dtype):
        super().__init__(model, recipe, about, asked, device, dtype)
        self.predict = Predictor(model, recipe, source_of(asked, recipe.short_side), device, dtype)

    def check(self, record: dict) -> tuple[Clip, float | None]:
        """The record's clip, and how many seconds it should last; its frames are decoded later."""
        return clip_of(record, self.asked.root), length_of(record)

    def __call__(self, items: list[tuple[Clip, float | None]]) -> list[dict | DataError]:
        """{"scores": float32 (classes,)} a clip, with a warning where it breaks off before its end, or what is wrong with it."""
        answers = self.predict([clip for clip, _ in items])
        return [
            answer if isinstance(answer, DataError) else {"scores": answer, "warnings": short(clip.path, length, self._end(clip))}
            for (clip, length), answer in zip(items, answers, strict=True)
        ]

    def _end(self, clip: Clip) -> float:
        """Seconds from the clip's start to where it ends, as far as it can be decoded."""
        end = self.predict.source.end(clip)
        return (end if clip.end is None else min(end, clip.end)) - clip.start
