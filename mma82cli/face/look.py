"""What a model of expressions says of the face in a clip: the mean over a few frames of its centred logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from mma82cli.face.boxes import face_boxes, head_joints
from mma82cli.records import DataError, WrongUsage
from mma82cli.skeleton.keypoints import from_record
from mma82cli.skeleton.layouts import load_layout
from mma82cli.video import Reader

LEAST = 1e-8  # a probability below counts as this


class Expression(Protocol):
    """A model of expressions. `title` names it."""

    title: str

    def __call__(self, face: np.ndarray) -> dict[str, float]:
        """{label: probability} of a picture (H, W, 3) BGR uint8 of a face."""
        ...


class DeepFace:
    """deepface's network of seven expressions. It fetches its weights when it is first used."""

    def __init__(self):
        try:
            from deepface import DeepFace as library
        except ImportError as error:
            raise WrongUsage(f"deepface can't be imported ({error}); pip install 'mma82[face]'") from None
        import deepface

        self._library = library
        self.title = f"deepface {getattr(deepface, '__version__', '')}".strip()

    def __call__(self, face: np.ndarray) -> dict[str, float]:
        """{label: probability}; the face is taken as it is, and no other searched for. Raises WrongUsage where the network
        can't be had."""
        asked = {"actions": ["emotion"], "detector_backend": "skip", "enforce_detection": False, "align": False, "silent": True}
        try:
            found = self._library.analyze(face, **asked)
        except (ValueError, OSError, ImportError) as error:
            raise WrongUsage(f"deepface: {' '.join(str(error).split())[:200]}") from None
        return {label: float(percent) / 100 for label, percent in found[0]["emotion"].items()}


def look(
    record: dict, path: str, span: tuple[float, float | None], model: Callable[[], Expression], reader: Reader, frames: int
) -> dict | None:
    """{"labels", "logits"} of the clip's face, from `frames` of those in which it is seen, evenly; None where it never is, and
    then nobody asks for the `model`.

    Raises DataError where joints or file are bad, or the file has fewer frames than joints were found in.
    """
    layout = load_layout(record["layout"]) if isinstance(record.get("layout"), str) else load_layout()
    joints = from_record(record, len(layout))[0]  # (T, V, 3) of the first, the main person
    boxes = face_boxes(joints, head_joints(layout))
    seen = np.flatnonzero(np.isfinite(boxes).all(1))
    if not len(seen):
        return None
    wanted = sorted(set(seen[np.linspace(0, len(seen) - 1, min(frames, len(seen))).round().astype(int)].tolist()))
    pictures = reader.open(path).pick(wanted, *span)
    if len(pictures) < len(wanted):
        raise DataError(f"{path}: the clip has fewer frames than the {len(joints)} with joints; expected the same video")
    said = [model()(part) for i, frame in zip(wanted, pictures, strict=True) if (part := _part(frame, boxes[i])).size]
    if not said:
        return None
    labels = list(said[0])
    z = np.log(np.maximum([[each[label] for label in labels] for each in said], LEAST))  # (frames, K)
    logits = (z - z.mean(1, keepdims=True)).mean(0)
    return {"labels": labels, "logits": [round(float(value), 4) + 0.0 for value in logits]}


def _part(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of the frame in the box, as far as it is there."""
    height, width = frame.shape[:2]
    x1, y1 = np.maximum(np.floor(box[:2]).astype(int), 0)
    x2, y2 = np.minimum(np.ceil(box[2:]).astype(int), (width, height))
    return np.ascontiguousarray(frame[y1 : max(y1, y2), x1 : max(x1, x2)])
