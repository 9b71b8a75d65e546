"""What a process that extracts joints is told: once its settings, then clip after clip. Light enough to import anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from mma82cli.pose.model import Model


@dataclass(frozen=True)
class Settings:
    """What is needed to build an extractor, in any process."""

    backend: str  # onnx, mediapipe, tflite, vitpose
    model: Model | str | None = None  # of onnx and tflite; vitpose: a folder or a name
    detector: Model | None = None  # finds people for a top-down network
    layout: str = "coco17"
    engine: str = "auto"  # onnxruntime, opencv
    device: str = "cpu"  # cuda
    peak: str = "subpixel"  # argmax
    refine: str = "none"  # flow


@dataclass(frozen=True)
class Clip:
    """What to extract: a file, its span in seconds (`end` None: to the last frame), the person's box where it is known, and how
    many seconds it lasts by its record, where that says so."""

    path: str
    start: float = 0.0
    end: float | None = None
    box: tuple[float, float, float, float] | None = None
    length: float | None = None
