"""Pose estimation: a person's joints in the frames of a clip.

`builder.build_estimator` makes the one thing that matters, an `estimator.Estimator` with
`infer(frames, boxes) -> keypoints (T,V,3)`; an `extract.Extractor` turns a clip of a video into a record's fields.
"""

from __future__ import annotations

from typing import NamedTuple


class Backend(NamedTuple):
    """A row of BACKENDS. `module` of this package has `build(settings) -> Estimator`.

    model     what --model must be, in words; "": it brings its own network
    suffix    of the network's file, which is found, fetched and checked; "": `build` is handed what --model says
    gpu       it runs with --device cuda
    boxes     it looks for joints in a box, for which a detector may look
    """

    module: str
    model: str = ""
    suffix: str = ""
    gpu: bool = False
    boxes: bool = False


BACKENDS = {
    "onnx": Backend("network", "NAME|FILE.onnx", ".onnx", gpu=True, boxes=True),
    "mediapipe": Backend("mediapipe"),
    "tflite": Backend("tflite", "FILE.tflite", ".tflite"),
    "vitpose": Backend("vitpose", "FOLDER|NAME", gpu=True, boxes=True),
}
