"""Which estimator a call asks for."""

from __future__ import annotations

from mma82cli.pose.task import Settings
from mma82cli.records import WrongUsage

EXTRAS = (
    "no pose estimator is installed; pip install 'mma82[mediapipe]', or give --model FILE.onnx "
    "(quicker with 'mma82[pose]'); `--model dots` finds the people that `mma82 synth` renders"
)


def choose_backend(backend: str, model: str | None) -> str:
    """The backend that `auto` stands for: onnx with a model, else mediapipe where it is installed. Raises WrongUsage."""
    if backend == "mediapipe" and model:
        raise WrongUsage("--model is for --backend onnx; mediapipe brings its own")
    if backend == "onnx" and not model:
        raise WrongUsage("--backend onnx needs --model NAME|FILE.onnx; `--model dots` finds the people of `mma82 synth`")
    if backend != "auto":
        return backend
    if model:
        return "onnx"
    from importlib.util import find_spec

    if find_spec("mediapipe"):
        return "mediapipe"
    raise WrongUsage(EXTRAS)


def build_estimator(settings: Settings):
    """The estimator: `infer(frames, boxes) -> (T,V,3)`, `title`, `min_score`, `finds_person`."""
    if settings.model is None:
        from mma82cli.pose.mediapipe import MediaPipeEstimator

        return MediaPipeEstimator()
    from mma82cli.pose.onnx import OnnxEstimator

    return OnnxEstimator(settings.model, settings.engine, settings.device, settings.peak)
