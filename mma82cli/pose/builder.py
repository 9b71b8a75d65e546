"""Which estimator a call asks for, and with what it is built."""

from __future__ import annotations

from collections.abc import Callable

from mma82cli import hub
from mma82cli.pose.model import load_model
from mma82cli.pose.task import Settings
from mma82cli.records import WrongUsage
from mma82cli.skeleton.layouts import load_layout

EXTRAS = (
    "no pose estimator is installed; name a public one (--model rtmpose-m fetches it; quicker with 'mma82[pose]'), "
    "pip install 'mma82[mediapipe]', or give --model FILE.onnx; `--model dots` finds the people that `mma82 synth` renders"
)
PRODUCTION = {  # what `auto` takes, best first, of those that are in the cache
    "coco17": ("rtmpose-l", "rtmpose-m", "rtmpose-s", "rtmpose-t"),
    "coco133": ("rtmpose-l-wholebody", "rtmw-l", "rtmpose-m-wholebody"),
}


def choose_backend(backend: str, model: str | None, layout: str = "coco17") -> tuple[str, str | None]:
    """The backend and the model that are meant: `auto` is what the model's file says, else a production model in the
    cache, else mediapipe where it is installed. Raises WrongUsage."""
    if backend == "mediapipe" and model:
        raise WrongUsage("--model is for other backends; mediapipe brings its own")
    if backend in ("onnx", "tflite", "vitpose") and not model:
        example = {"onnx": "NAME|FILE.onnx", "tflite": "FILE.tflite", "vitpose": "FOLDER|NAME"}[backend]
        raise WrongUsage(f"--backend {backend} needs --model {example}; `--model dots` finds the people of `mma82 synth`")
    if backend != "auto":
        return backend, model
    if model:
        return ("tflite" if model.endswith(".tflite") else "onnx"), model
    for name in PRODUCTION.get(layout, ()):
        if hub.cached(name):
            return "onnx", name
    from importlib.util import find_spec

    if find_spec("mediapipe"):
        return "mediapipe", None
    raise WrongUsage(EXTRAS)


def settings_for(
    backend: str, model: str | None, detector: str | None, channel_order: str | None, tell: Callable[[str], object], **rest
) -> Settings:
    """`Settings` with the networks' files at hand, fetched if need be; `rest` as the fields of `Settings`.

    `detector` None is the model's own, "none" is none. Raises WrongUsage or DataError.
    """
    load_layout(rest["layout"])
    backend, model = choose_backend(backend, model, rest["layout"])
    if rest["device"] != "cpu" and backend not in ("onnx", "vitpose"):
        raise WrongUsage(f"--device {rest['device']} is for --backend onnx and vitpose; {backend} runs on the CPU")
    if channel_order and backend != "onnx":
        raise WrongUsage(f"--channel-order is for --backend onnx; {backend} knows its own")
    if detector not in (None, "none") and backend not in ("onnx", "vitpose"):
        raise WrongUsage(f"--detector is for --backend onnx and vitpose; {backend} finds the person itself")
    network = model
    if backend in ("onnx", "tflite"):
        network = load_model(model, f".{backend}", tell, channel_order=channel_order)
        if backend == "onnx" and not network.described:
            tell(f"{network.path} has no side-car (.toml); taken to be fed as networks are that answer as it does, in RGB order "
                 "with ImageNet's mean if it is top-down")  # fmt: skip
        detector = detector or network.detector or None
    boxes = None if detector in (None, "none") else load_model(detector, tell=tell)
    return Settings(backend, network, boxes, **rest)


def build_estimator(settings: Settings):
    """The estimator: `infer(frames, boxes) -> (T,V,3)`, `title`, `layout`, `min_score`, `finds_person`; those that see
    everybody in a frame have `people(frame)` too."""
    model, device = settings.model, settings.device
    if settings.backend == "mediapipe":
        from mma82cli.pose.mediapipe import MediaPipeEstimator

        return MediaPipeEstimator()
    if settings.backend == "tflite":
        from mma82cli.pose.tflite import TfliteEstimator

        return TfliteEstimator(model)
    if settings.backend == "vitpose":
        from mma82cli.pose.vitpose import VitPoseEstimator

        return VitPoseEstimator(model, device, settings.peak)
    from mma82cli.pose.engines import kind_of, open_engine
    from mma82cli.pose.onestage import OneStageEstimator
    from mma82cli.pose.onnx import TopDownEstimator

    run = open_engine(model, settings.engine, device)
    if kind_of(model, run) == "persons":
        return OneStageEstimator(model, run)
    return TopDownEstimator(model, run, settings.peak)


def build_extractor(settings: Settings):
    """The `Extractor` of `settings`, which turns clips into fields of records."""
    from mma82cli.pose.extract import Extractor

    detector = None
    if settings.detector:
        from mma82cli.pose.engines import open_engine
        from mma82cli.pose.onestage import PersonDetector

        detector = PersonDetector(settings.detector, open_engine(settings.detector, settings.engine, settings.device))
    return Extractor(build_estimator(settings), detector, settings.layout, settings.refine)
