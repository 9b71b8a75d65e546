"""MoveNet and its kin in TensorFlow Lite: one person in a square picture, joints as (y, x, score) of its side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import numpy as np

from mma82cli.pose import geometry
from mma82cli.pose.estimator import Estimator
from mma82cli.pose.model import Model
from mma82cli.pose.onnx import LAYOUTS
from mma82cli.pose.task import Settings
from mma82cli.records import DataError, WrongUsage

NEEDED = "--backend tflite needs the extra: pip install 'mma82[tflite]' (ai-edge-litert)"
SURE = 0.2  # score of a joint that says where the person is
ROOM = 1.5  # how much larger than the joints' own box the next frame's region is


class TfliteEstimator(Estimator):
    """A network with one input (1,S,S,3), bytes or floats of 0..255, and one output (1,1,V,3).

    Without a box it looks for the person in the whole frame first and then where the joints of the frame before were, as
    it was made to be used.
    """

    def __init__(self, model: Model):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise WrongUsage(NEEDED) from None
        try:
            self._net = Interpreter(model_path=model.path, num_threads=1)
            self._net.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{model.path}: TensorFlow Lite can't load it ({str(error).splitlines()[0][:200]})") from None
        (first, *_), (out, *_) = self._net.get_input_details(), self._net.get_output_details()
        shape, answer = list(first["shape"]), list(out["shape"])
        if len(shape) != 4 or shape[3] != 3 or len(answer) != 4 or answer[3] != 3:
            raise DataError(f"{model.path}: takes {shape} and answers {answer}; expected [1,S,S,3] and [1,1,V,3], as MoveNet")
        self._in, self._type, self._out = first["index"], first["dtype"], out["index"]
        self.size = (int(shape[2]), int(shape[1]))
        self.model, self.title, self.min_score = model, model.title, model.min_score
        self.joints = int(answer[2])
        self.layout = model.layout or LAYOUTS.get(self.joints)
        if self.layout is None:
            raise DataError(f"{model.path}: finds {self.joints} joints; name their 'layout' in a side-car")

    def each(self, frames: Iterable[np.ndarray], boxes: Iterable | None = None) -> Iterator[np.ndarray]:
        """See `Estimator`."""
        last = None
        for frame, box in zip(frames, repeat(None) if boxes is None else boxes, strict=False):
            last = self._look(frame, box or _around(last))
            yield last

    def _look(self, frame: np.ndarray, box) -> np.ndarray:
        height, width = frame.shape[:2]
        area = geometry.region(box or (0, 0, width, height), self.size, self.model.padding if box else 1.0)
        crop = geometry.crop(frame, area, self.size)[..., ::-1]
        self._net.set_tensor(self._in, np.ascontiguousarray(crop[None], self._type))
        self._net.invoke()
        joints = self._net.get_tensor(self._out)[0, 0].astype(float)
        points = joints[:, 1::-1] * self.size
        return np.concatenate([geometry.to_frame(points[None], area[None], self.size)[0], joints[:, 2:]], 1)


def _around(joints: np.ndarray | None) -> tuple[float, ...] | None:
    """The box around the joints that are sure, with room; None where they are too few to say."""
    if joints is None or (joints[:, 2] >= SURE).sum() < 5:
        return None
    sure = joints[joints[:, 2] >= SURE, :2]
    low, high = sure.min(0), sure.max(0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 8) * ROOM / 1.25
    return (*(middle - half), *(middle + half))


def build(settings: Settings) -> TfliteEstimator:
    """See `pose.Backend`."""
    assert isinstance(settings.model, Model)
    return TfliteEstimator(settings.model)
