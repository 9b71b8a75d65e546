"""The backend `onnx`: a top-down network, or one that sees everybody at once, as its outputs are."""

from __future__ import annotations

from mma82cli.pose.engines import kind_of, open_engine
from mma82cli.pose.estimator import Estimator
from mma82cli.pose.model import Model
from mma82cli.pose.onestage import OneStageEstimator
from mma82cli.pose.onnx import TopDownEstimator
from mma82cli.pose.task import Settings


def build(settings: Settings) -> Estimator:
    """See `pose.Backend`."""
    model = settings.model
    assert isinstance(model, Model)
    run = open_engine(model, settings.engine, settings.device)
    if kind_of(model, run) == "persons":
        return OneStageEstimator(model, run)
    return TopDownEstimator(model, run, settings.peak)
