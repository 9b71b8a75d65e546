"""Which estimator a call asks for, and with what it is built."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from mma82cli import hub
from mma82cli.pose import BACKENDS
from mma82cli.pose.model import Model, load_model
from mma82cli.pose.task import Settings
from mma82cli.records import WrongUsage
from mma82cli.skeleton.layouts import load_layout

if TYPE_CHECKING:
    from mma82cli.pose.estimator import Estimator
    from mma82cli.pose.extract import Extractor

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
    row = BACKENDS.get(backend)
    if row and model and not row.model:
        raise WrongUsage(f"--model is for other backends; {backend} brings its own")
    if row and row.model and not model:
        raise WrongUsage(f"--backend {backend} needs --model {row.model}; `--model dots` finds the people of `mma82 synth`")
    if row:
        return backend, model
    if model:
        named = [name for name, row in BACKENDS.items() if row.suffix and model.endswith(row.suffix)]
        return (named[0] if named else "onnx"), model
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
    row = BACKENDS[backend]
    if rest["device"] != "cpu" and not row.gpu:
        raise WrongUsage(f"--device {rest['device']} is for --backend {_those('gpu')}; {backend} runs on the CPU")
    if channel_order and backend != "onnx":
        raise WrongUsage(f"--channel-order is for --backend onnx; {backend} knows its own")
    if detector not in (None, "none") and not row.boxes:
        raise WrongUsage(f"--detector is for --backend {_those('boxes')}; {backend} finds the person itself")
    network: Model | str | None = model
    if row.suffix:
        network = load_model(model, row.suffix, tell, channel_order=channel_order)
        if backend == "onnx" and not network.described:
            tell(f"{network.path} has no side-car (.toml); taken to be fed as networks are that answer as it does, in RGB order "
                 "with ImageNet's mean if it is top-down")  # fmt: skip
        detector = detector or network.detector or None
    boxes = None if detector in (None, "none") else load_model(detector, tell=tell)
    return Settings(backend, network, boxes, **rest)


def _those(trait: str) -> str:
    return " and ".join(name for name, row in BACKENDS.items() if getattr(row, trait))


def build_estimator(settings: Settings) -> Estimator:
    """The estimator of the backend that is asked for. Raises WrongUsage or DataError where it can't be had."""
    return import_module(f"mma82cli.pose.{BACKENDS[settings.backend].module}").build(settings)


def build_extractor(settings: Settings) -> Extractor:
    """The `Extractor` of `settings`, which turns clips into fields of records."""
    from mma82cli.pose.extract import Extractor

    detector = None
    if settings.detector:
        from mma82cli.pose.engines import open_engine
        from mma82cli.pose.onestage import PersonDetector

        detector = PersonDetector(settings.detector, open_engine(settings.detector, settings.engine, settings.device))
    return Extractor(build_estimator(settings), detector, settings.layout, settings.refine)
