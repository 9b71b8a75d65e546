"""A checkpoint's scores for clips of joints."""

from __future__ import annotations

import numpy as np

from mma82cli.skeleton.layouts import from_json
from mma82cli.training.skeleton.clips import Clip, Clips, ClipStore, LayoutOfStream, read_clip
from mma82cli.training.skeleton.predict import Predictor
from mma82cli.training.skeleton.recipe import SkeletonRecipe
from mma82cli.training.task import Asked, Inference


class SkeletonInference(Inference[SkeletonRecipe]):
    """Probabilities, the mean over the recipe's test clips. A clip without a single joint gets the same for every label."""

    drops = ("keypoints",)

    def __init__(self, model, recipe: SkeletonRecipe, about: dict, asked: Asked, device, dtype):
        super().__init__(model, recipe, about, asked, device, dtype)
        if asked.layout is None and "joints" in about:
            self.layouts = LayoutOfStream(from_json(about["joints"]), "the checkpoint was trained on")
        else:
            self.layouts = LayoutOfStream(asked.layout)
        self.predictor: Predictor | None = None
        if self.layouts.layout is not None:
            self._predict_on(self.layouts.layout)

    def _predict_on(self, layout) -> None:
        self.predictor = Predictor(self.model, self.recipe.inputs(layout), self.device, self.dtype)

    def check(self, record: dict) -> Clip:
        """The record's joints."""
        layout = self.layouts.check(record)
        if self.predictor is None:
            self._predict_on(layout)
        return read_clip(record, layout)

    def __call__(self, items: list[Clip]) -> list[dict]:
        """{"scores": float32 (classes,)} a clip."""
        full = [clip for clip in items if not clip.empty]
        scores = iter(self.predictor(Clips(ClipStore(full).arrays(), self.device), np.arange(len(full))) if full else ())
        uniform = np.full(len(self.asked.labels), 1 / len(self.asked.labels), np.float32)
        nothing = {"scores": uniform, "warnings": ["no joints: scores are uniform"]}
        return [dict(nothing) if clip.empty else {"scores": next(scores)} for clip in items]
